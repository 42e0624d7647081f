"Pictures keep what they do not show, and tell outcomes apart without colour."
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from steel_defects.defects import PATTERNS, SEVERSTAL, classes_from_names
from steel_defects.overlay import OUTCOMES, compare_masks, contours, outcome_masks, overlay_masks, pattern_mask, to_rgb

stacks = arrays(bool, (4, 20, 30))


@given(stacks, st.floats(0, 1))
def test_pixels_without_mask_keep_their_grey(stack, opacity):
    image = np.linspace(0, 1, 600).reshape(20, 30)
    drawn = overlay_masks(image, stack, SEVERSTAL, opacity=opacity)
    assert (drawn[~stack.any(0)] == to_rgb(image)[~stack.any(0)]).all()


@given(stacks, st.integers(1, 4))
def test_contours_lie_inside(stack, width):
    rim = contours(stack, width=width)
    assert (rim <= stack).all()


@given(stacks, stacks)
def test_outcomes_part_all_claims(truth, found):
    parts = outcome_masks(truth, found)
    assert (sum(p.astype(int) for p in parts.values()) == (truth | found)).all()


def test_patterns_differ_from_each_other():
    drawn = {p: pattern_mask(p, (60, 60)) for p in PATTERNS}
    for a in PATTERNS:
        for b in PATTERNS: assert a == b or (drawn[a] != drawn[b]).mean() > .1


def test_outcomes_differ_in_grey():
    image, full, none = np.full((64, 64), .2), np.ones((1, 64, 64), bool), np.zeros((1, 64, 64), bool)
    classes = classes_from_names(["rust"])
    grey = {name: compare_masks(image, t, f, classes)[8:-8, 8:-8].mean(-1) for name, (t, f) in
            dict(found=(full, full), missed=(full, none), false=(none, full)).items()}
    assert grey["found"].std() < 1  # filled: one grey
    assert grey["missed"].std() > 20 and grey["false"].std() > 20 and set(OUTCOMES) == set(grey)
    assert abs(grey["missed"]-grey["false"]).mean() > 20  # stripes are not dots


def test_classes_of_one_type_stay_apart():
    classes = classes_from_names([f"scratch {i}" for i in range(4)])
    assert len({(c.color, c.pattern) for c in classes}) == 4 and len({c.color for c in classes}) == 4
