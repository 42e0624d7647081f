"Intervals: they hold the truth as often as they say, they notice groups, they agree with closed forms and with SciPy."
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap as scipy_bootstrap, permutation_test, t as student

from steel_defects.intervals import Interval, bootstrap, bootstrap_seeds, group_sums, mean_of, mean_parts, paired_test
from steel_defects.metrics import dice

mean = mean_of


def copied(rng, pictures=20, copies=6, spread=.1, noise=.01):
    "Values of pictures and their near copies, with the group of each; the true mean is .5."
    group = np.repeat(np.arange(pictures), copies)
    return rng.normal(.5, spread, pictures)[group]+rng.normal(0, noise, len(group)), group


def holding(studies, groups):
    "Share of the intervals that hold .5."
    intervals = [bootstrap(mean_parts(v), mean, groups=g if groups else None, draws=300, seed=i) for i, (v, g) in enumerate(studies)]
    return np.mean([i.low <= .5 <= i.high for i in intervals])


# --- how often they hold the truth

def test_intervals_over_groups_hold_the_truth_and_over_images_do_not():
    "The binomial spread of 400 studies is .011; 300 draws cost a little more."
    rng = np.random.default_rng(0)
    studies = [copied(rng) for _ in range(400)]
    assert .92 <= holding(studies, True) <= .98
    assert holding(studies, False) < .70  # root 6 too narrow: 58 % is expected


@pytest.mark.parametrize("groups", [8, 30])
def test_few_groups_are_made_up_for(groups):
    "Plain percentiles of eight groups hold the truth in nine of ten studies; widened, in 94 of 100."
    rng = np.random.default_rng(groups)
    assert .91 <= holding([copied(rng, pictures=groups, copies=1) for _ in range(500)], True) <= .985


def test_four_groups_are_too_few():
    "No widening mends four: what the page says of them."
    rng = np.random.default_rng(4)
    assert .75 < holding([copied(rng, pictures=4, copies=1) for _ in range(500)], True) < .90


def test_unequal_groups_and_a_ratio_hold_the_truth():
    "Dice over the data set, groups of one to six copies: both top and bottom of the ratio are drawn."
    rng, held = np.random.default_rng(3), 0
    def draw(n):
        size = rng.integers(1, 7, n)
        area, share = rng.gamma(2, 500, n), rng.beta(6, 3, n)
        counts = np.stack([area*share, area*(1-share), area*(1-share), np.full(n, 1e5)], axis=-1).round()
        return np.repeat(counts, size, axis=0), np.repeat(np.arange(n), size)
    truth = dice(draw(200_000)[0].sum(0))
    for i in range(300):
        counts, group = draw(60)
        interval = bootstrap(counts, dice, groups=group, draws=300, seed=i)
        held += interval.low <= truth <= interval.high
    assert .91 <= held/300 <= .985


@pytest.mark.parametrize("level", [.8, .95])
def test_mean_of_normal_values_is_students_interval(level):
    "The closed form; the draws differ from the normal distribution by a few percent of the width."
    values = np.random.default_rng(5).normal(.5, .1, 25)
    interval = bootstrap(mean_parts(values), mean, draws=40_000, level=level)
    reach = student.ppf((1+level)/2, 24)*values.std(ddof=1)/5
    assert interval.value == pytest.approx(values.mean()) and interval.level == level
    assert interval.low == pytest.approx(values.mean()-reach, abs=.06*reach)
    assert interval.high == pytest.approx(values.mean()+reach, abs=.06*reach)


def test_many_groups_agree_with_scipy():
    "At 800 groups nothing is widened any more, and SciPy's percentiles are ours but for chance."
    parts = np.random.default_rng(6).gamma(2, 1, (800, 2))
    ratio = lambda p: p[..., 0]/(p[..., 0]+p[..., 1])
    ours = bootstrap(parts, ratio, draws=8000)
    theirs = scipy_bootstrap((parts[:, 0], parts[:, 1]), lambda a, b, axis: ratio(np.stack([a.sum(axis), b.sum(axis)], -1)), paired=True,
                             n_resamples=8000, vectorized=True, method="percentile", batch=500, rng=0).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=.06*(ours.high-ours.low))


# --- the draws

def test_every_resample_of_three_groups_comes_out_as_often_as_it_should():
    "27 equally likely resamples of three groups, and groups stay whole."
    parts, groups = np.array([[1.], [1], [10], [50], [50]]), list("aabcc")
    seen = []
    bootstrap(parts, lambda p: (seen.append(p[:, 0]), p[:, 0])[1], groups=groups, draws=20_000)
    sums = np.concatenate([s for s in seen if len(s) > 1])
    expected = [sum(way) for way in product([2, 10, 100], repeat=3)]
    for total in set(expected):
        assert np.mean(sums == total) == pytest.approx(expected.count(total)/27, abs=.012)
    assert set(sums) == set(expected)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from("abcde"), min_size=1, max_size=20))
def test_group_sums_are_sums_of_groups(labels):
    parts = np.random.default_rng(0).integers(0, 9, (len(labels), 2, 3))
    order = list(dict.fromkeys(labels))
    expected = [parts[[x == name for x in labels]].sum(0) for name in order]
    assert (group_sums(parts, labels) == expected).all()


def test_order_of_images_and_names_of_groups_do_not_matter():
    values, group = copied(np.random.default_rng(8))
    a = bootstrap(mean_parts(values), mean, groups=group, draws=20_000)
    order = np.random.default_rng(9).permutation(len(values))
    b = bootstrap(mean_parts(values[order]), mean, groups=[f"g{g}" for g in group[order]], draws=20_000)
    assert (a.value, a.low, a.high) == pytest.approx((b.value, b.low, b.high), abs=.003) and a.groups == b.groups == 20


def test_many_groups_are_drawn_in_portions():
    "50,000 groups: more than are drawn at once."
    values = np.random.default_rng(5).normal(.5, .1, 50_000)
    interval = bootstrap(mean_parts(values), mean, draws=400)
    assert interval.high-interval.low == pytest.approx(2*1.96*.1/np.sqrt(50_000), rel=.2) and interval.low < values.mean() < interval.high


def test_same_seed_same_interval():
    parts = mean_parts(np.random.default_rng(0).random(50))
    a, b, c = (bootstrap(parts, mean, seed=s) for s in (0, 0, 1))
    assert (a.low, a.high) == (b.low, b.high) != (c.low, c.high)


def test_scores_for_each_class_are_those_of_the_classes_alone():
    counts = np.random.default_rng(1).integers(0, 99, (40, 3, 4))
    together = bootstrap(counts, dice)
    for c, one in enumerate(together):
        alone = bootstrap(counts[:, c], dice)
        assert (one.value, one.low, one.high) == (alone.value, alone.low, alone.high) and isinstance(alone.value, float)


# --- degenerate cases

def test_degenerate_cases_have_an_answer():
    one = bootstrap(mean_parts([.4, .6]), mean, groups=["a", "a"])
    assert one.value == .5 and np.isnan([one.low, one.high]).all() and "no interval: 1 group" in repr(one)
    empty = bootstrap(np.tile([0, 0, 0, 50], (9, 1)), lambda c: dice(c, empty=np.nan))
    assert np.isnan([empty.value, empty.low, empty.high]).all() and "nothing to score" in repr(empty)
    clean = bootstrap(np.tile([0, 0, 0, 50], (9, 1)), dice)
    assert (clean.value, clean.low, clean.high) == (1, 1, 1)


def test_draws_without_a_score_are_left_out():
    "One image in twelve bears the class: a third of the draws lack it, the others say .5."
    counts = np.tile([0, 0, 0, 50], (12, 1))
    counts[3] = [10, 10, 10, 20]
    interval = bootstrap(counts, lambda c: dice(c, empty=np.nan))
    assert (interval.value, interval.low, interval.high) == (.5, .5, .5)


def test_nan_values_stay_out_of_the_mean():
    assert mean(mean_parts([1, np.nan, 0]).sum(0)) == .5
    with np.errstate(all="raise"):  # nothing is divided by 0 on the way
        assert mean_parts(np.full((4, 3), np.nan)).sum() == 0 and np.isnan(mean(np.zeros((3, 2)))).all()


@pytest.mark.parametrize("kwargs, words", [
    (dict(groups=["a"]), "1 group labels for 6 images"), (dict(groups=["a"]*5+[None]), "image 5"), (dict(groups=np.zeros((6, 2))), "one label for each image"),
    (dict(level=95), "between 0 and 1"), (dict(draws=0), "too few"), (dict(score=np.sum), "along leading axes"), (dict(parts=np.zeros((0, 2))), "no image"),
    (dict(parts=[[np.nan, 1]]*6), "make them with mean_parts"), (dict(parts=["a"]*6), "numbers that add up")])
def test_bad_input_is_told(kwargs, words):
    arguments = dict(parts=mean_parts(np.arange(6)), score=mean) | kwargs
    with pytest.raises((ValueError, TypeError), match=words.replace("(", r"\(")): bootstrap(**arguments)


def test_an_interval_reads_well():
    assert repr(Interval(.677, .612, .731, .95, 9)) == "0.677 [0.612, 0.731]" and f"{Interval(.677, .612, .731, .95, 9):.1f}" == "0.7 [0.6, 0.7]"


# --- A against B

def test_few_groups_are_swapped_in_every_way():
    "Eight groups have 256 swaps: SciPy's exact test gives the same p."
    rng = np.random.default_rng(2)
    for _ in range(5):
        a, b = rng.random((2, 8))
        exact = permutation_test((a, b), lambda x, y, axis: x.mean(axis)-y.mean(axis), permutation_type="samples", vectorized=True, n_resamples=np.inf).pvalue
        assert paired_test(mean_parts(a), mean_parts(b), mean).p == pytest.approx(exact)


def test_many_groups_come_close_to_every_swap():
    rng = np.random.default_rng(2)
    a, b = rng.random((2, 16))
    exact = paired_test(mean_parts(a), mean_parts(b), mean, draws=2**16).p
    assert paired_test(mean_parts(a), mean_parts(b), mean, draws=20_000).p == pytest.approx(exact, abs=.012)


def test_the_test_is_honest_over_groups_only():
    "Where A and B are alike, 5 % of the p-values are below .05; with copies taken for evidence it is most of them."
    rng, below = np.random.default_rng(4), np.zeros(2)
    group = np.repeat(np.arange(15), 8)
    for i in range(300):
        a, b = rng.normal(.5, .1, (2, 15))
        parts = mean_parts(a[group]), mean_parts(b[group])
        below += [paired_test(*parts, mean, groups=g, draws=150, seed=i).p <= .05 for g in (group, None)]
    assert .02 <= below[0]/300 <= .085 and below[1]/300 > .3


def test_a_real_difference_is_found_and_signed():
    rng = np.random.default_rng(7)
    b = rng.normal(.6, .2, 80)
    a = b+rng.normal(.03, .05, 80)
    test, back = paired_test(mean_parts(a), mean_parts(b), mean), paired_test(mean_parts(b), mean_parts(a), mean)
    assert test.p < .01 and test.difference.low > 0 and test.difference.value == pytest.approx((a-b).mean())
    assert back.p == pytest.approx(test.p, abs=.01) and back.difference.high < 0
    assert test.difference.high-test.difference.low < .5*(bootstrap(mean_parts(a), mean).high-bootstrap(mean_parts(a), mean).low)


def test_alike_answers_have_p_one_and_no_score_has_none():
    parts = mean_parts(np.random.default_rng(0).random(30))
    same = paired_test(parts, parts, mean)
    assert same.p == 1 and (same.difference.low, same.difference.high) == (0, 0)
    assert np.isnan(paired_test(parts*0, parts*0, mean).p)
    with pytest.raises(ValueError, match="one at a time"): paired_test(np.ones((5, 3, 4)), np.ones((5, 3, 4)), dice)
    with pytest.raises(ValueError, match="on the same images"): paired_test(parts, parts[1:], mean)


def test_drawn_swaps_never_give_zero():
    "What was seen is one of the swaps: of 2,000 drawn and this one, at least one is as large."
    assert paired_test(mean_parts(np.full(40, .9)), mean_parts(np.full(40, .1)), mean).p == 1/2001


def test_counts_pair_by_pair():
    "A ratio of sums is swapped by its parts, not by scores of groups."
    rng = np.random.default_rng(11)
    a, b = rng.integers(1, 50, (2, 6, 4))
    gaps = []
    for way in product([0, 1], repeat=6):
        swap = np.array(way, bool)[:, None]
        gaps.append(dice(np.where(swap, b, a).sum(0))-dice(np.where(swap, a, b).sum(0)))
    seen = dice(a.sum(0))-dice(b.sum(0))
    assert paired_test(a, b, dice).p == pytest.approx(np.mean(np.abs(gaps) >= abs(seen)-1e-10))


# --- seeds

def test_seed_intervals_hold_what_they_are_for():
    "Three seeds: the mean of the recipe, of these models on all pictures, of all seeds on these pictures."
    rng, held = np.random.default_rng(0), np.zeros(3)
    for i in range(300):
        seeds, pictures = rng.normal(0, .03, (3, 1)), rng.normal(0, .1, 25)
        intervals = bootstrap_seeds(mean_parts(.5+seeds+pictures), mean, draws=300, seed=i)
        for j, (interval, true) in enumerate([(intervals.both, .5), (intervals.pictures, .5+seeds.mean()), (intervals.seeds, .5+pictures.mean())]):
            held[j] += interval.low <= true <= interval.high
    assert (held/300 >= [.93, .91, .92]).all() and (held[1:]/300 <= .985).all()


def test_drawing_three_of_three_seeds_would_be_too_narrow():
    "Why seeds get Student's spread and are not drawn: every draw there is, on seeds that vary alone."
    draws, rng, held = np.array(list(product(range(3), repeat=3))), np.random.default_rng(0), 0
    for seeds in rng.normal(0, .03, (500, 3)):
        low, high = np.quantile(seeds[draws].mean(1), [.025, .975])
        held += low <= 0 <= high
    assert held/500 < .75


def test_seeds_notice_groups_and_need_two():
    values, group = copied(np.random.default_rng(1))
    parts = mean_parts(values+np.array([[.01], [0], [-.01]]))
    over, under = bootstrap_seeds(parts, mean, groups=group), bootstrap_seeds(parts, mean)
    assert over.pictures.high-over.pictures.low > 1.8*(under.pictures.high-under.pictures.low) and over.both.groups == 20
    assert over.scores == pytest.approx([values.mean()+d for d in (.01, 0, -.01)])
    reach = student.ppf(.975, 2)*.01/np.sqrt(3)  # Student's interval of three numbers
    assert (over.seeds.low, over.seeds.high) == pytest.approx((values.mean()-reach, values.mean()+reach))
    with pytest.raises(ValueError, match="train two or more"): bootstrap_seeds(parts[:1], mean)
    with pytest.raises(ValueError, match="one at a time"): bootstrap_seeds(np.ones((2, 5, 3, 4)), dice)
