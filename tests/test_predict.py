"Prediction: pixels stay where they are, tiles leave no seam, rows come back exactly."
import numpy as np
import pytest
import torch
from torch import nn

from steel_defects.catalog import read_severstal, write_submission
from steel_defects.decision import Decision, decide, default_decision, quantise
from steel_defects.defects import SEVERSTAL
from steel_defects.images import read_image, standardise
from steel_defects.predict import Model, load_model, predict_folder, probabilities, read_probabilities, save_model, tile_starts, tile_weight
from steel_defects.unet import UNet


class Local(nn.Module):
    "A network that sees one pixel: its answer must stand exactly where the pixel is."
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 1)

    def forward(self, x): return self.conv(x)


@pytest.fixture(autouse=True)
def float32(monkeypatch): monkeypatch.setattr("steel_defects.predict.best_precision", lambda cpu: "no")  # exact comparisons


@pytest.mark.parametrize("shape", [(1, 1), (37, 53), (256, 1600), (300, 2500)])
@pytest.mark.parametrize("flips", [False, True])
def test_aligned_to_the_pixel(shape, flips):
    image = np.random.default_rng(0).random(shape).astype(np.float32)
    torch.manual_seed(0)
    model = Model(Local().eval(), SEVERSTAL, default_decision(4))
    found = probabilities(model, image, tile=(128, 256), overlap=64, flips=flips)
    with torch.inference_mode(): wanted = model.net(torch.from_numpy(standardise(image))[None, None])[0].sigmoid().numpy()
    assert (abs(found.astype(int)-quantise(wanted)) <= 1).all()  # weights of two tiles add up to 1 within a rounding


@pytest.mark.parametrize("length", [1, 63, 64, 200, 256, 257, 1600, 2047])
@pytest.mark.parametrize("tile, overlap", [(256, 128), (256, 64), (64, 0), (512, 256)])
def test_weights_cover_every_pixel_once(length, tile, overlap):
    starts, total = tile_starts(length, tile, overlap), np.zeros(length)
    for i, s in enumerate(starts):
        end = min(s+tile, length)
        assert end > s
        total[s:end] += tile_weight(end-s, overlap, i == 0, i == len(starts)-1)
    assert total == pytest.approx(np.ones(length))


def test_tiles_agree_with_the_whole():
    torch.manual_seed(0)
    net = UNet(classes=4, width=4, depth=2, prior=.3).eval()  # sees fewer than 32 pixels around each, a quarter of the overlap
    image = np.random.default_rng(0).random((256, 1600)).astype(np.float32)
    model = Model(net, SEVERSTAL, default_decision(4))
    whole = probabilities(model, image)
    tiled = probabilities(model, image, tile=(256, 512), overlap=128)
    assert abs(whole.astype(int)-tiled).max() <= 1


def test_saved_model_predicts_the_same(tmp_path, root):
    torch.manual_seed(0)
    model = Model(UNet(classes=4, width=4, depth=2, prior=.4).eval(), SEVERSTAL, Decision((100, 90, 80, 110), (0, 10, 20, 30)), ("flat_field",))
    folder = root/"data"/"sample"/"train_images"
    ids = sorted(p.name for p in folder.glob("*.jpg"))[:2]
    again = load_model(save_model(tmp_path/"model", model))
    assert again.decision == model.decision and again.steps == ("flat_field",)
    a, b = (predict_folder(m, folder, ids=ids, store=tmp_path/n) for m, n in ((model, "a"), (again, "b")))
    assert a.equals(b)
    stored = read_probabilities(tmp_path/"a"/f"{ids[0]}.npz")
    assert (stored == probabilities(model, read_image(folder/ids[0]))).all()
    write_submission(a, tmp_path/"found.csv")
    found = read_severstal(tmp_path/"found.csv", folder, image_ids=ids)
    for i in ids: assert (found.stack(i) == decide(read_probabilities(tmp_path/"a"/f"{i}.npz"), model.decision)).all()


def test_another_architecture_is_refused(tmp_path):
    model = Model(UNet(classes=4, width=4, depth=2), SEVERSTAL, default_decision(4))
    folder = save_model(tmp_path/"model", model)
    text = (folder/"config.json").read_text()
    (folder/"config.json").write_text(text.replace('"width": 4', '"width": 8'))
    with pytest.raises(ValueError, match="of another network"): load_model(folder)
    (folder/"config.json").write_text(text.replace('"version": 1', '"version": 2'))
    with pytest.raises(ValueError, match="update steel_defects"): load_model(folder)
