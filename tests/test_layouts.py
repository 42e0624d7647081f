"Layouts: label maps by number and in colour, class folders, MVTec, COCO folders, and the real sets."
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from steel_defects.catalog import read_severstal, write_labels
from steel_defects.coco import write_coco
from steel_defects.defects import NEU_SEG, SEVERSTAL, class_dicts, classes_from_dicts
from steel_defects.layouts import _layout, read_catalog, read_class_folders, read_label_maps, read_mvtec


def save(path, values):
    "Write an array as an image file."
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values)).save(path)
    return path


def label_maps(top): return arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12), elements=st.integers(0, top))


def grey(shape=(6, 5)): return np.full(shape, 128, np.uint8)


def same(a, b):
    "Whether two catalogs say the same."
    return a.labels.equals(b.labels) and a.images.equals(b.images) and a.classes == b.classes


def complete(shared_data): return (shared_data/"severstal"/"complete_images.txt").read_text().split()


# ---- label maps and masks ----

def test_label_maps_of_any_kind(tmp_path):
    value = np.array([[0, 1, 2], [5, 0, 1]], np.uint8)
    save(tmp_path/"images"/"x.jpg", grey((2, 3)))
    palette = Image.fromarray(value, "L").convert("P")
    palette.putdata(value.ravel().tolist())
    (tmp_path/"annotations").mkdir()
    for image in (Image.fromarray(value), palette, Image.fromarray(value.astype(np.uint16))):
        image.save(tmp_path/"annotations"/"x.png")
        catalog = read_label_maps(tmp_path)
        assert [c.name for c in catalog.classes] == [f"class {n}" for n in range(1, 6)]
        assert all(np.array_equal(catalog.stack("x.jpg")[n-1], value == n) for n in range(1, 6))
    save(tmp_path/"annotations"/"x.png", np.stack([value]*3, -1))
    with pytest.raises(ValueError, match="x.png, row 0, column 1 .*#010101 belongs to no class.*; the maps have #.*or save ClassIds in one"): read_label_maps(tmp_path)
    save(tmp_path/"annotations"/"x.png", np.where(value == 5, 255, value).astype(np.uint8))
    with pytest.raises(ValueError, match=r"values up to 255 \(that of x.jpg\) and unknown classes"): read_label_maps(tmp_path)
    save(tmp_path/"annotations"/"x.png", value*0)
    with pytest.raises(ValueError, match="pass classes"): read_label_maps(tmp_path)
    assert len(read_label_maps(tmp_path, classes=["crack"])) == 1
    (tmp_path/"classes.json").write_text('["crack", "rust"]')
    assert [c.type.name for c in read_catalog(tmp_path).classes] == ["crack", "patch"]
    save(tmp_path/"annotations"/"y.png", value)
    with pytest.raises(ValueError, match="y has a label map and no image"): read_label_maps(tmp_path)
    save(tmp_path/"images"/"y.jpg", grey((2, 3))), save(tmp_path/"images"/"y.png", grey((2, 3)))
    with pytest.raises(ValueError, match="has y.jpg and y.png: keep one"): read_label_maps(tmp_path)


# ---- maps in colour ----

OWN = classes_from_dicts([dict(id=1, name="scale", color="#00b7c3"), dict(id=2, name="roll mark", color="#ff7f0e"), dict(id=3, name="rust")])
PAINT = np.array([(0, 0, 0), *(c.color for c in OWN)], np.uint8)


def colored(folder, values, stem="x", alpha=None):
    "Write an image and its map in the colours of `OWN`."
    save(folder/"images"/f"{stem}.jpg", grey(values.shape))
    return save(folder/"annotations"/f"{stem}.png", PAINT[values] if alpha is None else np.dstack([PAINT[values], alpha]))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(label_maps(3), st.sampled_from([None, 255, 90, 1]))
def test_colors_say_the_same_as_numbers(tmp_path, values, alpha):
    shutil.rmtree(tmp_path), tmp_path.mkdir()
    path = colored(tmp_path, values, alpha=None if alpha is None else np.full(values.shape, alpha, np.uint8))
    painted = read_label_maps(tmp_path, classes=OWN)
    save(path, values)
    assert same(painted, read_label_maps(tmp_path, classes=OWN))
    palette = Image.fromarray(values, "L").convert("P")
    palette.putpalette(PAINT.ravel().tolist())
    palette.putdata(values.ravel().tolist())
    palette.save(path)
    assert same(painted, read_label_maps(tmp_path, classes=OWN))


def test_what_is_transparent_is_background(tmp_path):
    values = np.array([[1, 2, 3], [0, 1, 2]], np.uint8)
    colored(tmp_path, values, alpha=np.array([[255, 0, 255], [255, 0, 9]], np.uint8))
    (tmp_path/"classes.json").write_text(json.dumps({"classes": class_dicts(OWN)}))
    catalog = read_catalog(tmp_path)
    assert catalog.classes == OWN and np.array_equal(catalog.stack("x.jpg").argmax(axis=0)+catalog.stack("x.jpg").any(axis=0), [[1, 0, 3], [0, 0, 2]])


def test_colors_that_tell_nothing(tmp_path):
    values = np.array([[1, 2, 0], [0, 1, 2]], np.uint8)
    path = colored(tmp_path, values)
    colored(tmp_path, values[:1, :1]+2, "y")
    with pytest.raises(ValueError, match=r"the maps have #00b7c3, #ff7f0e, #[0-9a-f]{6}: write classes.json as .*") as e: read_label_maps(tmp_path)
    assert "\n" not in str(e.value) and "x.png, row 0, column 0" in str(e.value)
    with pytest.raises(ValueError, match="none has a color"): read_label_maps(tmp_path, classes=["scale", "roll mark"])
    for colors, fault in [(("#00b7c3", "#000000"), "'2 b' is black"), (("#00b7c3", "#00B7C3"), "classes 1 and 2 both have the colour #00b7c3"),
                          (("#00b7c3", "#ff7f0f"), r"row 0, column 1 .* #ff7f0e belongs to no class \(1 a #00b7c3, 2 b #ff7f0f\)")]:
        own = classes_from_dicts([dict(id=n, name=name, color=color) for n, name, color in zip((1, 2), "ab", colors)])
        with pytest.raises(ValueError, match=fault): read_label_maps(tmp_path, classes=own)
    for name in ("images/y.jpg", "annotations/y.png"): (tmp_path/name).unlink()
    (tmp_path/"classes.json").write_text(json.dumps([dict(id=1, name="scale", color="teal")]))
    with pytest.raises(ValueError, match="six hexadecimal digits"): read_label_maps(tmp_path)
    Image.fromarray(PAINT[values]).convert("CMYK").save(path.with_suffix(".tif"))
    path.unlink()
    with pytest.raises(ValueError, match="mode CMYK"): read_label_maps(tmp_path, classes=OWN)


def test_numbered_and_colored_maps_side_by_side(tmp_path):
    values = np.array([[1, 2, 0], [0, 1, 2]], np.uint8)
    colored(tmp_path, values, "a"), colored(tmp_path, values*0, "b")
    save(tmp_path/"images"/"c.jpg", grey(values.shape)), save(tmp_path/"annotations"/"c.png", values)
    catalog = read_label_maps(tmp_path, classes=OWN)
    assert np.array_equal(catalog.stack("a.jpg"), catalog.stack("c.jpg")) and not catalog.stack("b.jpg").any()


# ---- COCO in a folder ----

def test_coco_folders(tmp_path):
    values = np.array([[1, 2, 0], [0, 1, 2]], np.uint8)
    colored(tmp_path/"maps", values)
    catalog = read_label_maps(tmp_path/"maps", classes=OWN)
    part = "annotations/instances_train2017.json"
    for json_file, images in [("annotations/instances.json", "images"), ("labels.json", "images"), (part, "train2017"), (part, "images/train2017"),
                              ("_annotations.coco.json", "."), ("x.coco.json", "images")]:
        folder = tmp_path/"coco"
        shutil.rmtree(folder, ignore_errors=True)
        save(folder/images/"x.jpg", grey(values.shape))
        write_coco(catalog, folder/json_file)
        (folder/"classes.json").write_text(json.dumps({"classes": class_dicts(OWN)}))
        assert same(read_catalog(folder), catalog) and same(read_catalog(folder/json_file, folder/images), catalog)
    write_coco(catalog, folder/"more.json")
    with pytest.raises(ValueError, match=r"has 2 COCO files \(more.json, x.coco.json\): name one"): read_catalog(folder)
    with pytest.raises(ValueError, match="leave out the image folder"): read_catalog(folder, folder)


def test_json_that_makes_no_coco_folder(tmp_path):
    save(tmp_path/"x.jpg", grey())
    for text in ('{"epochs": 3}', "[]", "", '{"images": [], "annotations": []}'):
        (tmp_path/"config.json").write_text(text)
        assert _layout(tmp_path) == ""
    colored(tmp_path, np.eye(3, dtype=np.uint8))
    (tmp_path/"annotations"/"old.json").write_text('{"images": [], "annotations": [], "categories": []}')
    assert _layout(tmp_path) == "label maps"


def test_truncated_label_map(tmp_path):
    save(tmp_path/"images"/"x.jpg", grey((40, 40)))
    path = save(tmp_path/"annotations"/"x.png", np.random.default_rng(0).integers(0, 3, (40, 40), np.uint8))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="x.png cannot be read as an image"): read_label_maps(tmp_path)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(maps=st.lists(label_maps(4), min_size=1, max_size=4))
def test_label_maps_to_table_and_back(tmp_path, maps):
    shutil.rmtree(tmp_path), tmp_path.mkdir()
    for n, values in enumerate(maps): save(tmp_path/"images"/f"{n}.png", grey(values.shape)), save(tmp_path/"annotations"/f"{n}.png", values)
    catalog = read_label_maps(tmp_path, classes=SEVERSTAL)
    again = read_severstal(write_labels(catalog, tmp_path/"labels.csv"), tmp_path/"images")
    assert same(catalog, again)
    for n, values in enumerate(maps):
        assert np.array_equal(again.stack(f"{n}.png"), values == np.arange(1, 5)[:, None, None])


def test_masks_beside_images(tmp_path):
    mask = np.eye(6, 5, dtype=np.uint8)
    for kind, values in [("crack", mask), ("rust", mask*255), ("good", None), ("dull", mask*0)]:
        save(tmp_path/kind/"1.jpg", grey())
        if values is not None: save(tmp_path/kind/"1.png", values)
    catalog = read_class_folders(tmp_path)
    assert [c.name for c in catalog.classes] == ["crack", "rust"] and len(catalog) == 4
    assert np.array_equal(catalog.stack("rust/1.jpg")[1], mask > 0)
    assert read_class_folders(tmp_path, classes=["rust", "dust", "crack"]).labels.ClassId.tolist() == [3, 1]
    with pytest.raises(ValueError, match="folder 'crack' and the classes are rust"): read_class_folders(tmp_path, classes=["rust"])
    for kind, name, values, fault in [("crack", "1.png", mask*90, "values up to 90"), ("crack", "1.png", grey((5, 5)), "a mask must have the size"),
                                      ("crack", "2.jpg", grey(), "crack/2.jpg has no partner"), ("good", "3.png", mask*255, "good/3.png has no partner"),
                                      (".", "4.jpg", grey(), "4.jpg lies in no class folder"), ("crack", "1.bmp", grey(), "keep one image and one PNG mask")]:
        kept = (tmp_path/kind/name).read_bytes() if (tmp_path/kind/name).exists() else None
        path = save(tmp_path/kind/name, values)
        with pytest.raises(ValueError, match=fault): read_class_folders(tmp_path)
        path.write_bytes(kept) if kept else path.unlink()
    shutil.rmtree(tmp_path/"crack"), shutil.rmtree(tmp_path/"rust")
    with pytest.raises(ValueError, match="no mask with a defect"): read_class_folders(tmp_path)
    assert len(read_class_folders(tmp_path, classes=["crack"])) == 2


def test_mvtec_that_is_incomplete(tmp_path):
    for i in ("train/good/0.png", "test/good/0.png", "test/bent/0.png"): save(tmp_path/i, grey())
    with pytest.raises(ValueError, match="bent/0.png has no mask ground_truth/bent/0_mask.png"): read_mvtec(tmp_path)
    save(tmp_path/"ground_truth"/"bent"/"0_mask.png", np.eye(6, 5, dtype=np.uint8)*255)
    assert read_catalog(tmp_path).presence().sum().tolist() == [1]
    assert read_catalog(tmp_path, image_ids=["test/good/0.png"]).ids == ["test/good/0.png"]
    assert same(read_severstal(write_labels(read_mvtec(tmp_path), tmp_path/"l.csv"), tmp_path), read_mvtec(tmp_path))
    with pytest.raises(ValueError, match="leave out the image folder"): read_catalog(tmp_path, tmp_path)
    save(tmp_path/"ground_truth"/"bent"/"1_mask.png", grey())
    with pytest.raises(ValueError, match="1_mask.png is the mask of no image"): read_mvtec(tmp_path)
    save(tmp_path/"train"/"bent"/"0.png", grey())
    with pytest.raises(ValueError, match="train/bent/0.png has no place"): read_mvtec(tmp_path)
    with pytest.raises(ValueError, match="not laid out as MVTec"): read_mvtec(tmp_path/"train")


# ---- the real sets ----

def test_severstal_with_images(shared_data, tmp_path):
    folder = shared_data/"severstal"
    with pytest.raises(ValueError, match="is not in .*present_only=True"): read_catalog(folder)
    whole = read_catalog(folder, present_only=True)
    assert len(whole) == 42 and set(whole.images.height) == {256} and set(whole.images.width) == {1600}
    catalog = read_catalog(folder, image_ids=complete(shared_data), present_only=True)
    assert len(catalog) == 40 and catalog.image(catalog.ids[0]).shape == (256, 1600)
    again = read_severstal(write_labels(catalog, tmp_path/"labels.csv"), folder/"train_images")
    assert same(catalog, again)


def test_neu_seg(shared_data, tmp_path):
    catalog = read_catalog(shared_data/"neu_seg")
    assert len(catalog) == 3555 and catalog.classes == NEU_SEG and catalog.presence().any(axis=1).all()
    i = catalog.ids[-1]
    values = np.asarray(Image.open(shared_data/"neu_seg"/"annotations"/Path(i).with_suffix(".png")))
    assert i.startswith("training/") and np.array_equal(catalog.stack(i), values == np.arange(1, 4)[:, None, None])
    assert same(catalog, read_severstal(write_labels(catalog, tmp_path/"labels.csv"), shared_data/"neu_seg"/"images"))


def test_magnetic_tile(shared_data, tmp_path):
    catalog = read_catalog(shared_data/"magnetic_tile")
    found = catalog.presence()
    assert len(catalog) == len(list((shared_data/"magnetic_tile").rglob("*.jpg"))) and (~found.any(axis=1)).sum() == 437
    assert [c.name for c in catalog.classes] == ["MT_Blowhole", "MT_Break", "MT_Crack", "MT_Fray", "MT_Uneven"]
    for c in catalog.classes: assert all(i.startswith(c.name+"/") == found.loc[i, c.id] for i in catalog.ids)
    assert same(catalog, read_severstal(write_labels(catalog, tmp_path/"labels.csv"), shared_data/"magnetic_tile"))


def test_mvtec_layout_of_real_tiles(shared_data, tmp_path):
    tiles, root = shared_data/"magnetic_tile", tmp_path/"tile"
    for n, path in enumerate(sorted((tiles/"MT_Free").glob("*.jpg"))[:20]):
        save(root/("train" if n < 12 else "test")/"good"/f"{n:03d}.png", Image.open(path))
    for kind in ("MT_Crack", "MT_Fray"):
        for n, path in enumerate(sorted((tiles/kind).glob("*.jpg"))):
            save(root/"test"/kind/f"{n:03d}.png", Image.open(path))
            (root/"ground_truth"/kind).mkdir(parents=True, exist_ok=True)
            shutil.copy(path.with_suffix(".png"), root/"ground_truth"/kind/f"{n:03d}_mask.png")
    catalog, beside = read_catalog(root), read_class_folders(tiles)
    assert catalog.presence().sum().tolist() == [len(list((tiles/kind).glob("*.jpg"))) for kind in ("MT_Crack", "MT_Fray")]
    assert catalog.labels.EncodedPixels.tolist() == [t for c in (3, 4) for t in beside.labels.EncodedPixels[beside.labels.ClassId == c]]
    assert same(catalog, read_severstal(write_labels(catalog, tmp_path/"labels.csv"), root))
    with pytest.raises(ValueError, match="holds the categories tile"): read_catalog(tmp_path)
