"Walkthroughs, viewer and explorers in a real JupyterLab, saved pages opened from disk: what a person would see and do."
import numpy as np
import pytest
from browser import ROOT, open_file, pixels, screenshots, wait_until
from steel_defects.catalog import read_severstal
from steel_defects.decision import Decision, decide
from steel_defects.overlay import compare_masks, overlay_masks
from steel_defects.predict import read_probabilities

SAMPLE, STRIP = ROOT/"data"/"sample", "s7-00014.jpg"  # a strip with two classes and a few false regions
DECISION = Decision((128,)*4, (64, 32, 64, 128))
LESSONS = sorted(p.name for p in (ROOT/"nbs"/"tutorials").glob("*.ipynb"))
START = """
from pathlib import Path
from steel_defects.catalog import read_severstal
from steel_defects.decision import Decision
from steel_defects.predict import read_probabilities
sample = Path("data/sample")
catalog = read_severstal(sample/"train.csv", sample/"train_images")
found = read_severstal(sample/"found"/"found.csv", sample/"train_images")
def stored(image_id): return read_probabilities(sample/"found"/"probabilities"/f"{image_id}.npz")
"""
VIEWER = f"""
from steel_defects.widgets import StripViewer, catalog_strip
viewer = StripViewer(catalog_strip(catalog, {STRIP!r}, stored), decision=Decision((128,)*4, (64, 32, 64, 128)), view="prediction")
viewer
"""
SHOWN = {  # each explorer under its own name
    "metrics": "from steel_defects.explorers import MetricExplorer\nmetrics = MetricExplorer(catalog, found)\nmetrics",
    "imbalance": "from steel_defects.explorers import ImbalanceExplorer\nimbalance = ImbalanceExplorer(catalog)\nimbalance",
    "overlays": "from steel_defects.overlays import OverlayExplorer\noverlays = OverlayExplorer(catalog, stored, found=found, marks='marks.csv')\noverlays",
    "limits": """
from steel_defects.sweep import threshold_sweep
from steel_defects.thresholds import ThresholdExplorer
part = catalog.subset(catalog.ids[10:18])
sweep = threshold_sweep([(stored(i), part.stack(i)) for i in part.ids], ids=part.ids, areas=(0, 32, 64, 128), draws=100)
limits = ThresholdExplorer(sweep, part.classes, catalog=part, probabilities=stored)
limits""",
    "steps": "from steel_defects.steps import StepExplorer\nsteps = StepExplorer(catalog)\nsteps",
}
QUICK = "01_labels_to_overlays.ipynb"  # the walkthrough that every run opens; all the others are thorough
LONG = {"03_train_a_unet.ipynb": 900, "07_limits.ipynb": 900, "10_claims.ipynb": 900}  # seconds


@pytest.fixture(scope="module")
def strip():
    "Image, truth and stored probabilities of the strip that the viewer shows."
    catalog = read_severstal(SAMPLE/"train.csv", SAMPLE/"train_images")
    return catalog.image(STRIP), catalog.stack(STRIP), read_probabilities(SAMPLE/"found"/"probabilities"/f"{STRIP}.npz"), catalog.classes


def seen(page, name):
    "Keep a picture of the page to look at, where STEEL_SHOTS names a folder."
    if screenshots(): page.tab.screenshot(path=screenshots()/f"{name}.png")


def thresholds(place): return place.get_by_role("slider", name="threshold of")


def shows(canvas, picture):
    "Whether a canvas shows exactly this picture, uint8 (H, W, 3)."
    return np.array_equal(pixels(canvas)[..., :3], picture)


def use_viewer(page, place, strip):
    "Drag thresholds and areas of a viewer by mouse, change its view, and find the library's own picture on its canvas; the last thresholds."
    image, truth, probabilities, classes = strip
    canvas = place.locator(".sd-window canvas").first
    wait_until(lambda: pixels(canvas).shape[:2] == image.shape, "the viewer shows its strip")
    def now(): return Decision(tuple(int(thresholds(place).nth(c).input_value()) for c in range(4)), DECISION.min_areas)
    def found(): return decide(probabilities, now())
    for class_id, k in ((3, 220), (4, 60), (3, 12)):
        before = pixels(canvas)
        page.drag_slider(thresholds(place).nth(class_id-1), k)
        wait_until(lambda: shows(canvas, overlay_masks(image, found(), classes, opacity=.5)), "the picture follows the slider, as the library draws it")
        assert (pixels(canvas) != before).any()
    place.get_by_label("view", exact=True).select_option("compare")
    wait_until(lambda: shows(canvas, compare_masks(image, truth, found(), classes, opacity=.5)), "found, missed and false as the library draws them")
    return now()


def test_the_harness_sees_faults(lab, chromium):
    "A cell that fails, a cell that is not run, a widget without a model, a widget that draws nothing, a complaint in the console, a request that leaves."
    path = lab.write("faults.ipynb",
        "import anywidget, ipywidgets\nfrom IPython.display import HTML, display",
        "ipywidgets.IntSlider()",
        "display({'application/vnd.jupyter.widget-view+json': dict(version_major=2, version_minor=0, model_id='gone'), 'text/plain': 'x'}, raw=True)",
        "class Silent(anywidget.AnyWidget):\n    _esm = 'export default { render({ el }) {} }'\nSilent()",
        "HTML('<script>console.error(\"a <complaint>\")</script><img src=\"https://example.org/a.png\">')",
        "1/0", "2")
    with lab.open(chromium, path) as nb:
        faults = "\n".join(nb.run_all().faults())
        views = [c["views"] for c in nb.cells() if c["views"]]
        assert nb.run("print('still', 'alive')") == "still alive\n"
    assert "ZeroDivisionError" in faults and "cell '2' was not run" in faults
    assert views == [[""], ["Error displaying widget: model not found"], ["no view"]]
    assert "a <complaint>" in faults and "request to another host: https://example.org/a.png" in faults


@pytest.fixture(scope="module")
def bench(lab, chromium):
    "A notebook with a viewer and an explorer of scores, all cells run."
    path = lab.write("bench.ipynb", START, VIEWER, SHOWN["metrics"])
    with lab.open(chromium, path, height=1500) as nb: yield nb.run_all()


def test_a_notebook_with_widgets_opens(bench):
    assert not bench.faults()
    assert [c["views"] for c in bench.cells()] == [[], [""], [""]]


def test_viewer_in_jupyterlab(bench, strip):
    "A threshold is dragged: the canvas shows the library's picture, and the value arrives in Python; a value set in Python arrives in the canvas."
    place, (image, _, probabilities, classes) = bench.tab.locator(".sd-strip"), strip
    decision = use_viewer(bench, place, strip)
    said = f"print(viewer.value == Decision({decision.thresholds}, {decision.min_areas}), viewer.view)"
    wait_until(lambda: bench.run(said) == "True compare\n", "the decision arrives in Python")
    high = Decision((250,)*4, (0,)*4)
    bench.run(f"viewer.value = Decision({high.thresholds}, {high.min_areas})\nviewer.view = 'prediction'")
    expected = overlay_masks(image, decide(probabilities, high), classes, opacity=.5)
    wait_until(lambda: shows(place.locator(".sd-window canvas").first, expected), "a decision set in Python arrives in the picture")
    assert [thresholds(place).nth(c).input_value() for c in range(4)] == ["250"]*4
    seen(bench, "viewer")
    assert not bench.faults()


def test_a_brushed_histogram_fills_the_gallery(bench):
    "A range of Dice is brushed by mouse: gallery, words and `chosen` follow; a double click takes the brush away."
    plot, gallery = bench.tab.locator(".sd-range .sd-plot").first, bench.tab.locator(".sd-gallery").first
    everything = gallery.locator(".sd-gallery-head").inner_text()
    first = gallery.locator(".sd-gallery-words b").first.inner_text()
    bench.drag(plot, (.15, .5), (.6, .5))
    wait_until(lambda: gallery.locator(".sd-gallery-head").inner_text() != everything, "the gallery follows the brush")
    told = bench.run("low, high = metrics.chart.range\nprint(len(metrics.chosen), metrics.chosen[0], low < .3 and .4 < high < .7)").split()
    assert told[2] == "True", f"the range is not what was brushed: {told}"
    wait_until(lambda: gallery.locator(".sd-gallery-words b").first.inner_text() == told[1], "the best of them comes first")
    assert gallery.locator(".sd-gallery-head").inner_text().startswith(f"{told[0]} image") and told[1] != first
    gallery.locator("img").first.scroll_into_view_if_needed()
    wait_until(lambda: gallery.locator("img").first.evaluate("i => i.complete && i.naturalWidth"), "its picture is drawn")
    seen(bench, "metrics")
    plot.dblclick(position=dict(x=300, y=60))
    wait_until(lambda: gallery.locator(".sd-gallery-head").inner_text() == everything, "a double click shows all again")
    assert not bench.faults()


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n == QUICK else pytest.mark.thorough) for n in LESSONS])
def test_walkthrough(lab, chromium, name):
    "Every cell of a walkthrough runs, and every widget in it is there."
    with lab.open(chromium, f"nbs/tutorials/{name}", height=1400) as nb:
        nb.run_all(LONG.get(name, 300))
        seen(nb, name)
        assert not nb.faults()


# --- saved pages

def saved(chromium, path, **options):
    "A page opened from disk, with all its widgets alive."
    page = open_file(chromium, path, **options)
    page.tab.wait_for_selector(".sd-window canvas")
    return page


@pytest.fixture(scope="module")
def viewer_page(tmp_path_factory, strip):
    from steel_defects.widgets import StripViewer
    image, truth, probabilities, classes = strip
    viewer = StripViewer(image, truth, probabilities, classes=classes, decision=DECISION, view="prediction")
    return viewer.to_html(tmp_path_factory.mktemp("page")/"viewer.html", title='A strip called <b>"x"</b> & more')


def test_saved_viewer(chromium, viewer_page, strip):
    "A saved viewer answers as the living one does, asks no one for anything, and the console is silent."
    with saved(chromium, viewer_page) as page:
        assert page.tab.title() == 'A strip called <b>"x"</b> & more'
        use_viewer(page, page.tab.locator(".sd-strip"), strip)
        seen(page, "page")
        assert not page.asked() and not page.faults()


@pytest.mark.thorough
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [380, 1300])
def test_saved_pages_fit_their_screen(chromium, viewer_page, threshold_page, dark, width):
    "Nothing is wider than the screen, on a phone either, and dark surroundings make dark pages."
    for name, path in dict(viewer=viewer_page, thresholds=threshold_page).items():
        with saved(chromium, path, dark=dark, width=width) as page:
            page.tab.wait_for_timeout(300)
            seen(page, f"page-{name}-{width}-{'dark' if dark else 'light'}")
            wide = page.tab.evaluate("document.documentElement.scrollWidth")
            ground = page.tab.evaluate("getComputedStyle(document.body).backgroundColor")
            assert wide <= width, f"{name} is {wide} px wide on a screen of {width}"
            assert (max(map(int, ground[4:-1].split(","))) < 80) == dark if ground.startswith("rgb(") else not dark
            assert not page.faults()


@pytest.fixture(scope="module")
def threshold_page(tmp_path_factory):
    from steel_defects.sweep import threshold_sweep
    from steel_defects.thresholds import ThresholdExplorer
    catalog = read_severstal(SAMPLE/"train.csv", SAMPLE/"train_images")
    catalog = catalog.subset(catalog.ids[10:18])
    stored = {i: read_probabilities(SAMPLE/"found"/"probabilities"/f"{i}.npz") for i in catalog.ids}
    sweep = threshold_sweep([(stored[i], catalog.stack(i)) for i in catalog.ids], ids=catalog.ids, areas=(0, 32, 64, 128), draws=100)
    explorer = ThresholdExplorer(sweep, catalog.classes, catalog=catalog, probabilities=stored, decision=DECISION)
    return explorer.to_html(tmp_path_factory.mktemp("page")/"thresholds.html")


@pytest.mark.thorough
def test_saved_threshold_explorer(chromium, threshold_page):
    "In a saved page the sliders change escapes and Dice, and a strip can be opened; nothing is loaded."
    with open_file(chromium, threshold_page) as page:
        numbers, sliders = page.tab.locator("section[aria-label='escapes and overkill'] p"), thresholds(page.tab.locator(".sd-ts-cards"))
        sliders.first.wait_for()
        before = numbers.all_inner_texts()
        for c in range(4): page.drag_slider(sliders.nth(c), 252)  # where hardly anything is found
        wait_until(lambda: numbers.all_inner_texts() != before, "escapes and overkill follow the sliders")
        page.tab.locator(".sd-ts-list [role=option]:not([aria-disabled=true])").first.click()
        canvas = page.tab.locator(".sd-window canvas").first
        wait_until(lambda: canvas.is_visible() and pixels(canvas).shape[:2] == (256, 1600), "a strip opens")
        assert not page.asked() and not page.faults()


# --- explorers

@pytest.fixture
def explore(lab, chromium, request):
    "Open a notebook with one explorer, all cells run."
    opened = []
    def show(name, start=START, **options):
        opened.append(nb := lab.open(chromium, lab.write(f"{request.node.name.split('[')[0]}-{name}.ipynb", start, SHOWN[name]), height=1500, **options))
        assert not nb.run_all(300).faults()
        return nb
    yield show
    for nb in opened: nb.close()


@pytest.mark.thorough
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", SHOWN)
def test_explorers_show(explore, name, dark):
    "Each explorer has its view, in light and dark."
    nb = explore(name, dark=dark)
    assert set(nb.cells()[-1]["views"]) == {""} # a progress bar may stand above it
    nb.tab.wait_for_timeout(1000)
    seen(nb, f"{name}-{'dark' if dark else 'light'}")
    assert not nb.faults()


@pytest.mark.thorough
def test_a_picked_bar_fills_the_gallery(explore):
    nb = explore("imbalance")
    nb.tab.locator("[data-key='3']").first.click()
    wait_until(lambda: nb.run("print(sorted(imbalance.chosen) == sorted(catalog.presence().index[catalog.presence()[3]]))") == "True\n", "the images of class 3 are chosen")
    words = nb.tab.locator(".sd-gallery-words b").first
    assert wait_until(lambda: words.inner_text() in nb.run("print(imbalance.chosen)") and words.inner_text(), "the gallery shows one of them")
    assert not nb.faults()


@pytest.mark.thorough
def test_a_strip_is_opened_and_marked(explore, lab):
    "Click a strip in the gallery: it opens in the viewer; mark it: the mark is in Python and in the CSV."
    nb = explore("overlays")
    name = nb.tab.locator(".sd-gallery-words b").nth(2).inner_text()
    nb.tab.locator(".sd-gallery-open").nth(2).click()
    wait_until(lambda: nb.run("print(overlays.viewer.strip['id'])") == f"{name}\n", "the strip opens in the viewer")
    canvas = nb.tab.locator(".sd-window canvas").first
    wait_until(lambda: name in canvas.get_attribute("aria-label"), "its picture says which it is")
    nb.tab.get_by_role("button", name=f"relabel: {name}").click()
    wait_until(lambda: (lab.folder/"marks.csv").is_file() and f"{name},relabel" in (lab.folder/"marks.csv").read_text(), "the mark is in the CSV")
    assert nb.run("print(overlays.marks.ImageId.tolist())") == f"{[name]}\n"
    assert not nb.faults()


@pytest.mark.thorough
def test_a_threshold_of_the_whole_set(explore):
    "A slider of the threshold explorer is dragged: its value arrives in Python."
    nb = explore("limits")
    nb.drag_slider(thresholds(nb.tab.locator(".sd-thresholds")).nth(2), 200)
    k = int(thresholds(nb.tab.locator(".sd-thresholds")).nth(2).input_value())
    wait_until(lambda: nb.run("print(limits.value.thresholds[2])") == f"{k}\n", "the decision arrives in Python")
    assert not nb.faults()


@pytest.mark.thorough
def test_a_step_is_chosen(explore):
    "Another step is chosen by hand: other pictures stand there."
    nb = explore("steps")
    pictures = lambda: nb.tab.locator(".widget-gridbox img").evaluate_all("all => all.map(i => i.src.slice(-400)).join()")
    before = pictures()
    box = nb.tab.locator(".widget-dropdown", has_text="step").locator("select").first
    box.select_option(index=2)
    wait_until(lambda: pictures() != before, "the pictures follow the step")
    assert not nb.faults()


SPOILT = START+"""
import shutil
from dataclasses import replace
from steel_defects.catalog import Catalog
from steel_defects.images import read_image, write_image
folder = Path("spoilt")
shutil.rmtree(folder, ignore_errors=True)
names = {i: '<b>"%d" & <img src=x>.jpg' % n for n, i in enumerate(catalog.ids[:6])}
names[catalog.ids[0]] = "small.png"
for n, (i, name) in enumerate(names.items()):
    image = read_image(sample/"train_images"/i)
    write_image(folder/name, image[:100, :300] if n == 0 else image)
gone = names[catalog.ids[5]]
whole, probabilities = catalog, stored
def renamed(c):
    part = c.subset(list(names))
    images = part.images.assign(ImageId=part.images.ImageId.map(names))
    images.loc[images.ImageId == "small.png", ["height", "width"]] = 100, 300
    labels = part.labels.assign(ImageId=part.labels.ImageId.map(names))
    return Catalog(labels[labels.ImageId != "small.png"], images, part.classes, folder)
catalog, found = renamed(whole), renamed(found)
(folder/gone).unlink()
back = {v: k for k, v in names.items()}
def stored(image_id):
    if image_id == names[whole.ids[3]]: return probabilities(back[image_id]).astype("float32")*float("nan")
    return probabilities(back[image_id])
"""


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["metrics", "imbalance", "overlays", "steps"])
def test_spoilt_input(explore, name):
    "Names with brackets and quotes, mixed sizes, a NaN, a vanished file, planes that do not fit: words in the widget, and the rest goes on."
    nb = explore(name, start=SPOILT)
    nb.tab.wait_for_timeout(500)
    if name == "overlays":
        for n in range(6):
            nb.tab.locator(".sd-gallery-open").nth(n).click()
            opened = nb.tab.locator(".sd-gallery-words b").nth(n).inner_text()
            wait_until(lambda: nb.run("print(overlays.viewer.strip['id'])") == f"{opened}\n", f"{opened} opens in the viewer")
            seen(nb, f"spoilt-{n}")
        notes = nb.run("for i in catalog.ids:\n    overlays.choose(i)\n    print(i, '|', overlays.viewer.strip['note'])").splitlines()
        assert len(notes) == 6 and sum(len(line.split("|")[1].strip()) > 10 for line in notes) >= 3, notes
    seen(nb, f"spoilt-{name}")
    assert not nb.tab.locator("img[src=x]").count(), "a file name has become markup"
    assert not nb.faults()
