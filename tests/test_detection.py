"Regions matched, found, missed and false: against a definition in plain loops, and against answers known on paper."
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import label

from steel_defects.catalog import Catalog
from steel_defects.defects import SEVERSTAL
from steel_defects.detection import (
    _wilson, false_regions, missed_regions, panoptic_quality, recognition_quality, region_counts, region_crop, region_outcomes,
    region_parts, region_recall, segmentation_quality,
)
from steel_defects.images import write_image
from steel_defects.intervals import bootstrap
from steel_defects.rle import rle_encode

QUALITIES = panoptic_quality, segmentation_quality, recognition_quality
shapes = st.tuples(st.integers(1, 11), st.integers(1, 11))
pairs = shapes.flatmap(lambda s: st.tuples(arrays(bool, s), arrays(bool, s)))
stacks = shapes.flatmap(lambda s: st.tuples(arrays(bool, (2, *s)), arrays(bool, (2, *s))))


def pixels(mask):
    "Sets of pixels, one for each region."
    numbers = label(mask, connectivity=2)
    return [set(zip(*np.nonzero(numbers == k))) for k in range(1, numbers.max()+1)]


def catalog(stacks, classes=SEVERSTAL[:2], folder=None):
    "A catalog of stacks named a, b, c ..."
    names = [f"{chr(97+k)}.png" for k in range(len(stacks))]
    rows = [(i, c+1, rle_encode(m)) for i, s in zip(names, stacks) for c, m in enumerate(s) if m.any()]
    images = pd.DataFrame([(i, *s.shape[1:]) for i, s in zip(names, stacks)], columns=["ImageId", "height", "width"])
    return Catalog(pd.DataFrame(rows, columns=["ImageId", "ClassId", "EncodedPixels"]).astype({"ClassId": int}), images, tuple(classes), folder)


def boxes(*places, shape=(40, 60)):
    "A mask of boxes, each (top, bottom, left, right)."
    mask = np.zeros(shape, bool)
    for top, bottom, left, right in places: mask[top:bottom, left:right] = True
    return mask


@settings(deadline=None)
@given(pairs)
def test_parts_equal_plain_loops(pair):
    pred, true = pair
    p, t = pixels(pred), pixels(true)
    ious = [len(a & b)/len(a | b) for a in p for b in t]
    good = [v for v in ious if v > .5]
    assert region_parts(pred, true) == pytest.approx([len(good), len(p)-len(good), len(t)-len(good), sum(good)])


def test_half_is_no_match_and_a_corner_joins():
    assert region_parts(boxes((0, 2, 0, 4)), boxes((0, 2, 0, 2))).tolist() == [0, 1, 1, 0]  # IoU exactly .5
    assert region_parts(boxes((0, 3, 0, 3)), boxes((0, 3, 0, 2))).tolist() == pytest.approx([1, 0, 0, 2/3])
    assert region_parts(np.eye(5, dtype=bool), np.eye(5, dtype=bool)).tolist() == [1, 0, 0, 1]


def test_quality_on_paper():
    true = boxes((0, 10, 0, 10), (0, 10, 20, 30), (20, 30, 0, 10))
    pred = boxes((0, 10, 0, 8), (0, 10, 20, 30), (30, 35, 50, 55))
    parts = region_parts(pred, true)
    assert parts == pytest.approx([2, 1, 1, 1.8])
    assert [float(f(parts)) for f in QUALITIES] == pytest.approx([1.8/3, .9, 2/3])


def test_parts_add_up_and_keep_axes():
    rng = np.random.default_rng(0)
    pred, true = rng.random((2, 3, 4, 20, 30)) > .7
    parts = region_parts(pred, true)
    assert parts.shape == (3, 4, 4)
    beside = region_parts(np.concatenate(np.pad(pred, [(0, 0), (0, 0), (0, 0), (0, 1)]), axis=-1),
                          np.concatenate(np.pad(true, [(0, 0), (0, 0), (0, 0), (0, 1)]), axis=-1))
    assert parts.sum(0) == pytest.approx(beside)
    assert panoptic_quality(parts) == pytest.approx(segmentation_quality(parts)*recognition_quality(parts))


@pytest.mark.parametrize("score", QUALITIES)
def test_empty_rule(score):
    nothing, alarm, missed = [0, 0, 0, 0.], [0, 3, 0, 0.], [0, 0, 2, 0.]
    assert score(nothing) == 1 and score(nothing, empty=.25) == .25
    assert np.isnan(score(nothing, empty=np.nan))
    for empty in (1., 0., np.nan): assert score(alarm, empty=empty) == 0 and score(missed, empty=empty) == 0
    assert score(np.array([nothing, alarm])).tolist() == [1, 0]


def test_ten_thousand_specks_are_no_trouble(): # a table of all pairs would need five gigabytes
    specks = np.zeros((256, 1600), bool)
    specks[::4, ::4] = True
    assert region_parts(specks, specks).tolist() == [25600, 0, 0, 25600]


@pytest.mark.parametrize("pred, true, fault", [
    (np.zeros((4, 4)), np.zeros((4, 4), bool), "prediction is float64.*apply a decision"),
    (np.zeros((4, 4), bool), np.zeros((4, 5), bool), r"prediction has shape \(4, 4\) and truth \(4, 5\)"),
    (np.zeros(4, bool), np.zeros(4, bool), "rows and columns")])
def test_parts_refuse(pred, true, fault):
    with pytest.raises((TypeError, ValueError), match=fault): region_parts(pred, true)


@settings(max_examples=25, deadline=None)
@given(stacks)
def test_outcomes_equal_plain_loops(pair):
    true, pred = pair
    got = region_outcomes(catalog([true]), catalog([pred]), covered=.4)
    want = [(c+1, len(r), sum(pred[c][p] for p in r)/len(r), sum(pred[:, p[0], p[1]].any() for p in r)/len(r))
            for c, mask in enumerate(true) for r in pixels(mask)]
    assert [tuple(r) for r in got[["ClassId", "area", "share", "share_any"]].to_numpy()] == [pytest.approx(w) for w in want]
    assert got.found.tolist() == [w[2] >= .4 for w in want]
    false = false_regions(catalog([true]), catalog([pred]))
    assert len(false) == sum(not any(true[c][p] for p in r) for c, mask in enumerate(pred) for r in pixels(mask))


def test_half_of_a_region_is_found_and_one_pixel_is_not_false():
    truth = catalog([np.stack([boxes((0, 4, 0, 10), (10, 14, 0, 10)), boxes((20, 30, 20, 30))])])
    found = catalog([np.stack([boxes((0, 4, 5, 10), (13, 20, 6, 10), (25, 35, 40, 50)), boxes()])])
    outcomes = region_outcomes(truth, found)
    assert outcomes.share.tolist() == [.5, .1, 0] and outcomes.found.tolist() == [True, False, False]
    assert region_outcomes(truth, found, covered=.51).found.sum() == 0
    assert false_regions(truth, found)[["top", "left", "area"]].to_numpy().tolist() == [[25, 40, 100]]


def test_wrong_name_is_told_from_overlooked():
    box = boxes((0, 9, 0, 9))
    outcomes, false = (f(catalog([np.stack([box, boxes()])]), catalog([np.stack([boxes(), box])])) for f in (region_outcomes, false_regions))
    assert (outcomes.share[0], outcomes.share_any[0], outcomes.found[0]) == (0, 1, False)
    assert (false.ClassId[0], false.share_any[0]) == (2, 1)


def test_counts_name_clean_images_too():
    box, none = boxes((0, 9, 0, 9)), boxes()
    truth = catalog([np.stack([box, boxes((20, 30, 20, 30))]), np.stack([none, none]), np.stack([none, none])])
    found = catalog([np.stack([box, none]), np.stack([box, box]), np.stack([none, none])])
    table = region_counts(truth, region_outcomes(truth, found), false_regions(truth, found))
    assert table.index.tolist() == truth.ids and table.to_numpy().tolist() == [[2, 1, 0], [0, 0, 2], [0, 0, 0]]
    assert all(t == np.int64 for t in table.dtypes)


def test_nothing_labelled_and_nothing_found():
    none = catalog([np.zeros((2, 20, 20), bool)]*2)
    full = catalog([np.ones((2, 20, 20), bool)]*2)
    outcomes = region_outcomes(none, full)
    assert outcomes.empty and len(false_regions(none, full)) == 4 and missed_regions(outcomes).empty
    assert region_counts(none, outcomes, false_regions(none, none)).to_numpy().sum() == 0
    with pytest.raises(ValueError, match="truth is empty throughout"): region_recall(outcomes)
    assert not region_outcomes(full, none).found.any() and false_regions(full, none).empty


def test_other_images_are_refused():
    one, two = (catalog([np.zeros((2, 20, 20), bool)]*n) for n in (1, 2))
    for f in (region_outcomes, false_regions):
        with pytest.raises(ValueError, match="have no prediction, such as b.png"): f(two, one)
    for covered in (0, -1, 1.5, np.nan):
        with pytest.raises(ValueError, match="covered is"): region_outcomes(one, one, covered=covered)


def rows(values, found, images=None):
    "A table as `region_outcomes` gives it."
    return pd.DataFrame(dict(ImageId=[str(k) for k in (range(len(values)) if images is None else images)], area=values, found=found))


def test_bins_take_every_region_once():
    table = region_recall(rows([1, 2, 3, 4, 10, 10, 20, 21], [0, 0, 1, 1, 1, 0, 1, 1]), bins=[0, 3, 10, 21])
    assert table.regions.tolist() == [2, 2, 4] and table.found.tolist() == [0, 2, 3]  # a value on an edge belongs above it, the last edge within
    assert table.recall.tolist() == [0, 1, .75] and table[["start", "stop"]].to_numpy().tolist() == [[0, 3], [3, 10], [10, 21]]
    even = region_recall(rows(np.arange(101), np.arange(101) >= 50), bins=2)
    assert even.regions.tolist() == [50, 51] and even.recall.tolist() == [0, 1]
    same = region_recall(rows([5, 5, 5], [0, 1, 1]))
    assert same[["start", "stop", "regions"]].to_numpy().tolist() == [[5, 5, 3]]
    empty = region_recall(rows([1, 2], [0, 1]), bins=[0, 5, 9])
    assert empty.regions.tolist() == [2, 0] and empty.loc[1, ["recall", "low", "high"]].isna().all()


def test_what_was_not_measured_stands_in_a_row_of_its_own():
    table = region_recall(rows([1, np.nan, 3, np.nan], [1, 0, 1, 0]), bins=1)
    assert table.regions.tolist() == [2, 2] and table.recall.tolist() == [1, 0] and np.isnan(table.start[1])
    with pytest.raises(ValueError, match="with their image folder"): region_recall(rows([np.nan]*2, [1, 0]))


@pytest.mark.parametrize("bins, fault", [(0, "bins is 0"), ([3], "two or more"), ([1, 5, 2], "ascending"),
                                         ([2, 9], r"edges 2..9 leave out 1 of 3 regions by area")])
def test_bins_refuse(bins, fault):
    with pytest.raises(ValueError, match=fault): region_recall(rows([1, 2, 3], [1, 0, 1]), bins=bins)


def test_interval_is_wilson_where_regions_are_independent():
    found = np.arange(400) < 100
    low, high = _wilson(found, np.arange(400), .95)
    assert (low, high) == pytest.approx((.2101, .2947), abs=1e-3)  # Wilson's closed form for 100 of 400


def test_regions_counted_twice_tell_nothing_new():
    rng = np.random.default_rng(0)
    found = rng.random(200) < .6
    once, twice = _wilson(found, np.arange(200), .95), _wilson(np.tile(found, 2), np.tile(np.arange(200), 2), .95)
    assert twice == pytest.approx(once, abs=.002)
    fooled = _wilson(np.tile(found, 2), np.arange(400), .95)
    assert fooled[1]-fooled[0] < .75*(once[1]-once[0])


def test_interval_holds_the_truth_over_groups_only():
    rng, held, fooled, draws = np.random.default_rng(1), 0, 0, 600
    for _ in range(draws):
        chance = np.repeat(rng.beta(1.2, .8, 40), 8)  # images differ: mean recall .6
        found = rng.random(320) < chance
        low, high = _wilson(found, np.repeat(np.arange(40), 8), .95)
        held += low <= .6 <= high
        low, high = _wilson(found, np.arange(320), .95)
        fooled += low <= .6 <= high
    assert .925 < held/draws < .975 and fooled/draws < .75  # standard error of either: .01 and .02


def test_interval_agrees_with_the_bootstrap():
    rng = np.random.default_rng(2)
    size = rng.integers(1, 9, 150)
    found = rng.random(size.sum()) < np.repeat(rng.beta(2, 2, 150), size)
    table = rows(np.ones(size.sum()), found, np.repeat(np.arange(150), size))
    one = region_recall(table, bins=1).iloc[0]
    parts = np.column_stack([np.bincount(np.repeat(np.arange(150), size), found), size])
    other = bootstrap(parts, lambda p: p[..., 0]/p[..., 1])
    assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=.015)


def test_all_missed_is_not_certain():
    low, high = _wilson(np.zeros(80, bool), np.repeat(np.arange(4), 20), .95)
    assert low == 0 and .6 < high < 1  # four images, whatever the number of regions
    assert _wilson(np.zeros(80, bool), np.zeros(80), .95) == (0, 1)
    low, high = _wilson(np.ones(50, bool), np.arange(50), .95)
    assert .9 < low < .95 and high == 1


def test_named_groups_are_used():
    outcomes = rows([1]*40, [1, 0]*20).assign(group=[0, 1]*20)
    alone, grouped = region_recall(outcomes, bins=1).iloc[0], region_recall(outcomes, bins=1, groups="group").iloc[0]
    assert (alone.groups, grouped.groups) == (40, 2)
    assert (grouped.low, grouped.high) == pytest.approx((0, 1), abs=.01) and alone.high-alone.low < .35
    with pytest.raises(ValueError, match="no column 'copies'.*merge it in"): region_recall(outcomes, groups="copies")
    assert (region_recall(outcomes, bins=1, level=.5).high < alone.high).all()


def test_crop_stops_at_the_border(tmp_path):
    box = np.stack([boxes((0, 5, 55, 60)), boxes((30, 40, 0, 8))])
    image = np.linspace(0, 1, 2400).reshape(40, 60).astype(np.float32)
    write_image(tmp_path/"a.png", image)
    truth = catalog([box], folder=tmp_path)
    outcomes = region_outcomes(truth, replace(catalog([box & False]), folder=None))
    assert outcomes.contrast.notna().all()
    for r, want in zip(outcomes.itertuples(), [(slice(0, 9), slice(51, 60)), (slice(26, 40), slice(0, 12))]):
        cut, t, f = region_crop(truth, truth, r, margin=4)
        assert cut == pytest.approx(image[want], abs=.003) and (t == box[:, *want]).all() and (f == t).all()
    with pytest.raises(ValueError, match="margin is -1"): region_crop(truth, truth, outcomes.iloc[0], margin=-1)


def test_missed_are_sorted():
    outcomes = rows([5, 9, 7, 1], [0, 0, 1, 0])
    assert missed_regions(outcomes).area.tolist() == [9, 5, 1] and missed_regions(outcomes, ascending=True).area.tolist() == [1, 5, 9]
    with pytest.raises(ValueError, match="no column 'size'"): missed_regions(outcomes, "size")


def test_real_labels_find_themselves(shared_data):
    from steel_defects.catalog import read_severstal
    labels = read_severstal(shared_data/"severstal"/"train.csv", shared_data/"severstal"/"train_images", present_only=True)
    labels = labels.subset(labels.labels.ImageId.drop_duplicates()[:12])
    outcomes = region_outcomes(labels, labels)
    assert len(outcomes) >= 12 and outcomes.found.all() and false_regions(labels, labels).empty
    parts = np.stack([region_parts(s, s) for s in map(labels.stack, labels.ids)])
    assert parts[..., 0].sum() == len(outcomes) and panoptic_quality(parts).min() == 1
