import { RangeView } from "./charts.js";

export default { render({ model, el }) {
  const keep = (name, value) => { model.set(name, value); model.save_changes(); };
  const view = new RangeView(el, { onRange: (range) => keep("range", [...range]), onKind: (kind) => keep("kind", kind), onPoint: (point) => keep("point", point) });
  const names = ["chart", "kind", "range"], show = () => view.set(Object.fromEntries(names.map((n) => [n, model.get(n)])));
  for (const n of names) model.on(`change:${n}`, show);
  show();
  return () => { for (const n of names) model.off(`change:${n}`, show); view.destroy(); };
} };
