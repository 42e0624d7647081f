"The browser's numbers equal Python's; the explorer works in a page opened from disk, and both halves keep one decision."
import json
import shutil
import subprocess
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browser import chromium, lab, open_file, screenshots, wait_until  # noqa: F401
from test_viewer_browser import CONTRAST
from traitlets import TraitError

from steel_defects.calibration import plateau
from steel_defects.catalog import Catalog
from steel_defects.decision import Decision, quantise
from steel_defects.defects import SEVERSTAL
from steel_defects.images import write_image
from steel_defects.live import bundle, state_json
from steel_defects.rle import rle_encode
from steel_defects.sweep import Sweep, sweep_dice, sweep_rejected, sweep_screening, sweep_trade, threshold_sweep
from steel_defects.thresholds import ThresholdExplorer, plot_sweep, sweep_data, telling_images

CLASSES, SHAPE, AREAS = SEVERSTAL[:3], (32, 96), (0, 4, 16, 64)
NAMES = ['a<b>.png', 'it"s \'q\'.png', "</script>.png"]


def strip(rng, bears):
    rows, columns = np.mgrid[:32, :96]
    truth = np.stack([np.hypot(rows-rng.uniform(8, 24), columns-rng.uniform(10, 86)) < rng.uniform(3, 8), np.abs(columns-rng.uniform(6, 90)) < 2,
                      np.zeros(SHAPE, bool)]) & bears
    return quantise(np.clip(truth*rng.uniform(.2, .8)+rng.normal(.12, .1, truth.shape), 0, 1)), truth


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    "Twenty strips in twelve groups, some with names that are hard to write: catalog, probabilities, sweep."
    folder, rng, rows, stored = tmp_path_factory.mktemp("strips"), np.random.default_rng(1), [], {}
    names = [n.replace("/", "_") for n in NAMES]+[f"{i:02d}.png" for i in range(17)]
    for i, name in enumerate(names):
        stored[name], truth = strip(rng, i%3 > 0)
        write_image(folder/name, np.clip(rng.normal(.5, .1, SHAPE)+.2*truth.any(0), 0, 1))
        rows += [(name, c+1, rle_encode(t)) for c, t in enumerate(truth) if t.any()]
    labels = pd.DataFrame(rows, columns=["ImageId", "ClassId", "EncodedPixels"])
    catalog = Catalog(labels, pd.DataFrame(dict(ImageId=names, height=SHAPE[0], width=SHAPE[1])), CLASSES, folder)
    pairs = ((stored[i], catalog.stack(i)) for i in names)
    sweep = threshold_sweep(pairs, ids=names, groups=[i//2 if i < 16 else i for i in range(20)], areas=AREAS, draws=100, progress=False)
    return catalog, stored, sweep


@pytest.fixture(scope="module")
def explorer(data):
    catalog, stored, sweep = data
    return ThresholdExplorer(sweep, CLASSES, catalog=catalog, probabilities=stored, strips=sweep.ids[:5], note="A set for <tests>.")


# --- Numbers, in node

def in_node(tmp_path, state, script):
    "Run a script over the functions of thresholds.js; `s` is the sweep. What it gives, as Python values."
    if not shutil.which("node"): pytest.skip("no node to run the script in")
    (tmp_path/"state.json").write_text(state_json(state))
    (tmp_path/"run.mjs").write_text(bundle("thresholds.js")+"\n"+bundle("page.js")+f"""
import {{ readFileSync }} from "node:fs";
const state = unpackState(JSON.parse(readFileSync({json.dumps(str(tmp_path/"state.json"))}, "utf8")));
const s = await readSweep(state.sweep);
console.log(JSON.stringify(await (async () => {{ {script} }})(), (k, v) => (ArrayBuffer.isView(v) ? [...v] : v)));""")
    done = subprocess.run(["node", tmp_path/"run.mjs"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def plain(d): return dict(thresholds=d.thresholds, min_areas=d.min_areas, gate=d.gate)


def test_numbers_equal_pythons(data, tmp_path):
    sweep, rng = data[2], np.random.default_rng(0)
    decisions = [Decision(rng.integers(0, 256, 3), rng.choice(AREAS, 3), int(rng.choice([0, 0, 90, 140]))) for _ in range(40)]
    decisions += [Decision((k,)*3, (a,)*3) for k in (0, 255) for a in (0, 64)]
    got = in_node(tmp_path, dict(sweep=sweep_data(sweep), decisions=[plain(d) for d in decisions]), """return state.decisions.map((d) => {
        const rejected = rejectedBy(s, d), scores = imageDice(s, d);
        return { rejected, screen: screenImages(s, rejected), scores, trade: [0, 1, 2].map((c) => tradeOff(s, d, c)),
                 lists: ["escapes", "overkill", "all"].map((which) => worstFirst(listImages(s, rejected, which), scores)) }; });""")
    for d, seen in zip(decisions, got):
        rejected, table, scores = sweep_rejected(sweep, d), sweep_screening(sweep, d), sweep_dice(sweep, d).mean(1)
        assert seen["rejected"] == rejected.tolist()
        for name, row in table.iterrows():
            js = seen["screen"][name]
            assert (js["images"], js["of"], js["groups"]) == (row.images, row.of, row.groups)
            np.testing.assert_allclose([js["rate"], js["low"], js["high"]], [row.rate, row.low, row.high], atol=1e-9)
        np.testing.assert_allclose(seen["scores"], scores, atol=1e-6)
        for c in range(3):
            trade = sweep_trade(sweep, d, c)
            assert seen["trade"][c]["escapes"] == trade.escapes.tolist() and seen["trade"][c]["overkill"] == trade.overkill.tolist()
        bad = sweep.defective
        assert [set(x) for x in seen["lists"][:2]] == [set(np.flatnonzero(bad & ~rejected)), set(np.flatnonzero(~bad & rejected))]
        assert (np.diff(np.array(seen["scores"])[seen["lists"][2]]) >= 0).all()


def test_curves_and_plateaus_equal_pythons(data, tmp_path):
    sweep = data[2]
    got = in_node(tmp_path, dict(sweep=sweep_data(sweep)), """return { dice: s.dice, low: s.low, best: s.best, plateaus: [0, 1, 2].map((c) => s.areas.map((_, a) => plateauOf(curveOf(s, s.dice, c, a)))),
        two: plateauOf(Float32Array.from([0.5, 0.9, 0.1, 0.9, 0.899, 0.2])), flat: plateauOf(new Float32Array(256)),
        areas: [[20, 16], [20, 64], [9, 0], [999, 16], [64, 0]].map(([to, from]) => nearestArea(s.areas, to, from)) };""")
    np.testing.assert_array_equal(np.float32(got["dice"]), sweep.dice.astype("f4").ravel())
    np.testing.assert_array_equal(np.float32(got["low"]), sweep.low.astype("f4").ravel())
    assert got["plateaus"] == [[list(plateau(curve.astype("f4"))) for curve in curves] for curves in sweep.dice]
    assert got["two"] == [3, 4] and got["flat"] == [0, 255]
    assert got["areas"] == [64, 16, 16, 64, 64], "on from where it was, to the next that was tried"


def test_12568_images_are_quick(tmp_path):
    rng, n, m = np.random.default_rng(0), 12568, 300
    curves = np.broadcast_to(np.linspace(255, 0, 256).astype(np.uint8), (m, 12, 256))
    mean = np.broadcast_to(np.linspace(.9, .1, 256), (4, 12, 256))
    scores = np.where(rng.random((n, 4, 12)) < .6, -1, rng.integers(0, 256, (n, 4, 12))).astype(np.int16)
    bearing = np.stack([rng.choice(n, m, replace=False), rng.integers(0, 4, m)], axis=1)
    sweep = Sweep(tuple(f"{i:05d}.jpg" for i in range(n)), np.isin(np.arange(n), bearing[:, 0]), np.arange(n)//2, (0, 16, 32, 64, 128, 256, 384, 512, 768, 1024, 1536, 2048),
                      mean, mean, mean, scores, np.full(n, 255, np.uint8), bearing, curves)
    data = sweep_data(sweep)
    assert sum(len(v) for v in data.values() if isinstance(v, bytes)) < 3e6
    took = in_node(tmp_path, dict(sweep=data), """
        const d = { thresholds: [90, 90, 90, 90], min_areas: [0, 16, 32, 64], gate: 0 }, times = [];
        for (let n = 0; n < 21; n++) {
          d.thresholds[0] = 60 + n;
          const start = performance.now();
          screenImages(s, rejectedBy(s, d));
          for (const c of [0, 1, 2, 3]) tradeOff(s, d, c);
          times.push(performance.now() - start);
        }
        return times.sort((a, b) => a - b)[10];""")
    assert took < 20, f"one move of a slider takes {took:.0f} ms of counting"


# --- The Python half

def test_value_is_a_decision(data):
    catalog, stored, sweep = data
    start = Decision((30, 40, 50), (4, 0, 16), 9)
    e = ThresholdExplorer(sweep, CLASSES, decision=start)
    assert e.value == start and e.start == dict(thresholds=[30, 40, 50], min_areas=[4, 0, 16], gate=9)
    e.value = Decision((1, 2, 3), (0, 64, 0))
    assert (e.thresholds, e.min_areas, e.gate) == ([1, 2, 3], [0, 64, 0], 0)
    with pytest.raises(ValueError, match="minimum area 5 is not among"): e.value = Decision((1, 2, 3), (5, 0, 0))
    with pytest.raises(ValueError, match="the decision has 1 classes"): e.value = Decision((1,), (0,))
    assert e.value == Decision((1, 2, 3), (0, 64, 0)) and not e.strips and not e.can_ask


@pytest.mark.parametrize("name, value, words", [
    ("thresholds", [1], "1 values for 3 classes"), ("thresholds", [1., 2, 3], "holds 1.0"), ("thresholds", [1, 2, 256], "0 to 255"),
    ("min_areas", [5, 0, 0], "minimum area 5 was not tried: take one of 0, 4, 16, 64"), ("min_areas", [0]*4, "4 values for 3"), ("chosen", "zz.png", "not in the sweep"),
])
def test_what_python_may_not_set(explorer, name, value, words):
    before = getattr(explorer, name)
    with pytest.raises(TraitError, match=words): setattr(explorer, name, value)
    assert getattr(explorer, name) == before


def test_strips_come_by_message(data, explorer):
    catalog, stored, sweep = data
    sent = []
    explorer.send = lambda content, buffers=None: sent.append((content, buffers))
    for question in (dict(kind="strip", id="09.png"), dict(kind="strip", id="../secret.png"), dict(kind="other"), {}): explorer._answer(explorer, question, [])
    del explorer.send
    [(content, buffers)] = sent
    assert content["id"] == "09.png" and content["packed"] == ["image", "probabilities"] and json.dumps(content)
    assert zlib.decompress(buffers[1]) == stored["09.png"].tobytes()


def test_a_vanished_file_becomes_a_sentence(data):
    catalog, stored, sweep = data
    e = ThresholdExplorer(sweep, CLASSES, catalog=replace(catalog, folder=Path("gone")), probabilities={}, strips=1)
    [one] = e.strips.values()
    assert "not shown" in one["note"] and "no probabilities" in one["note"]


@pytest.mark.parametrize("change, words", [
    (dict(classes=CLASSES[:2]), "2 classes and the sweep has 3"),
    (dict(strips=["00.png"], catalog=None), "there is no catalog"),
    (dict(strips=["zz.png"]), "names zz.png, which is not in the sweep"),
])
def test_refusals(data, change, words):
    catalog, stored, sweep = data
    with pytest.raises(ValueError, match=words): ThresholdExplorer(sweep, **dict(classes=CLASSES, catalog=catalog)|change)
    with pytest.raises(TypeError, match="strips is the text"): ThresholdExplorer(sweep, CLASSES, strips="00.png")


def test_telling_images_show_each_outcome(data):
    sweep, d = data[2], Decision((120,)*3, (4,)*3)
    rejected, bad = sweep_rejected(sweep, d), sweep.defective
    first = [sweep.ids.index(i) for i in telling_images(sweep, d, 5)]
    kinds = {(bool(bad[i]), bool(rejected[i])) for i in range(20)}
    assert {(bool(bad[i]), bool(rejected[i])) for i in first} == kinds
    assert len(set(telling_images(sweep, d, 20))) == 20 and telling_images(sweep, d, 0) == []


def lonely(kind):
    "A sweep with nothing to compare: all clean, all defective, or one image."
    rng = np.random.default_rng(2)
    pairs = [strip(rng, kind != "clean") for _ in range(1 if kind == "one" else 4)]
    return threshold_sweep(pairs, ids=[f"{i}.png" for i in range(len(pairs))], areas=AREAS, draws=100, progress=False)


def test_picture_has_a_panel_for_each_class_and_one_for_the_line(data):
    sweep = data[2]
    assert [ax.get_title(loc="left").split(",")[0] for ax in plot_sweep(sweep, CLASSES).axes[:3]] == [c.label for c in CLASSES]
    last = plot_sweep(sweep, CLASSES, Decision((120,)*3, (4,)*3)).axes[3].get_title(loc="left")
    row = sweep_screening(sweep, Decision((120,)*3, (4,)*3)).loc["escapes"]
    assert last.startswith(f"escapes {row.images:.0f} of {row.of:.0f}: {row.rate:.2f}")


@pytest.mark.parametrize("kind", ["clean", "defective", "one"])
def test_still_of_small_sets(kind):
    picture = ThresholdExplorer(lonely(kind), CLASSES).still()
    assert picture[:4] == b"\x89PNG" and len(picture) < 200_000


# --- The browser half, in a page opened from disk

@pytest.fixture(scope="module")
def page(chromium, explorer, tmp_path_factory):  # noqa: F811
    with open_file(chromium, explorer.to_html(tmp_path_factory.mktemp("page")/"thresholds.html", title="Thresholds")) as page:
        page.tab.wait_for_selector(".sd-ts-item")
        yield page
        assert not page.faults() and not page.asked()


def shown(page): return Decision(*(page.tab.evaluate("document.querySelector('.sd-thresholds').thresholdView.decision")[k] for k in ("thresholds", "min_areas", "gate")))
def drag_to(page, slider, value):
    "Drag a slider by its thumb; the value it came to."
    page.drag_slider(slider, value)
    return int(slider.input_value())


def numbers(page): return page.tab.locator("section[aria-label='escapes and overkill'] > p").all_inner_texts()


def in_words(sweep, decision):
    rows = [row for _, row in sweep_screening(sweep, decision).iterrows()]
    return [f"{name}: {row.images:.0f} of {row.of:.0f} {did}, {100*row.rate:.1f} % [{100*row.low:.1f} %, {100*row.high:.1f} %]"
            for name, row, did in zip(("escapes", "overkill"), rows, ("defective images pass", "good images are rejected"))]


def test_page_says_what_it_rests_on(page, data, explorer):
    about = page.tab.locator(".sd-ts-about").first.inner_text()
    assert about.startswith("20 images in 12 groups: 13 defective, 7 good.") and "must not be reported on them. A set for <tests>." in about
    assert shown(page) == explorer.value and numbers(page) == in_words(data[2], explorer.value)
    assert "No image of this set bears this class" in page.tab.locator(".sd-ts-card").nth(2).inner_text()
    assert page.tab.locator(".sd-ts-trade path.sd-ts-line").count() == 3


def test_sliders_move_everything(page, data):
    sweep = data[2]
    slider = page.tab.get_by_label("threshold of 1 inclusion").first
    k = drag_to(page, slider, 70)
    page.tab.get_by_label("minimum area of 2 thin crack in pixels").first.select_option("16")
    decision = wait_until(lambda: (d := shown(page)).min_areas[1] == 16 and d, "the area has changed")
    assert decision.thresholds[0] == k
    wait_until(lambda: numbers(page) == in_words(sweep, decision), "the numbers follow")
    words = page.tab.locator(".sd-ts-words").first.inner_text()
    a = AREAS.index(decision.min_areas[0])
    assert words.startswith(f"Dice {sweep.dice[0, a, k]:.3f} [{sweep.low[0, a, k]:.2f}, {sweep.high[0, a, k]:.2f}]")
    page.tab.get_by_label("which images").select_option("escapes")
    escaped = sweep.defective & ~sweep_rejected(sweep, decision)
    each = sweep_dice(sweep, decision).mean(1)
    wait_until(lambda: page.tab.locator(".sd-ts-item").count() == escaped.sum(), "the list follows")
    assert page.tab.locator(".sd-ts-id").all_inner_texts() == [sweep.ids[i] for i in np.argsort(each, kind="stable") if escaped[i]]
    slider.press("ArrowRight")
    assert wait_until(lambda: shown(page).thresholds[0] == k+1, "keys move it too")


def test_marker_is_dragged_in_the_chart(page):
    chart = page.tab.locator(".sd-ts-chart").nth(1)
    page.drag(chart, (.3, .5), (.8, .5))
    k = round((.8*300-30)/260*255)
    assert abs(shown(page).thresholds[1]-k) <= 1
    assert abs(int(page.tab.get_by_label("threshold of 2 thin crack").first.input_value())-k) <= 1


def test_buttons(page, explorer):
    for name in ("best Dice", "reset"):
        page.drag_slider(page.tab.get_by_label("threshold of 1 inclusion").first, 200)
        assert shown(page) != explorer.value
        page.tab.get_by_role("button", name=name).click()
        assert shown(page) == explorer.value


def test_strips_open_and_are_linked(page, explorer, data):
    page.tab.get_by_label("which images").select_option("here")
    assert page.tab.locator(".sd-ts-item").count() == 5
    opened = page.tab.evaluate("document.querySelector('.sd-strip').stripView.strip.id")
    names = page.tab.locator(".sd-ts-id").all_inner_texts()
    page.tab.locator(".sd-ts-list").press("End")
    page.tab.locator(".sd-ts-list").press("Enter")
    wait_until(lambda: page.tab.evaluate("document.querySelector('.sd-strip').stripView.strip.id") == names[-1] != opened, "the last one is open")
    assert page.tab.locator(".sd-ts-item[aria-selected=true]").inner_text().startswith(names[-1])
    below = page.tab.locator(".sd-strip").get_by_label("threshold of 1 inclusion")
    k = drag_to(page, below, 33)
    assert shown(page).thresholds[0] == k == int(page.tab.locator(".sd-ts-card").first.locator("input[type=range]").input_value())
    page.drag_slider(page.tab.locator(".sd-ts-card").first.locator("input[type=range]"), 150)
    assert int(below.input_value()) == shown(page).thresholds[0] != k
    area = page.tab.locator(".sd-strip").get_by_label("minimum area of 1 inclusion, in steps")
    before = shown(page).min_areas[0]
    area.press("ArrowRight" if before < 64 else "ArrowLeft")
    after = shown(page).min_areas[0]
    assert after in AREAS and abs(AREAS.index(after)-AREAS.index(before)) == 1, "to the next area that was tried"
    shut = next(i for i in data[2].ids if i not in explorer.strips)
    page.tab.get_by_label("which images").select_option("all")
    page.tab.locator(".sd-ts-item", has_text=shut).click(force=True)  # it is shown as shut, and says why
    assert "is not kept in this page" in page.tab.locator("p[role=status]").inner_text()


def test_names_are_text(page):
    page.tab.get_by_label("which images").select_option("here")
    assert {n.replace("/", "_") for n in NAMES} <= set(page.tab.locator(".sd-ts-id").all_inner_texts())


@pytest.mark.parametrize("kind, words", [("clean", "no image of this set is defective"), ("defective", "no image of this set is good"), ("one", "no interval")])
def test_sets_with_nothing_to_compare(chromium, tmp_path, kind, words):  # noqa: F811
    path = ThresholdExplorer(lonely(kind), CLASSES).to_html(tmp_path/"page.html")
    with open_file(chromium, path, width=380, dark=True) as page:
        page.tab.wait_for_selector(".sd-ts-item")
        page.drag_slider(page.tab.get_by_label("threshold of 1 inclusion"), 90)
        page.tab.wait_for_timeout(200)
        text = page.tab.locator(".sd-thresholds").inner_text()
        assert words in text and "A trade between escapes and overkill needs good and defective images" in text and "No strip can be opened" in text
        assert "NaN" not in page.tab.locator(".sd-thresholds").inner_html() and "undefined" not in text
        assert page.tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is wider than a phone"
        assert not page.faults()


def test_gate_is_said(chromium, data, tmp_path):  # noqa: F811
    sweep, d = data[2], Decision((40,)*3, (4,)*3, 130)
    with open_file(chromium, ThresholdExplorer(sweep, CLASSES, decision=d).to_html(tmp_path/"page.html")) as page:
        page.tab.wait_for_selector(".sd-ts-item")
        assert numbers(page) == in_words(sweep, d) and "A gate of 130" in page.tab.locator(".sd-thresholds > .sd-note").inner_text()


@pytest.mark.parametrize("dark", [False, True])
def test_words_stand_out_and_are_not_chatty(chromium, explorer, tmp_path, dark):  # noqa: F811
    with open_file(chromium, explorer.to_html(tmp_path/"page.html"), dark=dark) as page:
        page.tab.wait_for_selector(".sd-strip .sd-class")
        page.tab.get_by_label("which images").select_option("all")
        assert page.tab.evaluate(CONTRAST) == []
        assert page.tab.locator("output").count() == 0
        curves = page.tab.locator(".sd-ts-trade path.sd-ts-line")
        strokes = lambda: curves.evaluate_all("cs => cs.map((c) => c.getAttribute('stroke')).sort()") # all at one moment
        before = strokes()
        page.tab.get_by_label("threshold of 2 thin crack").first.press("ArrowRight")
        wait_until(lambda: curves.nth(2).get_attribute("class").endswith("sd-ts-on"), "the curve of the class that moves lies on top")
        assert wait_until(lambda: strokes() == before, "all curves are there again") and page.tab.locator(".sd-ts-trade path.sd-ts-on").count() == 2


@pytest.mark.parametrize("dark", [False, True])
def test_screenshots(chromium, explorer, tmp_path, dark):  # noqa: F811
    folder = screenshots()
    if folder is None: pytest.skip("no folder for pictures: set STEEL_SHOTS")
    for width in (1200, 400):
        with open_file(chromium, explorer.to_html(tmp_path/"page.html"), dark=dark, width=width) as page:
            page.tab.wait_for_selector(".sd-ts-item")
            page.tab.wait_for_timeout(300)
            page.tab.screenshot(path=folder/f"thresholds_{'dark' if dark else 'light'}_{width}.png", full_page=True)
            assert page.tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.thorough
def test_kernel_sends_strips_and_hears_the_decision(chromium, lab):  # noqa: F811
    name = lab.write("thresholds.ipynb", """
import numpy as np, pandas as pd
from steel_defects.catalog import Catalog
from steel_defects.defects import SEVERSTAL
from steel_defects.sweep import threshold_sweep
from steel_defects.thresholds import ThresholdExplorer
rng = np.random.default_rng(0)
stored = {f"{i}.png": rng.integers(0, 255, (1, 16, 32), np.uint8) for i in range(4)}
labels = pd.DataFrame([("0.png", 1, "1 5"), ("1.png", 1, "9 4")], columns=["ImageId", "ClassId", "EncodedPixels"])
catalog = Catalog(labels, pd.DataFrame(dict(ImageId=list(stored), height=16, width=32)), SEVERSTAL[:1])
sweep = threshold_sweep(((p, catalog.stack(i)) for i, p in stored.items()), ids=list(stored), draws=100, progress=False)
explorer = ThresholdExplorer(sweep, catalog.classes, catalog=catalog, probabilities=stored, strips=1)
explorer""")
    with lab.open(chromium, name) as nb:
        nb.run_all()
        view = nb.tab.locator(".jp-OutputArea-output .sd-thresholds").first
        view.locator(".sd-ts-item").first.wait_for()
        [kept] = json.loads(nb.run("import json; print(json.dumps(list(explorer.strips)))"))
        view.get_by_label("which images").select_option("all")
        wanted = next(f"{i}.png" for i in range(4) if f"{i}.png" != kept)
        view.locator(".sd-ts-item", has_text=wanted).click()
        wait_until(lambda: nb.tab.evaluate("document.querySelector('.sd-strip')?.stripView.strip?.id") == wanted, "the strip has come from the kernel")
        k = drag_to(nb, view.locator(".sd-ts-card input[type=range]").first, 77)
        nb.tab.wait_for_timeout(400)
        assert nb.run("print(explorer.value.thresholds, explorer.chosen)").strip() == f"({k},) {wanted}"
        nb.run(f"explorer.chosen = {kept!r}")
        wait_until(lambda: nb.tab.evaluate("document.querySelector('.sd-strip').stripView.strip.id") == kept, "Python opens a strip too")
        nb.run("explorer.value = type(explorer.value)((5,), (16,))")
        wait_until(lambda: view.locator(".sd-ts-card input[type=range]").first.input_value() == "5", "the sliders follow the kernel")
        assert not nb.faults()
