import { BarView } from "./charts.js";

export default { render({ model, el }) {
  const keep = (name, value) => { model.set(name, value); model.save_changes(); };
  const view = new BarView(el, { onPick: (key) => keep("chosen", key), onLog: (log) => keep("log", log) });
  const names = ["chart", "chosen", "log"], show = () => view.set(Object.fromEntries(names.map((n) => [n, model.get(n)])));
  for (const n of names) model.on(`change:${n}`, show);
  show();
  return () => { for (const n of names) model.off(`change:${n}`, show); view.destroy(); };
} };
