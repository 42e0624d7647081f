import { StripView } from "./viewer.js";

export default {
  render({ model, el }) {
    const decided = ["thresholds", "min_areas", "gate"], states = ["layout_mode", "view", "second", "opacity", "contour", "pattern", "shown"];
    const read = (names) => Object.fromEntries(names.map((name) => [name, model.get(name)]));
    let due = 0, last = 0;
    const save = () => { due = 0; last = performance.now(); model.save_changes(); };
    const tell = (values) => {   // to Python at most ten times a second, and the last value always
      for (const [name, value] of Object.entries(values)) model.set(name, value);
      due ||= setTimeout(save, Math.max(0, last + 100 - performance.now()));
    };
    const view = new StripView(el, { onDecision: tell, onState: tell });
    const heard = [["change:strip", () => view.setStrip(model.get("strip"))]];
    for (const name of decided) heard.push([`change:${name}`, () => view.setDecision(read(decided))]);
    for (const name of states) heard.push([`change:${name}`, () => view.setState({ [name]: model.get(name) })]);
    for (const [event, act] of heard) model.on(event, act);
    view.setState(read(states));
    view.setDecision(read(decided));
    view.setStrip(model.get("strip"));
    return () => {
      clearTimeout(due);
      if (due) save();
      for (const [event, act] of heard) model.off(event, act);
      view.destroy();
    };
  },
};
