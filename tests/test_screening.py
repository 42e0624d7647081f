"Image level: scores agree with the decision that is applied, rates with scikit-learn, intervals with groups."
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter
from skimage.morphology import area_opening
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve

from steel_defects.catalog import Catalog
from steel_defects.decision import Decision, decide
from steel_defects.defects import SEVERSTAL
from steel_defects.intervals import bootstrap
from steel_defects.layouts import read_class_folders
from steel_defects.screening import (choose_gate, escape_rate, gate_parts, gate_score, gate_table, image_auroc, image_score, overkill_at_recall,
                                     overkill_rate, recall_at_overkill, screen_catalog, screening_summary)

# few levels, so that regions form, and both ends of the byte
probabilities = arrays(np.uint8, (2, 6, 7), elements=st.sampled_from([0, 1, 3, 128, 254, 255]))
areas = st.tuples(*[st.sampled_from([0, 1, 2, 5, 12, 42, 43])]*2)
scores_of = arrays(np.int64, 30, elements=st.integers(-1, 255))
levels_of = arrays(np.int64, 30, elements=st.sampled_from([-1, 0, 1, 100, 254, 255]))
truths = arrays(bool, 30)


def both_kinds(truth): return np.where(np.arange(len(truth)) < 2, np.arange(len(truth)) == 0, truth)


# --- scores of images

@settings(max_examples=60, deadline=None)
@given(probabilities, areas)
def test_image_score_is_the_largest_threshold_that_finds_something(p, areas):
    finds = [decide(p, Decision((k, k), areas, k)).any() for k in range(256)]
    assert image_score(p, areas) == max((k for k in range(256) if finds[k]), default=-1)
    assert image_score(p) == p.max()


@settings(max_examples=60, deadline=None)
@given(probabilities, areas, st.tuples(*[st.sampled_from([0, 1, 100, 200, 255])]*2), st.sampled_from([0, 200]))
def test_gate_score_is_the_largest_gate_that_finds_something(p, areas, thresholds, gate):
    decision = Decision(thresholds, areas, gate)
    finds = [decide(p, replace(decision, gate=k)).any() for k in range(256)]
    assert gate_score(p, decision) == max((k for k in range(256) if finds[k]), default=-1)


@pytest.mark.parametrize("area", [2, 30, 400])
def test_image_score_is_the_highest_of_an_area_opening(area):
    noise = gaussian_filter(np.random.default_rng(area).standard_normal((3, 60, 90)), (0, 2, 2))
    p = (255*(noise-noise.min())/np.ptp(noise)).astype(np.uint8)
    assert image_score(p, [area]*3) == max(area_opening(x, area, connectivity=2).max() for x in p)


def test_a_region_is_joined_over_corners_and_each_class_has_its_own_area():
    p = np.zeros((2, 8, 8), np.uint8)
    p[0][np.arange(5), np.arange(5)] = 90
    p[1, 7, 7] = 70
    assert image_score(p, [5, 1]) == 90 and image_score(p, [6, 1]) == 70 and image_score(p, [6, 2]) == 0


def test_corners_of_the_scores():
    "An image smaller than the minimum area always passes; a gate that is set does not hide what a lower one would reject."
    p = np.full((1, 4, 4), 140, np.uint8)
    assert image_score(p, [16]) == 140 and image_score(p, [17]) == -1
    assert gate_score(p, Decision((100,), (16,), 200)) == 140 and gate_score(p, Decision((100,), (17,))) == -1


@pytest.mark.parametrize("p, areas, words", [
    (np.zeros((2, 4, 4)), [0, 0], "call quantise first"), (np.zeros((4, 4), np.uint8), [0]*4, "with a class axis"),
    (np.zeros((2, 4, 4), np.uint8), [0], "2 classes and there are 1 minimum areas"), (np.full((2, 4, 4), np.nan), None, "call quantise first")])
def test_bad_probabilities_are_told(p, areas, words):
    with pytest.raises((TypeError, ValueError), match=words): image_score(p, areas)


# --- rates at every gate

@settings(max_examples=30, deadline=None)
@given(scores_of, truths)
def test_every_gate_is_a_confusion_matrix(scores, truth):
    truth = both_kinds(truth)
    parts = gate_parts(scores, truth)
    table = gate_table(parts)
    for gate in (0, 1, 100, 254, 255):
        (passed, overkill), (escapes, rejected) = confusion_matrix(truth, scores >= gate, labels=[False, True])
        assert (table.escapes[gate], table.overkill[gate]) == (escapes, overkill)
        assert escape_rate(parts.sum(0))[gate] == pytest.approx(escapes/(escapes+rejected))
        assert overkill_rate(parts.sum(0))[gate] == pytest.approx(overkill/(overkill+passed))


@settings(max_examples=60, deadline=None)
@given(st.one_of(scores_of, levels_of), truths)
def test_auroc_is_that_of_scikit_learn(scores, truth):
    truth = both_kinds(truth)
    assert image_auroc(gate_parts(scores, truth).sum(0)) == pytest.approx(roc_auc_score(truth, scores))


@settings(max_examples=60, deadline=None)
@given(st.one_of(scores_of, levels_of), truths, st.sampled_from([0, .05, .2, .5, 1]))
def test_working_points_are_points_of_scikit_learns_curve(scores, truth, limit):
    truth = both_kinds(truth)
    parts = gate_parts(scores, truth).sum(0)
    false, true, _ = roc_curve(truth, scores, drop_intermediate=False)  # from rejecting none to rejecting all
    assert recall_at_overkill(parts, limit) == pytest.approx(true[false <= limit+1e-9].max())
    assert overkill_at_recall(parts, 1-limit) == pytest.approx(false[true >= 1-limit-1e-9].min())


def test_rejecting_none_and_all_is_always_possible():
    "A defective image that passes at every gate, a good one that is rejected at every gate."
    parts = gate_parts([-1, 90, 255], [True, True, False]).sum(0)
    assert [recall_at_overkill(parts, x) for x in (0, .9, 1)] == [0, 0, 1] and [overkill_at_recall(parts, x) for x in (0, .5, 1)] == [0, 1, 1]


def test_parts_stream_and_are_scored_along_leading_axes():
    rng = np.random.default_rng(0)
    scores, truth = rng.integers(-1, 256, 90), rng.random(90) < .4
    whole, batches = gate_parts(scores, truth), [gate_parts(scores[i:i+30], truth[i:i+30]) for i in (0, 30, 60)]
    assert (sum(b.sum(0) for b in batches) == whole.sum(0)).all() and whole.sum() == 90
    sums = np.stack([b.sum(0) for b in batches])
    for score in (image_auroc, recall_at_overkill, overkill_at_recall, escape_rate, overkill_rate):
        assert np.array_equal(score(sums), np.stack([score(s) for s in sums]))


@pytest.mark.parametrize("kind", [True, False])
def test_a_set_of_one_kind_has_no_rates(kind):
    parts = gate_parts([3, 200], [kind, kind]).sum(0)
    with np.errstate(all="raise"):  # nothing is divided by 0 on the way
        assert np.isnan(escape_rate(parts)).all() != kind and np.isnan(overkill_rate(parts)).all() == kind
        for score in (image_auroc, recall_at_overkill, overkill_at_recall): assert np.isnan(score(parts))
    with pytest.raises(ValueError, match=f"no validation image is {'good' if kind else 'defective'}"): choose_gate(parts, overkill=.1)


def test_intervals_notice_copies():
    rng = np.random.default_rng(1)
    truth = np.repeat(rng.random(60) < .5, 5)
    scores = np.repeat(rng.integers(0, 156, 60), 5)+60*truth
    width = [i.high-i.low for i in (bootstrap(gate_parts(scores, truth), partial(recall_at_overkill, overkill=.2), groups=g, draws=400)
                                    for g in (np.arange(300)//5, None))]
    assert width[0] > 1.4*width[1]


@pytest.mark.parametrize("scores, truth, words", [
    ([1, 2], [True], "one of each for every image"), ([1, 256], [True, False], "whole numbers -1..255"), ([1, -2], [True, False], "whole numbers -1..255"),
    ([.5, np.nan], [True, False], "whole numbers -1..255"), ([1, 2], [1, 0], "not bool")])
def test_bad_scores_are_told(scores, truth, words):
    with pytest.raises((TypeError, ValueError), match=words): gate_parts(scores, truth)


# --- the gate

@settings(max_examples=60, deadline=None)
@given(st.one_of(scores_of, levels_of), truths, st.sampled_from([0, .05, .2, .5, 1]))
def test_no_other_gate_is_better(scores, truth, limit):
    parts = gate_parts(scores, both_kinds(truth)).sum(0)
    recall, overkill = 1-escape_rate(parts), overkill_rate(parts)
    for wish, kept, best in ((dict(overkill=limit), overkill <= limit+1e-9, (recall, -overkill)), (dict(recall=limit), recall >= limit-1e-9, (-overkill, recall))):
        if not kept.any():
            with pytest.raises(ValueError, match="no gate"): choose_gate(parts, **wish)
            continue
        gate = choose_gate(parts, **wish)
        assert kept[gate] and (best[0][gate], best[1][gate]) == max(zip(best[0][kept], best[1][kept]))


def test_the_gate_stands_in_the_middle_of_its_room():
    parts = gate_parts([10, 20, 100, 110], [False, False, True, True])
    assert choose_gate(parts, overkill=0) == choose_gate(parts, recall=1) == 61  # 21..100 are alike
    assert recall_at_overkill(parts.sum(0), 0) == 1 and overkill_at_recall(parts.sum(0), 1) == 0  # a limit that is just kept is kept


def test_wishes_that_cannot_be_granted_are_told():
    parts = gate_parts([255, 9, -1], [False, True, True])
    with pytest.raises(ValueError, match="within 0.05, at 255 it is 1:"): choose_gate(parts, overkill=.05)
    with pytest.raises(ValueError, match="recall of 0.9, at 0 it is 0.5:"): choose_gate(parts, recall=.9)
    for wish in ({}, dict(overkill=.1, recall=.9)):
        with pytest.raises(ValueError, match="give one of them, as a share"): choose_gate(parts, **wish)
    for call in (partial(choose_gate, overkill=5), partial(choose_gate, recall=np.nan), partial(recall_at_overkill, overkill=95), partial(overkill_at_recall, recall=-1)):
        with pytest.raises(ValueError, match="give a share 0..1"): call(parts)


def test_a_gate_in_a_decision_rejects_what_was_promised():
    "Chosen by gate_score, put into the decision, applied: as many escapes and as much overkill as the table says."
    rng = np.random.default_rng(4)
    strips = np.clip(gaussian_filter(rng.standard_normal((40, 2, 30, 40)), (0, 0, 2, 2))*250+100, 0, 255).astype(np.uint8)
    truth, decision = rng.random(40) < .5, Decision((120, 150), (8, 3))
    parts = gate_parts([gate_score(p, decision) for p in strips], truth)
    decision = replace(decision, gate=choose_gate(parts, overkill=.3))
    rejected = np.array([decide(p, decision).any() for p in strips])
    row = gate_table(parts).loc[decision.gate]
    assert (row.escapes, row.overkill) == ((truth & ~rejected).sum(), (~truth & rejected).sum()) and 0 < rejected.sum() < 40


# --- decided predictions

def catalog(bears, ids=None, classes=(1,)):
    ids = ids or [f"{i}.png" for i in range(len(bears))]
    labels = pd.DataFrame([(i, c, "1 1") for i, b in zip(ids, bears) if b for c in classes], columns=["ImageId", "ClassId", "EncodedPixels"])
    return Catalog(labels, pd.DataFrame(dict(ImageId=ids, height=6, width=5)), SEVERSTAL)


def test_outcomes_follow_the_images_not_the_rows():
    truth = catalog([True, True, False, False, False], classes=(1, 3))
    found = catalog([False, False, True, True, False], ids=[f"{i}.png" for i in (4, 3, 2, 1, 0)])
    table = screen_catalog(truth, found)
    assert table.outcome.tolist() == ["escape", "rejected", "overkill", "passed", "passed"] and table.ImageId.tolist() == truth.ids
    with pytest.raises(ValueError, match="have no prediction"): screen_catalog(truth, found.subset(["1.png"]))


def test_summary_counts_and_its_intervals_notice_groups():
    rng = np.random.default_rng(2)
    truth, found = np.repeat(rng.random((2, 80)) < .5, 5, axis=1)
    table, groups = screen_catalog(catalog(truth), catalog(found)), np.arange(400)//5
    over, under = screening_summary(table, groups=groups), screening_summary(table)
    for name, among, events in (("escapes", truth, ~found), ("overkill", ~truth, found)):
        row = over.loc[name]
        assert (row["images"], row["of"]) == ((among & events).sum(), among.sum()) and row.rate == pytest.approx((among & events).sum()/among.sum())
        assert row.groups == among.sum()/5 and row.high-row.low > 1.8*(under.high-under.low)[name]
    with pytest.raises(ValueError, match="400 images"): screening_summary(table, groups=groups[:-1])


@pytest.mark.parametrize("found, rate, low, high", [(True, 0, 0, 1-.025**(1/42)), (False, 1, .025**(1/42), 1)])
def test_nothing_seen_is_not_nothing(found, rate, low, high):
    "Clopper and Pearson, 42 groups of 2; copies do not make it surer."
    table = screen_catalog(catalog([True]*84), catalog([found]*84))
    row = screening_summary(table, groups=np.arange(84)//2).loc["escapes"]
    assert (row.rate, row.low, row.high) == pytest.approx((rate, low, high), abs=1e-9)
    assert np.isnan(screening_summary(table).loc["overkill", ["rate", "low", "high"]].astype(float)).all()


def test_clean_tiles_pass_and_defective_ones_escape(shared_data):
    "The all-empty answer on magnetic_tile: 437 of its 680 tiles are clean."
    truth = read_class_folders(shared_data/"magnetic_tile")
    summary = screening_summary(screen_catalog(truth, replace(truth, labels=truth.labels.iloc[:0])))
    assert summary.of.tolist() == [243, 437] and summary.rate.tolist() == [1, 0]
