"Losses agree with other libraries, keep finite gradients anywhere, and follow the empty rule."
import pickle
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from steel_defects.losses import bce, bce_dice, focal, soft_cldice, soft_dice, soft_skeleton, tversky, weighted_sum

recipe = weighted_sum([(1, bce), (.5, soft_dice), (.25, soft_cldice)])
LOSSES = [bce, focal, partial(focal, alpha=.25, gamma=.5), soft_dice, tversky, soft_cldice, bce_dice, recipe]
OVERLAPS = [soft_dice, tversky, soft_cldice]
every = pytest.mark.parametrize("loss", LOSSES, ids=lambda f: getattr(f, "__name__", "partial"))
overlaps = pytest.mark.parametrize("loss", OVERLAPS, ids=lambda f: f.__name__)


def pair(*shape, seed=0, share=.3, dtype=torch.float32):
    "Random logits and a random target."
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=dtype)*3, torch.rand(shape, generator=generator) < share


# --- agreement with other libraries, where the definitions agree

def test_bce_is_torchs():
    logits, target = pair(2, 3, 9, 11)
    torch.testing.assert_close(bce(logits, target), torch.nn.BCEWithLogitsLoss()(logits, target.float()))
    torch.testing.assert_close(bce(logits, target, pos_weight=5.),
                               torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(5.))(logits, target.float()))


@pytest.mark.parametrize("gamma", [0., .5, 2., 5.])
@pytest.mark.parametrize("alpha", [None, .25, .9])
def test_focal_is_the_paper(gamma, alpha):
    "Lin et al. 2017, equation 5, written out."
    logits, target = pair(2, 3, 9, 11, dtype=torch.float64)
    p_true = torch.where(target, logits.sigmoid(), 1 - logits.sigmoid())
    weight = 1. if alpha is None else torch.where(target, alpha, 1 - alpha)
    expected = (-weight*(1 - p_true)**gamma*p_true.log()).mean()
    torch.testing.assert_close(focal(logits, target, gamma=gamma, alpha=alpha), expected, rtol=1e-7, atol=1e-9)


def softmax_twin(seed):
    "Labels that exclude each other, and logits whose sigmoid is the softmax: kornia's losses then mean the same."
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(4).repeat(30)[torch.randperm(120, generator=generator)].reshape(1, 10, 12)
    scores = torch.randn(1, 4, 10, 12, generator=generator, dtype=torch.float64)
    p = scores.softmax(1)
    return scores, labels, torch.logit(p), F.one_hot(labels, 4).permute(0, 3, 1, 2).bool()


@pytest.mark.parametrize("seed", range(3))
def test_dice_and_tversky_are_kornias_where_classes_exclude_each_other(seed):
    from kornia.losses import dice_loss, tversky_loss
    scores, labels, logits, target = softmax_twin(seed)
    expected = dice_loss(scores, labels, average="macro")
    torch.testing.assert_close(soft_dice(logits, target, smooth=1e-8), expected, rtol=1e-6, atol=1e-8)
    for alpha, beta in [(.5, .5), (.3, .7), (1., 0.)]:
        torch.testing.assert_close(tversky(logits, target, alpha=alpha, beta=beta, smooth=1e-8),
                                   tversky_loss(scores, labels, alpha=alpha, beta=beta), rtol=1e-6, atol=1e-8)


def test_dice_of_a_sure_answer_is_torchmetrics_f1():
    from torchmetrics.functional.classification import multilabel_f1_score
    found, target = pair(3, 4, 16, 16)[0] > 0, pair(3, 4, 16, 16, seed=1)[1]
    score = multilabel_f1_score(found.int(), target.int(), num_labels=4, average="macro")
    loss = soft_dice(200.*(2*found.double() - 1), target, smooth=1e-9)
    assert 1 - loss.item() == pytest.approx(score.item(), abs=1e-6)


def test_skeleton_is_the_reference_algorithm():
    "Algorithm 1 of Shit et al. 2021, with scipy's minima and maxima in place of pooling."
    from scipy.ndimage import grey_dilation, grey_erosion
    p = torch.rand(1, 1, 20, 23, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)
    thin = lambda a: grey_erosion(a, footprint=cross, mode="nearest")
    opened = lambda a: grey_dilation(thin(a), size=(3, 3), mode="nearest")
    image = p[0, 0].numpy()
    skeleton = np.maximum(image - opened(image), 0)
    for _ in range(4):
        image = thin(image)
        delta = np.maximum(image - opened(image), 0)
        skeleton = skeleton + np.maximum(delta - skeleton*delta, 0)
    np.testing.assert_allclose(soft_skeleton(p, 4)[0, 0].numpy(), skeleton, atol=1e-12)


def test_skeleton_of_a_mask_lies_inside_it_near_the_thinned_line():
    from scipy.ndimage import binary_dilation
    from skimage.draw import line
    from skimage.morphology import disk, skeletonize
    mask = np.zeros((60, 60), bool)
    for y0, x0, y1, x1 in [(5, 5, 30, 50), (30, 50, 55, 20)]: mask[line(y0, x0, y1, x1)] = True
    mask = binary_dilation(mask, disk(2))
    soft = soft_skeleton(torch.tensor(mask)[None, None].float(), 5)[0, 0].numpy() > .5
    assert soft.any() and not soft[~mask].any()
    assert binary_dilation(soft, disk(2))[skeletonize(mask)].mean() > .95


# --- gradients

@every
def test_gradcheck(loss):
    "Analytic gradients equal numerical ones; min and max pooling have kinks, which random values miss."
    logits, target = pair(2, 2, 4, 5, dtype=torch.float64)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: loss(z, target), (logits,), eps=1e-6, atol=1e-6)


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [1e2, 1e4, 1e30])
def test_gradients_are_finite_at_extreme_logits(loss, dtype, size):
    signs, target = pair(2, 3, 8, 8)
    for logits in (signs.sign()*size, torch.full_like(signs, size), torch.full_like(signs, -size), signs*0):
        logits = logits.to(dtype).requires_grad_()
        value = loss(logits, target)
        value.backward()
        assert value.dtype == torch.float32 and torch.isfinite(value)
        assert logits.grad.dtype == dtype and torch.isfinite(logits.grad).all()


@every
def test_a_step_down_the_gradient_helps(loss):
    logits, target = pair(2, 3, 16, 16, dtype=torch.float64)
    logits.requires_grad_()
    before = loss(logits, target)
    (gradient,) = torch.autograd.grad(before, logits)
    assert loss(logits - 1e-3*gradient/gradient.abs().max(), target) < before


@every
def test_autocast_changes_nothing(loss):
    logits, target = pair(2, 3, 40, 40)
    expected = loss(logits.bfloat16(), target)
    with torch.autocast("cpu", dtype=torch.bfloat16): assert torch.equal(loss(logits.bfloat16(), target), expected)


# --- the empty rule

@every
def test_rightly_empty_costs_nothing_and_a_false_alarm_does(loss):
    clean = torch.zeros(2, 2, 64, 64, dtype=torch.bool)
    alarm = torch.full(clean.shape, -12.)
    rightly = loss(alarm, clean).item()
    alarm[0, 0, 30:33, 5:60] = 12.
    assert rightly < .01 and loss(alarm, clean).item() > max(3*rightly, .005)


@overlaps
def test_smooth_has_its_plain_meaning(loss):
    "A false alarm of `smooth` pixels (for clDice twice that, along the line) costs one half."
    clean, alarm = torch.zeros(1, 1, 64, 64), torch.full((1, 1, 64, 64), -40.)
    alarm[0, 0, 20, 10:50] = 40.
    kwargs = dict(alpha=.5, beta=.5) if loss is tversky else {}
    smooth = 20. if loss is soft_cldice else 40.
    assert loss(alarm, clean, smooth=smooth, **kwargs).item() == pytest.approx(.5, abs=1e-5)


@overlaps
def test_classes_are_averaged_and_batches_summed(loss):
    logits, target = pair(3, 4, 12, 12)
    one_by_one = torch.stack([loss(logits[:, c:c+1], target[:, c:c+1]) for c in range(4)]).mean()
    torch.testing.assert_close(loss(logits, target), one_by_one)
    doubled = loss(logits.repeat(2, 1, 1, 1), target.repeat(2, 1, 1, 1), smooth=20.)
    torch.testing.assert_close(doubled, loss(logits, target, smooth=10.))


# --- properties

@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.sampled_from([0., .05, .5, 1.]), scale=st.sampled_from([0., .1, 1., 30.]),
       b=st.integers(1, 3), c=st.integers(1, 4), h=st.integers(1, 9), w=st.integers(1, 9))
def test_bounds_and_order(seed, share, scale, b, c, h, w):
    logits, target = pair(b, c, h, w, seed=seed, share=share)
    logits = logits*scale
    for loss in LOSSES: assert loss(logits, target) >= -1e-6
    for loss in OVERLAPS: assert loss(logits, target) <= 1 + 1e-6
    torch.testing.assert_close(focal(logits, target, gamma=0.), bce(logits, target), rtol=1e-5, atol=1e-6)
    assert focal(logits, target, gamma=2.) <= bce(logits, target) + 1e-6
    torch.testing.assert_close(tversky(logits, target, alpha=.5, beta=.5), soft_dice(logits, target))
    sure = 40.*(2*target.float() - 1)
    for loss in LOSSES: assert loss(sure, target) < 1e-5
    for loss in LOSSES: torch.testing.assert_close(loss(logits, target), loss(logits, target.float()))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), rounds=st.integers(0, 6), h=st.integers(1, 12), w=st.integers(1, 12))
def test_skeleton_stays_inside(seed, rounds, h, w):
    p = torch.rand(1, 2, h, w, generator=torch.Generator().manual_seed(seed))
    skeleton = soft_skeleton(p, rounds)
    assert skeleton.shape == p.shape and (skeleton >= 0).all() and (skeleton <= p + 1e-6).all()
    assert (soft_skeleton(p, rounds + 1) >= skeleton - 1e-6).all()


def test_soft_cldice_minds_a_gap_more_than_a_width():
    truth = torch.zeros(1, 1, 40, 80, dtype=torch.bool)
    truth[..., 18:21, 5:75] = True
    gap, fat = truth.clone(), truth.clone()
    gap[..., 34:46] = False
    fat[..., 16:23, 5:75] = True
    sure = lambda mask: 10.*(2*mask.float() - 1)
    assert soft_cldice(sure(gap), truth) > 3*soft_cldice(sure(fat), truth)
    assert soft_dice(sure(gap), truth) < soft_dice(sure(fat), truth)


# --- sums and refusals

def test_weighted_sum_adds_and_pickles():
    logits, target = pair(2, 3, 9, 9)
    expected = bce(logits, target) + soft_dice(logits, target)/2 + soft_cldice(logits, target)/4
    torch.testing.assert_close(recipe(logits, target), expected)
    assert torch.equal(pickle.loads(pickle.dumps(recipe))(logits, target), recipe(logits, target))


@pytest.mark.parametrize("terms", [[], [(0, bce)], [(-1, bce)], [(1, "bce")]])
def test_weighted_sum_refuses(terms):
    with pytest.raises(ValueError, match="weighted_sum got"): weighted_sum(terms)


@every
@pytest.mark.parametrize("logits, target", [((2, 3, 8, 8), (2, 8, 8)), ((2, 3, 8, 8), (2, 1, 8, 8)),
                                            ((8, 8), (8, 8)), ((1, 1, 8, 8), (1, 1, 8, 9))])
def test_refuses_other_shapes(loss, logits, target):
    with pytest.raises(ValueError, match="must be .B, C, H, W."): loss(torch.zeros(logits), torch.zeros(target))


@every
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_refuses_integer_targets(loss, dtype):
    with pytest.raises(TypeError, match="bool or float"):
        loss(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4).to(dtype))


@pytest.mark.parametrize("call, words", [
    (lambda z, t: soft_dice(z, t, smooth=0), "smooth=0"), (lambda z, t: tversky(z, t, smooth=-1), "smooth=-1"),
    (lambda z, t: soft_cldice(z, t, smooth=float("nan")), "smooth=nan"),
    (lambda z, t: tversky(z, t, alpha=-.1), "alpha=-0.1"),
    (lambda z, t: focal(z, t, alpha=1.5), "alpha=1.5"), (lambda z, t: focal(z, t, gamma=-.5), "gamma=-0.5"),
    (lambda z, t: soft_cldice(z, t, iterations=-1), "iterations=-1")])
def test_refuses_impossible_options(call, words):
    with pytest.raises(ValueError, match=words): call(*pair(1, 1, 4, 4))
