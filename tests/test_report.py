"Pictures and the page on inputs that a reader need not see: nothing found, no label, one image, odd names and sizes."
import re
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from steel_defects import report
from steel_defects.catalog import Catalog
from steel_defects.decision import default_decision
from steel_defects.defects import SEVERSTAL, classes_from_names
from steel_defects.evaluate import score_catalog
from steel_defects.images import write_image
from steel_defects.rle import rle_encode

LABELS = ["ImageId", "ClassId", "EncodedPixels"]
ODD = ["a.jpg", "part $x$/b'\"<i>.jpg", "clean <script>alert(1)<script>.jpg", "_d.jpg"]


def square(shape, top, left, size=20):
    mask = np.zeros(shape, bool)
    mask[top:top+size, left:left+size] = True
    return rle_encode(mask)


@pytest.fixture
def truth(tmp_path):
    "Four images of several sizes with awkward names, the third of them clean."
    shapes, rng = [(64, 400), (80, 90), (64, 400), (96, 300)], np.random.default_rng(0)
    for name, shape in zip(ODD, shapes): write_image(tmp_path/"images"/name.replace("/", "_"), rng.random(shape)*.2+.4)
    names = [n.replace("/", "_") for n in ODD]
    rows = [(names[0], 1, square(shapes[0], 5, 30)), (names[0], 3, square(shapes[0], 30, 200)), (names[1], 4, square(shapes[1], 10, 10, 40)),
            (names[3], 2, square(shapes[3], 40, 100))]
    images = pd.DataFrame(dict(ImageId=names, height=[s[0] for s in shapes], width=[s[1] for s in shapes]))
    return Catalog(pd.DataFrame(rows, columns=LABELS), images, SEVERSTAL, tmp_path/"images")


@pytest.fixture
def found(truth):
    "One class found, one missed, one moved, and a false alarm on the clean image."
    rows = [tuple(truth.labels.iloc[0]), (truth.ids[1], 4, square((80, 90), 20, 20, 40)), (truth.ids[2], 2, square((64, 400), 0, 0))]
    return replace(truth, labels=pd.DataFrame(rows, columns=LABELS))


def without_labels(catalog): return replace(catalog, labels=catalog.labels[:0])


def page_text(tmp_path, truth, found, **more):
    return report.write_page(tmp_path/"out"/"report.html", title="t", truth=truth, found=found, **more).read_text(encoding="utf-8")


def check_page(text):
    "No link or source leads outside, and every picture has words beside it."
    assert not re.search(r"https?:|(?:src|href|srcset)=[\"'](?!data:|#)|url\(|@import|<script|<link|<iframe", text)
    assert all(" alt=" in tag for tag in re.findall(r"<img[^>]*>", text))
    ids = set(re.findall(r' id="([^"]+)"', text))
    assert set(re.findall(r'href="#([^"]+)"', text)) == ids


def test_page_stands_alone(tmp_path, truth, found):
    history = pd.DataFrame(dict(epoch=[1, 2], train_loss=[1., .5], valid_loss=[1., .7], dice=[.1, .4], dice_1=[.1, .4]))
    pairs = ((np.where(truth.stack(i), 200, 20).astype(np.uint8), truth.stack(i)) for i in truth.ids)
    text = page_text(tmp_path, truth, found, history=history, pairs=pairs, decision=default_decision(4), config={"a": "<b>"}, note="<i>note</i>")
    check_page(text)
    assert "<i>" not in text and "&lt;i&gt;note" in text and "clean &lt;script&gt;alert(1)" in text
    assert "prefers-color-scheme:dark" in text and text.count("prefers-color-scheme: dark") == text.count("<picture>") == 10
    for heading in ("Scores", "Distributions", "Regions found and missed", "Thresholds", "Training", "Class balance", "Settings"): assert f"<h2>{heading}</h2>" in text
    assert not [p for p in (tmp_path/"out").iterdir() if p.name != "report.html"]


def test_page_shows_the_floor(tmp_path, truth, found):
    text = page_text(tmp_path, truth, without_labels(truth))
    tiles = re.search(r'<div class="tiles">(.*?)</section>', text).group(1)
    assert "<b>3 of 3</b>" in tiles and "<b>0 of 1</b>" in tiles and tiles.count("0.750") >= 2
    text = page_text(tmp_path, truth, found)
    assert "<b>1 of 3</b>" in text and "<b>1 of 1</b>" in text


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", ["nothing found", "no labels", "nothing at all", "one image", "one clean image", "all perfect", "no folder"])
def test_page_on_bare_input(tmp_path, truth, found, case):
    none, one, clean = without_labels(truth), truth.ids[:1], truth.ids[2:3]
    pair = {"nothing found": (truth, none), "no labels": (none, found), "nothing at all": (none, none), "one image": (truth.subset(one), found.subset(one)),
            "one clean image": (truth.subset(clean), truth.subset(clean)), "all perfect": (truth, truth), "no folder": (replace(truth, folder=None), found)}[case]
    check_page(page_text(tmp_path, *pair))


def test_page_outlives_a_vanished_image(tmp_path, truth, found):
    truth.path(truth.ids[0]).unlink()
    truth.path(truth.ids[3]).write_bytes(b"no image")
    text = page_text(tmp_path, truth, found)
    assert text.count("<figcaption>") == 4 and "image not shown: FileNotFoundError" in text
    check_page(text)


def test_page_of_many_classes(tmp_path, truth, found):
    classes = classes_from_names(["crack <1>", "pit & dot", "rust", "_hidden$"])
    text = page_text(tmp_path, replace(truth, classes=classes), replace(found, classes=classes))
    assert "crack &lt;1&gt;" in text and "crack <1>" not in text
    check_page(text)


def test_figures_are_handed_back_closed(truth, found):
    table, before = score_catalog(truth, found), plt.get_fignums()
    for fig in (report.plot_balance(truth), report.plot_area(truth), report.plot_scores(table, SEVERSTAL), report.plot_histogram(table, SEVERSTAL, class_id=2),
                report.plot_dice_iou(table, SEVERSTAL), report.plot_score_area(table, SEVERSTAL), report.plot_gallery(truth, found, truth.ids)):
        assert report.picture_bytes(fig)[:4] == b"\x89PNG"
    assert plt.get_fignums() == before


def test_style_does_not_leak():
    before = dict(plt.rcParams)
    report.plot_history(pd.DataFrame(dict(epoch=[1], train_loss=[1.])))
    assert dict(plt.rcParams) == before


def test_square_pictures_stand_side_by_side():
    rng, mask = np.random.default_rng(0), np.zeros((4, 64, 64), bool)
    boxes = [ax.get_position() for ax in report.plot_strip(rng.random((64, 64)), mask, mask, classes=SEVERSTAL).axes]
    assert len({round(b.y0, 2) for b in boxes}) == 1 and len({round(b.x0, 2) for b in boxes}) == 4


def test_image_scores(truth, found):
    scores = report.image_scores(score_catalog(truth, found))
    a, b, clean, d = truth.ids
    assert scores.score[a] == .5 and scores.missed[a] == [3] and scores.false[a] == []
    assert 0 < scores.score[b] < 1 and scores.missed[b] == []
    assert scores.score[clean] == 0 and scores.clean[clean] and scores.false[clean] == [2]
    assert scores.score[d] == 0 and scores.missed[d] == [2]
    assert scores.score.is_monotonic_increasing


def test_best_and_worst(truth, found):
    table = score_catalog(truth, found)
    assert set(report.worst_images(table, 2).index) == set(truth.ids[2:])
    assert list(report.best_images(table, 9).index) == [truth.ids[1], truth.ids[0]]
    assert len(report.worst_images(score_catalog(truth, truth))) == 0
    rightly_empty = score_catalog(without_labels(truth), without_labels(truth))
    assert len(report.best_images(rightly_empty)) == len(report.worst_images(rightly_empty)) == 0


def test_live_curve(monkeypatch):
    class Handle:
        def __init__(self): self.shown = []
        def update(self, fig): self.shown.append(fig)
    handle, history = Handle(), pd.DataFrame(dict(epoch=[1, 2], train_loss=[1., .5]))
    live = report.LiveCurve()
    monkeypatch.setattr(report, "plot_history", lambda *a: pytest.fail("drew a picture in a terminal"))
    live(history)
    monkeypatch.undo()
    monkeypatch.setattr(report, "get_ipython", lambda: type("Shell", (), {"kernel": True})())
    monkeypatch.setattr(report, "display", lambda fig, display_id: handle)
    for _ in range(3): live(history)
    assert len(handle.shown) == 2


def test_legend_matches_overlay():
    fig, ax = plt.subplots()
    handles = report.class_legend(ax, SEVERSTAL, outcomes=True).legend_handles
    plt.close(fig)
    assert [tuple(round(v*255) for v in h.get_facecolor()[:3]) for h in handles[:4]] == [c.color for c in SEVERSTAL]
    assert len({h.get_hatch() for h in handles[:4]}) == 4


def test_wrong_pairs_and_ids(truth, found):
    with pytest.raises(ValueError, match="at least one pair"): report.threshold_curves([])
    with pytest.raises(ValueError, match="at least one ImageId"): report.plot_gallery(truth, found, {"good": [], "bad": []})
    with pytest.raises(ValueError, match="no prediction"): report.write_page("x.html", title="t", truth=truth, found=found.subset(truth.ids[:2]))
