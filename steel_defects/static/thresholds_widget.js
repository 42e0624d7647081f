import { ThresholdView } from "./thresholds.js";

export default {
  async render({ model, el }) {
    const decided = ["thresholds", "min_areas", "gate"], decision = () => Object.fromEntries(decided.map((name) => [name, model.get(name)]));
    let due = 0, last = 0;
    const save = () => { due = 0; last = performance.now(); model.save_changes(); };
    const tell = (values) => {   // to Python at most ten times a second, and the last value always
      for (const [name, value] of Object.entries(values)) model.set(name, value);
      due ||= setTimeout(save, Math.max(0, last + 100 - performance.now()));
    };
    const view = new ThresholdView(el, {
      onDecision: tell, onChosen: (id) => tell({ chosen: id }), onWant: (id) => model.send({ kind: "strip", id }),
      canAsk: model.saved !== true && model.get("can_ask"),
    });
    const message = (content, buffers) => {
      if (content.kind !== "strip") return;
      const strip = { ...content.strip };
      content.packed.forEach((name, n) => { strip[name] = buffers[n]; });
      view.arrived(content.id, strip);
    };
    const moved = () => view.setDecision(decision());
    const data = () => view.setData({ sweep: model.get("sweep"), classes: model.get("classes"), start: model.get("start"), decision: decision(), note: model.get("note"), strips: model.get("strips") });
    for (const name of decided) model.on(`change:${name}`, moved);
    model.on("change:sweep", data);
    model.on("msg:custom", message);
    await data();
    const first = model.get("chosen");
    if (first in model.get("strips")) view.open(first);
    return () => {
      clearTimeout(due);
      if (due) save();
      for (const name of decided) model.off(`change:${name}`, moved);
      model.off("change:sweep", data);
      model.off("msg:custom", message);
      view.destroy();
    };
  },
};
