"""What one process or several do alike: `torchrun --nproc_per_node 2 tests/processes.py OUT` or `python tests/processes.py OUT`."""
import json
import os
import sys
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader

from steel_defects.catalog import read_severstal
from steel_defects.dataset import Strips
from steel_defects.decision import Decision
from steel_defects.defects import SEVERSTAL
from steel_defects.losses import bce_dice
from steel_defects.predict import Model, gathered, predict_folder, save_model
from steel_defects.run import finish_run, train_run
from steel_defects.train import TrainConfig, process_state, validate
from steel_defects.unet import UNet

out = Path(sys.argv[1])
catalog = read_severstal(out/"strips"/"labels.csv", out/"strips"/"images")  # an odd number of images
accelerator = Accelerator(cpu=process_state().device.type == "cpu")
n, main = accelerator.num_processes, accelerator.is_main_process
assert n == int(os.environ.get("WORLD_SIZE", 1))
torch.manual_seed(0)
model = Model(UNet(classes=4, width=4, depth=2, prior=.4).eval(), SEVERSTAL, Decision((102, 101, 100, 101), (0,)*4))

for batch in (1, 2):
    loader = accelerator.prepare(DataLoader(Strips(catalog), batch_size=batch))
    loss, counts = validate(model.net, loader, bce_dice, gather=accelerator.gather_for_metrics)
    if main: np.save(out/f"counts-{n}-{batch}.npy", counts)
    if batch == 1 and main: (out/f"loss-{n}.json").write_text(json.dumps(loss))

assert gathered(lambda i: i*i, range(7), desc="squares") == [i*i for i in range(7)]
assert gathered(str, ["alone"], desc="fewer items than processes") == ["alone"]

for n_images in (len(catalog), 1):
    rows = predict_folder(model, catalog.folder, ids=catalog.ids[:n_images], out=out/f"found-{n}-{n_images}.csv", store=out/f"probabilities-{n}-{n_images}")
    assert len(rows) == 4*n_images  # every process has the whole table

if main: save_model(out/f"finished-{n}", model)
accelerator.wait_for_everyone()
finish_run(out/f"finished-{n}", catalog, device="cpu")

config = TrainConfig(epochs=3, cpu=True, precision="no", patience=3)
small = dict(width=4, depth=2, size=(64, 64), batch=2, crops=12)
calls = []
for _ in range(2):  # the second call finds the run finished
    trained = train_run(catalog.subset(catalog.ids[:4]), catalog.subset(catalog.ids[4:]), out/f"run-{n}", config=config, callbacks=[calls.append], **small)
assert len(calls) == (3 if main else 0)
weights = torch.cat([p.flatten() for p in trained.net.parameters()])
assert all(torch.equal(weights, o) for o in accelerator.gather(weights[None]))
if n > 1:  # one process may not go on with a run of two, and says so in all of them
    try: train_run(catalog.subset(catalog.ids[:4]), catalog.subset(catalog.ids[4:]), out/"run-1", config=config, **small)
    except ValueError as e: assert "other settings" in str(e)
    else: raise AssertionError("a run of one process was continued with two")
process_state().destroy_process_group()
