"Localisation scores against scikit-learn, brute force, and a plain reading of the MVTec AD evaluation."
import gc
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import label
from sklearn.metrics import average_precision_score, roc_auc_score

from steel_defects.decision import quantise
from steel_defects.intervals import bootstrap
from steel_defects.localisation import (
    Localisation, au_pro, average_precision, localisation_parts, localisation_table, per_region_overlap, pixel_auroc, pixel_parts,
    pro_curve, sum_parts,
)


def maps(seed, shape=(9, 13), images=4, levels=(0, 40, 41, 255), share=.3):
    "Images of one class whose bytes tie heavily."
    rng = np.random.default_rng(seed)
    truths = [rng.random((1, *shape)) < share*rng.random() for _ in range(images)]
    return [(rng.choice(np.array(levels, np.uint8), (1, *shape)), t) for t in truths]


def pooled(pairs): return np.concatenate([p.ravel() for p, _ in pairs]), np.concatenate([t.ravel() for _, t in pairs])


def regions_of(pairs):
    "The bytes of every region: labelled pixels that touch by side or corner."
    for p, t in pairs:
        number, n = label(t[0], np.ones((3, 3)))
        yield from (p[0][number == i+1] for i in range(n))


def brute_curve(pairs):
    "False-positive rate and mean overlap, threshold by threshold."
    scores, there = pooled(pairs)
    overlap = list(regions_of(pairs))
    levels = range(256, -1, -1)
    return np.array([(scores[~there] >= k).mean() for k in levels]), np.array([np.mean([(r >= k).mean() for r in overlap]) for k in levels])


def brute_area(x, y, limit):
    "Area up to the limit: the point on the limit is put in, what lies beyond is thrown away."
    if limit not in x:
        right = next(i for i, value in enumerate(x) if value > limit)
        cut = y[right-1]+(y[right]-y[right-1])*(limit-x[right-1])/(x[right]-x[right-1])
        x, y = np.insert(x, right, limit), np.insert(y, right, cut)
    x, y = x[x <= limit], y[x <= limit]
    return sum((b-a)*(c+d)/2 for a, b, c, d in zip(x[:-1], x[1:], y[:-1], y[1:]))/limit


LEVELS = [(0, 255), (0, 40, 41, 255), (7,), (0, 1, 2, 3, 128, 254), tuple(range(256))]


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 2), (9, 13), (16, 20)])
def test_all_scores_equal_scikit_learn_and_brute_force(levels, shape):
    tried = 0
    for seed in range(4):
        pairs = maps(seed, shape, levels=levels)
        scores, there = pooled(pairs)
        parts, = sum_parts(pairs, localisation_parts)
        if not there.any() or there.all(): continue
        tried += 1
        assert pixel_auroc(parts)[0] == pytest.approx(roc_auc_score(there, scores), abs=1e-12)
        assert average_precision(parts)[0] == pytest.approx(average_precision_score(there, scores), abs=1e-12)
        x, y = brute_curve(pairs)
        found = pro_curve(parts[0])
        np.testing.assert_allclose(found, (x, y), atol=1e-12)
        assert found[0][0] == found[1][0] == 0 and found[0][-1] == found[1][-1] == 1
        for limit in (.3, .05, .001, x[len(x)//2] or .5, 1.):
            assert au_pro(parts, limit=limit)[0] == pytest.approx(brute_area(x, y, limit), abs=1e-12)
        for k in (0, 1, 41, 128, 255): assert per_region_overlap(parts, k)[0] == pytest.approx(y[256-k], abs=1e-12)
        assert localisation_table(parts).regions.iloc[0] == len(list(regions_of(pairs)))
    assert tried


@settings(max_examples=60, deadline=None)
@given(arrays(np.uint8, (2, 4, 5), elements=st.sampled_from([0, 3, 4, 255])), arrays(bool, (2, 4, 5)))
def test_a_class_is_scored_alone(p, t):
    parts = localisation_parts(p, t, any_class=True)
    for i in range(2): assert (parts[i] == localisation_parts(p[i:i+1], t[i:i+1])[0]).all()
    assert (parts[2] == localisation_parts(p.max(0)[None], t.any(0)[None])[0]).all()
    assert (parts[:, :2] == np.concatenate([pixel_parts(p, t), pixel_parts(p.max(0)[None], t.any(0)[None])])).all()
    there = t.any((1, 2))
    for score in (au_pro, pixel_auroc, average_precision, per_region_overlap): assert np.isnan(score(parts)[:2][~there]).all()


def test_regions_touch_by_corners_and_count_alike():
    t = np.zeros((1, 12, 12), bool)
    t[0, 0, 0] = t[0, 1, 1] = t[0, 2, 2] = True  # one region of three pixels
    t[0, 5:12, 5:12] = True
    p = np.where(t, 0, 10).astype(np.uint8)
    p[0, :3, :3] = 200
    assert per_region_overlap(localisation_parts(p, t), 200)[0] == pytest.approx(.5)
    assert localisation_table(localisation_parts(p, t)).regions.iloc[0] == 2


def test_regions_at_the_border_of_the_image():
    "A region is measured inside its box; boxes at every border are boxes."
    for corner in ((0, 0), (0, 7), (7, 0), (7, 7)):
        t = np.zeros((1, 8, 8), bool)
        t[0, corner[0], corner[1]] = t[0, 3, 4] = True
        p = t*np.uint8(9)
        assert localisation_parts(p, t)[0, 2, 9] == 2


def test_known_answers():
    rng = np.random.default_rng(0)
    t = rng.random((1, 30, 30)) < .1
    flat, perfect, wrong = (localisation_parts(p.astype(np.uint8), t) for p in (t*0+7, t*9, ~t*9))
    for limit in (.3, .05, 1): assert au_pro(flat, limit=limit)[0] == pytest.approx(limit/2)
    assert pixel_auroc(flat)[0] == .5 and average_precision(flat)[0] == pytest.approx(t.mean())
    assert au_pro(perfect)[0] == pixel_auroc(perfect)[0] == average_precision(perfect)[0] == pytest.approx(1)
    assert au_pro(wrong)[0] == pixel_auroc(wrong)[0] == 0


def test_nothing_to_find_has_no_score_and_a_reason():
    p = np.random.default_rng(0).integers(0, 256, (1, 5, 6), np.uint8)
    empty, full = localisation_parts(p, np.zeros(p.shape, bool)), localisation_parts(p, np.ones(p.shape, bool))
    for score in (au_pro, pixel_auroc, average_precision, per_region_overlap):
        assert np.isnan(score(empty)).all() and score(empty, empty=1.) == 1
    assert np.isnan(au_pro(full)) and np.isnan(pixel_auroc(full)) and average_precision(full) == 1 and per_region_overlap(full, 0) == 1
    assert au_pro(full, empty=.25) == pixel_auroc(full, empty=.25) == .25
    assert list(localisation_table(np.concatenate([empty, full])).reason) == ["no labelled pixel in any image", "no clean pixel in any image"]
    assert localisation_table(empty).drop(columns=["regions", "share", "reason"]).isna().all(axis=None)


def test_scores_run_along_leading_axes():
    pairs = maps(3, images=8)
    each = np.stack([localisation_parts(p, t) for p, t in pairs])
    each[2] = localisation_parts(pairs[2][0], pairs[2][1] & False)
    for score in (au_pro, pixel_auroc, average_precision, per_region_overlap):
        rows = np.array([score(one) for one in each])
        assert rows.shape == score(each).shape == (8, 1)
        np.testing.assert_array_equal(rows, score(each))
        assert np.isnan(rows[2])
    assert bootstrap(each, au_pro, draws=100).value[0] == pytest.approx(au_pro(each.sum(0))[0])


def test_streams_merge_and_order_does_not_matter():
    pairs = maps(5, images=9)
    one, parts = Localisation(), []
    for pair in pairs: parts.append(one.update(*pair))
    many = [Localisation() for _ in range(4)]  # the last sees no image
    for i, pair in enumerate(pairs[::-1]): many[i%3].update(*pair)
    whole = Localisation()
    for other in many: assert whole.merge(other) is whole
    assert whole.images == one.images == 9
    np.testing.assert_allclose(whole.compute(), one.compute(), atol=1e-12)
    np.testing.assert_array_equal(np.sum(parts, axis=0), one.compute())
    one.compute()[:] = 0
    assert one.compute().any(), "what compute hands out is a copy"
    first = Localisation()
    kept = first.update(*pairs[0]).copy()
    given = first.update(*pairs[1])
    first.update(*pairs[2])
    np.testing.assert_array_equal(given, localisation_parts(*pairs[1]))
    np.testing.assert_array_equal(kept, localisation_parts(*pairs[0]))


def test_parts_of_an_image_stay_what_they_were():
    "update must not add later images to parts it handed out before, nor merge to the other's."
    pairs = maps(6)
    a, b = Localisation(), Localisation()
    handed = a.update(*pairs[0])
    b.update(*pairs[1])
    before = b.compute()
    a.merge(b).update(*pairs[2])
    np.testing.assert_array_equal(handed, localisation_parts(*pairs[0]))
    np.testing.assert_array_equal(b.compute(), before)
    empty = Localisation().merge(b)
    empty.update(*pairs[3])
    np.testing.assert_array_equal(b.compute(), before)


def test_memory_does_not_grow():
    rng = np.random.default_rng(0)
    p = rng.integers(0, 256, (4, 64, 400), np.uint8)
    t = rng.random(p.shape) < .01  # a thousand regions
    running = Localisation(any_class=True)

    def strips(n):
        for _ in range(n): running.update(p, t)
        gc.collect()
        return tracemalloc.get_traced_memory()

    running.update(p, t)
    tracemalloc.start()
    try:
        few = strips(5)
        tracemalloc.reset_peak()
        many = strips(100)
        tracemalloc.reset_peak()
        sum_parts(((p, t) for _ in range(100)), localisation_parts, pixel_parts)
        summed = tracemalloc.get_traced_memory()
    finally: tracemalloc.stop()
    assert many[0]-few[0] < 20_000, "100 more strips are kept in the same arrays"
    assert many[1] < few[1]+50_000, "no strip needs more than the first"
    assert summed[1]-many[0] < 3*few[1]
    assert running.images == 106


@pytest.mark.parametrize("p, t, error, words", [
    (np.full((1, 2, 2), np.nan), np.zeros((1, 2, 2), bool), TypeError, "float64, not uint8: call quantise first"),
    (np.full((1, 2, 2), .5, np.float32), np.zeros((1, 2, 2), bool), TypeError, "float32, not uint8"),
    (np.full((1, 2, 2), 300), np.zeros((1, 2, 2), bool), TypeError, "int64, not uint8"),
    (np.zeros((1, 2, 2), np.uint8), np.zeros((1, 2, 2)), TypeError, "truth is float64, not bool"),
    (np.zeros((1, 2, 2), np.uint8), np.zeros((1, 2, 3), bool), ValueError, "must be alike"),
    (np.zeros((1, 2, 2), np.uint8), np.zeros((2, 2), bool), ValueError, "must be alike"),
    (np.zeros((2, 2), np.uint8), np.zeros((2, 2), bool), ValueError, r"p\[None\]"),
    (np.zeros((0, 2, 2), np.uint8), np.zeros((0, 2, 2), bool), ValueError, "a class or more"),
])
def test_bad_maps_are_refused(p, t, error, words):
    for function in (pixel_parts, localisation_parts, Localisation().update):
        with pytest.raises(error, match=words): function(p, t)


@pytest.mark.parametrize("broken, words", [([.5, np.nan], "NaN"), ([.5, np.inf], "infinity"), ([-.1, .5], "not within 0..1"),
                                           ([.5, 1.1], "not within 0..1")])
def test_broken_probabilities_never_become_bytes(broken, words):
    with pytest.raises(ValueError, match=words): quantise(np.array(broken))


def test_bad_calls_are_refused():
    pairs = maps(0)
    parts = localisation_parts(*pairs[0])
    for limit in (0, -1, 1.5, 30, np.nan):
        with pytest.raises(ValueError, match="give a number above 0 and up to 1"): au_pro(parts, limit=limit)
    for k in (-1, 256, .5, np.nan):
        with pytest.raises(ValueError, match="whole number 0..255"): per_region_overlap(parts, k)
    two = tuple(np.concatenate([a, a]) for a in pairs[0])
    with pytest.raises(ValueError, match="one class list"): sum_parts([pairs[0], two], localisation_parts)
    with pytest.raises(ValueError, match="at least one pair"): sum_parts([], localisation_parts)
    running = Localisation()
    running.update(*pairs[0])
    with pytest.raises(ValueError, match="one class list"): running.update(*two)
    with pytest.raises(ValueError, match="both with any_class"): running.merge(Localisation(any_class=True))
    with pytest.raises(ValueError, match="call update first"): Localisation().compute()


def test_layout_in_memory_does_not_matter():
    rng = np.random.default_rng(0)
    p, t = rng.integers(0, 256, (3, 8, 10), np.uint8), rng.random((3, 8, 10)) < .3
    wanted = localisation_parts(p, t)
    fortran = localisation_parts(np.asfortranarray(p), np.asfortranarray(t))
    np.testing.assert_array_equal(wanted[:, :2], fortran[:, :2])
    np.testing.assert_allclose(wanted, fortran)
    p.flags.writeable = t.flags.writeable = False
    np.testing.assert_array_equal(wanted, localisation_parts(p, t))


def test_many_images_of_many_pixels_stay_exact():
    "A hundred thousand strips: the sums pass 2 to the 32 and the scores stay those of one."
    p, t = maps(1, (24, 40), images=1, levels=tuple(range(256)))[0]
    one = localisation_parts(p, t)
    for score in (au_pro, pixel_auroc, average_precision): assert score(one*1e8)[0] == pytest.approx(score(one)[0], rel=1e-12)
