// A list of pictures that is as long as a catalog and as light as one screen: cells are made where one looks, pictures asked for in small batches.

export const GALLERY_KEYS = { r: "relabel", l: "look again" };

// Columns and sizes for a room of this width; ratio is width / height of a picture.
export function galleryLayout(width, columns, ratio, marking) {
  const gap = 10, least = Math.min(320, Math.max(marking ? 160 : 140, 60 * ratio));
  const most = columns * Math.min(4, Math.max(1, Math.round(4 / ratio)));
  const n = Math.max(1, Math.min(most, Math.floor((width + gap) / (least + gap))));
  const cell = Math.max(1, Math.floor((width - (n - 1) * gap) / n));
  const picture = Math.max(24, Math.round(Math.min(cell / ratio, 260)));
  const lines = cell < 240 ? 3 : cell < 480 ? 2 : 1, tools = !marking ? 0 : cell < 264 ? 68 : 36;
  return { n, gap, cell, picture, lines, tools, row: picture + 20 * lines + 12 + tools + gap };
}

// The items that lie between two heights: the first, and one past the last.
export function galleryStretch(top, bottom, layout, total) {
  const first = Math.max(0, Math.floor(top / layout.row)) * layout.n;
  const last = Math.ceil(bottom / layout.row) * layout.n;
  return [Math.min(first, total), Math.max(0, Math.min(last, total))];
}

// What to ask for next: what is seen, else the screen after it, else the one before; at most `most`, and none that is there.
export function galleryWanted(seen, total, has, most) {
  const [from, to] = seen, screen = to - from;
  for (const [a, b] of [[from, to], [to, to + screen], [from - screen, from]]) {
    const missing = [];
    for (let i = Math.max(0, a); i < Math.min(total, b) && missing.length < most; i++) if (!has(i)) missing.push(i);
    if (missing.length) return missing;
  }
  return [];
}

// The item that a key leads to from the active one; null where the key means nothing.
export function galleryStep(key, active, n, screen, total) {
  const to = { ArrowRight: active + 1, ArrowLeft: active - 1, ArrowDown: active + n, ArrowUp: active - n,
    PageDown: active + screen, PageUp: active - screen, Home: 0, End: total - 1 }[key];
  if (to === undefined || total === 0) return null;
  if ((key === "ArrowUp" || key === "ArrowDown") && (to < 0 || to >= total)) return active;
  return Math.max(0, Math.min(total - 1, to));
}

function galleryNode(tag, name, extra = {}) {
  return Object.assign(document.createElement(tag), { className: name }, extra);
}

export class GalleryView {
  constructor(el, { onWant = () => {}, onChoose = () => {}, onMark = () => {}, limit = 240, batch = 8, slow = 5000 } = {}) {
    Object.assign(this, { onWant, onChoose, onMark, limit, batch, slow });
    this.items = new Map();
    this.cells = new Map();
    this.said = new Map();
    Object.assign(this, { total: 0, version: -1, active: 0, chosen: "", ratio: 6.25, columns: 2 });
    Object.assign(this, { marking: false, saved: false, token: 0, asked: null });
    this.id = `sd-gallery-${Math.random().toString(36).slice(2)}`;
    this.root = galleryNode("div", "sd sd-gallery");
    this.root.dataset.lmSuppressShortcuts = "true";
    this.root.galleryView = this;
    this.head = galleryNode("div", "sd-gallery-head");
    this.head.setAttribute("role", "status");
    this.note = galleryNode("div", "sd-note");
    this.note.setAttribute("role", "alert");
    this.scroll = galleryNode("div", "sd-gallery-scroll");
    this.room = galleryNode("div", "sd-gallery-room");
    this.room.setAttribute("role", "list");
    this.hint = galleryNode("div", "sd-gallery-hint", { id: this.id });
    this.scroll.append(this.room);
    this.root.append(this.head, this.note, this.scroll, this.hint);
    el.append(this.root);
    this.scroll.addEventListener("scroll", () => this.later(), { passive: true });
    this.room.addEventListener("keydown", (e) => this.onKey(e));
    this.watch = new ResizeObserver(() => this.fit());
    this.watch.observe(this.scroll);
  }

  destroy() {
    this.watch.disconnect();
    cancelAnimationFrame(this.frame);
    clearTimeout(this.timer);
    clearTimeout(this.patience);
    for (const item of this.items.values()) URL.revokeObjectURL(item.url);
    this.items.clear();
    this.root.remove();
  }

  // Another list: where nobody will answer, only what came with it.
  setList({ version, total, title, first, ratio, columns, marking, saved = false }) {
    for (const item of this.items.values()) URL.revokeObjectURL(item.url);
    this.items.clear();
    for (const cell of this.cells.values()) cell.remove();
    this.cells.clear();
    clearTimeout(this.patience);
    Object.assign(this, { version, saved, columns, ratio: Math.max(0.5, Math.min(10, ratio)), marking: marking && !saved, active: 0, asked: null });
    this.total = saved ? Math.min(total, first.length) : total;
    const rest = this.total < total ? ` The first ${this.total} are shown; the others are drawn where the notebook runs.` : "";
    this.head.textContent = (title || `${total.toLocaleString("en")} image${total === 1 ? "" : "s"}`) + rest;
    this.hint.textContent = !this.total ? "" : "Arrows move, Enter opens" + (this.marking ? ", r marks relabel, l look again" : "") + ".";
    this.room.setAttribute("aria-label", title || "images");
    this.scroll.scrollTop = 0;
    this.put(first.map(({ picture, ...item }) => item), first.map(({ picture }) => picture));
    this.fit();
  }

  setNote(text) { this.note.textContent = text; }

  setChosen(id, place = -1) {
    this.chosen = id;
    if (place >= 0 && place < this.total && this.items.get(this.active)?.id !== id) {
      this.active = place;
      this.reveal(place);
    }
    this.draw();
  }

  // What Python keeps; an answer to an earlier key of this view is passed over.
  setMark(id, mark, note, token = "") {
    if (token?.startsWith(this.id) && token !== this.said.get(id)) return;
    for (const [index, item] of this.items) if (item.id === id) {
      Object.assign(item, { mark, note });
      if (this.cells.has(index)) this.fill(index);
    }
  }

  // Pictures from the kernel: items [{index, id, caption, mark, note}] and a JPEG for each.
  addPictures(version, items, buffers, token) {
    if (token === this.asked) {
      this.asked = null;
      clearTimeout(this.patience);
      this.room.removeAttribute("aria-busy");
      if (this.waiting) this.setNote("");
      this.waiting = false;
    }
    if (version !== this.version || !items.length) return;
    this.put(items, buffers);
    this.draw();
  }

  put(items, buffers) {
    items.forEach((item, n) => {
      const v = buffers[n], bytes = new Uint8Array(v.buffer ?? v, v.byteOffset ?? 0, v.byteLength);
      const old = this.items.get(item.index);
      if (old) URL.revokeObjectURL(old.url);
      this.items.delete(item.index);
      this.items.set(item.index, { ...item, url: URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" })) });
      if (this.cells.has(item.index)) this.fill(item.index);
    });
    this.forget();
  }

  // Keep a bounded number of pictures: those not seen for longest go first.
  forget() {
    if (this.saved) return;
    for (const [index, item] of this.items) {
      if (this.items.size <= this.limit) return;
      if (this.cells.has(index)) continue;
      URL.revokeObjectURL(item.url);
      this.items.delete(index);
    }
  }

  fit() {
    const width = this.scroll.clientWidth;
    if (!width) return;
    const first = this.layout && this.scroll.scrollTop > 0 ? Math.floor(this.scroll.scrollTop / this.layout.row) * this.layout.n : 0;
    const before = this.layout;
    this.layout = galleryLayout(width, this.columns, this.ratio, this.marking);
    const rows = Math.ceil(this.total / this.layout.n);
    this.room.style.height = `${rows * this.layout.row}px`;
    this.scroll.style.height = rows ? `${Math.min(rows, Math.max(2, Math.round(540 / this.layout.row))) * this.layout.row}px` : "0";
    if (first && before.row !== this.layout.row) this.scroll.scrollTop = Math.floor(first / this.layout.n) * this.layout.row;
    this.draw();
  }

  seen() {
    const top = this.scroll.scrollTop;
    return galleryStretch(top, top + this.scroll.clientHeight, this.layout, this.total);
  }

  later() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.draw());
  }

  // Make the cells of what is seen and of one screen around it, and drop the others.
  draw() {
    if (!this.layout) return;
    const [from, to] = this.seen(), screen = Math.max(this.layout.n, to - from);
    const keep = (i) => (i >= from - screen && i < to + screen) || i === this.active;
    for (const [index, cell] of this.cells) if (!keep(index)) { cell.remove(); this.cells.delete(index); }
    const wanted = [];
    for (let i = Math.max(0, from - screen); i < Math.min(this.total, to + screen); i++) wanted.push(i);
    if (this.active < this.total && !wanted.includes(this.active)) wanted.push(this.active);
    for (const index of wanted) {
      const item = this.items.get(index);
      if (item && index >= from && index < to) { this.items.delete(index); this.items.set(index, item); }
      if (!this.cells.has(index)) this.make(index);
      this.place(index);
    }
    this.askSoon();
  }

  make(index) {
    const cell = galleryNode("div", "sd-gallery-cell"), open = galleryNode("button", "sd-gallery-open", { type: "button" });
    cell.setAttribute("role", "listitem");
    cell.setAttribute("aria-setsize", this.total);
    cell.setAttribute("aria-posinset", index + 1);
    open.setAttribute("aria-describedby", this.id);
    open.addEventListener("click", () => this.choose(index));
    open.addEventListener("focus", () => { if (this.active !== index) { this.active = index; this.draw(); } });
    cell.append(open, galleryNode("div", "sd-gallery-words", { ariaHidden: "true" }));
    if (this.marking) cell.append(this.makeTools(index));
    cell.index = index;
    const after = [...this.room.children].find((other) => other.index > index);  // the order of reading is that of the list
    this.room.insertBefore(cell, after ?? null);
    this.cells.set(index, cell);
    this.fill(index);
  }

  makeTools(index) {
    const tools = galleryNode("div", "sd-gallery-tools");
    for (const [key, mark] of Object.entries(GALLERY_KEYS)) {
      const button = galleryNode("button", "", { type: "button", textContent: mark });
      button.setAttribute("aria-keyshortcuts", key);
      button.addEventListener("click", () => this.mark(index, mark));
      tools.append(button);
    }
    const note = galleryNode("input", "", { type: "text", placeholder: "note", ariaLabel: "note" });
    note.addEventListener("change", () => this.write(index, note.value));
    tools.append(note);
    return tools;
  }

  place(index) {
    const { n, gap, cell, picture, lines, row } = this.layout, node = this.cells.get(index);
    node.style.cssText = `left: ${(index % n) * (cell + gap)}px; top: ${Math.floor(index / n) * row}px; width: ${cell}px; height: ${row - gap}px`;
    node.children[0].style.height = `${picture}px`;
    Object.assign(node.children[1].style, { maxHeight: `${20 * lines}px`, webkitLineClamp: lines });
    node.children[0].tabIndex = index === this.active ? 0 : -1;
    const chosen = this.chosen !== "" && this.items.get(index)?.id === this.chosen;
    node.classList.toggle("sd-gallery-chosen", chosen);
    if (chosen) node.children[0].setAttribute("aria-current", "true"); else node.children[0].removeAttribute("aria-current");
  }

  // Put an item's picture and words into its cell; names are text, whatever they hold.
  fill(index) {
    const item = this.items.get(index), [open, words, tools] = this.cells.get(index).children;
    if (tools) for (const o of tools.children) o.disabled = !item;
    if (!item) {
      open.replaceChildren();
      open.ariaLabel = `image ${index + 1} of ${this.total}, being drawn`;
      words.textContent = "";
      return;
    }
    const img = open.firstElementChild ?? galleryNode("img", "", { draggable: false, decoding: "async" });
    if (img.src !== item.url) img.src = item.url;
    img.alt = `${item.id}: ${item.caption}` + (item.mark ? `, marked ${item.mark}` : "");
    if (!img.parentNode) open.append(img);
    open.removeAttribute("aria-label");
    open.title = words.title = `${item.id}: ${item.caption}`;
    words.replaceChildren(galleryNode("b", "", { textContent: item.id }), ` ${item.caption}`);
    if (!tools) return;
    const [...buttons] = tools.querySelectorAll("button"), note = tools.lastElementChild;
    for (const button of buttons) {
      button.setAttribute("aria-pressed", String(button.textContent === item.mark));
      button.setAttribute("aria-label", `${button.textContent}: ${item.id}`);
    }
    note.hidden = !item.mark;
    note.ariaLabel = `note on ${item.id}`;
    if (note.getRootNode().activeElement !== note) note.value = item.note;
  }

  choose(index) {
    const item = this.items.get(index);
    if (!item) return;
    this.active = index;
    this.chosen = item.id;
    this.draw();
    this.onChoose(item.id, index);
  }

  // Mark, or take the same mark off again.
  mark(index, mark) {
    const item = this.items.get(index);
    if (!item || !this.marking) return;
    item.mark = item.mark === mark ? "" : mark;
    this.fill(index);
    this.tell(item, null);
  }

  write(index, note) {
    const item = this.items.get(index);
    if (!item || !item.mark) return;
    item.note = note;
    this.tell(item, note);
  }

  tell(item, note) {
    this.said.set(item.id, `${this.id} ${++this.token}`);
    this.onMark(item.id, item.mark, note, this.said.get(item.id));
  }

  onKey(event) {
    event.stopPropagation();
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.tagName === "INPUT") {
      if (event.key === "Enter" || event.key === "Escape") {
        if (event.key === "Escape") event.target.value = this.items.get(this.active)?.note ?? "";
        this.cells.get(this.active)?.firstElementChild.focus();
      }
      return;
    }
    const [from, to] = this.seen(), n = this.layout.n;
    const next = galleryStep(event.key, this.active, n, Math.max(n, to - from - n), this.total);
    if (next !== null) {
      event.preventDefault();
      this.active = next;
      this.reveal(next);
      this.draw();
      this.cells.get(next).firstElementChild.focus({ preventScroll: true });
    } else if (this.marking && GALLERY_KEYS[event.key.toLowerCase()]) {
      event.preventDefault();
      this.mark(this.active, GALLERY_KEYS[event.key.toLowerCase()]);
    }
  }

  reveal(index) {
    if (!this.layout) return;
    const top = Math.floor(index / this.layout.n) * this.layout.row, height = this.scroll.clientHeight;
    if (top < this.scroll.scrollTop) this.scroll.scrollTop = top;
    else if (top + this.layout.row > this.scroll.scrollTop + height) this.scroll.scrollTop = top + this.layout.row - height;
  }

  askSoon() {
    if (this.saved || this.timer) return;
    this.timer = setTimeout(() => { this.timer = null; this.ask(); }, 40);
  }

  // One batch is under way at a time, and the next is chosen by what is seen then: what was scrolled past is never asked for.
  ask() {
    if (this.asked !== null || !this.layout || !this.scroll.clientWidth) return;
    const indices = galleryWanted(this.seen(), this.total, (i) => this.items.has(i), this.batch);
    if (!indices.length) return;
    this.asked = `${this.id} ${++this.token}`;
    this.room.setAttribute("aria-busy", "true");
    this.wait(1);
    this.onWant(indices, this.version, this.asked);
  }

  // Say so when no answer comes, and ask again after four such times.
  wait(times) {
    clearTimeout(this.patience);
    this.patience = setTimeout(() => {
      this.waiting = true;
      this.setNote("The kernel does not answer: it is busy with another cell, or has ended; then run the cell of this gallery again.");
      if (times < 4) this.wait(times + 1); else { this.asked = null; this.ask(); }
    }, this.slow);
  }
}
