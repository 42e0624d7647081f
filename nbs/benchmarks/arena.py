"""One arena for all trainings of the benchmarks: the same folds, crops, loss and loop for every network, each run in a folder of its own.

`STEEL_DATA` names the folder of the real sets, `STEEL_RUNS` the folder where runs are kept (default: runs, beside the notebooks). A run that is there is
read, one that was stopped goes on, so a notebook can be run again at no cost.
"""
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file
from steel_defects.catalog import Catalog
from steel_defects.cli import audit_images
from steel_defects.dataset import augmentation, crop_loader
from steel_defects.decision import quantise
from steel_defects.files import read_json, write_json
from steel_defects.folds import grouped_folds, write_folds
from steel_defects.images import standardise
from steel_defects.layouts import read_catalog
from steel_defects.losses import bce_dice
from steel_defects.predict import forward
from steel_defects.run import loss_name
from steel_defects.train import TrainConfig, fit
from torch import nn
from tqdm.auto import tqdm

DATA = Path(os.environ["STEEL_DATA"]) if os.environ.get("STEEL_DATA") else None
RUNS = Path(os.environ.get("STEEL_RUNS", "runs"))


def kept_folds(
    catalog:Catalog, # Images and labels
    name:str,        # What the files' names begin with
    n:int,           # Number of folds
)->tuple[pd.DataFrame, pd.DataFrame]: # Groups, and folds that part no family of near copies
    "Look for copies and make folds, or read what was found before."
    groups, folds = RUNS/f"{name}groups.csv", RUNS/f"{name}folds.csv"
    if not groups.is_file(): audit_images(catalog, groups)
    if not folds.is_file(): write_folds(folds, grouped_folds(catalog, groups, n))
    return pd.read_csv(groups), pd.read_csv(folds)


def neu_folds()->tuple[Catalog, pd.DataFrame, pd.DataFrame]: # NEU-Seg, its groups, and ten grouped folds
    "Read NEU-Seg with its folds."
    neu = read_catalog(DATA/"neu_seg")
    return neu, *kept_folds(neu, "", 10)


def one_a_picture(
    catalog:Catalog,     # Images
    groups:pd.DataFrame, # ImageId, group
)->Catalog:              # The first image of every group
    "Keep one image of every picture, so that none counts twice."
    there = groups[groups.ImageId.isin(catalog.ids)]
    return catalog.subset(there.drop_duplicates("group").ImageId)


def iou_parts(
    net:nn.Module,    # From standardised (B, 1, H, W) to logits
    catalog:Catalog,  # Images and labels
    views:int=1,      # 1, 4 or 8, see `forward`
    threshold:int=128,# Stored probability from which a pixel is found
)->np.ndarray:        # Pixels in both and in either of found and labelled, int64 (N, C, 2)
    "Count the pixels of every image."
    parts = []
    for i in tqdm(catalog.ids, desc="scoring", unit="image", leave=False):
        found, true = quantise(forward(net, standardise(catalog.image(i)), views)) >= threshold, catalog.stack(i)
        parts.append(np.stack([(found & true).sum((1, 2)), (found | true).sum((1, 2))], axis=1))
    return np.stack(parts)


def mean_iou(
    parts:np.ndarray, # Added `iou_parts`, (..., C, 2)
)->np.ndarray:        # (...)
    "Score added parts: the IoU of each class over all pixels, and their mean."
    return (parts[..., 0]/parts[..., 1]).mean(-1)


def pixel_iou(
    net:nn.Module,    # From standardised (B, 1, H, W) to logits
    catalog:Catalog,  # Images and labels
    views:int=1,      # 1, 4 or 8, see `forward`
    threshold:int=128,# Stored probability from which a pixel is found
)->pd.Series:         # IoU over all pixels of each class, and their mean
    "Score a network over all pixels of a catalog."
    total = iou_parts(net, catalog, views, threshold).sum(0)
    return pd.Series([*total[:, 0]/total[:, 1], mean_iou(total)], [*(c.name for c in catalog.classes), "mean IoU"])


def trained(
    name:str,               # Of the run folder
    make:Callable,          # Makes the network, with random weights
    train:Catalog,          # To learn from
    *,
    images:int,             # Crops to train on in all
    loss:Callable=bce_dice, # From logits and masks to a scalar
    batch:int=8, size:int=192, strength:float=1.5, seed:int=0, # Crops in a batch, their side, augmentation, source of chance
    defect_share:float=.7,  # Of the crops
    beside:Sequence[tuple[Catalog, float]]=(), # Further catalogs, and the share of the crops that comes from each
    wrap:Callable|None=None, # Puts a module around the network, `.net`, for what is there in training only
    **config,               # lr, encoder_lr, ema, ... of `TrainConfig`
)->tuple[nn.Module, dict]:  # The network as training left it; name, parameters, images (crops seen), seconds, threads
    "Train a network in the common loop, or read a run that is there."
    torch.manual_seed(seed)
    net, out = make(), RUNS/name
    learner = wrap(net) if wrap else net
    crops = max(batch, images//8//batch*batch) # eight parts, so that a run that is stopped goes on
    loader = crop_loader(train, batch=batch, augment=augmentation(strength=strength), beside=beside,
                         size=(size, size), crops=crops, seed=seed, defect_share=defect_share)
    config = TrainConfig(epochs=8, seed=seed, **config)
    about = dict(network=type(net).__name__, images=8*crops, size=size, batch=batch, strength=strength, loss=loss_name(loss),
                 shares=[defect_share, sum(share for _, share in beside)], learned_from=len(train))
    if not (out/"seconds.json").is_file():
        history = fit(learner, loader, None, loss=loss, out=out, config=config, about=about)
        write_json(out/"seconds.json", dict(seconds=float(history.seconds.iloc[-1]), threads=torch.get_num_threads()))
    else:
        was, wanted = read_json(out/"config.json"), dict(about, train=asdict(config))
        if other := [k for k in wanted if was.get(k) != wanted[k]]: raise ValueError(f"{out} holds a run with other settings ({', '.join(other)}): remove it, or take another name")
        learner.load_state_dict(load_file(out/"model.safetensors"))
    told = read_json(out/"seconds.json")
    return net.eval(), dict(name=name, parameters=sum(p.numel() for p in net.parameters()), images=8*crops, **told)
