"Prediction: pixels stay where they are, tiles leave no seam, rows come back exactly."
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from torch import nn

from steel_defects.catalog import read_severstal, write_submission
from steel_defects.decision import Decision, decide, default_decision, quantise, read_decision
from steel_defects.defects import NEU_SEG, SEVERSTAL
from steel_defects.evaluate import score_catalog
from steel_defects.images import read_image, standardise
from steel_defects.lite_unet import LiteUNet
from steel_defects.predict import (Model, load_model, model_digest, model_folder, predict_folder, probabilities, read_probabilities, rows_of, save_model, shipped_models, tile_starts,
                                   tile_weight, with_classes)
from steel_defects.run import found_catalog
from steel_defects.unet import UNet


class Local(nn.Module):
    "A network that sees one pixel: its answer must stand exactly where the pixel is."
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 1)

    def forward(self, x): return self.conv(x)


@pytest.fixture(autouse=True)
def float32(monkeypatch): monkeypatch.setattr("steel_defects.predict.best_precision", lambda cpu: "no")  # exact comparisons


@pytest.mark.parametrize("shape", [(1, 1), (37, 53), (256, 1600), (300, 2500), (16, 20000)])
@pytest.mark.parametrize("views", [1, 4, 8])
def test_aligned_to_the_pixel(shape, views):
    image = np.random.default_rng(0).random(shape).astype(np.float32)
    torch.manual_seed(0)
    model = Model(Local().eval(), SEVERSTAL, default_decision(4))
    found = probabilities(model, image, tile=(128, 256), overlap=64, views=views)
    with torch.inference_mode(): wanted = model.net(torch.from_numpy(standardise(image))[None, None])[0].sigmoid().numpy()
    assert (abs(found.astype(int)-quantise(wanted)) <= 1).all()  # weights of two tiles add up to 1 within a rounding


@pytest.mark.parametrize("length", [1, 63, 64, 200, 256, 257, 1600, 2047])
@pytest.mark.parametrize("tile, overlap", [(256, 128), (256, 64), (64, 0), (512, 256)])
def test_weights_cover_every_pixel_once(length, tile, overlap):
    starts, total = tile_starts(length, tile, overlap), np.zeros(length)
    for i, s in enumerate(starts):
        end = min(s+tile, length)
        assert end > s
        total[s:end] += tile_weight(end-s, overlap, i == 0, i == len(starts)-1)
    assert total == pytest.approx(np.ones(length))


def test_tiles_agree_with_the_whole():
    torch.manual_seed(0)
    net = UNet(classes=4, width=4, depth=2, prior=.3).eval()  # sees fewer than 32 pixels around each, a quarter of the overlap
    image = np.random.default_rng(0).random((256, 1600)).astype(np.float32)
    model = Model(net, SEVERSTAL, default_decision(4))
    whole = probabilities(model, image)
    tiled = probabilities(model, image, tile=(256, 512), overlap=128)
    assert abs(whole.astype(int)-tiled).max() <= 1


def test_saved_model_predicts_the_same(tmp_path, root):
    torch.manual_seed(0)
    model = Model(UNet(classes=4, width=4, depth=2, prior=.4).eval(), SEVERSTAL, Decision((100, 90, 80, 110), (0, 10, 20, 30)), ("flat_field",))
    folder = root/"data"/"sample"/"train_images"
    ids = sorted(p.name for p in folder.glob("*.jpg"))[:2]
    again = load_model(save_model(tmp_path/"model", model))
    assert again.decision == model.decision and again.steps == ("flat_field",)
    a, b = (predict_folder(m, folder, ids=ids, store=tmp_path/n) for m, n in ((model, "a"), (again, "b")))
    assert a.equals(b)
    stored = read_probabilities(tmp_path/"a"/f"{ids[0]}.npz")
    assert (stored == probabilities(model, read_image(folder/ids[0]))).all()
    write_submission(a, tmp_path/"found.csv")
    found = read_severstal(tmp_path/"found.csv", folder, image_ids=ids)
    for i in ids: assert (found.stack(i) == decide(read_probabilities(tmp_path/"a"/f"{i}.npz"), model.decision)).all()


def test_another_architecture_is_refused(tmp_path):
    model = Model(UNet(classes=4, width=4, depth=2), SEVERSTAL, default_decision(4))
    folder = save_model(tmp_path/"model", model)
    text = (folder/"config.json").read_text()
    (folder/"config.json").write_text(text.replace('"width": 4', '"width": 8'))
    with pytest.raises(ValueError, match="of another network"): load_model(folder)
    (folder/"config.json").write_text(text.replace('"version": 1', '"version": 2'))
    with pytest.raises(ValueError, match="update steel_defects"): load_model(folder)


# ---- what goes wrong ----

def small(seed=0, **changes):
    torch.manual_seed(seed)
    return Model(UNet(classes=4, width=4, depth=2, prior=.4), SEVERSTAL, Decision((102, 101, 100, 101), (0,)*4), **changes)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, .999))
def test_truncated_weights_are_refused(tmp_path, share):
    path = save_model(tmp_path/"model", small())/"model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:int(share*len(whole))])
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged or of another network .*: restore both from one run") as e: load_model(tmp_path/"model")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("change, sentence", [
    (lambda c: c.pop("unet"), "does not describe a model"), (lambda c: c.pop("classes"), "does not describe a model"), (lambda c: c.pop("steps"), "does not describe a model"),
    (lambda c: c["unet"].update(attention=True), "does not describe a model"), (lambda c: c["unet"].update(width="wide"), "does not describe a model"),
    (lambda c: c["classes"][1].update(id=7), "does not describe a model"), (lambda c: c["classes"].pop(), "4 thresholds, 3 classes and 4 channels"),
    (lambda c: c["unet"].update(depth=3), "damaged or of another network"), (lambda c: c["unet"].update(classes=3), "damaged or of another network"),
    (lambda c: c.update(version=2), "update steel_defects"), (lambda c: c.update(network="nnU-Net"), "describes no UNet")])
def test_a_changed_config_is_refused(tmp_path, change, sentence):
    folder = save_model(tmp_path/"model", small())
    config = json.loads((folder/"config.json").read_text())
    change(config)
    (folder/"config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=sentence) as e: load_model(folder)
    assert str(folder) in str(e.value) and "\n" not in str(e.value) and ": " in str(e.value)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "\x00"])
def test_a_config_that_is_none(tmp_path, text):
    folder = save_model(tmp_path/"model", small())
    (folder/"config.json").write_text(text)
    with pytest.raises(ValueError, match="config.json"): load_model(folder)


def test_a_network_that_gives_no_numbers_names_the_image(tmp_path, root):
    model = small()
    with torch.no_grad(): next(model.net.parameters()).fill_(float("nan"))
    with pytest.raises(ValueError, match=r"train_images/.*\.jpg: probabilities hold NaN"): predict_folder(model, root/"data"/"sample"/"train_images")


@pytest.fixture
def images(tmp_path, root):
    "Four strips of the sample."
    (tmp_path/"images").mkdir()
    for path in sorted((root/"data"/"sample"/"train_images").glob("*.jpg"))[:4]: shutil.copy(path, tmp_path/"images")
    return tmp_path/"images"


def test_ids_that_would_leave_the_folder_or_come_twice(images):
    for ids, sentence in [(["../x.jpg"], "climbs out"), (["/etc/x.jpg"], "absolute"), (["a.jpg", "b.jpg", "a.jpg"], "a.jpg is asked for twice"), ([], "holds no image")]:
        with pytest.raises(ValueError, match=sentence): predict_folder(small(), images, ids=ids, store=images.parent/"stored")
    assert not (images.parent/"stored").exists()


def test_an_interrupted_prediction_goes_on(images, monkeypatch):
    "Two images are found, then the power fails, also in the middle of a line; what changed in between is found anew."
    model, out, calls = small(), images.parent/"found.csv", []
    whole = predict_folder(model, images)
    ids = whole.ImageId.unique()

    def counted(*args, **kwargs):
        calls.append(args)
        if len(calls) == 3: raise KeyboardInterrupt
        return probabilities(*args, **kwargs)

    monkeypatch.setattr("steel_defects.predict.probabilities", counted)
    with pytest.raises(KeyboardInterrupt): predict_folder(model, images, out=out)
    assert not out.exists()
    (part,) = (images.parent/"found.csv.partial").glob("*.jsonl")
    assert [json.loads(line)["ImageId"] for line in part.read_text().splitlines()] == ids[:2].tolist()
    with pytest.raises(ValueError, match=r"found.csv.partial holds an interrupted prediction of another model, folder or setting: remove it"):
        predict_folder(small(1), images, out=out)
    with pytest.raises(ValueError, match="remove it"): predict_folder(model, images, out=out, views=4)
    with part.open("a") as f: f.write(json.dumps(dict(ImageId=ids[2], changed=0, found=["1 1"]*4))[:20])  # killed while it wrote this
    shutil.copy(images/ids[3], images/ids[0])  # another picture under the name of one that is done
    rows = predict_folder(model, images, out=out)
    assert len(calls) == 3+3 and len(rows) == 16 and not rows.duplicated(["ImageId", "ClassId"]).any()
    monkeypatch.setattr("steel_defects.predict.probabilities", probabilities)
    assert rows.equals(predict_folder(model, images)) and not rows.equals(whole)
    assert pd.read_csv(out, keep_default_na=False).equals(rows) and not (images.parent/"found.csv.partial").exists()


def test_stored_probabilities_that_are_gone_are_made_again(images, monkeypatch):
    out, store, calls = images.parent/"found.csv", images.parent/"stored", []
    monkeypatch.setattr("steel_defects.predict.write_submission", lambda *args: 1/0)
    with pytest.raises(ZeroDivisionError): predict_folder(small(), images, out=out, store=store)
    monkeypatch.setattr("steel_defects.predict.write_submission", write_submission)
    sorted(store.iterdir())[1].unlink()
    monkeypatch.setattr("steel_defects.predict.probabilities", lambda *args, **kwargs: calls.append(1) or probabilities(*args, **kwargs))
    predict_folder(small(), images, out=out, store=store)
    assert len(calls) == 1 and len(list(store.iterdir())) == 4


def test_a_store_that_another_model_filled_is_filled_anew(images):
    out, store = images.parent/"found.csv", images.parent/"stored"
    predict_folder(small(1), images, out=images.parent/"other.csv", store=store)
    broken = sorted(images.glob("*.jpg"))[2]
    whole = broken.read_bytes()
    broken.write_bytes(whole[:9000])
    with pytest.raises(ValueError, match="cannot be read as an image"): predict_folder(small(), images, out=out)
    broken.write_bytes(whole)
    with pytest.raises(ValueError, match="another model, folder or setting"): predict_folder(small(), images, out=out, store=store)
    shutil.rmtree(images.parent/"found.csv.partial")
    predict_folder(small(), images, out=out, store=store)
    for path in store.iterdir(): assert (read_probabilities(path) == probabilities(small(), read_image(images/path.stem))).all()


def test_only_predictions_are_written_over(images):
    for name, text in [("labels.csv", "ImageId,ClassId,EncodedPixels\n"), ("scores.json", "{}"), ("found.json", "{}")]:
        (images.parent/name).write_text(text)
        with pytest.raises(ValueError, match="is there and is no prediction|let it end in .csv"): predict_folder(small(), images, out=images.parent/name.replace("found.json", "found.csv"))
        assert (images.parent/name).read_text() == text
    with pytest.raises(ValueError, match="let it end in .csv"): predict_folder(small(), images, out=images)
    assert not list(images.parent.glob("*.partial"))
    for _ in range(2): predict_folder(small(), images, out=images.parent/"new.csv")
    assert json.loads((images.parent/"new.json").read_text())["classes"][2]["name"] == "crack"


@pytest.mark.parametrize("line", ["{}", "rubbish", "[]", '{"ImageId": "a.jpg"}'])
def test_a_damaged_journal_is_named(images, line):
    (images.parent/"found.csv.partial").mkdir()
    out = images.parent/"found.csv"
    (images/"zzz.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match="zzz.jpg cannot be read"): predict_folder(small(), images, out=out)
    (images/"zzz.jpg").unlink()
    (images.parent/"found.csv.partial"/"1-0.jsonl").write_text(f"{line}\n")
    with pytest.raises(ValueError, match="found.csv.partial holds a damaged line .*: remove that folder"): predict_folder(small(), images, out=out)


def test_an_image_of_three_axes():
    with pytest.raises(ValueError, match=r"shape \(8, 8, 3\): give one grey image"): probabilities(small(), np.zeros((8, 8, 3), np.float32))


@pytest.mark.parametrize("dtype, shape", [("float32", (4, 8, 8)), ("bool", (4, 8, 8)), ("int64", (4, 8, 8)),
                                          ("uint8", (8, 8)), ("uint8", (1, 4, 8, 8))])
def test_files_that_hold_other_arrays(tmp_path, dtype, shape):
    path = tmp_path/"a.jpg.npz"
    np.savez_compressed(path, probability=np.zeros(shape, dtype))
    with pytest.raises(ValueError) as e: read_probabilities(path)
    assert str(e.value) == f"{path} holds {dtype} {shape} and not stored probabilities uint8 (C, H, W): remove it and predict again"


FULL = """import resource, sys
sys.path.insert(0, sys.argv[1])
from test_predict import small
from steel_defects.predict import predict_folder
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]),)*2)
try: predict_folder(small(), sys.argv[2], out=sys.argv[3])
except OSError as e: print(e)
"""


def test_a_disk_that_fills_up_is_told_and_nothing_found_is_lost(images):
    "The limit of a file's size stands for the disk: the rows of one image fit, those of the next do not."
    out = images.parent/"found.csv"
    whole = predict_folder(small(), images)
    room = 2*max(len("".join(texts)) for _, texts in whole.groupby("ImageId").EncodedPixels)
    done = subprocess.run([sys.executable, "-c", FULL, Path(__file__).parent, images, out, str(room)], capture_output=True, text=True)
    assert done.returncode == 0 and "jsonl cannot be written (" in done.stdout and done.stdout.count("\n") == 1, done.stdout+done.stderr
    assert not out.exists() and len(list((images.parent/"found.csv.partial").glob("*.jsonl"))) == 1
    assert len(predict_folder(small(), images, out=out)) == 16


def test_committed_answers_belong_to_the_sample(root):
    sample = root/"data"/"sample"
    truth, found = read_severstal(sample/"train.csv", sample/"train_images"), sample/"found"
    decision, table = read_decision(found/"decision.json"), pd.read_csv(found/"found.csv", keep_default_na=False)
    rows = [row for i in truth.ids for row in rows_of(i, decide(read_probabilities(found/"probabilities"/f"{i}.npz"), decision))]
    assert rows == [tuple(r) for r in table[["ImageId", "ClassId", "EncodedPixels"]].itertuples(index=False)]
    dice = score_catalog(truth, found_catalog(truth, table)).query("tp+fn > 0").groupby("ClassId").dice.mean()
    readme = re.findall(r"^\| (?:inclusion|thin crack|crack|patch) \| ([\d.]+) ", (root/"README.md").read_text(), re.M)
    assert [f"{d:.2f}" for d in dice] == readme, "the committed answers are those of the run that README.md tells of"
    assert sorted(p.name for p in (found/"validation").iterdir()) == [f"s2-{n:05}.jpg.npz" for n in range(24)]


# ---- another head, half the bytes, a name ----

@pytest.mark.parametrize("net", [UNet(classes=4, width=4, depth=2), LiteUNet(classes=4, fine=4, up=(16, 12, 8, 8))], ids=["UNet", "LiteUNet"])
def test_another_head_and_nothing_else(net):
    model = Model(net, SEVERSTAL, default_decision(4))
    before = {k: v.clone() for k, v in net.state_dict().items()}
    other = with_classes(model, NEU_SEG, prior=.2)
    with torch.no_grad(): p = other.eval()(torch.randn(1, 1, 32, 32)).sigmoid()
    assert p.shape == (1, 3, 32, 32) and other.config == {**net.config, "classes": 3, "prior": .2} and abs(p.mean()-.2) < .1
    assert all(torch.equal(v, before[k]) for k, v in other.state_dict().items() if not k.startswith("head."))
    same = with_classes(model, SEVERSTAL)
    assert all(torch.equal(v, before[k]) for k, v in same.state_dict().items())
    with torch.no_grad():
        for o in (other, same): next(o.parameters()).fill_(7)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items()), "training the copy changes the model it came from"


def test_half_of_the_bytes(tmp_path, root):
    model = small()
    full, half = (save_model(tmp_path/name, model, half=half) for name, half in (("full", False), ("half", True)))
    bytes_of = lambda folder: (folder/"model.safetensors").stat().st_size
    assert bytes_of(full)-bytes_of(half) > .9*2*sum(p.numel() for p in model.net.parameters()) and next(model.net.parameters()).dtype == torch.float32
    again, image = load_model(half), read_image(sorted((root/"data"/"sample"/"train_images").glob("*.jpg"))[0])[:64, :96]
    assert next(again.net.parameters()).dtype == torch.float32 and model_digest(again) != model_digest(load_model(full))
    assert abs(probabilities(again, image).astype(int)-probabilities(model, image)).max() <= 1  # a weight is off by 2^-11 of itself at most


def test_a_name_is_looked_up_beside_the_package(tmp_path, monkeypatch):
    save_model(tmp_path/"weights"/"mill-7", small(), half=True)
    (tmp_path/"weights"/"unfinished").mkdir()
    monkeypatch.setattr("steel_defects.predict.WEIGHTS", tmp_path/"weights")
    assert shipped_models() == ["mill-7"] and model_folder("mill-7") == tmp_path/"weights"/"mill-7"
    assert load_model("mill-7").classes == SEVERSTAL
    for name in ("unfinished", "../weights/mill-8", "mill-77"):
        with pytest.raises(FileNotFoundError, match=r"or one of the shipped models \(mill-7\)"): model_folder(name)
