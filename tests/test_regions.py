"Regions against scikit-image and shapes whose answer is known."
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import label
from skimage.morphology import remove_small_objects

from steel_defects.regions import length_and_width, region_table, remove_small

masks = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


@given(masks, st.integers(0, 20))
def test_remove_small_equals_scikit_image(mask, min_area):
    ours = remove_small(mask, min_area)
    theirs = remove_small_objects(mask, max_size=min_area-1, connectivity=2) if min_area > 1 else mask
    assert (ours == theirs).all() and (ours <= mask).all()


@given(masks)
def test_table_holds_every_pixel_once(mask):
    table = region_table(mask[None])
    assert table.area.sum() == mask.sum() and len(table) == label(mask, connectivity=2).max()
    for r in table.itertuples(): assert mask[r.top:r.bottom, r.left:r.right].sum() >= r.area


@pytest.mark.parametrize("length, width", [(40, 1), (60, 2), (80, 5), (90, 6), (120, 9)])
@pytest.mark.parametrize("turned", [False, True])
def test_bars(length, width, turned):
    bar = np.zeros((160, 160), bool)
    bar[20:20+length, 30:30+width] = True
    found = length_and_width(bar.T if turned else bar)
    assert found[0] == pytest.approx(length, abs=width/2+1)  # the skeleton ends half a width before the bar, give or take a pixel
    assert found[1] == pytest.approx(width, abs=.6)


def test_contrast_is_measured_against_steel_only():
    image, stack = np.full((40, 60), .6), np.zeros((2, 40, 60), bool)
    stack[0, 10:20, 10:20], stack[1, 10:20, 21:30] = True, True
    image[stack[0]], image[stack[1]] = .4, .1
    assert region_table(stack, image).contrast.tolist() == pytest.approx([-.2, -.5])
    assert np.isnan(region_table(np.ones((1, 8, 8)), np.ones((8, 8))).contrast[0])
