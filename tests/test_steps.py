"Preprocessing and augmentation shown: every picture is what training does, the numbers are right, the explorer says what is wrong."
import io
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.ndimage import binary_dilation
from steel_defects.catalog import Catalog
from steel_defects.dataset import STEPS, Crops, augmentation, prepare
from steel_defects.defects import SEVERSTAL
from steel_defects.images import write_image
from steel_defects.regions import region_table
from steel_defects.rle import rle_encode
from steel_defects.steps import (
    PARAMETERS, StepExplorer, StepPicture, augmented, changes, contrast_table, _picture_words, plot_steps, preprocessed, region_contrast,
    _step_names, step_pictures, step_rgb, _step_windows,
)

SHAPES = {"<a> & 'b'.png": (64, 240), "clean.png": (64, 240), "tall.png": (150, 90), "tiny.png": (5, 7), "dot.png": (1, 1)}


@pytest.fixture
def catalog(tmp_path):
    "Five images of four sizes; the first bears a line and a square, the tall one a square."
    rng, rows = np.random.default_rng(0), []
    for name, (h, w) in SHAPES.items(): write_image(tmp_path/name, np.clip(.4+.05*rng.standard_normal((h, w)), 0, 1))
    odd = "<a> & 'b'.png"
    for name, c, box in [(odd, 2, np.s_[5:60, 100:104]), (odd, 4, np.s_[20:50, 150:190]), ("tall.png", 1, np.s_[100:120, 30:50])]:
        mask = np.zeros(SHAPES[name], bool)
        mask[box] = True
        rows.append((name, c, rle_encode(mask)))
    images = pd.DataFrame([(n, h, w) for n, (h, w) in SHAPES.items()], columns=["ImageId", "height", "width"])
    return Catalog(pd.DataFrame(rows, columns=["ImageId", "ClassId", "EncodedPixels"]), images, SEVERSTAL, tmp_path)


@pytest.fixture
def strip(catalog): return catalog.image(catalog.ids[0]), catalog.stack(catalog.ids[0])


def shown(e): return [c for c in e.cells if c.layout.display != "none" and c.value]


# --- numbers

def test_contrast_is_that_of_regions(strip):
    image, stack = strip
    ours, theirs = region_contrast(image, stack), region_table(stack, image)
    for name in ("ClassId", "area", "top", "left"): assert (ours[name] == theirs[name]).all()
    np.testing.assert_allclose(ours.contrast, theirs.contrast, atol=1e-6)


def test_stand_out_by_the_definition(strip):
    image, stack = strip
    region = stack[1]
    ring = binary_dilation(region, np.ones((3, 3)), iterations=3) & ~stack.any(0)
    expected = np.abs(image[region]-image[ring].mean(dtype=float)).mean()/image[ring].std(dtype=float)
    assert region_contrast(image, stack, ring=3).stand_out[0] == pytest.approx(expected, rel=1e-5)


def test_region_without_steel_has_no_contrast():
    full = region_contrast(np.full((9, 9), .5), np.ones((1, 9, 9), bool))
    assert full.area[0] == 81 and full[["contrast", "stand_out"]].isna().all(axis=None)
    assert len(region_contrast(np.zeros((9, 9)), np.zeros((4, 9, 9), bool))) == 0
    with pytest.raises(ValueError, match="of this image"): region_contrast(np.zeros((9, 9)), np.zeros((4, 9, 8), bool))


def test_light_and_dark_at_once_stands_out(strip):
    image, mask = np.full((40, 40), .5), np.zeros((1, 40, 40), bool)
    image += .01*np.random.default_rng(0).standard_normal(image.shape)
    mask[0, 10:30, 10:30] = True
    image[10:30, 10:20] += .2; image[10:30, 20:30] -= .2
    row = region_contrast(image, mask).iloc[0]
    assert abs(row.contrast) < .01 and row.stand_out > 10


def test_flat_steel_divides_by_no_zero():
    mask = np.zeros((1, 30, 30), bool)
    mask[0, 10:20, 10:20] = True
    assert region_contrast(np.where(mask[0], .5, .4), mask).stand_out[0] == pytest.approx(.1*255)


def test_contrast_table_is_the_median_without_specks(strip):
    image, stack = strip
    stack = stack.copy()
    stack[1, 2, 2] = True
    t = contrast_table([StepPicture("a", "b", image, stack)], SEVERSTAL)
    whole = region_contrast(image, stack).query("area >= 20")
    assert t.ClassId.tolist() == [2, 4] and t.regions.tolist() == [1, 1]
    np.testing.assert_allclose(t.stand_out, whole.stand_out)
    assert len(contrast_table([StepPicture("a", "b", image, stack)], SEVERSTAL, min_area=0).query("regions == 2")) == 1


# --- steps

def test_every_step_has_a_range_with_its_default():
    assert set(PARAMETERS) == set(STEPS)
    for step, (name, values) in PARAMETERS.items(): assert STEPS[step].__kwdefaults__[name] in values


def test_preprocessing_is_that_of_the_library(strip):
    image, stack = strip
    for step, (parameter, values) in PARAMETERS.items():
        pictures = list(preprocessed(image, stack, step))
        assert sum("(default)" in p.level for p in pictures) == 1
        for p, v in zip(pictures, values): np.testing.assert_array_equal(p.image, STEPS[step](image, **{parameter: v}))
        np.testing.assert_array_equal(next(p for p in pictures if "(default)" in p.level).image, prepare(image, [step]))


@pytest.mark.parametrize("level", [0, -1, np.nan, np.inf])
def test_odd_parameters(strip, level):
    with pytest.raises(ValueError, match="a number above 0"): next(preprocessed(*strip, "clahe", levels=[level]))


def test_changes_are_those_of_the_augmentation():
    for turns in (True, False):
        names = [type(c).__name__ for c in augmentation(turns=turns).children()]
        parts = changes(1, turns=turns)
        assert len(parts) == len(names)+1 and [type(next(iter(p.children()))).__name__ for p in list(parts.values())[1:]] == names
    assert next(iter(changes()["gamma"].children())).p == 1 and augmentation(strength=1)[4].p < 1
    for strength in (-1, np.nan, 9):
        with pytest.raises(ValueError, match="give 0 to 4"): changes(strength)


def test_whole_augmentation_is_that_of_training(strip):
    image, stack = strip[0][:, :64], strip[1][..., :64]
    p = next(augmented(image, stack, strengths=[1], seeds=[7]))
    torch.manual_seed(7)
    x, y = augmentation()(torch.from_numpy(image)[None, None], torch.from_numpy(stack).float()[None])
    np.testing.assert_allclose(p.image, x[0, 0].clamp(0, 1).numpy(), atol=1e-6)
    np.testing.assert_array_equal(p.stack, y[0].numpy() > .5)


def test_chance_comes_from_the_seed_and_leaves_the_generator_alone(strip):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    a, b = (list(augmented(*strip, "gaussian noise", strengths=[1], seeds=[1, 2])) for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(a[1].image, b[1].image)
    assert (a[0].image != a[1].image).any()


def test_strength_grows(strip):
    noise = [np.std(p.image-strip[0]) for p in augmented(*strip, "gaussian noise", strengths=[.5, 1, 2], seeds=[0])]
    np.testing.assert_allclose(np.divide(noise[1:], noise[:-1]), 2, rtol=.05)
    still, = augmented(*strip, "gamma", strengths=[0], seeds=[0])
    np.testing.assert_array_equal(still.image, strip[0])


def test_masks_go_along_with_flips_and_turns(strip):
    marked = np.where(strip[1].any(0), 1., 0.).astype(np.float32)[:, 90:154]
    for change in ("horizontal flip", "vertical flip", "rotation 90"):
        for p in augmented(marked, strip[1][..., 90:154], change):
            np.testing.assert_array_equal(p.image > .5, p.stack.any(0))
            assert p.stack.sum() == strip[1][..., 90:154].sum() and not np.array_equal(p.image, marked)


def test_flips_know_neither_strength_nor_chance(strip):
    assert [p.level for p in augmented(*strip, "vertical flip", strengths=[0, 1], seeds=[4, 5])] == ["seed 4"]
    with pytest.raises(ValueError, match="unknown for this image"): next(augmented(*strip, "rotation 90"))
    with pytest.raises(ValueError, match="use augmentation, horizontal flip"): next(augmented(*strip, "hue"))


# --- windows and pictures

def test_windows_hold_their_regions(strip):
    windows = _step_windows(strip[1], SEVERSTAL, (64, 64))
    assert list(windows)[:2] == ["2 thin crack, region 1 of 1", "4 patch, region 1 of 1"]
    for c, (top, left) in zip((1, 3), windows.values()): assert strip[1][c, top:top+64, left:left+64].sum() == strip[1][c].sum()
    covered = np.zeros(strip[0].shape, bool)
    for top, left in list(windows.values())[2:]: covered[top:top+64, left:left+64] = True
    assert covered.all()


def test_windows_are_bounded():
    stack = np.zeros((1, 900, 900), bool)
    for n in range(60): stack[0, 14*n:14*n+6, 3:9] = True
    assert len(_step_windows(stack, SEVERSTAL[:1], (64, 64))) == 80
    assert list(_step_windows(stack[:, :5, :7], SEVERSTAL[:1]).values())[-1] == (0, 0)


def test_each_step_once_cut_as_training_cuts(catalog, strip):
    pictures = list(step_pictures(*strip, corner=(0, 90), size=(64, 64), before=["clahe"]))
    assert [p.step for p in pictures] == ["as read", "flat field", "clahe", *changes()]
    np.testing.assert_array_equal(pictures[2].image, prepare(strip[0], ["clahe"])[:, 90:154])
    np.testing.assert_allclose(pictures[4].image, prepare(strip[0], ["clahe"])[:, 90:154][:, ::-1], atol=1e-6)
    tiny = catalog.subset(["tiny.png"])
    crop = Crops(tiny, size=(16, 16))[0]
    assert next(step_pictures(tiny.image("tiny.png"), tiny.stack("tiny.png"), size=(16, 16))).image.tolist() == crop["image"][0].tolist()


def test_bad_windows(strip):
    with pytest.raises(ValueError, match="8 x 8"): next(step_pictures(*strip, size=(4, 64)))
    with pytest.raises(ValueError, match="must be alike"): next(step_pictures(strip[0][:, :8], strip[1]))


def test_names_without_turns(): assert "rotation 90" in _step_names() and "rotation 90" not in _step_names((64, 128))


def test_lines_stay_outside_and_every_class_shows(strip):
    image, mask = np.full((60, 200), .4, np.float32), np.zeros((4, 60, 200), bool)
    for c in range(4): mask[c, 10:50, 10+50*c:40+50*c] = True
    rgb = step_rgb(StepPicture("", "", image, mask), SEVERSTAL)
    inside = mask.any(0)
    assert (rgb[inside] == 102).all()
    for c, m in zip(SEVERSTAL, mask):
        line = (rgb == c.color).all(-1)
        assert line.sum() > 50 and not (line & ~binary_dilation(m, iterations=3)).any()
    with pytest.raises(ValueError, match=r"pass \(C, H, W\)"): step_rgb(StepPicture("", "", image, mask[:2]), SEVERSTAL)


def test_plot(strip):
    pictures = list(step_pictures(*strip, "gamma", size=(64, 64), corner=(0, 90)))
    fig = plot_steps(pictures, SEVERSTAL)
    titles = [t for ax in fig.axes if (t := ax.get_title(loc="left"))]
    assert len(titles) == len(pictures) == 13 and "2 thin crack:" in titles[0]
    words = _picture_words(pictures[0], contrast_table(pictures, SEVERSTAL))
    assert re.fullmatch(r"2 thin crack: contrast [+-]0\.\d\d, stands out \d\.\d; 4 patch: .*", words)
    empty = plot_steps([replace(p, stack=p.stack & False) for p in pictures[:2]], SEVERSTAL)
    assert "no defect in sight" in empty.axes[0].get_title(loc="left") and not empty.legends
    with pytest.raises(ValueError, match="step_pictures"): plot_steps([], SEVERSTAL)


# --- the explorer

def test_explorer_follows_its_controls(catalog):
    e = StepExplorer(catalog, size=(64, 64))
    assert e.image_id == catalog.ids[0] and len(shown(e)) == len(e.pictures) == 3+len(changes())
    first = [c.value for c in shown(e)]
    e.seed.value = 5
    assert [c.value for c in shown(e)][:3] == first[:3] and [c.value for c in shown(e)][3:] != first[3:]
    e.step.value = "clahe"
    assert [p.level for p in e.pictures] == ["", *(f"limit {v:g}"+" (default)"*(v == .01) for v in PARAMETERS["clahe"][1])] and len(shown(e)) == 6
    e.step.value, e.strength.value = "gamma", .5
    assert [p.level for p in e.pictures[1::4]] == [f"strength {s:g}, seed 5" for s in (.25, .5, 1)]
    e.window.index = 1
    np.testing.assert_array_equal(e.pictures[0].stack[3].sum(), catalog.stack(catalog.ids[0])[3].sum())


def test_value_is_what_training_takes(catalog):
    e = StepExplorer(catalog, size=(64, 64))
    assert e.value == dict(steps=(), strength=1.)
    e.before.value, e.strength.value, e.step.value = ("clahe", "flat_field"), 1.5, "vertical flip"
    assert e.value == dict(steps=("clahe", "flat_field"), strength=1.5)
    assert "steps=(&#x27;clahe&#x27;, &#x27;flat_field&#x27;), strength=1.5" in e.status.value
    crops = Crops(catalog, size=(64, 64), steps=e.value["steps"])
    top, left = e.window.value
    whole = crops.images(e.image_id)[0]
    np.testing.assert_allclose(e.pictures[1].image, whole[top:top+64, left:left+64][::-1], atol=1e-6)


def test_images_by_number_name_and_neighbour(catalog):
    e = StepExplorer(catalog, size=(64, 64))
    e.next.click()
    assert e.image_id == "clean.png" and "no defect in sight" in e.cells[0].value
    e.previous.click(); e.previous.click()
    assert e.image_id == catalog.ids[-1]
    e.name.value = "TALL"
    assert e.name.options == ("tall.png",) and e.image_id == catalog.ids[-1]
    e.name.value = "tall.png"
    assert e.image_id == "tall.png" and list(e.window.options)[0] == "1 inclusion, region 1 of 1" and e.pictures[0].stack[0].sum() == 400
    e.number.value = 1
    assert "&lt;a&gt; &amp; &#x27;b&#x27;.png" in e.status.value and "<a>" not in e.status.value


def test_large_catalogs_are_not_sent_to_the_browser(catalog):
    many = pd.DataFrame(dict(ImageId=[catalog.ids[0], *(f"none-{n:05}.png" for n in range(12567))], height=64, width=240))
    e = StepExplorer(replace(catalog, images=many, labels=catalog.labels.iloc[:2]), size=(64, 64))
    e.name.value = "none-1"
    assert len(e.name.options) == 20 and e.number.max == 12568
    assert sum(len(str(w.get_state())) for w in (e.number, e.name, e.window, e.step)) < 20000


def test_faults_are_said_and_the_rest_goes_on(catalog):
    e = StepExplorer(catalog, size=(64, 64))
    (catalog.folder/"clean.png").unlink()
    write_image(catalog.folder/"tall.png", np.full((20, 20), .5))
    for _ in range(2):
        e.next.click()
        assert e.body.layout.display == "none" and "go on to another image" in e.status.value and e.still() is None and not e.pictures
        e.seed.value += 1
        assert e.body.layout.display == "none"
    e.next.click()
    assert e.image_id == "tiny.png" and e.body.layout.display == "" and e.pictures[0].image.shape == (64, 64) and len(shown(e)) == 3+len(changes())
    e.next.click()
    assert e.image_id == "dot.png" and len(shown(e)) == 3+len(changes())
    labels_only = StepExplorer(replace(catalog, folder=None))
    assert "name the image folder" in labels_only.status.value


def test_catalogs_of_one_and_of_none(catalog):
    e = StepExplorer(catalog.subset(["clean.png"]), size=(64, 64))
    assert e.next.disabled and e.previous.disabled and e.pictures
    with pytest.raises(ValueError, match="at least one"): StepExplorer(catalog.subset([]))
    with pytest.raises(ValueError, match="8 x 8"): StepExplorer(catalog, size=(4, 4))
    with pytest.raises(ValueError, match="nowhere.png"): StepExplorer(catalog, image_id="nowhere.png")


def test_steps_are_computed_once_for_an_image(catalog, monkeypatch):
    seen = []
    monkeypatch.setitem(STEPS, "clahe", lambda image, *, limit=.01: seen.append(limit) or image)
    STEPS["clahe"].__kwdefaults__ = dict(limit=.01)
    e = StepExplorer(catalog, size=(64, 64))
    e.seed.value, e.before.value, e.strength.value = 3, ("clahe",), 2
    assert seen == [.01]
    e.next.click()
    assert seen == [.01, .01]


def test_still(catalog):
    e = StepExplorer(catalog, size=(64, 64))
    e.step.value = "clahe"
    data = e.still()
    with Image.open(io.BytesIO(data)) as picture: assert picture.format == "JPEG" and min(picture.size) > 200
    assert [w.split("\n")[0] for _, w in e._sheet] == [p.name for p in e.pictures] and "contrast" in e._sheet[0][1]
    assert len(data) < 200_000
    e.still = lambda: data
    assert "data:image/jpeg" in str(e._repr_mimebundle_())
