"Every threshold and minimum area at once equals one at a time; the streamed set equals the set in memory."
import tracemalloc
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binomtest
from steel_defects.calibration import plateau
from steel_defects.catalog import read_severstal
from steel_defects.decision import AREAS, Decision, choose_decision, decide, decision_scores
from steel_defects.intervals import bootstrap, mean_of, mean_parts
from steel_defects.metrics import counts, dice
from steel_defects.screening import image_score, screening_summary
from steel_defects.sweep import (share_interval, sweep_decision, sweep_dice, sweep_parts, sweep_rejected, sweep_screening, sweep_trade,
                                   threshold_sweep)

FEW = (0, 1, 2, 3, 5, 9, 14, 200)  # minimum areas that matter on strips of a few pixels


@st.composite
def strips(draw, channels=None):
    "A stack of small planes with few levels, so that regions meet in every way, and its truth."
    shape = draw(st.integers(1, 3)) if channels is None else channels, draw(st.integers(1, 8)), draw(st.integers(1, 9))
    levels = np.array(draw(st.lists(st.integers(0, 255), min_size=2, max_size=6, unique=True)), np.uint8)
    return levels[draw(arrays(np.intp, shape, elements=st.integers(0, len(levels)-1)))], draw(arrays(bool, shape))


@settings(max_examples=60, deadline=None)
@given(strips(), st.sampled_from([1., 0., np.nan]))
def test_parts_equal_decide_and_dice(strip, empty):
    p, truth = strip
    values, scores = sweep_parts(p, truth, FEW, empty)
    assert values.shape == (len(p), len(FEW), 256) and scores.dtype == np.int16
    levels = sorted({int(k)+d for k in np.unique(p) for d in (0, 1) if int(k)+d < 256} | {0, 1, 255})
    for a, area in enumerate(FEW):
        for k in levels:
            found = decide(p, Decision((k,)*len(p), (area,)*len(p)))
            np.testing.assert_array_equal(values[:, a, k], dice(counts(found, truth), empty=empty))
        assert scores[:, a].tolist() == [image_score(plane[None], [area]) for plane in p]
    between = np.diff(values, axis=-1)[..., [k for k in range(255) if k+1 not in levels]]
    assert not np.nan_to_num(between).any(), "nothing changes where no pixel has that level"


def test_parts_equal_on_a_real_strip(root):
    sample = root/"data"/"sample"
    catalog = read_severstal(sample/"train.csv", images=sample/"train_images")
    for image_id in ("s7-00014.jpg", "s7-00021.jpg"):
        p, truth = np.load(sample/"found"/"probabilities"/f"{image_id}.npz")["probability"], catalog.stack(image_id)
        values, scores = sweep_parts(p, truth)
        ks = [*range(0, 20), *range(20, 256, 9), 255]
        np.testing.assert_array_equal(values[..., ks].swapaxes(1, 2), decision_scores(p, truth, thresholds=ks))
        assert scores[:, 5].tolist() == [image_score(plane[None], [AREAS[5]]) for plane in p]


def test_flat_and_noisy_planes():
    rng = np.random.default_rng(0)
    truth = rng.random((1, 40, 60)) < .3
    for p in (np.zeros((1, 40, 60), np.uint8), np.full((1, 40, 60), 255, np.uint8), np.full((1, 40, 60), 1, np.uint8), rng.integers(0, 256, (1, 40, 60), np.uint8)):
        values, scores = sweep_parts(p, truth)
        np.testing.assert_array_equal(values.swapaxes(1, 2), decision_scores(p, truth, thresholds=range(256)))
        assert scores[0, 0] == p.max()
    assert sweep_parts(p, truth, (2400, 2401))[1].tolist() == [[image_score(p, [2400]), -1]], "a region larger than the strip never is"


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(5)
    out = []
    for i in range(14):
        rows, columns = np.mgrid[:24, :32]
        truth = np.stack([np.hypot(rows-rng.uniform(6, 18), columns-rng.uniform(6, 26)) < rng.uniform(3, 6), np.abs(columns-rng.uniform(4, 28)) < 2]) & (rng.random((2, 1, 1)) < .5)
        out.append((np.clip(truth*rng.uniform(60, 200)+rng.normal(30, 30, truth.shape), 0, 255).astype(np.uint8), truth))
    return out


GROUPS = ["a", "a", "b", "c", "c", "c", "d", "e", "f", "f", "g", "h", "i", "i"]
SMALL = 0, 4, 16, 64


@pytest.fixture(scope="module")
def sweep(pairs): return threshold_sweep(iter(pairs), ids=[f"{i}.jpg" for i in range(14)], groups=GROUPS, areas=SMALL, draws=200, seed=3, progress=False)


def test_streamed_set_equals_bootstrap(pairs, sweep):
    values = np.array([sweep_parts(p, t, SMALL)[0] for p, t in pairs])
    whole = bootstrap(mean_parts(values[..., ::17]), mean_of, groups=GROUPS, draws=200, seed=3)
    np.testing.assert_allclose(sweep.dice, values.mean(0))
    np.testing.assert_allclose(sweep.low[..., ::17], whole.low, atol=1e-6)
    np.testing.assert_allclose(sweep.high[..., ::17], whole.high, atol=1e-6)
    assert repr(sweep) == f"Sweep of 14 images ({int(sum(t.any() for _, t in pairs))} defective) in 9 groups: 2 classes, 4 minimum areas, every threshold"


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_every_decision_equals_decide(pairs, sweep, data):
    k, area = st.integers(0, 255), st.sampled_from(SMALL)
    decision = Decision(data.draw(st.tuples(k, k)), data.draw(st.tuples(area, area)), data.draw(st.sampled_from([0, 0, 120, 200, 255])))
    found = [decide(p, decision) for p, _ in pairs]
    assert sweep_rejected(sweep, decision).tolist() == [f.any() for f in found]
    each = np.array([dice(counts(f, t)) for f, (_, t) in zip(found, pairs)])
    np.testing.assert_allclose(sweep_dice(sweep, decision), each, atol=.5/255+1e-9)
    if not decision.gate:
        np.testing.assert_allclose([sweep.dice[c, SMALL.index(decision.min_areas[c]), decision.thresholds[c]] for c in (0, 1)], each.mean(0))
    channel, moved = data.draw(st.integers(0, 1)), data.draw(k)
    row = sweep_trade(sweep, decision, channel).loc[moved]
    other = Decision(tuple(moved if c == channel else v for c, v in enumerate(decision.thresholds)), decision.min_areas, decision.gate)
    table = sweep_screening(sweep, other)
    assert [row.escapes, row.overkill] == table.images.tolist()


def test_best_decision_is_that_of_the_decision_module(pairs, sweep):
    assert sweep_decision(sweep) == choose_decision(pairs, thresholds=range(256), areas=SMALL)
    for c, (k, area) in enumerate(zip(sweep_decision(sweep).thresholds, sweep_decision(sweep).min_areas)):
        first, last = plateau(sweep.dice[c, SMALL.index(area)])
        assert first <= k <= last


def test_screening_counts_and_intervals(pairs, sweep):
    decision = Decision((90, 90), (4, 16))
    table, rejected = sweep_screening(sweep, decision), sweep_rejected(sweep, decision)
    old = screening_summary(pd.DataFrame(dict(defective=sweep.defective, rejected=rejected)), groups=GROUPS)
    assert table[["images", "of", "groups"]].equals(old[["images", "of", "groups"]]) and list(table) == list(old)
    assert ((table.low <= table.rate) & (table.rate <= table.high)).all()


@pytest.mark.parametrize("events", [0, 1, 7, 29, 30])
def test_share_is_exact_for_images(events):
    share, exact = share_interval(np.arange(30) < events), binomtest(events, 30).proportion_ci(method="exact")
    np.testing.assert_allclose([share.low, share.high], [exact.low, exact.high], rtol=1e-9)


def test_share_of_groups():
    together, apart = np.repeat([True, False, False, False, False], 6), np.tile([True, False, False, False, False], 6)
    groups = np.repeat(range(5), 6)
    wide, narrow = share_interval(together, groups), share_interval(apart, groups)
    assert wide.value == narrow.value == .2 and wide.high-wide.low > 1.5*(narrow.high-narrow.low)
    assert share_interval(together, groups).low == pytest.approx(share_interval(together[::-1], groups[::-1]).low)
    again = bootstrap(mean_parts(together), mean_of, groups=groups)
    assert wide.high >= again.high, "five groups are no thirty images"
    one = share_interval([True, False], ["a", "a"])
    assert 0 <= one.low < .5 < one.high <= 1


def test_sets_with_nothing_to_see():
    clean, full = np.zeros((2, 6, 8), bool), np.ones((2, 6, 8), bool)
    p = np.random.default_rng(0).integers(0, 200, (2, 6, 8), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for truths in ([clean], [full], [clean]*3, [full]*3):
            s = threshold_sweep(((p, t) for t in truths), ids=range(len(truths)), areas=SMALL, draws=100, progress=False)
            assert np.isfinite(s.dice).all() and np.isfinite(s.low).all() == (len(truths) > 1)
            table = sweep_screening(s, sweep_decision(s))
            assert table.of.tolist() == ([len(truths), 0] if truths[0].any() else [0, len(truths)]) and table.rate.isna().sum() == 1
            assert len(sweep_trade(s, sweep_decision(s), 0)) == 256 and sweep_dice(s, sweep_decision(s)).shape == (len(truths), 2)
    assert s.bearing.shape == (6, 2) and s.curves.shape == (6, 4, 256)


def test_memory_does_not_grow_with_images():
    rng, truth = np.random.default_rng(0), np.zeros((1, 4, 4), bool)
    def peak(n):
        tracemalloc.start()
        threshold_sweep(((rng.integers(0, 4, (1, 4, 4), np.uint8), truth) for _ in range(n)), ids=range(n), draws=100, progress=False)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used
    peak(2)
    few, many = peak(64), peak(160) # more than one batch either way
    assert many-few < .25*(160-64)*len(AREAS)*256*8, (few, many)


@pytest.mark.parametrize("change, words", [
    (dict(ids=[]), "there is no image: give the ids"),
    (dict(ids=["a", "b"]), "there are 1 pairs for 2 ids"),
    (dict(ids=["a", "a"]), "a comes twice among the ids"),
    (dict(ids=["a"], groups=["x", "y"]), "2 group labels for 1 images"),
    (dict(ids=["a"], areas=[4, 2]), "each larger than the one before"),
    (dict(ids=["a"], areas=[]), "give whole numbers of pixels"),
    (dict(ids=["a"], areas=[.5]), "give whole numbers of pixels"),
    (dict(ids=["a"], draws=3), "take 100 or more"),
])
def test_refusals(change, words):
    with pytest.raises(ValueError, match=words): threshold_sweep([(np.zeros((1, 4, 4), np.uint8), np.zeros((1, 4, 4), bool))], **dict(progress=False)|change)


def test_faults_name_the_image():
    p, t = np.zeros((2, 4, 4), np.uint8), np.zeros((2, 4, 4), bool)
    go = lambda *pairs: threshold_sweep(pairs, ids=["a.jpg", "b.jpg"], draws=100, progress=False)
    with pytest.raises(ValueError, match="b.jpg has 1 classes and a.jpg 2"): go((p, t), (p[:1], t[:1]))
    with pytest.raises(ValueError, match="b.jpg: probabilities have shape .* and truth"): go((p, t), (p, t[:, :3]))
    with pytest.raises(TypeError, match="a.jpg: probabilities are float64, not uint8"): go((p/1., t))
    with pytest.raises(TypeError, match="a.jpg: truth is int64, not bool"): go((p, t.astype(int)))
    with pytest.raises(ValueError, match="more pairs than the 2 ids"): go((p, t), (p, t), (p, t))
