"Good steel cut out of strips and laid beside a set: no labelled pixel goes in, every window is free, nothing comes twice."
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from typer.testing import CliRunner

from steel_defects.catalog import _catalog, write_labels
from steel_defects.cli import app
from steel_defects.dataset import crop_loader
from steel_defects.defects import NEU_SEG, SEVERSTAL
from steel_defects.images import read_image, write_image
from steel_defects.mix import clean_parts, clean_windows, join_catalogs, read_clean
from steel_defects.rle import rle_encode


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


def test_no_window_is_free(strips, tmp_path):
    with pytest.raises(ValueError, match="no window of 40 x 150 is free of labels in 3 images: take smaller windows"):
        clean_parts(strips, tmp_path/"good", size=(40, 150))


# --- laying together

def test_joined_images_and_masks_are_what_they_were(strips, tmp_path):
    good = clean_parts(strips, tmp_path/"good", size=(40, 32))
    both = join_catalogs(strips, good)
    assert len(both) == len(strips)+len(good) and both.folder == tmp_path.resolve()
    for way, c in (("strips", strips), ("good", good)):
        for i in c.ids:
            assert (both.image(f"{way}/{i}") == c.image(i)).all() and (both.stack(f"{way}/{i}") == c.stack(i)).all()
    assert sum(bool(both.stack(i).any()) for i in both.ids) == 3


def test_one_folder_inside_the_other(strips, tmp_path):
    "Good windows below the image folder keep their place."
    good = clean_parts(strips, strips.folder/"good", size=(40, 32))
    both = join_catalogs(strips, good)
    assert set(strips.ids) < set(both.ids) and {i for i in both.ids if i.startswith("good/")} == {f"good/{i}" for i in good.ids}


def test_what_cannot_be_joined(strips, tmp_path):
    good = clean_parts(strips, tmp_path/"good", size=(40, 32))
    with pytest.raises(ValueError, match="is in two of the catalogs: join each once"): join_catalogs(strips, good, good)
    with pytest.raises(ValueError, match="without an image folder cannot be joined"): join_catalogs(strips, replace(good, folder=None))
    other = replace(strips, classes=NEU_SEG, folder=strips.folder/"coil 1")
    with pytest.raises(ValueError, match="has other classes than"): join_catalogs(strips, other)
    assert len(join_catalogs(strips, replace(good, classes=NEU_SEG))) == len(strips)+len(good)  # without labels its classes do not matter


def test_good_windows_are_drawn_for_training(strips, tmp_path):
    good = clean_parts(strips, tmp_path/"good", size=(40, 32))
    drawn = dict(batch=1, size=(32, 32), crops=60, seed=0, augment=None, defect_share=1.)
    share = {s: np.mean([not y.any() for _, y in crop_loader(strips, clean=good, clean_share=s, **drawn)]) for s in (0., .5)}
    assert share[0.] == 0 and .3 < share[.5] < .7


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
    assert seen["train"].ids == strips.ids[1:] and seen["valid"].ids == strips.ids[:1] and seen["clean_share"] == .25
    assert sorted(seen["clean"].ids) == sorted(good.ids) and seen["clean"].classes == strips.classes
    seen.clear()
    run(*args)
    assert seen["train"].ids == strips.ids[1:] and "clean" not in seen
    with pytest.raises(OSError, match="nowhere"): run(*args, "--clean", tmp_path/"nowhere")
