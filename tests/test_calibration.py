"Threshold curves and calibration against brute force and scikit-learn."
import gc
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from steel_defects.calibration import (
    STATED, calibration_table, curve_area, dice_curve, dice_parts, expected_calibration_error, fit_temperature, plateau, reliability_table,
    set_dice_curve, temper, temper_parts, threshold_table,
)
from steel_defects.decision import quantise
from steel_defects.intervals import bootstrap
from steel_defects.localisation import localisation_parts, pixel_parts, sum_parts
from steel_defects.metrics import counts, dice

probs = arrays(np.uint8, (2, 3, 4), elements=st.sampled_from([0, 1, 90, 91, 254, 255]))
truths = arrays(bool, (2, 3, 4))
pair_lists = st.lists(st.tuples(probs, truths), min_size=1, max_size=5)
SOME_THRESHOLDS = (0, 1, 2, 90, 91, 92, 254, 255)


def planted(boast, n=400_000, seed=0, offset=-1.):
    "Histograms of pixels whose labels are drawn with the probability that is stated `boast` times too surely."
    rng = np.random.default_rng(seed)
    z = rng.normal(offset, 1.5, n)
    p, t = quantise(expit(boast*z)), rng.random(n) < expit(z)
    return pixel_parts(p[None, None], t[None, None])[0]


# --- Dice at every threshold

@settings(max_examples=40, deadline=None)
@given(pair_lists, st.sampled_from([1., 0., np.nan]))
def test_mean_dice_equals_brute_force(pairs, empty):
    parts, = sum_parts(pairs, lambda p, t: dice_parts(p, t, empty=empty))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # nan where every image is left out
        for k in SOME_THRESHOLDS:
            wanted = np.nanmean([dice(counts(p >= k, t), empty=empty) for p, t in pairs], axis=0)
            np.testing.assert_allclose(dice_curve(parts)[:, k], wanted, atol=1e-12)
    nothing = np.array([dice(counts(np.zeros(t.shape, bool), t), empty=empty) for _, t in pairs])
    np.testing.assert_allclose(parts[:, 256, 0], np.nansum(nothing, axis=0))
    np.testing.assert_array_equal(parts[:, 256, 1], (~np.isnan(nothing)).sum(0))


@settings(max_examples=40, deadline=None)
@given(pair_lists)
def test_dice_over_the_set_equals_brute_force(pairs):
    for function in (pixel_parts, localisation_parts):
        curve = set_dice_curve(sum_parts(pairs, function)[0])
        for k in SOME_THRESHOLDS: np.testing.assert_allclose(curve[:, k], dice(sum(counts(p >= k, t) for p, t in pairs)))


def test_the_empty_rule_by_default():
    "A clean image with nothing found is perfect, a false alarm on it is not."
    p, clean = np.full((1, 4, 4), 100, np.uint8), np.zeros((1, 4, 4), bool)
    curve = dice_curve(dice_parts(p, clean))[0]
    assert (curve[:101] == 0).all() and (curve[101:] == 1).all()
    assert (set_dice_curve(pixel_parts(p, clean))[0] == curve).all()
    left_out = dice_curve(dice_parts(p, clean, empty=np.nan))[0]
    assert (left_out[:101] == 0).all() and np.isnan(left_out[101:]).all()
    assert np.isnan(set_dice_curve(pixel_parts(p, clean), empty=np.nan)[0, 101:]).all()


def test_mean_of_images_is_not_the_set():
    big, small = np.zeros((1, 20, 20), bool), np.zeros((1, 20, 20), bool)
    big[0, :10], small[0, 0, 0] = True, True
    pairs = [(big*np.uint8(200), big), (np.zeros_like(small, np.uint8), small)]
    dices, pixels = sum_parts(pairs, dice_parts, pixel_parts)
    assert dice_curve(dices)[0, 100] == .5 and set_dice_curve(pixels)[0, 100] > .99


def test_area_is_the_integral_over_thresholds():
    rng = np.random.default_rng(0)
    curve = rng.random((3, 256))
    at = (np.arange(200_000)+.5)/200_000
    k = np.ceil(at*255-1e-9).astype(int)  # what is found at t is what is k or more, k the next whole number
    np.testing.assert_allclose(curve_area(curve), curve[:, k].mean(-1), atol=1e-4)
    assert curve_area(np.ones(256)) == 1 and curve_area(np.r_[1, np.zeros(255)]) == 0


def brute_plateau(curve, within):
    best = max(curve)
    runs = []
    for first in range(256):
        for last in range(first, 256):
            piece = curve[first:last+1]
            if min(piece) >= best*(1-within) and max(piece) == best: runs.append((last-first, -first, last))
    width, first, last = max(runs)
    return -first, last


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 60), st.sampled_from([0., .5, .79, .795, .8])), min_size=1, max_size=12), st.sampled_from([0., .01, .02]))
def test_plateau_equals_brute_force(steps, within):
    curve = np.concatenate([np.full(n, v) for n, v in steps])
    curve = np.pad(curve, (0, 256))[:256]
    assert plateau(curve, within=within) == brute_plateau(curve.tolist(), within)


def test_plateau_reaches_both_ends():
    assert plateau(np.ones(256)) == (0, 255)
    assert plateau(np.r_[1, np.zeros(255)]) == (0, 0)
    assert plateau(np.r_[np.zeros(255), 1]) == (255, 255)
    assert plateau(np.r_[np.full(50, np.nan), np.ones(206)]) == (50, 255)


def test_plateau_is_a_share_of_the_best_and_holds_it():
    "1 % of the best, not a hundredth of Dice; a wide run just below the best does not count, two runs with it do."
    assert plateau(np.r_[np.full(100, .0), np.full(56, .2), np.full(100, .195)]) == (100, 155)
    near, best, low = np.full(60, .799), np.full(5, .8), np.full(10, .1)
    assert plateau(np.r_[near, low, best, low, near, np.full(111, .1)]) == (70, 74)
    assert plateau(np.r_[best, low, best, best, np.full(231, .1)]) == (15, 24)


def test_threshold_table():
    rng = np.random.default_rng(0)
    pairs = [(rng.integers(0, 256, (2, 6, 7), np.uint8), (rng.random((2, 6, 7)) < .3) & np.array([i%2 == 0, False])[:, None, None]) for i in range(6)]
    dices, pixels = sum_parts(pairs, dice_parts, pixel_parts)
    table = threshold_table(dices, pixels)
    assert list(table.loc[(1, "per image"), ["all_empty"]]) == [.5] and table.loc[(1, "over the set"), "all_empty"] == 0
    assert (table.loc[2, "all_empty"] == 1).all()  # a class nobody bears
    row, curve = table.loc[(1, "per image")], dice_curve(dices)[0]
    assert (row["best"], row["at"], row["area"]) == (curve.max(), curve.argmax(), pytest.approx(curve_area(curve)))
    assert (row["first"], row["last"]) == plateau(curve) and row["width"] == row["last"]-row["first"]+1
    none, = sum_parts([(p*0, t & False) for p, t in pairs], lambda p, t: dice_parts(p, t, empty=np.nan))
    none[:, 0] = 0
    blank = threshold_table(none, pixels).xs("per image", level="dice")
    assert blank.isna().all(axis=None), "no image counts: no score, and no error"


def test_curves_take_a_bootstrap():
    rng = np.random.default_rng(0)
    each = np.stack([dice_parts(p, p >= 128) for p in rng.integers(0, 256, (6, 1, 5, 5), np.uint8)])
    out = bootstrap(each, lambda parts: curve_area(dice_curve(parts)), draws=100)
    assert out.value[0] == pytest.approx(curve_area(dice_curve(each)).mean())
    assert dice_curve(each).shape == (6, 1, 256)


def test_memory_does_not_grow():
    rng = np.random.default_rng(0)
    p, t = rng.integers(0, 256, (4, 64, 400), np.uint8), rng.random((4, 64, 400)) < .01
    functions = dice_parts, pixel_parts
    sum_parts([(p, t)], *functions)

    def peak(n):
        gc.collect()
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        sum_parts(((p, t) for _ in range(n)), *functions)
        return tracemalloc.get_traced_memory()[1]-before

    tracemalloc.start()
    try: few, many = peak(3), peak(100)
    finally: tracemalloc.stop()
    assert many < few+50_000


# --- reliability

def test_a_byte_states_the_middle_of_its_range():
    assert (quantise(STATED[:255]) == np.arange(255)).all()
    np.testing.assert_allclose(np.diff(STATED[:255]), 1/255)
    assert STATED[254] < STATED[255] < 1


@pytest.mark.parametrize("bins", [1, 2, 7, 10, 15, 256])
def test_reliability_equals_scikit_learn(bins):
    rng = np.random.default_rng(0)
    k = rng.choice(np.array([0, 1, 25, 26, 127, 200, 254, 255], np.uint8), 3000) if bins != 7 else rng.integers(0, 256, 3000).astype(np.uint8)
    t = rng.random(3000) < .2+.5*k/255
    pixels = pixel_parts(k[None, None], t[None, None])[0]
    table = reliability_table(pixels, bins=bins)
    held = table[table.n > 0]
    observed, stated = calibration_curve(t, STATED[k], n_bins=bins, strategy="uniform")
    np.testing.assert_allclose(held.observed, observed, atol=1e-12)
    np.testing.assert_allclose(held.stated, stated, atol=1e-12)
    assert table.n.sum() == 3000 and len(table) == bins
    assert ((held.stated > held.low-1e-12) & (held.stated <= held.high)).all()
    gap = abs(observed-stated)
    assert expected_calibration_error(pixels, bins=bins) == pytest.approx((gap*held.n).sum()/3000)
    assert expected_calibration_error(pixels, bins=bins, weighted=False) == pytest.approx(gap.mean())


def test_calibration_of_nothing():
    none = np.zeros((2, 256))
    assert np.isnan(expected_calibration_error(none)) and (reliability_table(none).n == 0).all()
    table = calibration_table(np.stack([none, planted(1)]))
    assert table.loc[1, ["labelled", "stated", "ece", "gap", "nll"]].isna().all() and table.loc[2].notna().all()


# --- temperature

@pytest.mark.parametrize("boast", [.6, 1, 1.7, 2.5])
def test_a_planted_temperature_is_found(boast):
    assert fit_temperature(planted(boast)) == pytest.approx(boast, rel=.03)


def test_temperature_is_the_most_likely_one():
    for seed in range(4):
        pixels = planted(1.5, 3000, seed)
        inner = slice(1, 255)
        clean, there, z = pixels[0, inner], pixels[1, inner], logit(STATED[inner])
        loss = lambda log_t: (clean*np.logaddexp(0, z/np.exp(log_t))+there*np.logaddexp(0, -z/np.exp(log_t))).sum()
        wanted = np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded", options=dict(xatol=1e-10)).x)
        assert fit_temperature(pixels) == pytest.approx(wanted, rel=1e-5)


def test_pixels_rounded_to_the_ends_do_not_pull():
    "However many clean pixels are stored as 0: how near 0 they are is not known."
    pixels = planted(2.)
    crowd = pixels.copy()
    crowd[0, 0] += 1e9
    crowd[1, 255] += 1e6
    assert fit_temperature(crowd) == fit_temperature(pixels)


def test_temperature_per_class_and_for_all():
    pixels = np.stack([planted(1.5), planted(2.5, seed=1)])
    each = fit_temperature(pixels)
    assert each.shape == (2,) and each == pytest.approx([1.5, 2.5], rel=.03)
    one = fit_temperature(pixels.sum(0))
    assert one.shape == () and each[0] < one < each[1]
    assert fit_temperature(np.stack([pixels, pixels])).shape == (2, 2)
    votes = np.concatenate([pixels, pixels[:, :1]*7], axis=1)  # parts of localisation carry a third row
    assert (fit_temperature(votes) == each).all()


def test_no_temperature_and_the_ends_of_the_search():
    pixels = planted(1.)
    assert np.isnan(fit_temperature(pixels*[[1], [0]])) and np.isnan(fit_temperature(pixels*[[0], [1]])) and np.isnan(fit_temperature(pixels*0))
    right, wrong = np.zeros((2, 256)), np.zeros((2, 256))
    right[0, 60] = right[1, 200] = wrong[1, 60] = wrong[0, 200] = 10
    assert fit_temperature(right) == 1/20 and fit_temperature(wrong) == 20
    assert fit_temperature(right, limit=4) == .25
    half = np.zeros((2, 256))
    half[:, 127] = 5
    assert np.isnan(fit_temperature(half)), "a half stays a half at any temperature"
    for limit in (1, .5, -2, np.nan):
        with pytest.raises(ValueError, match="above 1"): fit_temperature(pixels, limit=limit)


@given(st.floats(.05, 20))
def test_tempering_is_a_table_that_keeps_order(t):
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    table = temper(every, t).ravel().astype(int)
    assert (np.diff(table) >= 0).all() and table[0] == 0 and table[255] == 255
    stated = expit(logit(STATED[1:255])/t)
    assert (abs(STATED[table[1:255]]-stated) <= abs(STATED[None]-stated[:, None]).min(1)+1e-12).all(), "the nearest byte there is"


def test_temperature_one_changes_nothing():
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    for one in (1, 1., [1.], np.ones(1)): assert (temper(every, one) == every).all() and temper(every, one).dtype == np.uint8


@settings(max_examples=30, deadline=None)
@given(probs, truths, st.lists(st.floats(.1, 10), min_size=2, max_size=2))
def test_tempered_histograms_are_those_of_tempered_maps(p, t, temperatures):
    for function in (pixel_parts, localisation_parts):
        np.testing.assert_allclose(temper_parts(function(p, t), temperatures), function(temper(p, temperatures), t), atol=1e-12)


def test_before_and_after_on_other_images():
    fitted, held = np.stack([planted(2., seed=s) for s in (0, 1)]), np.stack([planted(2., seed=s) for s in (2, 3)])
    t = fit_temperature(fitted)
    table = calibration_table(held, t)
    assert (table.ece > .05).all() and (table.ece_after < .01).all() and (table.gap_after < .02).all() and (table.nll_after < table.nll).all()
    k, there = np.repeat(np.tile(np.arange(256), 2), held[0].ravel().astype(int)), np.repeat([0, 1], held[0].sum(1).astype(int))
    assert table.nll[1] == pytest.approx(log_loss(there, STATED[k]), rel=1e-6)
    assert table.stated[1] == pytest.approx(STATED[k].mean()) and table.labelled[1] == pytest.approx(there.mean())
    assert table.ece_after[1] == pytest.approx(expected_calibration_error(temper_parts(held, t)[0]))
    mixed = calibration_table(held, [np.nan, t[1]])
    assert mixed.ece_after[1] == mixed.ece[1] and mixed.ece_after[2] == table.ece_after[2] and np.isnan(mixed.temperature[1])


# --- bad input

def test_bad_input_is_refused():
    p, t = np.zeros((2, 3, 3), np.uint8), np.zeros((2, 3, 3), bool)
    pixels = pixel_parts(p, t)
    for wrong, error, words in ((p/255, TypeError, "call quantise first"), (np.full(p.shape, np.nan), TypeError, "call quantise first"),
                                (p[0], ValueError, r"p\[None\]")):
        for call in (lambda: dice_parts(wrong, t[:len(wrong)]), lambda: temper(wrong, 1)):
            with pytest.raises(error, match=words): call()
    with pytest.raises(TypeError, match="not bool"): dice_parts(p, t*1)
    with pytest.raises(ValueError, match="must be alike"): dice_parts(p, t[:1])
    for bad in (0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match="use 1 for a class that has none"): temper(p, [1, bad])
    for bad in ([1, 2, 3], [[1, 2]], []):
        with pytest.raises(ValueError, match="one per class, or one for all"): temper(p, bad)
        with pytest.raises(ValueError, match="one per class, or one for all"): temper_parts(pixels, bad)
    for bad in (0, 257, 2.5, -3):
        with pytest.raises(ValueError, match="whole number 1..256"): reliability_table(pixels[0], bins=bad)
    with pytest.raises(ValueError, match=r"pixels\[0\]"): expected_calibration_error(pixels)
    with pytest.raises(ValueError, match="one per class, or one for all"): calibration_table(pixels, [1, 2, 3])
    with pytest.raises(ValueError, match="no image counts"): plateau(np.full(256, np.nan))
    for bad in (-.1, 1, np.nan):
        with pytest.raises(ValueError, match="below 1"): plateau(np.ones(256), within=bad)
    with pytest.raises(ValueError, match="one class's curve"): plateau(np.ones((2, 256)))
    with pytest.raises(ValueError, match="over the same pairs"): threshold_table(dice_parts(p, t), pixels[:1])
