"""From a run folder to a model that comes with the package: weights in 16 bits, the decision, and a card with its scores.

    python ship.py RUN [--name neu-strip] [--seeds RUN ...]

RUN is what `steel-defects train` left of NEU-Seg with one fold held back, in the folder `STEEL_RUNS`; `STEEL_DATA` names the real sets. The scores of the
card are those of these very weights on the held-out fold, with decisions chosen on its other half; all scores are computed here, while the data and the command
that card.md names must be those of RUN. `--seeds` are runs of the same command with other seeds, and the card says how far apart they are.
"""
import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from arena import DATA, RUNS, iou_parts, mean_iou, neu_folds, one_a_picture
from steel_defects.audit import read_pairs
from steel_defects.catalog import read_severstal
from steel_defects.evaluate import score_catalog
from steel_defects.files import read_json
from steel_defects.folds import part_by_folds
from steel_defects.intervals import bootstrap
from steel_defects.mix import good_windows
from steel_defects.predict import WEIGHTS, Model, load_model, predict_image, save_model
from steel_defects.regions import region_table
from steel_defects.metrics import dice, iou
from steel_defects.run import copied_floor, finish_run, found_catalog
from steel_defects.synth import STYLES, synth_strip
from tqdm.auto import tqdm

CARD = Path(__file__).with_name("card.md") # with the places of the figures in braces


def shown(
    interval,      # From `bootstrap`
)->str:            # Value and interval
    "Write a score with its interval."
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def held_out_counts(
    run:Path,    # Run folder
    truth,       # Catalog of its held-out fold
)->np.ndarray:   # tp, fp, fn, tn under decisions chosen on the other half, (N, C, 4)
    "Count the pixels of every held-out image."
    table = score_catalog(truth, found_catalog(truth, pd.read_csv(run/"found.csv", keep_default_na=False)))
    return table[["tp", "fp", "fn", "tn"]].to_numpy().reshape(len(truth), len(truth.classes), 4)


def class_rows(
    parts:np.ndarray,  # From `held_out_counts`
    families,          # Of the images
    truth,             # Their catalog
)->str:                # Lines of a table
    "Write IoU and Dice of every class over all pixels, with intervals over families."
    lines, every = [], [[c] for c in range(len(truth.classes))]+[[*range(len(truth.classes))]]
    for name, classes in zip([*(c.name for c in truth.classes), "mean"], every):
        told = [shown(bootstrap(parts, lambda p: score(p[..., classes, :], empty=np.nan).mean(-1), groups=families)) for score in (iou, dice)]
        lines.append(f"| {name} | {' | '.join(told)} | 0.000 |")
    return "\n".join(lines)


def silence(
    model,     # The shipped model
    pieces,    # Images with the windows of good steel in each
)->str:        # Cells of a table: windows, false regions per million pixels, share of false pixels
    "Count what is found on good steel."
    parts = []
    for image, windows in tqdm(pieces, desc="good steel", unit="image", leave=False):
        found = predict_image(model, image)
        for part in (found[:, rows, columns] for rows, columns in windows): parts.append((len(region_table(part)), part.any(0).sum(), part[0].size))
    regions, pixels, size = np.sum(parts, axis=0)
    return f"{len(parts)} | {regions/size*1e6:.1f} | {pixels/size:.2%}"


def good_pieces(
)->dict: # Name -> images with windows of good steel, none of them in training
    "Gather good steel that training has not seen."
    ids = (RUNS/"judge.txt").read_text().split()
    strips = read_severstal(DATA/"severstal/train.csv", DATA/"severstal/train_images", image_ids=ids)
    real = [(strips.image(i), strips.stack(i).any(0)) for i in strips.ids]
    made = [(image.astype(np.float32)/255, mask.any(0)) for image, mask in (synth_strip((77, n), classes=(), style=STYLES[-1])[:2] for n in range(20))]
    return {name: [(image, good_windows(image, mask, (256, 256))) for image, mask in some] for name, some in {"severstal": real, "wet": made}.items()}


def seed_rows(
    scores:dict[int, tuple], # Seed -> mean IoU over all images, and over one image of each picture
)->str:                      # Lines of a table
    "Write the mean IoU of every seed, and how far they are apart."
    lines = [f"| seed {seed} | {all_:.3f} | {one:.3f} |" for seed, (all_, one) in scores.items()]
    return "\n".join(lines+["| largest difference | {:.3f} | {:.3f} |".format(*np.ptp([*scores.values()], axis=0))]*(len(lines) > 1))


def figures(
    model:Model,       # The shipped model
    run:Path,          # Run folder that it comes from
    others:list[Path], # Run folders of the same command with other seeds
)->dict:               # Every score of the card
    "Compute what the card says."
    neu, groups, folds = neu_folds()
    truth = part_by_folds(neu, folds, read_json(run/"config.json")["data"]["fold"])[1]
    families, once = groups.set_index("ImageId").family, one_a_picture(truth, groups)
    counted, seen = {r: held_out_counts(r, truth) for r in (run, *others)}, {v: iou_parts(model.net, once, v) for v in (1, 4, 8)}
    exact = {r: mean_iou(iou_parts(load_model(r).net, once).sum(0)) for r in counted} # before the kernels were rounded
    views = {v: shown(bootstrap(p, mean_iou, groups=families.loc[once.ids].to_numpy())) for v, p in seen.items()}
    seeds = {read_json(r/"config.json")["train"]["seed"]: (iou(c.sum(0), empty=np.nan).mean(), exact[r]) for r, c in counted.items()}
    value = pd.DataFrame(read_json(run/"scores.json")["answers"]).set_index(["answer", "score"]).value
    history = pd.read_csv(run/"history.csv")
    return dict(rows=class_rows(counted[run], families.loc[truth.ids].to_numpy(), truth), seeds=seed_rows(seeds), rounding=f"{abs(mean_iou(seen[1].sum(0))-exact[run]):.4f}", images=len(truth), pictures=len(once),
                families=families.loc[truth.ids].nunique(), train=len(neu)-len(truth), all=f"{len(neu):,}", views1=views[1], views4=views[4], views8=views[8],
                dice=f"{value['prediction', 'Dice per image (empty = 1)']:.3f}", empty=f"{value['all empty', 'Dice per image (empty = 1)']:.3f}",
                copied=f"{value['copied label', 'IoU over the set']:.3f}", minutes=f"{history.seconds.iloc[-1]/60:.0f}",
                epoch=int(history.dice.idxmax())+1, epochs=len(history), **{name: silence(model, pieces) for name, pieces in good_pieces().items()})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--name", default="neu-strip")
    parser.add_argument("--seeds", nargs="*", default=[], help="runs of the same command with other seeds")
    parser.add_argument("--anew", action="store_true", help="choose the decision and score again")
    asked = parser.parse_args()
    run = asked.run if asked.run.is_dir() else RUNS/asked.run
    if asked.anew:
        neu, groups, folds = neu_folds()
        train, truth = part_by_folds(neu, folds, read_json(run/"config.json")["data"]["fold"])
        finish_run(run, truth, groups=groups[groups.ImageId.isin(truth.ids)], floors={"copied label": copied_floor(train, truth, read_pairs(RUNS/"groups-pairs.csv"))})
    folder = save_model(Path(WEIGHTS)/asked.name, load_model(run), half=True)
    told = figures(load_model(folder), run, [RUNS/name for name in asked.seeds])
    (folder/"card.md").write_text(CARD.read_text(encoding="utf-8").format(**told), encoding="utf-8")
    print((folder/"card.md").read_text(encoding="utf-8"))


if __name__ == "__main__": main()
