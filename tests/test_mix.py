"What other sets lend to training: good steel without a labelled pixel, labels by defect type, each its share of the crops."
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from typer.testing import CliRunner

from steel_defects.catalog import _catalog, read_severstal, write_labels
from steel_defects.cli import app
from steel_defects.dataset import Crops, Mixture, crop_loader
from steel_defects.defect_types import by_type
from steel_defects.defects import NEU_SEG, SEVERSTAL
from steel_defects.images import read_image, write_image
from steel_defects.mix import clean_parts, clean_windows, read_clean
from steel_defects.rle import rle_encode
from steel_defects.run import train_run
from steel_defects.synth import even_classes, synth_set


def run(*args):
    done = CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


# --- windows

@settings(max_examples=200, deadline=None)
@given(h=st.integers(1, 12), w=st.integers(1, 12), margin=st.integers(0, 5), seed=st.integers(0, 2**20), share=st.sampled_from([0., .01, .05, .3]))
def test_windows_are_free_apart_and_inside(h, w, margin, seed, share):
    mask = np.random.default_rng(seed).random((24, 60)) < share
    taken = np.zeros((24, 60), int)
    for top, left in clean_windows(mask, (h, w), margin):
        assert 0 <= top <= 24-h and 0 <= left <= 60-w
        assert not mask[max(0, top-margin):top+h+margin, max(0, left-margin):left+w+margin].any()
        taken[top:top+h, left:left+w] += 1
    assert taken.max() <= 1
    if not mask.any(): assert taken.sum() == 24//h*h*(60//w*w)  # as many as fit


def test_a_labelled_pixel_costs_its_surroundings_and_no_more():
    mask = np.zeros((8, 100), bool)
    mask[3, 50] = True
    starts = [left for _, left in clean_windows(mask, (8, 10), margin=4)]
    assert starts == [0, 10, 20, 30, 55, 65, 75, 85]


# --- files

@pytest.fixture
def strips(tmp_path):
    "Three images with a bright defect each, in a subfolder, one of them nearly black to the right."
    rng, rows = np.random.default_rng(0), []
    for n in range(3):
        image, mask = rng.integers(90, 140, (40, 200)).astype(np.uint8), np.zeros((40, 200), bool)
        mask[10:20, 60+20*n:70+20*n] = True
        image[mask] = 255
        if n == 2: image[:, 150:] = 3
        write_image(tmp_path/"strips"/"coil 1"/f"{n}.png", image)
        rows.append((f"coil 1/{n}.png", 3, rle_encode(mask)))
    return _catalog(rows, [(i, 40, 200) for i, *_ in rows], SEVERSTAL, tmp_path/"strips")


def test_parts_are_the_very_pixels(strips, tmp_path):
    good = clean_parts(strips, tmp_path/"good", size=(40, 32), margin=4)
    assert len(good) >= 6 and not len(good.labels) and good.classes == SEVERSTAL
    for i in good.ids:
        source, top, left = i.removesuffix(".png").rsplit("-", 2)
        whole = read_image(strips.folder/f"{source}.png")
        part = whole[int(top):int(top)+40, int(left):int(left)+32]
        assert (good.image(i) == part).all() and part.max() < 1 and part.mean() > .1  # without the defect, and no black edge
    again = read_clean(tmp_path/"good", SEVERSTAL)
    assert sorted(again.ids) == sorted(good.ids) and not len(again.labels)


def test_a_second_call_adds_nothing_of_another(strips, tmp_path):
    "The same again is the same; windows of other strips or sizes are not mixed in without a word, and nothing is deleted."
    good = clean_parts(strips, tmp_path/"good", size=(40, 32))
    assert clean_parts(strips, tmp_path/"good", size=(40, 32)).ids == good.ids
    with pytest.raises(ValueError, match=r"also holds \d+ images that are no window of these, such as .*: move them away, or name a new folder"):
        clean_parts(strips, tmp_path/"good", size=(40, 24))
    assert all((tmp_path/"good"/i).is_file() for i in good.ids)


@pytest.mark.parametrize("size, margin", [((0, 8), 4), ((8, 0), 4), ((-1, 8), 4), ((8, 8), -1)])
def test_windows_of_no_size(size, margin):
    with pytest.raises(ValueError, match="give two sizes of 1 pixel or more and a margin from 0"): clean_windows(np.zeros((9, 9), bool), size, margin)


def test_validation_images_are_not_lent(tmp_path):
    made = synth_set(tmp_path/"made", 4, seed=5, frequency=even_classes, progress=False)
    known = read_severstal(made/"train.csv", made/"train_images")
    with pytest.raises(ValueError, match=r"mix lends 1 validation images to training, such as .*: take them out"):
        train_run(known.subset(known.ids[:2]), known.subset(known.ids[2:]), tmp_path/"run", beside={"mix": (known.subset(known.ids[1:3]), .5)})
    assert not (tmp_path/"run").exists()


def test_no_window_is_free(strips, tmp_path):
    with pytest.raises(ValueError, match="no window of 40 x 150 is free of labels in 3 images: take smaller windows"):
        clean_parts(strips, tmp_path/"good", size=(40, 150))


# --- in training

def test_good_windows_are_drawn_for_training(strips, tmp_path):
    good = clean_parts(strips, tmp_path/"good", size=(40, 32))
    drawn = dict(batch=1, size=(32, 32), crops=60, seed=0, augment=None, defect_share=1.)
    share = {s: np.mean([not y.any() for _, y in crop_loader(strips, beside=[(good, s)], **drawn)]) for s in (0., .5)}
    assert share[0.] == 0 and .3 < share[.5] < .7


@settings(max_examples=30, deadline=None)
@given(shares=st.lists(st.floats(0, .5), min_size=1, max_size=3).filter(lambda s: sum(s) <= 1), seed=st.integers(0, 99))
def test_every_part_gives_its_share(shares, seed):
    "Of grey levels one for each part; the count of each is binomial, five standard deviations are allowed."
    parts = [_catalog([], [("a.png", 8, 8)], SEVERSTAL, None) for _ in range(len(shares)+1)]
    crops = [Crops(p, size=(8, 8), crops=1000, seed=seed, defect_share=0.) for p in parts]
    for n, c in enumerate(crops): c.images = lambda i, n=n: (np.full((8, 8), n, np.float32), (0., 1.))
    drawn = Mixture(crops[0], list(zip(crops[1:], shares)))
    counts = np.bincount([int(drawn[i]["image"].max()) for i in range(1000)], minlength=len(parts))
    for count, p in zip(counts, [1-sum(shares), *shares]): assert abs(count-1000*p) <= 5*np.sqrt(1000*max(p*(1-p), 1e-12))+1e-6


def test_another_epoch_draws_anew(strips, tmp_path):
    good = clean_parts(strips, tmp_path/"good", size=(40, 32))
    drawn = Mixture(Crops(strips, size=(32, 32), crops=60, defect_share=1.), [(Crops(good, size=(32, 32), crops=60), .5)])
    bears = {}
    for epoch in (0, 1, 0):
        drawn.set_epoch(epoch)
        assert {c.epoch for c in drawn.parts} == {epoch}
        now = [bool(drawn[i]["mask"].any()) for i in range(60)]
        assert bears.setdefault(epoch, now) == now
    assert bears[0] != bears[1]


@pytest.mark.parametrize("change, sentence", [(dict(share=1.2), "add up to 1 or less"), (dict(share=-.1), "take shares from 0"), (dict(size=(16, 16)), "cannot join"),
                                              (dict(crops=9), "cannot join"), (dict(classes=NEU_SEG), "cannot join")])
def test_what_cannot_be_mixed(strips, change, sentence):
    asked = dict(share=.5, size=(8, 8), crops=10, classes=SEVERSTAL) | change
    other = Crops(replace(strips, classes=asked["classes"], labels=strips.labels[:0]), size=asked["size"], crops=asked["crops"])
    with pytest.raises(ValueError, match=sentence): Mixture(Crops(strips, size=(8, 8), crops=10), [(other, asked["share"])])


# --- the commands

@pytest.fixture
def labels(strips, tmp_path):
    write_labels(strips, tmp_path/"labels.csv")
    return tmp_path/"labels.csv"


def test_clean_command_cuts_what_the_function_cuts(strips, labels, tmp_path):
    said = run("clean", labels, strips.folder, "--out", tmp_path/"clean", "--size", 32)
    wanted = clean_parts(strips, tmp_path/"wanted", size=(32, 32))
    assert said.strip().endswith(f"{len(wanted)} windows of good steel in {tmp_path/'clean'}")
    assert {p.name for p in (tmp_path/"clean").rglob("*.png")} == {p.name for p in (tmp_path/"wanted").rglob("*.png")}


@pytest.mark.parametrize("text, sentence", [
    (None, "there is no list .*only.txt: check its name"), ("\n", "only.txt names no image: write an ImageId a line"),
    ("coil 1/0.png\nb.png\na.png\n", "only.txt names 2 images that .* does not know, such as a.png: correct the list")])
def test_clean_command_refuses_a_wrong_list(strips, labels, tmp_path, text, sentence):
    if text is not None: (tmp_path/"only.txt").write_text(text)
    with pytest.raises((FileNotFoundError, ValueError), match=sentence):
        run("clean", labels, strips.folder, "--out", tmp_path/"clean", "--size", 32, "--only", tmp_path/"only.txt")
    assert not (tmp_path/"clean").exists()


@pytest.mark.parametrize("name", ["1.png", "coil 1/1.png"])
def test_clean_command_leaves_the_others_out(tmp_path, name):
    "One name a line, with spaces too."
    rows = []
    for n in range(3):
        mask = np.zeros((40, 200), bool)
        mask[10:20, 90:100] = True
        write_image(tmp_path/"images"/name.replace("1.png", f"{n}.png"), np.full((40, 200), 120, np.uint8))
        rows.append((name.replace("1.png", f"{n}.png"), 1, rle_encode(mask)))
    pd.DataFrame(rows, columns=["ImageId", "ClassId", "EncodedPixels"]).to_csv(tmp_path/"labels.csv", index=False)
    (tmp_path/"only.txt").write_text(name+"\n\n")
    run("clean", tmp_path/"labels.csv", tmp_path/"images", "--out", tmp_path/"clean", "--size", 32, "--only", tmp_path/"only.txt")
    cut = {p.relative_to(tmp_path/"clean").as_posix().rsplit("-", 2)[0]+".png" for p in (tmp_path/"clean").rglob("*.png")}
    assert cut == {name}


def test_train_joins_good_steel(strips, labels, tmp_path, monkeypatch):
    "What training and validation hold when `--clean` is given."
    seen = {}
    monkeypatch.setattr("steel_defects.cli.train_run", lambda train, valid, out, **kwargs: seen.update(train=train, valid=valid, **kwargs))
    monkeypatch.setattr("steel_defects.cli._scores", lambda scores: None)
    monkeypatch.setattr("steel_defects.cli.read_json", lambda path: {})
    good = clean_parts(strips, tmp_path/"good", size=(32, 32))
    pd.DataFrame(dict(ImageId=strips.ids, fold=[0, 1, 1])).to_csv(tmp_path/"folds.csv", index=False)
    args = ["train", labels, strips.folder, "--folds", tmp_path/"folds.csv", "--out", tmp_path/"run"]
    run(*args, "--clean", tmp_path/"good", "--clean-share", .25)
    lent, share = seen["beside"]["clean"]
    assert seen["train"].ids == strips.ids[1:] and seen["valid"].ids == strips.ids[:1] and share == .25
    assert sorted(lent.ids) == sorted(good.ids) and lent.classes == strips.classes
    seen.clear()
    run(*args)
    assert seen["train"].ids == strips.ids[1:] and not seen["beside"]
    with pytest.raises(OSError, match="nowhere"): run(*args, "--clean", tmp_path/"nowhere")


def test_train_takes_other_labels_by_type(tmp_path, monkeypatch):
    "Synthetic strips for NEU-Seg's classes: every mask under the class of its type; other labels of the same classes are left as they are."
    seen = {}
    monkeypatch.setattr("steel_defects.cli.train_run", lambda train, valid, out, **kwargs: seen.update(kwargs))
    monkeypatch.setattr("steel_defects.cli._scores", lambda scores: None)
    monkeypatch.setattr("steel_defects.cli.read_json", lambda path: {})
    made = synth_set(tmp_path/"made", 6, seed=5, frequency=even_classes, progress=False)
    known = read_severstal(made/"train.csv", made/"train_images")
    neu = by_type(known, NEU_SEG)
    write_labels(neu, tmp_path/"neu.csv")
    run("train", tmp_path/"neu.csv", known.folder, "--mix", made, "--mix-share", .3, "--clean", known.folder, "--out", tmp_path/"run")
    (lent, share), (_, other) = seen["beside"]["mix"], seen["beside"]["clean"]
    assert share == .3 and other == .1 and lent.classes == NEU_SEG and len(lent) == 6
    for i in known.ids:
        inclusion, crack, thin, patch = known.stack(i)
        assert (lent.stack(i) == [inclusion, patch, crack | thin]).all()
    synth_set(tmp_path/"more", 3, seed=6, frequency=even_classes, progress=False)
    run("train", made, "--mix", tmp_path/"more", "--out", tmp_path/"other")
    pd.testing.assert_frame_equal(seen["beside"]["mix"][0].labels, read_severstal(tmp_path/"more"/"train.csv", tmp_path/"more"/"train_images").labels)
    with pytest.raises(ValueError, match="neu.csv does not say where its images are: give --mix a folder"): run("train", made, "--mix", tmp_path/"neu.csv", "--out", tmp_path/"x")
    with pytest.raises(ValueError, match="masks of type crack fit 2 of the classes"): by_type(neu, SEVERSTAL)
