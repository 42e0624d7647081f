"Two processes do what one does: the same counts and rows, one history, each file once."
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from kill import strips

from steel_defects.files import read_json
from steel_defects.predict import read_probabilities

SCRIPT = Path(__file__).parent/"processes.py"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    out = tmp_path_factory.mktemp("processes")
    strips(out/"strips", 7)
    env = dict(os.environ, OMP_NUM_THREADS="1", TQDM_DISABLE="1")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", str(free_port())]
    for start in ([sys.executable], torchrun):
        done = subprocess.run([*start, SCRIPT, out], env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
    return out


def test_evaluation_counts_each_image_once(out):
    for batch in (1, 2):
        a, b = (np.load(out/f"counts-{n}-{batch}.npy") for n in (1, 2))
        assert a.shape == (7, 4, 4) and (a == b).all()
    assert read_json(out/"loss-1.json") == pytest.approx(read_json(out/"loss-2.json"), rel=1e-6)  # a mean taken in another order


@pytest.mark.parametrize("images", [7, 1])
def test_prediction_gives_the_same_rows(out, images):
    a, b = (out/f"found-{n}-{images}.csv" for n in (1, 2))
    assert a.read_bytes() == b.read_bytes() and len(pd.read_csv(a)) == 4*images and pd.read_csv(a).EncodedPixels.notna().mean() > .5
    assert not list(out.glob("*.partial"))
    for path in (out/f"probabilities-1-{images}").iterdir(): assert (read_probabilities(path) == read_probabilities(out/f"probabilities-2-{images}"/path.name)).all()


def test_finishing_a_run_gives_the_same_files(out):
    for name in ("decision.json", "found.csv", "truth.csv", "scores.json"): assert (out/"finished-1"/name).read_bytes() == (out/"finished-2"/name).read_bytes(), name


def test_training_leaves_one_history(out):
    a, b = (pd.read_csv(out/f"run-{n}"/"history.csv") for n in (1, 2))
    assert list(a) == list(b) and len(a) == len(b) == 3 and np.isfinite(b.to_numpy()).all()
    assert b.step.tolist() == [3, 6, 9] and a.step.tolist() == [6, 12, 18]  # two processes share the batches of an epoch
    assert b.lr.tolist() == pytest.approx(a.lr.tolist())  # and go through the same schedule
    files = lambda n: sorted(p.relative_to(out/f"run-{n}").as_posix() for p in (out/f"run-{n}").rglob("*") if "checkpoints/" not in p.as_posix())
    assert files(1) == files(2) and not list(out.rglob(".part-*"))
    assert read_json(out/"run-2"/"config.json")["processes"] == 2 and "processes" not in read_json(out/"run-1"/"config.json")
