import { Teller } from "./tell.js";
import { StripView } from "./viewer.js";

export default {
  render({ model, el }) {
    const decided = ["thresholds", "min_areas", "gate"], states = ["layout_mode", "view", "second", "opacity", "contour", "pattern", "shown"];
    const teller = new Teller(model), tell = (values) => teller.tell(values);
    const view = new StripView(el, { onDecision: tell, onState: tell });
    const heard = [["change:strip", () => view.setStrip(model.get("strip"))]];
    for (const name of decided) heard.push([`change:${name}`, () => view.setDecision(teller.read(decided))]);
    for (const name of states) heard.push([`change:${name}`, () => view.setState(teller.read([name]))]);
    for (const [event, act] of heard) model.on(event, act);
    view.setState(teller.read(states));
    view.setDecision(teller.read(decided));
    view.setStrip(model.get("strip"));
    return () => {
      teller.flush();
      for (const [event, act] of heard) model.off(event, act);
      view.destroy();
    };
  },
};
