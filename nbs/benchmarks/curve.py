"""How many labelled pictures a score needs, and what smaller images cost: trainings that can be run from a shell.

    python curve.py                     what there is, and what has been run
    python curve.py 20-0 all-0 half-0   train and score these three

`N-SEED` learns from N pictures of NEU-Seg (one image a picture, no copies), `all-SEED` from all of them outside fold 0, `half-SEED` and
`three-quarters-SEED` from all of them made smaller, masks too. Each run is a folder `curve-...` below `STEEL_RUNS`; `11_limits` reads what is there.
"""
import argparse

import numpy as np
from arena import RUNS, mean_iou, neu_folds, one_a_picture, trained
from experiments import BASE, base, parts_of_neu
from skimage.transform import resize
from steel_defects.catalog import Catalog
from steel_defects.decision import quantise
from steel_defects.files import read_json, replacing
from steel_defects.images import standardise, write_image
from steel_defects.layouts import read_severstal
from steel_defects.predict import forward
from steel_defects.rle import rle_encode
from torch import nn
from tqdm.auto import tqdm

IMAGES = 4000 # Crops of every training
SIZES = {"half": .5, "three-quarters": .75}
RUNS_ASKED = ["20-0", "50-0", "100-0", "200-0", "400-0", "all-0", "half-0", "three-quarters-0", "20-1", "50-1", "100-1"]


def pictures(
    n:int|None, # How many; None: all
    seed:int,   # Which
)->Catalog:     # One image of each
    "Draw labelled pictures to learn from."
    train = one_a_picture(parts_of_neu()[0], neu_folds()[1])
    order = np.random.default_rng(seed).permutation(train.ids)
    return train.subset(order[:n].tolist())


def smaller(
    image:np.ndarray, # Grey (H, W) in 0..1, or masks bool (C, H, W)
    scale:float,      # Of both sides; above 1: larger
)->np.ndarray:        # The same kind; a pixel is in a mask where half of it or more is
    "Resize as one should: with anti-aliasing."
    rows, columns = (round(scale*n) for n in image.shape[-2:])
    if image.ndim == 2: return resize(image, (rows, columns), order=1, anti_aliasing=scale < 1).astype(np.float32)
    return np.stack([resize(m.astype(np.float32), (rows, columns), order=1, anti_aliasing=scale < 1) >= .5 for m in image])


def made_smaller(
    catalog:Catalog, # Images and masks
    scale:float,     # Of both sides
)->Catalog:          # The same, smaller, kept in a folder of its own
    "Write a set at a smaller size."
    folder, rows = RUNS/f"neu-{scale:g}", []
    if not (folder/"train.csv").is_file():
        for i in tqdm(catalog.ids, desc="smaller", unit="image"):
            write_image(folder/"images"/f"{i.rpartition('.')[0]}.png", smaller(catalog.image(i), scale))
            rows += [(f"{i.rpartition('.')[0]}.png", c+1, rle_encode(m)) for c, m in enumerate(smaller(catalog.stack(i), scale)) if m.any()]
        with replacing(folder/"train.csv") as part: part.write_text("ImageId,ClassId,EncodedPixels\n"+"".join(f"{i},{c},{text}\n" for i, c, text in rows))
    return read_severstal(folder/"train.csv", folder/"images", classes=catalog.classes)


def at_scale(
    net:nn.Module,    # From standardised (1, 1, H, W) to logits
    image:np.ndarray, # Grey (H, W) in 0..1
    scale:float=1.,   # Size at which the network sees it
)->np.ndarray:        # Stored probabilities at the image's own size, uint8 (C, H, W)
    "Find at another size; probabilities come back to full size before any threshold."
    p = forward(net, standardise(image if scale == 1 else smaller(image, scale)))
    return quantise(p if scale == 1 else np.clip(resize(p, (len(p), *image.shape), order=1), 0, 1))


def run(
    name:str,   # Such as 20-0
)->nn.Module:   # The trained network
    "Train one of the runs and keep its pixels, or read it."
    what, _, seed = name.rpartition("-")
    seed, scale, folder = int(seed), SIZES.get(what, 1), RUNS/f"curve-{name}"
    train = pictures(None if what in {"all", *SIZES} else int(what), seed)
    if scale != 1: train = made_smaller(pictures(None, 0), scale)
    net, _ = trained(folder.name, base, train, images=IMAGES, seed=seed, **{**BASE, "size": round(scale*BASE["size"])})
    held, kept = parts_of_neu()[1], folder/"pixels.npy"
    if not kept.is_file():
        parts = [np.stack([(f & t).sum((1, 2)), (f | t).sum((1, 2))], axis=1) for i in tqdm(held.ids, desc="scoring", leave=False)
                 for f, t in [(at_scale(net, held.image(i), scale) >= 128, held.stack(i))]]
        with replacing(kept) as part, part.open("wb") as file: np.save(file, np.stack(parts))
    return net


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description="Train and score on few pictures, and on small ones.")
    asked.add_argument("runs", nargs="*", help="pictures, a dash and a seed, as 20-0")
    asked = asked.parse_args()
    if not asked.runs:
        for name in RUNS_ASKED: print(f"{name:20}{'there' if (RUNS/f'curve-{name}'/'pixels.npy').is_file() else ''}")
    for name in asked.runs:
        run(name)
        kept = RUNS/f"curve-{name}"
        print(f"{name}: IoU {mean_iou(np.load(kept/'pixels.npy').sum(0)):.3f}, {read_json(kept/'seconds.json')['seconds']:.0f} s", flush=True)
