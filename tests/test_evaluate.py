"The score table and its summary, against scores made by hand."
from dataclasses import replace

import numpy as np
import pytest

from steel_defects.catalog import read_severstal
from steel_defects.evaluate import all_empty, score_catalog, summary
from steel_defects.metrics import counts, dice, iou


@pytest.fixture(scope="module")
def truth(root): return read_severstal(root/"data"/"sample"/"train.csv", root/"data"/"sample"/"train_images")


@pytest.fixture(scope="module")
def found(truth): return replace(truth, labels=truth.labels.iloc[1::3].reset_index(drop=True))


def test_rows_are_counts(truth, found):
    table = score_catalog(truth, found)
    for i in truth.ids[:8]:
        rows = table[table.ImageId == i]
        assert (rows[["tp", "fp", "fn", "tn"]].to_numpy() == counts(found.stack(i), truth.stack(i))).all() and list(rows.ClassId) == [1, 2, 3, 4]


def test_summary_by_hand(truth, found):
    s = summary(score_catalog(truth, found), truth.classes)
    c = np.stack([counts(found.stack(i), truth.stack(i)) for i in truth.ids])
    for k in range(4):
        bearing = c[:, k, 0]+c[:, k, 2] > 0
        row = s.loc[k+1]
        assert row.bearing == bearing.sum() and row.images == len(truth)
        assert row.dice_per_image == pytest.approx(dice(c[:, k]).mean()) and row.dice_where_present == pytest.approx(dice(c[bearing, k]).mean())
        assert row.dice_over_set == pytest.approx(dice(c[:, k].sum(0))) and row.iou_over_set == pytest.approx(iou(c[:, k].sum(0)))
        assert row.dice_per_image_all_empty == pytest.approx(1-bearing.mean()) and row.dice_over_set_all_empty == 0


def test_all_empty_keeps_the_truth(truth, found):
    table = score_catalog(truth, found)
    floor = all_empty(table)
    assert (floor.fn == table.tp+table.fn).all() and (floor[["tp", "fp"]] == 0).all().all()
    assert (floor[["tp", "fp", "fn", "tn"]].sum(axis=1) == table[["tp", "fp", "fn", "tn"]].sum(axis=1)).all()


def test_a_class_nobody_bears_has_no_score(truth):
    clean = replace(truth, labels=truth.labels[truth.labels.ClassId != 2].reset_index(drop=True))
    s = summary(score_catalog(clean, clean), truth.classes)
    assert np.isnan(s.loc[2, "dice_where_present"]) and s.loc["mean", "dice_where_present"] == 1
