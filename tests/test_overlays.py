"Overlays: filters agree with plain loops, an explorer answers without a browser, and once in a real JupyterLab."
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from browser import screenshots, wait_until
from steel_defects.catalog import Catalog
from steel_defects.decision import Decision, decide
from steel_defects.defects import SEVERSTAL
from steel_defects.evaluate import score_catalog
from steel_defects.gallery import read_marks
from steel_defects.images import write_image
from steel_defects.overlay import compare_masks, overlay_masks
from steel_defects.overlays import ORDERS, CLASS_OUTCOMES, OverlayExplorer, catalog_table, filter_images, labelled_area, strip_picture
from steel_defects.rle import rle_encode

LABELS = ["ImageId", "ClassId", "EncodedPixels"]
TYPES = {c.id: c.type.name for c in SEVERSTAL}


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    "Twenty-four small strips of two sizes with random boxes; every third is clean; names with quotes and angle brackets."
    folder, rng, rows, sizes = tmp_path_factory.mktemp("images"), np.random.default_rng(0), [], []
    for n in range(24):
        name, shape = f"<{n}> & 'x' \"y\".png", (64, 240) if n%2 else (48, 96)
        write_image(folder/name, rng.random(shape))
        sizes.append((name, *shape))
        for c in () if n%3 == 0 else sorted(rng.choice([1, 2, 3, 4], 1+n%2, replace=False)):
            mask = np.zeros(shape, bool)
            mask[4:10+n, 8:20+n] = True
            rows.append((name, c, rle_encode(mask)))
    labels = pd.DataFrame(rows, columns=LABELS).astype({"ClassId": int})
    return Catalog(labels, pd.DataFrame(sizes, columns=["ImageId", "height", "width"]), SEVERSTAL, folder)


@pytest.fixture(scope="module")
def probabilities(truth):
    "Labels moved; some forgotten, some made up."
    rng = np.random.default_rng(1)
    moved = lambda m: np.roll(m, 4, 1) if rng.random() < .8 else rng.random(m.shape) < .0005
    return {i: np.stack([np.where(moved(m), 200, 20) for m in truth.stack(i)]).astype(np.uint8) for i in truth.ids}


@pytest.fixture(scope="module")
def found(truth, probabilities):
    rows = [(i, c+1, rle_encode(m)) for i, p in probabilities.items() for c, m in enumerate(p > 128) if m.any()]
    return replace(truth, labels=pd.DataFrame(rows, columns=LABELS))


@pytest.fixture(scope="module")
def table(truth, found): return score_catalog(truth, found)


@pytest.fixture(scope="module")
def folds(truth): return pd.DataFrame(dict(ImageId=truth.ids[:20], fold=np.arange(20)%3))


@pytest.fixture(scope="module")
def images(truth, table, folds): return catalog_table(truth, table, folds).assign(area=labelled_area(truth))


# --- filters

def loop(truth, table, folds, *, class_id=None, kind="", score="dice", between=(0, 1), outcome="", fold=None, text="", order="catalog"):
    "The same filters, image by image."
    kept = []
    for i in truth.ids:
        rows = table[(table.ImageId == i)]
        there = rows.tp+rows.fn > 0
        bears = rows.ClassId[there].tolist()
        mine = rows[rows.ClassId == class_id] if isinstance(class_id, int) else rows
        happened = ["found" if r.tp else "missed" if r.fn else "false alarm" if r.fp else "" for r in mine.itertuples()]
        scored = mine[mine.tp+mine.fp+mine.fn > 0]
        value = scored[score].mean() if len(scored) else np.nan
        if class_id == "clean" and bears or class_id == "labelled" and not bears: continue
        if isinstance(class_id, int) and class_id not in bears and outcome != "false alarm": continue
        if kind and kind not in [TYPES[c] for c in bears]: continue
        if outcome and outcome not in happened: continue
        if between != (0, 1) and not between[0] <= value <= between[1]: continue
        if fold is not None and fold not in folds.fold[folds.ImageId == i].tolist(): continue
        if text.lower() not in i.lower(): continue
        kept.append((i, value, truth.stack(i).sum()))
    key = {"catalog": lambda o: 0, "name": lambda o: o[0], "area": lambda o: -o[2],
           "worst": lambda o: (np.isnan(o[1]), o[1]), "best": lambda o: (np.isnan(o[1]), -o[1])}
    return [o[0] for o in sorted(kept, key=key[order])]


CASES = [dict(), *(dict(class_id=c) for c in (1, 2, 3, 4, "clean", "labelled")), *(dict(kind=k) for k in dict.fromkeys(TYPES.values())),
         *(dict(outcome=o) for o in CLASS_OUTCOMES), *(dict(class_id=c, outcome=o) for c in (1, 3, "clean", "labelled") for o in CLASS_OUTCOMES),
         *(dict(order=o) for o in ORDERS), dict(class_id=4, order="worst", score="iou"), dict(between=(.2, .7)),
         dict(between=(0, .99), score="recall"), dict(between=(1, 1), class_id=2), dict(fold=1), dict(fold=0, order="best"),
         dict(text="<1"), dict(text="X' \"Y"), dict(text="a.b"), dict(text="(")]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_filters_agree_with_a_loop(truth, table, folds, images, case):
    assert filter_images(images, **case) == loop(truth, table, folds, **case)


def test_the_cases_say_something(truth, table, folds):
    found = [len(loop(truth, table, folds, **case)) for case in CASES]
    assert sum(0 < n < len(truth) for n in found) > len(CASES)*.6


def test_marks_filter(truth, images):
    marks = pd.DataFrame(dict(ImageId=[truth.ids[5], "not here.png", truth.ids[2]], mark=["relabel", "relabel", "look again"]))
    kept = lambda mark: filter_images(images, marks=marks, mark=mark)
    assert kept("relabel") == [truth.ids[5]] and kept("look again") == [truth.ids[2]]
    assert kept("any mark") == [truth.ids[2], truth.ids[5]] and len(kept("no mark")) == len(truth)-2
    assert filter_images(images, marks=marks.iloc[:0], mark="any mark") == []


def test_table_without_scores_and_with_few(truth, table):
    assert "dice" not in catalog_table(truth) and "fold" not in catalog_table(truth)
    part = catalog_table(truth, table[table.ImageId.isin(truth.ids[:5])])
    assert part.dice[5:].isna().all() and (part.outcome_1[5:] == "").all()
    nothing = table.assign(tp=0, fp=0, fn=0)
    assert filter_images(catalog_table(truth, nothing), outcome="missed") == []
    assert filter_images(catalog_table(truth, nothing), order="worst") == truth.ids
    with pytest.raises(ValueError, match="no column 'tp'"): catalog_table(truth, table.drop(columns="tp"))
    with pytest.raises(ValueError, match="twice"): catalog_table(truth, pd.concat([table, table]))
    with pytest.raises(ValueError, match="stands twice in folds"): catalog_table(truth, folds=pd.DataFrame(dict(ImageId=["a", "a"], fold=[0, 1])))


def test_no_label_at_all(truth):
    bare = replace(truth, labels=truth.labels.iloc[:0])
    assert labelled_area(bare).tolist() == [0]*24 and catalog_table(bare).clean.all()
    assert filter_images(catalog_table(bare), class_id=1) == []


# --- pictures

def test_pictures_are_those_of_the_library(truth, found, probabilities):
    i, d = truth.ids[7], Decision((128,)*4, (30,)*4)
    assert np.array_equal(strip_picture(truth, i)[0], overlay_masks(truth.image(i), truth.stack(i), SEVERSTAL, opacity=.5))
    expected = compare_masks(truth.image(i), truth.stack(i), decide(probabilities[i], d), SEVERSTAL, opacity=.5)
    assert np.array_equal(strip_picture(truth, i, probabilities, decision=d)[0], expected)
    assert np.array_equal(strip_picture(truth, i, found=found)[0], strip_picture(truth, i, probabilities)[0])


def test_faults_become_captions(truth, probabilities, tmp_path):
    i = truth.ids[7]
    assert "there is no image" in strip_picture(replace(truth, folder=tmp_path), i)[1]
    assert "There are no probabilities" in strip_picture(truth, i, {})[1]
    assert "not shown" in strip_picture(truth, i, {i: np.zeros((2, 3, 3), np.uint8)})[1]
    broken = np.full((4, 64, 240), .5)
    broken[0, 3, 3] = np.nan
    assert "NaN" in strip_picture(truth, i, {i: broken})[1]
    assert "predict it first" in strip_picture(truth, i, found=truth.subset(truth.ids[:3]))[1]
    assert strip_picture(replace(truth, folder=None), i)[1].count(";") == 0, "labels only is no fault"


# --- the explorer without a browser

def test_explorer_filters_opens_steps_and_marks(truth, probabilities, table, folds, tmp_path):
    d = Decision((100, 110, 120, 130), (1, 2, 3, 4), 9)
    e = OverlayExplorer(truth, probabilities, decision=d, table=table, folds=folds, marks=tmp_path/"m.csv")
    assert e.value == d and e.shown == truth.ids and e.gallery.title == "24 of 24 images" and set(e.filters) == {
        "class_id", "kind", "outcome", "score", "between", "fold", "mark", "text", "order"}
    e.filters["class_id"].value = "labelled"
    e.filters["order"].value = "area"
    assert e.shown == filter_images(e.images, class_id="labelled", order="area") and e.gallery.title == "16 of 24 images"
    assert e.where.value.endswith("not among the images shown") and e.before.disabled and not e.after.disabled
    e.step()
    assert e.viewer.strip["id"] == e.shown[0] == e.gallery.chosen
    e.step(); e.step(-1); e.step(-1)
    assert e.gallery.chosen == e.shown[0] and e.before.disabled
    e.gallery.set_trait("chosen", e.shown[-1])
    assert e.viewer.strip["id"] == e.shown[-1] and e.after.disabled and e.where.value.endswith("16 of 16")
    e.markers["relabel"].click()
    assert read_marks(tmp_path/"m.csv").ImageId.tolist() == [e.shown[-1]] and e.markers["relabel"].button_style == "info"
    e.filters["mark"].value = "relabel"
    assert e.shown == [e.viewer.strip["id"]]
    e.markers["relabel"].click()
    assert not len(e.marks) and len(e.shown) == 1, "what is shown stays until a filter is moved"
    e.filters["mark"].value = ""
    e.filters["fold"].value = 2
    assert set(e.shown) <= set(folds.ImageId[folds.fold == 2]) and e.shown
    e.filters["text"].value = "nobody"
    assert e.shown == [] and e.gallery.title == "0 of 24 images: widen the filters" and e.still()[:2] == b"\xff\xd8"
    e.step()


def test_the_gallery_follows_the_decision_when_asked(truth, probabilities):
    e = OverlayExplorer(truth, probabilities)
    before = [o["picture"] for o in e.gallery.first]
    e.viewer.thresholds = [10]*4
    e.redraw.click()
    assert e.value == Decision((10,)*4, (0,)*4) and [o["picture"] for o in e.gallery.first] != before and e.shown == truth.ids


def test_explorer_takes_poor_input(truth, found, tmp_path):
    one = OverlayExplorer(truth.subset(truth.ids[:1]))
    assert one.gallery.title == "1 of 1 image" and one.before.disabled and one.after.disabled and "outcome" not in one.filters
    assert OverlayExplorer(truth, found=replace(truth, labels=truth.labels.iloc[:0])).gallery.first[1]["caption"].endswith("missed")
    assert "not shown" in OverlayExplorer(replace(truth, folder=tmp_path)).gallery.first[0]["caption"]
    assert OverlayExplorer(replace(truth, folder=None)).gallery.first[0]["caption"] == "clean"
    with pytest.raises(ValueError, match="holds no image"): OverlayExplorer(truth.subset([]))
    with pytest.raises(ValueError, match="4 classes and the decision 2"): OverlayExplorer(truth, decision=Decision((9, 9), (0, 0)))


# --- in JupyterLab

CELL = """
from pathlib import Path
from steel_defects.catalog import read_severstal
from steel_defects.decision import read_decision
from steel_defects.evaluate import score_catalog
from steel_defects.overlays import OverlayExplorer
import numpy as np
sample = Path("data/sample")
catalog = read_severstal(sample/"train.csv", sample/"train_images")
table = score_catalog(catalog, read_severstal(sample/"found/found.csv", sample/"train_images"))
look = lambda i: np.load(sample/"found/probabilities"/f"{i}.npz")["probability"]
explorer = OverlayExplorer(catalog, look, decision=read_decision(sample/"found/decision.json"), table=table, marks="marks.csv")
explorer
"""
SIGHT = [(dark, width) for dark in (False, True) for width in (1200, 400)] if screenshots() else [(False, 1200)]


@pytest.mark.thorough
@pytest.mark.parametrize("dark, width", SIGHT)
def test_overlays_in_jupyterlab(lab, chromium, dark, width):
    (lab.folder/"marks.csv").unlink(missing_ok=True)
    with lab.open(chromium, lab.write("overlays.ipynb", CELL), dark=dark, width=width, height=1700) as nb:
        nb.run_all()
        tab = nb.tab
        tab.wait_for_selector(".sd-gallery img")
        tab.get_by_label("class", exact=True).select_option(label="3 crack")
        status = tab.locator(".sd-gallery [role=status]")
        wait_until(lambda: re.fullmatch(r"([1-9]|[12]\d) of 32 images", status.inner_text()), "the gallery follows the filter")
        tab.locator(".sd-gallery-open").nth(1).click()
        tab.get_by_text(re.compile(r": 2 of \d+$")).wait_for()
        assert nb.run("print(explorer.gallery.place, explorer.viewer.strip['id'] == explorer.shown[1])") == "1 True\n"
        tab.locator(".sd-gallery-open").nth(1).focus()
        for key in "ArrowLeft", "r": tab.keyboard.press(key)
        wait_until(lambda: (lab.folder/"marks.csv").is_file(), "the mark is saved")
        assert nb.run("print(explorer.marks.ImageId.tolist() == explorer.shown[:1], explorer.marks.mark[0])") == "True relabel\n"
        assert tab.evaluate("window.sdPanel.content.widgets.map(c => c.model.type)") == ["code"]*3, "no key has reached the notebook"
        if screenshots():
            nb.show(tab.locator(".jp-OutputArea-output").first)
            tab.screenshot(path=screenshots()/f"overlays_{width}_{'dark' if dark else 'light'}.png")
        known = "console: Failed to execute 'removeChild'"  # JupyterLab's own toolbar on a narrow screen, without any widget too
        assert not [f for f in nb.faults() if width > 1000 or not f.startswith(known)]


def test_folds_of_any_kind(truth):
    "A table that lacks images makes no 1.0 of fold 1; names and numbers may stand together."
    a, b = truth.ids[:2]
    for values, names in (((1, 0), ["0", "1"]), ((1, "held out"), ["1", "held out"])):
        e = OverlayExplorer(truth, folds=pd.DataFrame(dict(ImageId=[a, b], fold=values)))
        assert [n for n, _ in e.filters["fold"].options] == ["all folds", *names]
        e.filters["fold"].value = values[0]
        assert e.shown == [a]
        e.filters["fold"].value = values[1]
        assert e.shown == [b]
