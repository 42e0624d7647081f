"The whole table: regions as the region room tells them, groups in every interval, a file that comes back."
import json

import numpy as np
import pandas as pd
import pytest

from steel_defects.catalog import _catalog
from steel_defects.defects import SEVERSTAL
from steel_defects.detection import false_regions, region_outcomes, region_recall
from steel_defects.files import read_json
from steel_defects.protocols import PROTOCOLS, empty_answer
from steel_defects.rle import rle_encode
from steel_defects.scorecard import border_table, card_lines, probability_tables, read_answers, region_table_by_class, score_card, write_card


def catalog_of(stacks):
    "A catalog of masks, bool (4, H, W) each."
    rows = [(i, c+1, rle_encode(m)) for i, s in stacks.items() for c, m in enumerate(s) if m.any()]
    return _catalog(rows, [(i, *s.shape[1:]) for i, s in stacks.items()], SEVERSTAL, None)


@pytest.fixture(scope="module")
def pair():
    "Labels and predictions of twelve images of mixed sizes, some empty, with specks and overlapping classes."
    rng, truth, found = np.random.default_rng(0), {}, {}
    for n in range(12):
        shape = (4, int(rng.integers(9, 40)), int(rng.integers(9, 60)))
        truth[f"{n}.png"] = rng.random(shape) < (.0 if n in (2, 7) else .08)
        found[f"{n}.png"] = (truth[f"{n}.png"] & (rng.random(shape) < .6)) | (rng.random(shape) < (0 if n in (2, 5) else .02))
    return catalog_of(truth), catalog_of(found)


def test_regions_are_those_of_the_region_room(pair):
    truth, found = pair
    table, outcomes, false = region_table_by_class(truth, found), region_outcomes(truth, found), false_regions(truth, found)
    for row in table.itertuples():
        mine = outcomes[outcomes.ClassId == row.ClassId]
        one = region_recall(mine, bins=1).iloc[0]
        assert (row.regions, row.found, row.false) == (len(mine), mine.found.sum(), (false.ClassId == row.ClassId).sum())
        assert (row.recall, row.low, row.high) == pytest.approx((one.recall, one.low, one.high))
        assert row.false_per_image == pytest.approx(row.false/12)


def test_every_interval_is_drawn_over_groups():
    rng, truth, found = np.random.default_rng(1), {}, {}
    for g in range(6):
        t = rng.random((4, 20, 20)) < .05
        f = t & (rng.random((4, 1, 1)) < .5)
        for k in range(10): truth[f"{g}-{k}.png"], found[f"{g}-{k}.png"] = t, f
    truth, found = catalog_of(truth), catalog_of(found)
    groups = pd.DataFrame(dict(ImageId=truth.ids[::-1], group=[i[0] for i in truth.ids[::-1]]))  # in another order than the images
    alone, together = score_card(truth, found), score_card(truth, found, groups=groups)
    width = lambda t: (t.high-t.low).to_numpy(float)
    assert (width(together["regions"]) > 1.5*width(alone["regions"])).all()
    assert (width(together["image level"])[:1] >= width(alone["image level"])[:1]).all()
    for name in ("Dice per image (empty = 1)", "IoU over the set"):
        a, b = (c["answers"].loc["prediction", f"{name} high"]-c["answers"].loc["prediction", f"{name} low"] for c in (alone, together))
        assert b > 1.5*a
    assert "6 groups of 60 images" in together["answers"].attrs["note"]


def test_a_card_comes_back_from_its_file(pair, tmp_path):
    truth, found = pair
    stored = lambda i: np.where(found.stack(i), 200, 3).astype(np.uint8)
    card = score_card(truth, found, floors={"copied label": empty_answer(truth)}, stored=stored)
    path = write_card(tmp_path/"scores.json", card, "twelve images", images=12)
    scores = json.loads(path.read_text(), parse_constant=lambda v: pytest.fail(f"{v} is no JSON"))
    assert scores["protocol"] == "twelve images" and scores["images"] == 12 and {r["answer"] for r in scores["answers"]} == {"prediction", "copied label", "all empty"}
    pd.testing.assert_frame_equal(read_answers(scores), card["answers"].astype(float), check_exact=False)
    assert {r["source"] for r in scores["answers"]} == {p.source for p in PROTOCOLS.values()}
    lines = "\n".join(card_lines(read_json(path)))
    for word in ("copied label", "escapes", "overkill", "regions found", "AU-PRO", *PROTOCOLS): assert word in lines
    assert scores["localisation"][0]["pixel_auroc"] == pytest.approx(card["localisation"].pixel_auroc[0])


def test_nothing_there_and_nothing_found():
    blank = catalog_of({f"{n}.png": np.zeros((4, 8, 8), bool) for n in range(3)})
    card = score_card(blank, blank, stored=lambda i: np.zeros((4, 8, 8), np.uint8))
    assert card["answers"].loc["prediction", "Dice per image (empty = 1)"] == 1 and np.isnan(card["answers"].loc["prediction", "IoU over the set"])
    assert card["regions"].recall.isna().all() and card["borders"].surface_dice.isna().all()
    assert (card["localisation"].reason == "no labelled pixel in any image").all() and card["gates"].image_auroc.isna().all()


def test_borders_count_where_the_class_is_labelled():
    box = np.zeros((4, 30, 30), bool)
    box[0, 5:15, 5:15] = True
    truth = catalog_of({"a.png": box, "b.png": box & False})
    found = catalog_of({"a.png": box, "b.png": box})
    assert border_table(truth, found).set_index("ClassId").loc[1, ["boundary_iou", "surface_dice", "cldice"]].tolist() == [1, 1, 1]
    assert border_table(truth, found).set_index("ClassId").boundary_iou[2:].isna().all()


def test_bad_input(pair):
    truth, found = pair
    with pytest.raises(ValueError, match="a floor is called 'prediction', which is taken"): score_card(truth, found, floors={"prediction": found})
    with pytest.raises(ValueError, match="predict the images that were labelled"): probability_tables(truth, lambda i: np.zeros((4, 3, 3), np.uint8))
    with pytest.raises(TypeError, match="uint8"): probability_tables(truth, lambda i: truth.stack(i).astype(float))
    with pytest.raises(ValueError, match="have no prediction"): region_table_by_class(truth, found.subset(found.ids[:3]))
