// Charts by hand: bars and cells to pick, histograms and clouds of points to brush. Every text goes in by textContent.

// --- numbers

// Write a number as people read it.
export function writeNumber(v) {
  const size = Math.abs(v);
  if (!Number.isFinite(v)) return "none";
  if (size >= 1000) return Math.round(v).toLocaleString("en");
  return Number(v.toPrecision(size >= 100 || Number.isInteger(v) ? 4 : size < 0.001 ? 2 : 3)).toString();
}

// Round steps between two ends, about n of them.
export function chartTicks(lo, hi, n) {
  if (!(hi > lo)) return [lo];
  const raw = (hi - lo) / n, ten = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((m) => m * ten >= raw * 0.999) * ten, out = [];
  for (let k = Math.ceil(lo / step - 1e-9); k * step <= hi + step * 1e-9; k++) out.push(Number((k * step).toPrecision(12)));
  return out;
}

// Powers of ten between two ends; where there is less than one, 1, 2 and 5 of each.
export function logTicks(lo, hi) {
  const out = [], few = hi / lo < 100;
  for (let e = Math.floor(Math.log10(lo)); e <= Math.log10(hi); e++) {
    for (const m of few ? [1, 2, 5] : [1]) if (m * 10 ** e >= lo * 0.999 && m * 10 ** e <= hi * 1.001) out.push(Number((m * 10 ** e).toPrecision(6)));
  }
  return out.length ? out : [lo];
}

// Map values lo..hi to pixels a..b and back.
export function chartScale(lo, hi, a, b, log = false) {
  const f = log ? Math.log10 : (v) => v, g = log ? (v) => 10 ** v : (v) => v, from = f(lo), span = f(hi) - from || 1;
  return { at: (v) => a + ((f(v) - from) / span) * (b - a), from: (p) => g(from + ((p - a) / (b - a)) * span), log };
}

// Borders of equally wide bins, as numpy.linspace gives them.
export function binEdges(lo, hi, bins, log = false) {
  const a = log ? Math.log10(lo) : lo, step = ((log ? Math.log10(hi) : hi) - a) / bins;
  const edges = Array.from({ length: bins + 1 }, (_, i) => (log ? 10 ** (a + i * step) : a + i * step));
  edges[0] = lo;
  edges[bins] = hi;
  return edges;
}

// Count values per series and bin, as numpy.histogram does: the last bin holds its upper border.
export function binCounts(x, series, many, edges, log = false) {
  const bins = edges.length - 1, out = Array.from({ length: many }, () => new Uint32Array(bins));
  const scale = chartScale(edges[0], edges[bins], 0, bins, log);
  for (let i = 0; i < x.length; i++) {
    const v = x[i];
    if (!(v >= edges[0] && v <= edges[bins])) continue;
    let b = Math.min(bins - 1, Math.max(0, Math.floor(scale.at(v))));
    if (v < edges[b]) b--;
    else if (b < bins - 1 && v >= edges[b + 1]) b++;
    out[series[i]][b]++;
  }
  return out;
}

// Count values per series within lo..hi, both included.
export function countInside(x, series, many, lo, hi) {
  const out = new Uint32Array(many), low = lo - 1e-9, high = hi + 1e-9;
  for (let i = 0; i < x.length; i++) if (x[i] >= low && x[i] <= high) out[series[i]]++;
  return out;
}

// --- SVG

const CHART_EDGE = "#15181c";

export function svgElement(name, attributes = {}, text) {
  const el = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [k, v] of Object.entries(attributes)) el.setAttribute(k, v);
  if (text !== undefined) el.textContent = text;
  return el;
}

function chartElement(name, className = "", text) {
  const el = document.createElement(name);
  if (className) el.className = className;
  if (text !== undefined) el.textContent = text;
  return el;
}

const lookColor = (look) => `rgb(${look.color.join(",")})`;
const lookLuma = (look) => 0.3 * look.color[0] + 0.59 * look.color[1] + 0.11 * look.color[2];

// Fill of a class: its colour, and its pattern in dark or light, whichever is seen.
export function patternFill(defs, id, look) {
  const ink = lookLuma(look) > 75 ? CHART_EDGE : "#ffffff";
  const line = (d) => svgElement("path", { d, stroke: ink, "stroke-width": 1.1, fill: "none" });
  const marks = {
    dots: () => [svgElement("circle", { cx: 2, cy: 2, r: 1.1, fill: ink }), svgElement("circle", { cx: 6, cy: 6, r: 1.1, fill: ink })],
    diagonal: () => [line("M-2,2 L2,-2 M0,8 L8,0 M6,10 L10,6")],
    "back-diagonal": () => [line("M-2,6 L2,10 M0,0 L8,8 M6,-2 L10,2")],
    horizontal: () => [line("M0,2 H8 M0,6 H8")],
    grid: () => [line("M0,4 H8 M4,0 V8")],
  }[look.pattern];
  if (!marks) return lookColor(look);
  const pattern = svgElement("pattern", { id, width: 8, height: 8, patternUnits: "userSpaceOnUse" });
  pattern.append(svgElement("rect", { width: 8, height: 8, fill: lookColor(look) }), ...marks());
  defs.append(pattern);
  return `url(#${id})`;
}

// Outline of a marker round 0, 0; a number for each look, in the order matplotlib's markers have in this package: o s D ^ v P * X.
export function markerPath(kind, r) {
  const ring = (n, turn, inner) => Array.from({ length: n * (inner ? 2 : 1) }, (_, i) => {
    const a = turn + (i * 2 * Math.PI) / (n * (inner ? 2 : 1)), s = inner && i % 2 ? r * inner : r;
    return `${i ? "L" : "M"}${(s * Math.sin(a)).toFixed(2)},${(-s * Math.cos(a)).toFixed(2)}`;
  }).join("") + "Z";
  const t = r * 0.36, plus = `M${-t},${-r}H${t}V${-t}H${r}V${t}H${t}V${r}H${-t}V${t}H${-r}V${-t}H${-t}Z`;
  return [`M${r},0A${r},${r},0,1,1,${-r},0A${r},${r},0,1,1,${r},0Z`, ring(4, Math.PI / 4), ring(4, 0), ring(3, 0), ring(3, Math.PI), plus, ring(5,
    0, 0.45), ring(4, 0, 0.4)][kind % 8];
}

// A small picture of a look: its pattern, or its marker.
function lookSwatch(look, id, marker) {
  const svg = svgElement("svg", { width: 24, height: 14, "aria-hidden": "true" }), defs = svgElement("defs");
  const fill = marker ? lookColor(look) : patternFill(defs, id, look);
  const shape = marker ? svgElement("path", { d: markerPath(look.marker, 6), transform: "translate(12,7)" }) : svgElement("rect", { x: 0.5,
    y: 0.5, width: 23, height: 13 });
  for (const [k, v] of Object.entries({ fill, stroke: CHART_EDGE, "stroke-width": 1 })) shape.setAttribute(k, v);
  svg.append(defs, shape);
  return svg;
}

function lookLegend(looks, id, marker) {
  const box = chartElement("div", "sd-legend");
  looks.forEach((look, i) => {
    const item = chartElement("span");
    item.append(lookSwatch(look, `${id}-k${i}`, marker), chartElement("span", "", look.label));
    box.append(item);
  });
  return box;
}

// What all charts share: a heading, a place to draw that is drawn again when it changes its width, a sentence below.
class ChartFrame {
  constructor(el, name) {
    this.id = `sd${Math.random().toString(36).slice(2, 10)}`;
    this.root = chartElement("div", `sd sd-chart sd-${name}`);
    this.head = chartElement("div", "sd-chart-head");
    this.title = chartElement("span", "sd-chart-title");
    this.place = chartElement("div", "sd-chart-place");
    this.foot = chartElement("div", "sd-chart-foot");
    this.note = chartElement("div", "sd-note");
    this.head.append(this.title);
    this.root.append(this.head, this.place, this.foot, this.note);
    el.append(this.root);
    this.seen = 0;
    this.watch = new ResizeObserver(() => {
      const width = Math.round(this.place.clientWidth);
      if (width && width !== this.seen) { this.seen = width; this.draw(); }
    });
    this.watch.observe(this.place);
  }
  get width() { return Math.max(220, Math.round(this.place.clientWidth) || 600); }
  destroy() { this.watch.disconnect(); this.root.remove(); }
}

// Keys move among the items of a chart, one of them reachable by Tab.
function roveKeys(items, columns, at, pick) {
  items.forEach((item, i) => {
    item.setAttribute("tabindex", i === at ? 0 : -1);
    item.addEventListener("click", () => pick(i));
    item.addEventListener("keydown", (e) => {
      const step = { ArrowDown: columns, ArrowUp: -columns, ArrowRight: 1, ArrowLeft: -1, Home: -i, End: items.length - 1 - i }[e.key];
      if (e.key === "Enter" || e.key === " ") pick(i);
      else if (step === undefined) return;
      else if (items[i + step]) {
        item.setAttribute("tabindex", -1);
        items[i + step].setAttribute("tabindex", 0);
        items[i + step].focus();
      }
      e.preventDefault();
    });
  });
}

// --- bars

export class BarView extends ChartFrame {
  constructor(el, { onPick, onLog }) {
    super(el, "bars");
    this.onPick = onPick;
    this.state = null;
    this.logBox = Object.assign(document.createElement("input"), { type: "checkbox" });
    this.logLabel = chartElement("label", "sd-chart-switch");
    this.logLabel.append(this.logBox, chartElement("span", "", "log scale"));
    this.logBox.addEventListener("change", () => { this.state.log = this.logBox.checked; this.draw(); onLog(this.logBox.checked); });
    this.head.append(this.logLabel);
  }

  set(state) {
    this.state = { ...(this.state ?? {}), ...state };
    this.draw();
  }

  pick(key) {
    this.state.chosen = this.state.chosen === key ? "" : key;
    this.draw();
    this.onPick(this.state.chosen);
  }

  draw() {
    if (!this.state?.chart) return;
    const { chart, chosen, log } = this.state, { groups, series } = chart, width = this.width, narrow = width < 520;
    this.title.textContent = chart.title;
    this.note.textContent = chart.note;
    this.logBox.checked = log;
    const longest = Math.max(4, ...groups.map((g) => g.label.length)), left = narrow ? 4 : Math.min(180, 18 + longest * 7);
    const words = Math.max(...series.flatMap((s) => s.texts.map((t) => t.length)), 1) * 7.2 + 10;
    const thick = 20, rowHeight = thick * series.length + (narrow ? 24 : 12), height = rowHeight * groups.length + 6;
    const values = series.flatMap((s) => s.values).filter((v) => Number.isFinite(v) && v > 0), most = Math.max(...values, 0),
      least = Math.min(...values, most);
    const end = Math.max(left + 40, width - words);
    const scale = log && most > 0 ? chartScale(Math.min(least / 3, most / 10), most, left, end, true) : chartScale(0, most || 1, left, end);
    const length = (v) => (Number.isFinite(v) && v > 0 ? Math.max(1.5, scale.at(v) - left) : 0);
    const svg = svgElement("svg", { width, height, role: "group", "aria-label": chart.title }), defs = svgElement("defs");
    svg.append(defs);
    const had = this.place.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const items = groups.map((look, i) => {
      const g = svgElement("g", { role: "button", "aria-pressed": chosen === look.key, transform: `translate(0,${i * rowHeight + 3})` });
      const said = series.map((s) => (series.length > 1 ? `${s.name} ` : "") + s.texts[i]).join(", ");
      g.setAttribute("aria-label", `${look.label}: ${said}`);
      g.dataset.key = look.key;
      g.append(svgElement("rect", { class: "sd-hit", width, height: rowHeight - 2, rx: 4 }));
      const fill = patternFill(defs, `${this.id}-b${i}`, look), top = narrow ? 18 : 4;
      const text = svgElement("text", narrow ? { x: left, y: 13 } : { x: left - 8, y: top + (thick * series.length) / 2 + 3,
        "text-anchor": "end" }, look.label);
      g.append(text);
      series.forEach((s, j) => {
        const y = top + j * thick, w = length(s.values[i]);
        g.append(svgElement("rect", { class: "sd-bar", x: left, y, width: w, height: thick - 4, fill, stroke: "var(--sd-fg)",
          "fill-opacity": j ? 0.38 : 1, "stroke-dasharray": j ? "3 2" : "none" }));
        g.append(svgElement("text", { class: "sd-value", x: left + w + 6, y: y + thick / 2 + 3 }, s.texts[i]));
      });
      if (chosen && chosen !== look.key) g.setAttribute("class", "sd-faded");
      svg.append(g);
      return g;
    });
    roveKeys(items, 1, Math.max(0, groups.findIndex((g) => g.key === chosen)), (i) => this.pick(groups[i].key));
    this.place.replaceChildren(svg);
    if (had !== null) items[groups.findIndex((g) => g.key === had)]?.focus();
    this.foot.textContent = series.length > 1 ? `${series[0].name}: full colour; ${series.slice(1).map((s) => s.name).join(", ")}: pale` : "";
  }
}

// --- cells

export class CellView extends ChartFrame {
  constructor(el, { onPick }) {
    super(el, "cells");
    this.onPick = onPick;
    this.state = null;
  }

  set(state) {
    this.state = { ...(this.state ?? {}), ...state };
    this.draw();
  }

  pick(cell) {
    this.state.chosen = String(this.state.chosen) === String(cell) ? [] : cell;
    this.draw();
    this.onPick(this.state.chosen);
  }

  draw() {
    if (!this.state?.chart) return;
    const { chart, chosen } = this.state, { looks, values } = chart, n = looks.length, most = Math.max(1, ...values.flat());
    this.title.textContent = chart.title;
    this.note.textContent = chart.note;
    if (!n) return this.place.replaceChildren();
    const short = this.width < 520, left = short ? 34 : Math.min(150, 22 + Math.max(...looks.map((l) => l.label.length)) * 7);
    const side = Math.min(92, (this.width - left - 4) / n), tall = Math.max(30, side * 0.55), top = 24;
    const svg = svgElement("svg", { width: left + side * n + 4, height: top + tall * n + 4, role: "group", "aria-label": chart.title });
    const named = (look) => (short || side < look.label.length * 7 ? look.key : look.label), items = [];
    const had = this.place.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    looks.forEach((row, i) => {
      svg.append(svgElement("text", { x: left - 8, y: top + tall * (i + 0.5) + 4, "text-anchor": "end" }, short ? row.key : row.label));
      svg.append(svgElement("text", { x: left + side * (i + 0.5), y: 16, "text-anchor": "middle" }, named(row)));
      looks.forEach((column, j) => {
        const cell = [row.key, column.key], on = String(chosen) === String(cell), v = values[i][j], strength = Math.sqrt(v / most);
        const g = svgElement("g", { role: "button", "aria-pressed": on, transform: `translate(${left + side * j},${top + tall * i})` });
        g.setAttribute("aria-label", i === j ? `${row.label}: ${v} images` : `${row.label} together with ${column.label}: ${v} images`);
        g.dataset.key = String(cell);
        g.append(svgElement("rect", { class: on ? "sd-cell sd-on" : "sd-cell", x: 1.5, y: 1.5, width: side - 3, height: tall - 3, rx: 3,
          "fill-opacity": v ? 0.06 + 0.5 * strength : 0 }));
        g.append(svgElement("text", { x: side / 2, y: tall / 2 + 4.5, "text-anchor": "middle" }, v.toLocaleString("en")));
        svg.append(g);
        items.push(g);
      });
    });
    roveKeys(items, n, Math.max(0, items.findIndex((g) => g.dataset.key === String(chosen))), (i) => this.pick(items[i].dataset.key.split(",")));
    this.place.replaceChildren(svg);
    if (had !== null) items.find((g) => g.dataset.key === had)?.focus();
    this.foot.textContent = short ? looks.map((l) => (l.label.startsWith(l.key) ? l.label : `${l.key}: ${l.label}`)).join(", ") : "";
  }
}

// --- a range to brush

function chartFloats(view, kind) {
  return new kind(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

export class RangeView extends ChartFrame {
  constructor(el, { onRange, onKind, onPoint }) {
    super(el, "range");
    Object.assign(this, { onRange, onKind, onPoint, state: null, range: [0, 1] });
    this.select = document.createElement("select");
    this.select.ariaLabel = "drawn as";
    this.select.addEventListener("change", () => { this.state.kind = this.select.value; this.draw(); onKind(this.select.value); });
    this.clear = chartElement("button", "", "whole range");
    this.clear.type = "button";
    this.clear.addEventListener("click", () => this.move(this.state.chart.limits, true));
    this.head.append(this.select, this.clear);
    this.said = chartElement("div", "sd-chart-said");
    this.said.setAttribute("role", "status");
    this.legend = chartElement("div");
    this.foot.append(this.said, this.legend);
    this.plot = chartElement("div", "sd-plot");
    this.canvas = document.createElement("canvas");
    this.svg = svgElement("svg", { "aria-hidden": "true" });
    this.tip = chartElement("div", "sd-tip");
    this.tip.hidden = true;
    this.handles = [0, 1].map((i) => this.makeHandle(i));
    this.veils = [0, 1].map(() => chartElement("div", "sd-veil"));
    this.over = svgElement("svg", { "aria-hidden": "true" });  // names of ridges, above the veils
    this.plot.append(this.canvas, this.svg, ...this.veils, this.over, ...this.handles, this.tip);
    this.place.append(this.plot);
    this.root.rangeView = this;
    this.brush();
  }

  set({ chart, kind, range }) {
    if (chart && chart !== this.state?.chart) {
      this.x = chartFloats(chart.x, Float64Array);
      this.y = chart.y ? chartFloats(chart.y, Float32Array) : null;
      this.series = chartFloats(chart.series, Uint8Array);
    }
    this.state = { chart: chart ?? this.state.chart, kind: kind ?? this.state.kind };
    this.range = range ?? this.range;
    this.draw();
  }

  get steps() { // 100 of them from end to end, equal in the scale that is drawn
    const { limits, log } = this.state.chart;
    return chartScale(limits[0], limits[1], 0, 100, log);
  }

  snap(v) {
    const { limits, log } = this.state.chart, scale = this.steps, n = Math.round(scale.at(Math.min(limits[1], Math.max(limits[0],
      log ? Math.max(v, limits[0]) : v))));
    return n <= 0 ? limits[0] : n >= 100 ? limits[1] : Number(scale.from(n).toPrecision(6));
  }

  move(range, final) {
    this.range = range[0] <= range[1] ? [...range] : [range[1], range[0]];
    this.follow();
    clearTimeout(this.later);
    if (final === "soon") this.later = setTimeout(() => this.onRange(this.range), 200);
    else if (final) this.onRange(this.range);
  }

  makeHandle(i) {
    const handle = chartElement("div", "sd-handle");
    Object.assign(handle, { tabIndex: 0, role: "slider", ariaLabel: i ? "to" : "from" });
    handle.addEventListener("keydown", (e) => {
      const many = e.shiftKey ? 10 : 1, moves = { ArrowLeft: -many, ArrowDown: -many, ArrowRight: many, ArrowUp: many, PageDown: -10, PageUp: 10,
        Home: -100, End: 100 };
      if (e.key === "Escape") this.move(this.state.chart.limits, true);
      else if (moves[e.key]) {
        const scale = this.steps, n = Math.min(100, Math.max(0, Math.round(scale.at(this.range[i])) + moves[e.key])), to = [...this.range];
        to[i] = this.snap(scale.from(n));
        if (i ? to[1] < to[0] : to[0] > to[1]) to[i] = to[1 - i];
        this.move(to, "soon");
      } else return;
      e.preventDefault();
    });
    return handle;
  }

  brush() {
    let start = null;
    const value = (e) => this.scaleX.from(Math.min(this.right, Math.max(this.left, e.clientX - this.plot.getBoundingClientRect().left)));
    this.plot.addEventListener("pointerdown", (e) => {
      if (e.button) return;
      const v = value(e), px = this.scaleX.at(v), [a, b] = this.range.map(this.scaleX.at), [lo, hi] = this.state.chart.limits;
      const whole = this.range[0] <= lo && this.range[1] >= hi,
        near = Math.abs(px - a) < Math.abs(px - b) || (Math.abs(px - a) === Math.abs(px - b) && px < a) ? 0 : 1;
      const grip = Math.abs(px - [a, b][near]) <= 10 ? near : -1;
      start = { x: e.clientX, v, range: [...this.range], grip, inside: !whole && grip < 0 && px > a && px < b, moved: false };
      this.plot.setPointerCapture(e.pointerId);
      if (grip >= 0) this.handles[grip].focus({ preventScroll: true });
      this.tip.hidden = true;
    });
    this.plot.addEventListener("pointermove", (e) => {
      if (!start) return this.hover(e);
      if (!start.moved && Math.abs(e.clientX - start.x) < 4) return;
      start.moved = true;
      const v = value(e), r = [...start.range];
      if (start.grip >= 0) { r[start.grip] = this.snap(v); this.move(r, false); }
      else if (start.inside) {
        const s = this.steps, by = Math.min(100 - s.at(r[1]), Math.max(-s.at(r[0]), s.at(v) - s.at(start.v)));
        this.move(r.map((o) => this.snap(s.from(s.at(o) + by))), false);
      } else this.move([this.snap(start.v), this.snap(v)], false);
    });
    const stop = (e) => {
      if (!start) return;
      if (start.moved) this.move(this.range, true);
      else if (e.type === "pointerup" && start.grip < 0) this.touch(e);
      start = null;
    };
    this.plot.addEventListener("pointerup", stop);
    this.plot.addEventListener("pointercancel", stop);
    this.plot.addEventListener("pointerleave", () => { this.tip.hidden = true; });
    this.plot.addEventListener("dblclick", () => this.move(this.state.chart.limits, true));
  }

  // A touch without a drag: the bin under it, or the point nearest to it.
  touch(e) {
    const hit = this.under(e);
    if (hit?.edges) this.move(hit.edges, true);
    else if (hit) this.onPoint(hit.point);
  }

  under(e) {
    const box = this.plot.getBoundingClientRect(), px = e.clientX - box.left, py = e.clientY - box.top;
    if (px < this.left || px > this.right) return null;
    if (!this.y) {
      const v = this.scaleX.from(px);
      let b = this.edges.findIndex((edge, i) => i > 0 && v <= edge) - 1;
      if (b < 0) b = this.edges.length - 2;
      return { bin: b, edges: [this.edges[b], this.edges[b + 1]] };
    }
    let best = 15 ** 2, point = -1;
    for (let i = 0; i < this.px.length; i++) {
      const d = (this.px[i] - px) ** 2 + (this.py[i] - py) ** 2;
      if (d < best) { best = d; point = i; }
    }
    return point < 0 ? null : { point };
  }

  hover(e) {
    const hit = this.state && this.x.length && e.pointerType !== "touch" ? this.under(e) : null, { looks, x_label: xl,
      y_label: yl } = this.state.chart;
    this.tip.hidden = !hit;
    if (!hit) return;
    const parts = hit.edges ? looks.map((l, s) => [l.label, this.counts[s][hit.bin]]).filter(([, n]) => n).map(([l,
      n]) => `${l} ${writeNumber(n)}`) : [];
    this.tip.textContent = hit.edges ? `${writeNumber(hit.edges[0])} to ${writeNumber(hit.edges[1])}: ${parts.join(", ") || "none"}`
      : `${looks[this.series[hit.point]].label}: ${xl} ${writeNumber(this.x[hit.point])}, ${yl} ${writeNumber(this.y[hit.point])}`;
    const box = this.plot.getBoundingClientRect(), px = e.clientX - box.left;
    this.tip.style.left = px > box.width / 2 ? "auto" : `${px + 14}px`;
    this.tip.style.right = px > box.width / 2 ? `${box.width - px + 14}px` : "auto";
    this.tip.style.top = `${Math.max(0, e.clientY - box.top - 34)}px`;
  }

  draw() {
    if (!this.state?.chart) return;
    const { chart, kind } = this.state, width = this.width, ridges = kind === "ridges" && !this.y;
    const height = (this.height = ridges ? 46 + 58 * Math.max(chart.looks.length, 1) : this.y ? 340 : 260);
    const ends = this.y ? (chart.y_log ? logTicks(...chart.y_limits) : chartTicks(...chart.y_limits, 5)) : [], room = Math.max(3,
      ...ends.map((v) => writeNumber(v).length));
    [this.left, this.right, this.top, this.bottom] = [ridges ? 10 : 30 + 8 * room, width - 16, 12, height - 40];
    this.title.textContent = chart.title;
    this.note.textContent = chart.note;
    this.select.replaceChildren(...["stacked", "ridges"].map((k) => Object.assign(chartElement("option", "",
      k === "stacked" ? "one histogram" : "a ridge each"), { value: k })));
    this.select.value = ridges ? "ridges" : "stacked";
    this.select.hidden = !!this.y || chart.looks.length < 2;
    this.plot.style.height = `${height}px`;
    for (const svg of [this.svg, this.over]) {
      svg.setAttribute("width", width);
      svg.setAttribute("height", height);
    }
    this.over.replaceChildren();
    this.scaleX = chartScale(chart.limits[0], chart.limits[1], this.left, this.right, chart.log);
    this.edges = binEdges(chart.limits[0], chart.limits[1], chart.bins, chart.log);
    this.defs = svgElement("defs");
    this.svg.replaceChildren(this.defs);
    this.canvas.hidden = !this.y;
    this.axisX();
    if (this.y) this.drawPoints();
    else this.drawBins(ridges);
    this.legend.replaceChildren(lookLegend(chart.looks, this.id, !!this.y));
    this.follow();
  }

  axisX() {
    const { chart } = this.state, few = Math.max(3, Math.floor((this.right - this.left) / 90));
    const ticks = chart.log ? logTicks(...chart.limits) : chartTicks(...chart.limits, few);
    this.svg.append(svgElement("path", { class: "sd-axis", d: `M${this.left},${this.bottom}H${this.right}` }));
    for (const t of ticks) {
      const x = this.scaleX.at(t);
      this.svg.append(svgElement("path", { class: "sd-axis", d: `M${x},${this.bottom}v5` }));
      this.svg.append(svgElement("text", { x, y: this.bottom + 18, "text-anchor": x > this.right - 14 ? "end" : "middle" }, writeNumber(t)));
    }
    this.svg.append(svgElement("text", { x: (this.left + this.right) / 2, y: this.height - 5, "text-anchor": "middle" },
      chart.x_label+(chart.log ? " (log scale)" : "")));
  }

  axisY(scale, ticks, label) {
    for (const t of ticks) {
      const y = scale.at(t);
      this.svg.append(svgElement("path", { class: "sd-line", d: `M${this.left},${y}H${this.right}` }));
      this.svg.append(svgElement("text", { x: this.left - 6, y: y + 4, "text-anchor": "end" }, writeNumber(t)));
    }
    const middle = (this.top + this.bottom) / 2;
    this.svg.append(svgElement("text", { transform: `translate(12,${middle}) rotate(-90)`, "text-anchor": "middle" }, label));
  }

  drawBins(ridges) {
    const { looks, y_label: label } = this.state.chart, n = this.edges.length - 1, rows = ridges ? looks.length : 1;
    this.counts = binCounts(this.x, this.series, looks.length, this.edges, this.state.chart.log);
    const sums = Array.from({ length: n }, (_, b) => this.counts.reduce((s, c) => s + c[b], 0));
    const fills = looks.map((look, i) => patternFill(this.defs, `${this.id}-h${i}`, look)), each = (this.bottom - this.top) / Math.max(rows, 1);
    const scales = looks.map((_, i) => (ridges ? chartScale(0, Math.max(1, ...this.counts[i]), this.top + each * (i + 1), this.top + each * i + 15)
      : chartScale(0, Math.max(1, ...sums), this.bottom, this.top)));
    if (!ridges && looks.length) this.axisY(scales[0], chartTicks(0, Math.max(1, ...sums), 5).filter(Number.isInteger), label);
    const base = new Float64Array(n);
    looks.forEach((look, i) => {
      for (let b = 0; b < n; b++) {
        const c = this.counts[i][b], low = ridges ? 0 : base[b];
        if (!c) continue;
        const x0 = this.scaleX.at(this.edges[b]), x1 = this.scaleX.at(this.edges[b + 1]), y1 = scales[i].at(low), y0 = scales[i].at(low + c);
        this.svg.append(svgElement("rect", { class: "sd-bar", x: x0 + 0.5, y: y0, width: Math.max(1, x1 - x0 - 1), height: Math.max(1, y1 - y0),
          fill: fills[i], stroke: "var(--sd-fg)" }));
        base[b] += c;
      }
      if (!ridges) return;
      const total = this.counts[i].reduce((s, c) => s + c, 0);
      this.svg.append(svgElement("path", { class: "sd-axis", d: `M${this.left},${scales[i].at(0)}H${this.right}` }));
      this.over.append(svgElement("text", { class: "sd-over", x: this.left + 10, y: this.top + each * i + 12 },
        `${look.label}: ${writeNumber(total)}`));
    });
  }

  drawPoints() {
    const { chart } = this.state, ratio = window.devicePixelRatio || 1, [lo, hi] = chart.y_limits;
    const scale = chartScale(lo, hi, this.bottom - 6, this.top + 6, chart.y_log);
    this.axisY(scale, chart.y_log ? logTicks(lo, hi) : chartTicks(lo, hi, 5), chart.y_label+(chart.y_log ? " (log scale)" : ""));
    this.canvas.width = Math.round(this.width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.canvas.style.cssText = `width:${this.width}px;height:${this.height}px`;
    const r = this.x.length > 5000 ? 3 : this.x.length > 800 ? 4 : 5, pen = this.canvas.getContext("2d"), side = Math.ceil((2 * r + 4) * ratio);
    const stamps = chart.looks.map((look) => {
      const stamp = Object.assign(document.createElement("canvas"), { width: side, height: side }), p = stamp.getContext("2d"),
        path = new Path2D(markerPath(look.marker, r));
      p.setTransform(ratio, 0, 0, ratio, side / 2, side / 2);
      p.globalAlpha = this.x.length > 5000 ? 0.6 : 0.85;
      p.fillStyle = lookColor(look);
      p.fill(path);
      p.strokeStyle = CHART_EDGE;
      p.lineWidth = r > 3 ? 0.9 : 0.6;
      p.stroke(path);
      return stamp;
    });
    this.px = new Float32Array(this.x.length);
    this.py = new Float32Array(this.x.length);
    for (let i = 0; i < this.x.length; i++) {
      this.px[i] = this.scaleX.at(this.x[i]);
      this.py[i] = scale.at(this.y[i]);
      pen.drawImage(stamps[this.series[i]], Math.round(this.px[i] * ratio - side / 2), Math.round(this.py[i] * ratio - side / 2));
    }
  }

  // Veils, handles and words follow the range; the picture below stays as it is.
  follow() {
    if (!this.scaleX) return;
    const { chart } = this.state, [a, b] = this.range.map((v) => this.scaleX.at(Math.min(chart.limits[1], Math.max(chart.limits[0], v)))),
      high = this.bottom - this.top;
    const out = this.y ? 7 : 0, spans = [[this.left - out, a], [b, this.right + out]];
    this.veils.forEach((veil, i) => {
      const [from, to] = spans[i];
      veil.style.cssText = `left:${from}px;width:${to - from > out ? to - from : 0}px;top:${this.top}px;height:${high}px`;
    });
    this.handles.forEach((handle, i) => {
      handle.style.cssText = `left:${[a, b][i] - 14}px;top:${this.top}px;height:${high}px`;
      const names = { ariaValueMin: chart.limits[0], ariaValueMax: chart.limits[1], ariaValueNow: this.range[i],
        ariaValueText: `${chart.x_label} ${i ? "to" : "from"} ${writeNumber(this.range[i])}` };
      for (const [k, v] of Object.entries(names)) handle[k] = String(v);
    });
    const inside = countInside(this.x, this.series, chart.looks.length, ...this.range), many = inside.reduce((s, n) => s + n, 0);
    const each = chart.looks.map((l, i) => [l.label, inside[i]]).filter(([, n]) => n).map(([l, n]) => `${l} ${writeNumber(n)}`).join(", ");
    const whole = this.range[0] <= chart.limits[0] && this.range[1] >= chart.limits[1];
    this.clear.disabled = whole;
    const ends = this.range.map(writeNumber).join(" to "), share = `${writeNumber(many)} of ${writeNumber(this.x.length)}`;
    this.said.textContent = `${chart.x_label} ${ends}: ${share} ${chart.what}`+(each && chart.looks.length > 1 ? ` (${each})` : "");
  }
}
