"Explorers without a browser: a control is set, the chart, the pictures and the data follow; what is wrong is said in words."
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from steel_defects.catalog import Catalog, balance, co_occurrence
from steel_defects.dataset import Crops
from steel_defects.defects import SEVERSTAL
from steel_defects.evaluate import count_table, score_catalog
from steel_defects.explorers import (
    _AGAINST, ImbalanceExplorer, MetricExplorer, amounts, balance_bars, bearing_images, correct_and_failed, crop_bars, crop_shares, _groups_of,
    images_between, _images_with, labelled, _mean_shapes, region_shapes, region_sizes,
    _sampled_ids, _score_names, score_range, _score_rows, _together)
from steel_defects.images import write_image
from steel_defects.regions import region_table
from steel_defects.rle import rle_encode

LABELS = ["ImageId", "ClassId", "EncodedPixels"]
SHAPE = 64, 240


def catalog_of(stacks, folder=None):
    rows = [(i, c, rle_encode(m)) for i, s in stacks.items() for c, m in enumerate(s, 1) if m.any()]
    images = pd.DataFrame([(i, *s.shape[1:]) for i, s in stacks.items()], columns=["ImageId", "height", "width"])
    return Catalog(pd.DataFrame(rows, columns=LABELS), images, SEVERSTAL, folder)


def box(shape, *boxes):
    "Masks (4, H, W) with boxes (class, top, left, height, width)."
    out = np.zeros((4, *shape), bool)
    for c, top, left, h, w in boxes: out[c-1, top:top+h, left:left+w] = True
    return out


@pytest.fixture
def truth(tmp_path):
    "Twelve strips with odd names, one of another size: four with a class each, then class 3 growing, one with 1 and 4, three clean."
    stacks, rng = {}, np.random.default_rng(0)
    for n in range(12):
        shape = (80, 96) if n == 5 else SHAPE
        boxes = [(n+1, 8, 20, 6+n, 8)] if n < 4 else [(3, 8, 20, 4*n, 5), (3, 8, 60, 3, 3)] if n < 8 else [(1, 5, 5, 9, 9), (4, 20, 20, 9,
            9)] if n == 8 else []
        stacks[f"<b>{n}</b> & 'x' $y$.png"] = box(shape, *boxes)
    for i, s in stacks.items(): write_image(tmp_path/i, rng.random((1, s.shape[2]))*np.linspace(.4, .5, s.shape[1])[:, None])
    return catalog_of(stacks, tmp_path)


@pytest.fixture
def found(truth):
    "Each label moved by some pixels, the second missed, a false alarm on the last."
    stacks = {i: np.roll(truth.stack(i), n % 5, axis=2) for n, i in enumerate(truth.ids)}
    stacks[truth.ids[1]][:] = False
    stacks[truth.ids[11]] = box(SHAPE, (2, 30, 30, 5, 5))
    return catalog_of(stacks, truth.folder)


def many(n):
    "A catalog of so many strips, labels only."
    ids = [f"s-{i:05d}.jpg" for i in range(n)]
    labels = pd.DataFrame(dict(ImageId=ids[:n//2], ClassId=1+np.arange(n//2)%4, EncodedPixels="1 9 400 8 700 20"))
    return Catalog(labels, pd.DataFrame(dict(ImageId=ids, height=256, width=1600)), SEVERSTAL)


# --- tables of class imbalance

def test_amounts_agree_with_balance(truth):
    table = balance(truth).set_index("ClassId")
    for measure in ("images", "regions", "pixels"):
        found = amounts(truth, measure)
        assert found.index.tolist() == truth.ids and found.sum().tolist() == table.loc[[1, 2, 3, 4], measure].tolist()
        assert balance_bars(truth, measure)["series"][measure][:4] == found.sum().tolist()
    assert balance_bars(truth, "images")["series"]["images"][4] == 3 and balance_bars(truth, "images")["texts"]["images"][0] == "2 (16.67%)"
    for by, wrong in (("family", "class or type"), ):
        with pytest.raises(ValueError, match=wrong): _groups_of(SEVERSTAL, by)


def test_types_count_an_image_once(truth):
    both = catalog_of({"a": box(SHAPE, (2, 1, 1, 4, 4), (3, 20, 20, 4, 4)), "b": box(SHAPE, (3, 1, 1, 2, 2))})
    drawn = balance_bars(both, "images", "type")
    assert drawn["series"]["images"] == [0, 2, 0, 0] and balance_bars(both, "pixels", "type")["series"]["pixels"] == [0, 36, 0]
    assert _together(both, "type").sum().tolist() == [0, 2, 0]
    p = _together(truth).astype(int)
    assert (p.T@p).to_numpy().tolist() == co_occurrence(truth).to_numpy().tolist()


def test_bearing_images_are_sorted(truth):
    assert bearing_images(truth, 3) == [truth.ids[2], *truth.ids[4:8]]
    assert bearing_images(truth, 3, "pixels") == [*truth.ids[7:3:-1], truth.ids[2]]
    assert bearing_images(truth, [2, 3], "regions")[:4] == truth.ids[4:8] and bearing_images(truth, 0) == truth.ids[9:]


def test_regions_of_a_window_are_those_of_the_strip(truth):
    got = region_shapes(truth, truth.ids, contrast=True, bar=iter)
    for i in truth.ids:
        want, mine = region_table(truth.stack(i), truth.image(i)), got[got.ImageId == i]
        for column in ("ClassId", "area", "elongation", "contrast"): np.testing.assert_allclose(mine[column].to_numpy(float),
            want[column].to_numpy(float), rtol=1e-6)
    sizes = region_sizes(truth, bar=iter)
    assert sorted(sizes.area) == sorted(got.area) and _images_with(sizes, "area", 9, 9) == truth.ids[4:8]
    assert region_shapes(truth, truth.ids[9:], bar=iter).empty and region_sizes(truth.subset(truth.ids[9:]), bar=iter).empty


def test_sample_holds_rare_classes():
    big = many(4000)
    rare = replace(big, labels=big.labels.assign(ClassId=np.where(np.arange(2000) == 77, 2, 3)))
    ids = _sampled_ids(rare, 100)
    assert "s-00077.jpg" in ids and len(ids) <= 100 and ids == sorted(ids) and ids == _sampled_ids(rare, 100)


def test_crop_shares_are_what_crops_does(truth):
    shares = crop_shares(amounts(truth, "pixels"), defect_share=.6)
    drawn = Crops(truth, size=(64, 64), crops=6000, defect_share=.6, seed=3)
    chosen = [drawn.choose(i)[0] for i in range(6000)]
    seen = truth.presence().loc[chosen]
    np.testing.assert_allclose(shares.crops[[1, 2, 3, 4]], seen.mean(), atol=.02)
    assert shares.crops[0] == pytest.approx((~seen.any(axis=1)).mean(), abs=.02) and shares.placed.sum() == pytest.approx(.6)
    areas = amounts(truth, "pixels").loc[chosen].sum()
    np.testing.assert_allclose(shares.pixels_crops[[1, 2, 3, 4]], areas/areas.sum(), atol=.02)
    even = crop_shares(amounts(truth), defect_share=1, power=1)
    assert even.placed[[1, 2, 3, 4]].tolist() == [.25]*4 and even.crops[0] == 0
    none = crop_shares(amounts(truth.subset(truth.ids[9:])))
    assert none.crops[0] == 1 and none.placed.sum() == 0
    assert crop_bars(truth, "pixels")["series"]["of all labelled pixels"][2] == pytest.approx(shares.pixels_images[3])
    with pytest.raises(ValueError, match="images or pixels"): crop_bars(truth, "regions")


# --- class imbalance

def test_imbalance_follows_its_controls(truth):
    e = ImbalanceExplorer(truth)
    assert e.chosen == e.gallery.ids == [truth.ids[0], truth.ids[8]] and e.bars.chosen == "1"
    e.bars.chosen = "3"
    assert e.chosen == e.gallery.ids == [truth.ids[2], *truth.ids[4:8]] and e.status.value == "3 crack: 5 of 12 images"
    e.measure.value = "pixels"
    assert e.bars.chosen == "3" and e.chosen == [*truth.ids[7:3:-1], truth.ids[2]]
    e.by.value = "type"
    assert e.bars.chosen == "inclusion" and e.chosen == [truth.ids[8], truth.ids[0]]
    e.measure.value = "images"
    e.bars.chosen = "crack"
    assert len(e.chosen) == 6
    e.bars.chosen = "0"
    assert e.chosen == truth.ids[9:]
    e.bars.chosen = ""
    assert len(e.chosen) == 9 and "any class" in e.status.value


def test_imbalance_cells_sizes_and_crops(truth):
    e = ImbalanceExplorer(truth)
    e.view.value = "together"
    assert e.chosen == [truth.ids[8]] and "more than one" in e.status.value
    e.cells.chosen = ["4", "4"]
    assert e.chosen == [truth.ids[3], truth.ids[8]] and e.status.value.startswith("4 patch:")
    e.cells.chosen = ["1", "3"]
    assert e.chosen == [] and "1 inclusion and 3 crack" in e.status.value
    e.view.value = "sizes"
    e.sizes.range = [100, 140]
    assert e.chosen == [truth.ids[7], truth.ids[6], truth.ids[5]]
    e.size.value = "elongation"
    assert e.sizes.whole and len(e.chosen) == 9 and not e.sizes.chart["note"]
    e.view.value = "crops"
    before = e.crops.chart["series"][1]["values"]
    e.power.value = 1
    assert e.crops.chart["series"][1]["values"] != before
    e.crops.chosen = "2"
    assert e.chosen == [truth.ids[1]]
    e.cropped.value = "pixels"
    assert len(e.crops.chart["groups"]) == 4 and e.crops.chosen == "2"
    for e.view.value in ("together", "sizes"): assert e.still()[:2] == b"\xff\xd8"


@pytest.mark.parametrize("ids", [slice(0, 1), slice(9, 10), slice(9, 12), slice(0, 0)])
def test_imbalance_of_few_images(truth, ids):
    e = ImbalanceExplorer(truth.subset(truth.ids[ids]))
    for view in ("balance", "together", "sizes", "crops"):
        e.view.value = view
        for box, value in ((e.by, "type"), (e.measure, "regions"), (e.measure, "pixels"), (e.size, "elongation"), (e.cropped, "pixels"), (e.by,
            "class")):
            box.value = value
            assert "<b>" not in e.status.value
    assert e.still()


def test_a_large_catalog_is_sampled_and_says_so():
    e = ImbalanceExplorer(many(400), sample=40)
    e.view.value, e.size.value = "sizes", "elongation"
    assert e.sizes.chart["note"].startswith("Measured on 40 of 200 images") and "<b>" not in e.status.value
    e.size.value = "area"
    assert not e.sizes.chart["note"] and len(e.chosen) == 200


# --- tables of scores

def test_scores_best_to_worst(truth, found):
    table = score_catalog(truth, found)
    ids = images_between(table, "dice", 0, 1)
    best = _score_rows(table).groupby("ImageId").dice.max()
    assert best[ids].is_monotonic_decreasing and len(ids) == 10
    few = _score_rows(table).groupby("ImageId").fp.min()[images_between(table, "fp", 0, 1e6)]
    assert few.is_monotonic_increasing
    whole = _score_rows(table, 0).set_index("ImageId")
    assert whole.dice[truth.ids[8]] == pytest.approx(table.dice[(table.ImageId == truth.ids[8]) & (table.tp+table.fn > 0)].mean())
    assert whole.dice[truth.ids[11]] == 0 and truth.ids[9] not in whole.index


@pytest.mark.parametrize("score", ["dice", "recall", "fn"])
def test_correct_and_failed_part_the_images(truth, found, score):
    table = score_catalog(truth, found)
    values = _score_rows(table, 0).set_index("ImageId")[score]
    border = float(values.median())
    good, bad = correct_and_failed(table, score, border)
    assert sorted(good+bad) == sorted(values.index) and good
    if score == "fn": assert values[good].max() <= border and values[good].is_monotonic_increasing and values[bad].is_monotonic_decreasing
    else: assert values[good].min() >= border and values[good].is_monotonic_decreasing and values[bad].is_monotonic_increasing
    one = correct_and_failed(table, score, border, 3)
    assert set(one[0]+one[1]) == {truth.ids[2], *truth.ids[4:8]}


def test_rows_behind_points(truth, found):
    table, shapes = score_catalog(truth, found), region_shapes(truth, truth.ids, contrast=True, bar=iter)
    for against in _AGAINST:
        for class_id in (None, 3):
            args, rows = score_range(table, SEVERSTAL, "iou", class_id=class_id, against=against, shapes=shapes)
            assert len(args["x"]) == len(rows) == len(args["series"]) and (args["x"] == rows.iou).all()
            if against == "area": assert (args["y"] == rows.tp+rows.fn).all()
    args, _ = score_range(table, SEVERSTAL)
    assert args["looks"][-1].label == "false alarm" and (args["series"] == 4).sum() == 1
    two = pd.DataFrame(dict(ImageId="a", ClassId=3, area=[10, 30], elongation=[2., 6.], contrast=[.1, np.nan]))
    assert _mean_shapes(two).iloc[0].tolist() == [5, .1]


# --- metric distributions

def test_metric_follows_its_controls(truth, found):
    e = MetricExplorer(truth, found)
    assert e.chosen == e.gallery.ids == images_between(e.table, "dice", 0, 1)
    e.chart.range = [.5, 1]
    assert e.chosen == e.gallery.ids == images_between(e.table, "dice", .5, 1) and 0 < len(e.chosen) < 10
    e.class_id.value = 3
    assert e.chart.whole and set(e.chosen) == {truth.ids[2], *truth.ids[4:8]}
    e.score.value, e.against.value = "recall", "dice"
    e.chart.range = [.2, .7]
    assert e.chosen == images_between(e.table, "recall", .2, .7, 3) and "recall 0.2 to 0.7" in e.status.value
    e.chart.point = 0
    assert e.chosen == [e.rows.ImageId.iloc[0]] == e.gallery.ids
    e.class_id.value = -1
    e.against.value = "area"
    assert truth.ids[11] not in e.chosen and len(e.chosen) == 9
    e.class_id.value = 0
    assert e.status.value.startswith("whole images")


def test_metric_columns_of_correct_and_failed(truth, found):
    e = MetricExplorer(truth, found)
    e.mode.value, e.border.value = "two", .6
    assert (e.good.ids, e.bad.ids) == correct_and_failed(e.table, "dice", .6) and e.chosen == e.bad.ids
    assert e.two.layout.display == "" and e.one.layout.display == "none" and e.still()[:2] == b"\xff\xd8"
    e.score.value = "fp"
    assert e.border.max == e.table.fp.max() and e.border.description == "correct up to"
    e.border.value = 20
    assert e.good.ids == correct_and_failed(e.table, "fp", 20)[0]
    e.score.value = "iou"
    assert (e.border.min, e.border.max) == (0, 1) and "<b>" not in e.status.value
    e.mode.value = "range"
    assert e.two.layout.display == "none" and len(e.chosen) == 10


def test_metric_measures_regions_when_asked(truth, found):
    e = MetricExplorer(truth, found, sample=4)
    assert "shapes" not in e._kept
    e.against.value = "contrast"
    assert e.chart.chart["note"].startswith("Measured on 4 of 9 images") and "<b>" not in e.status.value and 0 < len(e.chosen) <= 4
    e.against.value = "elongation"
    e.class_id.value = 0
    assert "belongs to a class" in e.status.value
    e.against.value = "area"
    assert "<b>" not in e.status.value


def test_metric_says_what_is_wrong(truth, found):
    with pytest.raises(ValueError, match="no prediction"): MetricExplorer(truth, found.subset(truth.ids[:3]))
    table = score_catalog(truth, found)
    with pytest.raises(ValueError, match="no column 'recall': make it with score_catalog"): MetricExplorer(truth, found,
        table=table.drop(columns="recall"))
    e = MetricExplorer(truth, found, table=table.assign(dice=np.where(table.ClassId == 3, np.nan, table.dice), margin=np.inf))
    assert "scores have no number here" in e.chart.chart["note"] and truth.ids[2] not in e.chosen
    for mode in ("two", "range"):
        e.mode.value = mode
        e.score.value = "margin"
        assert "<b>" not in e.status.value and e.chosen == []
        e.score.value = "dice"
        assert "<b>" not in e.status.value


@pytest.mark.parametrize("ids", [slice(0, 1), slice(1, 2), slice(9, 10), slice(5, 6), slice(0, 0)])
def test_metric_of_few_images(truth, found, ids):
    t, f = truth.subset(truth.ids[ids]), found.subset(truth.ids[ids])
    for guess in (f, replace(f, labels=f.labels[:0])):
        e = MetricExplorer(t, guess)
        for against in _AGAINST:
            e.against.value = against
            assert "<b>" not in e.status.value
        e.mode.value = "two"
        assert "<b>" not in e.status.value and len(e.good.ids)+len(e.bad.ids) <= 1
    assert e.still()


def test_vanished_images_are_grey_and_the_rest_goes_on(truth, found):
    truth.path(truth.ids[4]).unlink()
    e = MetricExplorer(truth, found)
    captions = {o["id"]: o["caption"] for o in e.gallery.first}
    assert sum("image not shown" in c for c in captions.values()) <= 1 and "image not shown" in e.gallery.thumbnails[truth.ids[4]][1]
    e.against.value = "contrast"
    assert "have no number here" in e.chart.chart["note"] and "<b>" not in e.status.value
    assert "image not shown" in labelled(truth, truth.ids[4])[1]
    assert "no image folder" in ImbalanceExplorer(replace(truth, folder=None)).gallery.first[0]["caption"]


def test_names_are_text(truth, found):
    e = MetricExplorer(truth, found)
    e.chart.point = 2
    assert "<b>" not in e.status.value and "&lt;b&gt;" in e.status.value


def test_score_names_lists_further_columns(truth, found):
    table = score_catalog(truth, found).assign(**{"boundary Dice": .5, "words": "x"})
    assert list(_score_names(table)) == ["dice", "iou", "precision", "recall", "fp", "fn", "boundary Dice"]


def test_classes_are_named_once(truth, found):
    "Where the chart names the classes the legend below does not."
    e, m = ImbalanceExplorer(truth), MetricExplorer(truth, found)
    shown = lambda: e.legend.layout.display != "none"
    assert not shown() and "1 inclusion" not in m.legend.value and "missed" in m.legend.value
    for view, by, there in (("balance", "type", True), ("together", "class", True), ("sizes", "type", False), ("crops", "class", False)):
        e.view.value, e.by.value = view, by
        assert shown() == there, view
    m.class_id.value = 0
    assert "1 inclusion" in m.legend.value
    m.class_id.value, m.mode.value = -1, "two"
    assert "1 inclusion" in m.legend.value and "missed" in m.legend.value


def test_a_bar_that_goes_is_not_picked(truth):
    e = ImbalanceExplorer(truth)
    e.view.value, e.crops.chosen = "crops", "0"
    assert e.chosen == truth.ids[9:]
    e.cropped.value = "pixels"
    assert e.crops.chosen == "" and len(e.chosen) == 9 and e.status.value.startswith("any class")


def test_large_numbers_are_written_out(truth, found):
    e = ImbalanceExplorer(truth)
    e.view.value = "sizes"
    e.sizes.range = [1, 20_000]
    assert "1 to 20,000" in e.status.value
    table = score_catalog(truth, found)
    twice = pd.concat([table, table])
    with pytest.raises(ValueError, match="twice with one class: make it with score_catalog"): MetricExplorer(truth, found, table=twice)


# --- twelve thousand strips

def test_first_picture_of_a_large_catalog():
    "Labels only: what is measured is the explorers' own work, not the reading of files; the limit leaves room for a busy machine."
    from time import process_time
    big = many(12_568)
    n = np.where(amounts(big, "pixels").to_numpy()[..., None] > 0, [20, 5, 17, 409558], [0, 0, 0, 409600])
    table, begun = count_table(n, big.ids), process_time()
    first = ImbalanceExplorer(big)
    imbalance, begun = process_time()-begun, process_time()
    second = MetricExplorer(big, big, table=table)
    metric = process_time()-begun
    assert first.gallery.total == 1571 and second.gallery.total == 6284
    assert max(imbalance, metric) < 2, (imbalance, metric)
