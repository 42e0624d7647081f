"Training: any module, honest files, resume to the last bit."
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader

from steel_defects.files import read_json
from steel_defects.losses import bce_dice
from steel_defects.metrics import counts
from steel_defects.train import TrainConfig, fit, load_checkpoint, tensor_counts
from steel_defects.unet import UNet


@pytest.fixture(scope="module")
def batches():
    rng, items = np.random.default_rng(0), []
    for _ in range(16):
        y = np.zeros((2, 32, 32), np.float32)
        r, c = rng.integers(2, 20, 2)
        y[0, r:r+9, c:c+9], y[1, :, c:c+3] = 1, 1
        items.append((torch.tensor(y[:1]*2-y[1:]*2+rng.standard_normal((1, 32, 32))*.3, dtype=torch.float32), torch.tensor(y)))
    return items


def net(dropout=0.):
    torch.manual_seed(0)
    return UNet(classes=2, width=4, depth=2, dropout=dropout)


def loaders(batches): return DataLoader(batches, batch_size=4), DataLoader(batches[:4], batch_size=1)


def test_overfits_a_handful(batches, tmp_path):
    config = TrainConfig(epochs=20, lr=2e-2, ema=.9, cpu=True)
    history = fit(net(), *loaders(batches), loss=bce_dice, out=tmp_path, config=config)
    assert history.dice.max() > .9
    assert pd.read_csv(tmp_path/"history.csv").shape == history.shape
    assert sorted(p.name for p in (tmp_path/"checkpoints").iterdir()) == [f"{s:08d}" for s in (76, 80)]


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_resume_is_exact(batches, tmp_path, precision):
    config = TrainConfig(epochs=4, lr=1e-2, cpu=True, precision=precision)

    def stop(history):
        if len(history) == 2: raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(net(.3), *loaders(batches), loss=bce_dice, out=tmp_path/"a", config=config, callbacks=[stop])
    torch.manual_seed(99)  # whatever happened in between
    fit(net(.3), *loaders(batches), loss=bce_dice, out=tmp_path/"a", config=config)
    fit(net(.3), *loaders(batches), loss=bce_dice, out=tmp_path/"b", config=config)
    a, b = (load_checkpoint(tmp_path/o) for o in "ab")
    for part in ("model", "averaged"): assert all(torch.equal(a[part][k], b[part][k]) for k in a[part])
    a, b = (load_file(tmp_path/o/"model.safetensors") for o in "ab")
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_any_module_trains(batches, tmp_path):
    plain = nn.Conv2d(1, 2, 3, padding=1)
    history = fit(plain, loaders(batches)[0], None, loss=bce_dice, out=tmp_path, config=TrainConfig(epochs=3, lr=5e-2, cpu=True), about=dict(of="mine"))
    assert history.train_loss.is_monotonic_decreasing and "dice" not in history
    assert read_json(tmp_path/"config.json")["of"] == "mine" and set(load_file(tmp_path/"model.safetensors")) == {"weight", "bias"}


def test_kept_weights_are_the_best_epoch(batches, tmp_path):
    seen = {}

    def keep(history): seen[len(history)] = load_file(tmp_path/"model.safetensors")

    def loss(logits, y): return bce_dice(logits, y)*(1 if len(seen) < 3 else -1)  # from the fourth epoch on it unlearns

    history = fit(net(), *loaders(batches), loss=loss, out=tmp_path, config=TrainConfig(epochs=6, lr=2e-2, ema=0., cpu=True), callbacks=[keep])
    best, final = int(history.dice.idxmax())+1, load_file(tmp_path/"model.safetensors")
    assert best <= 4 and all(torch.equal(final[k], seen[best][k]) for k in final)


def test_counts_agree_with_numpy():
    torch.manual_seed(0)
    logits, true = torch.randn(3, 2, 16, 20)*3, torch.rand(3, 2, 16, 20) > .5
    stored = np.floor(logits.sigmoid().numpy()*255)
    for k in (1, 128, 250): assert (tensor_counts(logits, true, k).numpy() == counts(stored >= k, true.numpy())).all()
