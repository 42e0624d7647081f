"""The trainings that `10_arena` reads, each in a run folder of its own below `STEEL_RUNS`.

`python arena_runs.py` lists them, `python arena_runs.py sev-neu-0 sev-neu-1` trains those that are not there yet; one that was stopped goes on.
`BENCH_MINUTES` (2.6) is about how long one takes on one core of the machine of these pages: it settles the number of crops, so that the same number
is seen on any machine. A run on synthetic strips sees three times as many.
"""
import os
import sys
from dataclasses import replace
from functools import cache
from shutil import rmtree

from arena import DATA, RUNS, kept_folds, trained
from safetensors.torch import load_file
from steel_defects.catalog import Catalog, read_severstal
from steel_defects.decision import default_decision
from steel_defects.defect_types import by_type
from steel_defects.defects import PATCH, SEVERSTAL, DefectClass
from steel_defects.files import read_json
from steel_defects.folds import part_by_folds
from steel_defects.layouts import read_catalog
from steel_defects.lite_unet import LiteUNet, hold_depthwise, start_from_imagenet
from steel_defects.predict import Model, load_model, with_classes
from steel_defects.synth import STYLES, even_classes, synth_set
from torch import nn

MINUTES = float(os.environ.get("BENCH_MINUTES", 2.6))
SECONDS_A_CROP = .119 # LiteUNet, forward and backward, 256 x 256, one core
STARTS = {"scratch": "from scratch", "imagenet": "from ImageNet", "synth": "from synthetic strips", "neu": "from neu-strip",
          "both": "from neu-strip, then synthetic strips"}
BEFORE = {"synth": "synth-lite", "both": "synth-neu"}     # The run that a start begins with
SYNTH = {"synth-lite": "scratch", "synth-neu": "neu"}     # What the runs on synthetic strips begin with
SEVERSTAL_FOLDS, TILE_FOLDS = 3, 2
ONE = (DefectClass(1, "defect", PATCH),)
KNOWN = [s for s in STYLES if s.name != "wet"]            # Mills of the training strips; "wet" is kept out everywhere


def one_class(catalog:Catalog, # Of any classes
)->Catalog:                    # The same images, every label of class "defect"
    "Join all classes to one."
    return by_type(replace(catalog, classes=tuple(replace(c, type=PATCH) for c in catalog.classes)), ONE)


@cache
def severstal()->tuple: # The strips whose masks are all known, and grouped folds
    "Read the Severstal strips."
    home = DATA/"severstal"
    ids = sorted({*(home/"complete_images.txt").read_text().split()} & {p.name for p in (home/"train_images").iterdir()})
    catalog = read_severstal(home/"train.csv", home/"train_images", image_ids=ids)
    return catalog, kept_folds(catalog, "sev-", SEVERSTAL_FOLDS)[1]


@cache
def tiles()->tuple: # Magnetic tile with one class, its groups, and grouped folds
    "Read the magnetic tiles."
    catalog = read_catalog(DATA/"magnetic_tile")
    return one_class(catalog), *kept_folds(catalog, "mt-", TILE_FOLDS)


def synthetic(name:str, # Of its folder
    n:int,              # Strips
    **kwargs,           # seed, styles, frequency of `synth_set`
)->Catalog:             # Its strips
    "Make a synthetic set, or read the one that is there."
    folder = RUNS/name
    if not (folder/"train.csv").is_file(): synth_set(folder, n, **kwargs)
    return read_severstal(folder/"train.csv", folder/"train_images")


def ready(name:str, # Of a run
)->bool:            # Whether it has ended
    "Tell whether a run is there."
    return (RUNS/name/"seconds.json").is_file()


def read_run(name:str,            # Of a run that has ended
    classes:tuple[DefectClass, ...], # Its classes
)->tuple[Model, dict]:            # The model, without a decision of its own; crops and seconds
    "Read a run."
    net = LiteUNet(classes=len(classes))
    net.load_state_dict(load_file(RUNS/name/"model.safetensors"))
    return Model(net, classes, default_decision(len(classes))), dict(crops=read_json(RUNS/name/"config.json")["images"], **read_json(RUNS/name/"seconds.json"))


def begin(start:str,              # One of `STARTS`
    classes:tuple[DefectClass, ...], # To be found
)->nn.Module:                     # The network that training starts with
    "Make the network that a run starts with."
    if start == "scratch": return LiteUNet(classes=len(classes))
    if start == "imagenet": return hold_depthwise(start_from_imagenet(LiteUNet(classes=len(classes)))) # as train --imagenet does
    model = load_model("neu-strip") if start == "neu" else read_run(BEFORE[start], SEVERSTAL)[0]
    return with_classes(model, classes)


def train(name:str, # One of `names()`
):
    "Train a run, or go on with it."
    if name in SYNTH: start, classes, part = SYNTH[name], SEVERSTAL, synthetic("synth-train", 120, seed=21, styles=KNOWN, frequency=even_classes)
    else:
        of, start, fold = name.split("-")
        catalog, *_, folds = severstal() if of == "sev" else tiles()
        classes, part = catalog.classes, part_by_folds(catalog, folds, int(fold))[0]
        if start in BEFORE and not ready(BEFORE[start]): raise FileNotFoundError(f"{name} starts with {BEFORE[start]}, which is not there: train that first")
    crops = int(MINUTES*60/SECONDS_A_CROP)*(3 if name in SYNTH else 1)
    pace = {} if start == "scratch" else dict(encoder_lr=.3)
    told = trained(name, lambda: begin(start, classes), part, images=crops, size=256, strength=1., **pace)[1]
    rmtree(RUNS/name/"checkpoints", ignore_errors=True) # 116 MB, and the run has ended
    return told


def names()->list[str]: # In the order of their worth
    "List all runs."
    strips = [f"sev-{s}-{k}" for s in ("neu", "scratch", "synth", "both", "imagenet") for k in range(SEVERSTAL_FOLDS)]
    return ["synth-lite", *strips[:9], *(f"mt-{s}-{k}" for s in ("neu", "scratch") for k in range(TILE_FOLDS)), "synth-neu", *strips[9:]]


if __name__ == "__main__":
    if len(sys.argv) == 1: print("\n".join(f"{n:15} {'there' if ready(n) else 'not there'}" for n in names()))
    for name in sys.argv[1:]:
        if name not in names(): sys.exit(f"there is no run {name}: take one of {', '.join(names())}")
        print(train(name))
