import { CellView } from "./charts.js";

export default { render({ model, el }) {
  const view = new CellView(el, { onPick: (cell) => { model.set("chosen", cell); model.save_changes(); } });
  const names = ["chart", "chosen"], show = () => view.set(Object.fromEntries(names.map((n) => [n, model.get(n)])));
  for (const n of names) model.on(`change:${n}`, show);
  show();
  return () => { for (const n of names) model.off(`change:${n}`, show); view.destroy(); };
} };
