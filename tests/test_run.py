"A run from catalogs: what little or odd data does, and what is refused."
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
    with pytest.raises(ValueError, match="hold back 2 or more"): train_run(catalog.subset(catalog.ids[:7]), catalog.subset(catalog.ids[7:]), tmp_path/"run", batch=4, crops=4, **SMALL)


def test_an_image_that_is_broken_is_named(catalog, tmp_path):
    (catalog.folder/"02.png").write_bytes((catalog.folder/"02.png").read_bytes()[:200])
    with pytest.raises(ValueError, match="02.png cannot be read as an image"): train_run(catalog.subset(catalog.ids[:4]), catalog.subset(catalog.ids[4:]), tmp_path/"run", batch=4, crops=32, **SMALL)
