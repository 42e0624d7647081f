"Charts: the numbers of the browser are those of numpy, and pointer and keys do what they say."
import json
import shutil
import subprocess

import numpy as np
import pytest
from browser import ROOT, chromium, open_file, wait_until  # noqa: F401  chromium is a fixture
from steel_defects.charts import BarChart, CellChart, Look, RangeChart, _points, bars, cells, class_looks, plot_bars, plot_cells, plot_range, ranged
from steel_defects.defects import NEU_SEG, SEVERSTAL, DefectClass, INCLUSION
from steel_defects.live import bundle, write_widgets

STATIC = ROOT/"steel_defects"/"static"
LOOKS = class_looks(SEVERSTAL)
ODD = Look("<x>", '<img src=x onerror="document.title=1"> & "q"', (200, 30, 30), "grid", 4)


def node(code, tmp_path):
    "What a script that can see charts.js prints, read as JSON."
    if not shutil.which("node"): pytest.skip("there is no node.js")
    shutil.copy(STATIC/"charts.js", tmp_path/"charts.mjs")
    (tmp_path/"run.mjs").write_text(f'import * as c from "./charts.mjs";\n{code}')
    done = subprocess.run(["node", "run.mjs"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# --- numbers, in Python and in the browser

def test_browser_counts_as_numpy_does(tmp_path):
    rng, asked, wanted = np.random.default_rng(0), [], []
    for lo, hi, bins, log in ((0, 1, 20, False), (.1, .7, 7, False), (3, 5e4, 30, True), (-2, 2, 13, False)):
        edges = np.geomspace(lo, hi, bins+1) if log else np.linspace(lo, hi, bins+1)
        x = np.concatenate([rng.choice(edges, 200), rng.uniform(lo-.5, hi*1.1, 800), np.round(rng.uniform(lo, hi, 300), 2)])
        s = rng.integers(0, 3, len(x))
        low, high = np.quantile(x, [.2, .7])
        asked.append(dict(x=x.tolist(), s=s.tolist(), edges=edges.tolist(), low=low, high=high, log=log, lo=lo, hi=hi, bins=bins))
        wanted.append([[np.histogram(x[s == k], edges)[0].tolist() for k in range(3)],
            [int(((x >= low-1e-9) & (x <= high+1e-9) & (s == k)).sum()) for k in range(3)]])
    told = node(f"""const all = {json.dumps(asked)};
console.log(JSON.stringify(all.map((q) => [c.binCounts(q.x, q.s, 3, q.edges, q.log).map((a) => [...a]), [...c.countInside(q.x, q.s, 3, q.low, q.high)], c.binEdges(q.lo, q.hi, q.bins, q.log)])));""", tmp_path)
    for (counts, inside, edges), want, q in zip(told, wanted, asked):
        assert [counts, inside] == want
        np.testing.assert_allclose(edges, q["edges"], rtol=1e-12, atol=1e-15)


def test_ticks_and_words(tmp_path):
    told = node("""console.log(JSON.stringify([c.chartTicks(0, 1, 5), c.chartTicks(0, 7, 5), c.chartTicks(2, 2, 5), c.logTicks(10, 99593), c.logTicks(2, 30), c.logTicks(3, 4),
[0, 0.3, 0.30000000000000004, 12568, 0.00012, 0.5123456, 99.99, null, -4].map(c.writeNumber)]));""", tmp_path)
    assert told[:3] == [[0, .2, .4, .6, .8, 1], [0, 2, 4, 6], [2]]
    assert told[3:6] == [[10, 100, 1000, 10000], [2, 5, 10, 20], [3]]
    assert told[6] == ["0", "0.3", "0.3", "12,568", "0.00012", "0.512", "100", "none", "-4"]


def test_description_keeps_every_number():
    x, s = np.array([.1, np.nan, .5, np.inf, .9, 0]), np.array([0, 1, 2, 3, 1, 0])
    chart, rows = ranged(x, s, LOOKS, y=[1, 2, np.nan, 4, 5, 6], what="scores", note="First.")
    assert rows.tolist() == [0, 4, 5] and chart["note"] == "First. 3 of 6 scores have no number here and are left out."
    values, series, y, edges = _points(chart)
    assert values.tolist() == [.1, .9, 0] and series.tolist() == [0, 1, 0] and y.tolist() == [1, 5, 6] and edges[[0, -1]].tolist() == [0, .9]
    chart, rows = ranged(x, s, LOOKS, log=True)
    assert rows.tolist() == [0, 2, 4] and chart["limits"] == [.1, .9]
    assert ranged([7.], [0], LOOKS)[0]["limits"] == [6.5, 7.5] and ranged([8.], [0], LOOKS, log=True)[0]["limits"] == [4, 16]
    assert ranged([], [], LOOKS)[0]["limits"] == [0, 1] and ranged([0.], [0], LOOKS, log=True)[0]["limits"] == [1, 10]


def test_wrong_descriptions_are_refused():
    for wrong, words in ((lambda: bars(LOOKS, {"n": [1]}), "1 numbers for 4 bars"), (lambda: cells(LOOKS, np.eye(3)), "4 rows and columns"),
                         (lambda: ranged([1], [1, 2], LOOKS), "one of each"), (lambda: ranged([1], [1], LOOKS, y=[1, 2]), "one of each"),
                         (lambda: plot_range(ranged([1], [1], LOOKS)[0], kind="pie"), "use stacked or ridges")):
        with pytest.raises(ValueError, match=words): wrong()


def test_looks_tell_classes_apart():
    for classes in (SEVERSTAL, NEU_SEG, tuple(DefectClass(i+1, f"c{i}", INCLUSION) for i in range(12))):
        looks = class_looks(classes)
        assert [o.key for o in looks] == [str(c.id) for c in classes] and len({o.marker for o in looks}) == min(8, len(classes))


# --- still pictures

def test_bars_are_as_long_as_their_numbers():
    fig = plot_bars(bars(LOOKS, {"a": [4, 2, np.nan, 0], "b": [1, 1, 1, 8]}, texts={"a": list("wxyz"), "b": ["$1", "2", "3", "4"]}), chosen="2")
    assert sorted(p.get_width() for p in fig.axes[0].patches) == [0, 0, 1, 1, 1, 2, 4, 8]
    assert sum(p.get_alpha() == .25 for p in fig.axes[0].patches) == 6
    assert bars(LOOKS, {"n": [12568, .75, np.nan, 1e6]})["series"][0]["texts"] == ["12,568", "0.75", "none", "1,000,000"]
    assert [t.get_text() for t in fig.axes[0].texts][:4] == list("wxyz")


def test_still_histogram_counts_what_is_there():
    x, s = np.array([.1, .12, .5, .9, 1.]), np.array([0, 1, 1, 2, 2])
    chart, _ = ranged(x, s, LOOKS, limits=(0, 1), bins=10)
    fig = plot_range(chart, chosen=(.2, .95))
    steps = [p.get_data() for p in fig.axes[0].patches if hasattr(p, "get_data")]
    for i, (top, edges, base) in enumerate(steps):
        np.testing.assert_array_equal(top-base, np.histogram(x[s == i], chart["bins"], (0, 1))[0])
        np.testing.assert_array_equal(base, steps[i-1].values if i else 0)
        np.testing.assert_allclose(edges, np.linspace(0, 1, 11))
    assert len(steps) == 4 and steps[-1].values.max() == 2 and fig.axes[0].get_ylim()[1] > 2
    ridges = plot_range(chart, kind="ridges").axes
    assert len(ridges) == 4 and [p.get_data().baseline.max() for ax in ridges for p in ax.patches] == [0]*4
    cloud = plot_range(ranged(x, s, LOOKS, y=x+1)[0], kind="ridges").axes
    assert len(cloud) == 1 and sum(len(c.get_offsets()) for c in cloud[0].collections) == 5


@pytest.mark.parametrize("kind", ["stacked", "ridges"])
def test_charts_of_nothing_are_drawn(kind):
    for looks in ([], LOOKS):
        assert RangeChart([], [], looks, kind=kind).still()[:4] == b"\x89PNG"
        assert BarChart(looks, {"n": [0]*len(looks)}, log=True).still()[:4] == b"\x89PNG"
    assert RangeChart([np.nan], [0], LOOKS, y=[np.nan]).still()[:4] == b"\x89PNG"
    assert CellChart(LOOKS, np.zeros((4, 4))).still()[:4] == b"\x89PNG"
    plot_cells(cells(LOOKS, np.zeros((4, 4))), chosen=("1", "2"))


# --- state

def test_show_starts_over():
    chart = RangeChart([.1, .9], [0, 1], LOOKS, limits=(0, 1))
    chart.range, chart.point = [.2, .4], 1
    assert not chart.whole
    chart.show([1, 5, np.nan], [0, 0, 1], LOOKS, what="regions")
    assert chart.whole and chart.range == [1, 5] and chart.point == -1 and chart.rows.tolist() == [0, 1]
    b = BarChart(LOOKS, {"n": [1, 2, 3, 4]}, chosen="2")
    b.show(LOOKS[:1], {"n": [1]})
    assert b.chosen == "" and len(b.chart["groups"]) == 1


# --- in a real browser

@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    "A page with every chart, and one with fifty thousand points."
    at, rng = tmp_path_factory.mktemp("charts"), np.random.default_rng(0)
    x = np.concatenate([rng.uniform(0, 1, 200), [.3, .3, .6]])
    looks = [*LOOKS, ODD]
    charts = [BarChart(looks, {"n": [40, 3, 700, 9, 1]}, title=ODD.label, note=ODD.label), CellChart(looks, np.arange(25).reshape(5, 5),
        title="cells"),
              RangeChart(x, np.arange(203)%5, looks, x_label="Dice", limits=(0, 1), what="scores", title="range"), CellChart([], np.zeros((0,
                  0))), RangeChart([], [], looks)]
    write_widgets(at/"charts.html", charts)
    n = 50_000
    write_widgets(at/"many.html", [RangeChart(rng.beta(5, 2, n), rng.integers(0, 4, n), LOOKS, 10**rng.normal(3, .6, n), x_label="Dice",
        y_log=True, limits=(0, 1), what="scores")])
    np.save(at/"x.npy", x)
    return at


def test_every_name_of_the_scripts_is_its_own():
    for entry in ("bars_widget.js", "cells_widget.js",
        "range_widget.js"): assert "import " not in bundle(entry) and bundle(entry).count("export default") == 1


def test_pick_bars_and_cells(chromium, folder):  # noqa: F811
    with open_file(chromium, folder/"charts.html", width=900) as page:
        tab = page.tab
        bar = tab.locator(".sd-bars g[role=button]")
        widths = lambda: [float(r.get_attribute("width")) for r in tab.locator(".sd-bars .sd-bar").all()]
        assert bar.nth(2).get_attribute("aria-label") == "3 crack: 700" and bar.nth(4).get_attribute("aria-label") == f"{ODD.label}: 1"
        before = widths()
        assert before[0]/before[2] == pytest.approx(40/700, abs=.01)
        bar.nth(0).click()
        assert bar.nth(0).get_attribute("aria-pressed") == "true"
        tab.keyboard.press("ArrowDown")
        tab.keyboard.press("Enter")
        assert [b.get_attribute("aria-pressed") for b in bar.all()] == ["false", "true", "false", "false", "false"]
        tab.keyboard.press("Enter")
        assert bar.nth(1).get_attribute("aria-pressed") == "false"
        tab.get_by_label("log scale").check()
        assert widths()[0]/widths()[2] > .4
        cell = tab.locator(".sd-cells g[role=button]")
        cell.nth(7).click()
        tab.keyboard.press("ArrowDown")
        tab.keyboard.press("ArrowRight")
        tab.keyboard.press(" ")
        assert cell.nth(13).get_attribute("aria-pressed") == "true" and cell.nth(13).get_attribute("aria-label").startswith("3 crack together with 4 patch: 13")
        assert tab.title() != "1" and not tab.locator(".sd-chart img").count() and ODD.label in tab.locator(".sd-bars .sd-note").inner_text()
        assert not page.faults()


def test_brush_a_range(chromium, folder):  # noqa: F811
    x = np.load(folder/"x.npy")
    with open_file(chromium, folder/"charts.html", width=900) as page:
        tab, root = page.tab, page.tab.locator(".sd-range").first
        plot, said, handles = root.locator(".sd-plot"), root.locator(".sd-chart-said"), root.locator(".sd-handle")
        ends = lambda: root.evaluate("e => [...e.rangeView.range]")
        left, right, width = root.evaluate("e => [e.rangeView.left, e.rangeView.right, e.rangeView.plot.clientWidth]")
        at = lambda v: (left+v*(right-left))/width
        check = lambda: wait_until(lambda: f": {((x >= ends()[0]-1e-9) & (x <= ends()[1]+1e-9)).sum()} of 203 scores" in said.inner_text(),
            "the words follow", 5)
        page.drag(plot, (at(.25), .4), (at(.6), .4))
        assert ends() == [.25, .6]
        check()
        page.drag(plot, (at(.6), .4), (at(.8), .4))  # a handle
        assert ends() == [.25, .8]
        page.drag(plot, (at(.5), .4), (at(.6), .4))  # the range itself
        assert ends() == pytest.approx([.35, .9], abs=.011)
        page.drag(plot, (at(.95), .4), (at(.99), .4))  # another range, beside it
        assert ends() == pytest.approx([.95, .99], abs=.011)
        handles.nth(0).focus()
        for key in ("Home", "ArrowRight", "Shift+ArrowRight", "PageUp"): tab.keyboard.press(key)
        assert ends() == [.21,
            .99] and handles.nth(0).get_attribute("aria-valuenow") == "0.21" and handles.nth(0).get_attribute("aria-valuetext") == "Dice from 0.21"
        tab.keyboard.press("End")
        assert ends() == [.99, .99]
        tab.keyboard.press("Escape")
        assert ends() == [0, 1] and root.get_by_text("whole range").is_disabled()
        box = plot.bounding_box()
        tab.mouse.click(box["x"]+width*at(.32), box["y"]+100)
        assert ends() == pytest.approx([.3, .35])
        check()
        tab.mouse.dblclick(box["x"]+width*at(.7), box["y"]+100)
        assert ends() == [0, 1]
        tab.mouse.move(box["x"]+width*at(.32), box["y"]+100)
        assert root.locator(".sd-tip").inner_text().startswith("0.3 to 0.35: ")
        root.locator("select").select_option("ridges")
        assert root.locator("text.sd-over").count() == 5
        check()
        assert not page.faults()


def test_charts_fit_a_phone(chromium, folder):  # noqa: F811
    with open_file(chromium, folder/"charts.html", width=380, dark=True) as page:
        assert page.tab.evaluate("document.documentElement.scrollWidth") <= 380
        small = page.tab.evaluate("[...document.querySelectorAll('.sd-chart svg text')].filter(t => parseFloat(getComputedStyle(t).fontSize) < 12).length")
        assert small == 0 and not page.faults()


def test_fifty_thousand_points_are_painted_once(chromium, folder):  # noqa: F811
    "While a handle moves the canvas stays as it is; work of a move: 8 ms or less at the median."
    with open_file(chromium, folder/"many.html", width=1200) as page:
        page.tab.wait_for_function("document.querySelector('.sd-range').rangeView.px?.length == 50000")
        times = page.tab.evaluate("""() => {
            const view = document.querySelector('.sd-range').rangeView, times = [];
            let painted = 0;
            const draw = view.drawPoints;
            view.drawPoints = function () { painted++; draw.call(this); };
            for (let i = 0; i < 60; i++) {
                const begun = performance.now();
                view.move([i / 100, 0.9], false);
                view.plot.getBoundingClientRect();
                times.push(performance.now() - begun);
            }
            const begun = performance.now();
            view.draw();
            return {times: times.sort((a, b) => a - b), painted, whole: performance.now() - begun};
        }""")
        assert times["painted"] == 1
        assert times["times"][30] <= 8, times
        print(f"move: median {times['times'][30]:.2f} ms, 95th {times['times'][57]:.2f} ms; whole picture {times['whole']:.0f} ms")
        view = page.tab.locator(".sd-plot")
        point = page.tab.evaluate("() => { const v = document.querySelector('.sd-range').rangeView; v.onPoint = (i) => { window.told = i; }; return [v.px[5], v.py[5]]; }")
        box = view.bounding_box()
        page.tab.mouse.click(box["x"]+point[0], box["y"]+point[1])
        told = page.tab.evaluate("() => { const v = document.querySelector('.sd-range').rangeView, i = window.told; return Math.hypot(v.px[i] - v.px[5], v.py[i] - v.py[5]); }")
        assert told < 2 and not page.faults()
