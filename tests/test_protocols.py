"Every protocol against a slow and plain reading of its rules, against torchmetrics, and against the floors of real tables."
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from steel_defects.catalog import Catalog, read_severstal
from steel_defects.defects import SEVERSTAL
from steel_defects.evaluate import add_scores, score_catalog, summary
from steel_defects.intervals import bootstrap
from steel_defects.metrics import counts, dice
from steel_defects.protocols import (PRESETS, PROTOCOLS, empty_answer, empty_parts, image_parts, join_parts, one_label, protocol_lines,
                                     protocol_rules, protocol_scores, protocol_table, protocol_view, score_parts)
from steel_defects.rle import rle_encode

NAN, EVERY = float("nan"), {**PROTOCOLS, **PRESETS}


def blocks(seed, n=8, classes=4, absent=True, overlap=True):
    "Sets with every kind of pair: found, moved, missed, false alarm, rightly empty; image 0 is clean and left alone, image 1 has an alarm."
    rng = np.random.default_rng(seed)
    pred, true = np.zeros((2, n, classes, 14, 24), bool)
    for i in range(2, n):
        for c in range(classes):
            row, column = (3*c, 0) if not overlap else rng.integers(0, 8, 2)
            kind = (i+c+seed)%5
            if kind in (0, 1, 2): true[i, c, row:row+3, column:column+12] = True
            if kind == 0: pred[i, c] = true[i, c]
            if kind == 1: pred[i, c, row:row+3, column+2:column+13] = True
            if kind == 3: pred[i, c, row:row+2, column+2:column+6] = True
            if kind == 1 and i%2: pred[i, c, 13, 20:] = True
    pred[1, 0, :2, :5] = True
    if absent: pred[:, -1] = true[:, -1] = False
    return pred, true


def parts_of(pred, true): return join_parts(image_parts(p, t) for p, t in zip(pred, true))


CLEAN = np.zeros((2, 3, 4, 14, 24), bool)
ALARM = np.zeros((14, 24), bool)
ALARM[2:5, 3:9] = True
def alarmed(pred, true): return np.where(np.arange(4)[:, None, None] == 3, ALARM, pred), true  # class 4 is found everywhere and borne nowhere
SETS = [blocks(0), blocks(1), blocks(2, absent=False), blocks(3, overlap=False), alarmed(*blocks(0)), alarmed(*CLEAN), tuple(CLEAN)]


# One plain reading of each rule: a pair of masks at a time, no counts, no shared code.

def pair(p, t, which, empty, bearing=False):
    both, found, there = (p & t).sum(), p.sum(), t.sum()
    if bearing and there == 0: return NAN
    if found+there == 0: return empty
    return 2*both/(found+there) if which == "dice" else both/(found+there-both)


def average(values):
    values = [v for v in values if not np.isnan(v)]
    return sum(values)/len(values) if values else NAN


def maps(stacks):
    "Label maps: 0 background, the lowest class where several claim a pixel."
    out = np.zeros((len(stacks), *stacks.shape[2:]), int)
    for c in range(stacks.shape[1], 0, -1): out[stacks[:, c-1]] = c
    return out


def pairs(p, t, which, empty): return average([pair(p[i, c], t[i, c], which, empty) for i in range(len(p)) for c in range(p.shape[1])])
def over_set(p, t, which, empty): return average([pair(p[:, c], t[:, c], which, empty) for c in range(p.shape[1])])
def merged(p, t, which, empty):
    values = []
    for a, b in zip(p, t):
        both, total = sum((x & y).sum() for x, y in zip(a, b)), a.sum()+b.sum()
        values.append(empty if total == 0 else 2*both/total if which == "dice" else both/(total-both))
    return average(values)
def by_image(p, t, which, empty, bearing): return average([average([pair(x, y, which, empty, bearing) for x, y in zip(a, b)]) for a, b in zip(p, t)])
def with_background(p, t, empty): return average([pair(maps(p) == c, maps(t) == c, "iou", empty) for c in range(p.shape[1]+1)])
def nnunet(p, t):
    p, t = maps(p), maps(t)
    return float(np.mean([average([pair(a == c, b == c, "dice", NAN) for a, b in zip(p, t)]) for c in range(1, 5)]))
def pooled(p, t): return pair(p, t, "iou", NAN)
def monai(p, t): return 0. if np.isnan(v := by_image(p, t, "dice", NAN, True)) else v
def where_present(p, t): return average([average([pair(p[i, c], t[i, c], "dice", NAN, True) for i in range(len(p))]) for c in range(p.shape[1])])


def pieces(mask):
    "8-connected pieces as sets of pixels, by flooding."
    left, out = set(map(tuple, np.argwhere(mask))), []
    while left:
        todo, piece = [left.pop()], set()
        while todo:
            r, c = todo.pop(); piece.add((r, c))
            near = {(r+i, c+j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= near; todo += near
        out.append(piece)
    return out


def panoptic(p, t, which):
    values = []
    for c in range(p.shape[1]):
        matched, found, there, total = 0, 0, 0, 0.
        for i in range(len(p)):
            a, b = pieces(p[i, c]), pieces(t[i, c])
            ious = [len(x & y)/len(x | y) for x in a for y in b]
            matched += sum(v > .5 for v in ious); total += sum(v for v in ious if v > .5); found += len(a); there += len(b)
        if found+there == 0: continue
        sq, rq = total/matched if matched else 0., matched/((found+there)/2)
        values.append(dict(pq=sq*rq, sq=sq, rq=rq)[which])
    return average(values)


RULES = {
    "Dice per image (empty = 1)": lambda p, t: pairs(p, t, "dice", 1),
    "IoU per image (empty = 1)": lambda p, t: pairs(p, t, "iou", 1),
    "Dice where present": where_present,
    "IoU over the set": lambda p, t: over_set(p, t, "iou", NAN),
    "IoU over the set with background": lambda p, t: with_background(p, t, NAN),
    "PQ of regions": lambda p, t: panoptic(p, t, "pq"),
    "SQ of regions": lambda p, t: panoptic(p, t, "sq"),
    "RQ of regions": lambda p, t: panoptic(p, t, "rq"),
    "kaggle": lambda p, t: pairs(p, t, "dice", 1),
    "smp micro": pooled,
    "smp macro": lambda p, t: over_set(p, t, "iou", 1),
    "smp micro-imagewise": lambda p, t: merged(p, t, "iou", 1),
    "smp macro-imagewise": lambda p, t: pairs(p, t, "iou", 1),
    "torchmetrics DiceScore": lambda p, t: by_image(p, t, "dice", NAN, False),
    "torchmetrics MeanIoU": lambda p, t: pairs(p, t, "iou", NAN),
    "torchmetrics Jaccard, labels overlap": lambda p, t: over_set(p, t, "iou", 0),
    "torchmetrics Jaccard, label map": lambda p, t: with_background(p, t, NAN),
    "monai": monai,
    "monai ignore_empty=False": lambda p, t: pairs(p, t, "dice", 1),
    "nnU-Net": nnunet,
    "mmsegmentation": lambda p, t: with_background(p, t, NAN),
    "confusion matrix": lambda p, t: with_background(p, t, 0),
    "Sime 2024": lambda p, t: merged(p, t, "dice", 1),
    "panopticapi": lambda p, t: panoptic(p, t, "pq")}


def test_every_protocol_has_a_plain_reading(): assert list(RULES) == list(EVERY)


@pytest.mark.parametrize("name", EVERY)
def test_protocol_does_what_its_rules_say(name):
    for pred, true in SETS: assert EVERY[name](parts_of(pred, true)) == pytest.approx(RULES[name](pred, true), nan_ok=True, abs=1e-12)


@pytest.mark.parametrize("name", EVERY)
def test_another_empty_rule_would_be_noticed(name):
    "On these sets every other rule gives another number, so the test above cannot pass with it."
    p, all_parts = EVERY[name], [parts_of(*s) for s in SETS]
    def differs(other): return any(not np.isclose(p(a), other(a), equal_nan=True, atol=1e-6) for a in all_parts)
    for rule in (0., 1., NAN):
        if not p.bearing and not np.isclose(rule, p.empty, equal_nan=True): assert differs(replace(p, empty=rule)), f"{name}, empty={rule}"
    assert differs(replace(p, bearing=not p.bearing)), f"{name}, bearing"
    if np.isnan(p(all_parts[-1])) or not np.isnan(p.nothing): assert differs(replace(p, nothing=.25)), f"{name}, nothing"


def test_what_a_perfect_empty_answer_gets():
    rules, clean = protocol_rules(EVERY), parts_of(*CLEAN)
    for name, p in EVERY.items(): assert rules.loc[name, "clean set"] == f"{p(clean):g}"
    assert rules.loc[["kaggle", "smp macro", "Sime 2024"], "clean set"].tolist() == ["1"]*3
    assert rules.loc[["smp micro", "torchmetrics DiceScore", "torchmetrics MeanIoU", "nnU-Net"], "clean set"].tolist() == ["nan"]*4
    assert rules.loc[["monai", "torchmetrics Jaccard, labels overlap"], "clean set"].tolist() == ["0"]*2
    assert list(rules.index[rules["false alarm"] != "0"]) == ["Dice where present", "monai"]
    assert (rules.loc[["Dice where present", "monai"], "false alarm"] == "left out").all()


# torchmetrics

@pytest.mark.parametrize("k", range(len(SETS)))
def test_presets_agree_with_torchmetrics(k):
    torch, seg = pytest.importorskip("torch"), pytest.importorskip("torchmetrics.segmentation")
    from torchmetrics.classification import MulticlassJaccardIndex, MultilabelJaccardIndex
    pred, true = SETS[k]
    parts, p, t = parts_of(pred, true), torch.tensor(pred), torch.tensor(true)
    ours, theirs = {}, {}
    for name, metric, a, b in [("torchmetrics DiceScore", seg.DiceScore(4), p, t), ("torchmetrics MeanIoU", seg.MeanIoU(4), p, t),
                               ("torchmetrics Jaccard, labels overlap", MultilabelJaccardIndex(4), p.int(), t.int()),
                               ("torchmetrics Jaccard, label map", MulticlassJaccardIndex(5), torch.tensor(maps(pred)), torch.tensor(maps(true)))]:
        for x, y in zip(a, b): metric.update(x[None], y[None])
        ours[name], theirs[name] = PRESETS[name](parts), float(metric.compute())
    assert ours == pytest.approx(theirs, nan_ok=True, abs=1e-5)
    per_class = seg.MeanIoU(4, per_class=True)
    per_class.update(p, t)
    nobody = ~(pred | true).any((0, 2, 3))
    assert (per_class.compute().numpy()[nobody] == -1).all()


def test_region_protocols_agree_with_torchmetrics():
    torch, detection = pytest.importorskip("torch"), pytest.importorskip("torchmetrics.detection")
    from scipy.ndimage import label
    pred, true = blocks(3, overlap=False)
    def panoptic_map(stacks):
        numbers = np.stack([sum(np.where(m, label(m, np.ones((3, 3)))[0], 0) for m in s) for s in stacks])
        return torch.tensor(np.stack([maps(stacks), numbers], -1))
    metric = detection.PanopticQuality(things={1, 2, 3, 4}, stuffs={0}, return_per_class=True, return_sq_and_rq=True)
    metric.update(panoptic_map(pred), panoptic_map(true))
    theirs = metric.compute().numpy().reshape(5, 3)[[metric.cat_id_to_continuous_id[c] for c in (1, 2, 3)]].mean(0)  # nobody bears 4
    ours = protocol_scores(parts_of(pred, true))[["PQ of regions", "SQ of regions", "RQ of regions"]]
    assert ours.tolist() == pytest.approx(theirs.tolist(), abs=1e-6)


# Counting

@pytest.mark.parametrize("overlap", [False, True])
def test_pixels_have_one_label(overlap):
    pred, true = blocks(4, overlap=overlap, absent=False)
    parts = parts_of(pred, true)
    assert (parts.pixels == counts(np.stack([one_label(p) for p in pred]), np.stack([one_label(t) for t in true]))).all()
    assert (one_label(true[5]).argmax(0) == maps(true)[5]).all()
    assert (true.sum(1).max() > 1) == overlap and (parts.masks == counts(pred, true)).all()


def catalog(stacks):
    ids = [f"{i:02d}.png" for i in range(len(stacks))]
    rows = [(i, c+1, rle_encode(m)) for i, s in zip(ids, stacks) for c, m in enumerate(s) if m.any()]
    labels = pd.DataFrame(rows, columns=["ImageId", "ClassId", "EncodedPixels"])
    return Catalog(labels, pd.DataFrame(dict(ImageId=ids, height=14, width=24)), SEVERSTAL)


@pytest.fixture(scope="module")
def pair_of_catalogs(): return tuple(map(catalog, blocks(1, n=20)))


def test_catalogs_are_counted_as_their_masks(pair_of_catalogs):
    found, truth = pair_of_catalogs
    parts, same = score_parts(truth, found.subset(found.ids[::-1])), parts_of(*blocks(1, n=20))
    for name in ("masks", "pixels", "regions"): assert (getattr(parts, name) == getattr(same, name)).all()


def test_parts_of_halves_make_the_whole(pair_of_catalogs):
    found, truth = pair_of_catalogs
    halves = [score_parts(truth.subset(ids), found.subset(ids)) for ids in (truth.ids[:7], truth.ids[7:])]
    assert protocol_scores(join_parts(halves), EVERY).equals(protocol_scores(score_parts(truth, found), EVERY))
    for p in EVERY.values(): assert float(p.value(sum(p.parts(h).sum(0) for h in halves))) == pytest.approx(p(join_parts(halves)), nan_ok=True)


def test_agrees_with_the_summary(pair_of_catalogs):
    found, truth = pair_of_catalogs
    mean, ours = summary(score_catalog(truth, found), truth.classes).loc["mean"], protocol_scores(score_parts(truth, found))
    for name, column in [("Dice per image (empty = 1)", "dice_per_image"), ("Dice where present", "dice_where_present"),
                         ("IoU over the set", "iou_over_set")]:
        assert ours[name] == pytest.approx(mean[column])
    assert ours["IoU per image (empty = 1)"] == pytest.approx(add_scores(score_catalog(truth, found)).iou.mean())


def test_refusals(pair_of_catalogs):
    found, truth = pair_of_catalogs
    with pytest.raises(ValueError, match="use the class list of the labels"):
        score_parts(truth, replace(found, classes=(*SEVERSTAL, replace(SEVERSTAL[0], id=5, name="five"))))
    with pytest.raises(ValueError, match="score all images with one class list"): join_parts([parts_of(*blocks(0)), parts_of(*blocks(0, classes=3))])
    table = pd.DataFrame(dict(ImageId=truth.ids, group=0))
    for groups, words in [(table.drop(columns="group"), "no column 'group'"), (pd.concat([table, table[:1]]), "listed twice"),
                          (table[3:], "3 images have no group, such as 00.png"), ([1, 2], "one label for each image")]:
        with pytest.raises(ValueError, match=words): protocol_table({}, truth, groups=groups, draws=100)


def test_groups_by_name_are_brought_into_the_order_of_the_images(pair_of_catalogs):
    found, truth = pair_of_catalogs
    table = pd.DataFrame(dict(ImageId=truth.ids, group=np.arange(len(truth))//5)).sample(frac=1, random_state=0)
    series = table.set_index("ImageId").group
    def scored(groups): return protocol_table({"a": found}, truth, groups=groups, draws=100)
    wanted = scored(table)
    for groups in (series, series.astype("category"), series.rename(None).rename_axis(None), pd.concat([series, pd.Series(7, index=["more.png"])]),
                   series.loc[truth.ids].to_numpy(), series.loc[truth.ids].tolist(), series.loc[truth.ids].reset_index(drop=True)):
        assert scored(groups).equals(wanted)
    assert not scored(series.to_numpy()).equals(wanted)  # the order matters here
    for groups, words in [(series.iloc[3:], "3 images have no group"), (pd.concat([series, series[:1]]), "listed twice"),
                          (series.add_prefix("images/"), "20 images have no group")]:
        with pytest.raises(ValueError, match=words): scored(groups)


@pytest.mark.parametrize("groups", ["groups.csv", Path("groups.csv"), {"00.png": 0}, {0, 1}])
def test_groups_that_are_no_table(pair_of_catalogs, groups):
    with pytest.raises(TypeError, match=f"groups are a {type(groups).__name__}: pass a table of ImageId and group, as `read_groups` reads it"):
        protocol_table({}, pair_of_catalogs[1], groups=groups)


def test_an_answer_called_all_empty_must_be_it(pair_of_catalogs):
    found, truth = pair_of_catalogs
    for answer in (found, score_parts(truth, found), image_parts(ALARM[None], ~ALARM[None])):
        with pytest.raises(ValueError, match="the answer 'all empty' finds something: give it another name"):
            protocol_table({"all empty": answer}, truth)
    one = replace(found, labels=found.labels[~found.labels.ImageId.isin(truth.labels.ImageId)][:1])  # a false alarm is something too
    with pytest.raises(ValueError, match="another name"): protocol_table({"all empty": score_parts(truth, one)}, truth)
    own = [protocol_table({"all empty": a}, truth, draws=100) for a in (empty_answer(truth), score_parts(truth, empty_answer(truth)))]
    for table in own: assert table.equals(protocol_table({}, truth, draws=100))


# The table

def test_intervals_are_those_of_each_protocol_alone(pair_of_catalogs):
    found, truth = pair_of_catalogs
    labels = np.arange(len(truth))//2
    groups = pd.DataFrame(dict(ImageId=truth.ids, group=labels)).sample(frac=1, random_state=0)
    table, parts = protocol_table({"a": found}, truth, protocols=EVERY, groups=groups, draws=300, level=.9, seed=7), score_parts(truth, found)
    assert table.index.tolist() == ["a", "all empty"] and table.attrs["note"].startswith("90 % intervals over 10 groups of 20 images")
    for name, p in EVERY.items():
        alone = bootstrap(p.parts(parts), p.value, groups=labels, draws=300, level=.9, seed=7)
        assert table.loc["a", [name, f"{name} low", f"{name} high"]].tolist() == pytest.approx([alone.value, alone.low, alone.high], nan_ok=True)
    ungrouped = protocol_table({"a": parts}, truth, protocols=EVERY, draws=300, level=.9, seed=7)
    assert not np.allclose(table.loc["a"], ungrouped.loc["a"], equal_nan=True)
    assert table.loc["a", list(EVERY)].equals(ungrouped.loc["a", list(EVERY)])


def test_text_form(pair_of_catalogs):
    found, truth = pair_of_catalogs
    table = protocol_table({"model": found, "all empty": empty_answer(truth)}, truth, draws=100)
    view, lines = protocol_view(table), protocol_lines(table)
    assert list(view) == ["model", "all empty"] and list(view.index) == list(PROTOCOLS) and len(lines) == len(PROTOCOLS)+3
    assert max(map(len, lines)) <= 100 and lines[0].split() == ["model", "all", "empty"] and len({line.index("[") for line in lines[2:-1]}) == 1
    score = table.loc["model", "PQ of regions"]
    assert view.loc["PQ of regions", "model"].startswith(f"{score:.3f} [") and view.loc["PQ of regions", "all empty"] == "0.000"
    blank = protocol_view(protocol_table({}, truth.subset(truth.ids[:1]), draws=100))
    assert blank.loc["PQ of regions", "all empty"] == "–" and blank.loc["Dice per image (empty = 1)", "all empty"] == "1.000"


# Floors

@pytest.mark.parametrize("k", range(len(SETS)))
def test_empty_parts_are_those_of_an_empty_answer(k):
    made, counted = empty_parts(parts_of(*SETS[k])), parts_of(SETS[k][0] & False, SETS[k][1])
    for name in ("masks", "pixels", "regions"):
        a, b = getattr(made, name), getattr(counted, name)
        assert (a == b).all() and a.dtype == b.dtype


def test_floor_of_the_empty_answer(pair_of_catalogs):
    _, truth = pair_of_catalogs
    scores = protocol_scores(score_parts(truth, empty_answer(truth)), EVERY)
    background = 1-(maps(blocks(1, n=20)[1]) > 0).mean()
    assert scores["kaggle"] == scores["IoU per image (empty = 1)"] == pytest.approx(1-len(truth.labels)/(4*len(truth)))
    assert scores["mmsegmentation"] == pytest.approx(background/4) and scores["confusion matrix"] == pytest.approx(background/5)
    assert scores["Sime 2024"] == pytest.approx(1-truth.presence().any(axis=1).mean())
    zero = ["Dice where present", "IoU over the set", "PQ of regions", "SQ of regions", "RQ of regions", "monai", "smp micro", "torchmetrics MeanIoU"]
    assert (scores[zero] == 0).all()


def test_severstal_floor(shared_data):
    table = pd.read_csv(shared_data/"severstal"/"image_labels.csv").set_index("ImageId").to_numpy(bool)
    nothing = replace(parts_of(*CLEAN), masks=np.stack([table*0, table*0, table*1, 1-table], -1).astype(np.int64))
    assert len(table) == 12568 and PRESETS["kaggle"](nothing) == pytest.approx(1-7095/50272)
    assert PRESETS["Sime 2024"](nothing) == pytest.approx(5902/12568)


def test_floors_on_real_images(shared_data):
    truth = read_severstal(shared_data/"severstal"/"train.csv", shared_data/"severstal"/"train_images", present_only=True)
    scores = protocol_scores(score_parts(truth, empty_answer(truth)))
    assert scores["Dice per image (empty = 1)"] == pytest.approx(1-len(truth.labels)/(4*len(truth)))
    assert .18 < scores["IoU over the set with background"] < .2 and scores["IoU over the set"] == 0
    assert PRESETS["smp macro"](score_parts(truth, truth)) == 1 and dice(score_parts(truth, truth).masks).min() == 1
