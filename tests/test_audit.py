"Near copies: planted ones are found with their transform, strangers are left alone, memory stays linear."
import io
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from steel_defects.audit import (COPY, PAIRS, SIDE, TRANSFORMS, candidates, compare, copy_groups, fingerprint, inverse, near_copies,
                                 pairs_beside, read_pairs, transformed, whiten, write_pairs)
from steel_defects.catalog import read_severstal
from steel_defects.images import write_image
from steel_defects.synth import STYLES, even_classes, strip_plan, synth_strip


PATTERN = np.arange(6).reshape(2, 3)


def degraded(image, rng, quality=None):
    "Another light, another gain, noise, and JPEG."
    grey = image*rng.uniform(.85, 1.15)+rng.uniform(-15, 15)+rng.normal(0, rng.uniform(0, 3), image.shape)
    file = io.BytesIO()
    Image.fromarray(np.clip(np.round(grey), 0, 255).astype(np.uint8)).save(file, "JPEG", quality=quality or int(rng.integers(30, 96)))
    return np.asarray(Image.open(file))


def pairs_of(images):
    "Pairs among uint8 images, by number."
    prints, shapes = np.stack([fingerprint(np.float32(i)/255) for i in images]), np.array([i.shape for i in images])
    return compare(prints, candidates(prints, shapes))


def planted(images, rng, **settings):
    "Images with a hidden copy of each behind them, and the transform of each."
    turns = rng.integers(0, 8, len(images))
    return images+[degraded(transformed(i, TRANSFORMS[t]), rng, **settings) for i, t in zip(images, turns)], turns


def judge(images, rng, **settings):
    "Share of planted pairs found as copies, share of claims that are wrong, share of right transforms."
    both, turns = planted(images, rng, **settings)
    found = pairs_of(both)
    copies = found[found.shared >= COPY]
    right = copies[copies.j == copies.i+len(images)]
    return len(right)/len(images), 1-len(right)/max(len(copies), 1), (turns[right.i] == right.turn).mean(), found


@pytest.fixture(scope="module")
def strips():
    "A hundred strips of all mills, a quarter of them clean."
    plan, by_name = strip_plan(100, seed=21, frequency=even_classes), {s.name: s for s in STYLES}
    return [synth_strip((21, s.number), classes=s.classes, style=by_name[s.style], shape=(128, 800))[0] for s in plan.itertuples()]


@pytest.mark.parametrize("quality", [None, 30])
def test_planted_copies_are_found_and_nothing_else(strips, quality):
    recall, wrong, right_turn, found = judge(strips, np.random.default_rng(3), quality=quality)
    assert recall >= .99 and wrong <= .01 and right_turn == 1
    assert (found.j == found.i+len(strips)).all() # no part is claimed either


def test_squares_turn_by_quarters(strips):
    squares = [s[:, x:x+128] for s in strips[:40] for x in (0, 400)]
    rng = np.random.default_rng(4)
    both, turns = planted(squares, rng, quality=75)
    found = pairs_of(both).query("j == i+80")
    assert len(found) >= 79 and (turns[found.i] == found.turn).all() and set(turns) == set(range(8))


def test_clean_steel_of_one_mill_is_not_joined():
    for style in STYLES:
        assert len(pairs_of([synth_strip(n, classes=(), style=style, shape=(128, 800))[0] for n in range(15)])) == 0


def test_a_common_light_a_common_pattern_and_a_common_rim_do_not_join():
    rng, columns, rows = np.random.default_rng(0), np.arange(800), np.arange(128)[:, None]
    light = 120+40*np.sin(columns/800*np.pi)-20*(rows/128)
    grid = 15*(columns%40 < 4)+15*(rows%32 < 4)
    images = [np.clip(light+grid+rng.normal(0, 6, (128, 800)), 0, 255) for _ in range(40)]
    for n, image in enumerate(images): image[:, :100 if n%2 else 60] = 3 # beyond the strip's edge
    assert len(pairs_of([i.astype(np.uint8) for i in images])) == 0


@pytest.mark.parametrize("kind", ["pattern", "stamp", "dirt", "scratch"])
def test_what_all_pictures_share_does_not_join_them(kind):
    rng, images = np.random.default_rng(2), []
    common = {"pattern": rng.normal(0, 6, (200, 200)), "stamp": np.pad(60*(rng.random((8, 40)) < .5), ((180, 12), (10, 150))),
              "dirt": -40*(np.asarray(Image.fromarray((rng.random((25, 25)) < .02).astype(np.uint8)).resize((200, 200))) > 0),
              "scratch": 70.*(np.abs(np.subtract.outer(np.arange(200), np.arange(200)/2+40)) < 2)}[kind]
    images = [np.clip(110+rng.normal(0, 6, (200, 200))+common, 0, 255).astype(np.uint8) for _ in range(60)]
    both = images+[degraded(i[::-1], rng, quality=75) for i in images[:20]]
    found = pairs_of(both)
    assert (found.j == found.i+60).all() and len(found) >= 19


def test_a_family_of_nearly_all_images_is_told():
    pairs = pd.DataFrame([("0", str(n), "identity", .5, .5, "part") for n in range(1, 15)], columns=PAIRS)
    with pytest.warns(UserWarning, match="one family holds 15 of 30 images"): copy_groups([str(n) for n in range(30)], pairs)


def test_scratches_at_one_place_are_no_copies():
    rng, images = np.random.default_rng(1), []
    for _ in range(30):
        image = rng.normal(110, 5, (200, 200))
        image[:, 98:102] += rng.uniform(40, 90)+rng.normal(0, 8, (200, 4))
        images.append(np.clip(image, 0, 255).astype(np.uint8))
    assert len(pairs_of(images)) == 0


def test_a_pasted_part_is_no_copy_but_told(strips):
    halves = [np.where(np.arange(800) < 450, a, b) for a, b in zip(strips[:20], strips[20:40])]
    found = pairs_of(strips[:40]+halves)
    assert (found.shared < COPY).all() and (found.j >= 40).all()
    owners = {(i, j-40) for i, j in zip(found.i, found.j)}
    assert owners <= {(n+k, n) for n in range(20) for k in (0, 20)}
    assert len(owners) >= 24 # of 40: a faint strip beside a strong one is lost


def test_another_size_is_the_same_picture_and_another_shape_is_not(strips):
    small = np.asarray(Image.fromarray(strips[0]).resize((760, 124)))
    assert pairs_of([strips[0], small, strips[1]])[["i", "j"]].values.tolist() == [[0, 1]]
    assert len(pairs_of([strips[0], np.asarray(Image.fromarray(strips[0]).resize((600, 128)))])) == 0


def test_transforms_are_the_eight_and_undo_each_other():
    image = np.random.default_rng(0).random((2, 5, 7))
    assert len({transformed(image, t).tobytes() for t in TRANSFORMS}) == 8
    for t in TRANSFORMS: np.testing.assert_array_equal(transformed(transformed(image, t), inverse(t)), image)
    with pytest.raises(ValueError, match="unknown"): inverse("upside down")


def test_whitening_goes_with_turns_and_takes_out_gain():
    prints = np.random.default_rng(0).random((3, SIDE, SIDE)).astype(np.float32)
    for t in TRANSFORMS: np.testing.assert_allclose(whiten(transformed(prints, t)), transformed(whiten(prints), t), atol=2e-5)
    np.testing.assert_allclose(whiten(prints*.7+.1), whiten(prints), atol=1e-3) # not equal: two grey levels are noise at any gain
    assert not whiten(np.full((1, SIDE, SIDE), .4, np.float32)).any()


def test_memory_grows_with_the_images_not_with_their_square():
    peaks = []
    for n in (600, 2400):
        prints = np.random.default_rng(0).random((n, SIDE, SIDE)).astype(np.float32)
        tracemalloc.start()
        found = compare(prints, candidates(prints, np.full((n, 2), 200), block=128), chunk=100)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(found) == 0
    assert peaks[1] < 5*peaks[0] # four times the images; their square would be sixteen


def test_many_copies_of_one_picture_make_one_group(strips):
    rng = np.random.default_rng(5)
    images = [degraded(transformed(strips[0], TRANSFORMS[n%3*2]), rng) for n in range(60)]+strips[1:10]
    found = pairs_of(images).rename(columns=dict(i="ImageId", j="other"))
    with pytest.warns(UserWarning, match="one family holds 60 of 69"): groups = copy_groups(list(range(69)), found)
    assert groups.group[:60].nunique() == 1 and groups.group.nunique() == 10


def test_every_pair_of_a_large_group_is_told(tmp_path, strips):
    rng, turns = np.random.default_rng(6), ["identity", "turn 180", "flip rows", "flip columns"]
    for n in range(60): write_image(tmp_path/f"{n:02d}.png", degraded(transformed(strips[1], turns[n%4]), rng, quality=85)) # more than the partners kept
    for n in range(3): write_image(tmp_path/f"other{n}.png", strips[5+n])
    pairs = near_copies(tmp_path)
    assert len(pairs) == 60*59//2 and (pairs.kind == "copy").all() and not pairs.duplicated(["ImageId", "other"]).any()
    for a, b, t in zip(pairs.ImageId, pairs.other, pairs["transform"]): # a turned by its own turn undone and b's done
        mine, theirs = turns[int(a[:2])%4], turns[int(b[:2])%4]
        np.testing.assert_array_equal(transformed(transformed(PATTERN, mine), t), transformed(PATTERN, theirs))


def test_groups_follow_chains_and_families_hold_groups():
    pairs = pd.DataFrame([("a", "b", "identity", 1., 1., "copy"), ("b", "c", "identity", 1., 1., "copy"), ("d", "e", "identity", .5, .4, "part")], columns=PAIRS)
    groups = copy_groups(list("abcdef"), pairs).set_index("ImageId")
    assert groups.group["a"] == groups.group["b"] == groups.group["c"] and groups.group.nunique() == 4
    assert groups.family["d"] == groups.family["e"] and groups.family.nunique() == 3
    with pytest.raises(ValueError, match="named twice"): copy_groups(["a", "a"], pairs[:0])


def test_a_folder_a_catalog_and_bad_input(tmp_path, strips):
    with pytest.raises(ValueError, match="holds no image"): near_copies(tmp_path)
    for n in range(3): write_image(tmp_path/f"{n}.png", strips[n])
    write_image(tmp_path/"turned.jpg", strips[2][::-1, ::-1], quality=60)
    found = near_copies(tmp_path)
    assert found[["ImageId", "other", "transform", "kind"]].values.tolist() == [["2.png", "turned.jpg", "turn 180", "copy"]]
    assert near_copies(tmp_path, ids=["1.png", "0.png"]).empty
    with pytest.raises(ValueError, match="asked for twice"): near_copies(tmp_path, ids=["1.png", "1.png"])
    write_image(tmp_path/"black.png", np.zeros((128, 800), np.uint8))
    write_image(tmp_path/"grey.png", np.full((128, 800), 90, np.uint8))
    with pytest.warns(UserWarning, match="2 images are of one grey, such as black.png"): assert len(near_copies(tmp_path)) == 1
    (tmp_path/"labels.csv").write_text("ImageId,ClassId,EncodedPixels\n0.png,1,1 2\n")
    with pytest.raises(ValueError, match="name the image folder"): near_copies(read_severstal(tmp_path/"labels.csv", shape=(128, 800)))
    (tmp_path/"broken.jpg").write_bytes(b"no image")
    with pytest.raises(ValueError, match="broken.jpg"): near_copies(tmp_path)


def test_pairs_come_back_from_a_file_or_name_the_line(tmp_path):
    pairs = pd.DataFrame([("a", "b", "turn 90", .5, 1., "copy"), ("b", "c", "identity", .25, .5, "part")], columns=PAIRS)
    path = write_pairs(pairs_beside(tmp_path/"groups.csv"), pairs)
    assert path.name == "groups-pairs.csv"
    pd.testing.assert_frame_equal(read_pairs(path), pairs)
    pairs[PAIRS[:4]].to_csv(path, index=False)
    assert read_pairs(path).kind.tolist() == ["copy", "copy"] # a table of one's own
    for change, sentence in [(dict(transform="turn 45"), "line 2: a and b have an unknown transform"), (dict(kind="twin"), "unknown kind"),
                             (dict(similarity="high"), "no number"), (dict(similarity=np.inf), "no number"), (dict(shared=-3), "no number from 0 to 1"), (dict(other="a"), "paired with itself")]:
        pairs.astype(object).assign(**change).to_csv(path, index=False)
        with pytest.raises(ValueError, match=sentence): read_pairs(path)
    pd.concat([pairs, pairs[:1].rename(columns=dict(ImageId="other", other="ImageId"))])[PAIRS].to_csv(path, index=False)
    with pytest.raises(ValueError, match="line 4: b and a have a line of their own already: keep one"): read_pairs(path)
    pairs.drop(columns="other").to_csv(path, index=False)
    with pytest.raises(ValueError, match="no column 'other'"): read_pairs(path)
    with pytest.raises(FileNotFoundError, match="steel-defects audit"): read_pairs(tmp_path/"none.csv")


def test_real_strips(shared_data):
    folder = shared_data/"severstal"/"train_images"
    images = [np.asarray(Image.open(p).convert("L")) for p in sorted(folder.glob("*.jpg"))]
    recall, wrong, right_turn, found = judge(images, np.random.default_rng(7))
    assert recall == 1 and wrong == 0 and (found.j == found.i+len(images)).all()
    crops = [c for i in images for c in np.split(i[:, :1536], 6, axis=1) if c.std() > 3] # steel, not the black beside it
    recall, wrong, right_turn, found = judge(crops, np.random.default_rng(8))
    assert recall >= .99 and wrong <= .01 and right_turn >= .99


def test_published_set(shared_data):
    folder = shared_data/"neu_seg"/"images"
    pairs = near_copies(folder)
    copies = pairs[pairs.kind == "copy"]
    groups = copy_groups(sorted(set(pairs.ImageId) | set(pairs.other)), pairs)
    assert len(copies) > 5400
    sizes = groups.group.value_counts().value_counts()
    assert sizes.get(4, 0) > 800 # each picture stands there in four positions
