"""One arena for all trainings of the benchmarks: the same folds, crops, loss and loop for every network, each run in a folder of its own.

`STEEL_DATA` names the folder of the real sets, `STEEL_RUNS` the folder where runs are kept (default: runs, beside the notebooks). A run that is there is
read, one that was stopped goes on, so a notebook can be run again at no cost.
"""
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from steel_defects.audit import copy_groups, near_copies
from steel_defects.catalog import Catalog
from steel_defects.dataset import augmentation, crop_loader
from steel_defects.decision import quantise
from steel_defects.files import read_json, write_json
from steel_defects.folds import grouped_folds, write_folds, write_groups
from steel_defects.images import standardise
from steel_defects.layouts import read_catalog
from steel_defects.losses import bce_dice
from steel_defects.predict import forward
from steel_defects.train import TrainConfig, fit
from torch import nn
from tqdm.auto import tqdm

DATA = Path(os.environ["STEEL_DATA"]) if os.environ.get("STEEL_DATA") else None
RUNS = Path(os.environ.get("STEEL_RUNS", "runs"))


def neu_folds(
    n:int=10, # Number of folds
)->tuple[Catalog, pd.DataFrame, pd.DataFrame]: # NEU-Seg, its groups, and grouped folds
    "Read NEU-Seg with folds that part no family of near copies; the groups are looked for once."
    neu, groups, folds = read_catalog(DATA/"neu_seg"), RUNS/"groups.csv", RUNS/"folds.csv"
    if not groups.is_file(): write_groups(groups, copy_groups(neu.ids, near_copies(neu)))
    if not folds.is_file(): write_folds(folds, grouped_folds(neu, groups, n))
    return neu, pd.read_csv(groups), pd.read_csv(folds)


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
)->tuple[nn.Module, dict]:  # The network as training left it, and seconds, parameters and the settings
    "Train a network in the common loop, or read a run that is there."
    torch.manual_seed(seed)
    net, out = make(), RUNS/name
    learner = wrap(net) if wrap else net
    crops = max(batch, images//8//batch*batch) # eight parts, so that a run that is stopped goes on
    loader = crop_loader(train, batch=batch, augment=augmentation(strength=strength), beside=beside,
                         size=(size, size), crops=crops, seed=seed, defect_share=defect_share)
    config = TrainConfig(epochs=8, seed=seed, **config)
    about = dict(network=type(net).__name__, images=images, size=size, batch=batch, strength=strength, shares=[defect_share, *(share for _, share in beside)], train=len(train))
    if not (out/"seconds.json").is_file():
        history = fit(learner, loader, None, loss=loss, out=out, config=config, about=about)
        write_json(out/"seconds.json", dict(seconds=float(history.seconds.iloc[-1]), threads=torch.get_num_threads()))
    else:
        from safetensors.torch import load_file
        learner.load_state_dict(load_file(out/"model.safetensors"))
    told = read_json(out/"seconds.json")
    return net.eval(), dict(name=name, parameters=sum(p.numel() for p in net.parameters()), images=8*crops, **told)
