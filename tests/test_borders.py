"Boundary IoU, surface Dice and clDice: against their definitions in plain loops, and on shapes whose answer is known on paper."
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import label
from skimage.morphology import skeletonize

from steel_defects.borders import (
    border_parts, boundary_band, boundary_iou, boundary_parts, centre_line, cldice, cldice_parts, mask_rim, surface_dice, surface_parts,
)
from steel_defects.catalog import Catalog
from steel_defects.defects import SEVERSTAL
from steel_defects.metrics import counts, iou
from steel_defects.rle import rle_encode

PAIRS = (boundary_parts, boundary_iou), (surface_parts, surface_dice), (cldice_parts, cldice)
calm = settings(deadline=None)
shapes = st.tuples(st.integers(1, 10), st.integers(1, 10))
masks = arrays(bool, shapes)
pairs = shapes.flatmap(lambda s: st.tuples(arrays(bool, s), arrays(bool, s)))


def box(top, bottom, left, right, shape=(60, 80)):
    "One box of pixels."
    mask = np.zeros(shape, bool)
    mask[top:bottom, left:right] = True
    return mask


def plain_band(mask, distance):
    "Pixels with something else among their neighbours, counted from the definition."
    wide = np.pad(mask, distance)
    h, w = mask.shape
    inner = [wide[r:r+h, c:c+w] for r in range(2*distance+1) for c in range(2*distance+1)]
    return mask & ~np.all(inner, axis=0)


def plain_surface(pred, true, tolerance):
    "Rim pixels near enough and all rim pixels, every pair of them compared."
    rims = []
    for mask in (pred, true):
        wide = np.pad(mask, 1)
        rims.append(np.argwhere(mask & ~(wide[2:, 1:-1] & wide[:-2, 1:-1] & wide[1:-1, 2:] & wide[1:-1, :-2])))
    a, b = rims
    if not len(a) or not len(b): return [0, len(a)+len(b)]
    far = np.hypot(*(a[:, None]-b[None]).transpose(2, 0, 1))
    return [(far.min(1) <= tolerance).sum()+(far.min(0) <= tolerance).sum(), len(a)+len(b)]


@calm
@given(pairs, st.integers(1, 3))
def test_bands_equal_their_definition(pair, distance):
    p, t = (plain_band(m, distance) for m in pair)
    assert (boundary_band(pair[0], distance) == p).all()
    assert boundary_parts(*pair, distance=distance).tolist() == [(p & t).sum(), (p | t).sum()]


@calm
@given(pairs, st.sampled_from([0, 1, 1.5, 2, 2.9]))
def test_rims_equal_their_definition(pair, tolerance):
    assert surface_parts(*pair, tolerance=tolerance).tolist() == plain_surface(*pair, tolerance)


@calm
@given(pairs)
def test_lines_equal_the_paper(pair):
    p, t = (np.pad(m, 1) for m in pair)
    sp, st_ = skeletonize(p), skeletonize(t)
    parts = cldice_parts(*pair)
    assert parts[[1, 3]].tolist() == [centre_line(m[1:-1, 1:-1]).sum() for m in (p, t)]
    if sp.any() and st_.any() and (parts[0]+parts[2]):
        precision, sensitivity = parts[0]/parts[1], parts[2]/parts[3]
        assert cldice(parts) == pytest.approx(2*precision*sensitivity/(precision+sensitivity))


@calm
@given(masks)
def test_no_region_loses_its_line(mask):
    line, (numbers, n) = centre_line(mask), label(mask, connectivity=2, return_num=True)
    assert (line <= mask).all() and set(numbers[line]) == set(range(1, n+1))


@calm
@given(pairs)
def test_prediction_and_truth_may_change_places(pair):
    for parts, score in PAIRS: assert score(parts(*pair)) == pytest.approx(score(parts(*pair[::-1])))


@calm
@given(pairs, st.integers(0, 3), st.booleans())
def test_turns_and_flips_change_nothing(pair, turns, flip):
    other = [np.rot90(m[::-1] if flip else m, turns) for m in pair]
    for parts in (boundary_parts, surface_parts): assert (parts(*pair) == parts(*other)).all()


@settings(max_examples=30, deadline=None)
@given(pairs)
def test_surroundings_change_nothing(pair):
    wide = [np.pad(m, [(7, 3), (2, 30)]) for m in pair]
    for parts, _ in PAIRS: assert (parts(*pair) == parts(*wide)).all()


@pytest.mark.parametrize("side, distance, moved", [(20, 2, 1), (20, 2, 2), (30, 4, 3), (24, 3, 3)])
def test_moved_square_on_paper(side, distance, moved):
    square, other = box(10, 10+side, 10, 10+side), box(10, 10+side, 10+moved, 10+moved+side)
    band = 4*distance*(side-distance)
    assert boundary_band(square, distance).sum() == band
    both = side*(side-moved)-(side-2*distance)*(side-2*distance+moved)  # both squares, less either inside
    assert boundary_parts(other, square, distance=distance).tolist() == [both, 2*band-both]
    assert boundary_iou(boundary_parts(other, square, distance=distance)) < iou(counts(other, square))


def test_thin_masks_are_all_band():
    crack, other = box(20, 24, 5, 70), box(21, 24, 10, 75)
    assert boundary_iou(boundary_parts(other, crack)) == iou(counts(other, crack))
    assert boundary_band(box(0, 5, 0, 80))[2, 40] == 0 and boundary_band(box(0, 5, 0, 80))[:2].all()  # beyond the image is outside


@pytest.mark.parametrize("apart, tolerance, want", [(0, 0, 1), (1, 0, 0), (2, 2, 1), (3, 2, 0), (3, 3, 1)])
def test_parallel_lines(apart, tolerance, want):
    lines = box(20, 21, 0, 80), box(20+apart, 21+apart, 0, 80)
    assert surface_dice(surface_parts(*lines, tolerance=tolerance)) == want
    assert cldice(cldice_parts(*lines)) == (apart == 0)


def test_discs_in_discs():
    rows, columns = np.mgrid[-40:41, -40:41]
    discs = {r: np.hypot(rows, columns) < r for r in (20, 21, 24)}
    assert surface_dice(surface_parts(discs[21], discs[20])) == 1 and surface_dice(surface_parts(discs[24], discs[20])) == 0
    assert surface_dice(surface_parts(discs[24], discs[20], tolerance=5)) == 1
    assert cldice(cldice_parts(discs[24], discs[20])) == 1


@pytest.mark.parametrize("share", [.25, .5, .75])
def test_part_of_a_line(share):
    line = box(20, 21, 0, 80)
    assert cldice(cldice_parts(box(20, 21, 0, int(80*share)), line)) == pytest.approx(2*share/(1+share))


def test_a_hole_has_a_rim():
    full, holed = box(10, 40, 10, 40), box(10, 40, 10, 40) & ~box(20, 30, 20, 30)
    assert mask_rim(full).sum() == 4*29 and mask_rim(holed).sum() == 4*29+40
    assert surface_parts(holed, full).tolist() == [2*4*29, 2*4*29+40]


@pytest.mark.parametrize("parts, score", PAIRS)
def test_empty_rule(parts, score):
    none, some = box(0, 0, 0, 0), box(10, 20, 10, 30)
    assert score(parts(none, none)) == 1 and score(parts(none, none), empty=-1) == -1 and np.isnan(score(parts(none, none), empty=np.nan))
    for empty in (1., np.nan):
        assert score(parts(some, none), empty=empty) == 0 and score(parts(none, some), empty=empty) == 0
        assert score(parts(box(40, 50, 40, 50), some), empty=empty) == 0  # both there, nothing in common
        assert score(parts(some, some), empty=empty) == 1


@pytest.mark.parametrize("parts, score", PAIRS)
def test_parts_keep_axes_and_add_up(parts, score):
    rng = np.random.default_rng(0)
    pred, true = rng.random((2, 3, 2, 15, 18)) > .6
    whole = parts(pred, true)
    assert whole.dtype == np.int64 and whole.shape[:2] == (3, 2) and score(whole).shape == (3, 2)
    for n, c in np.ndindex(3, 2): assert (whole[n, c] == parts(pred[n, c], true[n, c])).all()
    if parts is cldice_parts: return  # thinning may go another way beside a neighbour
    beside = parts(*(np.concatenate(np.pad(m[:, 0], [(0, 0), (0, 0), (0, 9)]), axis=-1) for m in (pred, true)))
    assert (whole[:, 0].sum(0) == beside).all()


@pytest.mark.parametrize("parts, score", PAIRS)
def test_what_is_no_pair_of_masks_is_refused(parts, score):
    mask = box(0, 5, 0, 5)
    with pytest.raises(TypeError, match="apply a decision or a threshold first"): parts(mask*.5, mask)
    with pytest.raises(ValueError, match="they must be alike"): parts(mask[:5], mask)


@pytest.mark.parametrize("distance", [0, -1, 1.5, np.nan, np.inf])
def test_distance_refused(distance):
    with pytest.raises(ValueError, match="distance is"): boundary_parts(box(0, 5, 0, 5), box(0, 5, 0, 5), distance=distance)


@pytest.mark.parametrize("tolerance", [-1, np.inf, np.nan])
def test_tolerance_refused(tolerance):
    with pytest.raises(ValueError, match="tolerance is"): surface_parts(box(0, 5, 0, 5), box(0, 5, 0, 5), tolerance=tolerance)


def catalog(stacks):
    "A catalog of stacks named a, b, c ..."
    names = [f"{chr(97+k)}.png" for k in range(len(stacks))]
    rows = [(i, c+1, rle_encode(m)) for i, s in zip(names, stacks) for c, m in enumerate(s) if m.any()]
    images = pd.DataFrame([(i, *s.shape[1:]) for i, s in zip(names, stacks)], columns=["ImageId", "height", "width"])
    return Catalog(pd.DataFrame(rows, columns=["ImageId", "ClassId", "EncodedPixels"]).astype({"ClassId": int}), images, SEVERSTAL[:2])


def test_catalogs_give_the_same_parts():
    pred, true = np.zeros((2, 4, 2, 20, 25), bool)
    for k in range(4): pred[k, :, 3:12, k:12], true[k, 0, 2:14, 4:15+k], true[k, 1, 9:, 9+k:] = True, True, True
    pred[1], true[2] = False, False
    for parts, other in ((boundary_parts, dict(distance=1)), (surface_parts, dict(tolerance=3))):
        assert (parts(pred, true) != parts(pred, true, **other)).any()
    found = border_parts(catalog(true), catalog(pred), distance=1, tolerance=3)
    assert (found["boundary"] == boundary_parts(pred, true, distance=1)).all()
    assert (found["surface"] == surface_parts(pred, true, tolerance=3)).all()
    assert (found["cldice"] == cldice_parts(pred, true)).all()
    with pytest.raises(ValueError, match="have no prediction, such as d.png"): border_parts(catalog(true), catalog(pred[:3]))
