"Figures of audit and scores: what they say and where their marks lie, on tables, odd names, empty answers and wrong input."
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from steel_defects import plots
from steel_defects.agreement import disagreements, label_agreement, suspicious_labels
from steel_defects.audit import TRANSFORMS, transformed
from steel_defects.calibration import dice_parts, plateau
from steel_defects.catalog import Catalog
from steel_defects.decision import Decision
from steel_defects.defects import SEVERSTAL, classes_from_names
from steel_defects.detection import false_regions, missed_regions, region_outcomes, region_recall
from steel_defects.folds import leaks
from steel_defects.images import write_image
from steel_defects.intervals import Comparison, Interval
from steel_defects.localisation import au_pro, localisation_parts, pixel_parts, pro_curve, sum_parts
from steel_defects.protocols import PROTOCOLS, protocol_table
from steel_defects.rle import rle_encode
from steel_defects.screening import gate_parts, gate_table

CLASSES = SEVERSTAL[:2]
LABELS = ["ImageId", "ClassId", "EncodedPixels"]
NAMES = ["a $x$.png", "b_{2}.png", "c.png", "d.png"]
SHAPE = (60, 80)


def box(top, left, size=14, shape=SHAPE):
    mask = np.zeros(shape, bool)
    mask[top:top+size, left:left+size] = True
    return mask


def catalog(masks, folder=None, classes=CLASSES):
    "A catalog of masks (C, H, W) by name."
    rows = [(i, c, rle_encode(m)) for i, s in masks.items() for c, m in enumerate(s, 1) if m.any()]
    images = pd.DataFrame([(i, *s.shape[1:]) for i, s in masks.items()], columns=["ImageId", "height", "width"])
    return Catalog(pd.DataFrame(rows, columns=LABELS).astype({"ClassId": int}), images, tuple(classes), folder)


NOTHING = np.zeros(SHAPE, bool)
TRUTH = {NAMES[0]: np.stack([box(5, 8), NOTHING]), NAMES[1]: np.stack([NOTHING, box(30, 40, 20)]), NAMES[2]: np.stack([NOTHING]*2),
         NAMES[3]: np.stack([box(40, 60), box(2, 2, 9)])}


@pytest.fixture
def truth(tmp_path):
    "Four images, the third of them clean."
    rng = np.random.default_rng(0)
    for name in NAMES: write_image(tmp_path/name, rng.random(SHAPE)*.3+.3)
    return catalog(TRUTH, tmp_path)


@pytest.fixture
def found(truth):
    "The first is found, the second missed, the clean image has a false alarm."
    return replace(catalog({NAMES[0]: TRUTH[NAMES[0]], NAMES[1]: np.stack([NOTHING]*2), NAMES[2]: np.stack([box(9, 9), NOTHING]),
                            NAMES[3]: TRUTH[NAMES[3]] & [[[True]], [[False]]]}), folder=truth.folder)


@pytest.fixture
def maps(truth):
    "Stored probabilities and truth: high on the labels, some noise elsewhere."
    rng = np.random.default_rng(1)
    return [(np.where(s, rng.integers(90, 256, s.shape), rng.integers(0, 130, s.shape)).astype(np.uint8), s) for s in TRUTH.values()]


def title(ax): return ax.get_title("left")


def shown(fig): return [ax for ax in fig.axes if ax.images]


def finish(fig):
    "Draw, so that every text is laid out; the figure must be out of pyplot's keeping."
    fig.canvas.draw()
    assert not plt.get_fignums()
    return fig


def words(legend): return [t.get_text() for t in legend.texts]


PAIRS = pd.DataFrame([(NAMES[0], NAMES[1], "flip rows", .97, .99, "copy"), (NAMES[0], NAMES[3], "identity", .8, .4, "part")],
                     columns=["ImageId", "other", "transform", "similarity", "shared", "kind"])


# --- style

def test_figures_are_closed_and_the_style_stays_outside(truth):
    before = dict(plt.rcParams)
    finish(plots.plot_pairs(truth, PAIRS))
    assert dict(plt.rcParams) == before


def test_a_failure_leaves_no_figure_open(truth):
    mine = plt.figure()
    with pytest.raises(ValueError, match="no comparison"): plots.plot_difference({})
    with pytest.raises(ValueError): plots.plot_pairs(truth, PAIRS.assign(transform="upside down"))
    assert plt.get_fignums() == [mine.number]
    plt.close(mine)


def test_every_pattern_has_a_dash():
    from steel_defects.defects import PATTERNS
    assert set(plots._DASHES) == set(PATTERNS) and len(set(map(str, plots._DASHES.values()))) == len(PATTERNS)


# --- pictures

@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_copy_is_shown_as_the_first_lies(tmp_path, transform):
    "For every transform, picture and label of the turned copy come out as those of the original."
    rng, stack = np.random.default_rng(2), TRUTH[NAMES[3]]
    image = (rng.random(SHAPE)*255).astype(np.uint8)
    write_image(tmp_path/"a.png", image)
    write_image(tmp_path/"b.png", np.ascontiguousarray(transformed(image, transform)))
    both = catalog({"a.png": stack, "b.png": np.ascontiguousarray(transformed(stack, transform))}, tmp_path)
    picture, masks = plots._aligned(both, "a.png", "b.png", transform)
    assert (masks == stack).all() and abs(picture*255-image).max() < 1
    fig = plots.plot_pairs(both, pd.DataFrame(dict(ImageId=["a.png"], other=["b.png"], transform=[transform])))
    one, two = (ax.images[0].get_array() for ax in fig.axes)
    assert (one == two).all()
    assert title(fig.axes[1]).endswith("not turned" if transform == "identity" else f"{transform}, undone")


def test_pairs_say_what_the_table_knows(truth):
    fig = finish(plots.plot_pairs(truth, PAIRS))
    assert len(shown(fig)) == 4
    assert title(fig.axes[0]) == f"{NAMES[0]}\n99% of the area shared" and "part only, 40%" in title(fig.axes[1])
    assert words(fig.legends[0]) == [c.label for c in CLASSES]
    bare = plots.plot_pairs(truth, PAIRS, labels=False)
    assert not bare.legends and not any(ax.collections for ax in bare.axes) and all(ax.collections for ax in shown(fig))
    assert len(shown(plots.plot_pairs(truth, PAIRS, n=1))) == 2


def test_pairs_of_leaks_and_of_disagreements(truth):
    folds = pd.DataFrame(dict(ImageId=NAMES, fold=["test", "train", "train", "train"]))
    fig = finish(plots.plot_pairs(truth, leaks(folds, PAIRS, "test")))
    assert "test and train, similarity 0.97" in title(fig.axes[0])
    groups = pd.DataFrame(dict(ImageId=NAMES, group=[0, 0, 1, 2]))
    fig = finish(plots.plot_pairs(truth, leaks(folds, groups, "test")))
    assert "turn not known" in title(fig.axes[1]) and "similarity" not in title(fig.axes[0])
    same = pd.DataFrame([(NAMES[0], NAMES[1], "identity", 1.)], columns=PAIRS.columns[:4])
    clean = catalog({i: np.stack([NOTHING]*2) for i in NAMES})
    fig = finish(plots.plot_pairs(clean, disagreements(label_agreement(clean, same))))
    assert "neither bears a label" in title(fig.axes[0]) and "no image folder" in title(fig.axes[0]) and not fig.legends
    fig = finish(plots.plot_pairs(truth, disagreements(label_agreement(truth, same))))
    assert "labels' IoU 0.00, differ in class 1, 2" in title(fig.axes[0])


def test_long_strips_lie_below_each_other(tmp_path):
    strips = catalog({i: np.zeros((2, 64, 400), bool) for i in "ab"})
    fig = finish(plots.plot_pairs(strips, pd.DataFrame(dict(ImageId=["a"]*3, other=["b"]*3, transform=["turn 180"]*3))))
    assert fig.axes[0].get_subplotspec().get_gridspec().get_geometry() == (6, 1)
    assert [title(ax)[0] for ax in fig.axes] == ["a", "b"]*3


def test_squares_are_wrapped_with_their_copies_below():
    squares = catalog({i: np.zeros((2, 50, 50), bool) for i in "abcdef"})
    table = pd.DataFrame(dict(ImageId=list("abcde"), other=["f"]*5, transform=["turn 90"]*5))
    fig = finish(plots.plot_pairs(squares, table, n=9))
    at = {title(ax)[0]+str(k): ax.get_subplotspec().rowspan.start for k, ax in enumerate(fig.axes) if ax.images}
    assert len(at) == 10 and sorted(v for k, v in at.items() if k[0] == "f") == [1, 1, 1, 1, 3] and at["e8"] == 2


def test_rims_lie_around_the_mask_and_keep_the_view():
    fig, ax = plt.subplots()
    ax.imshow(np.zeros(SHAPE))
    before = ax.get_xlim(), ax.get_ylim()
    plots._rims(ax, np.stack([box(0, 0), box(30, 40, 20)]), CLASSES)
    assert (ax.get_xlim(), ax.get_ylim()) == before
    ends = [np.concatenate([p.vertices for p in c.get_paths()]) for c in ax.collections]
    assert [e.min(0).tolist() + e.max(0).tolist() for e in ends] == [[-.5, -.5, 13.5, 13.5], [39.5, 29.5, 59.5, 49.5]]
    assert len({str(c.get_linestyle()) for c in ax.collections}) == 2
    plt.close(fig)


def test_missed_and_false_regions(truth, found):
    outcomes = region_outcomes(truth, found)
    missed = missed_regions(outcomes)
    fig = finish(plots.plot_missed(truth, found, missed))
    assert len(shown(fig)) == len(missed) == 2
    assert title(fig.axes[0]).startswith(f"{NAMES[1]}\n2 thin crack, 0% found\n400 px, contrast ")
    fig = finish(plots.plot_missed(truth, found, false_regions(truth, found)))
    assert "1 inclusion, false alarm" in title(fig.axes[0])
    grey = replace(truth, folder=None)
    assert "no image folder" in title(plots.plot_missed(grey, found, missed).axes[0])
    with pytest.raises(ValueError, match="no region to show"): plots.plot_missed(truth, found, missed[:0])
    with pytest.raises(ValueError, match="n is 0"): plots.plot_missed(truth, found, missed, n=0)


def test_found_pixels_are_filled_and_labels_are_not(truth, found):
    every = region_outcomes(truth, found)
    fig = plots.plot_missed(truth, found, every[every.ImageId.isin([NAMES[0], NAMES[1]])])
    tinted = [np.ptp(ax.images[0].get_array().astype(int), axis=-1).max() > 20 for ax in fig.axes]
    assert tinted == [True, False]  # the first is found, the second is not
    assert all(len(ax.collections) for ax in fig.axes)


@pytest.mark.parametrize("row", [dict(top=0, left=0, bottom=5, right=5), dict(top=55, left=70, bottom=60, right=80),
                                 dict(top=0, left=0, bottom=60, right=80), dict(top=20, left=30, bottom=25, right=34)])
def test_a_window_holds_its_region_and_stays_inside(row):
    for least in (8, 32, 200):
        rows, columns = plots._window(row, SHAPE, least)
        assert 0 <= rows.start <= row["top"] and row["bottom"] <= rows.stop <= SHAPE[0]
        assert 0 <= columns.start <= row["left"] and row["right"] <= columns.stop <= SHAPE[1]
        assert rows.stop-rows.start == min(SHAPE[0], max(least, -(-14*max(row["bottom"]-row["top"], row["right"]-row["left"])//10)))


def test_suspicions_show_their_witness(truth):
    pairs = pd.DataFrame([(NAMES[0], NAMES[2], "flip rows", .99)], columns=PAIRS.columns[:4])
    says = {i: np.where(s[::-1], 255, 0).astype(np.uint8) for i, s in TRUTH.items()}.get  # the classes exchanged
    table = suspicious_labels(truth, pairs=pairs)
    fig = finish(plots.plot_suspicious(truth, table, n=1))
    assert title(fig.axes[1]).startswith("copy ") and fig.axes[0].patches
    assert len(fig.axes[0].collections)+len(fig.axes[1].collections) == 1  # a line around the label that one of the two bears
    mine = suspicious_labels(truth, probabilities=says)
    filled = finish(plots.plot_suspicious(truth, mine, n=2, probabilities=says))
    assert title(filled.axes[2]).startswith("a model") and "model: filled" in words(filled.legends[0])
    assert np.ptp(filled.axes[0].images[0].get_array().astype(int), axis=-1).max() == 0  # a label is not filled
    assert np.ptp(filled.axes[2].images[0].get_array().astype(int), axis=-1).max() > 20 and not filled.axes[2].collections
    assert title(plots.plot_suspicious(truth, mine, n=1).axes[1]) == "without marks"
    both = table.head(1).assign(other=NAMES[2], transform="identity")
    for copies, who in ((1., "copy"), (.2, "a model"), (np.nan, "copy")):  # whoever doubts it is shown
        assert title(plots.plot_suspicious(truth, both.assign(copies=copies), probabilities=says).axes[1]).startswith(who)
    with pytest.raises(ValueError, match="no suspicion to show"): plots.plot_suspicious(truth, table[:0])
    with pytest.raises(ValueError, match="no column 'ClassId': pass rows of suspicious_labels"): plots.plot_suspicious(truth, PAIRS)


def test_the_box_frames_the_doubted_region():
    large = catalog({"a": np.stack([box(140, 260, shape=(200, 400)), np.zeros((200, 400), bool)])})
    row = dict(ImageId="a", ClassId=1, reason="labelled, against the model", score=.9, copies=np.nan, model=.9, top=140, left=260, bottom=154,
               right=274, other="", transform="")
    ax = plots.plot_suspicious(large, pd.DataFrame([row])).axes[0]
    frame, (rows, columns) = ax.patches[0].get_bbox(), plots._window(row, (200, 400))
    assert rows.start > 0 < columns.start and ax.images[0].get_array().shape[:2] == (96, 96)
    assert frame.extents+[columns.start, rows.start]*2 == pytest.approx([257.5, 137.5, 275.5, 155.5])  # two pixels of air


def test_tables_come_back_from_a_csv(truth, tmp_path):
    folds, groups = pd.DataFrame(dict(ImageId=NAMES, fold=list("ab")*2)), pd.DataFrame(dict(ImageId=NAMES, group=0))
    doubts = suspicious_labels(truth, probabilities=lambda i: np.where(TRUTH[i], 0, 200).astype(np.uint8))
    for table, plot in ((leaks(folds, groups, "a"), plots.plot_pairs), (doubts, plots.plot_suspicious)):
        table.to_csv(tmp_path/"t.csv", index=False)
        before, after = (finish(plot(truth, t, n=2)) for t in (table, pd.read_csv(tmp_path/"t.csv")))
        assert [title(ax) for ax in before.axes] == [title(ax) for ax in after.axes]


# --- charts

def bars(container): return container[2][0].get_segments()


def test_protocols_put_every_mark_in_its_place(truth, found):
    table = protocol_table({"mine": found, "$other$": truth}, truth, draws=100)
    fig = finish(plots.plot_protocols(table))
    ax = fig.axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == list(PROTOCOLS)
    mine, other = ax.containers
    assert mine[0].get_xdata() == pytest.approx(table.loc["mine"].to_numpy()[::3], nan_ok=True)
    for k, name in enumerate(PROTOCOLS):
        (low, y0), (high, y1) = bars(mine)[k]
        assert (low, high) == pytest.approx((table.loc["mine", f"{name} low"], table.loc["mine", f"{name} high"])) and y0 == y1
        assert abs(y0-k) < .3 and y0 != other[0].get_ydata()[k]
    floor, = ax.collections[2:]  # after the two collections of bars
    assert floor.get_offsets()[:, 0].data == pytest.approx(table.loc["all empty"].to_numpy()[::3], nan_ok=True)
    assert words(fig.legends[0]) == ["mine", r"\$other\$", "all empty (no model)"]
    assert ax.get_xlabel().endswith("95 % intervals over 4 images")


def test_protocols_with_nothing_but_floors_or_nan(truth):
    clean = catalog({i: np.stack([NOTHING]*2) for i in NAMES})
    fig = finish(plots.plot_protocols(protocol_table({}, clean, draws=100)))
    assert words(fig.legends[0]) == ["all empty (no model)"]
    for bad in (pd.DataFrame(), pd.DataFrame(dict(a=[1.], b=[2.]))):
        with pytest.raises(ValueError, match="from protocol_table"): plots.plot_protocols(bad)


def test_differences_and_their_sign():
    def one(value, low, high, n=9): return Comparison(.5+value, .5, Interval(value, low, high, .9, n), .04)
    fig = finish(plots.plot_difference({"better": one(.1, .05, .2), "$open$": one(.1, -.05, .2), "worse": one(-.1, -.2, -.05),
                                        "alone": one(.1, np.nan, np.nan, 1)}))
    ax = fig.axes[0]
    assert [c[0].get_markerfacecolor() == "none" for c in ax.containers] == [False, True, False, True]
    assert [bars(c)[0][:, 0].tolist() for c in ax.containers][1:3] == [pytest.approx([-.05, .2]), pytest.approx([-.2, -.05])]
    assert "90 % interval" in ax.get_xlabel() and [t.get_text() for t in ax.texts][0] == "0.600 against 0.500, p = 0.04"
    for bad in ({}, one(1, 0, 1)):
        with pytest.raises(ValueError, match="with their names"): plots.plot_difference(bad)


def test_region_recall_bins_and_what_is_not_known(truth, found):
    outcomes = region_outcomes(truth, found)
    outcomes.loc[0, "contrast"] = np.nan
    tables = {"area": region_recall(outcomes, bins=[0, 100, 300, 350, np.inf]), "contrast": region_recall(outcomes, "contrast", bins=1)}
    fig = finish(plots.plot_region_recall(tables))
    area, contrast = fig.axes
    assert [t.get_text() for t in area.get_xticklabels()] == ["0", "100", "300", "350", "inf"] and "pixels" in area.get_xlabel()
    assert [t.get_text() for t in area.texts] == [f"{n}" for n in tables["area"].regions]
    known = tables["area"].recall.notna()
    assert area.containers[0][0].get_xdata().tolist() == np.flatnonzero(known).tolist()  # no dot in an empty bin
    assert area.containers[0][0].get_ydata() == pytest.approx(tables["area"].recall[known])
    ends = tables["area"].loc[known, ["low", "high"]].to_numpy()
    assert [s[:, 1].tolist() for s in bars(area.containers[0])] == [pytest.approx(list(v)) for v in ends]
    assert contrast.get_xticklabels()[-1].get_text() == "not\nknown" and len(contrast.texts) == 2
    with pytest.raises(TypeError, match="does not say"): plots.plot_region_recall(tables["area"])
    with pytest.raises(ValueError, match="no table"): plots.plot_region_recall({})


def test_dice_curves_mark_plateau_and_threshold(maps):
    dices, pixels = sum_parts(maps, dice_parts, pixel_parts)
    curves = dices[..., 0]/dices[..., 1]
    fig = finish(plots.plot_dice_curves(dices, CLASSES, pixels=pixels, decision=Decision((100, 140), (0, 0))))
    for k, ax in enumerate(fig.axes):
        first, last = plateau(curves[k, :256])
        assert (ax.patches[0].get_x(), ax.patches[0].get_x()+ax.patches[0].get_width()) == (first, last)
        assert f"k {first}..{last}" in title(ax) and f"chosen k {(100, 140)[k]}: {curves[k, (100, 140)[k]]:.2f}" in title(ax)
        assert ax.lines[0].get_ydata() == pytest.approx(curves[k, :256])
        assert next((line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines if line.get_marker() in "os") == (
            (100, 140)[k], pytest.approx(curves[k, (100, 140)[k]]))
        floor = next(line for line in ax.lines if line.get_linestyle() == ":")
        assert floor.get_ydata()[0] == pytest.approx(curves[k, 256]) == .5
    alone = finish(plots.plot_dice_curves(dices, CLASSES))
    assert "over the set" in words(fig.legends[0]) and "over the set" not in words(alone.legends[0])
    assert not any("chosen" in title(ax) for ax in alone.axes)


def test_dice_curves_without_any_image_that_counts(maps):
    none, = sum_parts([(p, t & False) for p, t in maps], lambda p, t: dice_parts(p, t, empty=np.nan))
    none[:] = 0
    fig = finish(plots.plot_dice_curves(none, CLASSES, decision=Decision((1, 1), (0, 0))))
    assert all("no image to score" in title(ax) for ax in fig.axes)
    for bad in (none[:1], none[0], none[:, :9]):
        with pytest.raises(ValueError, match="sum of dice_parts"): plots.plot_dice_curves(bad, CLASSES)


def test_many_classes_are_wrapped():
    classes = classes_from_names([f"kind {n}" for n in range(1, 7)])
    parts = np.ones((6, 257, 2))
    fig = finish(plots.plot_dice_curves(parts, classes))
    assert fig.axes[0].get_subplotspec().get_gridspec().get_geometry() == (2, 4)
    assert [title(ax).split("\n")[0] for ax in fig.axes if title(ax)] == [c.label for c in classes]


def test_reliability_before_and_after(maps):
    pixels, = sum_parts(maps, pixel_parts)
    fig = finish(plots.plot_reliability(pixels, CLASSES, [2., np.nan]))
    assert "temperature 2.00" in title(fig.axes[0])
    (_, before, after), (_, one, same) = fig.axes[0].lines, fig.axes[1].lines
    assert before.get_ydata().tolist() != after.get_ydata().tolist() and one.get_ydata().tolist() == same.get_ydata().tolist()
    assert np.isin([0, 1], [before.get_xdata().min() < .1, before.get_xdata().max() > .9]).tolist() == [False, True]
    plain = finish(plots.plot_reliability(pixels, CLASSES))
    assert len(plain.axes[0].lines) == 2 and words(plain.legends[0]) == ["as predicted"]
    assert "no pixel" in title(plots.plot_reliability(pixels*0, CLASSES).axes[0])
    with pytest.raises(ValueError, match="sum of pixel_parts"): plots.plot_reliability(pixels[..., :100], CLASSES)


def test_pro_names_its_areas_and_what_is_missing(maps):
    parts, = sum_parts(maps, lambda p, t: localisation_parts(p, t, any_class=True))
    fig = finish(plots.plot_pro(parts, CLASSES, limits=(.2, .1)))
    first = f"{CLASSES[0].label}: {au_pro(parts, limit=.2)[0]:.3f}, {au_pro(parts, limit=.1)[0]:.3f}"
    legend = fig.axes[0].get_legend()
    assert words(legend)[0] == first and words(legend)[-1].startswith("any class: ") and "0.2, 0.1" in legend.get_title().get_text()
    marks, (x, y) = fig.axes[0].lines[0], pro_curve(parts)
    assert marks.get_xdata().tolist() == [.2, .1] and marks.get_ydata() == pytest.approx(np.interp([.2, .1], x[0], y[0]))
    assert [t.get_text() for t in fig.axes[0].texts] == ["0.2", "0.1"] and fig.axes[0].get_xlim()[1] > .2
    empty, = sum_parts([(p, t & [[[True]], [[False]]]) for p, t in maps], localisation_parts)
    assert words(finish(plots.plot_pro(empty, CLASSES)).axes[0].get_legend())[1] == f"{CLASSES[1].label}: no region"
    with pytest.raises(ValueError, match="sum of localisation_parts"): plots.plot_pro(parts[:, :2], CLASSES)
    with pytest.raises(ValueError, match="for 4 classes"): plots.plot_pro(parts, SEVERSTAL)


def test_screening_marks_the_gate():
    rng = np.random.default_rng(3)
    bad = rng.random(80) < .4
    parts = gate_parts(np.clip(rng.integers(-1, 200, 80)+60*bad, -1, 255), bad)
    fig, table = finish(plots.plot_screening(parts, gate=120)), gate_table(parts)
    left, right = fig.axes
    mark = left.lines[-1]
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (table.overkill_rate[120], table.escape_rate[120])
    trade = left.lines[0]
    assert (np.diff(trade.get_xdata()) >= 0).all() and (np.diff(trade.get_ydata()) <= 0).all()
    assert trade.get_xdata()[0] == 0 and trade.get_ydata()[0] == 1
    assert title(right) == f"gate 120: {table.escapes[120]:.0f} of {bad.sum()} escape, {table.overkill[120]:.0f} of {(~bad).sum()} good rejected"
    assert finish(plots.plot_screening(parts.sum(0, dtype=int))).axes[0].lines[0].get_ydata().tolist() == trade.get_ydata().tolist()
    for wrong, words_of_it in (((parts[bad],), "0 images are good"), ((parts[~bad],), "0 defective"), ((parts[..., :9],), "gate_parts")):
        with pytest.raises(ValueError, match=words_of_it): plots.plot_screening(*wrong)
    with pytest.raises(ValueError, match="gate is 256"): plots.plot_screening(parts, gate=256)
