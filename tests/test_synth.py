"Synthetic strips: exact masks, clean twins, reproducible sets, shapes of the types, and the committed sample."
import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from skimage.measure import label, regionprops

from steel_defects.defects import SEVERSTAL
from steel_defects.files import read_json
from steel_defects.images import list_images, read_image
from steel_defects.rle import rle_decode, rle_encode
from steel_defects.synth import (CLEAR, DEFECTS, FAINT, REAL, STYLES, background, even_classes, inclusion, patch, real_classes, scratch,
                                 smooth_noise, strip_plan, synth_set, synth_strip, thin_crack)

SMALL = (256, 400)


def sha(array): return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


@pytest.fixture(scope="module")
def sample(root): return root/"data"/"sample"


# Masks

@pytest.mark.parametrize("style", STYLES, ids=lambda s: s.name)
@pytest.mark.parametrize("seed", range(3))
def test_a_strip_differs_from_its_clean_twin_only_inside_its_masks(style, seed):
    image, stack = synth_strip((seed, 1), style=style)
    twin, empty = synth_strip((seed, 1), classes=(), style=style)
    assert (image.dtype, image.shape, stack.dtype, stack.shape) == (np.uint8, (256, 1600), bool, (4, 256, 1600))
    assert not empty.any()
    assert (image == twin)[~stack.any(axis=0)].all()
    for mask in stack: assert (image != twin)[mask].mean() > .5


@pytest.mark.parametrize("class_id", DEFECTS)
def test_one_class_alone_is_where_it_is_among_others(class_id):
    alone, together = synth_strip(5, classes=[class_id])[1], synth_strip(5)[1]
    assert (alone[class_id-1] == together[class_id-1]).all()
    assert not np.delete(alone, class_id-1, axis=0).any()


@pytest.mark.parametrize("shape", [(64, 64), (100, 300), (256, 800), (300, 200)])
def test_every_class_asked_for_is_there_at_any_shape(shape):
    for i in range(25):
        image, stack = synth_strip((2, i), style=replace(STYLES[i%len(STYLES)], edge=.5), shape=shape)
        assert image.shape == shape and stack.any(axis=(1, 2)).all()


def test_no_defect_lies_beyond_the_plate():
    style = replace(STYLES[0], edge=1.)
    for i in range(10):
        steel = background(np.random.default_rng([3, i, 0]), (256, 1600), style)[1]
        assert not steel.all() and not (synth_strip((3, i), style=style)[1].any(axis=0) & ~steel).any()


def test_contrast_changes_the_picture_and_never_the_masks():
    (strong, stack), (weak, same) = synth_strip(4, contrast=1), synth_strip(4, contrast=.3)
    twin = synth_strip(4, classes=())[0].astype(int)
    assert (stack == same).all()
    for mask in stack: assert 0 < np.abs(weak-twin)[mask].mean() < np.abs(strong-twin)[mask].mean()


def test_even_the_faintest_defect_stands_out_of_the_grain_over_its_area():
    style = replace(STYLES[0], uneven=0, lines=0, ripples=0, stains=1e-3, flecks=0, drops=0, runs=0, edge=0)
    assert FAINT < CLEAR
    for class_id in DEFECTS:
        signal = []
        for i in range(12):
            image, stack = synth_strip((8, i), classes=[class_id], style=style, shape=SMALL)
            twin, mask = synth_strip((8, i), classes=(), style=style, shape=SMALL)[0].astype(float), stack[class_id-1]
            noise = twin[mask].std()/np.sqrt(mask.sum()/9)  # grain hangs together over about 3 x 3 pixels
            signal.append(np.sqrt(np.mean((image-twin)[mask]**2))/noise)
        assert min(signal) > 5


# Types

def largest(make, n=80):
    rng = np.random.default_rng(1)
    return [max(regionprops(label(make(rng, 256).mask[:256])), key=lambda r: r.area) for _ in range(n)]


@pytest.mark.parametrize("make, area, elongation", [(inclusion, (500, 1400), (1.2, 2.6)), (thin_crack, (500, 1600), (9, 25)),
                                                   (scratch, (1500, 6000), (4, 12)), (patch, (5000, 12000), (1.2, 2.6))])
def test_sizes_are_those_of_the_type(make, area, elongation):
    regions = largest(make)
    assert area[0] < np.median([r.area for r in regions]) < area[1]
    assert elongation[0] < np.median([r.axis_major_length/r.axis_minor_length for r in regions]) < elongation[1]


def test_thin_cracks_and_scratches_are_told_apart_by_their_width():
    def widths(make): return np.array([r.area/np.ptp(r.coords[:, 0]) for r in largest(make)])
    assert np.quantile(widths(thin_crack), .75) < 8 < np.quantile(widths(scratch), .05)


@pytest.mark.parametrize("make", [f for f, *_ in DEFECTS.values()])
def test_no_mark_is_empty(make):
    rng = np.random.default_rng(0)
    assert all(make(rng, h).mask.any() for h in (64, 256) for _ in range(100))


# Look

def test_noise_has_mean_0_and_deviation_1_at_every_scale():
    for scale in [(1, 1), (1, 9), (7, 1.3), (20, 20)]:
        noise = smooth_noise(np.random.default_rng(0), (600, 600), scale)
        assert abs(noise.mean()) < .12 and abs(noise.std()-1) < .1  # 900 independent hills at the coarsest


def test_styles_differ_more_than_strips_of_one_style():
    grey = np.array([[synth_strip((s, i), classes=(), style=style, shape=SMALL)[0].mean() for i in range(8)] for s, style in enumerate(STYLES)])
    assert np.ptp(np.median(grey, axis=1)) > 50
    assert len({s.name for s in STYLES}) == len(STYLES) >= 4


def measures(image):
    "What a strip looks like in numbers: grey, spread, and the step to the next pixel both ways."
    return image.mean(), image.std(), np.diff(image, axis=1).std(), np.diff(image, axis=0).std()


def test_look_agrees_with_the_real_strips(shared_data):
    folder = shared_data/"severstal"/"train_images"
    real = np.array([measures(255.*read_image(folder/i)) for i in list_images(folder)])
    ours = np.array([measures(synth_strip((9, i), classes=real_classes(np.random.default_rng(i), i), style=STYLES[i%len(STYLES)])[0].astype(float))
                     for i in range(36)])
    assert np.all(np.abs(np.median(ours, axis=0)/np.median(real, axis=0)-1) < .3)


# Sets

def test_real_frequencies():
    draws = [real_classes(np.random.default_rng([1, i]), i) for i in range(6000)]
    shares = {c: np.mean([c in d for d in draws]) for c in DEFECTS} | {0: np.mean([d == () for d in draws])}
    wanted = {1: 897, 2: 247, 3: 5150, 4: 801, 0: 5902}
    for c, count in wanted.items():
        p = count/12568
        assert abs(shares[c]-p) < 4*np.sqrt(p*(1-p)/6000)
    assert {c: sum(n for s, n in REAL.items() if c in s) for c in DEFECTS} == {1: 897, 2: 247, 3: 5150, 4: 801}
    assert sum(REAL.values()) == 12568


def test_real_frequencies_are_those_of_the_labels(shared_data):
    table = pd.read_csv(shared_data/"severstal"/"image_labels.csv", index_col="ImageId")
    counts = table.apply(lambda row: tuple(int(c) for c in row.index[row == 1]), axis=1).value_counts()
    assert counts.to_dict() == REAL


@pytest.mark.parametrize("n", [16, 32, 480])
def test_even_frequencies_are_exactly_even(n):
    draws = [even_classes(np.random.default_rng(0), i) for i in range(n)]
    assert sum(d == () for d in draws) == n/4
    assert {sum(c in d for d in draws) for c in DEFECTS} == {n/4}


def test_a_strip_does_not_depend_on_how_many_or_in_which_order():
    assert strip_plan(40, seed=3)[:12].equals(strip_plan(12, seed=3))
    assert not strip_plan(12, seed=3).drop(columns=["ImageId", "seed"]).equals(strip_plan(12, seed=4).drop(columns=["ImageId", "seed"]))
    forth = {i: sha(synth_strip((3, i), shape=SMALL)[0]) for i in range(4)}
    back = {i: sha(synth_strip((3, i), shape=SMALL)[0]) for i in reversed(range(4))}
    assert forth == back and len(set(forth.values())) == 4


def test_a_kept_out_style_is_not_in_the_set():
    assert set(strip_plan(200, styles=STYLES[:-1])["style"]) == {s.name for s in STYLES[:-1]}


def snapshot(folder): return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_set_is_the_same_again_and_leaves_nothing_of_an_older_one(tmp_path):
    def make(n, seed=1): return synth_set(tmp_path/"set", n, seed=seed, frequency=even_classes, shape=SMALL, progress=False)
    before = snapshot(make(5))
    assert snapshot(make(5)) == before
    assert len(list_images(make(3)/"train_images")) == 3
    assert set(pd.read_csv(make(3, seed=2)/"styles.csv").ImageId) == set(list_images(tmp_path/"set"/"train_images"))
    assert snapshot(make(5)) == before


def test_a_set_after_a_run_that_stopped_halfway(tmp_path, monkeypatch):
    import steel_defects.synth as synth
    whole, make = snapshot(synth_set(tmp_path/"a", 4, shape=SMALL, progress=False)), synth.synth_strip
    def stops(seed, **kwargs):
        if seed[1] == 2: raise KeyboardInterrupt
        return make(seed, **kwargs)
    monkeypatch.setattr(synth, "synth_strip", stops)
    with pytest.raises(KeyboardInterrupt): synth_set(tmp_path/"b", 4, shape=SMALL, progress=False)
    assert not (tmp_path/"b"/"train.csv").exists()
    monkeypatch.undo()
    assert snapshot(synth_set(tmp_path/"b", 4, shape=SMALL, progress=False)) == whole


@pytest.mark.parametrize("name", ["train.csv", "train_images/0002cc93b.jpg"])
def test_somebodys_data_is_never_written_over(tmp_path, name):
    (tmp_path/name).parent.mkdir(exist_ok=True)
    (tmp_path/name).write_bytes(b"theirs")
    with pytest.raises(ValueError, match="choose another folder"): synth_set(tmp_path, 1, shape=SMALL, progress=False)
    assert (tmp_path/name).read_bytes() == b"theirs" and len(snapshot(tmp_path)) == 1


@pytest.mark.parametrize("kwargs, words", [(dict(classes=[0]), "use ClassIds 1, 2, 3, 4"), (dict(shape=(63, 900)), "64 or more")])
def test_what_cannot_be_made_is_refused(kwargs, words):
    with pytest.raises(ValueError, match=words): synth_strip(0, **kwargs)


def test_a_mills_own_frequency_and_wrong_class_are_heard(tmp_path):
    assert set(strip_plan(5, frequency=lambda rng, number: (2,)).classes) == {(2,)}
    with pytest.raises(ValueError, match="class 7"): synth_set(tmp_path, 1, frequency=lambda rng, number: (7,), shape=SMALL, progress=False)


# The committed sample

def test_the_sample_is_made_again_bit_for_bit(sample):
    plan, sums = strip_plan(32, seed=7, frequency=even_classes), read_json(sample/"checksums.json")
    assert hashlib.sha256((sample/"train.csv").read_bytes()).hexdigest() == sums["train.csv"]
    labels = pd.read_csv(sample/"train.csv").set_index(["ImageId", "ClassId"]).EncodedPixels.to_dict()
    styles = {s.name: s for s in STYLES}
    for strip in plan.itertuples():
        image, stack = synth_strip((7, strip.number), classes=strip.classes, style=styles[strip.style])
        assert sha(image) == sums[strip.ImageId]
        for c in strip.classes: assert rle_encode(stack[c-1]) == labels.pop((strip.ImageId, c))
    assert not labels
    table = pd.read_csv(sample/"styles.csv")
    assert table.equals(plan.drop(columns="classes").astype(table.dtypes.to_dict()))


def test_the_sample_holds_what_it_promises(sample):
    labels, ids = pd.read_csv(sample/"train.csv"), list_images(sample/"train_images")
    assert len(ids) == 32 and len(set(ids)-set(labels.ImageId)) == 8
    assert labels.groupby("ClassId").ImageId.nunique().reindex([c.id for c in SEVERSTAL]).min() >= 6
    assert sum(p.stat().st_size for p in sample.rglob("*")) <= 6e6
    assert set(pd.read_csv(sample/"styles.csv")["style"]) == {s.name for s in STYLES}
    for image_id in ids:
        with Image.open(sample/"train_images"/image_id) as image: assert (image.size, image.mode) == ((1600, 256), "L")
    assert all(rle_decode(t, (256, 1600)).any() for t in labels.EncodedPixels)


def test_jpeg_keeps_the_sample_close_to_the_pixels_made(sample):
    for strip in strip_plan(3, seed=7, frequency=even_classes).itertuples():
        image = synth_strip((7, strip.number), classes=strip.classes, style={s.name: s for s in STYLES}[strip.style])[0]
        assert np.abs(255*read_image(sample/"train_images"/strip.ImageId)-image).mean() < 4
