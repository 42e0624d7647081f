"Overlap scores against other libraries, and the empty rule."
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.extra.numpy import arrays
from skimage.metrics import contingency_table
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score
from torchmetrics.functional.classification import binary_f1_score, binary_jaccard_index, binary_precision, binary_recall

from steel_defects.metrics import RunningCounts, counts, dice, iou, precision, recall

SCORES = {dice: (f1_score, binary_f1_score), iou: (jaccard_score, binary_jaccard_index),
          precision: (precision_score, binary_precision), recall: (recall_score, binary_recall)}
masks = arrays(bool, (2, 3, 6, 7))


@given(masks, masks)
def test_counts_are_the_contingency_table(pred, true):
    c = counts(pred, true)
    for n in np.ndindex(2, 3):
        table = np.zeros((2, 2), int)
        sparse = contingency_table(true[n].astype(int), pred[n].astype(int)).toarray()
        table[:sparse.shape[0], :sparse.shape[1]] = sparse
        assert c[n].tolist() == [table[1, 1], table[0, 1], table[1, 0], table[0, 0]]


@given(masks, masks)
def test_scores_equal_scikit_learn(pred, true):
    c = counts(pred, true)
    for score, (theirs, _) in SCORES.items():
        ours = score(c)
        for n in np.ndindex(2, 3):
            empty = not (pred[n].any() or true[n].any())
            # scikit-learn also answers zero_division where one side alone is empty; our empty rule is for both
            assert ours[n] == pytest.approx(theirs(true[n].ravel(), pred[n].ravel(), zero_division=float(empty)), abs=1e-12)


@pytest.mark.parametrize("score", SCORES)
def test_scores_equal_torchmetrics(score):
    rng = np.random.default_rng(0)
    pred, true = rng.random((2, 4, 1, 64, 80)) > .6
    ours, theirs = score(counts(pred, true)), SCORES[score][1]
    for n in range(4):  # torchmetrics computes in float32
        assert ours[n, 0] == pytest.approx(theirs(torch.tensor(pred[n]).int(), torch.tensor(true[n]).int()).item(), abs=1e-6)


@given(masks, masks)
def test_streaming_equals_one_call(pred, true):
    running = RunningCounts()
    for p, t in zip(pred, true): running.update(p[None], t[None])
    assert (running.compute() == counts(pred, true)).all()


@pytest.mark.parametrize("score", SCORES)
def test_empty_rule(score):
    nothing, alarm, miss = np.array([[0, 0, 0, 9], [0, 4, 0, 5], [0, 0, 4, 5]])
    assert score(nothing) == 1 and score(nothing, empty=0.) == 0 and np.isnan(score(nothing, empty=np.nan))
    assert score(alarm, empty=np.nan) == 0 and score(miss, empty=np.nan) == 0
