"The weights that come with the package: small, in the wheel, loaded by name, and of use on pictures of any size."
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from steel_defects.catalog import Catalog, read_severstal, write_labels
from steel_defects.cli import app
from steel_defects.defect_types import by_type, score_types
from steel_defects.defects import SEVERSTAL
from steel_defects.files import read_json
from steel_defects.images import read_image, write_image
from steel_defects.predict import (load_model, model_digest, model_folder, predict_folder, predict_image, probabilities, read_probabilities,
                                   shipped_models)
from steel_defects.run import found_catalog
from steel_defects.synth import STYLES, synth_set, synth_strip

NEU = ["inclusion", "patches", "scratches"]
FILES = {"config.json", "decision.json", "model.safetensors", "card.md"}
SHIPPED = shipped_models()


def run(*args):
    done = CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def model(): return load_model("neu-strip", device="cpu")


# --- the folder

@pytest.mark.parametrize("name", SHIPPED)
def test_folder_is_small_and_whole(name):
    held = {p.name: p.stat().st_size for p in model_folder(name).rglob("*") if p.is_file()}
    assert set(held) == FILES, "three files of a model and its card, no image and nothing of the training"
    assert sum(held.values()) <= 10e6


@pytest.mark.parametrize("name", SHIPPED)
def test_weights_are_16_bit_and_numbers(name):
    weights = load_file(model_folder(name)/"model.safetensors")
    floats = {k: v for k, v in weights.items() if v.is_floating_point()}
    assert {v.dtype for v in floats.values() if v.ndim > 1} == {torch.float16}
    assert all(torch.isfinite(v).all() for v in floats.values()), "a weight beyond 65,504 became infinite in 16 bits"


@pytest.mark.parametrize("name", SHIPPED)
def test_card_tells_what_one_must_know(name):
    card = (model_folder(name)/"card.md").read_text(encoding="utf-8")
    headings = {h.lower() for h in re.findall(r"^#+ (.+)$", card, re.M)}
    assert {"data", "protocol", "scores", "limits"} <= headings
    assert "for research: no licence is stated for the training images" in card.lower()
    assert not re.search(r"TODO|FIGURE|\{\w*\}|\bX\.XX\b", card), "a placeholder was left in the card"
    model = load_model(name, device="cpu")
    scores = card[card.lower().index("# scores"):].partition("\n#")[0]
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in scores.splitlines() if line.startswith("|")]
    rows = {name: " ".join(values) for name, *values in cells}
    for c in model.classes: # a value, its interval, and the floor beside it
        assert re.search(r"\b0\.\d+ \[0\.\d+, 0\.\d+\]", rows[c.name]), f"no score with interval for {c.name}"
    assert "nothing found" in scores.lower()
    assert re.search(r"steel-defects train (?:.|\\\n)*--seed \d+", card), "the command that trained the weights, with its seed"


def test_an_unknown_name_lists_the_known():
    with pytest.raises(FileNotFoundError, match="neu-strop holds no model.safetensors: .*neu-strip"): load_model("neu-strop")


def test_a_folder_of_the_name_goes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path/"neu-strip").mkdir()
    assert model_folder("neu-strip") != Path("neu-strip")  # an empty folder is no model
    shutil.copy(model_folder("neu-strip")/"model.safetensors", tmp_path/"neu-strip")
    assert model_folder("neu-strip") == Path("neu-strip")


# --- the wheel

SHUT = """
import socket, sys
def refuse(*args, **kwargs): raise OSError("a test without network went to the network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import steel_defects as sd
assert sys.argv[1] in sd.__file__, sd.__file__
model = sd.load_model("neu-strip", device="cpu")
print(sd.model_digest(model), *(c.name for c in model.classes))
"""


def test_wheel_brings_the_weights_and_loads_them(tmp_path, root, model):
    source, target = tmp_path/"source", tmp_path/"target"
    source.mkdir()
    for name in ["setup.py", "settings.ini", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"]: shutil.copy(root/name, source)
    shutil.copytree(root/"steel_defects", source/"steel_defects", ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path/"made", source]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout+done.stderr
    wheel = next((tmp_path/"made").glob("*.whl"))
    with zipfile.ZipFile(wheel) as z:
        inside = {n.rpartition("/")[2]: z.getinfo(n).file_size for n in z.namelist() if n.startswith("steel_defects/weights/neu-strip/")}
        assert inside == {p.name: p.stat().st_size for p in model_folder("neu-strip").iterdir()}
        assert not [n for n in z.namelist() if n.endswith((".jpg", ".bmp", ".npz"))], "an image in the wheel"
        z.extractall(target)
    env = dict(os.environ, PYTHONPATH=str(target))
    done = subprocess.run([sys.executable, "-c", SHUT, str(target)], capture_output=True, text=True, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [model_digest(model), *NEU]


# --- pictures

def picture(shape, seed=0):
    "Grey grain with a bright line from top to bottom."
    rng = np.random.default_rng(seed)
    image = np.clip(rng.normal(120, 12, shape), 0, 255)
    image[:, shape[1]//2:shape[1]//2+3] = 220
    return image.astype(np.uint8)


SIZES = (31, 47), (200, 200), (256, 1600), (1, 1)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for h, w in SIZES: write_image(folder/f"{h}x{w}.png", picture((h, w)))
    return folder


def test_predict_command_on_pictures_of_any_size(pictures, tmp_path, model):
    said = run("predict", pictures, "--model", "neu-strip", "--out", tmp_path/"found.csv", "--probabilities", tmp_path/"stored")
    table = pd.read_csv(tmp_path/"found.csv", keep_default_na=False)
    assert f"{len(SIZES)} images" in said and len(table) == 3*len(SIZES) and set(table.ClassId) == {1, 2, 3}
    note = read_json(tmp_path/"found.json")
    assert [c["name"] for c in note["classes"]] == NEU and note["model"] == model_digest(model)
    for h, w in SIZES:
        p = read_probabilities(tmp_path/"stored"/f"{h}x{w}.png.npz")
        assert p.shape == (3, h, w)
        if min(h, w) > 1: assert p.max() > p.min(), "the network answers the same at every pixel"
    found = read_severstal(tmp_path/"found.csv", pictures, classes=model.classes)
    for i in found.ids: assert (found.stack(i) == predict_image(model, read_image(pictures/i))).all()


def test_an_all_grey_picture_bears_nothing(model): assert not predict_image(model, np.full((200, 200), .5, np.float32)).any()


@pytest.fixture(scope="module")
def strips(tmp_path_factory):
    "Clear cracks on four strips of the calmest style, and two good ones."
    kinds = [(3,), (), (3,), (3,), (), (3,)]
    folder = synth_set(tmp_path_factory.mktemp("strips")/"strips", 6, seed=4, frequency=lambda rng, n: kinds[n], shape=(160, 480), styles=STYLES[:1],
                       contrast=2., progress=False)
    return read_severstal(folder/"train.csv", folder/"train_images")


def test_finds_a_clear_scratch(model):
    "More than sanity would hang on the weights: a long bright line on grain, which any model of scratches must see."
    rng, stack = np.random.default_rng(1), np.zeros((3, 200, 200), bool)
    image = np.clip(rng.normal(.45, .03, (200, 200)), 0, 1).astype(np.float32)
    stack[2, :, 96:101] = True
    image[stack[2]] += .35
    p = probabilities(model, image)
    assert p[2][stack[2]].mean() > 3*p[2][:, :80].mean() and p[2][stack[2]].mean() > .25*255
    found = predict_image(model, image)
    overlap = 2*(found[2] & stack[2]).sum()/(found[2].sum()+stack[2].sum())
    assert overlap > .2, f"Dice {overlap:.2f}, the answer that finds nothing has 0"


def test_good_strips_are_not_all_defect(model, strips):
    "The command runs over good steel alone, and its table says so image by image."
    good = [i for i in strips.ids if not strips.stack(i).any()]
    rows = predict_folder(model, strips.folder, ids=good)
    assert len(good) == 2 and len(rows) == 3*len(good) and rows.ImageId.unique().tolist() == good
    found = found_catalog(Catalog(strips.labels[:0], strips.subset(good).images, model.classes, strips.folder), rows)
    assert max(found.stack(i).any(0).mean() for i in good) < .5


def test_views_are_the_mean_of_turned_predictions(model, monkeypatch):
    "4 and 8 views by hand, with numpy's own flips and turns, on a picture that is not square."
    monkeypatch.setattr("steel_defects.predict.best_precision", lambda cpu: "no")
    image = read_image_part()
    single = lambda x: probabilities(model, x).astype(float)
    flips = [single(image), single(image[:, ::-1])[:, :, ::-1], single(image[::-1])[:, ::-1], single(image[::-1, ::-1])[:, ::-1, ::-1]]
    turns = [np.rot90(single(np.rot90(x, 1)), -1, (1, 2)) for x in (image, image[:, ::-1], image[::-1], image[::-1, ::-1])]
    turns = [turns[0], turns[1][:, :, ::-1], turns[2][:, ::-1], turns[3][:, ::-1, ::-1]]
    for views, mean in ((4, np.mean(flips, 0)), (8, np.mean(flips+turns, 0))):
        found = probabilities(model, image, views=views).astype(float)
        assert abs(found-mean).max() <= 1.01  # each of the parts was rounded down to 1/255, by half a step in the mean, and the result once more
        assert abs(found-flips[0]).max() > 5, "the views say nothing new"
    with pytest.raises(ValueError, match="views is 2: take 1, 4"): probabilities(model, image, views=2)


def read_image_part():
    image, _ = synth_strip(33, classes=(1, 2, 4))
    return np.asarray(image[:96, 200:360], np.float32)/(255 if image.max() > 1 else 1)


# --- other classes, other labels

@pytest.fixture
def tuned(strips, tmp_path):
    "Two steps from the shipped weights, so small that no weight can go far: what was said, and the model."
    def tuned(classes):
        labels = strips.labels.assign(ClassId=3)  # the third of NEU-Seg's classes and of Severstal's is long and thin
        write_labels(Catalog(labels, strips.images, classes, strips.folder), tmp_path/"labels.csv")
        pd.DataFrame(dict(ImageId=strips.ids, fold=[0, 0, 1, 1, 1, 1])).to_csv(tmp_path/"folds.csv", index=False)
        said = run("train", tmp_path/"labels.csv", strips.folder, "--folds", tmp_path/"folds.csv", "--from", "neu-strip", "--out", tmp_path/"run",
                   "--epochs", 1, "--crop", 64, "--crops", 4, "--batch", 2, "--lr", 1e-9, "--ema", 0)
        return said, load_model(tmp_path/"run", device="cpu"), read_json(tmp_path/"run"/"config.json")
    return tuned


def same(model, tuned, names):
    "Adam moves a weight by about the learning rate a step, so the weights that were taken over are still the same."
    for k in names: torch.testing.assert_close(tuned.net.state_dict()[k], model.net.state_dict()[k], atol=1e-7, rtol=1e-6)


def test_fine_tuning_replaces_the_head_and_keeps_the_rest(tuned, model):
    said, new, config = tuned(SEVERSTAL)
    assert "neu-strip knows inclusion, patches, scratches: its head is replaced by one for inclusion, thin crack, crack, patch" in said
    assert "all other weights are kept" in said
    assert [c.name for c in new.classes] == ["inclusion", "thin crack", "crack", "patch"] and new.net.config["classes"] == 4
    assert new.net.head.bias.shape != model.net.head.bias.shape
    kept = [k for k in model.net.state_dict() if not k.startswith("head.") and not re.search("num_batches|running", k)]
    assert len(kept) > 100
    same(model, new, kept)
    assert config["start"]["model"] == "neu-strip" and config["network"] == "LiteUNet"


def test_the_same_classes_keep_the_head(tuned, model):
    said, new, _ = tuned(model.classes)
    assert "head is replaced" not in said
    same(model, new, ["head.weight", "head.bias"])


def test_types_make_models_comparable(model, strips):
    "Tables by type agree with scores counted by hand from the union of masks."
    asked = Catalog(strips.labels[:0], strips.images, model.classes, strips.folder)
    found = found_catalog(asked, predict_folder(model, strips.folder))
    table = score_types(strips, {"neu-strip": found}).set_index(["type", "answer"])
    t = np.stack([strips.stack(i)[[1, 2]].any(0) for i in strips.ids])
    f = np.stack([found.stack(i)[2] for i in strips.ids])
    assert table.iou_over_set["crack", "neu-strip"] == pytest.approx((t & f).sum()/(t | f).sum())
    assert table.bearing["crack", "nothing found"] == 4 and table.dice_per_image["crack", "nothing found"] == pytest.approx(2/6)
    assert table.equals(score_types(by_type(strips), {"neu-strip": by_type(found)}).set_index(["type", "answer"]))
