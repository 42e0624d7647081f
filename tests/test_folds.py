"Leaks against a count by hand, repairs against every other repair there is, folds that keep groups and classes."
import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from steel_defects.audit import TRANSFORMS, inverse
from steel_defects.catalog import _catalog, read_severstal
from steel_defects.defects import SEVERSTAL
from steel_defects.folds import (_strata, fold_balance, grouped_folds, grouped_holdout, leak_summary, leaks, moved_images, part_by_folds, read_folds,
                                 read_groups, repair_split, split_by_folder, write_folds, write_groups)
from steel_defects.images import list_images, write_image
from steel_defects.synth import REAL, synth_strip

NAMES = [f"{i:03d}.jpg" for i in range(400)]


def labelled(classes, names=None):
    "A catalog whose images bear the given classes."
    names = names or [f"{i:05d}.jpg" for i in range(len(classes))]
    return _catalog([(n, c, "1 4") for n, cs in zip(names, classes) for c in cs], [(n, 8, 8) for n in names], SEVERSTAL, None)


def drawn(n, seed=0):
    "Classes as frequent as Severstal's."
    rng, share = np.random.default_rng(seed), np.array([*REAL.values()])
    return [[*REAL][k] for k in rng.choice(len(REAL), n, p=share/share.sum())]


def table(column, values): return pd.DataFrame({"ImageId": NAMES[:len(values)], column: values})


def some_pairs(group, rng, keep=.7):
    "Pairs of a random part of each group, in either order."
    rows = [(*rng.permutation([NAMES[i], NAMES[j]]), str(rng.choice(TRANSFORMS)), round(float(rng.random()), 2))
            for i, j in itertools.combinations(range(len(group)), 2) if group[i] == group[j] and rng.random() < keep]
    return pd.DataFrame(rows, columns=["ImageId", "other", "transform", "similarity"])


groupings = st.integers(2, 14).flatmap(lambda n: st.tuples(st.lists(st.integers(0, 5), min_size=n, max_size=n),
                                                           st.lists(st.integers(0, 2), min_size=n, max_size=n))).filter(lambda o: len(set(o[1])) > 1)


# --- leaks

@settings(max_examples=25, deadline=None)
@given(groupings, st.integers(0, 99))
def test_leaks_by_hand(sets, seed):
    group, fold = sets
    rng = np.random.default_rng(seed)
    folds, pairs, held = table("fold", fold), some_pairs(group, rng), fold[0]
    part = dict(zip(NAMES, fold))
    near = {}
    for r in pairs.itertuples():
        for a, b, t in [(r.ImageId, r.other, r.transform), (r.other, r.ImageId, inverse(r.transform))]:
            if part[a] == held and part[b] != held: near.setdefault(a, []).append((-r.similarity, b, t))
    found = leaks(folds, pairs, held)
    assert found.ImageId.tolist() == [n for n in NAMES if n in near]
    for r in found.itertuples():
        assert (-r.similarity, r.other, r.transform) == min(near[r.ImageId]) and r.copies == len(near[r.ImageId])
        assert (r.fold, r.other_fold) == (part[r.ImageId], part[r.other])
    by_group = {n for n, g, f in zip(NAMES, group, fold) if f == held and any(h == g and e != held for h, e in zip(group, fold))}
    assert set(leaks(folds, table("group", group), held).ImageId) == by_group >= set(near)


@settings(max_examples=25, deadline=None)
@given(groupings, st.integers(0, 99))
def test_the_summary_holds_each_part_in_turn(sets, seed):
    group, fold = sets
    folds, pairs = table("fold", fold), some_pairs(group, np.random.default_rng(seed))
    for copies in (pairs, table("group", group)):
        s = leak_summary(folds, copies)
        assert s.images.to_dict() == {f: fold.count(f) for f in set(fold)}
        assert s.copies.to_dict() == {f: len(leaks(folds, copies, f)) for f in set(fold)}
        assert np.allclose(s.share, s.copies/s.images) and not s.parts.any()


def test_several_parts_held_back_do_not_leak_into_each_other():
    folds = table("fold", ["a", "b", "c", "c"])
    pairs = pd.DataFrame([(NAMES[0], NAMES[1], "identity", .9), (NAMES[1], NAMES[2], "turn 90", .8)], columns=["ImageId", "other", "transform", "similarity"])
    assert leaks(folds, pairs, "b").other.tolist() == [NAMES[0]] and leaks(folds, pairs, "b").copies.tolist() == [2]
    found = leaks(folds, pairs, ["a", "b"])
    assert found[["ImageId", "other", "transform"]].to_numpy().tolist() == [[NAMES[1], NAMES[2], "turn 90"]]
    assert leaks(folds, pairs, "c")["transform"].tolist() == ["turn 270"]


def test_a_copy_counts_before_a_shared_part():
    folds = table("fold", ["test", "train", "train", "test", "train"])
    pairs = pd.DataFrame([(NAMES[0], NAMES[1], "identity", .99, "part"), (NAMES[0], NAMES[2], "identity", .5, "copy"), (NAMES[3], NAMES[4], "identity", .5, "part")],
                         columns=["ImageId", "other", "transform", "similarity", "kind"])
    found = leaks(folds, pairs, "test")
    assert found[["ImageId", "other", "kind", "copies"]].to_numpy().tolist() == [[NAMES[0], NAMES[2], "copy", 1], [NAMES[3], NAMES[4], "part", 1]]
    groups = table("group", [0, 1, 0, 2, 3]).assign(family=[0, 0, 0, 1, 1])
    assert leaks(folds, groups, "test")[["ImageId", "other", "kind"]].equals(found[["ImageId", "other", "kind"]])
    for copies in (pairs, groups): assert leak_summary(folds, copies).loc["test"].tolist() == [2, 1, 1, 1]


def test_no_pair_is_no_leak():
    none = pd.DataFrame(columns=["ImageId", "other", "transform", "similarity"])
    folds = table("fold", [0, 1, 1])
    assert not len(leaks(folds, none, 0)) and leak_summary(folds, none).share.tolist() == [0, 0]


@pytest.mark.parametrize("row, sentence", [((NAMES[0], "gone.jpg", "identity", 1.), "images that are not there, such as gone.jpg"),
                                           ((NAMES[0], NAMES[0], "identity", 1.), "paired with itself"), ((NAMES[0], NAMES[1], "turned", 1.), "unknown")])
def test_pairs_that_cannot_be(row, sentence):
    pairs = pd.DataFrame([row], columns=["ImageId", "other", "transform", "similarity"])
    with pytest.raises(ValueError, match=sentence): leaks(table("fold", [0, 1]), pairs, 0)
    with pytest.raises(ValueError, match="no column 'similarity'"): leaks(table("fold", [0, 1]), pairs.drop(columns="similarity"), 0)


# --- repair

@settings(max_examples=60, deadline=None)
@given(groupings)
def test_no_repair_moves_fewer(sets):
    group, fold = sets
    folds, groups, known = table("fold", fold), table("group", group), sorted(set(fold))
    least = min(sum(f != home[g] for g, f in zip(group, fold)) for homes in itertools.product(known, repeat=len(set(group)))
                for home in [dict(zip(sorted(set(group)), homes))])
    try: mended = repair_split(folds, groups)
    except ValueError as e:
        assert "would keep no image" in str(e)
        return
    assert mended.groupby(groups.group).fold.nunique().max() == 1 and set(mended.fold) == set(fold) and mended.ImageId.equals(folds.ImageId)
    assert len(moved_images(folds, mended)) == least and mended.fold.dtype == folds.fold.dtype


def test_ties_keep_the_parts_at_their_size():
    fold = ["train", "test"]*20+["train"]*20
    group = np.r_[np.repeat(np.arange(20), 2), np.arange(20, 40)]
    mended = repair_split(table("fold", fold), table("group", group))
    assert len(moved_images(table("fold", fold), mended)) == 20 and abs((mended.fold == "test").sum()-20) <= 2


def test_families_are_repaired_as_one():
    folds, groups = table("fold", ["a", "a", "b", "b", "b"]), table("group", [0, 0, 1, 2, 3])
    assert not len(moved_images(folds, repair_split(folds, groups)))
    moved = moved_images(folds, repair_split(folds, groups.assign(family=[0, 0, 0, 1, 2])))
    assert moved.to_numpy().tolist() == [[NAMES[2], "b", "a"]]


def test_a_part_that_would_be_lost_is_told():
    with pytest.raises(ValueError, match="fold test would keep no image.*make grouped folds anew"):
        repair_split(table("fold", ["test", "train", "train"]), table("group", [0, 0, 0]))
    with pytest.raises(ValueError, match="in one of the two splits only"): moved_images(table("fold", [0, 1]), table("fold", [0, 1, 1]))


# --- folds

@settings(max_examples=30, deadline=None)
@given(st.integers(2, 30).flatmap(lambda n: st.tuples(st.lists(st.integers(0, 12), min_size=n, max_size=n),
                                                       st.lists(st.sets(st.integers(1, 4)), min_size=n, max_size=n))), st.integers(2, 6), st.integers(0, 9))
def test_folds_keep_groups_whole_and_leave_none_empty(sets, n, seed):
    group, classes = sets
    catalog = labelled([tuple(sorted(c)) for c in classes], NAMES[:len(classes)])
    groups = table("group", group)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if len(set(group)) < n:
            with pytest.raises(ValueError, match=f"cannot be parted in {n}"): grouped_folds(catalog, groups, n, seed=seed)
            return
        folds = grouped_folds(catalog, groups, n, seed=seed)
        assert sorted(set(folds.fold)) == list(range(n)) and folds.ImageId.tolist() == catalog.ids
        assert folds.groupby(groups.group).fold.nunique().max() == 1
        assert grouped_folds(catalog, groups, n, seed=seed).equals(folds)
        train, valid = grouped_holdout(catalog, groups, share=.5, seed=seed)
    group_of = groups.set_index("ImageId").group
    assert len(train) and len(valid) and not set(group_of[train.ids]) & set(group_of[valid.ids])
    assert sorted(train.ids+valid.ids) == catalog.ids


@pytest.fixture(scope="module")
def mill():
    "12,568 images as frequent as Severstal's, a third of them in groups of two to five."
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(12568), rng.choice([1, 2, 3, 5], 12568, p=[.85, .1, .03, .02]))[:12568]
    kinds = drawn(group.max()+1)
    catalog = labelled([kinds[g] for g in group])
    shuffled = rng.permutation(12568)
    return catalog, pd.DataFrame(dict(ImageId=np.array(catalog.ids)[shuffled], group=group[shuffled]))


def test_every_class_stands_alike_in_every_fold(mill):
    catalog, groups = mill
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        folds = grouped_folds(catalog, groups, 5)
    assert not leak_summary(folds, groups).share.any()
    b = fold_balance(catalog, folds)
    even = b.sum()/5
    assert (b.images-even.images).abs().max() <= 12
    for c in ("1 inclusion", "2 thin crack", "3 crack", "4 patch", "clean"): assert (b[c]-even[c]).abs().max() <= max(5, .02*even[c]), b
    by_chance = pd.DataFrame(dict(ImageId=catalog.ids, fold=np.random.default_rng(0).permutation(12568) % 5))
    assert leak_summary(by_chance, groups).share.min() > .2


def test_rare_combinations_are_joined_and_dealt_out():
    "Five images bear (1, 2), each alone in a group: joined to class 2, whose strips stand in every fold."
    classes = [(1, 2)]*3+[(2,)]*2+[(1,)]*20+[()]*25
    b = fold_balance(labelled(classes), grouped_folds(labelled(classes), pd.DataFrame(dict(ImageId=labelled(classes).ids, group=range(50))), 5))
    assert (b["2 thin crack"] == 1).all() and (b.clean == 5).all() and (b.images == 10).all()


def test_strata_are_combinations_and_rare_ones_their_rarest_class():
    presence = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [1, 1, 0], [0, 0, 0], [1, 0, 0]], bool)
    assert pd.factorize(_strata(presence, np.arange(7), 2))[0].tolist() == [0, 0, 1, 2, 2, 3, 0]
    assert pd.factorize(_strata(presence, np.array([0, 1, 2, 3, 3, 4, 5]), 2))[0].tolist() == [0, 0, 1, 1, 1, 2, 0]  # (1, 2) in one group only
    assert _strata(presence, np.arange(7), 4).tolist() == [0]*7  # none is frequent


def test_a_class_in_few_groups_is_told():
    catalog = labelled([(1,)]+[(2,)]*3+[(3,)]*20)
    groups = pd.DataFrame(dict(ImageId=catalog.ids, group=[0, 1, 1, 1, *range(2, 22)]))
    with pytest.warns(UserWarning) as told: grouped_folds(catalog, groups, 4)
    assert [str(w.message).partition(" (")[0] for w in told] == ["class 1 inclusion is on 1 picture only", "class 2 thin crack is on 1 picture only"]
    with pytest.warns(UserWarning, match="too few for 2 folds"): grouped_holdout(catalog, groups)


def test_one_class_only_and_clean_only():
    for classes in ([(3,)]*12, [()]*12):
        catalog = labelled(classes)
        folds = grouped_folds(catalog, pd.DataFrame(dict(ImageId=catalog.ids, group=range(12))), 3)
        assert folds.fold.value_counts().tolist() == [4, 4, 4]


def test_seeds_and_numbers():
    catalog = labelled(drawn(60))
    groups = pd.DataFrame(dict(ImageId=catalog.ids, group=range(60)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert not grouped_folds(catalog, groups, 3, seed=1).equals(grouped_folds(catalog, groups, 3, seed=2))
        for n, seed in ((1, 0), (2.5, 0), (True, 0), (3, -1)):
            with pytest.raises(ValueError, match="take 2 folds or more, and a seed from 0"): grouped_folds(catalog, groups, n, seed=seed)
        for seed in (2**32, 2**64, np.int64(2**32), 1.5):
            with pytest.raises(ValueError, match=f"^the seed is {seed}: take a whole number from 0 to 4294967295$"):
                grouped_folds(catalog, groups, 3, seed=seed)
        assert sorted(set(grouped_folds(catalog, groups, 3, seed=2**32-1).fold)) == [0, 1, 2]
        with pytest.raises(ValueError, match="lacks 1 images, such as 00000.jpg"): grouped_folds(catalog, groups.iloc[1:], 3)
        assert grouped_folds(catalog.subset(catalog.ids[:30]), groups, 3).ImageId.tolist() == catalog.ids[:30]  # groups may know more


# --- one part held back

@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("share", [.1, .25, .5])
def test_single_images_are_dealt_out_class_by_class(share, seed):
    kinds = [(), (1,), (2,), (3,), (4,), (1, 3)]
    catalog = labelled([kinds[n % 6] for n in range(120)])
    train, valid = grouped_holdout(catalog, pd.DataFrame(dict(ImageId=catalog.ids, group=range(120))), share=share, seed=seed)
    assert sorted(train.ids+valid.ids) == sorted(catalog.ids) and len(valid) == round(share*120)
    for together in ([0], [1, 5], [2], [3], [4]): # what shares its rarest class is dealt out as one
        of = {i for n, i in enumerate(catalog.ids) if n % 6 in together}
        assert abs(len(of & set(valid.ids))-share*len(of)) <= 1


def test_without_groups_the_copies_are_looked_for(tmp_path):
    for n in range(6): write_image(tmp_path/f"{n}.png", synth_strip(n, classes=(3,), shape=(64, 256))[0])
    for n in range(6): write_image(tmp_path/f"{n}-copy.png", synth_strip(n, classes=(3,), shape=(64, 256))[0][::-1])
    (tmp_path/"labels.csv").write_text("ImageId,ClassId,EncodedPixels\n"+"".join(f"{i},3,1 9\n" for i in list_images(tmp_path)))
    for seed in range(5):
        train, valid = grouped_holdout(read_severstal(tmp_path/"labels.csv", tmp_path), share=.3, seed=seed)
        assert {i[0] for i in train.ids}.isdisjoint({i[0] for i in valid.ids})


def test_a_share_is_held_back_of_small_groups_and_large(mill):
    catalog, groups = mill
    train, valid = grouped_holdout(catalog, groups, share=.2)
    assert abs(len(valid)/len(catalog)-.2) < .001 and len(train)+len(valid) == len(catalog)
    size = groups.groupby("group").ImageId.transform("size")
    for n in (1, 2, 3, 5): assert abs(groups[size == n].ImageId.isin(valid.ids).mean()-.2) < .05, n
    assert (valid.presence().mean()-catalog.presence().mean()).abs().max() < .004
    assert not groups[groups.ImageId.isin(valid.ids)].group.isin(groups[groups.ImageId.isin(train.ids)].group).any()


def test_a_share_that_cannot_be():
    catalog, group = labelled([(3,)]*10), lambda g: pd.DataFrame(dict(ImageId=labelled([(3,)]*10).ids, group=g))
    for share in (0, 1, -1, np.nan):
        with pytest.raises(ValueError, match="between 0 and 1"): grouped_holdout(catalog, group(range(10)), share=share)
    for g in range(2):
        with pytest.raises(ValueError, match="1 groups of near copies cannot be parted in 2"): grouped_holdout(catalog, group([g]*10), share=.2)


@pytest.mark.parametrize("sizes, share, wanted", [([4, 1], .2, 1), ([1, 4], .2, 1), ([5, 5], .01, 5), ([6, 2], .1, 2), ([7, 3, 5], .05, 3),
                                                  ([5, 9, 7], .05, 5), ([1, 1], .95, 1), ([9, 1], .95, 9), ([3, 7], .99, 7), ([4, 4, 5], .9, 9)])
def test_two_groups_can_always_be_parted(sizes, share, wanted):
    "Where the share alone would hold back nothing, the group whose size is nearest to it is held back; where all, one is released likewise."
    ids, group = [f"{i:05d}.jpg" for i in range(sum(sizes))], np.repeat(range(len(sizes)), sizes)
    for seed in range(8):
        train, valid = grouped_holdout(labelled([()]*len(ids)), pd.DataFrame(dict(ImageId=ids, group=group)), share=share, seed=seed)
        assert len(valid) == wanted and sorted(train.ids+valid.ids) == ids
        assert not set(group[[ids.index(i) for i in train.ids]]) & set(group[[ids.index(i) for i in valid.ids]])


@pytest.mark.parametrize("sizes", [*itertools.permutations([4, 1]), *itertools.permutations([1, 3, 1, 2])])
def test_the_order_of_the_groups_does_not_decide(sizes):
    "Each group bears a class of its own, so that they are gone through as they stand here."
    group = np.repeat(range(len(sizes)), sizes)
    catalog = labelled([(g+1,) for g in group], NAMES[:len(group)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train, valid = grouped_holdout(catalog, table("group", group), share=.2)
    assert 1 <= len(valid) <= 2 and len(train)+len(valid) == len(group) and leak_summary(
        table("fold", [i in valid.ids for i in catalog.ids]), table("group", group)).share.sum() == 0


# --- files

def test_tables_come_back(tmp_path):
    groups = pd.DataFrame(dict(ImageId=["a, b.jpg", 'c "d".jpg', "é/1.png"], group=[3, 0, 3], family=[0, 1, 0]))
    assert read_groups(write_groups(tmp_path/"groups.csv", groups)).equals(groups)
    named = pd.DataFrame(dict(ImageId=groups.ImageId, fold=["training", "test", "training"]))
    assert read_folds(write_folds(tmp_path/"folds.csv", named)).equals(named)
    (tmp_path/"folds.csv").write_bytes("\ufeffImageId;fold;note\r\na.jpg;1.0;x\r\nb.jpg; 0 ;\r\n".encode())
    assert read_folds(tmp_path/"folds.csv").to_numpy().tolist() == [["a.jpg", 1], ["b.jpg", 0]]


def test_numbers_too_long_for_a_float_stay_what_they_are(tmp_path):
    ids = ["a.jpg", "b.jpg", "c.jpg"]
    stamps, edge = ["202401011230450001", "202401011230450002", "3"], [str(2**53), str(2**53+1), "0"]
    for long in (stamps, edge, ["1e30", "-1e30", "5"], ["9"*25, "9"*24+"8", "1.5"]):
        made = pd.DataFrame(dict(ImageId=ids, group=long))
        assert read_groups(write_groups(tmp_path/"groups.csv", made)).equals(made.astype(str)), long
        assert not len(leaks(pd.DataFrame(dict(ImageId=ids, fold=[0, 1, 1])), made, 0))
    numbers = pd.DataFrame(dict(ImageId=ids, fold=[202401011230450001, 202401011230450002, 202401011230450002]))
    train, test = part_by_folds(labelled([()]*3, ids), numbers, 202401011230450001)
    assert (train.ids, test.ids) == (ids[1:], ids[:1])
    small = pd.DataFrame(dict(ImageId=ids, group=[2**53-1, 1-2**53, 0]))
    assert read_groups(write_groups(tmp_path/"groups.csv", small)).equals(small)
    with pytest.raises(ValueError, match="line 4: c.jpg has no group"):
        write_groups(tmp_path/"groups.csv", pd.DataFrame(dict(ImageId=ids, group=["1", "9"*20, ""])))


@pytest.mark.parametrize("read, column", [(read_groups, "group"), (read_folds, "fold")])
def test_an_empty_file_is_told_its_own_columns(tmp_path, read, column):
    for text in ("", "\ufeff", "\n", "  \n", "\nImageId,fold\na.jpg,1\n"):
        (tmp_path/"table.csv").write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=f"table.csv has an empty first line: it must name the columns ImageId,{column}$"):
            read(tmp_path/"table.csv")
    (tmp_path/"table.csv").write_text("ImageId,fold,group\n", encoding="utf-16")
    with pytest.raises(ValueError, match="not a CSV in UTF-8"): read(tmp_path/"table.csv")


@pytest.mark.parametrize("text, sentence", [
    ("ImageId,fold\na.jpg,0\nb.jpg,1\na.jpg,1\n", "line 4: a.jpg stands there for the second time, in fold 1 and in line 2 in 0: an image belongs to one fold"),
    ("ImageId,fold\na.jpg,0\nb.jpg,1\na.jpg,0\nb.jpg,1\n", r"line 4: a.jpg stands there for the second time \(1 more such line\): keep one line"),
    ("ImageId,fold\na.jpg,0\nb.jpg,1.5\n", "line 3: b.jpg has the fold '1.5', which is not a whole number"),
    ("ImageId,fold\na.jpg,0\nb.jpg,test\n", "line 3: b.jpg has the fold 'test', which is not a whole number"),
    ("ImageId,fold\na.jpg,0\nb.jpg,inf\n", "line 3: b.jpg has the fold 'inf', which is not a whole number"),
    ("ImageId,fold\na.jpg,test\nb.jpg,\n", "line 3: b.jpg has no fold: number the folds from 0, or give each a name"),
    ("ImageId,fold\na.jpg,0\n../b.jpg,1\n", "line 3: ImageId '../b.jpg' climbs out"), ("ImageId,part\na.jpg,0\n", "no column 'fold': it needs ImageId,fold"),
    ("ImageId,fold\n", "names no image"), ("ImageId,fold\na.jpg\n", "line 2: 1 values under 2 column names")])
def test_bad_tables_are_told_by_line(tmp_path, text, sentence):
    (tmp_path/"folds.csv").write_text(text)
    with pytest.raises(ValueError, match=sentence): read_folds(tmp_path/"folds.csv")


def test_missing_files_and_bad_tables_to_write(tmp_path):
    with pytest.raises(FileNotFoundError, match="no table of groups .*groups.csv: check its name"): read_groups(tmp_path/"groups.csv")
    with pytest.raises(ValueError, match="the table of groups, line 3: b.jpg has no group"):
        write_groups(tmp_path/"groups.csv", pd.DataFrame(dict(ImageId=["a.jpg", "b.jpg"], group=[1, None])))
    with pytest.raises(ValueError, match="line 3: b.jpg has no family"):
        write_groups(tmp_path/"groups.csv", pd.DataFrame(dict(ImageId=["a.jpg", "b.jpg"], group=[1, 2], family=[1, None])))
    with pytest.raises(ValueError, match="climbs out"): write_folds(tmp_path/"folds.csv", pd.DataFrame(dict(ImageId=["../a.jpg"], fold=[1])))
    assert not [*tmp_path.iterdir()]


def test_parting_is_strict(tmp_path):
    catalog = labelled([(3,)]*6)
    folds = pd.DataFrame(dict(ImageId=catalog.ids, fold=[0, 1, 2]*2))
    path = write_folds(tmp_path/"folds.csv", folds)
    for source in (folds, path, str(path)):
        for held in (1, "1", np.int64(1), [1]):
            train, valid = part_by_folds(catalog, source, held)
            assert valid.ids == catalog.ids[1::3] and train.ids == [i for i in catalog.ids if i not in valid.ids]
    assert part_by_folds(catalog, folds, [0, 2])[0].ids == catalog.ids[1::3]
    for broken, sentence in [(folds.iloc[1:], "lacks 1 images"), (folds.replace("00000.jpg", "gone.jpg"), "line 2: gone.jpg is an image that the catalog does not have"),
                             (folds.assign(fold=1), r"all images in fold 1: number two folds or more, from 0")]:
        with pytest.raises(ValueError, match=sentence): part_by_folds(catalog, broken, 1)
    with pytest.raises(ValueError, match="no fold 7: choose one of 0, 1, 2$"): part_by_folds(catalog, folds, 7)
    for held in ([], (), set(), np.array([])):
        with pytest.raises(ValueError, match="no fold of the table of folds is named to be held back: choose one of 0, 1, 2, or several$"):
            part_by_folds(catalog, folds, held)
        with pytest.raises(ValueError, match="no fold of .* is named to be held back"): leaks(folds, folds.rename(columns=dict(fold="group")), held)


def test_labels_alone_do_not_know_the_clean_images(tmp_path):
    (tmp_path/"images").mkdir()
    for n in range(3): write_image(tmp_path/"images"/f"{n}.png", np.full((8, 8), .5, np.float32))
    (tmp_path/"labels.csv").write_text("ImageId,ClassId,EncodedPixels\n0.png,1,1 4\n1.png,3,1 4\n")
    folds = pd.DataFrame(dict(ImageId=["0.png", "1.png", "2.png"], fold=[0, 1, 1]))
    alone, whole = (read_severstal(tmp_path/"labels.csv", folder, shape=shape) for folder, shape in ((None, (8, 8)), (tmp_path/"images", None)))
    with pytest.raises(ValueError, match="line 4: 2.png is an image that the catalog does not have, for it knows labels only: name the image") as e:
        part_by_folds(alone, folds, 0)
    assert "take the line out" not in str(e.value) and part_by_folds(whole, folds, 0)[0].ids == ["1.png", "2.png"]
    with pytest.raises(ValueError, match="line 5: 3.png is an image that the catalog does not have: take the line out, or add the image"):
        part_by_folds(whole, pd.concat([folds, pd.DataFrame(dict(ImageId=["3.png"], fold=[1]))]), 0)


def test_many_pairs_and_as_many_folds_as_images():
    n = 12568
    ids = [f"{i:05d}.jpg" for i in range(n)]
    rng = np.random.default_rng(0)
    pairs = pd.DataFrame(dict(ImageId=ids[:10000], other=[ids[i] for i in rng.permutation(2568)[np.arange(10000) % 2568]+10000], transform="turn 90", similarity=.9))
    groups = pd.DataFrame(dict(ImageId=ids, group=rng.integers(0, 4000, n)))
    for fold in (rng.integers(0, 5, n), np.arange(n)):
        folds = pd.DataFrame(dict(ImageId=ids, fold=fold))
        for copies in (pairs, groups): leaks(folds, copies, 0), leak_summary(folds, copies)
    repair_split(pd.DataFrame(dict(ImageId=ids, fold=rng.integers(0, 2, n))), groups)


def test_the_published_split_of_neu_seg(shared_data):
    folder = shared_data/"neu_seg"/"images"
    ids = sorted(p.relative_to(folder).as_posix() for p in folder.glob("*/*.jpg"))
    split = split_by_folder(ids)
    assert len(split) == 3555 and set(split.fold) == {"training", "test"} and (split.fold == "test").sum() < 1000
