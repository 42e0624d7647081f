"Crops are where they say, repeatable, and augmented together with their masks."

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from steel_defects.catalog import read_severstal
from steel_defects.dataset import Crops, augmentation, class_weights, crop_corner, crop_loader, random_pixel, strip_loader
from steel_defects.images import grey_level, standardise, write_image
from steel_defects.layouts import read_label_maps
from steel_defects.rle import rle_encode


@pytest.fixture(scope="module")
def sample(root): return read_severstal(root/"data"/"sample"/"train.csv", root/"data"/"sample"/"train_images")


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**31))
def test_crop_holds_its_pixel(height, width, h, w, seed):
    rng = np.random.default_rng(seed)
    pixel = int(rng.integers(height)), int(rng.integers(width))
    top, left = crop_corner((height, width), (h, w), rng, pixel)
    assert top <= pixel[0] < top+h and left <= pixel[1] < left+w
    assert 0 <= top <= max(0, height-h) and 0 <= left <= max(0, width-w)


def test_random_pixel_is_even():
    mask = np.random.default_rng(0).random((9, 11)) > .7
    text, rng, hits = rle_encode(mask), np.random.default_rng(1), np.zeros(mask.shape)
    for _ in range(4000): hits[random_pixel(text, 9, rng)] += 1
    assert (hits[~mask] == 0).all() and (hits[mask] > 4000/mask.sum()*.5).all()  # 5 sigma below the mean is .58


def test_crop_is_the_image(sample):
    crops = Crops(sample, size=(128, 200), seed=3)
    for i in range(12):
        image_id, (top, left), _ = crops.choose(i)
        item, window = crops[i], (slice(top, top+128), slice(left, left+200))
        assert (item["image"][0] == sample.image(image_id)[window]).all()
        assert (item["mask"] == sample.stack(image_id)[(slice(None), *window)]).all()
        assert item["level"] == grey_level(sample.image(image_id))


def test_rare_classes_come_up_more_often(sample):
    labels = sample.labels[(sample.labels.ClassId != 2) | (sample.labels.ImageId == sample.labels.ImageId[sample.labels.ClassId == 2].iloc[0])]
    from dataclasses import replace
    rare = replace(sample, labels=labels.reset_index(drop=True))
    crops, chosen = Crops(rare, crops=600, defect_share=1., seed=0), np.zeros(4)
    for i in range(600): chosen += rare.presence().loc[crops.choose(i)[0]].to_numpy()
    assert chosen[1]/600 > 1.5*rare.presence()[2].mean()  # one of 32 images, well above its share
    assert class_weights(rare.presence().to_numpy()).sum() == pytest.approx(1)


def test_workers_change_nothing(sample):
    batches = [list(crop_loader(sample, batch=4, crops=8, size=(64, 64), augment=augmentation(), workers=w, seed=5)) for w in (0, 2)]
    for (a, b), (c, d) in zip(*batches): assert torch.equal(a, c) and torch.equal(b, d)


def test_augmentation_moves_image_and_mask_alike(sample):
    mask = torch.zeros(16, 1, 64, 64)
    mask[:, :, 10:30, 20:50] = 1
    torch.manual_seed(0)
    x, y = augmentation(strength=0)(mask.clone(), mask.clone())
    assert torch.equal((x > .5).float(), y)
    torch.manual_seed(0)
    x, y = augmentation()(mask*.5+.25, mask.clone())
    agree = ((x > x.amin((1, 2, 3), keepdim=True).add(x.amax((1, 2, 3), keepdim=True)).div(2)).float() == y).float().mean((1, 2, 3))
    assert (agree > .93).all()  # bilinear against nearest, blur and slanted light leave the rim open


def test_small_images_are_mirrored_not_resized(tmp_path):
    image = np.random.default_rng(0).random((20, 30))
    write_image(tmp_path/"images"/"a.png", image)
    write_image(tmp_path/"annotations"/"a.png", (image > .5).astype(np.uint8))
    item = Crops(read_label_maps(tmp_path, classes=["rust"]), size=(64, 64))[0]
    assert item["image"].shape == (1, 64, 64) and item["mask"].shape == (1, 64, 64)
    assert (item["image"][0, :20, :30] == np.round(image*255).astype(np.uint8)/np.float32(255)).all()
    assert (item["image"][0, 20:40, :30] == item["image"][0, :20, :30][::-1]).all()


def test_strips_are_whole_and_standardised(sample):
    for i, (x, y) in zip(sample.ids[:3], strip_loader(sample)):
        assert (x[0, 0].numpy() == standardise(sample.image(i))).all() and (y[0].numpy() == sample.stack(i)).all()
