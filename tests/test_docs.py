"The HTML pages: a project of four notebooks made into pages; thorough: all notebooks, looked at in Chromium."
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import _docs as docs
import _refresh as refresh
from browser import chromium, open_file, screenshots, wait_until  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
v4 = nbformat.v4

GRAIN = '''#| export
def grain_size(image:np.ndarray, # Grey *strip*, float32 (H, W)
    *,
    step:int=3,                  # Rows between two lines, see `Grain`
)->list[Grain]:                  # One for each line
    "Measure grains along lines, as `LINES` says."
    return []'''
CLASSES = '''#| export
@dataclass(frozen=True)
class Grain:
    "One grain."
    length:float # In pixels
    row:int=0    # Where it lies

    @property
    def width(self)->float: # In pixels
        "Across the line."
        return self.length

    @width.setter
    def width(self, value): pass

    def _hidden_method(self): return 1'''
ALIVE = '''#| live
class Bar(LiveWidget):
    _esm = "export default { render({ model, el }) { el.textContent = 'alive ' + model.get('height') } }"
    _css = ".bar { color: red }"
    height = traitlets.Int(7).tag(sync=True)
Bar()'''
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def notebook(path, *cells):
    "Write a notebook: a text is Markdown, a pair code with its output."
    def cell(c):
        if isinstance(c, str): return v4.new_markdown_cell(c)
        return v4.new_code_cell(c[0], outputs=[v4.new_output("display_data", c[1])] if c[1] else [])
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(v4.new_notebook(cells=[*map(cell, cells)]), path)


def project(folder):
    "A project of four notebooks that has everything a page can hold."
    nbs = folder/"nbs"
    shutil.copytree(ROOT/"nbs"/"_static", nbs/"_static")
    shutil.copytree(ROOT/"nbs"/"images", nbs/"images")
    for name in ("_docs.py", "_boxes.py", "_refresh.py"): shutil.copy(ROOT/"nbs"/name, nbs)
    shutil.copy(ROOT/"settings.ini", folder)
    shutil.copy(ROOT/"LICENSE", folder)
    (folder/"steel_defects").mkdir()
    notebook(nbs/"index.ipynb", "# probe\n\n![strip](images/strip.jpg)\n\n[walk](tutorials/01_walk.ipynb), [all](tutorials), [licence](LICENSE), "
             "[sizes](00_grain.ipynb#how-large)".replace("(LICENSE)", "(../LICENSE)"), ("#| hide\nsecretword = 1", None))
    notebook(nbs/"00_grain.ipynb", "# grain\n\n> How large grains are.", ("#| default_exp grain", None), ("#| export\nimport numpy as np", None),
             ("#| export\nLINES = 3 # How many\nFINE, COARSE = 1., 9. # Two sizes", None), (CLASSES, None), (GRAIN, None),
             ("#| exporti\ndef _inside(): return 'insideword'", None),
             "## How large\n\nArea $\\alpha=\\frac12$, `grain_size` and `Grain.width`, not `nothing`.\n\n$$x^2$$",
             ("#| echo: false\nunseenword = 1", {"text/html": "<table class='dataframe'><tr><td>cellword</td></tr></table>", "text/plain": ""}),
             ("#| code-fold: true\nfoldedword = 2", {"image/png": PIXEL, "text/plain": ""}), ("#| hide\nimport nbdev; nbdev.nbdev_export()", None))
    notebook(nbs/"01_rolls.ipynb", "# rolls\n\n> What rolls do.", ("#| default_exp rolls", None),
             ("#| export\ndef roll_marks(grains:list[Grain]): # From `grain_size`\n    \"Find marks.\"", None),
             ("from steel_defects.grain import grain_size", None), ("grain_size(1)\nx.grain_size", {"text/plain": "2"}))
    notebook(nbs/"tutorials"/"01_walk.ipynb", "# A walk\n\n> From here to there.",
             "*Beside the course.* [sizes](../00_grain.ipynb), [steel_defects/](../../steel_defects)",
             ("import traitlets\nfrom steel_defects.live import LiveWidget", None), ("#| eval: false\nsd.grain_size(3)", None), (ALIVE, None),
             ("Bar()", {"text/html": "<p>Alive in JupyterLab: run this cell there.</p>", "text/plain": "Bar"}))
    return folder


def build(folder, *options):
    "Run the program in a project."
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    told = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return subprocess.run([sys.executable, "nbs/_docs.py", *options], cwd=folder, env=env, **told)


class Parts(HTMLParser):
    "What a page loads, where it links to, and the ids in it."
    LOADS = {"script": ["src"], "img": ["src", "srcset"], "link": ["href"], "iframe": ["src"], "source": ["src", "srcset"],
             "video": ["src", "poster"], "audio": ["src"], "embed": ["src"], "object": ["data"],
             "image": ["href", "xlink:href"], "use": ["href", "xlink:href"], "input": ["src"]}

    def __init__(self, text):
        super().__init__()
        self.loaded, self.links, self.ids, self.styles, self.style = [], [], set(), [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.loaded += [given[a] for a in self.LOADS.get(tag, ()) if given.get(a)]
        if tag == "a" and given.get("href"): self.links.append(given["href"])
        if given.get("id"): self.ids.add(given["id"])
        if given.get("style"): self.styles.append(given["style"])
        self.style = tag == "style"

    def handle_data(self, data):
        if self.style: self.styles.append(data)


def loaded_by_style(text): return re.findall(r"""url\(\s*["']?([^"')]+)""", text)+re.findall(r"""@import\s+["']([^"']+)""", text)


def faults(out):
    "What is loaded from elsewhere or missing, and links that lead nowhere, in all pages of a folder."
    pages, told = {p.resolve(): Parts(p.read_text(encoding="utf-8")) for p in out.rglob("*.html")}, []
    for path, page in pages.items():
        loaded = page.loaded+[u for s in page.styles for u in loaded_by_style(s)]
        for link in [*loaded, *page.links]:
            parts = urlsplit(link)
            if link in loaded and (parts.scheme not in ("", "data") or parts.netloc): told.append(f"{path.name} loads {link}")
            if parts.scheme or parts.netloc: continue
            target = (path.parent/unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file(): told.append(f"{path.name}: {link} is not there")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
                told.append(f"{path.name}: {link} has no such place")
    for sheet in out.rglob("*.css"):
        told += [f"{sheet.name} loads {u}" for u in loaded_by_style(sheet.read_text(encoding="utf-8")) if not u.startswith(("data:", "#"))
                 and not (sheet.parent/u.split("?")[0].split("#")[0]).is_file()]
    return sorted(set(told))


# --- four notebooks

@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = project(tmp_path_factory.mktemp("docs"))
    done = build(folder)
    assert done.returncode == 0, done.stdout
    assert done.stdout.rstrip().endswith("open _docs/index.html")
    return folder


def text_of(made, page): return (made/"_docs"/page).read_text(encoding="utf-8")


def test_everything_is_there_and_nothing_is_loaded(made):
    assert {p.relative_to(made/"_docs").as_posix() for p in (made/"_docs").rglob("*.html")} == {
        "index.html", "grain.html", "rolls.html", "library.html", "tutorials/index.html", "tutorials/walk.html", "genindex.html", "search.html"}
    assert faults(made/"_docs") == []


def test_hidden_cells_and_directives_are_absent(made):
    everything = "".join(p.read_text(encoding="utf-8") for p in (made/"_docs").rglob("*") if p.suffix in (".html", ".js"))
    hidden = "secretword", "unseenword", "nbdev_export", "default_exp", "#|", "code-fold", "MathJax", "require.js"
    for word in hidden: assert word not in everything, word
    for word in ("cellword", "foldedword", "insideword"): assert word in everything, word
    assert "_hidden_method</span>" not in text_of(made, "grain.html").replace('<span class="nf">_hidden_method</span>', "")


def test_pages_tell_nothing_of_the_machine(made):
    for p in (made/"_docs").rglob("*"):
        if p.is_file(): assert not [place for place in (str(made), str(ROOT), sys.prefix) if place.encode() in p.read_bytes()], p.name


def test_names_have_a_box(made):
    page = text_of(made, "grain.html")
    box = page[page.index('id="steel_defects.grain.grain_size"'):]
    box = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", box[:box.index("<details")]))
    for words in ("grain_size ( image , * , step = 3 )", "Measure grains along lines", "Grey *strip*, float32 (H, W)", "int = 3",
                  "Rows between two lines", "list[ Grain ]", "One for each line"): assert words in box, (words, box)
    for name in ("Grain", "Grain.width", "LINES", "FINE", "COARSE"): assert f'id="steel_defects.grain.{name}"' in page
    assert 'id="grain_size"' in page  # as nbdev's own pages name it
    assert "In pixels" in page and "How many" in page


def test_names_are_linked(made):
    grain, rolls, walk = (text_of(made, f"{page}.html") for page in ("grain", "rolls", "tutorials/walk"))
    def link(page, to): return re.findall(rf'<a [^>]*href="{re.escape(to)}"[^>]*>', page)
    for name in ("grain_size", "Grain.width", "LINES"):                                                           # prose, docstrings
        assert re.search(rf'<a [^>]*href="#steel_defects.grain.{name}"[^>]*><code', grain), name
    assert re.search(r'href="grain.html#steel_defects.grain.grain_size"[^>]*><code', rolls) and link(rolls, "grain.html#steel_defects.grain.Grain")  # a comment, a type
    assert link(walk, "../grain.html#steel_defects.grain.grain_size")                                              # code, `sd.grain_size`
    code = rolls[rolls.index("cell_input"):].split("x</span>")
    assert "<a " in code[0] and "<a " not in code[1].split("</pre>")[0]  # a name of ours, and an attribute of something else
    assert "nothing</span></code>" in grain and not re.search(r'<a [^>]*><code[^>]*><span class="pre">nothing', grain)


def test_search_needs_no_network(made):
    index = (made/"_docs"/"searchindex.js").read_text(encoding="utf-8")
    assert index.startswith("Search.setIndex(") and "grain_size" in index and "cellword" in index
    assert '"grain.html#steel_defects.grain.grain_size": "Measure grains' in (made/"_docs"/"_static"/"search_lines.js").read_text(encoding="utf-8")
    assert "SHOW_SEARCH_SUMMARY: false" in (made/"_docs"/"_static"/"documentation_options.js").read_text(encoding="utf-8")  # it would fetch pages


def test_formulas_are_mathml(made):
    page = text_of(made, "grain.html")
    assert re.findall(r"<math .*?<mfrac>", page) and 'class="math"' in page


def test_living_widgets_stay_alive(made):
    page = text_of(made, "tutorials/walk.html")
    assert "<p>Alive in JupyterLab: run this cell there.</p>" in page  # a picture of one that is not
    assert '<script type="module">' in page and "revive(widget" in page and '"height": 7' in page


def test_walkthroughs_beside_the_course_stand_apart(made):
    page = text_of(made, "tutorials/index.html")
    assert page.index("<h2>Beside the course") < page.index('href="walk.html"', page.index("<h1>"))


def test_broken_links_are_told(made):
    text = "# broken\n\n> It is.\n\n[there](02_gone.ipynb), [here](00_grain.ipynb#how-small)"
    notebook(made/"nbs"/"05_broken.ipynb", text, ("#| default_exp broken", None))
    done = build(made, "--still")
    assert done.returncode == 1 and "Traceback" not in done.stdout, done.stdout
    assert "nbs/05_broken.ipynb: the link to 02_gone.ipynb leads nowhere" in done.stdout, done.stdout
    assert re.search("^nbs/05_broken.ipynb: .*how-small", done.stdout, re.M) and "2 faults" in done.stdout, done.stdout


def test_what_no_page_may_show_is_told():
    assert len([*docs.told_by([v4.new_output("error", ename="E", evalue="e", traceback=[])])]) == 1
    assert len([*docs.told_by([v4.new_output("stream", text=f"{ROOT}/x")])]) == 1 and not [*docs.told_by([v4.new_output("stream", text="x")])]


# --- all notebooks

def test_every_link_and_name_of_the_notebooks(tmp_path):
    "The part of `make docs` before Sphinx: quick, and where most faults are found."
    docs.FAULTS.clear()
    home = docs.public_names()
    docs.write_sources(tmp_path/"pages", refresh.notebooks(), home, say=lambda _: None, live=False)
    assert docs.FAULTS == []
    for module in refresh.exporting():
        if module in refresh.SHELL_ONLY: continue
        names = refresh.public_names(ROOT/"steel_defects"/f"{module}.py")
        lost = [n for n in names if home.get(n, [""])[0] != module]
        assert not lost, f"{module}.py exports {lost}, for which its page has no box"
        cells = json.loads((tmp_path/"pages"/f"{module}.ipynb").read_text(encoding="utf-8"))["cells"]
        text = "\n".join(c["source"] for c in cells)
        assert not re.search(r"^#\|", text, re.M)
        for name in names: assert re.search(rf"^`+{{py:\w+}} {name}\b", text, re.M), f"{module}: no box for {name}"


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    "The pages of all notebooks, their widgets alive."
    work = tmp_path_factory.mktemp("all")
    docs.FAULTS.clear()
    assert docs.build(work, refresh.notebooks(), say=lambda _: None) == []
    return work/"html"


@pytest.mark.thorough
def test_all_pages_load_nothing_and_lead_somewhere(everything): assert faults(everything) == []


@pytest.mark.thorough
@pytest.mark.parametrize("dark, width", [(False, 1300), (True, 1300), (False, 380)], ids=["light", "dark", "phone"])
def test_pages_in_a_browser(everything, chromium, dark, width):  # noqa: F811
    alive = [docs.page_name(p) for p in refresh.notebooks() if docs.is_live(nbformat.read(p, as_version=4))]
    chosen = "index library genindex metrics catalog cli losses report data tutorials/index tutorials/class_imbalance benchmarks/rle"
    for name in dict.fromkeys([*chosen.split(), *alive]):
        with open_file(chromium, everything/f"{name}.html", dark=dark, width=width) as page:
            if name in alive:
                drawn = """[...document.querySelectorAll("div[id^=sd-]:not(div[id^=sd-] *)")].every(place =>
                    [...place.querySelectorAll("canvas, svg, img")].some(e => e.getBoundingClientRect().height > 20))"""
                wait_until(lambda: page.tab.evaluate(drawn), f"{name}: every widget draws something")
            assert page.faults() == [] and page.asked() == [], name
            wide, there = page.tab.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            assert wide <= there, f"{name}.html is {wide} px wide on a screen of {there}"
            light = page.tab.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]")
            assert (light < 100) == dark, f"{name}: background {light}"
            if screenshots(): page.tab.screenshot(path=screenshots()/f"docs_{name.replace('/', '_')}_{'dark' if dark else 'light'}_{width}.png")


@pytest.mark.thorough
def test_search_finds_a_name(everything, chromium):  # noqa: F811
    with open_file(chromium, everything/"index.html") as page:
        page.tab.locator("input[name=q]").first.fill("rle_decode")
        page.tab.keyboard.press("Enter")
        page.tab.wait_for_selector("ul.search li p.line")
        first = page.tab.locator("ul.search li").first
        assert "rle_decode" in first.locator("a").inner_text() and first.locator("p.line").inner_text()
        assert page.faults() == []
        first.locator("a").click()
        page.tab.wait_for_url("**/rle.html*rle_decode")
        page.tab.locator("button.theme-toggle").last.click()
        assert page.faults() == [] and page.asked() == []
