// How a widget tells Python what the hand does: ten times a second at most, and the last value always.

// Until it is told, a value stays out of the model: an answer of the kernel to an older one then finds nothing changed, and moves nothing back.
export class Teller {
  constructor(model, pause = 100) { Object.assign(this, { model, pause, values: {}, due: 0, last: -Infinity }); }

  tell(values) {
    Object.assign(this.values, values);
    this.due ||= setTimeout(() => this.flush(), Math.max(0, this.last + this.pause - performance.now()));
  }

  // What holds now, told or not.
  get(name) { return name in this.values ? this.values[name] : this.model.get(name); }
  read(names) { return Object.fromEntries(names.map((name) => [name, this.get(name)])); }

  flush() {
    clearTimeout(this.due);
    if (!this.due) return;
    this.due = 0;
    this.last = performance.now();
    for (const [name, value] of Object.entries(this.values)) this.model.set(name, value);
    this.values = {};
    this.model.save_changes();
  }
}
