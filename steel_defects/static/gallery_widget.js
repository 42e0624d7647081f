// The gallery as a widget: the list and its first pictures are state, all other pictures come by message when they are looked at.
import { GalleryView } from "./gallery.js";

export default {
  render({ model, el }) {
    const view = new GalleryView(el, {
      onWant: (indices, version, token) => model.send({ kind: "want", indices, version, token }),
      onChoose: (id, place) => { model.set("place", place); model.set("chosen", id); model.save_changes(); },
      onMark: (id, mark, note, token) => model.send({ kind: "mark", id, mark, note, token }),
    });
    const list = () => {
      const state = Object.fromEntries(["version", "total", "title", "first", "ratio", "columns", "marking"].map((name) => [name, model.get(name)]));
      view.setList({ ...state, saved: model.saved === true });
      for (const [id, [mark, note]] of Object.entries(model.get("first_marks"))) view.setMark(id, mark, note);
      view.setChosen(model.get("chosen"));
    };
    const chosen = () => view.setChosen(model.get("chosen"), model.get("place"));
    const note = () => view.setNote(model.get("note"));
    const message = (content, buffers) => {
      if (content.kind === "pictures") view.addPictures(content.version, content.items, buffers ?? [], content.token);
      if (content.kind === "marked") view.setMark(content.id, content.mark, content.note, content.token);
    };
    model.on("change:version", list);
    model.on("change:chosen", chosen);
    model.on("change:note", note);
    model.on("msg:custom", message);
    list();
    note();
    return () => {
      model.off("change:version", list);
      model.off("change:chosen", chosen);
      model.off("change:note", note);
      model.off("msg:custom", message);
      view.destroy();
    };
  },
};
