import { Teller } from "./tell.js";
import { ThresholdView } from "./thresholds.js";

export default {
  async render({ model, el }) {
    const decided = ["thresholds", "min_areas", "gate"], teller = new Teller(model), tell = (values) => teller.tell(values), decision = () => teller.read(decided);
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
    const opened = () => { const id = teller.get("chosen"); if (id && id !== view.chosen) view.open(id); };
    const moved = () => view.setDecision(decision());
    const data = () => view.setData({ sweep: model.get("sweep"), classes: model.get("classes"), start: model.get("start"), decision: decision(), note: model.get("note"), strips: model.get("strips") });
    for (const name of decided) model.on(`change:${name}`, moved);
    model.on("change:chosen", opened);
    model.on("change:sweep", data);
    model.on("msg:custom", message);
    await data();
    const first = model.get("chosen");
    if (first in model.get("strips")) view.open(first);
    return () => {
      teller.flush();
      for (const name of decided) model.off(`change:${name}`, moved);
      model.off("change:chosen", opened);
      model.off("change:sweep", data);
      model.off("msg:custom", message);
      view.destroy();
    };
  },
};
