"COCO: the same pixels as pycocotools in both directions, round trips to the bit, files that went wrong."
import copy
import json

import numpy as np
import pycocotools.mask as coco_mask
import pytest
from hypothesis import HealthCheck, assume, given, settings, strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image
from pycocotools.coco import COCO
from skimage.measure import label

from steel_defects.catalog import Catalog, _catalog, read_severstal
from steel_defects.coco import read_coco, rle_from_coco, rle_to_coco, write_coco
from steel_defects.defects import SEVERSTAL, classes_from_dicts
from steel_defects.rle import rle_area, rle_decode, rle_encode

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")  # pycocotools under numpy 2
masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24))
in_folder = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def same(a, b):
    "Whether two catalogs say the same."
    return a.labels.equals(b.labels) and a.images.equals(b.images) and a.classes == b.classes


def note(i, segmentation, image=1, category=1): return dict(id=i, image_id=image, category_id=category, iscrowd=0, segmentation=segmentation)


def coco(*annotations, images=None, categories=None):
    "What stands in a COCO file of one image of 6 x 5."
    return dict(images=images or [dict(id=1, file_name="a.png", height=6, width=5)], annotations=list(annotations),
                categories=categories or [dict(id=1, name="crack")])


def save(folder, data, name="coco.json"):
    (folder/name).write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return folder/name


SQUARE = [[1, 1, 4, 1, 4, 4, 1, 4]]


# ---- one mask ----

@given(masks)
def test_counts_are_those_of_pycocotools(mask):
    assume(mask.any())
    ours, theirs = rle_to_coco(rle_encode(mask), mask.shape), coco_mask.encode(np.asfortranarray(mask, np.uint8))
    assert ours == {"size": list(mask.shape), "counts": theirs["counts"].decode()}
    assert np.array_equal(coco_mask.decode(ours), mask)
    for counts in (theirs["counts"], theirs["counts"].decode()): assert rle_from_coco(theirs | {"counts": counts}, mask.shape) == rle_encode(mask)
    edges = np.flatnonzero(np.diff(mask.ravel(order="F").astype(np.int8), prepend=0))
    plain = {"size": list(mask.shape), "counts": np.diff(edges, prepend=0, append=mask.size).tolist()}
    assert rle_from_coco(plain, mask.shape) == rle_encode(mask)
    assert np.array_equal(coco_mask.decode(coco_mask.frPyObjects(plain, *mask.shape)), mask)


@pytest.mark.parametrize("shape", [(256, 1600), (2000, 20000), (1, 1), (1, 70000), (70000, 1)])
def test_large_counts(shape):
    "Differences of both signs that take one to six letters."
    rng = np.random.default_rng(0)
    edges = np.unique(np.r_[rng.integers(0, shape[0]*shape[1]+1, 40), rng.integers(0, 60, 20).clip(max=shape[0]*shape[1])])
    edges = edges[:len(edges)//2*2] if len(edges) > 1 else np.array([0, 1])
    text = " ".join(f"{a+1} {b-a}" for a, b in zip(edges[::2].tolist(), edges[1::2].tolist()))
    ours = rle_to_coco(text, shape)
    assert rle_from_coco(ours, shape) == text and coco_mask.area(ours) == rle_area(text)
    plain = np.diff(edges, prepend=0, append=shape[0]*shape[1]).tolist()
    assert coco_mask.frPyObjects({"size": list(shape), "counts": plain}, *shape)["counts"].decode().startswith(ours["counts"])


places = st.one_of(st.floats(-.9, 1.9), st.sampled_from([0., .5, 1.]))


@settings(max_examples=400, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.lists(st.lists(st.tuples(places, places), min_size=3, max_size=9), min_size=1, max_size=3),
       st.sampled_from([None, 0, 1]))
def test_polygons_are_those_of_pycocotools(height, width, polygons, digits):
    xy = [np.array(p)*[width, height] for p in polygons]
    xy = [p if digits is None else np.round(p, digits) for p in xy]
    size = np.array([width, height])
    assume(all((p.max(0) > 0).all() and (p.min(0) < size).all() and (p >= -size).all() and (p <= 2*size).all() for p in xy))
    values = [p.ravel().tolist() for p in xy]
    theirs = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(values, height, width))).astype(bool)
    if theirs.any(): assert rle_from_coco(values, (height, width)) == rle_encode(theirs)
    else:
        with pytest.raises(ValueError, match="covers no pixel"): rle_from_coco(values, (height, width))


def test_a_large_polygon_is_that_of_pycocotools():
    angle = np.linspace(0, 2*np.pi, 300)[:-1]
    xy = np.stack([800+790*np.cos(angle)*(.7+.3*np.sin(7*angle)), 128+140*np.sin(angle)], axis=1).ravel().tolist()
    assert rle_from_coco([xy], (256, 1600)) == rle_encode(coco_mask.decode(coco_mask.frPyObjects([xy], 256, 1600)[0]))


# ---- whole catalogs ----

own = classes_from_dicts([dict(id=1, name="scale", color="#00b7c3"), dict(id=2, name="roll mark", type="crack", tint=-.2), dict(id=3, name="rust")])
names = st.lists(st.sampled_from(["a.png", "line 2/ä,b.png", 'x"y.jpg', "NA", "1", "0x1.bmp"]), min_size=1, unique=True)


@st.composite
def catalogs(draw):
    "Catalogs of a few small images."
    classes = draw(st.sampled_from([SEVERSTAL, own]))
    images = [(i, *draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))) for i in draw(names)]
    rows = [(i, c.id, rle_encode(draw(arrays(bool, (h, w))))) for i, h, w in images for c in classes if draw(st.booleans())]
    return [row for row in rows if row[2]], images, classes


@in_folder
@given(catalogs())
def test_round_trip(tmp_path, parts):
    catalog = _catalog(*parts, None)
    path = write_coco(catalog, tmp_path/"x.json")
    assert same(read_coco(path), catalog)
    assert same(read_coco(write_coco(read_coco(path), tmp_path/"y.json")), catalog)
    assert path.read_bytes() == (tmp_path/"y.json").read_bytes()


def test_pycocotools_reads_what_is_written(root, tmp_path):
    catalog = read_severstal(root/"data"/"sample"/"train.csv", root/"data"/"sample"/"train_images")
    theirs = COCO(write_coco(catalog, tmp_path/"sample.json"))
    assert [i["file_name"] for i in theirs.loadImgs(theirs.getImgIds())] == catalog.ids
    assert theirs.getCatIds() == [1, 2, 3, 4] and sorted(theirs.getAnnIds()) == list(range(1, len(theirs.anns)+1))
    for n, image_id in enumerate(catalog.ids, 1):
        stack, found = catalog.stack(image_id), np.zeros_like(catalog.stack(image_id))
        for a in theirs.loadAnns(theirs.getAnnIds(n)):
            mask = theirs.annToMask(a).astype(bool)
            assert a["area"] == mask.sum() == coco_mask.area(a["segmentation"]) and a["bbox"] == coco_mask.toBbox(a["segmentation"]).tolist()
            assert label(mask, connectivity=2).max() == 1 and not (found[a["category_id"]-1] & mask).any()
            found[a["category_id"]-1] |= mask
        assert np.array_equal(found, stack)
        assert len(theirs.getAnnIds(n)) == sum(label(m, connectivity=2).max() for m in stack)


def test_reading_a_file_of_pycocotools(tmp_path):
    "Every kind of segmentation at once, several annotations of one class, ids as they come."
    rng = np.random.default_rng(1)
    dots = rng.random((6, 5)) > .6
    packed = coco_mask.encode(np.asfortranarray(dots, np.uint8))
    packed["counts"] = packed["counts"].decode()
    plain = {"size": [6, 5], "counts": [3, 3, 24]}
    data = coco(note(9, SQUARE, 40, 7), note(2, packed, 40, 7), dict(note("x", plain, 40, 90), iscrowd=1), note(5, packed, "two", 7),
                images=[dict(id=40, file_name="b.png", height=6, width=5.0), dict(id="two", file_name="sub/a.png", height=6, width=5),
                        dict(id=-3, file_name="c", height=1, width=1)],
                categories=[dict(id=90, name="hole", supercategory="patch", color=[1, 2, 255]), dict(id=7, name="line", supercategory="defect")])
    catalog = read_coco(save(tmp_path, data))
    assert catalog.ids == ["b.png", "sub/a.png", "c"] and catalog.folder is None
    assert [(c.id, c.name, c.type.name, c.own_color) for c in catalog.classes] == [(1, "line", "crack", None), (2, "hole", "patch", "#0102ff")]
    square = coco_mask.decode(coco_mask.frPyObjects(SQUARE, 6, 5)[0]).astype(bool)
    assert np.array_equal(catalog.stack("b.png"), [square | dots, rle_decode("4 3", (6, 5))])
    assert np.array_equal(catalog.stack("sub/a.png"), [dots, dots & False])
    assert read_coco(tmp_path/"coco.json", classes=["hole", "dent", "line"]).labels.ClassId.tolist() == [1, 3, 3]
    with pytest.raises(ValueError, match="'x' is of category 'hole', which is not among the classes"): read_coco(tmp_path/"coco.json", classes=["line"])
    (tmp_path/"coco.json").write_bytes(b"\xef\xbb\xbf"+(tmp_path/"coco.json").read_bytes())
    assert same(read_coco(tmp_path/"coco.json"), catalog)


def test_which_images(tmp_path):
    images = [dict(id=n, file_name=f"{n}.png", height=6, width=5) for n in (1, 2, 3)]
    path, folder = save(tmp_path, coco(note(1, SQUARE, 2), note(2, SQUARE, 3), images=images)), tmp_path/"images"
    folder.mkdir()
    for n in (1, 3, 4): Image.new("L", (5, 6)).save(folder/f"{n}.png")
    with pytest.raises(ValueError, match=r"1 of 3 images are not in .*'2.png'.*present_only=True"): read_coco(path, folder)
    assert read_coco(path, folder, present_only=True).ids == ["1.png", "3.png"]
    assert read_coco(path, folder, present_only=True, image_ids=["3.png", "2.png"]).labels.ImageId.tolist() == ["3.png"]
    assert read_coco(path, image_ids=["3.png"]).ids == ["3.png"]
    with pytest.raises(ValueError, match="no image '9.png'"): read_coco(path, image_ids=["9.png"])
    with pytest.raises(ValueError, match="name the image folder"): read_coco(path, present_only=True)
    with pytest.raises(FileNotFoundError, match="there is no image folder"): read_coco(path, tmp_path/"gone")
    with pytest.raises(FileNotFoundError, match="there is no COCO file"): read_coco(tmp_path/"gone.json")
    Image.new("L", (6, 5)).save(folder/"3.png")
    with pytest.raises(ValueError, match=r"says that '3.png' is 6 x 5 and the file is 5 x 6"): read_coco(path, folder, present_only=True)
    for n in (1, 3): (folder/f"{n}.png").unlink()
    with pytest.raises(ValueError, match="leaves no image"): read_coco(path, folder, present_only=True)


def test_writing_spares_other_files(tmp_path):
    catalog = read_coco(save(tmp_path, coco(note(1, SQUARE))))
    for text in ("", "[]", '{"classes": ["crack"]}'):
        save(tmp_path, text, "labels.json")
        with pytest.raises(ValueError, match="holds something other than COCO"): write_coco(catalog, tmp_path/"labels.json")
        assert (tmp_path/"labels.json").read_text() == text
    with pytest.raises(ValueError, match="does not end in .json"): write_coco(catalog, tmp_path/"labels.csv")
    assert same(read_coco(write_coco(catalog, tmp_path/"coco.json")), catalog)


# ---- files that went wrong ----

def rle(*counts, size=(6, 5)): return {"size": list(size), "counts": list(counts)}


@pytest.mark.parametrize("data, fault", [
    ("", "not valid JSON"), ("{'images': 1}", "not valid JSON"), ("["*100000, "not valid JSON"), ('{"images": 1'+"0"*5000+"}", "not valid JSON"),
    ("[]", "no list 'images'"), ("3", "no list 'images'"), ({}, "no list 'images'"), (coco() | {"annotations": None}, "no list 'annotations'"),
    (coco() | {"categories": {}}, "no list 'categories'"), (coco() | {"categories": []}, "has no category"),
    (coco() | {"images": []}, "leaves no image"),
    (coco() | {"images": [3]}, r"images\[0\] is no object"), (coco(3), r"annotations\[0\] is no object"),
    (coco(images=[dict(id=1, file_name="a", height=6)]), r"images\[0\] \(id 1\) has no 'width'"),
    (coco(images=[dict(file_name="a")]), r"images\[0\] has no 'id'"),
    (coco(images=[dict(id=1.5, file_name="a", height=6, width=5)]), "has id 1.5"),
    (coco(images=[dict(id=None, file_name="a", height=6, width=5)]), "has id None"),
    (coco(images=[dict(id=1, file_name="a", height=6, width=5)]*2), "two images of id 1"),
    (coco(images=[dict(id=n, file_name="a", height=6, width=5) for n in (1, 2)]), "images 1 and 2 are both 'a'"),
    *((coco(images=[dict(id=1, file_name="a", height=h, width=5)]), "image 1 has height")
      for h in (0, -6, 6.5, "6", None, True, float("nan"), float("inf"), 10**30)),
    *((coco(images=[dict(id=1, file_name=f, height=6, width=5)]), "image 1: ")
      for f in ("", None, 3, "/a.png", "../a.png", "x/../../a.png", "C:\\a.png", "..\\a.png")),
    (coco(categories=[dict(id=1)]), "has no 'name'"), (coco(categories=[dict(id=1, name=3)]), "a category without a name"), (coco(categories=[dict(id=1, name=" ")]), "a category without a name"),
    (coco(categories=[dict(id=1, name="a")]*2), "two categories"),
    (coco(categories=[dict(id=1, name="a", pattern="x")]), "has pattern 'x'"),
    (coco(categories=[dict(id=1, name="a", tint=9)]), "has tint 9"),
    (coco(dict(id=1, image_id=1, category_id=1, bbox=[1, 1, 2, 2])), "has no 'segmentation'"),
    (coco(note(1, SQUARE), note(1, SQUARE)), "two annotations of id 1"),
    (coco(note(4, SQUARE, image=2)), "annotation 4 names the image 2, which is not listed"),
    (coco(note(4, SQUARE, category="1")), "annotation 4 names the category '1', which is not listed"),
    (coco(note(4, SQUARE, category=[1])), r"names the category \[1\]"),
    (coco(note(4, SQUARE, image=None)), "names the image None"), (coco(note(4, SQUARE, image=True)), "names the image True"),
    *((coco(note(4, s)), "annotation 4: it has neither polygons nor counts") for s in ([], None, 3, "", "8252")),
    (coco(note(4, rle(3, 3))), "annotation 4: its counts add up to 6 and its image has 30"), (coco(note(4, rle())), "add up to 0"),
    (coco(note(4, rle(3, 28))), "add up to 31"), (coco(note(4, rle(31, -1))), "a count of -1"), (coco(note(4, rle(30))), "covers no pixel"),
    (coco(note(4, rle(3, 2**62, 3))), "neither text nor a list"), (coco(note(4, rle(*[2**49]*2**14, 30))), "add up to"),
    (coco(note(4, rle(3, 3.5, 23.5))), "neither text nor a list"),
    (coco(note(4, rle(3, "3", 24))), "neither text nor a list"), (coco(note(4, rle(3, True, 26))), "neither text nor a list"),
    (coco(note(4, {"size": [6, 5]})), "neither text nor a list"),
    (coco(note(4, rle(3, 3, 24, size=(5, 6)))), r"size \[5, 6\], and its image has \[6, 5\]"), (coco(note(4, {"counts": [30]})), "size None"),
    (coco(note(4, rle(3, size="65"))), "size"),
    (coco(note(4, {"size": [6, 5], "counts": ""})), "counts are empty"), (coco(note(4, {"size": [6, 5], "counts": "3 3"})), "a letter outside"),
    (coco(note(4, {"size": [6, 5], "counts": "3ä"})), "a letter outside"), (coco(note(4, {"size": [6, 5], "counts": "3P"})), "cut off"),
    (coco(note(4, {"size": [6, 5], "counts": "P"*20+"0"})), "beyond 50 bits"), (coco(note(4, {"size": [6, 5], "counts": "33"})), "add up to 6"),
    (coco(note(4, [[1, 1, 4, 1, 4]])), "annotation 4: its polygon 1 has 5 numbers"), (coco(note(4, [[1, 1, 4, 4]])), "polygon 1 has 2 corners"),
    (coco(note(4, [[]])), "has 0 corners"),
    (coco(note(4, [*SQUARE, [1, 1, 4, None, 4, 4]])), "polygon 2 holds something that is not a number"),
    (coco(note(4, [[1, 1, 4, float("nan"), 4, 4]])), "annotation 4: its polygon 1 holds a number that is no place"),
    (coco(note(4, [[1, 1, 4, 1e300, 4, 4]])), "no place"),
    (coco(note(4, [[1, 1, 4, 10**400, 4, 4]])), "no place"),
    (coco(note(4, [[6, 1, 9, 1, 9, 4]])), "polygon 1 lies entirely outside its image of 6 x 5"),
    (coco(note(4, [[1, 1, 400, 1, 4, 4]])), "reaches far outside"), (coco(note(4, [[1, 1, 2, 1, 3, 1]])), "covers no pixel"),
    (coco(note(4, [["1", "1", "4", "1", "4", "4"]])), "not a number"),
])
def test_faults_are_named(tmp_path, data, fault):
    path = save(tmp_path, data)
    with pytest.raises(ValueError, match=fault) as e: read_coco(path)
    assert "coco.json" in str(e.value) and ":" in str(e.value).split("coco.json")[1] and "\n" not in str(e.value)


GOOD = coco(note(1, SQUARE), note(2, rle(3, 3, 24)), note(3, {"size": [6, 5], "counts": "33h0"}, category=5),
            categories=[dict(id=1, name="crack", supercategory="crack", tint=.2, pattern="grid"), dict(id=5, name="rust", color="#00b7c3")])


def test_the_file_to_change_is_good(tmp_path):
    assert read_coco(save(tmp_path, GOOD)).labels.ClassId.tolist() == [1, 2]


junk = st.one_of(st.none(), st.booleans(), st.integers(-3, 9), st.floats(), st.text(max_size=4), st.just([]), st.just({}),
                 st.lists(st.integers(-2, 40), max_size=9),
                 st.sampled_from([10**30, 1e308, "crack", "\n", "#00B7C3", [[1, 1, 4, 1, 4, 4]], {"size": [6, 5], "counts": [0, 30]}]))


def spots(value, path=()):
    "Every place in a JSON."
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from spots(inner, (*path, key))


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from([p for p in spots(GOOD) if p]), st.sampled_from(["set", "drop", "twice"]), junk), min_size=1, max_size=3))
def test_whatever_is_changed_gives_a_catalog_or_one_line(tmp_path, changes):
    data = copy.deepcopy(GOOD)
    for path, change, value in changes:
        inner = data
        try:
            for key in path[:-1]: inner = inner[key]
            if change == "set": inner[path[-1]] = value
            elif change == "drop": del inner[path[-1]]
            else: inner.append(copy.deepcopy(inner[path[-1]])) if isinstance(inner, list) else inner.update({"name": "rust"})
        except (KeyError, IndexError, TypeError, AttributeError): continue
    try: found = read_coco(save(tmp_path, data))
    except ValueError as e: assert "\n" not in str(e) and "coco.json" in str(e)
    else:
        assert isinstance(found, Catalog)
        assert same(read_coco(write_coco(found, tmp_path/"again.json")), found)
        (tmp_path/"again.json").unlink()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=5), st.integers(0, 600), st.integers(0, 5))
def test_broken_bytes_give_a_catalog_or_one_line(tmp_path, extra, place, cut):
    text = json.dumps(GOOD).encode()
    (tmp_path/"coco.json").write_bytes(text[:place]+extra+text[place+cut:])
    try: assert isinstance(read_coco(tmp_path/"coco.json"), Catalog)
    except ValueError as e: assert "\n" not in str(e) and "coco.json" in str(e)


def saved(tmp_path, data):
    (tmp_path/"c.json").write_text(json.dumps(data))
    return tmp_path/"c.json"


def test_spellings_of_other_tools(tmp_path):
    "A backslash or ./ before a name, a polygon without its list, a colour by its name."
    for name in ("sub/a.png", "./sub/a.png", "sub\\a.png"):
        assert read_coco(saved(tmp_path, coco(images=[dict(id=1, file_name=name, height=6, width=5)]))).ids == ["sub/a.png"]
    flat, listed = (read_coco(saved(tmp_path, coco(note(1, polygon)))) for polygon in ([1, 1, 4, 1, 4, 4], [[1, 1, 4, 1, 4, 4]]))
    assert flat.labels.equals(listed.labels) and len(flat.labels) == 1
    for color, shown in [("red", (255, 0, 0)), ([255, 0, 0], (255, 0, 0)), ([1., 0., 0.], (255, 0, 0)), ("no colour", None), ("", None)]:
        c = read_coco(saved(tmp_path, coco(categories=[dict(id=1, name="a", color=color)]))).classes[0]
        assert (c.color == shown) if shown else c.own_color is None


def test_parents_and_background_are_no_classes_unless_used(tmp_path):
    categories = [dict(id=0, name="plant", supercategory="none"), dict(id=1, name="crack", supercategory="plant"), dict(id=2, name="_background_"), dict(id=3, name="hole")]
    assert [c.name for c in read_coco(saved(tmp_path, coco(note(1, [[1, 1, 4, 1, 4, 4]]), categories=categories))).classes] == ["crack", "hole"]
    used = [note(1, [[1, 1, 4, 1, 4, 4]]) | dict(category_id=0)]
    assert [c.name for c in read_coco(saved(tmp_path, coco(*used, categories=categories))).classes] == ["plant", "crack", "hole"]
    twins = coco(categories=[dict(id=1, name="crack"), dict(id=2, name="crack")])
    with pytest.raises(ValueError, match="two of one name"): read_coco(saved(tmp_path, twins), classes=read_coco(saved(tmp_path, twins)).classes)


def test_all_faulty_annotations_are_named_at_once(tmp_path):
    notes = [note(1, [[1, 1, 4, 1, 4, 4]])]+[note(n, []) for n in range(2, 15)]
    with pytest.raises(ValueError, match=r"annotation 2: .* \(and 12 more: 3, 4, 5, 6, 7, 8, 9, 10, ...\)"): read_coco(saved(tmp_path, coco(*notes)))
