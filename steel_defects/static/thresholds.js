// A whole validation set under one decision: Dice of each class at every threshold, escapes, overkill, and the strips behind them.
import { inflate, patternPlane } from "./decide.js";
import { StripView } from "./viewer.js";

// ---- Numbers. Pure, in a browser and in node alike; equal to the Python module `sweep`: tests/test_thresholds.py.

// Unpack what Python's `sweep_data` packed.
export async function readSweep(data) {
  const read = async (name, Kind) => new Kind((await inflate(data[name])).slice().buffer);
  const { ids, areas, classes: C, factors, best } = data, N = ids.length;
  const s = { ids, areas, C, N, best, dice: await read("dice", Float32Array), low: await read("low", Float32Array), high: await read("high", Float32Array),
              scores: await read("scores", Int16Array), peaks: await read("peaks", Uint8Array), defective: await read("defective", Uint8Array),
              groups: await read("groups", Int32Array), bearing: await read("bearing", Int32Array), curves: await read("curves", Uint8Array) };
  s.groupCount = s.groups.reduce((a, g) => Math.max(a, g + 1), 0);
  s.borne = new Int32Array(C);   // images that bear each class
  for (let m = 0; m < s.bearing.length; m += 2) s.borne[s.bearing[m + 1]]++;
  s.sides = [1, 0].map((side) => {   // of the defective and of the good images: how many, in which groups
    const sizes = new Float64Array(s.groupCount);
    let n = 0;
    for (let i = 0; i < N; i++) if (s.defective[i] === side) { sizes[s.groups[i]]++; n++; }
    return { side, n, sizes, groups: sizes.filter((g) => g > 0).length, factor: factors[1 - side] };
  });
  return s;
}

const areaPlace = (s, area) => s.areas.indexOf(area);
const curveOf = (s, values, c, area) => values.subarray((c * s.areas.length + area) * 256, (c * s.areas.length + area + 1) * 256);
const scoresOf = (s, c, d) => { const at = (c * s.areas.length + areaPlace(s, d.min_areas[c])) * s.N; return s.scores.subarray(at, at + s.N); };

// First and last k of the run around the best that stays within 1 % of it; the widest where several are best.
export function plateauOf(curve, within = 0.01) {
  const best = curve.reduce((a, b) => Math.max(a, b), -Infinity), level = best * (1 - within);
  let run = [0, -1];
  for (let k = 0; k < curve.length; k++) {
    if (!(curve[k] >= level)) continue;
    let last = k, holds = false;
    for (; last < curve.length && curve[last] >= level; last++) holds ||= curve[last] === best;
    if (holds && last - 1 - k > run[1] - run[0]) run = [k, last - 1];
    k = last;
  }
  return run;
}

// In how many classes each image has a region that is found.
export function firingIn(s, d) {
  const out = new Uint8Array(s.N);
  for (let c = 0; c < s.C; c++) {
    const row = scoresOf(s, c, d), k = d.thresholds[c];
    for (let i = 0; i < s.N; i++) out[i] += row[i] >= k ? 1 : 0;
  }
  return out;
}

// Which images a decision rejects.
export function rejectedBy(s, d, firing = firingIn(s, d)) {
  const out = new Uint8Array(s.N);
  for (let i = 0; i < s.N; i++) out[i] = firing[i] && s.peaks[i] >= d.gate ? 1 : 0;
  return out;
}

function logGamma(x) {
  const g = [676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7];
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x);
  const t = x + 6.5;
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(g.reduce((sum, v, i) => sum + v / (x + i), 0.99999999999980993));
}

// Share of a beta distribution below x (its continued fraction).
export function betaBelow(x, a, b) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - betaBelow(1 - x, b, a);
  const tiny = 1e-300, safe = (v) => (Math.abs(v) < tiny ? tiny : v);
  let c = 1, d = 1 / safe(1 - ((a + b) * x) / (a + 1)), h = d;
  for (let m = 1; m < 5000; m++) {
    let step = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / safe(1 + step * d); c = safe(1 + step / c); h *= d * c;
    step = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / safe(1 + step * d); c = safe(1 + step / c);
    h *= d * c;
    if (Math.abs(d * c - 1) < 1e-12) break;
  }
  return (h * Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x))) / a;
}

export function betaQuantile(p, a, b) {
  let low = 0, high = 1;
  for (let n = 0; n < 50; n++) { const middle = (low + high) / 2; if (betaBelow(middle, a, b) < p) low = middle; else high = middle; }
  return (low + high) / 2;
}

// A share of images with its 95 % interval; as Python's `share_interval`.
export function shareOf(s, { n, sizes, groups, factor }, happened, images) {
  if (!n) return { images: 0, of: 0, rate: null, low: null, high: null, groups: 0 };
  const rate = images / n;
  let spread = 0;
  for (let g = 0; g < s.groupCount; g++) if (sizes[g]) spread += (happened[g] - rate * sizes[g]) ** 2;
  const trials = spread > 1e-12 ? Math.min(n, (rate * (1 - rate) * n * n) / spread) * factor : groups, x = rate * trials;
  return { images, of: n, rate, groups, low: rate > 0 ? betaQuantile(0.025, x, trials - x + 1) : 0, high: rate < 1 ? betaQuantile(0.975, x + 1, trials - x) : 1 };
}

// Escapes and overkill of a decision.
export function screenImages(s, rejected) {
  const [escapes, overkill] = s.sides.map((side) => {
    const happened = new Float64Array(s.groupCount);
    let images = 0;
    for (let i = 0; i < s.N; i++) if (s.defective[i] === side.side && rejected[i] !== side.side) { happened[s.groups[i]]++; images++; }
    return shareOf(s, side, happened, images);
  });
  return { escapes, overkill };
}

// Escapes and overkill, in images, while the threshold of one class moves over 0..255.
export function tradeOff(s, d, c, firing = firingIn(s, d)) {
  const row = scoresOf(s, c, d), mine = d.thresholds[c], { peaks, defective } = s;
  const last = [new Int32Array(256), new Int32Array(256)], out = [new Int32Array(256), new Int32Array(256)];   // good, defective: how many are rejected up to k
  for (let i = 0; i < s.N; i++) {
    const k = firing[i] > (row[i] >= mine ? 1 : 0) ? 255 : row[i];   // another class fires too: rejected at any k
    if (k >= 0 && peaks[i] >= d.gate) last[defective[i]][k]++;
  }
  for (const side of [0, 1]) for (let k = 255, n = 0; k >= 0; k--) out[side][k] = n += last[side][k];
  return { escapes: out[1].map((n) => s.sides[0].n - n), overkill: out[0] };
}

// Dice of each image, the mean over its classes.
export function imageDice(s, d) {
  const sum = new Float32Array(s.N), A = s.areas.length, found = [];
  for (let c = 0; c < s.C; c++) {
    const row = scoresOf(s, c, d), here = found[c] = new Uint8Array(s.N), k = d.thresholds[c];
    for (let i = 0; i < s.N; i++) { here[i] = row[i] >= k && s.peaks[i] >= d.gate ? 1 : 0; sum[i] += 1 - here[i]; }
  }
  const places = d.min_areas.map((a) => areaPlace(s, a));
  for (let m = 0; m < s.bearing.length / 2; m++) {
    const i = s.bearing[2 * m], c = s.bearing[2 * m + 1];
    sum[i] += found[c][i] ? s.curves[(m * A + places[c]) * 256 + d.thresholds[c]] / 255 : -1;
  }
  return sum.map((v) => v / s.C);
}

// Places of the images of a list, in the order of the set.
export function listImages(s, rejected, which) {
  const wanted = { escapes: (i) => s.defective[i] && !rejected[i], overkill: (i) => !s.defective[i] && rejected[i], defective: (i) => s.defective[i], all: () => true }[which];
  const out = [];
  for (let i = 0; i < s.N; i++) if (wanted(i)) out.push(i);
  return out;
}

export const worstFirst = (places, scores) => places.sort((a, b) => scores[a] - scores[b] || a - b);

// The nearest minimum area that was tried, on the way from where it was to where it should go.
export function nearestArea(areas, wanted, from) {
  if (areas.includes(wanted)) return wanted;
  const above = areas.filter((a) => a > wanted), below = areas.filter((a) => a < wanted);
  return (wanted > from ? above[0] ?? below.at(-1) : below.at(-1) ?? above[0]);
}

// ---- The picture

const TS_DASHES = { solid: "none", dots: "2 2", diagonal: "7 3", horizontal: "8 3 2 3", grid: "12 3", "back-diagonal": "12 3 2 3 2 3" };
const TS_LISTS = { escapes: "escapes: defective, passed", overkill: "overkill: good, rejected", defective: "defective, worst Dice first", all: "all, worst Dice first" };
const TS_FORM = { width: 300, height: 172, left: 30, right: 10, top: 8, bottom: 30 };
const TS_TRADE = { width: 400, height: 260, left: 46, right: 14, top: 10, bottom: 36 };
const TS_ROWS = 200;   // most rows of a list
const tsX = (form, share) => form.left + share * (form.width - form.left - form.right);
const tsY = (form, share) => form.height - form.bottom - share * (form.height - form.top - form.bottom);
const tsPercent = (v) => `${(100 * v).toFixed(1)} %`;
const tsCount = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

function tsPart(name, properties = {}, ...inner) {
  const el = document.createElement(name), { cls, role, label, ...plain } = properties;
  Object.assign(el, plain);
  if (cls) el.className = cls;
  if (role) el.setAttribute("role", role);
  if (label) el.setAttribute("aria-label", label);
  el.append(...inner);
  return el;
}

function tsSvg(name, attributes = {}, ...inner) {
  const el = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) el.setAttribute(key, value);
  el.append(...inner);
  return el;
}

const tsSay = (el, text) => { if (el.textContent !== text) el.textContent = text; };

// A small field in the colour and pattern of a class.
function tsSwatch({ color, pattern }) {
  const canvas = tsPart("canvas", { cls: "sd-ts-swatch", width: 32, height: 16 }), pen = canvas.getContext("2d"), plane = patternPlane(pattern, 16, 32, 8);
  canvas.setAttribute("aria-hidden", "true");
  pen.fillStyle = `rgb(${color.map((v) => Math.round(v * 0.45)).join(",")})`;
  pen.fillRect(0, 0, 32, 16);
  pen.fillStyle = `rgb(${color.join(",")})`;
  plane.forEach((on, i) => { if (on) pen.fillRect(i % 32, Math.floor(i / 32), 1, 1); });
  return canvas;
}

// Axes of a picture: lines, numbers, names.
function tsAxes(form, { x, y, xName, yName }) {
  const g = tsSvg("g", { class: "sd-ts-axes" }), [x0, x1, y0, y1] = [tsX(form, 0), tsX(form, 1), tsY(form, 0), tsY(form, 1)];
  for (const [share, text] of y) g.append(tsSvg("line", { x1: x0, x2: x1, y1: tsY(form, share), y2: tsY(form, share) }), tsSvg("text", { x: x0 - 4, y: tsY(form, share) + 3.5, "text-anchor": "end" }, text));
  for (const [share, text] of x) g.append(tsSvg("line", { x1: tsX(form, share), x2: tsX(form, share), y1: y0, y2: y0 + 3 }), tsSvg("text", { x: tsX(form, share), y: y0 + 13, "text-anchor": "middle" }, text));
  g.append(tsSvg("text", { x: (x0 + x1) / 2, y: form.height - 4, "text-anchor": "middle" }, xName));
  if (yName) g.append(tsSvg("text", { transform: `translate(10,${(y0 + y1) / 2}) rotate(-90)`, "text-anchor": "middle" }, yName));
  return g;
}

const tsTenth = (v) => Math.round(v * 10) / 10;
const tsPath = (form, xs, ys) => xs.map((x, i) => `${i ? "L" : "M"}${tsTenth(tsX(form, x))},${tsTenth(tsY(form, ys[i]))}`).join("");
const TS_KS = Array.from({ length: 256 }, (_, k) => k / 255);
const TS_MARK = "M0,-6 L6,0 L0,6 L-6,0 Z";

// The card of one class: chart, marker, sliders, numbers.
class ClassCard {
  constructor(s, c, about, act) {
    Object.assign(this, { s, c, about, act, area: -1 });
    const form = TS_FORM, name = about.label, colour = `rgb(${about.color.join(",")})`, dash = TS_DASHES[about.pattern] ?? "none";
    this.flat = tsSvg("rect", { class: "sd-ts-flat", y: form.top, height: form.height - form.top - form.bottom });
    this.band = tsSvg("path", { class: "sd-ts-band", fill: colour });
    this.edge = tsSvg("path", { class: "sd-ts-edge", "stroke-dasharray": dash });
    this.line = tsSvg("path", { class: "sd-ts-line", stroke: colour, "stroke-dasharray": dash });
    this.rule = tsSvg("line", { class: "sd-ts-rule", y1: form.top, y2: form.height - form.bottom });
    this.mark = tsSvg("path", { class: "sd-ts-mark", d: TS_MARK, fill: colour });
    const faint = tsSvg("g", { class: "sd-ts-faint" }, ...s.areas.map((_, a) => tsSvg("path", { d: tsPath(form, TS_KS, curveOf(s, s.dice, c, a)) })));
    const axes = tsAxes(form, { x: [0, 64, 128, 192, 255].map((k) => [k / 255, k]), y: [0, 0.25, 0.5, 0.75, 1].map((v) => [v, v]), xName: "threshold k (p = k/255)" });
    this.chart = tsSvg("svg", { viewBox: `0 0 ${form.width} ${form.height}`, role: "img", class: "sd-ts-chart" }, this.flat, axes, faint, this.band, this.edge, this.line, this.rule, this.mark);
    this.slider = tsPart("input", { type: "range", min: 0, max: 255, step: 1, label: `threshold of ${name}` });
    this.slider.oninput = () => act(c, { k: Number(this.slider.value) });
    this.select = tsPart("select", { label: `minimum area of ${name} in pixels` }, ...s.areas.map((a) => tsPart("option", { value: a, textContent: a ? `${a} px` : "none" })));
    this.select.onchange = () => act(c, { area: Number(this.select.value) });
    this.kText = tsPart("span", { cls: "sd-ts-k" });
    this.words = tsPart("div", { cls: "sd-ts-words" });
    const head = tsPart("div", { cls: "sd-ts-name" }, tsSwatch(about), name), never = s.borne[c] ? "" : "No image of this set bears this class: Dice is 1 where nothing is found, so only false alarms count.";
    this.root = tsPart("section", { cls: "sd-ts-card", label: name }, head, this.chart, tsPart("div", { cls: "sd-ts-row" }, this.slider, this.kText),
      tsPart("label", { cls: "sd-ts-row" }, "minimum area", this.select), this.words, tsPart("div", { cls: "sd-note", textContent: never }));
    this.root.title = about.words ?? "";
    this.listen();
  }

  listen() {
    const move = (e) => {
      const box = this.chart.getBoundingClientRect(), form = TS_FORM, x = ((e.clientX - box.left) / box.width) * form.width;
      this.act(this.c, { k: Math.min(255, Math.max(0, Math.round(((x - form.left) / (form.width - form.left - form.right)) * 255))) });
    };
    this.chart.onpointerdown = (e) => { if (e.button === 0) { this.chart.setPointerCapture(e.pointerId); move(e); } };
    this.chart.onpointermove = (e) => { if (this.chart.hasPointerCapture(e.pointerId)) move(e); };
  }

  draw(k, area) {
    if (k === this.shown?.[0] && area === this.shown[1]) return;
    this.shown = [k, area];
    const { s, c } = this, form = TS_FORM, a = areaPlace(s, area), curve = curveOf(s, s.dice, c, a), low = curveOf(s, s.low, c, a), high = curveOf(s, s.high, c, a);
    if (a !== this.area) {
      this.area = a;
      const d = tsPath(form, TS_KS, curve), around = [...TS_KS, ...[...TS_KS].reverse()], ends = [...high, ...[...low].reverse()];
      this.line.setAttribute("d", d);
      this.edge.setAttribute("d", d);
      this.band.setAttribute("d", Number.isNaN(low[0]) ? "" : `${tsPath(form, around, ends)}Z`);
      this.plateau = plateauOf(curve);
      const [x0, x1] = [this.plateau[0] - 0.5, this.plateau[1] + 0.5].map((v) => tsX(form, Math.min(1, Math.max(0, v / 255))));
      this.flat.setAttribute("x", x0);
      this.flat.setAttribute("width", Math.max(1, x1 - x0));
      this.select.value = area;
    }
    const x = tsX(form, k / 255), [first, last] = this.plateau, ends = Number.isNaN(low[k]) ? "[no interval: one group]" : `[${low[k].toFixed(2)}, ${high[k].toFixed(2)}]`;
    this.rule.setAttribute("x1", x);
    this.rule.setAttribute("x2", x);
    this.mark.setAttribute("transform", `translate(${x.toFixed(1)},${tsY(form, curve[k]).toFixed(1)})`);
    if (Number(this.slider.value) !== k) this.slider.value = k;
    this.slider.setAttribute("aria-valuetext", `k ${k}, Dice ${curve[k].toFixed(3)}`);
    tsSay(this.kText, `k ${k} · p ≥ ${(k / 255).toFixed(3)}`);
    const where = k < first ? "below the plateau" : k > last ? "above the plateau" : "on the plateau";
    tsSay(this.words, `Dice ${curve[k].toFixed(3)} ${ends}. k is ${where}, ${first} to ${last} (${tsCount(last - first + 1, "threshold")}).`);
    this.chart.setAttribute("aria-label", `Mean Dice of ${this.about.label} against threshold k at minimum area ${area}. ${this.words.textContent}`);
  }
}

// Escapes against overkill, one curve for each class whose threshold moves.
class TradePicture {
  constructor(s, classes, onScale) {
    Object.assign(this, { s, classes, full: 0, active: -1, drawn: [] });
    this.axes = tsSvg("g");
    this.curves = classes.map((about) => {
      const dash = { "stroke-dasharray": TS_DASHES[about.pattern] ?? "none" };
      return [tsSvg("path", { class: "sd-ts-edge", ...dash }), tsSvg("path", { class: "sd-ts-line", stroke: `rgb(${about.color.join(",")})`, ...dash })];
    });
    this.order = tsSvg("g", {}, ...this.curves.flat());
    this.cross = tsSvg("path", { class: "sd-ts-cross" });
    this.mark = tsSvg("path", { class: "sd-ts-mark", d: TS_MARK, fill: "var(--sd-bg)" });
    this.svg = tsSvg("svg", { viewBox: `0 0 ${TS_TRADE.width} ${TS_TRADE.height}`, role: "img", class: "sd-ts-trade" }, this.axes, this.order, this.cross, this.mark);
    this.box = tsPart("input", { type: "checkbox" });
    this.box.onchange = onScale;
    this.root = tsPart("div", {}, this.svg, tsPart("label", {}, this.box, "zoom to 25 %"));
  }

  // Axes and the order of the curves, the active one on top; they change seldom.
  arrange(full, active) {
    if (full !== this.full) {
      const ticks = [0, 0.25, 0.5, 0.75, 1].map((v) => [v, `${Math.round(10000 * v * full) / 100}`]);
      this.axes.replaceChildren(tsAxes(TS_TRADE, { x: ticks, y: ticks, xName: "overkill: % of the good images", yName: "escapes: % of the defective" }));
      this.drawn = [];
    }
    if (active !== this.active) {
      this.curves.forEach((pair, c) => pair.forEach((path) => path.classList.toggle("sd-ts-on", c === active)));
      this.order.append(...this.curves[active]);
    }
    Object.assign(this, { full, active });
  }

  // The path of one class: steps, along one axis, then along the other.
  path({ escapes, overkill }, good, bad) {
    const form = TS_TRADE, clip = (v) => Math.min(v / this.full, 1.02), parts = [];
    for (let k = 0, x0 = -1, y0 = -1; k < 256; k++) {
      const x = tsTenth(tsX(form, clip(overkill[k] / good))), y = tsTenth(tsY(form, clip(escapes[k] / bad)));
      if (x === x0 && y === y0) continue;
      parts.push(parts.length ? `V${y}H${x}` : `M${x},${y}`);
      x0 = x; y0 = y;
    }
    return parts.join("");
  }

  draw(d, active, { escapes, overkill }, firing) {
    const form = TS_TRADE, full = this.box.checked ? 0.25 : 1;
    this.arrange(full, active);
    this.curves.forEach((pair, c) => {
      const path = this.path(tradeOff(this.s, d, c, firing), overkill.of, escapes.of);
      if (path !== this.drawn[c]) for (const el of pair) el.setAttribute("d", path);
      this.drawn[c] = path;
    });
    const [x, y] = [overkill.rate, escapes.rate].map((v) => Math.min(v / full, 1)), [px, py] = [tsX(form, x), tsY(form, y)];
    const ends = ({ low, high }, place) => [low, high].map((v) => place(form, Math.min(v / full, 1)));
    const [xa, xb] = ends(overkill, tsX), [ya, yb] = ends(escapes, tsY);
    this.cross.setAttribute("d", `M${xa},${py}H${xb}M${px},${ya}V${yb}`);
    this.mark.setAttribute("transform", `translate(${px},${py})`);
    const said = `Escapes ${tsPercent(escapes.rate)} against overkill ${tsPercent(overkill.rate)}; the curves show where moving one threshold leads, the thick one that of ${this.classes[active].label}.`;
    this.svg.setAttribute("aria-label", said);
  }
}

// A list of images to open; arrow keys walk, Enter opens.
class ImageList {
  constructor(onOpen) {
    Object.assign(this, { onOpen, rows: [], at: 0 });
    this.root = tsPart("div", { cls: "sd-ts-list", role: "listbox", label: "images", tabIndex: 0 });
    this.root.onkeydown = (e) => {
      const to = { ArrowDown: this.at + 1, ArrowUp: this.at - 1, Home: 0, End: this.rows.length - 1, PageDown: this.at + 8, PageUp: this.at - 8 }[e.key];
      if (to !== undefined) this.go(to);
      else if (e.key === "Enter" || e.key === " ") this.onOpen(this.rows[this.at]?.id);
      else return;
      e.preventDefault();
      e.stopPropagation();
    };
  }

  go(to) {
    this.at = Math.min(Math.max(to, 0), Math.max(this.rows.length - 1, 0));
    [...this.root.children].forEach((el, n) => el.classList.toggle("sd-ts-at", n === this.at));
    const el = this.root.children[this.at];
    if (!el) return;
    this.root.setAttribute("aria-activedescendant", el.id);
    if (el.offsetTop < this.root.scrollTop || el.offsetTop + el.offsetHeight > this.root.scrollTop + this.root.clientHeight) this.root.scrollTop = el.offsetTop - 40;
  }

  draw(rows, chosen) {
    const kept = this.rows[this.at]?.id, prefix = this.prefix ??= `sd-ts-${Math.random().toString(36).slice(2, 8)}`;
    this.rows = rows;
    this.root.replaceChildren(...rows.map((row, n) => {
      const el = tsPart("div", { cls: `sd-ts-item${row.open ? "" : " sd-ts-shut"}`, role: "option", id: `${prefix}-${n}` },
        tsPart("span", { cls: "sd-ts-id", textContent: row.id }), tsPart("span", { textContent: row.outcome }), tsPart("span", { textContent: `Dice ${row.dice.toFixed(2)}` }));
      el.setAttribute("aria-selected", String(row.id === chosen));
      if (!row.open) el.setAttribute("aria-disabled", "true");
      el.onclick = () => { this.go(n); this.onOpen(row.id); };
      return el;
    }));
    const again = rows.findIndex((row) => row.id === kept);
    this.at = again < 0 ? 0 : again;
    this.root.children[this.at]?.classList.add("sd-ts-at");
    this.root.setAttribute("aria-activedescendant", rows.length ? `${prefix}-${this.at}` : "");
  }
}

export class ThresholdView {
  constructor(el, { onDecision = () => {}, onChosen = () => {}, onWant = () => {}, canAsk = false }) {
    Object.assign(this, { el, onDecision, onChosen, onWant, canAsk, cards: [], strips: {}, chosen: "", active: 0, frame: 0, resting: 0 });
    const button = (text, act) => tsPart("button", { type: "button", textContent: text, onclick: act });
    this.about = tsPart("p", { cls: "sd-ts-about" });
    this.note = tsPart("div", { cls: "sd-note" });
    this.best = button("best Dice", () => this.decide(this.s.best));
    this.reset = button("reset", () => this.decide(this.start));
    this.cardsBox = tsPart("div", { cls: "sd-ts-cards" });
    const number = () => tsPart("p", {}, tsPart("strong"), tsPart("span"));
    this.numbers = { escapes: number(), overkill: number() };
    this.said = tsPart("div", { cls: "sd-hidden" });
    this.said.setAttribute("aria-live", "polite");
    this.tradeBox = tsPart("div", {});
    this.which = tsPart("select", { label: "which images" });
    this.which.onchange = () => this.list();
    this.images = new ImageList((id) => this.open(id));
    this.more = tsPart("p", { cls: "sd-ts-about" });
    this.status = tsPart("p", { cls: "sd-ts-about", role: "status" });
    this.stripBox = tsPart("div", { hidden: true });
    const side = (label, ...inner) => tsPart("section", { label }, ...inner), title = (text) => tsPart("h3", { textContent: text });
    this.root = tsPart("div", { cls: "sd sd-thresholds" }, this.about, this.note, tsPart("div", { cls: "sd-ts-row" }, this.best, this.reset), this.cardsBox,
      tsPart("div", { cls: "sd-ts-below" }, side("escapes and overkill", title("Escapes and overkill of the whole decision"), this.numbers.escapes, this.numbers.overkill, this.tradeBox),
        side("images", title("Images"), this.which, this.images.root, this.more)), this.status, this.stripBox, this.said);
    this.root.setAttribute("data-lm-suppress-shortcuts", "true");
    this.root.thresholdView = this;
    el.append(this.root);
  }

  async setData({ sweep, classes, start, decision, note, strips }) {
    const s = this.s = await readSweep(sweep), [bad, good] = s.sides.map((side) => side.n);
    Object.assign(this, { classes, start, strips, decision: null, active: 0 });
    const groups = s.groupCount < s.N ? ` in ${tsCount(s.groupCount, "group")}` : "";
    tsSay(this.about, `${tsCount(s.N, "image")}${groups}: ${bad.toLocaleString("en")} defective, ${good.toLocaleString("en")} good. Curves: mean Dice per image, where a rightly empty class counts 1. `
      + "Bands and brackets: 95 % intervals. Grey: the plateau, within 1 % of the best; thin lines: other minimum areas. "
      + `A decision chosen on these images must not be reported on them.${note ? ` ${note}` : ""}`);
    this.cards = classes.map((about, c) => new ClassCard(s, c, about, (which, change) => this.change(which, change)));
    this.cardsBox.replaceChildren(...this.cards.map((card) => card.root));
    this.trade = bad && good ? new TradePicture(s, classes, () => this.request()) : null;
    this.tradeBox.replaceChildren(this.trade ? this.trade.root : tsPart("div", { cls: "sd-note", textContent: `A trade between escapes and overkill needs good and defective images: here are ${good} good and ${bad} defective.` }));
    this.setDecision(decision);
  }

  change(c, { k, area }) {
    const thresholds = [...this.decision.thresholds], min_areas = [...this.decision.min_areas];
    this.active = c;
    if (k !== undefined) thresholds[c] = k;
    if (area !== undefined) min_areas[c] = area;
    this.decide({ thresholds, min_areas });
  }

  decide(part) {
    this.setDecision({ ...this.decision, ...part });
    this.onDecision(this.decision);
  }

  // The strip below has areas between ours: go to the next one that was tried.
  follow(wanted) {
    const old = this.decision, min_areas = wanted.min_areas.map((a, c) => nearestArea(this.s.areas, a, old.min_areas[c]));
    const moved = wanted.thresholds.findIndex((k, c) => k !== old.thresholds[c] || min_areas[c] !== old.min_areas[c]);
    if (moved >= 0) this.active = moved;
    this.decide({ thresholds: [...wanted.thresholds], min_areas, gate: wanted.gate });
  }

  setDecision({ thresholds, min_areas, gate }) {
    if (!this.s) return;
    this.decision = { thresholds: [...thresholds], min_areas: [...min_areas], gate };
    this.strip?.setDecision(this.decision);
    this.request();
  }

  request() { this.frame ||= requestAnimationFrame(() => { this.frame = 0; this.draw(); }); }

  draw() {
    const d = this.decision;
    this.cards.forEach((card, c) => card.draw(d.thresholds[c], d.min_areas[c]));
    const firing = firingIn(this.s, d), seen = screenImages(this.s, rejectedBy(this.s, d, firing));
    for (const [name, kind, did] of [["escapes", "defective", "pass"], ["overkill", "good", "are rejected"]]) {
      const { images, of, rate, low, high } = seen[name], [count, rest] = this.numbers[name].children;
      tsSay(count, of ? `${name}: ${images.toLocaleString("en")} of ${of.toLocaleString("en")}` : name);
      tsSay(rest, of ? ` ${kind} images ${did}, ${tsPercent(rate)} [${tsPercent(low)}, ${tsPercent(high)}]` : `: no image of this set is ${kind}, so there is nothing to count.`);
    }
    tsSay(this.note, d.gate ? `A gate of ${d.gate} is set below: it acts on escapes, overkill and the list, while the Dice curves are drawn without it.` : "");
    this.trade?.draw(d, this.active, seen, firing);
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.rest(), 120);
  }

  // What can wait until the slider rests.
  rest() {
    tsSay(this.said, `${this.numbers.escapes.textContent}. ${this.numbers.overkill.textContent}.`);
    this.list();
  }

  canOpen(id) { return this.canAsk || id in this.strips; }

  list() {
    const s = this.s, rejected = rejectedBy(s, this.decision), scores = imageDice(s, this.decision), held = Object.keys(this.strips).length;
    const lists = Object.fromEntries(Object.keys(TS_LISTS).map((which) => [which, listImages(s, rejected, which)]));
    if (!this.canAsk && held && held < s.N) lists.here = lists.all.filter((i) => s.ids[i] in this.strips);
    const options = Object.entries(lists).map(([value, places]) => tsPart("option", { value, textContent: `${TS_LISTS[value] ?? "in this page"} (${places.length.toLocaleString("en")})` }));
    const kept = this.which.value || ["here", "escapes", "overkill", "all"].find((which) => lists[which]?.length);
    if (document.activeElement !== this.which || this.which.options.length !== options.length) this.which.replaceChildren(...options);
    this.which.value = kept;
    const places = worstFirst(lists[kept] ?? lists.all, scores), outcome = (i) => (s.defective[i] ? (rejected[i] ? "defective, rejected" : "escape") : rejected[i] ? "overkill" : "good, passed");
    this.images.draw(places.slice(0, TS_ROWS).map((i) => ({ id: s.ids[i], outcome: outcome(i), dice: scores[i], open: this.canOpen(s.ids[i]) })), this.chosen);
    const parts = [places.length > TS_ROWS && `The first ${TS_ROWS} of ${places.length.toLocaleString("en")}.`, !places.length && "No image under this decision.",
      !this.canAsk && (held ? held < s.N && `${held} of ${tsCount(s.N, "strip")} can be opened here: the others open where the notebook runs.` : "No strip can be opened: give the catalog and its probabilities.")];
    tsSay(this.more, parts.filter(Boolean).join(" "));
  }

  open(id) {
    if (id === undefined) return;
    if (id in this.strips) { this.show(this.strips[id]); this.onChosen(id); }
    else if (this.canAsk) { tsSay(this.status, `${id} is on its way.`); this.wanted = id; this.onWant(id); }
    else tsSay(this.status, `${id} is not kept in this page: open it where the notebook runs.`);
  }

  // A strip that was asked for has come; one that is no longer wanted is left.
  arrived(id, strip) { if (id === this.wanted) { this.wanted = ""; this.show(strip); this.onChosen(id); } }

  async show(strip) {
    this.chosen = strip.id;
    this.stripBox.hidden = false;
    this.strip ??= new StripView(this.stripBox, { onDecision: (d) => this.follow(d) });
    this.strip.setDecision(this.decision);
    tsSay(this.status, `Below: ${strip.id}.`);
    for (const el of this.images.root.children) el.setAttribute("aria-selected", String(el.firstChild.textContent === strip.id));
    await this.strip.setStrip(strip);
  }

  destroy() {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.resting);
    this.strip?.destroy();
    this.root.remove();
  }
}
