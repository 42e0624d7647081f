"Catalog: tables that went wrong, random round trips, the real table."
import json
import subprocess
import sys
import types

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image
from skimage.measure import label

from steel_defects.catalog import (Catalog, balance, co_occurrence, download_severstal, read_severstal, region_areas, write_labels,
                                   write_submission)
from steel_defects.defects import SEVERSTAL, classes_from_names
from steel_defects.rle import rle_encode
from test_bad_input import sentence

HEAD = "ImageId,ClassId,EncodedPixels\n"
masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=16))


def save(path, values):
    "Write an array as an image file."
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values)).save(path)
    return path


def grey(shape=(6, 5)): return np.full(shape, 128, np.uint8)


@pytest.fixture
def strips(tmp_path):
    "Three small strips, a.jpg to c.jpg, in train_images/."
    for name in "abc": save(tmp_path/"train_images"/f"{name}.jpg", grey())
    return tmp_path


def table(folder, text, name="train.csv", encoding="utf-8"):
    (folder/name).write_bytes(text.encode(encoding))
    return folder/name


def read(folder, text, **kwargs): return read_severstal(table(folder, HEAD+text), folder/"train_images", **kwargs)


def same(a, b):
    "Whether two catalogs say the same."
    return a.labels.equals(b.labels) and a.images.equals(b.images) and a.classes == b.classes


# ---- the table of Severstal ----

@pytest.mark.parametrize("text", ["\ufeff"+HEAD+"a.jpg,1,4 3\n", (HEAD+"a.jpg,1,4 3\n").replace("\n", "\r\n"), (HEAD+"a.jpg,1,4 3\n").replace(",", ";"),
                                  HEAD+"\na.jpg,1,4 3\n\n\n", HEAD+"a.jpg,1,4 3", HEAD+'"a.jpg","1","4 3"\n', HEAD+"a.jpg,1.0, 4 3 \n",
                                  "ClassId,EncodedPixels, ImageId,note\n1,4 3,a.jpg,x\n", HEAD+"a.jpg,1,4 3\na.jpg,2,\nb.jpg,2,nan\nc.jpg,,\n",
                                  "ImageId_ClassId,EncodedPixels\na.jpg_1,4 3\na.jpg_2,\n"])
def test_spellings_of_one_table(strips, text):
    catalog = read_severstal(table(strips, text), strips/"train_images")
    assert catalog.ids == ["a.jpg", "b.jpg", "c.jpg"] and catalog.classes == SEVERSTAL
    assert catalog.labels.values.tolist() == [["a.jpg", 1, "4 3"]]


@pytest.mark.parametrize("rows, fault", [
    ("a.jpg,1,4 3\nb.jpg,2,4\n", "line 3: image b.jpg, class 2: .*come in pairs"),
    ("a.jpg,1,4 x\n", "line 2: .*not a whole number"), ("a.jpg,1,0 3\n", "counted from 1"), ("a.jpg,1,-4 3\n", "counted from 1"),
    ("a.jpg,1,4 0\n", "at least one pixel"), ("a.jpg,1,4 3 5 2\n", "overlaps"), ("a.jpg,1,9 2 4 3\n", "ascend"),
    ("a.jpg,1,30 2\n", "ends at pixel 31 of 30"), ("a.jpg,1,4 99999999999999999999\n", "64 bits"),
    ("a.jpg,1,x\n\nb.jpg,1,y\nc.jpg,1,z\n", r"line 2: .*\(2 more such lines\)"), ("a.jpg,1,4 3\n\n\nb.jpg,1,y\n", "line 5: image b.jpg"),
    ("a.jpg,1,4 3\na.jpg,2,4 3\na.jpg,1,9 3\n", "line 4: image a.jpg, class 1 stands already in line 2"),
    ("a.jpg,5,4 3\n", "ClassIds up to 5: pass classes"), ("a.jpg,0,4 3\n", "ClassId '0'"), ("a.jpg,-1,4 3\n", "ClassId '-1'"),
    ("a.jpg,1.5,4 3\n", "ClassId '1.5'"), ("a.jpg,,4 3\n", "ClassId ''"), ("a.jpg,inf,4 3\n", "ClassId 'inf'"), ("a.jpg,crack,4 3\n", "line 2: ClassId 'crack'"),
    ("a.jpg,1,4 3\nb.jpg\n", "line 3: 1 values under 3"), ("a.jpg,1,4 3,\n", "line 2: 4 values under 3"), (",1,4 3\n", "line 2: ImageId '' is empty"),
    ("/etc/a.jpg,1,4 3\n", "is absolute"), ("C:/a.jpg,1,4 3\n", "is absolute"), ("../a.jpg,1,4 3\n", "climbs out"), ("x/../../a.jpg,1,\n", "climbs out"),
    ("..\\a.jpg,1,4 3\n", "climbs out"), ("x\\a.jpg,1,4 3\n", "backslash"), ("d.jpg,1,4 3\n", "line 2: image d.jpg is not in .*present_only=True"),
])
def test_faulty_rows_are_named(strips, rows, fault):
    with pytest.raises(ValueError, match=fault) as e: read(strips, rows)
    sentence(e, strips/"train.csv")


@pytest.mark.parametrize("text, fault", [("", "is empty"), ("\n\n", "is empty"), ("Image,Class,Pixels\na,1,2\n", "no column 'ImageId' but 'Image, Class, Pixels'"),
                                         ("ImageId,ClassId\na.jpg,1\n", "no column 'EncodedPixels'"),
                                         ("ImageId_ClassId,EncodedPixels\na.jpg,1 2\n", "names no class"),
                                         ("ImageId_ClassId,EncodedPixels\na.jpg_x,1 2\n", "ClassId 'x' of a.jpg")])
def test_tables_that_are_none(strips, text, fault):
    with pytest.raises(ValueError, match=fault) as e: read_severstal(table(strips, text), strips/"train_images")
    sentence(e, strips/"train.csv")


def test_files_that_are_no_tables(strips):
    with pytest.raises(FileNotFoundError, match="no label table"): read_severstal(strips/"gone.csv")
    with pytest.raises(ValueError, match="not a CSV in UTF-8"): read_severstal(table(strips, HEAD+"ä.jpg,1,\n", encoding="utf-16"), strips/"train_images")
    with pytest.raises(FileNotFoundError, match="no image folder"): read_severstal(table(strips, HEAD), strips/"gone")
    with pytest.raises(ValueError, match="leaves no image"): read_severstal(table(strips, HEAD))
    (strips/"train_images"/"b.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match="b.jpg cannot be read as an image"): read(strips, "a.jpg,1,4 3\n")


def test_no_defect_at_all(strips):
    for rows in ("", "a.jpg,1,\n", "a.jpg,,\n"):
        catalog = read(strips, rows)
        assert len(catalog) == 3 and catalog.labels.empty and not catalog.presence().to_numpy().any()
        assert catalog.stack("a.jpg").shape == (4, 6, 5) and not catalog.stack("a.jpg").any()
        assert balance(catalog).images.tolist() == [0, 0, 0, 0, 3]
        assert not co_occurrence(catalog).to_numpy().any()
        assert same(read_severstal(write_labels(catalog, strips/"again.csv"), strips/"train_images"), catalog)
        assert len(catalog.subset([])) == 0


def test_which_images(strips):
    rows = "a.jpg,1,4 3\nd.jpg,1,4 3\n"
    assert read(strips, rows, present_only=True).ids == ["a.jpg", "b.jpg", "c.jpg"]
    assert read(strips, rows, image_ids=["c.jpg", "a.jpg"]).ids == ["c.jpg", "a.jpg"]
    assert read(strips, rows, image_ids=["d.jpg", "a.jpg"], present_only=True).ids == ["a.jpg"]
    with pytest.raises(ValueError, match="1 of image_ids are not in .*'d.jpg'"): read(strips, rows, image_ids=["d.jpg", "a.jpg"])
    with pytest.raises(ValueError, match="a.jpg is listed twice"): read(strips, rows, image_ids=["a.jpg", "a.jpg"])
    with pytest.raises(ValueError, match="leaves no image"): read(strips, rows, image_ids=["d.jpg"], present_only=True)
    alone = read_severstal(strips/"train.csv", shape=(6, 5), image_ids=["d.jpg", "e.jpg"])
    assert alone.ids == ["d.jpg", "e.jpg"] and alone.text("d.jpg", 1) == "4 3" and alone.text("e.jpg", 1) == ""
    with pytest.raises(ValueError, match="name the image folder"): read_severstal(strips/"train.csv", present_only=True)


def test_a_full_grid_names_its_images(strips):
    grid = "".join(f"{i}.jpg,{c},{'4 3' if c == 1 else ''}\n" for i in "ab" for c in (1, 2, 3, 4))
    assert read(strips, grid).ids == ["a.jpg", "b.jpg"]
    assert read(strips, grid+"c.jpg,1,\n").ids == ["a.jpg", "b.jpg", "c.jpg"]


def test_classes_of_a_table(strips):
    rows = "a.jpg,1,4 3\nb.jpg,6,4 3\n"
    names = [f"kind {n}" for n in range(6)]
    assert [c.name for c in read(strips, rows, classes=names).classes] == names
    for content in (names, {"classes": names}, {"classes": [dict(id=n+1, name=name) for n, name in enumerate(names)]}):
        (strips/"train.json").write_text(json.dumps(content))
        assert read(strips, rows).classes == classes_from_names(names)
    with pytest.raises(ValueError, match=r"line 3: ClassId 6 of b.jpg: the classes are 1..2"): read(strips, rows, classes=["x", "y"])
    for content in ({}, [], 3, {"classes": [{"id": 1}]}, {"scores": 1}):
        (strips/"train.json").write_text(json.dumps(content))
        with pytest.raises(ValueError, match="holds no classes"): read(strips, rows)
        assert len(read(strips, rows, classes=names).classes) == 6
        with pytest.raises(ValueError, match="choose another name"): write_labels(read(strips, rows, classes=names), strips/"train.csv")


def test_catalog_refuses_contradictions():
    labels, images = pd.DataFrame([("a", 1, "4 3")], columns=["ImageId", "ClassId", "EncodedPixels"]), pd.DataFrame(dict(ImageId=["a"], height=[6], width=[5]))
    Catalog(labels, images, SEVERSTAL)
    for bad, fault in [((labels.drop(columns="ClassId"), images, SEVERSTAL), "labels have no column 'ClassId'"), ((labels, images, ()), "number them from 1"),
                       ((labels, images, SEVERSTAL[1:]), "number them from 1"), ((labels.assign(EncodedPixels=""), images, SEVERSTAL), "without a pixel"),
                       ((pd.concat([labels, labels]), images, SEVERSTAL), "second time"), ((labels, pd.concat([images, images]), SEVERSTAL), "listed twice")]:
        with pytest.raises(ValueError, match=fault): Catalog(*bad)


def test_image_that_changed_its_size(strips):
    catalog = read(strips, "a.jpg,1,4 3\n")
    assert catalog.image("a.jpg").shape == (6, 5) and catalog.path("a.jpg") == strips/"train_images"/"a.jpg"
    save(strips/"train_images"/"a.jpg", grey((7, 5)))
    with pytest.raises(ValueError, match="read the catalog anew"): catalog.image("a.jpg")
    with pytest.raises(ValueError, match="no image '../a.jpg'"): catalog.path("../a.jpg")
    with pytest.raises(ValueError, match="ClassId 5 is not one of 1..4"): catalog.text("a.jpg", 5)


# ---- counting and writing ----

@given(masks)
@settings(max_examples=300)
def test_regions_agree_with_labelling(mask):
    areas = region_areas(rle_encode(mask), mask.shape[0])
    assert sorted(areas) == sorted(np.bincount(label(mask, connectivity=2).ravel())[1:])
    single = " ".join(f"{p} 1" for p in np.flatnonzero(mask.ravel(order="F"))+1)
    assert sorted(region_areas(single, mask.shape[0])) == sorted(areas)


rows_of = st.dictionaries(st.tuples(st.sampled_from(["a.jpg", "NA", "line 2/ä,b.png", 'x"y.jpg']), st.integers(1, 4)), masks.map(rle_encode), min_size=1)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows_of)
def test_submission_round_trip(tmp_path, found):
    rows = pd.DataFrame([(*key, text) for key, text in found.items()], columns=["ImageId", "ClassId", "EncodedPixels"])
    path = write_submission(rows, tmp_path/"found.csv")
    assert pd.read_csv(path, keep_default_na=False).equals(rows)
    again = read_severstal(path, shape=(16, 16)).labels
    assert {(i, c): t for i, c, t in again.itertuples(index=False)} == {key: text for key, text in found.items() if text}


def test_submission_takes_missing_text_and_refuses_faults(tmp_path):
    rows = pd.DataFrame(dict(ImageId=["a", "b"], ClassId=[1, 2], EncodedPixels=["1 2", None]), index=[7, 7])
    assert write_submission(rows, tmp_path/"s.csv").read_bytes() == b"ImageId,ClassId,EncodedPixels\na,1,1 2\nb,2,\n"
    for bad, fault in [(rows.drop(columns="ClassId"), "no column 'ClassId'"), (rows.assign(EncodedPixels="2"), "row 0"), (rows.assign(ImageId="../a"), "climbs")]:
        with pytest.raises(ValueError, match=fault): write_submission(bad, tmp_path/"s.csv")
    assert (tmp_path/"s.csv").read_bytes().endswith(b"b,2,\n") and len(list(tmp_path.iterdir())) == 1


def test_download(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(ImportError, match=r'pip install "steel_defects\[kaggle\]"'): download_severstal(tmp_path)
    asked = []
    fake = types.SimpleNamespace(competition_download=lambda name, output_dir: asked.append((name, output_dir)) or output_dir)
    monkeypatch.setitem(sys.modules, "kagglehub", fake)
    assert download_severstal(tmp_path) == tmp_path and asked == [("severstal-steel-defect-detection", str(tmp_path))]
    (tmp_path/"train_images").mkdir(), (tmp_path/"train.csv").touch()
    assert download_severstal(tmp_path) == tmp_path and len(asked) == 1


# ---- the real sets ----

def complete(shared_data): return (shared_data/"severstal"/"complete_images.txt").read_text().split()


def test_both_layouts_of_severstal(shared_data):
    old = read_severstal(shared_data/"severstal"/"train_old_layout.csv")
    new = read_severstal(shared_data/"severstal"/"train.csv", image_ids=old.ids)
    assert len(old) == 150 and same(old, new)


def test_presence_of_severstal(shared_data):
    known = pd.read_csv(shared_data/"severstal"/"image_labels.csv", index_col="ImageId").astype(bool)
    assert len(known) == 12568 and known.sum().tolist() == [897, 247, 5150, 801]
    ids = complete(shared_data)
    found = read_severstal(shared_data/"severstal"/"train.csv", image_ids=ids).presence()
    assert len(ids) == 10964 and np.array_equal(found.to_numpy(), known.loc[ids].to_numpy())


READ = """
import sys, time
from pathlib import Path
from steel_defects.catalog import balance, read_severstal
def peak(): return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])/1024
folder = Path(sys.argv[1])
ids, before, start = (folder/"ids.txt").read_text().split(), peak(), time.perf_counter()
catalog = read_severstal(folder/"train.csv", image_ids=ids)
seconds, after = time.perf_counter()-start, peak()
assert (len(catalog), len(catalog.labels)) == (12568, 7095)
start = time.perf_counter()
assert balance(catalog).images.sum() >= 12568
print(f"read in {seconds:.1f} s, balance in {time.perf_counter()-start:.1f} s; peak {after:.0f} MiB, {before:.0f} of them imports")
assert after < 500, f"{after:.0f} MiB"
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc, which is Linux")
def test_12568_strips_in_little_memory(shared_data, tmp_path):
    real = pd.read_csv(shared_data/"severstal"/"train.csv")
    more = real.iloc[:7095-len(real)].assign(ImageId=lambda t: "x"+t.ImageId)
    pd.concat([real, more]).to_csv(tmp_path/"train.csv", index=False)
    ids = [*real.ImageId.unique(), *more.ImageId.unique()]
    (tmp_path/"ids.txt").write_text("\n".join(ids+[f"y{n}.jpg" for n in range(12568-len(ids))]))
    run = subprocess.run([sys.executable, "-c", READ, str(tmp_path)], capture_output=True, text=True)
    print(run.stdout)
    assert run.returncode == 0, run.stderr
