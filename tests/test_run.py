"A run from catalogs: what little or odd data does, and what is refused."
import shutil

import numpy as np
import pytest
from kill import strips

from steel_defects.catalog import Catalog
from steel_defects.defects import classes_from_names
from steel_defects.files import read_json
from steel_defects.predict import load_model, predict_image
from steel_defects.run import train_run
from steel_defects.train import TrainConfig

CONFIG = TrainConfig(epochs=1, cpu=True)
SMALL = dict(config=CONFIG, width=4, depth=2, size=(64, 64))


@pytest.fixture
def catalog(tmp_path): return strips(tmp_path/"strips", 8)


def test_a_class_that_never_occurs_is_told(catalog, tmp_path):
    train, valid = (Catalog(c.labels, c.images, classes_from_names(["a", "b", "c", "d", "e"]), c.folder) for c in (catalog.subset(catalog.ids[:6]), catalog.subset(catalog.ids[6:])))
    with pytest.warns(UserWarning, match="no training image bears 5 e: .* label some, or take the class away"): train_run(train, valid, tmp_path/"run", batch=4, crops=8, **SMALL)
    rows = {row["name"]: row for row in read_json(tmp_path/"run"/"scores.json")["classes"]}
    assert rows["e"]["bearing"] == 0 and rows["e"]["dice_where_present"] is None and rows["c"]["bearing"] == 1
    assert predict_image(load_model(tmp_path/"run"), np.full((64, 160), .5, np.float32)).shape == (5, 64, 160)


def test_no_defect_at_all(catalog, tmp_path):
    clean = Catalog(catalog.labels[:0], catalog.images, catalog.classes, catalog.folder)
    with pytest.warns(UserWarning, match="no training image bears 1 inclusion, 2 thin crack, 3 crack, 4 patch"):
        train_run(clean.subset(clean.ids[:4]), clean.subset(clean.ids[4:]), tmp_path/"run", batch=2, crops=4, **SMALL)
    assert all(np.isfinite(row["dice_per_image"]) for row in read_json(tmp_path/"run"/"scores.json")["classes"])


def test_fewer_images_than_a_batch(catalog, tmp_path):
    parts = catalog.subset(catalog.ids[:1]), catalog.subset(catalog.ids[1:3])
    with pytest.raises(ValueError, match="an epoch has 2 crops, fewer than one batch of 8: raise crops or lower batch"), pytest.warns(UserWarning): train_run(*parts, tmp_path/"a", **SMALL)
    assert not (tmp_path/"a").exists()
    with pytest.warns(UserWarning): train_run(*parts, tmp_path/"b", crops=8, **SMALL)  # one image gives as many crops as are wanted
    assert (tmp_path/"b"/"scores.json").exists()


def test_one_validation_image_is_too_few(catalog, tmp_path):
    with pytest.raises(ValueError, match="there are 1 validation images and 2 or more are needed"): train_run(catalog.subset(catalog.ids[:7]), catalog.subset(catalog.ids[7:]), tmp_path/"run", batch=4, crops=4, **SMALL)


def test_an_image_that_is_broken_is_named(catalog, tmp_path):
    (catalog.folder/"02.png").write_bytes((catalog.folder/"02.png").read_bytes()[:200])
    with pytest.raises(ValueError, match="02.png cannot be read as an image"): train_run(catalog.subset(catalog.ids[:4]), catalog.subset(catalog.ids[4:]), tmp_path/"run", batch=4, crops=32, **SMALL)


def test_a_folder_that_holds_something_else_is_left_alone(catalog, tmp_path):
    parts, out = (catalog.subset(catalog.ids[:4]), catalog.subset(catalog.ids[4:])), tmp_path/"run"
    mine = [out/"checkpoints"/"mine"/"weights.pth", out/"checkpoints"/"notes.txt", out/"other"/".part-mine.bin", out/"other"/".part-123"/"x.txt"]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("precious")
    train_run(*parts, out, batch=4, crops=8, **SMALL)
    assert all(path.read_text() == "precious" for path in mine)
    (out/"config.json").unlink()
    with pytest.raises(ValueError, match="holds model.safetensors and no config.json that says of which run it is"): train_run(*parts, out, batch=4, crops=8, **SMALL)


def test_what_differs_is_named(catalog, tmp_path):
    parts, out = (catalog.subset(catalog.ids[:4]), catalog.subset(catalog.ids[4:])), tmp_path/"run"
    train_run(*parts, out, batch=4, crops=8, **SMALL)
    with pytest.raises(ValueError, match=r"other settings \(recipe.crops, unet.width\): choose another folder"): train_run(*parts, out, batch=4, crops=12, **SMALL | dict(width=8))
    shutil.move(catalog.folder.parent, tmp_path/"moved")  # the same images in another place are the same run
    moved = [Catalog(c.labels, c.images, c.classes, tmp_path/"moved"/"images") for c in parts]
    assert train_run(*moved, out, batch=4, crops=8, **SMALL).decision == load_model(out).decision
    path = moved[0].path(moved[0].ids[0])
    path.write_bytes(path.read_bytes()+b" ")  # another file under the same name
    with pytest.raises(ValueError, match="images.train.digest"): train_run(*moved, out, batch=4, crops=8, **SMALL)
    (out/"model.safetensors").unlink()
    with pytest.raises((ValueError, OSError)): train_run(*parts, out, batch=4, crops=8, **SMALL)


def test_a_slip_does_not_block_the_folder(catalog, tmp_path):
    parts, out = (catalog.subset(catalog.ids[:4]), catalog.subset(catalog.ids[4:])), tmp_path/"run"
    for wrong, sentence in [(dict(steps=["foo"]), "'foo' is unknown"), (dict(size=(0, 0)), "size of 8 pixels or more"), (dict(batch=0), "take 1 crop or more"),
                            (dict(width=10**8), "width=100000000"), (dict(depth=12), "depth=12")]:
        with pytest.raises(ValueError, match=sentence): train_run(*parts, out, **dict(batch=4, crops=8) | SMALL | wrong)
    train_run(*parts, out, batch=4, crops=8, **SMALL)


def test_a_model_without_its_decision_says_so(catalog, tmp_path):
    train_run(catalog.subset(catalog.ids[:4]), catalog.subset(catalog.ids[4:]), tmp_path/"run", batch=4, crops=8, **SMALL)
    (tmp_path/"run"/"decision.json").unlink()
    with pytest.warns(UserWarning, match="has no decision.json: thresholds of one half are taken"): load_model(tmp_path/"run")
