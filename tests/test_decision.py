"The decision against brute force."
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from steel_defects.decision import Decision, choose_decision, decide, quantise, read_decision, threshold_counts, write_decision
from steel_defects.metrics import counts, dice
from steel_defects.regions import remove_small

probs, truths = arrays(np.uint8, (2, 5, 6)), arrays(bool, (2, 5, 6))


@given(probs, truths)
def test_all_thresholds_equal_brute_force(p, t):
    fast = threshold_counts(p, t)
    for k in range(256): assert (fast[:, k] == counts(p >= k, t)).all()


@given(probs, st.integers(0, 255), st.integers(0, 10), st.integers(0, 255))
def test_decide_is_what_it_says(p, k, area, gate):
    found = decide(p, Decision((k, k), (area, area), gate))
    wanted = np.zeros(p.shape, bool) if p.max() < gate else np.stack([remove_small(c >= k, area) for c in p])
    assert (found == wanted).all()


@given(st.floats(0, 1), st.integers(0, 255))
def test_threshold_is_k_over_255(p, k):
    stored = quantise(np.array([p]))[0]
    assert (stored >= k) == (np.floor(p*255) >= k)


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 5000)), min_size=1, max_size=6), st.integers(0, 255))
def test_file_round_trip(tmp_path_factory, classes, gate):
    decision = Decision(*zip(*classes), gate)
    assert read_decision(write_decision(tmp_path_factory.mktemp("d")/"decision.json", decision)) == decision


def test_choice_finds_a_planted_threshold_and_area():
    rng, pairs = np.random.default_rng(0), []
    for i in range(12):
        truth = np.zeros((1, 64, 64), bool)
        if i % 3: truth[0, 10:40, 10:40] = True
        p = np.where(truth, 90, 30)+rng.integers(-8, 9, truth.shape)  # the best threshold is between 39 and 81
        p[0, 50:55, 50:55] = 120  # a speck of 25 pixels, sure of itself and wrong
        pairs.append((p.astype(np.uint8), truth))
    decision = choose_decision(pairs)
    assert 39 <= decision.thresholds[0] <= 82 and 25 < decision.min_areas[0] <= 900
    assert all(dice(counts(decide(p, decision), t))[0] == 1 for p, t in pairs)
    # the plateau runs from 39 to 82: its middle, not its edge, is taken
    assert decision.thresholds[0] == pytest.approx(60, abs=4)


def test_newer_file_is_refused(tmp_path):
    (tmp_path/"decision.json").write_text('{"version": 2, "classes": []}')
    with pytest.raises(ValueError, match="newer than this package reads"): read_decision(tmp_path/"decision.json")
