"Labels of copies against masks compared by hand, the copied label, and planted label errors that must come first."

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from steel_defects.agreement import SUSPICIONS, agreement_summary, copied_answer, disagreements, label_agreement, suspicious_labels
from steel_defects.audit import TRANSFORMS, inverse, transformed
from steel_defects.catalog import _catalog
from steel_defects.defects import SEVERSTAL
from steel_defects.evaluate import score_catalog
from steel_defects.folds import grouped_folds
from steel_defects.metrics import counts
from steel_defects.rle import rle_encode

COLUMNS = ["ImageId", "other", "transform", "similarity"]


def catalog_of(stacks):
    "A catalog of masks, {ImageId: bool (4, H, W)}."
    rows = [(n, c, rle_encode(m)) for n, s in stacks.items() for c, m in enumerate(s, 1) if m.any()]
    return _catalog(rows, [(n, *s.shape[1:]) for n, s in stacks.items()], SEVERSTAL, None)


def table(*rows, kind=None):
    pairs = pd.DataFrame([r if len(r) == 4 else (*r, .9) for r in rows], columns=COLUMNS)
    return pairs if kind is None else pairs.assign(kind=kind)


def box(top, left, bottom, right, shape=(40, 60), of=1):
    "A stack with one box of one class."
    stack = np.zeros((4, *shape), bool)
    stack[of-1, top:bottom, left:right] = True
    return stack


# --- agreement

@settings(max_examples=40, deadline=None)
@given(st.sampled_from(TRANSFORMS), st.integers(0, 10**6))
def test_labels_are_compared_in_one_orientation(transform, seed):
    rng = np.random.default_rng(seed)
    a = rng.random((4, 7, 11)) < rng.choice([0, .3, 1], 4)[:, None, None]
    b = a ^ (rng.random(a.shape) < rng.choice([0, .2], 4)[:, None, None])
    b[rng.random(4) < .3] = False
    found = label_agreement(catalog_of({"a.jpg": a, "b.jpg": transformed(b, transform)}), table(("a.jpg", "b.jpg", transform)))
    assert (found[["tp", "fp", "fn", "tn"]].to_numpy() == counts(b, a)).all() and found.ClassId.tolist() == [1, 2, 3, 4]
    union = (a | b).sum((1, 2))
    assert np.allclose(found.iou, np.where(union, (a & b).sum((1, 2))/np.maximum(union, 1), np.nan), equal_nan=True)
    assert found.same.tolist() == [(x == y).all() for x, y in zip(a, b)]


def test_the_empty_rule_is_the_callers():
    catalog, pairs = catalog_of({"a.jpg": box(2, 3, 9, 9), "b.jpg": box(2, 3, 9, 9)}), table(("a.jpg", "b.jpg", "identity"))
    assert np.isnan(label_agreement(catalog, pairs).iou).tolist() == [False, True, True, True]
    assert label_agreement(catalog, pairs, empty=1.).iou.tolist() == [1, 1, 1, 1]
    for empty in (np.nan, 1., 0.):
        s = agreement_summary(label_agreement(catalog, pairs, empty=empty), catalog.classes)
        assert s.pairs.tolist() == [1, 0, 0, 0, 1] and s.iou[1] == s.same[1] == 1 and s.iou[[2, 3, 4]].isna().all() and s.loc["mean", "iou"] == 1
    assert np.isnan(disagreements(label_agreement(catalog_of({n: box(0, 0, 0, 0) for n in catalog.ids}), pairs)).iou[0])


def test_summary_and_order_by_hand():
    catalog = catalog_of({"a.jpg": box(0, 0, 10, 10), "b.jpg": box(0, 0, 10, 10), "c.jpg": box(0, 0, 10, 5), "d.jpg": box(0, 0, 0, 0)})
    pairs = table(*[(a, b, "identity") for a, b in [("a.jpg", "b.jpg"), ("a.jpg", "c.jpg"), ("b.jpg", "c.jpg"), ("c.jpg", "d.jpg")]])
    agreement = label_agreement(catalog, pairs)
    s = agreement_summary(agreement, catalog.classes).loc[1]
    assert (s.pairs, s.one_sided, s.iou, s.same) == (4, .25, .5, .25) and s.iou_over_set == pytest.approx(200/350)
    turned = label_agreement(catalog, table(("d.jpg", "c.jpg", "identity"), ("a.jpg", "b.jpg", "flip columns")))
    assert agreement_summary(turned, catalog.classes).loc[1, "one_sided"] == .5 and turned.iou[[0, 4]].tolist() == [0, 0] # one text, yet turned
    d = disagreements(agreement)
    assert d.iou.tolist() == [0, .5, .5, 1] and d.pixels.tolist() == [50, 50, 50, 0] and d.classes.tolist() == ["1", "1", "1", ""]
    assert d.loc[0, ["ImageId", "other"]].tolist() == ["c.jpg", "d.jpg"]


def test_shared_parts_say_nothing():
    catalog = catalog_of({"a.jpg": box(2, 3, 9, 9), "b.jpg": box(20, 30, 29, 39)})
    parts = table(("a.jpg", "b.jpg", "identity"), kind="part")
    assert not len(label_agreement(catalog, parts)) and not len(suspicious_labels(catalog, pairs=parts))
    assert len(label_agreement(catalog, parts.assign(kind="copy"))) == 4
    assert not len(copied_answer(catalog, parts, pd.DataFrame(dict(ImageId=catalog.ids, fold=[0, 1])), 0).labels)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_copy_of_another_size_is_scaled(transform):
    a = box(4, 6, 20, 30)
    large = transformed(a.repeat(3, 1).repeat(3, 2), transform)
    catalog = catalog_of({"a.jpg": a, "b.jpg": large})
    assert label_agreement(catalog, table(("a.jpg", "b.jpg", transform))).same.all()
    assert label_agreement(catalog, table(("b.jpg", "a.jpg", inverse(transform)))).same.all()
    folds = pd.DataFrame(dict(ImageId=catalog.ids, fold=["test", "train"]))
    assert (copied_answer(catalog, table(("a.jpg", "b.jpg", transform)), folds, "test").stack("a.jpg") == a).all()
    one_sided = catalog_of({"a.jpg": a*False, "b.jpg": large})
    found = label_agreement(one_sided, table(("a.jpg", "b.jpg", transform)))
    assert found.fp.tolist() == [16*24, 0, 0, 0] and (found[["tp", "fp", "fn", "tn"]].sum(axis=1) == 2400).all()


def test_a_turn_that_cannot_be_is_refused():
    catalog = catalog_of({"a.jpg": box(2, 3, 9, 9), "b.jpg": box(2, 3, 9, 9)})
    with pytest.raises(ValueError, match=r"a.jpg is \(40, 60\) and b.jpg is \(40, 60\), which 'turn 90' does not bring together: leave that pair out"):
        label_agreement(catalog, table(("a.jpg", "b.jpg", "turn 90")))
    with pytest.raises(ValueError, match="that are not there, such as c.jpg"): label_agreement(catalog, table(("a.jpg", "c.jpg", "identity")))


def test_no_pair_at_all():
    catalog, none = catalog_of({"a.jpg": box(2, 3, 9, 9), "b.jpg": box(2, 3, 9, 9)}), pd.DataFrame(columns=COLUMNS)
    agreement = label_agreement(catalog, none)
    assert not len(agreement) and not len(disagreements(agreement)) and agreement_summary(agreement, catalog.classes).pairs.tolist() == [0]*5
    assert not len(suspicious_labels(catalog, pairs=none)) and list(suspicious_labels(catalog, pairs=none)) == SUSPICIONS


# --- the copied label

@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_nearest_copy_in_training_answers(transform):
    a, far, near = box(2, 3, 9, 19), box(5, 5, 6, 6, of=2), box(30, 40, 39, 50, of=3)
    catalog = catalog_of({"test/x.jpg": a, "train/far.jpg": far, "train/near.jpg": transformed(near, transform), "test/twin.jpg": a, "test/alone.jpg": a})
    pairs = table(("test/x.jpg", "train/far.jpg", "identity", .8), ("train/near.jpg", "test/x.jpg", inverse(transform), .9), ("test/x.jpg", "test/twin.jpg", "identity", .99))
    folds = pd.DataFrame(dict(ImageId=catalog.ids, fold=[i.split("/")[0] for i in catalog.ids]))
    found = copied_answer(catalog, pairs, folds, "test")
    assert found.ids == ["test/x.jpg", "test/twin.jpg", "test/alone.jpg"] and (found.stack("test/x.jpg") == near).all()
    assert found.labels.ImageId.tolist() == ["test/x.jpg"]
    score_catalog(catalog.subset(found.ids), found)  # a prediction like any other
    back = copied_answer(catalog, pairs, folds, "train")
    assert (back.stack("train/near.jpg") == transformed(a, transform)).all() and (back.stack("train/far.jpg") == a).all()


def test_across_clean_folds_it_has_nothing():
    stacks = {f"{g}{letter}.jpg": box(2, 3, 9, 9, of=1+g % 3) for g in range(12) for letter in "ab"}
    catalog = catalog_of(stacks)
    pairs = table(*[(f"{g}a.jpg", f"{g}b.jpg", "identity") for g in range(12)])
    groups = pd.DataFrame(dict(ImageId=catalog.ids, group=np.arange(24)//2))
    folds = grouped_folds(catalog, groups, 3)
    assert not any(len(copied_answer(catalog, pairs, folds, k).labels) for k in range(3))
    leaking = folds.assign(fold=np.arange(24) % 2)
    assert score_catalog(catalog.subset(catalog.ids[::2]), copied_answer(catalog, pairs, leaking, 0)).dice.min() == 1


# --- suspicious labels

def certain(stacks):
    "A model that knows the given masks."
    return lambda i: np.where(stacks[i], 250, 3).astype(np.uint8)


def test_the_odd_one_of_three_copies_stands_alone():
    a = box(10, 10, 20, 24)
    stacks = {"a.jpg": a, "b.jpg": transformed(a, "flip rows"), "c.jpg": transformed(a, "turn 90")}
    pairs = table(("a.jpg", "b.jpg", "flip rows"), ("a.jpg", "c.jpg", "turn 90"), ("b.jpg", "c.jpg", "anti-transpose"))
    truth = catalog_of(stacks)
    assert not len(suspicious_labels(truth, pairs=pairs))
    forgotten = suspicious_labels(catalog_of({**stacks, "c.jpg": stacks["c.jpg"]*False}), pairs=pairs)
    assert forgotten[["ImageId", "ClassId", "reason", "score", "area"]].to_numpy().tolist() == [["c.jpg", 1, "not labelled, against its copies", 2/2.25, 140]]
    rows, columns = np.nonzero(stacks["c.jpg"][0])
    assert forgotten.loc[0, ["top", "left", "bottom", "right"]].tolist() == [rows.min(), columns.min(), rows.max()+1, columns.max()+1]
    assert forgotten.other[0] in ("a.jpg", "b.jpg") and forgotten["transform"][0] == {"a.jpg": "turn 270", "b.jpg": "anti-transpose"}[forgotten.other[0]]
    invented = suspicious_labels(catalog_of({**stacks, "b.jpg": stacks["b.jpg"] | box(30, 50, 38, 58, of=4)}), pairs=pairs)
    assert invented[["ImageId", "ClassId", "reason", "score", "top", "left", "bottom", "right"]].to_numpy().tolist() == [
        ["b.jpg", 4, "labelled, against its copies", 2/2.25, 30, 50, 38, 58]]
    shared = suspicious_labels(catalog_of({**stacks, "b.jpg": stacks["b.jpg"] | box(30, 50, 38, 58, of=4)}), pairs=pairs, least=.4)
    assert shared.ImageId.tolist()[0] == "b.jpg" and set(shared.ImageId[1:]) == {"a.jpg", "c.jpg"} and (shared.score[1:] == 1/2.25).all()
    accused = suspicious_labels(catalog_of({**stacks, "c.jpg": stacks["c.jpg"]*False}), pairs=pairs, least=.4)
    assert accused.ImageId.tolist()[0] == "c.jpg" and set(accused.ImageId[1:]) == {"a.jpg", "b.jpg"} and (accused.score[1:] == 1/2.25).all() and (accused.other[1:] == "c.jpg").all()


def test_two_copies_accuse_each_other_and_a_model_decides():
    a = box(10, 10, 20, 24)
    labels = {"a.jpg": a, "b.jpg": a*False}
    pairs = table(("a.jpg", "b.jpg", "identity"))
    both = suspicious_labels(catalog_of(labels), pairs=pairs)
    assert set(zip(both.ImageId, both.score)) == {("a.jpg", .8), ("b.jpg", .8)} and set(both.witnesses) == {1}
    for real, guilty, reason in [(a, "b.jpg", "not labelled, against its copies and the model"), (a*False, "a.jpg", "labelled, against its copies and the model")]:
        found = suspicious_labels(catalog_of(labels), pairs=pairs, probabilities=certain({"a.jpg": real, "b.jpg": real}))
        assert found.ImageId.tolist() == [guilty] and found.reason[0] == reason and found.witnesses[0] == 2 and found.score[0] == pytest.approx((1+found.model[0])/2.25)
        assert found.copies[0] == 1 and found.model[0] == pytest.approx(250/255 if guilty == "b.jpg" else 1-3/255)


def test_a_model_alone():
    a = {"a.jpg": box(10, 10, 20, 24), "b.jpg": box(5, 5, 30, 8, of=2), "c.jpg": box(1, 1, 20, 20, of=4), "d.jpg": box(0, 0, 0, 0)}
    labels = {**a, "a.jpg": a["a.jpg"] | box(30, 40, 39, 49, of=3), "b.jpg": a["b.jpg"]*False}
    found = suspicious_labels(catalog_of(labels), probabilities=certain(a))
    assert found[["ImageId", "ClassId", "reason"]].to_numpy().tolist() == [["a.jpg", 3, "labelled, against the model"], ["b.jpg", 2, "not labelled, against the model"]]
    assert found.copies.isna().all() and (found.other == "").all()
    assert not len(suspicious_labels(catalog_of(a), probabilities=certain(a)))


def test_a_broad_label_around_a_thin_find_is_no_error():
    broad, thin = box(5, 10, 35, 30), box(5, 18, 35, 21)
    assert not len(suspicious_labels(catalog_of({"a.jpg": broad}), probabilities=certain({"a.jpg": thin})))
    assert not len(suspicious_labels(catalog_of({"a.jpg": broad}), probabilities=lambda i: np.where(broad, 120, 3).astype(np.uint8)))


def test_what_is_found_beside_a_label_counts_by_what_is_uncovered():
    whole, labelled = box(10, 10, 20, 30), box(10, 10, 20, 25)
    assert not len(suspicious_labels(catalog_of({"a.jpg": labelled}), probabilities=certain({"a.jpg": whole})))
    found = suspicious_labels(catalog_of({"a.jpg": labelled}), probabilities=certain({"a.jpg": whole}), least=.15)
    assert found.score.tolist() == [pytest.approx(.25*250/255/1.25)] and found.area.tolist() == [200]


def test_a_region_hangs_together_by_corners():
    stairs = np.zeros((4, 40, 60), bool)
    for k in range(8): stairs[0, 2+4*k:6+4*k, 5+4*k:9+4*k] = True
    found = suspicious_labels(catalog_of({"a.jpg": stairs*False}), probabilities=certain({"a.jpg": stairs}), min_area=17)
    assert found.area.tolist() == [128]


def test_small_regions_are_passed_over():
    model = certain({"a.jpg": box(10, 10, 15, 15)})
    assert not len(suspicious_labels(catalog_of({"a.jpg": box(0, 0, 0, 0)}), probabilities=model))
    assert len(suspicious_labels(catalog_of({"a.jpg": box(0, 0, 0, 0)}), probabilities=model, min_area=25)) == 1
    assert not len(suspicious_labels(catalog_of({"a.jpg": box(0, 0, 0, 0)}), probabilities=model, min_area=26))


def test_many_planted_errors_rank_first():
    "A hundred pictures with one to three copies and labels that differ by a rim; ten errors among them."
    rng = np.random.default_rng(0)
    true, labels, pairs, planted = {}, {}, [], set()
    for g in range(100):
        top, left, c = rng.integers(5, 20), rng.integers(5, 30), 1+g % 4
        stack = box(top, left, top+rng.integers(8, 15), left+rng.integers(8, 25), of=c)
        turns = ["identity", *map(str, rng.choice(TRANSFORMS, g % 3))]
        for k, t in enumerate(turns):
            name = f"{g:02d}-{k}.jpg"
            rim = np.pad(stack, ((0, 0), (1, 1), (1, 1)))[:, :-2, 1:-1] | stack if k else stack
            true[name], labels[name] = transformed(stack, t), transformed(rim, t)
            if g in range(0, 100, 10) and k == len(turns)-1:
                wrong = labels[name].copy()
                if g % 20: wrong[c-1] = False
                else: wrong[c % 4, -12:, -12:] = True
                labels[name] = wrong
                planted.add((name, c if g % 20 else c % 4+1))
        between = lambda a, b: next(u for u in TRANSFORMS if transformed(true[a], u).shape == true[b].shape and (transformed(true[a], u) == true[b]).all())
        pairs += [(f"{g:02d}-{i}.jpg", f"{g:02d}-{j}.jpg", between(f"{g:02d}-{i}.jpg", f"{g:02d}-{j}.jpg")) for j in range(len(turns)) for i in range(j)]
    found = suspicious_labels(catalog_of(labels), pairs=table(*pairs), probabilities=certain(true))
    assert len(planted) == 10 and set(zip(found.ImageId[:10], found.ClassId[:10])) == planted and found.score.is_monotonic_decreasing


@pytest.mark.parametrize("probabilities, error, sentence", [
    (lambda i: np.zeros((4, 40, 60)), TypeError, "probabilities of a.jpg are float64, not uint8: call quantise first"),
    (lambda i: np.full((4, 40, 60), np.nan), TypeError, "not uint8"), (lambda i: np.zeros((3, 40, 60), np.uint8), ValueError, "have shape .3, 40, 60. and its labels .4, 40, 60."),
    (lambda i: np.zeros((4, 60, 40), np.uint8), ValueError, "predict the images that were labelled"), ("folder", TypeError, "pass lambda i: read_probabilities"),
    (None, ValueError, "there is no witness")])
def test_witnesses_that_cannot_be(probabilities, error, sentence):
    with pytest.raises(error, match=sentence): suspicious_labels(catalog_of({"a.jpg": box(1, 1, 9, 9)}), probabilities=probabilities)


def test_ten_thousand_pairs():
    rng = np.random.default_rng(0)
    stacks = [box(*p, *(p+rng.integers(10, 60, 2)), shape=(200, 200), of=1+k % 3) for k, p in enumerate(rng.integers(0, 130, (50, 2)))]
    names = [f"{i:04d}.jpg" for i in range(2000)]
    catalog = catalog_of({n: stacks[i//40] for i, n in enumerate(names)})
    pairs = table(*[(names[40*g+i], names[40*g+j], "flip rows") for g in range(50) for j in range(40) for i in range(j) if (i+j) % 4 == 0][:10000])
    assert len(pairs) > 9000
    assert len(label_agreement(catalog, pairs)) == 4*len(pairs)
    folds = pd.DataFrame(dict(ImageId=names, fold=np.arange(2000) % 4//2))
    assert len(copied_answer(catalog, pairs, folds, 0).labels) == 500


def test_many_witnesses_weigh_more_than_one():
    a, names = box(10, 10, 20, 24), [f"{k}.jpg" for k in range(8)]
    stacks = {n: a*(n != "0.jpg") for n in names}|{"x.jpg": box(1, 1, 39, 59, of=2), "y.jpg": a*False}
    pairs = [(m, n, "identity") for n in names for m in names if m < n]+[("x.jpg", "y.jpg", "identity")]
    found = suspicious_labels(catalog_of(stacks), pairs=table(*pairs))
    assert found.ImageId[0] == "0.jpg" and found.witnesses[0] == 7 and set(found.ImageId[1:]) == {"x.jpg", "y.jpg"}
    stubborn = suspicious_labels(catalog_of(stacks), pairs=table(*pairs), probabilities=lambda i: np.zeros((4, 40, 60), np.uint8))
    assert "0.jpg" in set(stubborn.ImageId)  # one model against seven copies
