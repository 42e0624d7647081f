"""kill -9 at random moments: `python tests/kill.py --times 50 --seed 0` kills training, predicting and writing 50 times each.

A run is started, killed, checked, started again, until it ends by itself; then it must equal one that nobody disturbed.
Every task is a fork of this process, which has imported all and computed nothing."""
import argparse
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", TQDM_DISABLE="1")
import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file

from steel_defects.catalog import Catalog, read_severstal, write_labels, write_submission
from steel_defects.defects import SEVERSTAL
from steel_defects.decision import Decision, default_decision
from steel_defects.files import read_json, write_json
from steel_defects.images import read_image, write_image
from steel_defects.predict import Model, load_model, predict_folder, read_probabilities, save_model, write_probabilities
from steel_defects.rle import rle_encode
from steel_defects.run import train_run
from steel_defects.train import TrainConfig, load_checkpoint, save_checkpoint
from steel_defects.unet import UNet

fork = multiprocessing.get_context("fork")


def strips(folder:Path, n:int) -> Catalog:
    "n small strips with a defect each, of the four classes in turn."
    rng, rows = np.random.default_rng(0), []
    for i in range(n):
        mask = np.zeros((64, 160), bool)
        top, left = rng.integers(4, 40), rng.integers(4, 100)
        mask[top:top+(3 if i % 2 else 16), left:left+(50 if i % 2 else 16)] = True
        write_image(folder/"images"/f"{i:02d}.png", np.clip(.5+.05*rng.standard_normal(mask.shape)+(.3 if i % 2 else -.3)*mask, 0, 1))
        rows.append((f"{i:02d}.png", i % 4+1, rle_encode(mask)))
    pd.DataFrame(rows, columns=["ImageId", "ClassId", "EncodedPixels"]).to_csv(folder/"labels.csv", index=False)
    return read_severstal(folder/"labels.csv", folder/"images")


def killed(task, args:tuple, after:float) -> bool:
    "Run a task in a fork and kill it after so many seconds; False when it ended before."
    process = fork.Process(target=task, args=args)
    process.start()
    process.join(after)
    if process.is_alive(): os.kill(process.pid, signal.SIGKILL)
    process.join()
    if process.exitcode not in (0, -signal.SIGKILL): sys.exit(f"{task.__name__} ended with {process.exitcode}")
    return process.exitcode != 0


def seconds(task, args:tuple) -> float:
    "How long a task takes when nobody disturbs it."
    start = time.time()
    if killed(task, args, 600): sys.exit(f"{task.__name__} does not end")
    return time.time()-start


def interrupted(task, args_of, check, same, whole:Path, work:Path, times:int, rng) -> dict:
    "Kill a task so many times, go on until it ends, compare, begin anew."
    length, kills, ends, torn = seconds(task, args_of(whole)), 0, 0, set()
    while kills < times:
        out = work/f"{task.__name__}-{ends}"
        while killed(task, args_of(out), rng.uniform(0, 1.1*length)):
            kills += 1
            torn |= {p.name for p in out.rglob(".part-*")} # what was being written
            check(out)
        check(out)
        same(whole, out)
        ends += 1
    return dict(kills=kills, in_the_middle_of_a_file=len(torn), ends=ends, undisturbed_seconds=round(length, 2))


# ---- training ----

def training(out:Path, catalog:Catalog):
    ids = catalog.ids
    train_run(catalog.subset(ids[:8]), catalog.subset(ids[8:12]), out, config=TrainConfig(epochs=4, cpu=True), width=4, depth=2, size=(64, 64), batch=4, crops=16)


def stored(out:Path) -> dict:
    "All stored probabilities; what a killed process was writing has a name of its own."
    return {p.name: read_probabilities(p) for p in (out/"probabilities").glob("*.npz") if not p.name.startswith(".part-")}


def run_loads(out:Path):
    "Whatever is in a run folder can be read."
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        state = load_checkpoint(out)
    if (out/"config.json").exists(): read_json(out/"config.json")
    if (out/"history.csv").exists(): assert len(pd.read_csv(out/"history.csv")) >= len(state["rows"] if state else [])
    if (out/"model.safetensors").exists(): load_model(out, decision=default_decision(4))
    else: assert state is None, "a checkpoint without weights"
    stored(out)


def same_run(a:Path, b:Path):
    "Two runs ended alike, to the last bit."
    x, y = load_checkpoint(a), load_checkpoint(b)
    for part in ("model", "averaged"): assert all(torch.equal(x[part][k], y[part][k]) for k in x[part]), part
    x, y = (load_file(o/"model.safetensors") for o in (a, b))
    assert all(torch.equal(x[k], y[k]) for k in x)
    for name in ("decision.json", "found.csv", "truth.csv", "scores.json"): assert (a/name).read_bytes() == (b/name).read_bytes(), name
    x, y = (pd.read_csv(o/"history.csv").drop(columns="seconds") for o in (a, b))
    assert x.equals(y) and not list(b.rglob(".part-*"))


# ---- predicting ----

def predicting(out:Path, model:Path, images:Path):
    out.mkdir(exist_ok=True)
    predict_folder(load_model(model), images, out=out/"found.csv", store=out/"probabilities")


def prediction_loads(out:Path):
    if (out/"found.csv").exists(): pd.read_csv(out/"found.csv")
    stored(out)


def same_prediction(a:Path, b:Path):
    "The same rows, each image once, and the same probabilities; nothing else is left."
    assert (a/"found.csv").read_bytes() == (b/"found.csv").read_bytes()
    rows = pd.read_csv(b/"found.csv")
    assert rows.EncodedPixels.notna().mean() > .5
    assert len(rows) == 4*rows.ImageId.nunique() and not rows.duplicated(["ImageId", "ClassId"]).any()
    assert {p.name for p in b.iterdir()} == {"found.csv", "found.json", "probabilities"}
    x, y = stored(a), stored(b)
    assert list(sorted(x)) == list(sorted(y)) and all((x[k] == y[k]).all() for k in x)


# ---- writing ----

def contents(catalog:Catalog) -> list[dict]:
    "Two versions of everything that is written."
    made = []
    for n in (0, 1):
        some = catalog.subset(catalog.ids[n:n+3])
        torch.manual_seed(n)
        made.append(dict(labels=some, n=n, image=np.full((300, 400), 50+100*n, np.uint8), probability=np.full((4, 100, 100), n, np.uint8),
                         model=Model(UNet(classes=4, width=4, depth=2), SEVERSTAL, default_decision(4)), state=dict(n=n, x=torch.full((20000,), float(n)))))
    return made


def writing(out:Path, versions:list[dict]):
    "Write for ever."
    for n in range(10**9):
        v = versions[n % 2]
        write_json(out/"a.json", dict(n=v["n"], more=["x"]*2000))
        write_image(out/"a.png", v["image"])
        write_labels(v["labels"], out/"labels.csv")
        write_submission(v["labels"].labels, out/"found.csv")
        write_probabilities(out/"a.npz", v["probability"])
        save_model(out/"model", v["model"])
        save_checkpoint(out/"run", n, v["state"])


def all_whole(out:Path, versions:list[dict]):
    "Each file is one of the versions, whole, or not there."
    read = {"a.json": lambda p: read_json(p) == dict(n=read_json(p)["n"], more=["x"]*2000), "a.png": lambda p: np.unique(read_image(p)*255).tolist() in ([50.], [150.]),
            "labels.csv": lambda p: read_severstal(p, shape=(64, 160)).ids in [v["labels"].ids for v in versions],
            "found.csv": lambda p: read_severstal(p, shape=(64, 160)).labels.ImageId.tolist() in [v["labels"].ids for v in versions],
            "a.npz": lambda p: len(np.unique(read_probabilities(p))) == 1, "model/config.json": lambda p: load_model(p.parent)}
    for name, good in read.items(): assert not (out/name).exists() or good(out/name), name
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        state = load_checkpoint(out/"run")
    assert state is None or (state["x"] == state["n"]).all()


def main():
    "Kill, check, tell."
    given = argparse.ArgumentParser()
    given.add_argument("--times", type=int, default=50)
    given.add_argument("--seed", type=int, default=0)
    given = given.parse_args()
    rng = np.random.default_rng(given.seed)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        catalog = strips(work/"strips", 16)
        torch.manual_seed(0)
        model = save_model(work/"model", Model(UNet(classes=4, width=4, depth=2, prior=.4), SEVERSTAL, Decision((102, 101, 100, 101), (0,)*4)))
        told = dict(seed=given.seed)
        told["training"] = interrupted(training, lambda out: (out, catalog), run_loads, same_run, work/"whole", work, given.times, rng)
        told["predicting"] = interrupted(predicting, lambda out: (out, model, catalog.folder), prediction_loads, same_prediction, work/"found", work, given.times, rng)
        versions, torn = contents(catalog), 0
        for n in range(given.times):
            out = work/f"writing-{n % 5}"
            assert killed(writing, (out, versions), rng.uniform(0, .4))
            torn += any(True for _ in out.rglob(".part-*"))
            all_whole(out, versions)
        told["writing"] = dict(kills=given.times, in_the_middle_of_a_file=torn)
    print(json.dumps(told, indent=2))


if __name__ == "__main__": main()
