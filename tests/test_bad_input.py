"""Bad input: each fault is made here and answered with one sentence that has the file, the place in it and a remedy.

What is not here stands where its module is tested: run-length text in test_rle, files in test_files, images in test_images, label tables in
test_catalog, the layouts of folders in test_layouts.
"""
import gzip
import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from PIL import Image

from steel_defects.catalog import read_severstal, write_labels, write_submission
from steel_defects.decision import Decision, read_decision, write_decision
from steel_defects.defects import SEVERSTAL
from steel_defects.evaluate import score_catalog
from steel_defects.layouts import read_label_maps
from steel_defects.rle import rle_decode

HEAD = "ImageId,ClassId,EncodedPixels\n"
def often(n): return settings(max_examples=n, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def sentence(error, *names):
    "Check the form of an error: one line, with these names in it, and a remedy of several words after the last colon."
    text = str(error.value if hasattr(error, "value") else error)
    assert text.splitlines() == [text], f"not one line: {text!r}"
    assert "Errno" not in text and "Traceback" not in text, text
    for name in names: assert str(name) in text, f"{name} is not named: {text}"
    assert len(text.rpartition(": ")[2].split()) >= 2 and ": " in text, f"no remedy: {text}"
    return text


def refused(call, *names, kind=ValueError):
    "Check that a call raises an error of the right form."
    with pytest.raises(kind) as e: call()
    return sentence(e, *names)


@st.composite
def harmed(draw, data):
    "Bytes with one to three places cut out, doubled, overwritten or torn off."
    for _ in range(draw(st.integers(1, 3))):
        at, length = draw(st.integers(0, len(data))), draw(st.integers(0, 12))
        kind = draw(st.sampled_from(["cut", "double", "write", "put", "tear"]))
        new = draw(st.binary(max_size=4) | st.sampled_from([b",", b"\n", b"\r\n", b'"', b";", b"0", b" ", b"-", b"\x00", b"\xef\xbb\xbf", "٣".encode()]))
        data = {"cut": data[:at]+data[at+length:], "double": data[:at+length]+data[at:], "write": data[:at]+new+data[at+len(new):],
                "put": data[:at]+new+data[at:], "tear": data[:at]}[kind]
    return data


# ---- label tables ----

def table(folder, content):
    (folder/"train.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder/"train.csv"


VALID = (HEAD+"a.jpg,1,4 3 10 6\na.jpg,3,18 3\nline 2/b.jpg,2,1 30\nc.jpg,4,\n").encode()


def rows_by_pandas(content):
    "The rows of a table, read by pandas: the numbers of each image and class, and the images."
    head = content.decode("utf-8-sig").split("\n")[0].split("\r")[0]
    t = pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False, encoding="utf-8-sig", sep=";" if ";" in head and "," not in head else ",")
    t = t.rename(columns=str.strip)[["ImageId", "ClassId", "EncodedPixels"]]
    t = t[(t != "").any(axis=1)]
    found = {(i, int(float(c))): list(map(int, x.split())) for i, c, x in t.itertuples(index=False) if x.strip().lower() not in ("", "nan")}
    return found, set(t.ImageId), len(t)


@often(400)
@given(harmed(VALID))
def test_a_harmed_table_is_read_rightly_or_refused(tmp_path, content):
    path = table(tmp_path, content)
    try: catalog = read_severstal(path, shape=(6, 5))
    except ValueError as e: sentence(e, path)
    else:
        found, ids, _ = rows_by_pandas(content)
        assert {(i, c): list(map(int, x.split())) for i, c, x in catalog.labels.itertuples(index=False)} == found and set(catalog.ids) == ids


@pytest.mark.parametrize("content, words", [
    (HEAD.encode("utf-16"), "is not a CSV in UTF-8"), ((HEAD+"a.jpg,1,4 3\n").encode("utf-16-le"), "is not a CSV in UTF-8"),
    (HEAD.encode()+"ä.jpg,1,4 3".encode("latin-1"), "is not a CSV in UTF-8"), (gzip.compress(VALID, mtime=0), "is not a CSV in UTF-8"), (b"", "is empty"),
    (b"\xef\xbb\xbf", "is empty"), (b"\n\n", "is empty"), (b"\x00"*40, "is not a CSV in UTF-8"),
    ("ImageId\tClassId\tEncodedPixels\na.jpg\t1\t4 3\n", "no column 'ImageId' but"),
    ("ImageId,ClassId,EncodedPixels,ClassId\na.jpg,1,4 3,2\n", "a column name twice"),
    ("ImageId,EncodedPixels\na.jpg,4 3\n", "no column 'ClassId'"), ("a.jpg,1,4 3\n", "no column 'ImageId'"),
    (HEAD+'a.jpg,1,4 3\nb.jpg,1,"4 3\n', "line 3: the quotes do not match"), (HEAD+'"a.jpg"x,1,4 3\n', "line 2: the quotes do not match"),
    (HEAD+"a.jpg,1\x00,4 3\n", "line 2: ClassId"),
    (HEAD+"a\x00.jpg,1,4 3\n", "line 2: ImageId 'a\\x00.jpg' has a line break, a control character"),
    (HEAD+"a.jpg,1,4\x003\n", "line 2: image a.jpg, class 1"), (HEAD+'"a\nb.jpg",1,4 3\n', "line 3: ImageId 'a\\nb.jpg' has a line break"),
    (HEAD+"a.jpg,1e300,4 3\n", "line 2: ClassId '1e300'"), (HEAD+"a.jpg,99999999999999999999,4 3\n", "line 2: ClassId '99999999999999999999'"),
    (HEAD+"a.jpg,999999999,4 3\n", "ClassIds up to 999999999"), (HEAD+"a.jpg,٣,4 3\n", "line 2: ClassId '٣'"),
    (HEAD+"a.jpg,0x1,4 3\n", "line 2: ClassId '0x1'"), (HEAD+"a.jpg,1_0,4 3\n", "ClassId '1_0'"),
    (HEAD+"a.jpg,1.0000000000000001,4 3\n", "ClassId '1.0"), (HEAD+"a.jpg,True,4 3\n", "ClassId 'True'"),
    (HEAD+"a.jpg,1,-1\n", "line 2: image a.jpg, class 1"), (HEAD+"a.jpg,1,None\n", "not a whole number"),
    (HEAD+"a.jpg,1,4 3\na.jpg,1,4 3\n", "line 3: image a.jpg, class 1 stands already in line 2"),
    (HEAD+"a.jpg,1,\na.jpg,1,4 3\n", "line 3: image a.jpg, class 1 stands already"),
    (HEAD+"a.jpg ,1,4 3\n", "line 2: ImageId 'a.jpg ' begins or ends with a space"),
    (HEAD+"./a.jpg,1,4 3\n", "line 2: ImageId './a.jpg' is another spelling of 'a.jpg'"),
    (HEAD+"x//a.jpg,1,4 3\n", "another spelling of 'x/a.jpg'"), (HEAD+".,1,4 3\n", "ImageId '.'"),
    (HEAD+"../../x,1,4 3\n", "line 2: ImageId '../../x' climbs out"), (HEAD+"C:x,1,4 3\n", "is absolute"),
    (HEAD+"//host/x.jpg,1,4 3\n", "is absolute"), (HEAD+"a.jpg,1,4 3,,\n", "line 2: 5 values under 3"), (HEAD+"a.jpg,1,"+"1 "*30+"\n", "line 2"),
    (HEAD+"a.jpg;1;4 3\n", "line 2: 1 values under 3")
])
def test_tables_that_are_refused(tmp_path, content, words):
    path = table(tmp_path, content)
    refused(lambda: read_severstal(path, shape=(6, 5)), path, words)


def test_a_folder_and_a_spreadsheet_are_no_tables(tmp_path):
    refused(lambda: read_severstal(tmp_path), tmp_path, kind=FileNotFoundError)
    with zipfile.ZipFile(tmp_path/"labels.xlsx", "w") as z: z.writestr("xl/workbook.xml", "<workbook>"*100)
    refused(lambda: read_severstal(tmp_path/"labels.xlsx"), "labels.xlsx")


def test_long_texts_and_many_runs(tmp_path):
    text = " ".join(f"{n} 1" for n in range(1, 2*10**6, 2))
    assert len(text) > 2**22 and rle_decode(text, (1000, 2000)).sum() == 10**6
    catalog = read_severstal(table(tmp_path, f"{HEAD}a.jpg,1,{text}\n"), shape=(1000, 2000))
    assert catalog.text("a.jpg", 1) == text
    assert len(refused(lambda: read_severstal(table(tmp_path, f"{HEAD}a.jpg,1,{text} 7\n"), shape=(1000, 2000)), "line 2")) < 500


def test_names_with_everything_that_a_table_could_trip_over(tmp_path):
    names = ["a b.jpg", "a,b.png", 'a"b".jpg', "a;b.jpg", "'a'.jpg", "Blech ä ß 鋼 😀.JPG",
             "NA.jpg", "1.0.jpg", "#1.jpg", "=1+1.jpg", "line 2/x.TIF", "nan.png", "a_1.jpg"]
    for name in names:
        (tmp_path/"images"/name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((6, 5), 90, np.uint8)).save(tmp_path/"images"/name)
    content = pd.DataFrame(dict(ImageId=names, ClassId=1, EncodedPixels="4 3")).to_csv(index=False)
    catalog = read_severstal(table(tmp_path, content), tmp_path/"images")
    assert sorted(names) == catalog.ids and len(catalog.labels) == len(names)
    again = read_severstal(write_labels(catalog, tmp_path/"labels.csv"), tmp_path/"images")
    assert again.labels.equals(catalog.labels) and again.images.equals(catalog.images)
    assert all(catalog.image(i).shape == (6, 5) for i in names)


@pytest.mark.parametrize("content", [
    "", "[]", "3", '{"classes": [{"id": 1}]}', '{"classes": [{"id": 2, "name": "x"}]}', '{"classes": [{"id": 1, "name": "x", "type": "rust"}]}',
    '{"classes": [{"id": 1, "name": "x", "pattern": "tartan"}]}', '{"classes": [{"id": 1, "name": "x", "tint": "dark"}]}',
    '{"classes": [{"id": true, "name": "x"}, {"id": 1, "name": "y"}]}', '{"classes": ["x", "x"]}', '{"classes": [""]}', '["x", 1]'])
def test_class_files_that_are_refused(tmp_path, content):
    table(tmp_path, VALID)
    (tmp_path/"train.json").write_text(content)
    refused(lambda: read_severstal(tmp_path/"train.csv", shape=(6, 5)), tmp_path/"train.json")


@pytest.mark.parametrize("column, value, words", [
    ("ClassId", 1.5, "ClassId 1.5"), ("ClassId", 0, "ClassId 0"), ("ClassId", "1", "ClassId '1'"), ("ClassId", np.nan, "ClassId nan"),
    ("EncodedPixels", 3.5, "must be a string, not float"), ("EncodedPixels", "4 0", "at least one pixel"), ("ImageId", "../../x", "climbs out"),
    ("ImageId", np.nan, "is empty"), ("ImageId", "a\nb", "has a line break")])
def test_submissions_that_are_refused_leave_no_file(tmp_path, column, value, words):
    rows = pd.DataFrame(dict(ImageId=["a.jpg", "b.jpg"], ClassId=[1, 2], EncodedPixels=["4 3", ""])).astype(object)
    rows.loc[1, column] = value
    refused(lambda: write_submission(rows, tmp_path/"found.csv"), "row 1", words, tmp_path/"found.csv")
    assert not list(tmp_path.iterdir())


def test_a_table_that_cannot_be_written_keeps_its_classes(tmp_path, monkeypatch):
    catalog = read_severstal(table(tmp_path, VALID), shape=(6, 5))
    write_labels(catalog, tmp_path/"labels.csv")
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    def full(*args, **kwargs): raise OSError(28, "No space left on device")
    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    renamed = replace(catalog, classes=tuple(replace(c, name=f"kind {c.id}") for c in SEVERSTAL))
    text = refused(lambda: write_labels(renamed, tmp_path/"labels.csv"), tmp_path/"labels.csv", "free some space", kind=OSError)
    assert text.count("cannot be written") == 1
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


# ---- label maps ----

@pytest.fixture
def maps(tmp_path):
    "One image with a label map of four values."
    values = np.kron(np.random.default_rng(0).integers(0, 4, (6, 6), np.uint8), np.ones((4, 4), np.uint8))
    for name in ("images", "annotations"): (tmp_path/name).mkdir()
    Image.fromarray(values).save(tmp_path/"images"/"x.png")
    Image.fromarray(values).save(tmp_path/"annotations"/"x.png")
    return tmp_path, values


@often(200)
@given(st.data())
def test_a_harmed_label_map_is_read_rightly_or_refused(maps, data):
    folder, values = maps
    whole = io.BytesIO()
    Image.fromarray(values).save(whole, "PNG")
    (folder/"annotations"/"x.png").write_bytes(data.draw(harmed(whole.getvalue())))
    try: catalog = read_label_maps(folder, classes=SEVERSTAL)
    except ValueError as e: sentence(e, folder/"annotations"/"x.png")
    else: assert np.array_equal(catalog.stack("x.png"), values == np.arange(1, 5)[:, None, None])


@often(60)
@given(st.sampled_from(["uint8", "uint16", "bool"]), st.integers(0, 6), st.integers(0, 2**32-1))
def test_label_maps_of_any_number_type_are_read_or_refused(maps, kind, top, seed):
    folder, _ = maps
    values = np.random.default_rng(seed).integers(0, top+1, (24, 24)).astype(kind)
    Image.fromarray(values).save(folder/"annotations"/"x.png")
    try: catalog = read_label_maps(folder, classes=SEVERSTAL)
    except ValueError as e:
        sentence(e, folder)
        assert values.max() > 4
    else: assert np.array_equal(catalog.stack("x.png"), values == np.arange(1, 5)[:, None, None])


# ---- decisions ----

def decision_text(**changes): return json.dumps(dict(format="decision", version=1, classes=[dict(id=1, threshold=128, min_area=3)], gate=0)|changes)


def one(**changes): return [dict(id=1, threshold=128, min_area=3)|changes]


@pytest.mark.parametrize("content", [
    "", "{", "null", "3", '"decision"', "[]", "{}", '{"version": 1}', decision_text(version="1"), decision_text(version=None),
    decision_text(version=2), decision_text(format="steel_defects model"), decision_text(classes=[]), decision_text(classes=3),
    decision_text(classes=[1, 2]), decision_text(classes={"id": 1}), decision_text(classes=one(id=2)), decision_text(classes=one()*2),
    decision_text(gate=300), decision_text(gate="0"), decision_text(gate=None), decision_text(classes=[*one(), *one(id="2")]),
    decision_text(gate=float("nan")), decision_text(gate=float("inf")),
    *[decision_text(classes=one(**{k: v})) for k in ("threshold", "min_area") for v in (.5, "128", None, True, [1], -1, float("nan"))],
    '{"version": 1, "classes": [{"id": 1, "threshold": 128}]}', "\x00\x01", "["*100000])
def test_decisions_that_are_refused(tmp_path, content):
    (tmp_path/"decision.json").write_text(content)
    refused(lambda: read_decision(tmp_path/"decision.json"), tmp_path/"decision.json")


def test_no_decision_at_all(tmp_path):
    refused(lambda: read_decision(tmp_path/"decision.json"), tmp_path/"decision.json", kind=FileNotFoundError)
    refused(lambda: read_decision(tmp_path), tmp_path, kind=FileNotFoundError)


@often(150)
@given(st.data())
def test_a_harmed_decision_is_a_decision_or_refused(tmp_path, data):
    path = write_decision(tmp_path/"decision.json", Decision((128, 90), (0, 32), 12))
    path.write_bytes(data.draw(harmed(path.read_bytes())))
    try: found = read_decision(path)
    except ValueError as e: sentence(e, path)
    else: assert isinstance(found, Decision) and all(0 <= k <= 255 for k in found.thresholds)


# ---- scoring what does not belong together ----

def test_catalogs_that_do_not_match(tmp_path):
    truth = read_severstal(table(tmp_path, VALID), shape=(6, 5))
    refused(lambda: score_catalog(truth, truth.subset(["a.jpg"])), "c.jpg")
    refused(lambda: score_catalog(truth.subset(["a.jpg"]), truth), "c.jpg")
    refused(lambda: score_catalog(truth, replace(truth, classes=SEVERSTAL+(replace(SEVERSTAL[0], id=5),))))
    renamed = tuple(replace(c, name=o.name) for c, o in zip(SEVERSTAL, SEVERSTAL[::-1]))
    refused(lambda: score_catalog(truth, replace(truth, classes=renamed)), "thin crack")
    refused(lambda: score_catalog(truth, replace(truth, images=truth.images.assign(height=7))), "a.jpg is (6, 5)")
