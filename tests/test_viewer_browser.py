"The viewer in a real browser: its canvas against the library's pictures, pixel by pixel; keys, fingers, pointer, words, bad input."
import base64
import hashlib
import io
import itertools

import numpy as np
import pytest
from browser import chromium, lab, open_file, pixels, wait_until  # noqa: F401
from PIL import Image
from scipy.ndimage import label
from test_viewer import AREAS, tricky_planes

from steel_defects.catalog import read_severstal
from steel_defects.decision import Decision, decide, default_decision, read_decision
from steel_defects.defects import SEVERSTAL
from steel_defects.metrics import counts, dice, iou
from steel_defects.overlay import compare_masks, overlay_masks, to_rgb
from steel_defects.predict import read_probabilities
from steel_defects.regions import region_table
from steel_defects.widgets import StripViewer, catalog_strip, strip_data, view_strip

H, W = 36, 70
IMAGE = (np.arange(H*W).reshape(H, W)*7%256).astype(np.uint8)
PLANES = tricky_planes(H, W)[[0, 2, 3, 6]]
TRUTH = np.roll(PLANES, 5, axis=2) >= 130
VIEW = "document.querySelector('.sd-strip').stripView"


@pytest.fixture
def shown(chromium, tmp_path):  # noqa: F811
    "Write a viewer as a page, open it from disk; at the end nothing may have gone wrong and nothing may have left."
    pages = []
    def show(viewer, **options):
        page = open_file(chromium, viewer.to_html(tmp_path/f"{len(pages)} & page.html"), **options)
        pages.append(page)
        page.tab.wait_for_function(f"{VIEW}?.strip && {VIEW}.pictures")
        return page
    yield show
    faults = [fault for page in pages for fault in page.faults()+page.asked()]
    for page in pages: page.close()
    assert not faults


@pytest.fixture(scope="module")
def real(root):
    "A strip of the sample with what a network answered, and the decision for it."
    sample, one = root/"data"/"sample", "s7-00014.jpg"
    catalog = read_severstal(sample/"train.csv", sample/"train_images")
    p = read_probabilities(sample/"found"/"probabilities"/f"{one}.npz")
    return catalog_strip(catalog, one, {one: p}), catalog.image(one), catalog.stack(one), p, read_decision(sample/"found"/"decision.json")


def picture(view, found, image=IMAGE, truth=TRUTH, opacity=.5):
    "What the library draws."
    if view == "image": return to_rgb(image)
    if view == "compare": return compare_masks(image, truth, found, SEVERSTAL, opacity=opacity)
    return overlay_masks(image, truth if view == "truth" else found, SEVERSTAL, opacity=opacity)


def decision_js(k, area, n=4, gate=0): return f"{{thresholds: Array({n}).fill({k}), min_areas: Array({n}).fill({area}), gate: {gate}}}"
def canvas(page, n=0): return page.tab.locator(".sd-frame canvas").nth(n)
def ask(page, what): return page.tab.evaluate(f"{VIEW}.{what}")
def settle(page): page.tab.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))")


DIGESTS = """async ({ ks, areas, view }) => {
  const strip = document.querySelector('.sd-strip').stripView, canvas = document.querySelector('.sd-frame canvas'), said = [];
  strip.setState({ view });
  for (const k of ks) for (const area of areas) {
    strip.setDecision({ thresholds: Array(4).fill(k), min_areas: Array(4).fill(area), gate: 0 });
    strip.flush();
    const d = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    said.push([...new Uint8Array(await crypto.subtle.digest('SHA-256', d))].map((b) => b.toString(16).padStart(2, '0')).join(''));
  }
  return said;
}"""


def expected_digest(rgb): return hashlib.sha256(np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)]).tobytes()).hexdigest()


@pytest.mark.parametrize("view, areas", [("prediction", (0, 8)), ("compare", AREAS)])
def test_every_threshold_with_minimum_areas(shown, view, areas):
    page = shown(StripViewer(IMAGE, TRUTH, PLANES))
    said = page.tab.evaluate(DIGESTS, dict(ks=list(range(256)), areas=list(areas), view=view))
    for digest, (k, area) in zip(said, itertools.product(range(256), areas), strict=True):
        assert digest == expected_digest(picture(view, decide(PLANES, Decision((k,)*4, (area,)*4)))), f"threshold {k}, minimum area {area}"


@pytest.mark.parametrize("ks", [(0, 1, 5, 100, 200, 255), pytest.param(range(256), marks=pytest.mark.thorough)], ids=("some", "all"))
def test_a_whole_strip(shown, real, ks):
    strip, image, truth, p, _ = real
    page = shown(StripViewer(strip))
    said = page.tab.evaluate(DIGESTS, dict(ks=list(ks), areas=[0, 64], view="compare"))
    for digest, (k, area) in zip(said, itertools.product(ks, (0, 64)), strict=True):
        assert digest == expected_digest(picture("compare", decide(p, Decision((k,)*4, (area,)*4)), image, truth)), (k, area)


def test_views_masks_gate_and_switches(shown):
    viewer = StripViewer(IMAGE, TRUTH, PLANES, decision=Decision((90, 120, 100, 140), (0, 4, 20, 60)))
    page, found = shown(viewer), decide(PLANES, viewer.value)
    for n, view in enumerate(("image", "truth", "prediction", "compare")):
        page.tab.locator(".sd-window").press(str(n+1))
        settle(page)
        assert (pixels(canvas(page))[..., :3] == picture(view, found)).all(), view
        assert (np.reshape(page.tab.evaluate(f"Array.from({VIEW}.rgba('{view}'))"), (H, W, 4))[..., :3] == picture(view, found)).all()
    for c in range(4): assert (np.reshape(page.tab.evaluate(f"Array.from({VIEW}.mask({c}))"), (H, W)) == found[c]).all()
    page.tab.get_by_label("show 2 thin crack").uncheck()
    settle(page)
    assert (pixels(canvas(page))[..., :3] == view_strip(viewer.strip, viewer.value, shown=[True, False, True, True])).all()
    page.tab.get_by_label("contours").uncheck()
    page.tab.get_by_label("patterns").uncheck()
    page.tab.locator(".sd-window").press("2")
    settle(page)
    assert (pixels(canvas(page))[..., :3] == view_strip(viewer.strip, viewer.value, "truth", shown=[True, False, True, True], contour=False, pattern=False)).all()


def test_gate_shuts(shown):
    page = shown(StripViewer(IMAGE, TRUTH, PLANES//2, decision=Decision((10,)*4, (0,)*4, gate=127)))
    assert decide(PLANES//2, Decision((10,)*4, (0,)*4, 127)).any() == bool(page.tab.evaluate(f"{VIEW}.mask(0).includes(1)"))
    ask(page, "decide({gate: 128})")
    settle(page)
    assert not any(page.tab.evaluate(f"{VIEW}.mask({c}).includes(1)") for c in range(4))
    assert "shut, the highest is 127" in page.tab.locator(".sd-gate").inner_text()


def test_sliders_move_picture_and_scores(shown, real):
    strip, image, truth, p, decision = real
    page = shown(StripViewer(strip, decision=decision))
    slider = page.tab.get_by_label("threshold of 3 crack")
    page.drag_slider(slider, 60)
    slider.press("ArrowRight")
    page.tab.get_by_label("minimum area of 3 crack in pixels").fill("77")
    page.tab.get_by_label("minimum area of 3 crack in pixels").press("Enter")
    settle(page)
    told = ask(page, "decision")
    assert told["min_areas"][2] == 77 and abs(told["thresholds"][2]-61) < 12
    now = Decision(told["thresholds"], told["min_areas"], told["gate"])
    found = decide(p, now)
    assert (pixels(canvas(page))[..., :3] == picture("compare", found, image, truth)).all()
    n = counts(found, truth)
    scores = page.tab.locator(".sd-score").all_inner_texts()
    assert scores[2:] == [f"Dice {d:.3f}, IoU {j:.3f}" for d, j in zip(dice(n)[2:], iou(n)[2:])]
    assert scores[0] == "Dice 1, IoU 1 (nothing there, nothing found)"
    assert page.tab.locator(".sd-k").nth(2).inner_text() == f"{now.thresholds[2]} (p {now.thresholds[2]/255:.3f})"


def test_two_views_zoom_and_border(shown):
    viewer = StripViewer(IMAGE, TRUTH, PLANES, layout_mode="pair", view="compare", second="truth")
    page = shown(viewer)
    found, window = decide(PLANES, viewer.value), page.tab.locator(".sd-window")
    def both(): return all((pixels(canvas(page, n))[..., :3] == picture(v, found)).all() for n, v in enumerate(("compare", "truth")))
    assert both()
    fit = ask(page, "scale()")
    for key in "++": window.press(key)
    assert ask(page, "scale()") == pytest.approx(4*fit) and both()
    assert canvas(page).evaluate("c => c.style.transform") == canvas(page, 1).evaluate("c => c.style.transform")
    assert canvas(page).evaluate("c => getComputedStyle(c).imageRendering") == "pixelated"
    x = ask(page, "zoom.x")
    window.press("ArrowRight")
    assert ask(page, "zoom.x") < x
    box = window.bounding_box()
    page.tab.mouse.move(box["x"]+200, box["y"]+80)
    before = page.tab.locator(".sd-readout").inner_text()
    page.tab.keyboard.down("Control")
    page.tab.mouse.wheel(0, -50)
    page.tab.keyboard.up("Control")
    assert wait_until(lambda: ask(page, "scale()") > 4*fit, "the wheel zooms")
    page.tab.mouse.move(box["x"]+200.2, box["y"]+80)
    settle(page)
    assert page.tab.locator(".sd-readout").inner_text().split(":")[0] == before.split(":")[0] or before == "Point at the strip to read it."
    page.drag(window, (.5, .2), (.6, .25))
    assert ask(page, "zoom.scale") > 0
    window.press("0")
    assert ask(page, "scale()") == pytest.approx(fit)
    window.press("l")
    assert ask(page, "state.layout_mode") == "swipe"
    handle = page.tab.get_by_role("slider", name="border between the two views")
    handle.press("ArrowLeft")
    assert handle.get_attribute("aria-valuenow") == "48"
    page.drag(handle, (.5, .2), (-8, .2))
    assert ask(page, "border") < .4 and both()


def test_fingers_zoom_and_move(shown):
    page = shown(StripViewer(IMAGE, TRUTH, PLANES), has_touch=True, width=420)
    box, cdp, fit = page.tab.locator(".sd-window").bounding_box(), page.context.new_cdp_session(page.tab), ask(page, "scale()")
    def touch(kind, *points): cdp.send("Input.dispatchTouchEvent", dict(type=kind, touchPoints=[dict(x=box["x"]+x, y=box["y"]+60, id=i) for i, x in enumerate(points)]))
    touch("touchStart", 150, 200)
    for step in range(1, 6): touch("touchMove", 150-12*step, 200+12*step)
    touch("touchEnd")
    assert ask(page, "scale()") > 2*fit
    x = ask(page, "zoom.x")
    touch("touchStart", 200)
    for step in range(1, 6): touch("touchMove", 200-8*step)
    touch("touchEnd")
    assert ask(page, "zoom.x") < x


def test_pointer_reads_row_column_probability_area_and_type(shown, real):
    strip, image, truth, p, decision = real
    page = shown(StripViewer(strip, decision=decision))
    found = decide(p, decision)
    row, column = np.argwhere(truth[3] & found[3])[100]
    def area(stack):
        table = region_table(stack)
        boxes = table[(table.ClassId == 4) & (table.top <= row) & (row < table.bottom) & (table.left <= column) & (column < table.right)]
        return max(boxes.area)
    scale, box = ask(page, "scale()"), page.tab.locator(".sd-window").bounding_box()
    page.tab.mouse.move(box["x"]+1+(column+.5)*scale, box["y"]+1+(row+.5)*scale+ask(page, "zoom.y"))
    settle(page)
    words = page.tab.locator(".sd-readout").inner_text()
    assert f"row {row}, column {column}: grey {round(float(image[row, column])*255)}" in words
    assert f"4 patch {p[3, row, column]/255:.3f} ({p[3, row, column]}), patch / corrosion: labelled region {area(truth):,} px, found region {area(found):,} px" in words
    page.tab.locator(".sd-window").press("Shift+ArrowRight")
    page.tab.locator(".sd-window").press("Alt+Shift+ArrowDown")
    settle(page)
    assert f"row {row+10}, column {column+1}:" in page.tab.locator(".sd-readout").inner_text()


def test_words_for_those_who_hear(shown, real):
    strip, _, truth, p, decision = real
    page = shown(StripViewer(strip, decision=decision))
    label = canvas(page).get_attribute("aria-label")
    n = len(region_table(decide(p, decision)[3:])), len(region_table(truth[3:]))
    assert "Strip s7-00014.jpg, 256 rows, 1600 columns, found / missed / false" in label
    assert f"4 patch: regions {n[1]} labelled, {n[0]} found; Dice" in label and canvas(page).get_attribute("role") == "img"
    nameless = page.tab.evaluate("""[...document.querySelectorAll('.sd-strip :is(button, input, select, [tabindex])')].filter((e) =>
        !(e.getAttribute('aria-label') || e.closest('label')?.textContent.trim())).map((e) => e.outerHTML)""")
    assert nameless == []
    ask(page, "decideClass('thresholds', 3, 0)")
    wait_until(lambda: "4 patch: regions" in canvas(page).get_attribute("aria-label") and canvas(page).get_attribute("aria-label") != label, "the words follow")
    assert page.tab.locator("[aria-live=polite]").inner_text()


NAME = """a "b" <i onload='x'>&amp;</script>.jpg"""
CASES = {
    "no labels": (lambda: strip_data(IMAGE, None, PLANES), "no labels", "prediction"), "prediction only": (lambda: strip_data(IMAGE, TRUTH, found=PLANES > 99), "without sliders", "compare"),
    "labels only": (lambda: strip_data(IMAGE, TRUTH), "no prediction", "truth"), "steel only": (lambda: strip_data(IMAGE), "neither labels nor a prediction", "image"),
    "prediction, no labels": (lambda: strip_data(IMAGE, found=PLANES > 99), "no labels", "prediction"), "NaN": (lambda: strip_data(IMAGE, TRUTH, PLANES*np.nan), "hold NaN", "truth"),
    "all empty": (lambda: strip_data(IMAGE, TRUTH & False, PLANES*0), "", "compare"), "odd name": (lambda: strip_data(IMAGE, TRUTH, PLANES, image_id=NAME, note=NAME), NAME, "compare"),
    "one pixel": (lambda: strip_data(IMAGE[:1, :1], TRUTH[:, :1, :1], PLANES[:, :1, :1]), "", "compare"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_a_sentence(shown, case):
    make, sentence, view = CASES[case]
    viewer = StripViewer(make())
    page = shown(viewer, dark=True, width=380)
    assert sentence in " ".join(page.tab.locator(".sd-note").all_inner_texts()) if sentence else not page.tab.locator(".sd-note").count()
    assert ask(page, "viewOf('compare')") == view
    assert (pixels(canvas(page))[..., :3] == view_strip(viewer.strip, viewer.value)).all()
    assert page.tab.locator(".sd-strip i").count() == 0
    assert page.tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.tab.locator(".sd-gate").is_visible() == (viewer.strip["probabilities"] is not None)


def test_another_strip_of_another_size(shown, real):
    "Strips follow each other; the last one asked for stays, whatever order they unpack in."
    page = shown(StripViewer(real[0]))
    page.tab.evaluate("""async (small) => { const v = document.querySelector('.sd-strip').stripView, large = v.strip;
        const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
        small.image = bytes(small.image); small.probabilities = bytes(small.probabilities);
        const unpack = Response.prototype.arrayBuffer; let n = 0;   // the first one takes longest to unpack
        Response.prototype.arrayBuffer = function () { return new Promise((go) => setTimeout(go, n++ ? 0 : 300)).then(() => unpack.call(this)); };
        const first = v.setStrip({ ...large }), second = v.setStrip(small); await first; await second; v.flush(); }""", _texted(strip_data(IMAGE, TRUTH, PLANES)))
    assert (pixels(canvas(page))[..., :3] == picture("compare", decide(PLANES, default_decision(4)))).all()
    for broken in ("{...v.strip, image: new Uint8Array([1, 2, 3])}", "{}", "{...v.strip, width: 91}"):
        page.tab.evaluate(f"async () => {{ const v = {VIEW}; window.kept ??= v.strip; v.strip = window.kept; await v.setStrip({broken}); }}")
        assert page.tab.locator(".sd-note").count() == 1
    page.tab.evaluate(f"{VIEW}.setStrip(window.kept)")
    assert (pixels(canvas(page))[..., :3] == picture("compare", decide(PLANES, default_decision(4)))).all()
    assert not page.tab.locator(".sd-note").count()


def _texted(strip):
    return {k: base64.b64encode(v).decode() if isinstance(v, bytes) else v for k, v in strip.items()}


def nearest(page, n=0):
    "Row, column and scale of the canvas pixel under each of some points of the window, from where the browser put the canvas; None outside."
    return page.tab.evaluate("""n => { const v = document.querySelector('.sd-strip').stripView, c = v.canvases[n].getBoundingClientRect(), w = v.window.getBoundingClientRect();
        return [c.left, c.top, c.width, c.height, w.left, w.top, w.width, w.height] }""", n)


@pytest.mark.parametrize("mode", ["one", "pair", "swipe"])
def test_every_pixel_is_read_where_it_is_seen(shown, mode):
    "At any zoom and place: the read-out is that of the pixel under the pointer, and the strip never leaves its window."
    rng, viewer = np.random.default_rng(3), StripViewer(IMAGE, TRUTH, PLANES, layout_mode=mode, decision=Decision((90,)*4, (4,)*4))
    page, found = shown(viewer, width=900), decide(PLANES, viewer.value)
    areas = {name: [label(mask, np.ones((3, 3)))[0] for mask in stack] for name, stack in (("labelled", TRUTH), ("found", found))}
    window, seen = page.tab.locator(".sd-window"), 0
    for _ in range(12):
        ask(page, f"zoomTo({rng.choice([1, 7, 12, 20, 40])}, {{x: {rng.integers(0, 800)}, y: {rng.integers(0, 300)}}})")
        for key in rng.choice(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], 6): window.press(key)
        page.tab.mouse.move(5, 5)
        for n in range(2 if mode == "pair" else 1):
            left, top, width, height, x0, y0, w, h = nearest(page, n)
            room = page.tab.evaluate(f"(r => [r.left, r.top, r.width, r.height])({VIEW}.frames[{n}].getBoundingClientRect())")
            for low, size, begin, all_ in ((left, width, room[0], room[2]), (top, height, room[1], room[3])):
                if size <= all_+1: assert low+size/2 == pytest.approx(begin+all_/2, abs=1.5), "smaller than the window: in its middle"
                else: assert low <= begin+1 and low+size >= begin+all_-1, "larger: no gap at any side"
            x, y = float(room[0]+rng.integers(2, room[2]-2)), float(room[1]+rng.integers(2, room[3]-2))
            page.tab.mouse.move(x, y)
            settle(page)
            row, column = int((y-top)/height*H//1), int((x-left)/width*W//1)
            if not (0 <= row < H and 0 <= column < W) or min((y-top)/height*H%1, (x-left)/width*W%1) < .1: continue
            words, seen = page.tab.locator(".sd-readout").inner_text(), seen+1
            assert words.startswith(f"row {row}, column {column}: grey {IMAGE[row, column]}")
            for c, stored in enumerate(PLANES[:, row, column]):
                part = words.split(" · ")[c+1]
                assert f"{stored/255:.3f} ({stored})" in part
                for name, labels in areas.items():
                    region = labels[c][row, column]
                    assert (f"{name} region {(labels[c] == region).sum():,} px" in part) if region else f"{name} region" not in part
    assert seen >= 6


def test_enlarged_pixels_are_squares_of_one_colour(shown):
    page = shown(StripViewer(IMAGE, view="image"), width=900)
    ask(page, "zoomTo(20, {x: 0, y: 0})")
    settle(page)
    left, top, width, *_ = nearest(page)
    x0, y0 = [round(v) for v in page.tab.evaluate(f"(r => [r.left, r.top])({VIEW}.frames[0].getBoundingClientRect())")]
    shot = np.asarray(Image.open(io.BytesIO(page.tab.screenshot(clip=dict(x=x0, y=y0, width=400, height=200)))).convert("RGB"))
    dy, dx = round(y0-top), round(x0-left)
    rows, columns = (dy+np.arange(200))//20, (dx+np.arange(400))//20
    inner = np.ix_(((dy+np.arange(200))%20 > 1) & ((dy+np.arange(200))%20 < 18), ((dx+np.arange(400))%20 > 1) & ((dx+np.arange(400))%20 < 18))
    assert (shot[inner] == IMAGE[rows][:, columns][inner][..., None]).all()


def test_a_strip_may_change_under_the_hand(shown):
    "Sliders stay the same elements while strips of the same classes come and go; other classes bring other sliders."
    page = shown(StripViewer(IMAGE, TRUTH, PLANES))
    slider = page.tab.get_by_label("threshold of 1 inclusion")
    slider.focus()
    page.tab.evaluate(f"async () => {{ const v = {VIEW}; await v.setStrip({{...v.strip, id: 'next'}}); }}")
    slider.press("ArrowRight")
    assert ask(page, "decision.thresholds") == [129, 128, 128, 128] and slider.evaluate("s => s === document.activeElement")
    page.tab.evaluate(f"async () => {{ const v = {VIEW}, s = v.strip; await v.setStrip({{...s, classes: s.classes.slice(1), truth: s.truth.slice(1), probabilities: null}}); }}")
    assert page.tab.get_by_label("threshold of").count() == 3
    page.tab.evaluate(f"async () => {{ const v = {VIEW}; await v.setStrip({{...v.strip, truth: ['1 99999999', '', '']}}); }}")
    assert "run-length text does not fit" in page.tab.locator(".sd-note").inner_text(), "a sentence, whatever is wrong"


def test_what_changes_fast_is_not_read_out(shown):
    "Sliders say their own value; no other live region speaks while they move."
    page = shown(StripViewer(IMAGE, TRUTH, PLANES, layout_mode="swipe"))
    assert page.tab.locator("output").count() == 0 and page.tab.locator("[aria-live]").count() == 1
    slider, area = page.tab.get_by_label("threshold of 1 inclusion"), page.tab.get_by_label("minimum area of 1 inclusion, in steps")
    said = page.tab.locator("[aria-live]").inner_text()
    for _ in range(3): slider.press("ArrowRight")
    area.press("ArrowRight")
    settle(page)
    assert (slider.get_attribute("aria-valuetext"), area.get_attribute("aria-valuetext")) == ("k 131, p 0.514", "2 px")
    assert page.tab.locator("[aria-live]").inner_text() == said, "only when the sliders rest"
    wait_until(lambda: page.tab.locator("[aria-live]").inner_text() != said, "then the words follow")
    handle = page.tab.get_by_role("slider", name="border between the two views")
    for key, at in (("Home", "0"), ("ArrowRight", "2"), ("End", "100")):
        handle.press(key)
        assert handle.get_attribute("aria-valuenow") == at


CONTRAST = """() => {
  const numbers = (text) => { const m = text.match(/[\\d.]+/g).map(Number); return m.length < 4 ? [...m.slice(0, 3), 1] : m; };
  const over = ([r, g, b, a], below) => [r, g, b].map((v, i) => v * a + below[i] * (1 - a));
  const ground = (el) => { let stack = []; for (; el; el = el.parentElement) { stack.push(numbers(getComputedStyle(el).backgroundColor)); }
    return stack.reverse().reduce((below, c) => over(c, below), matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18] : [255, 255, 255]); };
  const light = (rgb) => { const [r, g, b] = rgb.map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const poor = [];
  for (const el of document.querySelectorAll('.sd *')) {
    if (!el.checkVisibility() || ![...el.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || el.matches(':disabled, option')) continue;
    const style = getComputedStyle(el), back = ground(el), [a, b] = [light(over(numbers(el.ownerSVGElement ? style.fill : style.color), back)), light(back)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(`${el.className} ${el.textContent.slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return poor;
}"""


@pytest.mark.parametrize("dark", [False, True])
def test_words_stand_out(shown, dark):
    page = shown(StripViewer(strip_data(IMAGE, None, PLANES, note="A note."), layout_mode="pair"), dark=dark)
    assert page.tab.evaluate(CONTRAST) == []


IN_LAB = """
import time, ipywidgets, numpy as np
from steel_defects.widgets import StripViewer, strip_data
rng, heard, nap = np.random.default_rng(0), [], 0
P = rng.integers(0, 256, (4, 64, 200)).astype(np.uint8)
def make(n): return strip_data(rng.random((64, 200)), P > 200, P, image_id=f"strip {n}")
def slow(change):
    heard.append(change["new"][0])
    time.sleep(nap)
v = StripViewer(make(0))
v.observe(slow, "thresholds")
v"""
DRAGGED = """() => { window.seen = []; const v = document.querySelector('.sd-strip').stripView, look = () => { if (!window.seen) return;
    seen.push([v.decision.thresholds[0], Number(v.layers[0].k.value)]); requestAnimationFrame(look); }; look(); }"""


@pytest.mark.thorough
def test_hand_and_kernel_do_not_fight(lab, chromium):  # noqa: F811
    "In JupyterLab: no answer of a kernel, quick or slow, moves a dragged slider back; strips may follow each other meanwhile."
    name = lab.write("hand.ipynb", IN_LAB, "ipywidgets.Tab([ipywidgets.HTML('first'), ipywidgets.VBox([v])])", "x = StripViewer(make(7))\nx")
    with lab.open(chromium, name) as nb:
        nb.run_all()
        nb.tab.wait_for_function(f"{VIEW}?.strip && {VIEW}.pictures")
        slider, everywhere = nb.tab.get_by_label("threshold of 1 inclusion").first, "[...document.querySelectorAll('.sd-strip')].map(e => e.stripView)"
        for nap in (0, .08):
            nb.run(f"nap, heard[:] = {nap}, []")
            nb.drag_slider(slider, 5)
            nb.tab.wait_for_timeout(500)
            nb.tab.evaluate(DRAGGED)
            nb.drag_slider(slider, 250, steps=90)
            nb.tab.wait_for_timeout(600)
            seen = np.array(nb.tab.evaluate("() => { const s = seen; window.seen = null; return s }"))
            assert (np.diff(seen, axis=0) >= 0).all() and len(set(seen[:, 0])) > 10, f"a kernel that takes {nap} s"
            assert int(nb.run("print(heard[-1], end='')")) == seen[-1, 0] == seen[-1, 1]
        nb.run("import threading\ndef go():\n    for i in range(15):\n        v.show(make(i))\n        time.sleep(.05)\nnap = 0\nthreading.Thread(target=go).start()")
        nb.drag_slider(slider, 40, steps=60)
        wait_until(lambda: nb.tab.evaluate(f"{VIEW}.strip.id") == "strip 14", "the last strip has come")
        assert abs(nb.tab.evaluate(f"{VIEW}.decision.thresholds[0]")-40) < 12
        hidden = nb.tab.evaluate(f"{everywhere}.map(v => v.window.clientWidth > 0)")
        assert hidden == [True, False, True]
        nb.tab.locator(".jp-OutputArea-output .lm-TabBar-tab").nth(1).click()
        wait_until(lambda: nb.tab.evaluate(f"{everywhere}[1].window.clientHeight > 90 && {everywhere}[1].scale() > 1"), "it finds its size when it is shown")
        assert len(set(nb.tab.evaluate(f"{everywhere}.slice(0, 2).map(v => v.decision.thresholds[0])"))) == 1, "two views of one viewer"
        assert not nb.faults()
        for _ in range(2):
            nb.tab.evaluate("() => { sdPanel.content.activeCellIndex = 2; sdPanel.content.deselectAll(); window.gone = document.querySelectorAll('.sd-strip')[2] }")
            nb._wait("notebook:run-cell", 30)
            wait_until(lambda: nb.tab.evaluate("(s => !gone.isConnected && s.length == 3 && Boolean(s[2].stripView.pictures))([...document.querySelectorAll('.sd-strip')])"), "a view that is gone is gone")
        nb.run("v.thresholds = [1]")
        assert nb.tab.evaluate(f"{VIEW}.decision.thresholds.length") == 4
        assert "thresholds has 1 values for 4 classes" in nb.cells()[-1]["errors"][0]
