// What a saved page gives a widget instead of a kernel: the state it was saved with, in a model with the methods that anywidget's model has.

// Turn {"$bytes": base64} anywhere in the state back into a DataView.
export function unpackState(value) {
  if (Array.isArray(value)) return value.map(unpackState);
  if (value === null || typeof value !== "object") return value;
  if (typeof value.$bytes === "string") return new DataView(Uint8Array.from(atob(value.$bytes), (c) => c.charCodeAt(0)).buffer);
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, unpackState(inner)]));
}

// A model without kernel. Nobody answers `send`; `saved` says so.
export function savedModel(state) {
  const heard = {};
  const fire = (event, ...args) => { for (const f of [...(heard[event] ?? [])]) f(...args); };
  return {
    saved: true,
    get: (name) => state[name],
    set(name, value) {
      if (state[name] === value) return;
      state[name] = value;
      fire(`change:${name}`, this, value);
      fire("change", this);
    },
    save_changes() {},
    send() {},
    on(event, f) { (heard[event] ??= []).push(f); },
    off(event, f) { heard[event] = f ? (heard[event] ?? []).filter((g) => g !== f) : []; },
  };
}

// Bring a widget of a saved page to life; what goes wrong is said in its place.
export async function revive(widget, id) {
  const el = document.getElementById(id);
  try {
    const state = unpackState(JSON.parse(document.getElementById(`${id}-state`).textContent));
    el.replaceChildren();
    await widget.render({ model: savedModel(state), el });
  } catch (e) {
    el.textContent = `This picture could not be brought to life in this browser (${e.message}): open the page in a current one.`;
    console.error(e);
  }
}
