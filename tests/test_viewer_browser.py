"The viewer in a real browser: its canvas against the library's pictures, pixel by pixel; keys, fingers, pointer, words, bad input."
import base64
import hashlib
import itertools

import numpy as np
import pytest
from browser import chromium, open_file, pixels, wait_until  # noqa: F401
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
