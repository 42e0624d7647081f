"Training: any module, honest files, resume to the last bit."
import os
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader

from steel_defects.files import read_json
from steel_defects.losses import bce_dice
from steel_defects.metrics import counts
from steel_defects.train import TrainConfig, fit, load_checkpoint, save_checkpoint, save_weights, tensor_counts
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


# ---- what goes wrong ----

@pytest.mark.parametrize("settings, sentence", [(dict(epochs=0), "epochs is 0"), (dict(lr=-1.), "lr is -1"), (dict(lr=float("nan")), "lr is nan"), (dict(ema=1.), "ema is 1"),
                                                (dict(precision="fp8"), "precision is 'fp8'"), (dict(warmup=2.), "warmup is 2")])
def test_settings_are_checked(settings, sentence):
    with pytest.raises(ValueError, match=sentence): TrainConfig(**settings)


@pytest.mark.parametrize("spoil", ["loss", "gradient", "validation"])
def test_no_number_stops_and_keeps_the_last_good_weights(batches, tmp_path, spoil):
    "In the third epoch something is no number: weights and checkpoint of the second stay, and so they do when it is tried again."
    seen, rows = {}, []

    def keep(history):
        rows.append(len(history))
        seen[len(history)] = load_file(tmp_path/"model.safetensors")

    def loss(logits, y):
        value = bce_dice(logits, y)
        if len(rows) < 2 or (len(y) == 1) != (spoil == "validation"): return value
        return value+(logits*0).clamp(min=0).sum().sqrt() if spoil == "gradient" else value*float("nan")  # the slope of a root is infinite at 0

    config, model = TrainConfig(epochs=5, lr=2e-2, ema=0., cpu=True, precision="no"), net()
    for _ in range(2):
        with pytest.raises(FloatingPointError, match=r"epoch 3: .*model\.safetensors keeps the best weights before it: lower lr"):
            fit(model, *loaders(batches), loss=loss, out=tmp_path, config=config, callbacks=[keep])
        best, state = load_file(tmp_path/"model.safetensors"), load_checkpoint(tmp_path)
        assert len(state["rows"]) == 2 and rows == [1, 2] and len(pd.read_csv(tmp_path/"history.csv")) == 2
        assert all(torch.isfinite(v).all() for part in ("model", "averaged") for v in state[part].values())
        assert any(all(torch.equal(best[k], o[k]) for k in o) for o in seen.values())
        assert all(torch.equal(v, best[k]) for k, v in model.state_dict().items())


def test_no_number_from_the_start_leaves_no_weights(batches, tmp_path):
    with pytest.raises(FloatingPointError, match="epoch 1: at step 1 the loss is nan .* there are no good weights before it"):
        fit(net(), *loaders(batches), loss=lambda z, y: bce_dice(z, y)*float("nan"), out=tmp_path, config=TrainConfig(epochs=2, cpu=True))
    assert load_checkpoint(tmp_path) is None and not (tmp_path/"model.safetensors").exists()


def test_empty_loaders_are_named(batches, tmp_path):
    for name, train, valid in [("training", [], None), ("validation", loaders(batches)[0], [])]:
        with pytest.raises(ValueError, match=f"{name} loader is empty"):
            fit(net(), train, valid, loss=bce_dice, out=tmp_path/name, config=TrainConfig(epochs=1, cpu=True))


@pytest.fixture(scope="module")
def run(batches, tmp_path_factory):
    "A finished run of four epochs."
    out = tmp_path_factory.mktemp("run")
    fit(net(.2), *loaders(batches), loss=bce_dice, out=out, config=TrainConfig(epochs=4, cpu=True, precision="no"))
    return out


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, .999), zeros=st.booleans())
def test_a_checkpoint_cut_off_anywhere_is_passed_over(run, tmp_path, share, zeros):
    out = tmp_path/"cut"
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(run, out)
    path = out/"checkpoints"/"00000016"/"state.pt"
    whole = path.read_bytes()
    left = whole[:int(share*len(whole))]
    path.write_bytes(left+bytes(len(whole)-len(left)) if zeros else left)  # a file that was cut, or one whose end never reached the disk
    with pytest.warns(UserWarning, match="cannot be read .* the checkpoint before it is taken"): state = load_checkpoint(out)
    assert len(state["rows"]) == 3


def test_a_run_goes_on_from_the_checkpoint_before(run, batches, tmp_path):
    out = tmp_path/"cut"
    shutil.copytree(run, out)
    path = out/"checkpoints"/"00000016"/"state.pt"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.warns(UserWarning): fit(net(.2), *loaders(batches), loss=bce_dice, out=out, config=TrainConfig(epochs=4, cpu=True, precision="no"))
    a, b = load_checkpoint(run), load_checkpoint(out)
    assert all(torch.equal(a[part][k], b[part][k]) for part in ("model", "averaged") for k in a[part])
    for path in out.glob("checkpoints/*/state.pt"): path.write_bytes(b"")
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="no checkpoint that can be read: remove that folder"): load_checkpoint(out)


class Bomb:
    "Makes a file when it is unpickled."
    def __init__(self, path): self.path = str(path)
    def __reduce__(self): return os.mkdir, (self.path,)


@pytest.mark.parametrize("write", [lambda bomb, path: path.write_bytes(pickle.dumps(bomb)), lambda bomb, path: torch.save(dict(rows=[], model=bomb), path)])
def test_loading_unpickles_nothing(tmp_path, write):
    path = tmp_path/"checkpoints"/"00000001"/"state.pt"
    path.parent.mkdir(parents=True)
    write(Bomb(tmp_path/"boom"), path)
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="no checkpoint that can be read"): load_checkpoint(tmp_path)
    assert not (tmp_path/"boom").exists()
    pickle.loads(pickle.dumps(Bomb(tmp_path/"boom")))  # the bomb is live
    assert (tmp_path/"boom").exists()


FULL = """import resource, sys, torch
from pathlib import Path
from steel_defects.train import save_checkpoint, save_weights
out = Path(sys.argv[1])
old = [p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()]
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for write in (lambda: save_checkpoint(out, 2, dict(x=torch.zeros(100_000))), lambda: save_weights(torch.nn.Linear(500, 500), out/"model.safetensors")):
    try: write()
    except OSError as e: print(e)
assert old == [p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()]
"""


def test_what_does_not_fit_on_the_disk_leaves_the_old_files(tmp_path):
    save_checkpoint(tmp_path, 1, dict(x=torch.zeros(100)))
    save_weights(nn.Linear(5, 5), tmp_path/"model.safetensors")
    done = subprocess.run([sys.executable, "-c", FULL, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for line, name in zip(done.stdout.splitlines(), ("state.pt", "model.safetensors"), strict=True): assert f"{name} cannot be written (File too large): " in line
    assert len(load_checkpoint(tmp_path)["x"]) == 100
