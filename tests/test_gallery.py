"The gallery: thumbnails in a bounded cache, marks that do not get lost, and a list of 12,568 pictures in a real browser."
import io
import json
import re
import time

import numpy as np
import pandas as pd
import pytest
from browser import Page, open_file, screenshots, wait_until
from PIL import Image
from steel_defects.gallery import MARKS, Gallery, Marks, Thumbnails, contact_sheet, read_marks, thumbnail, write_marks
from steel_defects.live import bundle, state_json

ODD = ['"quoted" & <b>bold</b>.jpg', "<img src=x onerror=alert(1)>.png", "Blech № 7 鋼板 'a'.jpg", "a,b;c.jpg"]


def draw(image_id):
    "A stripe whose place tells the number; names with 'gone' have no file."
    if "gone" in image_id: raise FileNotFoundError(f"there is no image {image_id}: check the name")
    n = int("".join(re.findall(r"\d+", image_id)) or 0)
    picture = np.full((64, 400, 3), 90, np.uint8)
    picture[:, n%40*10:n%40*10+10] = 255, n%256, 0
    return picture, f"picture {n}"


def ids(n): return [f"s-{i:05d}.jpg" for i in range(n)]


# --- thumbnails

def test_thumbnails_are_drawn_once_and_forgotten_in_order():
    asked = []
    t = Thumbnails(lambda i: asked.append(i) or draw(i), limit=3)
    for i in "1", "2", "3", "1", "4": t[i]
    assert asked == ["1", "2", "3", "4"] and list(t) == ["3", "1", "4"] and len(t) == 3
    t["2"]
    assert asked[-1] == "2" and len(t) == 3
    t.clear()
    assert len(t) == 0


def test_a_fault_becomes_a_caption_and_is_tried_again():
    there = []
    def moody(i):
        if not there: raise OSError("there is no image a: check the name")
        return draw(i)
    t = Thumbnails(moody)
    jpeg, caption = t["1"]
    assert caption == "not shown: there is no image a: check the name"
    assert np.ptp(np.asarray(Image.open(io.BytesIO(jpeg)))) == 0, "plain grey"
    there.append(1)
    assert t["1"][1] == "picture 1"
    for broken in (lambda i: 1/0, lambda i: (np.zeros((4, 4, 4, 4)), ""), lambda i: (None, ""), lambda i: {}[i]):
        assert Thumbnails(broken)["x"][1].startswith("not shown: ")


@pytest.mark.parametrize("shape, size", [((256, 1600, 3), (640, 102)), ((200, 200), (200, 200)), ((1600, 256, 3), (102, 640)),
                                         ((1, 1), (1, 1)), ((2, 5000), (640, 1))])
def test_thumbnails_keep_their_shape(shape, size):
    assert Image.open(io.BytesIO(thumbnail(np.zeros(shape, np.uint8)))).size == size


def test_contact_sheet_takes_what_comes():
    pictures = [(thumbnail(np.zeros(s, np.uint8)), "a very long caption "*30) for s in ((64, 400), (300, 300), (900, 20))]
    assert Image.open(io.BytesIO(contact_sheet(pictures, 2))).width == 1200
    assert contact_sheet([])[:2] == b"\xff\xd8"


# --- marks

def test_marks_survive_and_go_on(tmp_path):
    path = tmp_path/"deep"/"marks.csv"
    m = Marks(path)
    for n, name in enumerate(ODD): m.put(name, MARKS[n%2], 'a "note", with; all\nof it\x00')
    again = Marks(path)
    assert again.table().equals(m.table()) and again[ODD[0]] == ("relabel", 'a "note", with; all of it')
    again.put(ODD[0], "look again")
    assert again[ODD[0]] == ("look again", 'a "note", with; all of it'), "the note stays"
    again.put(ODD[0], "")
    assert again[ODD[0]][0] == "" and ODD[0] not in read_marks(path).ImageId.tolist()
    again.put(ODD[0], "relabel")
    assert again[ODD[0]][1], "the note is remembered while one changes one's mind"
    assert [p.name for p in path.parent.iterdir()] == ["marks.csv"]
    assert pd.to_datetime(again.table().time, utc=True).notna().all()


def test_two_notebooks_mark_into_one_file(tmp_path):
    a, b = (Marks(tmp_path/"m.csv") for _ in range(2))
    a.put("1.jpg", "relabel")
    b.put("2.jpg", "look again")
    b.put("3.jpg", "relabel")
    a.put("3.jpg", "")
    assert read_marks(tmp_path/"m.csv").ImageId.tolist() == ["1.jpg", "2.jpg"]


def test_a_mark_that_cannot_be_saved_is_kept_and_saved_later(tmp_path):
    path = tmp_path/"m.csv"
    m = Marks(path)
    m.put("1.jpg", "relabel")
    good = path.read_text()
    path.write_text(good+"2.jpg,wrong,,\n")
    with pytest.raises(ValueError, match="line 3: 2.jpg is marked 'wrong'"): m.put("3.jpg", "relabel")
    assert m["3.jpg"][0] == "relabel" and "3.jpg" not in path.read_text(), "somebody's line is not overwritten"
    path.write_text(good)
    m.put("4.jpg", "relabel")
    assert read_marks(path).ImageId.tolist() == ["1.jpg", "3.jpg", "4.jpg"]


HEAD = "ImageId,mark,note,time\n"


@pytest.mark.parametrize("text, words", [
    (HEAD+"a.jpg,relabel,,\na.jpg,relabel,,\n", "line 3: a.jpg is marked for the second time"),
    (HEAD+"a.jpg,Relabel,,\n", "line 2: a.jpg is marked 'Relabel': write relabel or look again"),
    (HEAD+"a.jpg,relabel,,yesterday\n", "line 2: a.jpg has the time 'yesterday'"),
    (HEAD+"../a.jpg,relabel,,\n", "line 2: ImageId '../a.jpg' climbs out"),
    (HEAD+"a.jpg,relabel\n", "line 2: 2 values under 4 column names"),
    ("ImageId,mark,note,time,who\na.jpg,relabel,,,me\n", "holds the columns ImageId, mark, note, time, who and not marks"),
    ("ImageId,ClassId,EncodedPixels\n", "and not marks")])
def test_bad_tables_are_named_and_left_alone(tmp_path, text, words):
    path = tmp_path/"m.csv"
    path.write_text(text)
    with pytest.raises(ValueError) as e: read_marks(path)
    assert words in str(e.value) and str(path) in str(e.value) and ": " in str(e.value)
    with pytest.raises(ValueError): write_marks(pd.DataFrame([("b.jpg", "relabel", "", "")], columns=["ImageId", "mark", "note", "time"]), path)
    with pytest.raises(ValueError): Marks(path)
    assert path.read_text() == text


def test_marks_from_a_spreadsheet_and_an_empty_file(tmp_path):
    path = tmp_path/"m.csv"
    path.write_bytes("\ufeffmark;ImageId;time;note\nrelabel;a.jpg;;too wide\n".encode())
    assert Marks(path)["a.jpg"] == ("relabel", "too wide")
    path.write_text("")
    m = Marks(path)
    m.put("b.jpg", "relabel")
    assert read_marks(path).ImageId.tolist() == ["b.jpg"]
    with pytest.raises(ValueError, match="does not end in .csv"): Marks(tmp_path/"marks.txt")
    with pytest.raises(ValueError, match="use relabel, look again"): m.put("b.jpg", "nonsense")
    with pytest.raises(FileNotFoundError): read_marks(tmp_path/"none.csv")


# --- the Python half

def test_gallery_draws_only_its_first_page():
    t = Thumbnails(draw)
    g = Gallery(t, ids(12568), columns=3)
    assert g.total == 12568 and 1 <= len(g.first) <= 12 and len(t) == len(g.first) and g.marks is None
    assert abs(g.ratio-400/64) < 1e-9 and g.version == 0
    g.show(ids(3)[::-1], "three")
    assert (g.total, g.title, g.version, [o["id"] for o in g.first]) == (3, "three", 1, ids(3)[::-1])
    g.show([])
    assert (g.total, g.first) == (0, []) and g.still()[:2] == b"\xff\xd8"


def test_the_chosen_image_stays_chosen_while_it_is_in_the_list():
    g = Gallery(Thumbnails(draw), ids(20))
    g.choose(ids(20)[7])
    assert (g.chosen, g.place) == ("s-00007.jpg", 7)
    g.show(ids(20)[5:])
    assert (g.chosen, g.place) == ("s-00007.jpg", 2)
    g.show(ids(5))
    assert (g.chosen, g.place) == ("", -1)
    with pytest.raises(ValueError, match="take one of"): g.choose("nobody.jpg")


def test_slow_pictures_do_not_hold_the_list_up():
    def slow(i):
        time.sleep(.3)
        return draw(i)
    start = time.monotonic()
    g = Gallery(Thumbnails(slow), ids(100))
    assert time.monotonic()-start < 1 and 1 <= len(g.first) < 8


def test_gallery_answers_only_sensible_questions():
    g, sent = Gallery(Thumbnails(draw), ids(200)), []
    g.send = lambda content, buffers=None: sent.append((content, buffers))
    g._heard(g, dict(kind="want", indices=[5, -1, 200, *range(100)], version=0, token="a"), [])
    content, buffers = sent.pop()
    assert [o["index"] for o in content["items"]] == [5, *range(63)] and len(buffers) == 64 and content["token"] == "a"
    g._heard(g, dict(kind="want", indices=[1], version=7, token="b"), [])
    assert sent.pop()[0]["items"] == []
    g._heard(g, dict(kind="mark", id=ids(1)[0], mark="relabel", note=None, token=""), [])
    g._heard(g, dict(kind="nonsense"), [])
    assert sent == []


# --- in the browser: the true Python half answers by way of the page

MODEL = """
export function liveModel(state, delay) {
  const heard = {}, changed = {};
  const fire = (event, ...args) => { for (const f of [...(heard[event] ?? [])]) f(...args); };
  const unpack = (text) => unpackState(JSON.parse(text));
  const update = (news) => {
    const fresh = Object.entries(news).filter(([k, v]) => typeof v === "object" || state[k] !== v);
    for (const [k, v] of fresh) state[k] = v;
    for (const [k, v] of fresh) fire(`change:${k}`, null, v);
  };
  const tell = async (what) => {
    const answers = await window.toPython(JSON.stringify(what));
    setTimeout(() => { for (const a of unpack(answers)) a.state ? update(a.state) : fire("msg:custom", a.content, a.buffers); }, window.delay);
  };
  window.update = (text) => update(unpack(text));
  return { get: (k) => state[k], set(k, v) { state[k] = v; changed[k] = v; fire(`change:${k}`, null, v); },
    save_changes() { tell({ changed: { ...changed } }); for (const k in changed) delete changed[k]; },
    send(content) { window.sent.push(content); tell({ content }); },
    on(event, f) { (heard[event] ??= []).push(f); }, off(event, f) { heard[event] = (heard[event] ?? []).filter((g) => g !== f); } };
}
"""


class Shown:
    "A gallery in a page, with its Python half at the other end."
    def __init__(self, page, gallery, width="100%", mute=False):
        self.page, self.tab, self.gallery, self.out = page, page.tab, gallery, []
        gallery.send = lambda content, buffers=None: self.out.append(dict(content=content, buffers=buffers or []))
        self.tab.expose_function("toPython", (lambda text: "[]") if mute else self.hear)
        script = bundle("page.js")+MODEL.replace("export ", "")+bundle("gallery_widget.js").replace("export default ", "const widget = ")
        self.tab.set_content(f"""<!doctype html><meta name="viewport" content="width=device-width">
            <style>:root {{ color-scheme: light dark }} body {{ margin: 12px }}
            @media (prefers-color-scheme: dark) {{ body {{ background: #16191d }} }}
            {gallery._css}</style><div id="here" style="width:{width}"></div>
            <script type="application/json" id="state">{state_json(gallery.state())}</script>
            <script type="module">{script}
            window.sent = []; window.delay = 5;
            window.end = widget.render({{ model: liveModel(unpackState(JSON.parse(document.getElementById("state").textContent))), el: here }});
            window.view = document.querySelector(".sd-gallery").galleryView;
            </script>""")
        self.tab.wait_for_function("window.view?.layout")

    def hear(self, text):
        said, self.out = json.loads(text), []
        if "changed" in said:
            for name, value in said["changed"].items(): self.gallery.set_trait(name, value)
        else: self.gallery._heard(self.gallery, said["content"], [])
        answers = state_json(dict(a=self.out+[dict(state=dict(note=self.gallery.note))]))
        return answers[len('{"a": '):-1]

    def push(self):
        self.tab.evaluate("text => window.update(text)", state_json(self.gallery.state()))

    def settled(self):
        self.tab.wait_for_function("""() => { const [a, b] = view.seen(); if (view.asked !== null || view.timer) return false;
            for (let i = a; i < b; i++) if (!view.items.has(i)) return false;
            return [...document.querySelectorAll('.sd-gallery-cell img')].every(i => i.complete && i.naturalWidth > 0) }""")

    def names(self):
        "Names of the cells in sight, from top left."
        return self.tab.evaluate("(() => { const [a, b] = view.seen(); return [...view.cells].filter(([i]) => i >= a && i < b)"
                                 ".sort((x, y) => x[0] - y[0]).map(([i]) => view.items.get(i)?.id) })()")

    def asked(self): return self.tab.evaluate("sent.filter(m => m.kind == 'want').flatMap(m => m.indices)")


@pytest.fixture
def page(chromium):
    with Page(chromium, width=1200, height=900) as p:
        yield p
        assert not p.faults() and not p.asked()


def test_one_scrolls_through_12568_and_asks_for_little(page):
    t = Thumbnails(draw, limit=64)
    s = Shown(page, Gallery(t, ids(12568), title="12,568 images"))
    first = s.names()
    assert first[0] == "s-00000.jpg" and len(first) >= 6 and s.tab.locator("[role=listitem]").count() < 60
    s.settled()
    s.tab.evaluate("for (let p = 1; p <= 40; p++) { view.scroll.scrollTop = p / 40 * view.scroll.scrollHeight; view.draw(); }")
    s.settled()
    wait_until(lambda: s.names()[-1] == "s-12567.jpg", "the last picture is there")
    asked = s.asked()
    assert len(asked) == len(set(asked)) < 60, "what was scrolled past is not asked for"
    sent = s.tab.evaluate("sent.filter(m => m.kind == 'want').map(m => m.indices.length)")
    assert max(sent) <= 8 and len(t) <= 64 and s.tab.locator("[role=listitem]").count() < 60
    assert s.tab.locator("[role=list]").get_attribute("aria-busy") is None


def test_the_browser_keeps_a_bounded_number_of_pictures(page):
    s = Shown(page, Gallery(Thumbnails(draw), ids(2000)))
    s.tab.evaluate("view.limit = 50")
    for part in range(7):
        s.tab.evaluate("p => { view.scroll.scrollTop = p * 1500 }", part)
        s.settled()
    kept = s.tab.evaluate("[...view.items.keys()]")
    assert len(kept) <= 50 and 1 not in kept
    s.tab.evaluate("view.scroll.scrollTop = 0")
    s.settled()
    assert s.names()[1] == "s-00001.jpg", "a forgotten picture comes back"


def test_keys_move_open_and_mark(page, tmp_path):
    g = Gallery(Thumbnails(draw), ids(500), marks=tmp_path/"m.csv")
    s = Shown(page, g)
    s.settled()
    s.tab.locator(".sd-gallery-open").first.focus()
    keyboard = s.tab.keyboard
    s.tab.evaluate("window.leaked = 0, document.addEventListener('keydown', () => { window.leaked++ })")
    for key in "ArrowRight", "ArrowDown", "ArrowDown", "ArrowLeft", "Enter": keyboard.press(key)
    wait_until(lambda: g.chosen, "the choice has arrived")
    assert (g.chosen, g.place) == ("s-00004.jpg", 4)
    assert s.tab.locator("[aria-current=true] img").get_attribute("alt") == "s-00004.jpg: picture 4"
    keyboard.press("r")
    wait_until(lambda: len(g.marks), "the mark has arrived")
    keyboard.press("l")
    wait_until(lambda: g.marks.mark.tolist() == ["look again"], "one mark for each image")
    assert read_marks(tmp_path/"m.csv").ImageId.tolist() == ["s-00004.jpg"]
    assert s.tab.evaluate("document.activeElement.firstElementChild.alt").endswith("marked look again")
    note = s.tab.get_by_label("note on s-00004.jpg")
    note.fill("r is a letter here, l too")
    keyboard.press("Enter")
    wait_until(lambda: read_marks(tmp_path/"m.csv").note.tolist() == ["r is a letter here, l too"], "the note is saved")
    assert s.tab.evaluate("document.activeElement.className") == "sd-gallery-open"
    keyboard.press("l")
    wait_until(lambda: not len(g.marks), "the same key takes the mark off")
    keyboard.press("End")
    s.settled()
    assert s.tab.evaluate("document.activeElement.firstElementChild.alt") == "s-00499.jpg: picture 499"
    keyboard.press("PageUp")
    s.settled()
    assert s.tab.evaluate("view.active") < 498
    keyboard.press("Home")
    assert s.tab.evaluate("[view.active, view.scroll.scrollTop]") == [0, 0]
    assert s.tab.evaluate("leaked") == 0, "a notebook around it would take r and l for its own"


def test_buttons_mark_and_a_failure_is_said(page, tmp_path):
    path = tmp_path/"m.csv"
    s = Shown(page, Gallery(Thumbnails(draw), ids(30), marks=path))
    button = s.tab.get_by_role("button", name="relabel: s-00001.jpg")
    button.click()
    wait_until(path.exists, "the table is written")
    assert button.get_attribute("aria-pressed") == "true"
    path.write_text("somebody else's\n")
    s.tab.get_by_role("button", name="look again: s-00002.jpg").click()
    s.tab.wait_for_function("document.querySelector('[role=alert]').textContent.includes('is not saved')")
    assert path.read_text() == "somebody else's\n" and len(s.gallery.marks) == 2
    path.unlink()
    s.tab.get_by_role("button", name="look again: s-00003.jpg").click()
    s.tab.wait_for_function("!document.querySelector('[role=alert]').textContent")
    assert len(read_marks(path)) == 3


def test_another_list_from_python(page):
    g = Gallery(Thumbnails(draw), ids(3000))
    s = Shown(page, g)
    s.tab.evaluate("view.scroll.scrollTop = 40000")
    s.settled()
    g.show(ids(3000)[::-1], "backwards")
    s.push()
    s.settled()
    assert s.names()[:2] == ["s-02999.jpg", "s-02998.jpg"] and s.tab.get_by_role("status").inner_text() == "backwards"
    g.choose("s-01000.jpg")
    s.push()
    s.settled()
    assert "s-01000.jpg" in s.names() and s.tab.locator("[aria-current=true]").count() == 1
    g.show([], "nothing fits")
    s.push()
    assert s.tab.locator("[role=listitem]").count() == 0 and s.tab.get_by_role("status").inner_text() == "nothing fits"
    s.tab.evaluate("window.end()")
    assert s.tab.locator(".sd-gallery").count() == 0


def test_odd_names_and_vanished_files_are_words(page):
    s = Shown(page, Gallery(Thumbnails(draw), [*ODD, "gone <i>.jpg"], marks=Marks()))
    s.settled()
    assert s.names() == [*ODD, "gone <i>.jpg"] and s.tab.locator(".sd-gallery b > *, .sd-gallery i").count() == 0
    assert [b.inner_text() for b in s.tab.locator(".sd-gallery-words b").all()] == [*ODD, "gone <i>.jpg"]
    assert "not shown: there is no image gone <i>.jpg" in s.tab.locator(".sd-gallery-words").last.inner_text()
    s.tab.get_by_role("button", name=f"relabel: {ODD[1]}").click()
    wait_until(lambda: len(s.gallery.marks), "the mark has arrived")
    assert s.gallery.marks.ImageId.tolist() == [ODD[1]]


def test_a_mark_set_before_anybody_looks_is_seen(page):
    g = Gallery(Thumbnails(draw), ids(30), marks=Marks())
    g.mark("s-00001.jpg", "relabel", "from Python")
    s = Shown(page, g)
    assert s.tab.get_by_label("note on s-00001.jpg").input_value() == "from Python"
    assert s.tab.get_by_role("button", name="relabel: s-00001.jpg").get_attribute("aria-pressed") == "true"


def test_a_kernel_that_does_not_answer_is_named(page):
    s = Shown(page, Gallery(Thumbnails(draw), ids(300)), mute=True)
    s.tab.wait_for_function("sent.length == 1")
    for top in 2000, 4000, 6000:
        s.tab.evaluate("async top => { view.scroll.scrollTop = top; await new Promise(done => setTimeout(done, 80)) }", top)
    assert s.tab.evaluate("sent.length") == 1
    s.tab.evaluate("view.scroll.scrollTop = 0")
    s.tab.evaluate("view.slow = 150, view.wait(1)")
    s.tab.wait_for_function("document.querySelector('[role=alert]').textContent.includes('does not answer')")
    assert len(s.asked()) <= 8, "one batch, and no second before the first is answered"
    s.tab.wait_for_function("sent.length == 2")
    assert s.names()[0] == "s-00000.jpg"


@pytest.mark.parametrize("width, ratio, columns", [(1180, 6.25, 2), (380, 6.25, 1), (360, 1, 2), (1180, 1, 6), (1180, .5, 6)])
def test_columns_fit_the_room(page, width, ratio, columns):
    shape = (64, round(64*ratio), 3)
    s = Shown(page, Gallery(Thumbnails(lambda i: (np.full(shape, 99, np.uint8), "words "*9)), ids(100), marks=Marks()), width=f"{width}px")
    s.settled()
    assert s.tab.evaluate("view.layout.n") == columns
    assert s.tab.evaluate("view.scroll.scrollWidth <= view.scroll.clientWidth && document.documentElement.scrollWidth <= innerWidth")
    inside = """[...document.querySelectorAll('.sd-gallery-cell')].every(c => [...c.querySelectorAll('button')].every(b => {
        const o = c.getBoundingClientRect(), i = b.getBoundingClientRect();
        return i.right <= o.right + .5 && i.bottom <= o.bottom + .5 && i.height > 20 }))"""
    assert s.tab.evaluate(inside)
    s.tab.evaluate("here.style.width = '700px'")
    s.tab.wait_for_function("view.scroll.getBoundingClientRect().width == 700 && view.cells.get(0).getBoundingClientRect().width < 700")


def test_a_saved_page_keeps_its_first_pictures(chromium, tmp_path):
    g = Gallery(Thumbnails(draw), ids(12568), title="all of them", marks=Marks())
    with open_file(chromium, g.to_html(tmp_path/"page.html")) as p:
        p.tab.wait_for_selector(".sd-gallery img")
        assert p.tab.locator("[role=listitem]").count() == len(g.first)
        assert f"The first {len(g.first)} are shown" in p.tab.get_by_role("status").inner_text() and p.tab.locator(".sd-gallery-tools").count() == 0
        p.tab.locator(".sd-gallery-open").nth(1).click()
        assert p.tab.locator("[aria-current=true]").count() == 1 and not p.faults() and not p.asked()


if screenshots():
    @pytest.mark.parametrize("dark, width", [(False, 1200), (True, 1200), (False, 400), (True, 400)])
    def test_screenshots(chromium, root, dark, width):
        from steel_defects.catalog import read_severstal
        from steel_defects.overlay import overlay_masks
        c = read_severstal(root/"data"/"sample"/"train.csv", root/"data"/"sample"/"train_images")
        words = lambda i: ", ".join(f"{k.label} 1,234 px" for k in c.classes if c.text(i, k.id)) or "clean"
        pictures = Thumbnails(lambda i: (overlay_masks(c.image(i), c.stack(i), c.classes), words(i)))
        with Page(chromium, dark=dark, width=width, height=900) as p:
            g = Gallery(pictures, [*c.ids[:7], "gone <b>.jpg", *c.ids[8:]], title="32 of 12,568 images", marks=Marks())
            g.mark(c.ids[1], "relabel", "the rim is too wide")
            s = Shown(p, g)
            g.choose(c.ids[2])
            s.push()
            s.settled()
            p.tab.locator(".sd-gallery-open").first.focus()
            p.tab.keyboard.press("ArrowRight")
            p.tab.screenshot(path=screenshots()/f"gallery_{width}_{'dark' if dark else 'light'}.png")


def test_lines_of_words_on_a_sheet():
    picture = thumbnail(np.full((64, 400), 90, np.uint8))
    sizes = []
    for words in ("one", "one\ntwo", "one\ntwo\nthree"):
        sheet = np.asarray(Image.open(io.BytesIO(contact_sheet([(picture, words), (picture, "one")], 2))).convert("L"))
        sizes.append(sheet.shape[0])
    assert np.diff(sizes).tolist() == [20, 20]
    assert (np.asarray(Image.open(io.BytesIO(contact_sheet([(picture, "one\ntwo")], 2))).convert("L"))[-32:-12, :400] < 128).any()
