"The U-Net keeps its promises on any size, in any precision, and after being saved."
import json
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from steel_defects.unet import UNet, level_names, pad_to_multiple, walk


def lived_in(*args, seed=0, **kwargs):
    "A small U-Net in evaluation mode whose running means and head are no longer the starting ones."
    torch.manual_seed(seed)
    model = UNet(*args, **kwargs)
    torch.nn.init.normal_(model.head.weight)
    with torch.no_grad():
        for _ in range(3): model(torch.randn(4, model.config["in_channels"], 32, 32)*2 + 1)
    return model.eval()


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), classes=st.integers(1, 5), depth=st.integers(1, 4),
       channels=st.integers(1, 3), batch=st.integers(1, 3), residual=st.booleans())
def test_any_size_comes_back(height, width, classes, depth, channels, batch, residual):
    model = UNet(classes, in_channels=channels, width=2, depth=depth, residual=residual).eval()
    with torch.no_grad(): logits = model(torch.randn(batch, channels, height, width))
    assert logits.shape == (batch, classes, height, width)
    assert torch.isfinite(logits).all()


def test_training_mode_gives_logits_and_nothing_else():
    logits = UNet(3, width=4, depth=2).train()(torch.randn(2, 1, 19, 21))
    assert type(logits) is torch.Tensor and logits.shape == (2, 3, 19, 21) and (logits < 0).any()


@pytest.mark.parametrize("residual", [True, False])
def test_gradient_reaches_every_parameter(residual):
    torch.manual_seed(0)
    model = UNet(2, width=4, depth=3, residual=residual)
    model(torch.randn(2, 1, 37, 29)).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        # a bias right before a batch norm would have gradient 0: there must be none
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("residual", [True, False])
def test_overfits_one_batch(residual):
    torch.manual_seed(0)
    images, target = torch.randn(2, 1, 20, 24), torch.zeros(2, 2, 20, 24)
    target[:, 0, 5:7] = 1
    target[0, 1, :, 11] = 1
    images[:, 0] += 2*target[:, 0] - 2*target[:, 1]
    model = UNet(2, width=6, depth=2, residual=residual)
    optimiser = torch.optim.Adam(model.parameters(), lr=.02)
    for _ in range(60):
        loss = F.binary_cross_entropy_with_logits(model(images), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert torch.equal(model(images) > 0, target > 0), f"loss still {loss.item():.3f}"


def test_padding_moves_nothing():
    "Padding by hand to the right and below, then cutting, is what the network does."
    model, images = lived_in(2, width=3, depth=3), torch.randn(2, 1, 21, 45)
    by_hand = F.pad(images, (0, 3, 0, 3), mode="reflect")
    assert by_hand.shape[-2:] == (24, 48) and torch.equal(by_hand, pad_to_multiple(images, 8))
    with torch.no_grad(): torch.testing.assert_close(model(images), model(by_hand)[..., :21, :45], rtol=0, atol=0)


@pytest.mark.parametrize("dy, dx", [(4, 0), (0, 4), (8, 12)])
def test_a_shift_of_the_image_shifts_the_answer(dy, dx):
    "Away from the borders, by multiples of 2**depth; depth 2 sees 14 pixels down, 6 up, a grid of 4: under 32."
    model, images = lived_in(2, width=3, depth=2).double(), torch.randn(1, 1, 100, 108, dtype=torch.float64)
    with torch.no_grad(): whole, moved = model(images), model(images[..., dy:, dx:])
    whole, moved = whole[..., dy:, dx:][..., 32:-32, 32:-32], moved[..., 32:-32, 32:-32]
    assert whole.std() > .01 and whole.numel() > 1000
    torch.testing.assert_close(whole, moved, rtol=0, atol=1e-10)  # float64: only the order of sums may differ


def test_each_answer_lies_over_its_pixel():
    "With mirrored kernels, a mirrored image must give the mirrored answer: halving and doubling drift to no side."
    model, images = lived_in(2, width=4, depth=3).double(), torch.randn(1, 1, 40, 48, dtype=torch.float64)
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, (torch.nn.Conv2d, torch.nn.ConvTranspose2d)): layer.weight += layer.weight.flip(2, 3)
        torch.testing.assert_close(model(images.flip(2, 3)), model(images).flip(2, 3), rtol=1e-9, atol=1e-9)


def test_images_of_a_batch_do_not_see_each_other():
    model, images = lived_in(2, width=4, depth=2, dropout=.5), torch.randn(3, 1, 30, 26)
    with torch.no_grad():
        together, alone = model(images), torch.cat([model(image[None]) for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_dropout_only_while_training():
    model, images = UNet(1, width=4, depth=1, dropout=.5), torch.randn(1, 1, 16, 16)
    with torch.no_grad():
        model.train()
        assert not torch.equal(model(images), model(images))
        model.eval()
        assert torch.equal(model(images), model(images))


def test_config_and_weights_rebuild_the_model(tmp_path):
    from safetensors.torch import load_file, save_file
    model = lived_in(3, in_channels=2, width=4, depth=2, residual=False, prior=.05, dropout=.1)
    (tmp_path/"config.json").write_text(json.dumps(model.config))
    save_file(model.state_dict(), tmp_path/"model.safetensors")
    again = UNet(**json.loads((tmp_path/"config.json").read_text())).eval()
    again.load_state_dict(load_file(tmp_path/"model.safetensors"))
    images = torch.randn(1, 2, 33, 17)
    with torch.no_grad(): assert torch.equal(model(images), again(images))
    assert again.config == model.config


@pytest.mark.parametrize("prior", [.001, .01, .3])
def test_starts_at_the_prior(prior):
    torch.manual_seed(0)
    with torch.no_grad(): p = UNet(4, prior=prior, width=8)(torch.randn(2, 1, 64, 64)).sigmoid()
    assert abs(math.log(p.mean().item()/prior)) < .2 and p.max() < 3*prior


@pytest.mark.parametrize("channels_last", [False, True])
def test_bfloat16_autocast_trains(channels_last):
    torch.manual_seed(0)
    model, images = UNet(2, width=8, depth=3), torch.randn(2, 1, 37, 50)
    if channels_last: model, images = (x.to(memory_format=torch.channels_last) for x in (model, images))
    with torch.autocast("cpu", dtype=torch.bfloat16): logits = model(images)
    assert logits.dtype == torch.bfloat16 and logits.shape == (2, 2, 37, 50)
    logits.float().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    model.eval()
    with torch.no_grad():
        exact = model(images)
        with torch.autocast("cpu", dtype=torch.bfloat16): rough = model(images)
    torch.testing.assert_close(rough.float(), exact, rtol=.02, atol=.05)  # bfloat16 has 8 bits of mantissa


@pytest.mark.parametrize("residual", [True, False])
def test_walk_tells_the_truth(residual):
    model = UNet(3, in_channels=2, width=4, depth=2, residual=residual)
    table = walk(model, (1, 2, 32, 48)).set_index("level")
    assert table.parameters.sum() == sum(p.numel() for p in model.parameters())
    assert next(model.parameters()).device.type == "cpu" and not any(m._forward_hooks for m in model.modules())
    outputs = {}
    for name, module in level_names(model).items():
        module.register_forward_hook(lambda _m, _i, output, name=name: outputs.update({name: tuple(output.shape[1:])}))
    model(torch.zeros(1, 2, 32, 48))
    assert {row.Index: (row.channels, row.height, row.width) for row in table.itertuples()} == outputs
    first = 32*48*(2*4*9 + 4*4*9 + (2*4 if residual else 0))
    assert table.GMAC.iloc[0] == pytest.approx(first/1e9)
    assert (table["values"] == table.channels*table.height*table.width).all()


@pytest.mark.parametrize("options, words", [
    (dict(classes=0), "classes=0"), (dict(width=0), "width=0"), (dict(depth=0), "depth=0"),
    (dict(depth=2.5), "depth=2.5"),
    (dict(in_channels=-1), "in_channels=-1"), (dict(prior=0), "prior=0"), (dict(prior=1), "prior=1"),
    (dict(dropout=1), "dropout=1")])
def test_refuses_impossible_options(options, words):
    with pytest.raises(ValueError, match=words): UNet(**options)


@pytest.mark.parametrize("shape", [(2, 3, 16, 16), (16, 16), (1, 16, 16), (1, 1, 0, 16)])
def test_refuses_wrong_images(shape):
    with pytest.raises(ValueError, match="takes .B, 1, H, W."): UNet(1, width=2, depth=1)(torch.zeros(shape))
