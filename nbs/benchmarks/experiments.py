"""What makes the recipe: one change at a time against the base, each a training of its own that can be run from a shell.

    python experiments.py                      what there is to try, and what has been run
    python experiments.py base-0 scratch-0     train and score these two (a name, a dash, a seed)

A run is a folder `exp-NAME-SEED` below `STEEL_RUNS`; one that was stopped goes on. The notebook `09_recipe` reads what is there.
"""
import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from arena import RUNS, iou_parts, mean_iou, neu_folds, one_a_picture, trained
from arena_runs import KNOWN, synthetic
from steel_defects.catalog import Catalog
from steel_defects.decision import default_decision
from steel_defects.defect_types import by_type
from steel_defects.defects import NEU_SEG, SEVERSTAL
from steel_defects.files import read_json, replacing
from steel_defects.folds import part_by_folds
from steel_defects.intervals import Interval, bootstrap
from steel_defects.lite_unet import LightUp, LiteUNet, hold_depthwise, start_from_imagenet
from steel_defects.losses import bce, bce_dice, focal, soft_cldice, soft_dice, weighted_sum
from steel_defects.mix import read_clean
from steel_defects.predict import Model, with_classes
from steel_defects.synth import even_classes
from steel_defects.train import best_precision
from steel_defects.unet import UNet, conv_norm, initialise
from torch import Tensor, nn

IMAGES = 9600 # Crops that every experiment is trained on, unless it says otherwise
BASE = dict(lr=3e-3, encoder_lr=.3, batch=8, size=192, strength=1.5, ema=.998, loss=bce_dice)


# ------------------------------------------------------------------------------------------------ networks

def base(
)->LiteUNet: # Three classes, the way down from photographs
    "Make the network that all others are compared with."
    return start_from_imagenet(LiteUNet(classes=3))


class LearnedUp(LightUp):
    "Double the size by a transposed convolution, as `UNet` does."
    def __init__(self, c_in, c_skip, c_out):
        super().__init__(c_out, c_skip, c_out)
        self.enlarge = nn.ConvTranspose2d(c_in, c_out, 2, stride=2)

    def forward(self, x, skip): return self.mix(torch.cat([self.enlarge(x), skip], dim=1))


def learned_up()->LiteUNet:
    "Learn how to enlarge, instead of repeating pixels."
    net, up = LiteUNet(classes=3), (96, 64, 48, 32)
    net.up = nn.ModuleList(LearnedUp(*c) for c in zip([320, *up], (112, 40, 24, 32), up))
    initialise(net, net.head, .01)
    return start_from_imagenet(net)


class Nothing(nn.Module):
    "Give no channel at all."
    def forward(self, x): return x[:, :0]


def no_fine_skip()->LiteUNet:
    "Take away the skip that sees every pixel."
    net = LiteUNet(classes=3)
    net.fine, net.up[-1] = Nothing(), LightUp(48, 16, 32)
    initialise(net, net.head, .01)
    return start_from_imagenet(net)


def full_head()->LiteUNet:
    "Mix once more at full resolution, instead of unfolding four answers from half of it."
    net, last = LiteUNet(classes=3), nn.Conv2d(16, 3, 1)
    mix = [conv_norm(32, 16), nn.ReLU(inplace=True), conv_norm(16, 16), nn.ReLU(inplace=True)]
    net.head = nn.Sequential(nn.Upsample(scale_factor=2), *mix, last, nn.PixelUnshuffle(2)) # the network unfolds it again
    initialise(net, last, .01)
    return start_from_imagenet(net)


def group_norm()->LiteUNet:
    "Normalise the way up by groups of 8 channels; the way down needs what it was trained with."
    net = base()
    for part in (net.fine, net.up):
        for name, layer in list(part.named_modules()):
            if isinstance(layer, nn.BatchNorm2d):
                above, _, last = name.rpartition(".")
                setattr(part.get_submodule(above), last, nn.GroupNorm(layer.num_features//8, layer.num_features))
    return net


# ------------------------------------------------------------------------------------------------ where training starts

def strips(
)->Catalog: # 160 synthetic strips of every style but "wet", which is kept for judging
    "Make strips to train on beforehand."
    return synthetic("synth-before", 160, seed=31, styles=KNOWN, frequency=even_classes)


def lent_strips(
    classes:tuple, # Of NEU-Seg
)->Catalog:        # The same strips, their masks by defect type
    "Give strips to be mixed into the training itself."
    return by_type(strips(), classes)


def good(
    classes:tuple, # Of NEU-Seg
)->Catalog:        # Windows without a defect
    "Give good steel, as `steel-defects clean` has cut it out."
    return read_clean(RUNS/"good", classes)


def after_strips(
    name:str,       # Of the run folder with that training
    first:Callable, # From a network to the same, started
)->LiteUNet:        # With a head of its own
    "Start from a training on synthetic strips; it is done first where it is missing."
    pace = .3 if first is start_from_imagenet else 1.
    net = trained(name, lambda: first(LiteUNet(classes=4)), strips(), images=IMAGES, lr=3e-3, encoder_lr=pace, strength=1.5)[0]
    return with_classes(Model(net, SEVERSTAL, default_decision(4)), NEU_SEG)


# ------------------------------------------------------------------------------------------------ in training only

class WithHeads(nn.Module):
    "A network with further heads in training; in use it is the network and nothing else."
    def __init__(self,
                 net:nn.Module,         # From images to logits
                 parts:tuple[str, ...], # Modules of it whose outputs are read
                 heads:list[nn.Module]): # One for each
        super().__init__()
        self.net, self.parts, self.heads = net, parts, nn.ModuleList(heads)

    @property
    def encoder(self): return self.net.encoder

    def forward(self, images):
        if not self.training: return self.net(images)
        seen = []
        hooks = [self.net.get_submodule(p).register_forward_hook(lambda module, given, out: seen.append(out)) for p in self.parts]
        try: logits = self.net(images)
        finally:
            for hook in hooks: hook.remove()
        return logits, [head(x) for head, x in zip(self.heads, seen)]


def deep(net:nn.Module)->WithHeads:
    "Ask the levels of 1/8 and 1/4 for an answer too."
    heads = [nn.Conv2d(channels, 3, 1) for channels in (64, 48)]
    for head in heads: initialise(head, head, .01)
    return WithHeads(net, ("up.1", "up.2"), heads)


def deep_loss(outputs:tuple, target:Tensor)->Tensor:
    "The loss, and .4 of the coarse answers' against masks of their size."
    logits, coarse = outputs
    return bce_dice(logits, target)+.4*sum(bce_dice(c, F.interpolate(target, c.shape[-2:], mode="area")) for c in coarse)/len(coarse)


def whole(net:nn.Module)->WithHeads:
    "Ask the bottom which classes the crop bears."
    return WithHeads(net, ("bottom",), [nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(.2), nn.Linear(320, 3))])


def whole_loss(outputs:tuple, target:Tensor)->Tensor:
    "The loss, and .2 of the cross-entropy of the crop's classes."
    logits, (bears,) = outputs
    return bce_dice(logits, target)+.2*F.binary_cross_entropy_with_logits(bears.float(), target.amax((2, 3)))


class Counted(nn.Module):
    "A network that counts its batches in training; the count is kept with the weights, so that a run can be stopped."
    def __init__(self, net:nn.Module):
        super().__init__()
        self.net = net
        self.register_buffer("batches", torch.zeros(()))

    @property
    def encoder(self): return self.net.encoder

    def forward(self, images):
        if not self.training: return self.net(images)
        self.batches += 1
        return self.net(images), self.batches.detach().clone()


def late_cldice(outputs:tuple, target:Tensor)->Tensor:
    "The loss, and from batch 600 to 800 on half of soft clDice."
    logits, batches = outputs
    weight = .5*float(((batches-600)/200).clamp(0, 1))
    return bce_dice(logits, target)+(weight*soft_cldice(logits, target) if weight else 0)


# ------------------------------------------------------------------------------------------------ the list

@dataclass(frozen=True)
class Experiment:
    "One change against the base."
    what:str                # In words
    make:Callable = base    # Makes the network
    wrap:Callable|None = None # What is around it in training only
    beside:tuple = ()       # What else gives crops: functions from classes to a catalog, each with its share
    images:int = IMAGES     # Crops to train on
    settings:dict = field(default_factory=dict) # What differs from `BASE`


def _set(what, **settings): return Experiment(what, settings=settings)

EXPERIMENTS = {
    "base": Experiment("the base"),
    # the network
    "unet": Experiment("UNet, width 16, from scratch", lambda: UNet(classes=3, width=16), settings=dict(encoder_lr=1.)),
    "scratch": Experiment("from scratch", lambda: LiteUNet(classes=3), settings=dict(encoder_lr=1.)),
    "no-fine": Experiment("without the fine skip", no_fine_skip),
    "full-head": Experiment("two convolutions more at full resolution", full_head),
    "learned-up": Experiment("learned up-sampling", learned_up),
    "group-norm": Experiment("group normalisation on the way up", group_norm),
    "frozen": Experiment("depthwise kernels held", lambda: hold_depthwise(base())),
    "deep": Experiment("deep supervision in training", wrap=deep, settings=dict(loss=deep_loss)),
    "whole": Experiment("an image-level head in training", wrap=whole, settings=dict(loss=whole_loss)),
    # where it starts
    "strips": Experiment("synthetic strips instead of ImageNet", lambda: after_strips("exp-strips-before", lambda net: net)),
    "imagenet-strips": Experiment("synthetic strips after ImageNet", lambda: after_strips("exp-imagenet-strips-before", start_from_imagenet)),
    # the loss
    "bce": _set("cross-entropy alone", loss=bce),
    "bce-2dice": _set("cross-entropy + 2 Dice", loss=weighted_sum([(1, bce), (2, soft_dice)])),
    "focal-dice": _set("focal + Dice", loss=weighted_sum([(1, focal), (1, soft_dice)])),
    "cldice": Experiment("clDice besides, after a warm-up", wrap=Counted, settings=dict(loss=late_cldice)),
    # the steps
    "encoder-1": _set("way down as fast as the rest", encoder_lr=1.),
    "encoder-.1": _set("way down at a tenth", encoder_lr=.1),
    "lr-6": _set("learning rate 6e-3", lr=6e-3),
    "lr-1.5": _set("learning rate 1.5e-3", lr=1.5e-3),
    "batch-16": _set("batches of 16", batch=16, ema=.996), # .996: the average reaches back over as many crops
    "no-ema": _set("without averaged weights", ema=0.),
    # the crops
    "crop-128": _set("crops of 128, as many", size=128),
    "crop-128-long": Experiment("crops of 128, as many pixels", images=21600, settings=dict(size=128)),
    "strength-0": _set("flips and turns alone", strength=0.),
    "strength-.5": _set("augmentation .5", strength=.5),
    "strength-3": _set("augmentation 3", strength=3.),
    "anywhere": _set("crops drawn anywhere", defect_share=0.),
    "clean": Experiment("a tenth of the crops good steel", beside=((good, .1),)),
    "mix": Experiment("a fifth of the crops synthetic strips", beside=((lent_strips, .2),)),
}


# ------------------------------------------------------------------------------------------------ running them

@cache
def parts_of_neu(
)->tuple[Catalog, Catalog, np.ndarray]: # Training images, one image of every held-out picture, its family
    "Hold fold 0 of NEU-Seg back."
    neu, groups, folds = neu_folds()
    train, held = part_by_folds(neu, folds, 0)
    held = one_a_picture(held, groups)
    return train, held, groups.set_index("ImageId").family.loc[held.ids].to_numpy()


def run(
    name:str,               # Of an experiment
    seed:int=0,             # Source of all chance
    images:int|None=None,   # Crops; None: as the experiment says
)->nn.Module:               # The trained network
    "Train an experiment and keep its pixels, or read a run that is there."
    if name not in EXPERIMENTS: raise ValueError(f"there is no experiment {name}: take one of {', '.join(EXPERIMENTS)}")
    one, (train, held, _) = EXPERIMENTS[name], parts_of_neu()
    folder = f"exp-{name}-{seed}"
    net, _ = trained(folder, one.make, train, beside=[(other(train.classes), share) for other, share in one.beside], images=images or one.images, wrap=one.wrap, seed=seed,
                     **{**BASE, **one.settings})
    for views in (1, 8):
        kept = RUNS/folder/f"pixels-{views}.npy"
        if not kept.is_file():
            parts = iou_parts(net, held, views)
            with replacing(kept) as part, part.open("wb") as file: np.save(file, parts)
    return net


def there(
    name:str,      # Of an experiment
)->list[int]:      # Seeds
    "List the seeds of an experiment that have been trained and scored."
    return sorted(int(p.parent.name.rpartition("-")[2]) for p in RUNS.glob(f"exp-{name}-*/pixels-8.npy") if p.parent.name.rpartition("-")[0] == f"exp-{name}")


def pixels(
    name:str,      # Of an experiment that is there
    views:int=1,   # 1 or 8
)->np.ndarray:     # `iou_parts` of every seed, (S, N, C, 2)
    "Read what the runs of an experiment have found."
    return np.stack([np.load(RUNS/f"exp-{name}-{seed}"/f"pixels-{views}.npy") for seed in there(name)])


def difference(
    name:str,      # Of an experiment that is there
    views:int=1,   # 1 or 8
)->Interval:       # Its mean IoU less that of the base
    "Compare with the base on the same pictures; several seeds are averaged on either side, and intervals are drawn over families of pictures."
    ours, theirs = (pixels(n, views).mean(0) for n in (name, "base"))
    return bootstrap(np.stack([ours, theirs], axis=1), lambda p: mean_iou(p[:, 0])-mean_iou(p[:, 1]), groups=parts_of_neu()[2])


@cache
def _step(
    make:Callable, wrap:Callable|None, loss:Callable, batch:int, size:int, # As in training
)->float: # Core seconds of a crop, the better of two steps after a first one
    "Time training steps on crops without content."
    torch.manual_seed(0)
    net, times = (wrap or (lambda net: net))(make()).train().to(memory_format=torch.channels_last), []
    if wrap is Counted: net.batches += 1000 # after the warm-up
    optimiser, x, y = torch.optim.AdamW(net.parameters()), torch.randn(batch, 1, size, size), (torch.rand(batch, 3, size, size) > .9).float()
    for _ in range(3):
        start = time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=best_precision(True) == "bf16"): outputs = net(x)
        outputs = outputs.float() if isinstance(outputs, Tensor) else (outputs[0].float(), outputs[1])
        loss(outputs, y).backward()
        optimiser.step()
        optimiser.zero_grad()
        times.append(time.process_time()-start)
    return min(times[1:])/batch


def milliseconds(
    name:str,      # Of an experiment
)->float:          # Of one core, for a crop: forward, loss, backward, step
    "Measure what a crop costs; the clock of a run itself knows what else the machine was doing."
    one = EXPERIMENTS[name]
    settings = {**BASE, **one.settings}
    make = base if name in ("scratch", "strips", "imagenet-strips") else one.make # the same network, other weights
    return 1e3*_step(make, one.wrap, settings["loss"], settings["batch"], settings["size"])


def table(
)->pd.DataFrame: # A row for each experiment that is there
    "Lay all experiments beside the base."
    rows = []
    for name, one in EXPERIMENTS.items():
        if not there(name): continue
        scores = {v: mean_iou(pixels(name, v).sum(1)) for v in (1, 8)}
        row = dict(experiment=name, change=one.what, seeds=len(there(name)), **{"IoU": scores[1].mean(), "IoU, 8 views": scores[8].mean()})
        if there("base") and name != "base": row |= {"less the base": difference(name), "less the base, 8 views": difference(name, 8)}
        rows.append(row | {"ms a crop": round(milliseconds(name))})
    return pd.DataFrame(rows).set_index("experiment") if rows else pd.DataFrame()


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description="Train and score experiments.")
    asked.add_argument("runs", nargs="*", help="a name, a dash and a seed, as base-0")
    asked.add_argument("--images", type=int, help="crops, to try whether all works")
    asked = asked.parse_args()
    if not asked.runs:
        for name, one in EXPERIMENTS.items(): print(f"{name:18}{one.what:44}{', '.join(f'seed {s}' for s in there(name))}")
    for one in asked.runs:
        name, _, seed = one.rpartition("-")
        run(name, int(seed), asked.images)
        print(f"{one}: IoU {mean_iou(np.load(RUNS/f'exp-{one}'/'pixels-1.npy').sum(0)):.3f}, "
              f"8 views {mean_iou(np.load(RUNS/f'exp-{one}'/'pixels-8.npy').sum(0)):.3f}, {read_json(RUNS/f'exp-{one}'/'seconds.json')['seconds']:.0f} s", flush=True)
