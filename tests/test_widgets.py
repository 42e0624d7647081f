"Explorers without a browser: a control is set, the picture and the data follow; what is wrong is said in words."
import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from steel_defects.catalog import Catalog
from steel_defects.decision import Decision, decide
from steel_defects.defects import SEVERSTAL
from steel_defects.evaluate import score_catalog
from steel_defects.images import write_image
from steel_defects.overlay import to_rgb
from steel_defects.rle import rle_encode
from steel_defects.widgets import ImbalanceExplorer, MetricExplorer, OverlayExplorer, images_between

LABELS = ["ImageId", "ClassId", "EncodedPixels"]
SHAPE = 64, 240


@pytest.fixture
def truth(tmp_path):
    "Twelve small strips: the first four bear class 1 to 4, the next four class 3 in growing squares, the rest is clean."
    ids, rng, rows = [f"<{n}> & 'x'.png" for n in range(12)], np.random.default_rng(0), []
    for n, name in enumerate(ids):
        write_image(tmp_path/name, rng.random((1, SHAPE[1]))*np.linspace(.4, .5, SHAPE[0])[:, None])
        mask = np.zeros(SHAPE, bool)
        if n < 8:
            mask[8:12+4*n, 20:24+8*n] = True
            rows.append((name, n+1 if n < 4 else 3, rle_encode(mask)))
    images = pd.DataFrame(dict(ImageId=ids, height=SHAPE[0], width=SHAPE[1]))
    return Catalog(pd.DataFrame(rows, columns=LABELS), images, SEVERSTAL, tmp_path)


@pytest.fixture
def probabilities(truth):
    "Surest where a label is, less sure in a frame around it, and one speck."
    p = {}
    for i in truth.ids:
        stack = truth.stack(i)
        p[i] = np.where(stack, 200, np.where(np.roll(stack, 6, axis=2), 90, 10)).astype(np.uint8)
        p[i][0, 60, 230:233] = 220
    return p


@pytest.fixture
def found(truth, probabilities):
    rows = [(i, c+1, rle_encode(m)) for i, p in probabilities.items() for c, m in enumerate(decide(p, Decision((60,)*4, (8,)*4))) if m.any()]
    return replace(truth, labels=pd.DataFrame(rows, columns=LABELS))


def shown(gallery): return [cell for cell in gallery.cells if cell.layout.display != "none"]


def pixels(picture): return np.asarray(Image.open(io.BytesIO(bytes(picture.value))).convert("RGB")).astype(int)


# --- class imbalance

def test_imbalance_follows_its_controls(truth):
    e = ImbalanceExplorer(truth, n=3)
    assert e.chosen == truth.ids[:1] and len(shown(e.gallery)) == 1 and e.gallery.page.layout.display == "none"
    chart, first = bytes(e.chart.value), bytes(e.gallery.cells[0].children[1].value)
    e.class_id.value = 3
    assert e.chosen == [truth.ids[2], *truth.ids[4:8]] and bytes(e.chart.value) != chart and bytes(e.gallery.cells[0].children[1].value) != first
    e.measure.value = "pixels"
    assert e.chosen == [*truth.ids[7:3:-1], truth.ids[2]]
    e.class_id.value = 0
    assert e.chosen == truth.ids[8:] and "4 of 12" in e.status.value


def test_gallery_turns_its_pages(truth):
    e = ImbalanceExplorer(truth, n=3)
    e.class_id.value = 3
    assert e.gallery.page.max == 2 and len(shown(e.gallery)) == 3
    e.gallery.page.value = 2
    assert len(shown(e.gallery)) == 2 and "&lt;6&gt;" in e.gallery.cells[0].children[0].value
    e.class_id.value = 4
    assert e.gallery.page.value == 1 and len(shown(e.gallery)) == 1 and "&lt;3&gt; &amp; &#x27;x&#x27;" in e.gallery.cells[0].children[0].value


@pytest.mark.parametrize("ids", [slice(0, 1), slice(8, 9), slice(8, 12), slice(0, 0)])
def test_imbalance_of_few_images(truth, ids):
    e = ImbalanceExplorer(truth.subset(truth.ids[ids]))
    for c in (1, 2, 3, 4, 0):
        for measure in ("images", "regions", "pixels"):
            e.class_id.value, e.measure.value = c, measure
            assert "<b>" not in e.status.value and e.body.layout.display == ""


# --- metric distributions

def test_metric_follows_its_controls(truth, found):
    e = MetricExplorer(truth, found, n=2)
    assert e.chosen == images_between(e.table, "dice", 0, 1) and len(e.chosen) == 8
    best, worst = e.chosen[0], e.chosen[-1]
    assert e.table[e.table.ImageId == best].dice.min() > e.table[e.table.ImageId == worst].dice.min()
    chart = bytes(e.chart.value)
    e.range.value = .75, 1
    assert bytes(e.chart.value) != chart and 0 < len(e.chosen) < 8 and best in e.chosen and worst not in e.chosen
    e.class_id.value = 4
    assert set(e.chosen) <= {truth.ids[3]}
    e.score.value, e.range.value = "recall", (0, 1)
    assert e.chosen == [truth.ids[3]] and "recall" in e.status.value


def test_metric_without_any_score(truth):
    none = replace(truth, labels=truth.labels[:0])
    e = MetricExplorer(none, none)
    assert e.chosen == [] and "0 images" in e.status.value and not shown(e.gallery)
    e = MetricExplorer(truth, none)
    e.range.value = 0, 0
    assert len(e.chosen) == 8


def test_metric_outlives_a_vanished_image(truth, found):
    truth.path(truth.ids[0]).unlink()
    e = MetricExplorer(truth, found, n=12)
    captions = [cell.children[0].value for cell in shown(e.gallery)]
    assert len(captions) == 8 and sum("image not shown" in c for c in captions) == 1


def test_metric_refuses_other_images(truth, found):
    with pytest.raises(ValueError, match="no prediction"): MetricExplorer(truth, found.subset(truth.ids[:3]))


# --- overlays

def test_overlay_gives_the_decision_back(truth, probabilities):
    start = Decision((128, 100, 90, 80), (0, 16, 40, 5000), gate=30)
    e = OverlayExplorer(truth, probabilities, decision=start)
    assert e.value == start
    e.thresholds[2].value, e.min_areas[0].value = 61, 8
    assert e.value == Decision((128, 100, 61, 80), (8, 16, 40, 5000), gate=30)


def test_overlay_shows_what_decide_says(truth, probabilities):
    e, i = OverlayExplorer(truth, probabilities), truth.ids[6]
    e.image.value = i
    for k, area in ((61, 0), (128, 8), (210, 0), (255, 0)):
        for t, a in zip(e.thresholds, e.min_areas): t.value, a.value = k, area
        found = decide(probabilities[i], e.value)
        row = score_catalog(truth.subset([i]), replace(truth.subset([i]), labels=pd.DataFrame(
            [(i, c+1, rle_encode(m)) for c, m in enumerate(found) if m.any()], columns=LABELS))).set_index("ClassId")
        assert f"<td>{row.dice[3]:.3f}</td><td>{row.iou[3]:.3f}</td>" in e.scores.value
        assert ("1 inclusion false alarm" in e.status.value) == found[0].any()


def test_overlay_picture_follows(truth, probabilities):
    e, i, seen = OverlayExplorer(truth, probabilities), truth.ids[7], []
    e.image.value = i
    for view in e.view.options:
        e.view.value = view
        seen.append(bytes(e.picture.value))
    e.thresholds[2].value = 61
    seen.append(bytes(e.picture.value))
    e.opacity.value = .1
    seen.append(bytes(e.picture.value))
    assert len(set(seen)) == 6
    e.view.value = "image"
    assert abs(pixels(e.picture)-to_rgb(truth.image(i))).mean() < 3  # grey levels: JPEG of quality 85
    e.view.value, e.opacity.value = "prediction", .9
    red, _, blue = pixels(e.picture)[truth.stack(i)[2]].mean(axis=0)
    assert red > blue+60  # class 3 is a crack


def test_overlay_without_probabilities(truth, found):
    e = OverlayExplorer(truth, found=found)
    assert e.view.options[-1] == "compare" and "1 inclusion" in e.status.value
    e = OverlayExplorer(truth)
    assert tuple(e.view.options) == ("image", "truth") and "no prediction" in e.status.value and e.scores.value == ""


@pytest.mark.parametrize("wrong, words", [(lambda p: p/255, "call quantise first"), (lambda p: p[:2], "the model's own decision"), (lambda p: p[:, :9], "alike|ask for")])
def test_overlay_says_what_is_wrong(truth, probabilities, wrong, words):
    e = OverlayExplorer(truth, lambda i: wrong(probabilities[i]) if i == truth.ids[1] else probabilities[i])
    e.image.value = truth.ids[1]
    assert any(w in e.status.value.replace("&#x27;", "'") for w in words.split("|")) and e.body.layout.display == "none"
    e.image.value = truth.ids[2]
    assert "<b>" not in e.status.value and e.body.layout.display == ""


def test_overlay_outlives_what_vanished(truth, probabilities):
    truth.path(truth.ids[1]).unlink()
    del probabilities[truth.ids[2]]
    e = OverlayExplorer(truth, probabilities)
    e.image.value = truth.ids[1]
    assert "image not shown" in e.status.value and e.body.layout.display == ""
    e.image.value = truth.ids[2]
    assert "no probabilities of &lt;2&gt;" in e.status.value and e.body.layout.display == "none"
    e.image.value = truth.ids[3]
    assert e.body.layout.display == ""


def test_overlay_of_one_image_and_of_none(truth, probabilities):
    assert "rightly left empty" in OverlayExplorer(truth.subset(truth.ids[9:10]), lambda i: np.zeros((4, *SHAPE), np.uint8)).status.value
    with pytest.raises(ValueError, match="holds no image"): OverlayExplorer(truth.subset([]), probabilities)
