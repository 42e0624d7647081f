// One strip in a browser: views, zoom, switches, and a decision whose sliders answer at once. Everything is computed here; nobody is asked.
import { inflate, decodeRuns, emptyRuns, joinRuns, regionsAbove, areaAt, fillMask, fillRim, countPixels, diceOf, iouOf, patternPlane, packGrey, overlayTables, compareTables, paintOverlay, paintCompare } from "./decide.js";

const STRIP_VIEWS = { image: "original", truth: "truth", prediction: "prediction", compare: "found / missed / false" };
const STRIP_LAYOUTS = { one: "one view", pair: "two, one above the other", swipe: "two, with a border to drag" };
const AREA_STEPS = [0, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 8192];
const STRIP_HELP = "Drag or arrow keys: move. + and − or Ctrl and wheel or two fingers: zoom. 0: whole strip. 9: pixel by pixel. 1 to 4: original, truth, prediction, "
  + "found/missed/false. L: layout. S: second view. Shift and arrow keys: move the reading point (with Alt 10 pixels). [ and ]: move the border. Rows and columns count from 0.";

const clampTo = (value, low, high) => Math.min(Math.max(value, low), high);
const areaPosition = (area) => { const at = AREA_STEPS.findIndex((step) => step >= area); return at < 0 ? AREA_STEPS.length - 1 : at; };
const inWords = (number) => number.toLocaleString("en");

// An element with properties, and what stands in it.
function stripPart(name, properties = {}, ...inner) {
  const { role, label, cls, title, ...plain } = properties, el = document.createElement(name);
  Object.assign(el, plain);
  if (cls) el.className = cls;
  if (role) el.setAttribute("role", role);
  if (label) el.setAttribute("aria-label", label);
  if (title) el.title = title;
  el.append(...inner);
  return el;
}

function setText(el, text) { if (el.textContent !== text) el.textContent = text; }

export class StripView {
  constructor(el, { onDecision = () => {}, onState = () => {} } = {}) {
    Object.assign(this, { onDecision, onState, strip: null, layers: [], note: "", visit: 0, frame: 0, cost: [] });
    this.decision = { thresholds: [], min_areas: [], gate: 0 };
    this.state = { layout_mode: "one", view: "compare", second: "image", opacity: 0.5, contour: true, pattern: true, shown: [] };
    this.zoom = { scale: 0, x: 0, y: 0 };   // scale 0: the whole strip
    this.border = 0.5;                      // of the swipe, 0..1 of the width
    this.point = null;                      // what the read-out tells of: { row, column }
    this.dirty = new Set();                 // classes whose threshold or area has changed
    this.repaint = true;
    this.build(el);
    this.resize = new ResizeObserver(() => this.place());
    this.resize.observe(this.window);
  }

  destroy() {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.telling);
    this.resize.disconnect();
    this.root.remove();
  }

  // ---- What stands where

  build(el) {
    const part = stripPart;
    this.notes = part("div", { cls: "sd-notes" });
    this.canvases = [0, 1].map(() => part("canvas", { role: "img", label: "no strip yet", width: 1, height: 1 }));
    this.frames = this.canvases.map((canvas) => part("div", { cls: "sd-frame" }, canvas));
    this.names = this.frames.map(() => part("span", { cls: "sd-view-name" }));
    this.frames.forEach((frame, n) => frame.append(this.names[n]));
    this.handle = part("div", { cls: "sd-handle", role: "slider", label: "border between the two views", tabIndex: 0, hidden: true });
    this.cross = part("div", { cls: "sd-cross", hidden: true });
    this.window = part("div", { cls: "sd-window", tabIndex: 0, role: "group", label: "Strip. " + STRIP_HELP }, ...this.frames, this.handle, this.cross);
    this.readout = part("div", { cls: "sd-readout" });
    this.summary = part("div", { cls: "sd-hidden" });
    this.summary.setAttribute("aria-live", "polite");
    this.classes = part("div", { cls: "sd-classes", role: "group", label: "classes" });
    this.legend = part("div", { cls: "sd-legend" });
    this.root = part("div", { cls: "sd sd-strip" }, this.notes, this.buildToolbar(), this.window, this.readout, this.classes, this.buildGate(), this.legend, this.summary);
    this.root.setAttribute("data-lm-suppress-shortcuts", "true");
    this.root.stripView = this;
    el.append(this.root);
    this.listen();
  }

  buildToolbar() {
    const part = stripPart, button = (text, label, act) => part("button", { type: "button", textContent: text, label, title: label, onclick: act });
    const select = (label, options, name) => {
      const box = part("select", { label, title: label }, ...Object.entries(options).map(([value, text]) => part("option", { value, textContent: text })));
      box.onchange = () => this.choose({ [name]: box.value });
      return box;
    };
    const check = (text, name) => {
      const box = part("input", { type: "checkbox" });
      box.onchange = () => this.choose({ [name]: box.checked });
      this[name + "Box"] = box;
      return part("label", {}, box, text);
    };
    this.layoutBox = select("layout", STRIP_LAYOUTS, "layout_mode");
    this.viewBox = select("view", STRIP_VIEWS, "view");
    this.secondBox = select("second view", STRIP_VIEWS, "second");
    this.opacityBox = part("input", { type: "range", min: 0, max: 1, step: 0.01, label: "opacity of the colours" });
    this.opacityBox.oninput = () => this.choose({ opacity: Number(this.opacityBox.value) });
    this.zoomText = part("span", { cls: "sd-zoom" });
    const zooms = part("span", { cls: "sd-group" }, button("−", "zoom out", () => this.zoomBy(0.5)), button("+", "zoom in", () => this.zoomBy(2)),
      button("fit", "whole strip", () => this.fit()), button("1:1", "pixel by pixel", () => this.zoomTo(1)), this.zoomText);
    return part("div", { cls: "sd-toolbar" }, this.viewBox, this.layoutBox, this.secondBox, zooms, part("label", { cls: "sd-group" }, "opacity", this.opacityBox),
      check("contours", "contour"), check("patterns", "pattern"), part("details", { cls: "sd-help" }, part("summary", { textContent: "keys" }), part("p", { textContent: STRIP_HELP })));
  }

  buildGate() {
    this.gateBox = stripPart("input", { type: "range", min: 0, max: 255, step: 1, label: "gate: an image whose highest probability is lower stays empty" });
    this.gateBox.oninput = () => this.decide({ gate: Number(this.gateBox.value) });
    this.gateText = stripPart("span", { cls: "sd-gate-text" });
    this.gateRow = stripPart("label", { cls: "sd-gate", title: "An image whose highest stored probability is lower stays empty." }, "gate of the image", this.gateBox, this.gateText);
    return this.gateRow;
  }

  buildClasses(classes) {
    this.rowsOf = JSON.stringify(classes);
    this.rows = classes.map(() => ({}));
    this.classes.replaceChildren(...this.rows.map((row, c) => this.buildClass(row, classes[c], c)));
    this.rows.forEach((row, c) => Object.assign(this.layers[c], row));
  }

  // The row of one class: switch, sliders, scores.
  buildClass(layer, about, c) {
    const part = stripPart, name = about.label;
    layer.box = part("input", { type: "checkbox", checked: true, label: `show ${name}` });
    layer.box.onchange = () => this.choose({ shown: this.layers.map((l) => l.box.checked) });
    layer.swatch = part("canvas", { cls: "sd-swatch", width: 48, height: 24 });
    layer.swatch.setAttribute("aria-hidden", "true");
    layer.k = part("input", { type: "range", min: 0, max: 255, step: 1, label: `threshold of ${name}` });
    layer.k.oninput = () => this.decideClass("thresholds", c, Number(layer.k.value));
    layer.kText = part("span", { cls: "sd-k" });
    layer.area = part("input", { type: "range", min: 0, max: AREA_STEPS.length - 1, step: 1, label: `minimum area of ${name}, in steps` });
    layer.area.oninput = () => this.decideClass("min_areas", c, AREA_STEPS[Number(layer.area.value)]);
    layer.areaText = part("input", { type: "number", min: 0, step: 1, label: `minimum area of ${name} in pixels` });
    layer.areaText.onchange = () => this.decideClass("min_areas", c, Math.max(0, Math.round(Number(layer.areaText.value) || 0)));
    layer.score = part("div", { cls: "sd-score" });
    return part("div", { cls: "sd-class" }, part("label", { cls: "sd-name", title: about.words }, layer.box, layer.swatch, name),
      part("div", { cls: "sd-slider" }, part("span", { textContent: "threshold" }), layer.k, layer.kText),
      part("div", { cls: "sd-slider" }, part("span", { textContent: "min. area" }), layer.area, layer.areaText, "px"), layer.score);
  }

  // ---- A strip comes

  async setStrip(strip) {
    const visit = ++this.visit;
    let planes = null, image, masks, note = "";
    if (!strip || !strip.image) { this.clear("There is no strip to show yet."); return; }
    const { height, width, classes } = strip, size = height * width;
    try {
      image = await inflate(strip.image);
      if (image.length !== size) throw new Error(`the image has ${image.length} pixels, not ${size}`);
      if (strip.probabilities) planes = await inflate(strip.probabilities);
      masks = classes.map((_, c) => ["truth", "found"].map((side) => strip[side] && decodeRuns(strip[side][c], height, width)));
      if (planes && planes.length !== size * classes.length) { note = "The probabilities do not fit the strip and are left out."; planes = null; }
    } catch (e) {
      if (visit === this.visit) this.clear(`This strip cannot be shown (${e.message}): make it again with strip_data.`);
      return;
    }
    if (visit !== this.visit) return;   // another strip has been asked for meanwhile
    const resized = !this.strip || this.strip.height !== height || this.strip.width !== width;
    Object.assign(this, { strip, grey: image, base: packGrey(image), note, hasScale: Boolean(planes), hasTruth: Boolean(strip.truth), hasFound: Boolean(planes || strip.found), point: null });
    this.highest = planes ? planes.reduce((a, b) => (a > b ? a : b), 0) : 0;
    this.textures = new Map();
    const rows = JSON.stringify(classes) === this.rowsOf ? this.rows : null;   // sliders stay while a hand may hold them
    this.layers = classes.map((about, c) => Object.assign(this.makeLayer(about, c, planes, masks[c]), rows?.[c]));
    this.pictures = [0, 1].map(() => new Uint32Array(size));
    this.shownAs = this.pictures.map((p) => new ImageData(new Uint8ClampedArray(p.buffer), width, height));
    for (const canvas of this.canvases) Object.assign(canvas, { width, height });
    if (!rows) this.buildClasses(classes);
    if (resized) this.zoom = { scale: 0, x: 0, y: 0 };
    this.everything();
    this.tables();
    this.drawLegend();
    this.controls();
    setText(this.readout, "Point at the strip to read it.");
    this.flush();
    this.place();
    this.tell();
  }

  makeLayer(about, c, planes, [truth, found]) {
    const { height, width } = this.strip, size = height * width;
    const side = (mask) => ({ mask, runs: emptyRuns(), rim: new Uint8Array(size) });
    const layer = { about, plane: planes && planes.subarray(c * size, (c + 1) * size), found: side(new Uint8Array(size)), truth: side(truth || new Uint8Array(size)) };
    regionsAbove(layer.truth.mask, height, width, 1, 0, layer.truth.runs);
    fillRim(layer.truth.runs, layer.truth.mask, layer.truth.rim);
    layer.labelled = layer.truth.mask.reduce((a, b) => a + b, 0);
    if (!planes && found) {
      layer.given = found;
      layer.plane = found;
    }
    return layer;
  }

  texture(pattern, period) {
    const key = pattern + period;
    if (!this.textures.has(key)) this.textures.set(key, patternPlane(pattern, this.strip.height, this.strip.width, period));
    return this.textures.get(key);
  }

  clear(sentence) {
    Object.assign(this, { strip: null, layers: [], note: sentence, dirty: new Set(), rowsOf: "" });
    this.classes.replaceChildren();
    this.legend.replaceChildren();
    setText(this.readout, "");
    this.controls();
    for (const canvas of this.canvases) {
      Object.assign(canvas, { width: 1, height: 1 });
      canvas.setAttribute("aria-label", sentence);
    }
    this.place();
  }

  // ---- Decision and state

  setDecision({ thresholds, min_areas, gate }) {
    const old = this.decision, next = { thresholds: [...(thresholds ?? old.thresholds)], min_areas: [...(min_areas ?? old.min_areas)], gate: gate ?? old.gate };
    const changed = (c) => next.thresholds[c] !== old.thresholds[c] || next.min_areas[c] !== old.min_areas[c];
    this.layers.forEach((layer, c) => { if (next.gate !== old.gate || changed(c)) this.dirty.add(c); });
    this.decision = next;
    if (!this.strip) this.controls();
    this.request();
  }

  decide(part) {
    this.setDecision({ ...this.decision, ...part });
    this.onDecision(this.decision);
  }

  decideClass(name, c, value) {
    const values = [...this.decision[name]];
    values[c] = value;
    this.decide({ [name]: values });
  }

  setState(part) {
    const known = Object.fromEntries(Object.entries(part).filter(([name, value]) => name in this.state && value !== undefined && value !== this.state[name]));
    if (!Object.keys(known).length) return;
    Object.assign(this.state, known);
    this.repaint = true;
    if (this.strip && ("opacity" in known || "contour" in known || "pattern" in known)) this.tables();
    if (this.strip && ("contour" in known || "pattern" in known)) this.drawLegend();
    this.controls();
    this.place();
    this.request();
  }

  choose(part) {
    this.setState(part);
    this.onState(part);
  }

  // Views that cannot be shown fall back to what there is.
  viewOf(name) {
    if (name === "compare" && !(this.hasTruth && this.hasFound)) name = this.hasFound ? "prediction" : "truth";
    if (name === "prediction" && !this.hasFound) name = "truth";
    return name === "truth" && !this.hasTruth ? "image" : name;
  }

  isShown(c) { return this.state.shown[c] ?? true; }
  views() { return this.state.layout_mode === "one" ? [this.state.view] : [this.state.view, this.state.second]; }

  tables() {
    const { opacity, contour, pattern } = this.state;
    for (const layer of this.layers) {
      layer.overlay = overlayTables(layer.about.color, { opacity, contour, pattern });
      layer.compare = compareTables(layer.about.color, { opacity });
    }
  }

  everything() {
    this.layers.forEach((_, c) => this.dirty.add(c));
    this.repaint = true;
  }

  // ---- One frame: what has changed is computed, painted and written, once

  request() { this.frame ||= requestAnimationFrame(() => this.flush()); }

  flush() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    if (!this.strip || !(this.dirty.size || this.repaint)) return;
    const begun = performance.now();
    if (this.dirty.size) this.controls();
    for (const c of this.dirty) this.compute(c);
    this.dirty.clear();
    this.repaint = false;
    this.views().forEach((view, n) => {
      this.paint(this.viewOf(view), this.pictures[n]);
      this.canvases[n].getContext("2d", { alpha: false }).putImageData(this.shownAs[n], 0, 0);
    });
    if (this.point) this.read();
    this.cost.push(performance.now() - begun);
    if (this.cost.length > 2000) this.cost.splice(0, 1000);
    clearTimeout(this.telling);
    this.telling = setTimeout(() => this.tell(), 600);
  }

  compute(c) {
    const layer = this.layers[c], { height, width } = this.strip, { runs, mask, rim } = layer.found;
    const shut = this.hasScale && this.highest < this.decision.gate;
    const k = layer.given ? 1 : shut ? 256 : this.decision.thresholds[c] ?? 128, least = layer.given ? 0 : this.decision.min_areas[c] ?? 0;
    if (layer.plane) regionsAbove(layer.plane, height, width, k, least, runs);
    fillMask(runs, mask);
    fillRim(runs, mask, rim);
    layer.counts = countPixels(runs, layer.truth.mask, layer.labelled);
    setText(layer.score, this.scoreText(layer));
  }

  scoreText({ counts }) {
    if (!this.hasTruth) return this.hasFound ? `${inWords(counts.found)} px found` : "";
    if (!this.hasFound) return counts.labelled ? `${inWords(counts.labelled)} px labelled` : "nothing there";
    if (!counts.found && !counts.labelled) return "Dice 1, IoU 1 (nothing there, nothing found)";
    const why = !counts.labelled ? " (false alarm)" : !counts.found ? " (all missed)" : "";
    return `Dice ${diceOf(counts).toFixed(3)}, IoU ${iouOf(counts).toFixed(3)}${why}`;
  }

  paint(view, picture) {
    const { base, grey } = this;
    picture.set(base);
    if (view === "image") return;
    this.layers.forEach((layer, c) => {
      if (!this.isShown(c)) return;
      if (view === "compare") {
        const stripes = this.texture("diagonal", 8), dots = this.texture("dots", 8);
        paintCompare(picture, base, grey, { truth: layer.truth, found: layer.found, stripes, dots, tables: layer.compare });
      } else {
        const { runs, rim } = view === "truth" ? layer.truth : layer.found;
        const texture = this.texture(this.state.pattern ? layer.about.pattern : "solid", 12);
        paintOverlay(picture, base, grey, { runs, rim, texture, tables: layer.overlay });
      }
    });
  }

  // For tests and pages: the mask of a class, and a whole view, as they are under the decision of now.
  mask(c) { this.flush(); return this.layers[c].found.mask; }

  rgba(view) {
    this.flush();
    const picture = new Uint32Array(this.grey.length);
    this.paint(this.viewOf(view), picture);
    return new Uint8ClampedArray(picture.buffer);
  }

  // ---- Words

  controls() {
    const { decision, state } = this, two = state.layout_mode !== "one";
    const sentences = [this.strip?.note, this.note];
    if (this.strip) {
      if (!this.hasTruth && !this.hasFound) sentences.push("This image has neither labels nor a prediction: only the steel can be shown.");
      else if (!this.hasTruth) sentences.push("This image has no labels: nothing can be compared or scored.");
      else if (!this.hasFound) sentences.push("There is no prediction of this image: only its labels can be shown.");
      if (this.hasFound && !this.hasScale) sentences.push("There are no probabilities of this image: the prediction is shown as it was made, without sliders.");
    }
    const notes = sentences.filter(Boolean);
    if (notes.join("\n") !== this.noted) this.notes.replaceChildren(...notes.map((s) => stripPart("p", { cls: "sd-note", textContent: s })));
    this.noted = notes.join("\n");
    Object.assign(this.layoutBox, { value: state.layout_mode });
    for (const [box, value] of [[this.viewBox, state.view], [this.secondBox, state.second]]) {
      for (const option of box.options) option.disabled = Boolean(this.strip) && this.viewOf(option.value) !== option.value;
      box.value = this.strip ? this.viewOf(value) : value;
    }
    this.secondBox.hidden = !two;
    if (document.activeElement !== this.opacityBox || Number(this.opacityBox.value) !== state.opacity) this.opacityBox.value = state.opacity;
    Object.assign(this.contourBox, { checked: state.contour });
    Object.assign(this.patternBox, { checked: state.pattern });
    this.root.classList.toggle("sd-fixed", !this.hasScale);
    this.gateRow.hidden = !this.strip || !this.hasScale;
    this.gateBox.value = decision.gate;
    this.gateBox.setAttribute("aria-valuetext", decision.gate ? `k ${decision.gate}` : "open");
    this.opacityBox.setAttribute("aria-valuetext", `${Math.round(100 * state.opacity)} %`);
    setText(this.gateText, decision.gate ? `${decision.gate}${this.strip && this.highest < decision.gate ? `: shut, the highest is ${this.highest}` : ""}` : "0: open");
    this.layers.forEach((layer, c) => {
      const k = decision.thresholds[c] ?? 128, area = decision.min_areas[c] ?? 0;
      layer.box.checked = this.isShown(c);
      if (Number(layer.k.value) !== k) layer.k.value = k;
      setText(layer.kText, `${k} (p ${(k / 255).toFixed(3)})`);
      layer.k.setAttribute("aria-valuetext", `k ${k}, p ${(k / 255).toFixed(3)}`);
      layer.area.setAttribute("aria-valuetext", `${area} px`);
      if (Number(layer.area.value) !== areaPosition(area)) layer.area.value = areaPosition(area);
      if (Number(layer.areaText.value) !== area || layer.areaText.value === "") layer.areaText.value = area;
    });
    this.names.forEach((name, n) => setText(name, this.strip && two ? STRIP_VIEWS[this.viewOf(this.views()[n] ?? "image")] : ""));
  }

  // Regions and scores in words, for those who hear the picture; said when the sliders rest.
  tell() {
    if (!this.strip) return;
    const seen = this.layers.map((layer) => {
      for (const side of [layer.found, layer.truth]) if (!side.runs.joined) joinRuns(side.runs);
      const parts = [this.hasTruth && `${layer.truth.runs.regions} labelled`, this.hasFound && `${layer.found.runs.regions} found`].filter(Boolean);
      return `${layer.about.label}: regions ${parts.join(", ") || "unknown"}; ${this.scoreText(layer)}`;
    });
    const { id, height, width } = this.strip, words = seen.join(". ");
    this.canvases.forEach((canvas, n) => {
      const view = STRIP_VIEWS[this.viewOf(this.views()[n] ?? "image")];
      canvas.setAttribute("aria-label", `Strip ${id || "without a name"}, ${height} rows, ${width} columns, ${view}. ${words}.`);
    });
    setText(this.summary, words);
  }

  drawLegend() {
    const H = 24, W = 48, size = H * W, grey = new Uint8Array(size).fill(90), base = packGrey(grey);
    const rectangle = (top, left, bottom, right) => {
      const mask = new Uint8Array(size);
      for (let row = top; row < bottom; row++) mask.fill(1, row * W + left, row * W + right);
      const runs = regionsAbove(mask, H, W, 1);
      return { mask, runs, rim: fillRim(runs, mask, new Uint8Array(size)) };
    };
    const onto = (canvas, paint) => {
      const picture = new Uint32Array(base);
      paint(picture);
      canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(picture.buffer), W, H), 0, 0);
      return canvas;
    };
    const whole = rectangle(2, 2, H - 2, W - 2), nothing = rectangle(0, 0, 0, 0);
    const { contour, pattern } = this.state;
    for (const { swatch, about } of this.layers) {
      const tables = overlayTables(about.color, { opacity: 0.8, contour, pattern });
      onto(swatch, (p) => paintOverlay(p, base, grey, { ...whole, texture: patternPlane(pattern ? about.pattern : "solid", H, W), tables }));
    }
    const first = this.layers[0], stripes = patternPlane("diagonal", H, W, 8), dots = patternPlane("dots", H, W, 8);
    const outcomes = first && this.hasTruth && this.hasFound ? [["found", whole, whole], ["missed", whole, nothing], ["false", nothing, whole]] : [];
    this.legend.replaceChildren(...outcomes.map(([name, truth, found]) => stripPart("span", { cls: "sd-group" },
      onto(stripPart("canvas", { cls: "sd-swatch", width: W, height: H }), (p) => paintCompare(p, base, grey, { truth, found, stripes, dots, tables: compareTables(first.about.color, { opacity: 0.8 }) })),
      { found: "found: filled", missed: "missed: stripes", false: "false: dots" }[name])), ...(outcomes.length ? ["each in the colour of its class"] : []));
  }

  read() {
    const { row, column } = this.point, i = row * this.strip.width + column;
    const parts = [`row ${row}, column ${column}: grey ${this.grey[i]}`];
    for (const { about, plane, found, truth } of this.layers) {
      const there = truth.mask[i] ? areaAt(truth.runs, row, column) : 0, seen = found.mask[i] ? areaAt(found.runs, row, column) : 0;
      const where = [there && `labelled region ${inWords(there)} px`, seen && `found region ${inWords(seen)} px`].filter(Boolean).join(", ");
      const p = this.hasScale ? ` ${(plane[i] / 255).toFixed(3)} (${plane[i]})` : "";
      if (p || where) parts.push(about.label + p + (where ? `, ${about.words}: ${where}` : ""));
    }
    setText(this.readout, parts.join(" · "));
  }

  // ---- Zoom: the canvas keeps its own pixels and is moved and scaled by the style sheet

  fitScale() { return this.strip ? Math.min(this.room.width / this.strip.width, this.room.low / this.strip.height) : 1; }
  scale() { return this.zoom.scale || this.fitScale(); }

  place() {
    const { layout_mode: mode } = this.state, width = this.window.clientWidth;
    if (!width) return;
    const low = this.strip ? clampTo(width * this.strip.height / this.strip.width, 100, 460) : 60;
    this.room = { width, low, height: low };
    const scale = this.scale(), fits = !this.zoom.scale;   // closer up the window grows, to a limit
    if (this.strip) this.room.height = clampTo(this.strip.height * scale, low, Math.max(low, mode === "pair" ? 240 : 380));
    if (this.strip) {
      const { zoom, room, strip } = this, slackX = room.width - strip.width * scale, slackY = room.height - strip.height * scale;
      zoom.x = slackX >= 0 ? slackX / 2 : clampTo(zoom.x, slackX, 0);
      zoom.y = slackY >= 0 ? slackY / 2 : clampTo(zoom.y, slackY, 0);
    }
    this.root.dataset.layout = mode;
    this.frames[1].hidden = this.handle.hidden = mode === "one";
    this.handle.hidden = mode !== "swipe";
    this.frames.forEach((frame) => { frame.style.height = `${this.room.height}px`; });
    this.frames[1].style.clipPath = mode === "swipe" ? `inset(0 0 0 ${this.border * 100}%)` : "";
    this.handle.style.left = `${this.border * 100}%`;
    this.handle.setAttribute("aria-valuenow", Math.round(this.border * 100));
    this.handle.setAttribute("aria-valuetext", `${Math.round(this.border * 100)} % from the left`);
    this.handle.setAttribute("aria-valuemin", 0);
    this.handle.setAttribute("aria-valuemax", 100);
    for (const canvas of this.canvases) {
      canvas.style.transform = `translate(${this.zoom.x}px, ${this.zoom.y}px) scale(${scale})`;
      canvas.style.imageRendering = scale * devicePixelRatio >= 2 ? "pixelated" : "auto";
    }
    this.window.style.touchAction = fits ? "pan-y" : "none";
    setText(this.zoomText, `${Math.round(scale * 100)} %`);
    this.mark();
  }

  mark() {
    const scale = this.scale(), size = Math.max(scale, 9);
    this.cross.hidden = !this.point || !this.strip || !this.marked;
    if (this.cross.hidden) return;
    const middle = (at, from) => (at + 0.5) * scale + from - size / 2;
    this.cross.style.cssText = `width:${size}px;height:${size}px;transform:translate(${middle(this.point.column, this.zoom.x)}px,${middle(this.point.row, this.zoom.y)}px)`;
  }

  fit() { this.zoom.scale = 0; this.place(); }

  zoomTo(scale, at = { x: this.room.width / 2, y: this.room.height / 2 }) {
    if (!this.strip) return;
    const old = this.scale(), least = Math.min(this.fitScale(), 1), next = clampTo(scale, least, Math.max(40, 8 * this.fitScale()));
    this.zoom.x = at.x - (at.x - this.zoom.x) * next / old;
    this.zoom.y = at.y - (at.y - this.zoom.y) * next / old;
    this.zoom.scale = next <= this.fitScale() * 1.001 && next >= this.fitScale() * 0.999 ? 0 : next;
    this.place();
  }

  zoomBy(factor, at) { this.zoomTo(this.scale() * factor, at); }

  // Where the reading point is in the window.
  pointPlace() { return { x: (this.point.column + 0.5) * this.scale() + this.zoom.x, y: (this.point.row + 0.5) * this.scale() + this.zoom.y }; }

  // Keys zoom towards the reading point while it is in sight, or else the middle.
  zoomByKey(factor) {
    const at = this.point && this.pointPlace(), inside = at && at.x >= 0 && at.y >= 0 && at.x < this.room.width && at.y < this.room.height;
    this.zoomBy(factor, inside ? at : undefined);
  }

  reveal() {
    const at = this.pointPlace(), inside = (value, size) => clampTo(value, 20, size - 20) - value;
    this.moveBy(inside(at.x, this.room.width), inside(at.y, this.room.height));
  }

  moveBy(x, y) {
    if (!this.zoom.scale) return;
    this.zoom.x += x;
    this.zoom.y += y;
    this.place();
  }

  // ---- Pointer and keys

  // Where a pointer event is: in the window, in the frame, and on the strip.
  locate(event) {
    const box = this.window.getBoundingClientRect(), x = event.clientX - box.left - this.window.clientLeft, inside = event.clientY - box.top - this.window.clientTop;
    const second = this.state.layout_mode === "pair" && inside > this.frames[1].offsetTop, y = inside - (second ? this.frames[1].offsetTop : 0), scale = this.scale();
    return { x, y, row: Math.floor((y - this.zoom.y) / scale), column: Math.floor((x - this.zoom.x) / scale) };
  }

  pointAt(at, marked = false) {
    const { height, width } = this.strip;
    if (at.row < 0 || at.column < 0 || at.row >= height || at.column >= width) return;
    this.point = { row: at.row, column: at.column };
    this.marked = marked;
    this.reading ||= requestAnimationFrame(() => { this.reading = 0; if (this.strip && this.point) { this.read(); this.mark(); } });
  }

  listen() {
    const { window: w, handle } = this, down = new Map();
    const pinch = () => { const [a, b] = [...down.values()]; return { gap: Math.hypot(a.x - b.x, a.y - b.y), x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 }; };
    w.addEventListener("pointerdown", (e) => {
      if (!this.strip || e.button || e.target === handle) return;
      down.set(e.pointerId, this.locate(e));
      w.setPointerCapture(e.pointerId);
      this.pointAt(this.locate(e), true);
    });
    w.addEventListener("pointermove", (e) => {
      if (!this.strip) return;
      const now = this.locate(e), before = down.get(e.pointerId);
      if (!before) { this.pointAt(now); return; }
      const old = down.size === 2 ? pinch() : null;
      down.set(e.pointerId, now);
      if (old) {
        const next = pinch();
        this.zoomBy(next.gap / Math.max(old.gap, 1), next);
        this.moveBy(next.x - old.x, next.y - old.y);
      } else if (down.size === 1) this.moveBy(now.x - before.x, now.y - before.y);
    });
    for (const end of ["pointerup", "pointercancel"]) w.addEventListener(end, (e) => down.delete(e.pointerId));
    w.addEventListener("wheel", (e) => {
      if (!this.strip || !(e.ctrlKey || e.metaKey)) return;
      e.preventDefault();
      this.zoomBy(Math.exp(-clampTo(e.deltaY, -60, 60) / 100), this.locate(e));
    }, { passive: false });
    w.addEventListener("dblclick", (e) => { if (this.strip && e.target !== handle) { if (this.zoom.scale) this.fit(); else this.zoomTo(4, this.locate(e)); } });
    w.addEventListener("keydown", (e) => { if (this.strip && !e.ctrlKey && !e.metaKey && this.key(e)) { e.preventDefault(); e.stopPropagation(); } });
    handle.addEventListener("pointerdown", (e) => { handle.setPointerCapture(e.pointerId); e.stopPropagation(); });
    handle.addEventListener("pointermove", (e) => { if (handle.hasPointerCapture(e.pointerId)) this.moveBorder(this.locate(e).x / this.room.width); });
  }

  moveBorder(to) { this.border = clampTo(to, 0, 1); this.place(); }

  key(e) {
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key], names = Object.keys(STRIP_VIEWS);
    const end = { Home: 0, End: 1 }[e.key];
    if (end !== undefined && e.target === this.handle) return this.moveBorder(end), true;
    if (arrow && e.target === this.handle) return this.moveBorder(this.border + 0.02 * (arrow[0] || -arrow[1])), true;
    if (arrow && e.shiftKey) {
      const step = e.altKey ? 10 : 1, { height, width } = this.strip, { row, column } = this.point ?? { row: height >> 1, column: width >> 1 };
      return this.pointAt({ row: clampTo(row + step * arrow[1], 0, height - 1), column: clampTo(column + step * arrow[0], 0, width - 1) }, true), this.reveal(), true;
    }
    if (e.altKey) return false;
    if (arrow) return Boolean(this.zoom.scale) && (this.moveBy(-40 * arrow[0], -40 * arrow[1]), true);
    const after = (list, value, ok = () => true) => { const next = list.slice(list.indexOf(value) + 1).concat(list); return next.find(ok); };
    const keys = {
      "+": () => this.zoomByKey(2), "=": () => this.zoomByKey(2), "-": () => this.zoomByKey(0.5), "0": () => this.fit(), "9": () => this.zoomByKey(1 / this.scale()),
      "[": () => this.moveBorder(this.border - 0.02), "]": () => this.moveBorder(this.border + 0.02),
      "l": () => this.choose({ layout_mode: after(Object.keys(STRIP_LAYOUTS), this.state.layout_mode) }),
      "s": () => this.choose({ second: after(names, this.state.second, (v) => this.viewOf(v) === v) }),
    };
    for (const [n, view] of names.entries()) keys[n + 1] = () => this.choose({ view });
    const act = keys[e.key.toLowerCase()];
    act?.();
    return Boolean(act);
  }
}
