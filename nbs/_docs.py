"""Write the HTML pages: `python nbs/_docs.py` (`make docs`) turns each notebook into a page of `_docs/`.

A notebook is copied to build/docs/pages without what nbdev hides, and with a box for each exported name: signature, parameters with their comments,
source to unfold. Sphinx with myst-nb and furo makes pages of the copies. Saved outputs are shown; only notebooks with a cell `#| live` are run, so
that widgets work in the pages. Nothing in a page is loaded from elsewhere. This file is both the program and its Sphinx extension. `--still` runs
nothing, and widgets are pictures.
"""
import ast
import hashlib
import io
import json
import posixpath
import re
import shutil
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from configparser import ConfigParser
from pathlib import Path

import nbformat
from docutils import nodes
from latex2mathml.converter import convert
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util.docutils import SphinxRole

sys.path.insert(0, str(Path(__file__).parent))
from _boxes import DEFINITIONS, LIBRARY, assigned, exported, flags, named, plain, shown_methods  # noqa: E402
from _refresh import ROOT, SHELL_ONLY, exporting, notebooks, without_widget_view  # noqa: E402

FLOORS = {"Arrays": range(30), "Tensors": range(30, 40), "Views": range(40, 100)}
EXTRA = {"data/README.md": "data", "nbs/benchmarks/README.md": "benchmarks/index", "CONTRIBUTING.md": "contributing", "CHANGELOG.md": "changelog"}
FOLDERS = {"nbs": "library", LIBRARY: "library", "nbs/tutorials": "tutorials/index", "nbs/benchmarks": "benchmarks/index", "data": "data"}
SHOW_SAVED = "from steel_defects.live import show_saved\nshow_saved()"
ALIVE = 'revive(widget, "'  # in what a living widget writes into a page
FAULTS = []  # sentences about what is wrong in the notebooks, found before Sphinx looks


def settings():
    "The section of settings.ini."
    ini = ConfigParser(delimiters=["="])
    ini.read(ROOT/"settings.ini", encoding="utf-8")
    return ini["DEFAULT"]


def page_name(path):
    "The page of a notebook, named as nbdev names it: nbs/07_metrics.ipynb is metrics, nbs/tutorials/02_x.ipynb is tutorials/x."
    path = path.relative_to(ROOT/"nbs").with_suffix("")
    return path.with_name(re.sub(r"^\d+[a-z]?_", "", path.name)).as_posix()


def sources():
    "Path below the top folder to page, of everything that becomes one."
    return {p.relative_to(ROOT).as_posix(): page_name(p) for p in notebooks()} | {p: page for p, page in EXTRA.items() if (ROOT/p).exists()}


# --- what a notebook exports

def public_names():
    "Public name to (module, full name), read from the notebooks."
    home = {}
    for module, (_, path) in exporting().items():
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type != "code" or "export" not in flags(cell.source): continue
            for node in ast.parse(plain(cell.source)).body:
                found = [named(node)] if isinstance(node, DEFINITIONS) else assigned(node)
                found += [f"{node.name}.{m.name}" for m in shown_methods(node)] if isinstance(node, ast.ClassDef) else []
                for name in found:
                    if not name.startswith("_") and not (module in SHELL_ONLY and name in home): home[name] = module, f"{LIBRARY}.{module}.{name}"
    return home


# --- a notebook as a page

def relinked(text, source, pages):
    "Links between files as links between pages; what has no page is linked in the repository."
    folder, at = posixpath.dirname(source), settings()
    def fix(m):
        target, _, section = m[2].partition("#")
        if re.match(r"[a-z]+:", m[2]) or not target: return m[0]
        path = posixpath.normpath(posixpath.join(folder, target))
        if not (ROOT/path).exists():
            FAULTS.append(f"{source}: the link to {m[2]} leads nowhere")
            return f"]({at['git_url']})"  # so that Sphinx does not tell it again
        page, here = pages.get(path) or FOLDERS.get(path), posixpath.dirname(pages[source])
        if page: return f"{m[1]}{posixpath.relpath(page, here or '.')}{Path(path).suffix or '.md'}{'#'*bool(section)}{section}{m[3]}"
        if Path(path).suffix in (".jpg", ".png", ".svg"): return f"{m[1]}{posixpath.relpath(posixpath.relpath(path, 'nbs'), here or '.')}{m[3]}"
        return f"{m[1]}{at['git_url']}/{'tree' if (ROOT/path).is_dir() else 'blob'}/{at['branch']}/{path}{m[3]}"
    parts = re.split(r"(^```.*?^```)", text, flags=re.S | re.M)  # every second one is code, which stays as it is
    return "".join(part if i % 2 else re.sub(r"(\]\()([^)\s]+)(\))", fix, part) for i, part in enumerate(parts))


def outputs_of(cell):
    "Saved outputs without the widgets that are gone with their kernel; a picture in the place of one stays."
    return [out for o in cell.outputs if (out := without_widget_view(o)) is not None]


def told_by(outputs):
    "What outputs tell that no page should."
    if any(out.output_type == "error" for out in outputs): yield "it was saved while a cell failed: run it again"
    places = f"{ROOT}/", f"{sys.prefix}/", f"{Path.home()}/"
    if any(place in json.dumps(outputs) for place in places): yield "an output shows a path of the machine it ran on"


def page_cells(nb, source, pages):
    "The cells of a page."
    module, heading, cells = "", "", []
    for cell in nb.cells:
        if cell.cell_type != "code":
            heading = (re.findall(r"^#+ (.*)", cell.source, flags=re.M) or [heading])[-1]
            cells.append(nbformat.v4.new_markdown_cell(relinked(cell.source, source, pages)))
            continue
        said = flags(cell.source)
        module = said.get("default_exp", module)
        if said.keys() & {"hide", "default_exp"} or said.get("include") == "false": continue
        if said.keys() & {"export", "exporti", "exports"}:
            if text := exported(cell.source, module): cells.append(nbformat.v4.new_markdown_cell(text))
            if not cell.outputs: continue
            said["echo"] = "false"
        FAULTS.extend(f"{source}: {fault}" for fault in told_by(cell.outputs))
        shown = nbformat.v4.new_code_cell(plain(cell.source), outputs=[] if said.get("output") == "false" else outputs_of(cell))
        about = {"image": {"alt": f"Picture to: {heading}"}, "code_prompt_show": "Show the code", "code_prompt_hide": "Hide the code"}
        tags = ["remove-input"]*(said.get("echo") == "false")+["hide-input"]*(said.get("code-fold") == "true")
        shown.metadata = {"tags": tags, "mystnb": about}
        cells.append(shown)
    for i, cell in enumerate(cells): cell.id = f"c{i}"
    return cells


def write(path, text):
    "Write what has changed, so that Sphinx reads no more than that again."
    if path.exists() and path.read_text(encoding="utf-8") == text: return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


# --- living widgets

def is_live(nb): return any(c.cell_type == "code" and "live" in flags(c.source) for c in nb.cells)


def to_run(cell):
    "The cell as it is run: what nbdev does not run, or what takes long, is left out and keeps its saved output."
    said = flags(cell.source) if cell.cell_type == "code" else {"heavy": ""}
    if said.keys() & {"heavy", "notest"} or said.get("eval") == "false" or "nbdev_export(" in cell.source: return nbformat.v4.new_raw_cell("")
    return nbformat.v4.new_code_cell(cell.source)


def run_outputs(path, nb):
    "Run a notebook up to its last `#| live` cell; cell number to outputs of those cells."
    numbers = [i for i, c in enumerate(nb.cells) if c.cell_type == "code" and "live" in flags(c.source)]
    run = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(SHOW_SAVED), *map(to_run, nb.cells[:numbers[-1]+1])])
    client = NotebookClient(run, timeout=600, kernel_name="python3", extra_arguments=["--log-level=ERROR"])
    client.resources = {"metadata": {"path": str(path.parent)}}
    try: client.execute()
    except CellExecutionError as e:
        raise SystemExit(f"{path.relative_to(ROOT)} fails when run for its widgets: mend it in JupyterLab ({e.ename}: {e.evalue})") from None
    for i in numbers:
        if not any(ALIVE in "".join(out.get("data", {}).get("text/html", "")) for out in run.cells[i+1].outputs):
            raise SystemExit(f"{path.relative_to(ROOT)}: a cell marked `#| live` shows no widget, let it end with one:\n{plain(nb.cells[i].source)}")
    return {i: run.cells[i+1].outputs for i in numbers}


def revived(path, nb, cache):
    "A notebook whose `#| live` cells have outputs that work in a page; kept until the notebook or the package changes."
    package = [p.read_bytes() for p in sorted((ROOT/LIBRARY).rglob("*")) if p.suffix in (".py", ".js", ".css")]
    key = hashlib.sha256(json.dumps([c.source for c in nb.cells]).encode()+b"".join(package)).hexdigest()[:16]
    kept = cache/f"{path.stem}-{key}.json"
    if not kept.exists():
        made = json.dumps(run_outputs(path, nb))
        cache.mkdir(parents=True, exist_ok=True)
        for old in cache.glob(f"{path.stem}-*.json"): old.unlink()
        kept.write_text(made, encoding="utf-8")
    for i, outputs in json.loads(kept.read_text(encoding="utf-8")).items(): nb.cells[int(i)].outputs = [nbformat.from_dict(o) for o in outputs]
    return nb


# --- the pages that lead to the others

def used_names(nb, home, module):
    "Public names that mean this package's in the code of a notebook: defined in it or imported, and never used for a value."
    trees = []
    for cell in nb.cells:
        if cell.cell_type == "code":
            try: trees.append((ast.parse(plain(cell.source)), "export" in flags(cell.source)))
            except SyntaxError: continue  # a command of the shell
    walked = [n for tree, is_exported in trees for n in ast.walk(tree) if not (is_exported and isinstance(n, (ast.Name, ast.arg)))]
    given = {a.asname or a.name for n in walked if isinstance(n, ast.ImportFrom) and (n.module or "").startswith(LIBRARY) for a in n.names}
    taken = {n.id for n in walked if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)} | {n.arg for n in walked if isinstance(n, ast.arg)}
    return sorted(n for n in home if (n in given or home[n][0] == module) and n not in taken and "." not in n)


def search_lines(paths, home):
    "A script with one line for each page and each name, which stands below it among the results of a search."
    lines = {f"{page_name(p)}.html": promise(p)[1] for p in paths}
    for module, (_, path) in exporting().items():
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type != "code" or "export" not in flags(cell.source): continue
            for node in ast.parse(plain(cell.source)).body:
                if isinstance(node, DEFINITIONS) and named(node) in home and ast.get_docstring(node):
                    lines[f"{module}.html#{home[named(node)][1]}"] = " ".join(ast.get_docstring(node).split())
    return f"const searchLines = {json.dumps(lines)};\n"


def promise(path):
    "Title and one line of a notebook."
    lines = [line for line in nbformat.read(path, as_version=4).cells[0].source.splitlines() if line.strip()]
    return lines[0].lstrip("# "), lines[1].lstrip("> ") if len(lines) > 1 and lines[1].startswith(">") else ""


def is_aside(path):
    "Whether a walkthrough says that it stands beside the course."
    return any("Beside the course" in cell.source for cell in nbformat.read(path, as_version=4).cells[:3] if cell.cell_type == "markdown")


def titled(path):
    "The title of a notebook, in a course with its number."
    number = path.stem.partition("_")[0]
    return f"{int(number)} · {promise(path)[0]}" if path.parent.name == "tutorials" and number.isdigit() else promise(path)[0]


def cards(paths, folder=""):
    "A list of pages with their promises."
    rows = [f"- [{titled(path)}]({posixpath.relpath(page_name(path), folder or '.')}.ipynb)\n\n  {promise(path)[1]}" for path in paths]
    return ":::{container} cards\n"+"\n".join(rows)+"\n:::"


def tree(caption, entries):
    return f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n"+"\n".join(entries)+"\n```"


def leading_pages(paths):
    "Overview pages, and the groups of the sidebar."
    course, benchmarks = ([p for p in paths if p.parent.name == folder] for folder in ("tutorials", "benchmarks"))
    floors = {floor: [p for number, p in exporting().values() if number in numbers and p in paths] for floor, numbers in FLOORS.items()}
    library = "# The library\n\n> Every module in the order of need; an import only ever goes down.\n\n"
    library += "\n\n".join(f"## {floor}\n\n{cards(held)}" for floor, held in floors.items() if held)
    library += "\n\nAll names in alphabetical order stand in the {ref}`index <genindex>`.\n"
    pages = {"library": library}
    head = "# Walkthroughs\n\n> A course from nothing to a decision; each takes about ten minutes to read.\n\n"
    aside = [p for p in course if is_aside(p)]
    parts = {"": [p for p in course if p not in aside], "## Beside the course\n\n": aside}
    if course: pages["tutorials/index"] = head+"\n\n".join(title+cards(held, "tutorials") for title, held in parts.items() if held)+"\n"
    extra = [page for source, page in EXTRA.items() if (ROOT/source).exists()]
    start = ["Start <self>", "library", *(p for p in extra if p == "data"), "All names <genindex>"]
    groups = {"Start": start, "Walkthroughs": [*["Overview <tutorials/index>"]*bool(course), *(f"{titled(p)} <{page_name(p)}>" for p in course)]}
    groups |= {floor: [page_name(p) for p in held] for floor, held in floors.items()}
    groups |= {"Benchmarks": [*(f"Overview <{p}>" for p in extra if p.startswith("benchmarks")), *map(page_name, benchmarks)],
               "Project": [p for p in extra if p in ("contributing", "changelog")]}
    return pages, "\n\n".join(tree(caption, entries) for caption, entries in groups.items() if entries)


def write_sources(folder, paths, home, say=print, live=True):
    "Write what Sphinx reads; return the names that are links in the code of each page."
    pages, written, linked = sources(), {"index.ipynb"}, {}
    leading, trees = leading_pages(paths)
    read = {path: nbformat.read(path, as_version=4) for path in paths}
    alive = {path: nb for path, nb in read.items() if live and is_live(nb)}
    for path in alive: say(f"{path.relative_to(ROOT)} is run for its widgets, unless nothing has changed")
    with ThreadPoolExecutor(2) as pool: read |= dict(zip(alive, pool.map(lambda path: revived(path, alive[path], folder.parent/"live"), alive)))
    for path, nb in read.items():
        source = path.relative_to(ROOT).as_posix()
        cells = page_cells(nb, source, pages)
        linked[page_name(path)] = used_names(nb, home, page_name(path))
        if page_name(path) == "index": cells.append(nbformat.v4.new_markdown_cell(trees, id="trees"))
        about = {"language_info": {"name": "python", "pygments_lexer": "ipython3"}, "kernelspec": {"name": "python3", "display_name": "Python 3"}}
        made = nbformat.v4.new_notebook(cells=cells, metadata=about)
        write(folder/f"{page_name(path)}.ipynb", json.dumps(made, ensure_ascii=False, indent=1))
        written.add(f"{page_name(path)}.ipynb")
    for source, page in EXTRA.items():
        if source in pages: leading[page] = relinked((ROOT/source).read_text(encoding="utf-8"), source, pages)
    for page, text in leading.items(): write(folder/f"{page}.md", text)
    shutil.copytree(ROOT/"nbs"/"images", folder/"images", dirs_exist_ok=True)
    keep = written | {f"{page}.md" for page in leading}
    for old in [*folder.rglob("*.ipynb"), *folder.rglob("*.md")]:
        if old.relative_to(folder).as_posix() not in keep: old.unlink()
    write(folder.parent/"static"/"search_lines.js", search_lines(paths, home))
    return linked


# --- the Sphinx extension

def reference(domain, kind, target, inside, docname):
    "A link to a name or a page, resolved when all pages are read."
    return addnodes.pending_xref("", inside, refdomain=domain, reftype=kind, reftarget=target, refexplicit=True, refwarn=True, refdoc=docname)


class LinkNames(SphinxTransform):
    "Link `names` in prose to where they are documented."
    default_priority = 400

    def apply(self):
        home, here = self.config.sd_names, self.env.docname
        modules = {module for module, _ in home.values()}
        for node in list(self.document.findall(nodes.literal)):
            text, over = node.astext().removesuffix("()"), node.parent
            while over is not None and not isinstance(over, (nodes.reference, addnodes.pending_xref, nodes.title)): over = over.parent
            if over is not None or "sd-param" in node["classes"]: continue
            name, module = text.removeprefix("sd."), text.removeprefix(f"{LIBRARY}.")
            if name in home: node.replace_self(reference("py", "obj", home[name][1], node.deepcopy(), here))
            elif module != text and module in modules: node.replace_self(reference("std", "doc", f"/{module}", node.deepcopy(), here))
        for node in self.document.findall(addnodes.desc_signature):
            if node.get("fullname") and node["ids"] and node["fullname"] not in self.document.ids: node["ids"].append(node["fullname"])


class Param(SphinxRole):
    def run(self): return [nodes.literal("", self.text, classes=["sd-param"])], []


class Type(SphinxRole):
    def run(self):
        out, home = nodes.inline(classes=["sd-type"]), self.config.sd_names
        for part in re.split(r"([A-Za-z_][\w.]*)", self.text):
            text = nodes.Text(part)
            out += reference("py", "obj", home[part][1], nodes.inline("", "", text), self.env.docname) if part in home else text
        return [out], []


CODE = re.compile(r'<div class="highlight-ipython3.*?</pre>', re.S)
NAME = re.compile(r'(<span class="n">sd</span><span class="o">\.</span>)?<span class="n[cf]?">(\w+)</span>')


def link_code(app, pagename, templatename, context, doctree):
    "Link the names in the code of a page, `sd.name` always."
    home, linked = app.config.sd_names, set(app.config.sd_linked.get(pagename, ()))
    def fix(m):
        if m[2] not in home or not m[1] and (m[2] not in linked or m.string[:m.start()].endswith('<span class="o">.</span>')): return m[0]
        module, full = home[m[2]]
        return f'{m[1] or ""}<a href="{app.builder.get_relative_uri(pagename, module)}#{full}">{m[0][len(m[1] or ""):]}</a>'
    if "body" in context: context["body"] = CODE.sub(lambda block: NAME.sub(fix, block[0]), context["body"])


def inline_math(self, node):
    self.body.append(convert(node.astext()))
    raise nodes.SkipNode


def displayed_math(self, node):
    self.body.append(f'<div class="math">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode


def setup(app):
    app.add_config_value("sd_names", {}, "env")
    app.add_config_value("sd_linked", {}, "html")
    app.connect("html-page-context", link_code)
    app.add_transform(LinkNames)
    app.add_role("sd-param", Param())
    app.add_role("sd-type", Type())
    app.add_html_math_renderer("mathml", (inline_math, None), (displayed_math, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True, "env_version": zlib.crc32(Path(__file__).read_bytes())}


# --- the whole

CONFIG = {
    "extensions": ["myst_nb", "_docs"], "project": LIBRARY, "language": "en", "smartquotes": False, "pygments_style": "friendly",
    "nb_execution_mode": "off", "nb_render_markdown_format": "myst", "nb_merge_streams": True, "nb_ipywidgets_js": {},
    "myst_enable_extensions": ["dollarmath", "colon_fence"], "myst_heading_anchors": 4,
    "add_module_names": False, "toc_object_entries_show_parents": "hide", "python_maximum_signature_line_length": 100,
    "html_theme": "furo", "html_title": LIBRARY,
    "html_theme_options": {"navigation_with_keys": False, "top_of_page_buttons": []},  # arrow keys belong to the viewer
    "html_logo": str(ROOT/"nbs"/"_static"/"logo.svg"), "html_favicon": str(ROOT/"nbs"/"_static"/"logo.svg"),
    "html_css_files": ["docs.css"], "html_js_files": ["search_lines.js", "docs.js"], "html_math_renderer": "mathml",
    "html_copy_source": False, "html_show_sourcelink": False, "html_show_search_summary": False,  # it would be fetched
}


def build(work, paths, say=print, live=True):
    "Write the pages of some notebooks into `work`/html; return what is wrong with them, as sentences."
    home, ini, told = public_names(), settings(), io.StringIO()
    linked = write_sources(work/"pages", paths, home, say, live)
    config = CONFIG | {"sd_names": home, "sd_linked": linked, "html_static_path": [str(ROOT/"nbs"/"_static"), str(work/"static")],
                       "copyright": ini["copyright"], "author": ini["author"], "release": ini["version"]}
    say(f"making {len(paths)} pages and the search index")
    sphinx = Sphinx(work/"pages", None, work/"html", work/"doctrees", "html", confoverrides=config, status=None, warning=told, parallel=2)
    sphinx.build()
    origin = {page: source for source, page in sources().items()}
    lines = re.sub(r"\x1b\[[\d;]*m", "", told.getvalue()).replace(f"{work}/pages/", "").splitlines()
    fault = re.compile(r"^([\w/]+)\.(?:ipynb|md)(?::\d+)?: (?:WARNING|ERROR): (.*?)(?: \[[\w.]+\])?$")
    return FAULTS+[fault.sub(lambda m: f"{origin.get(m[1], m[1])}: {m[2]}", line) for line in lines if line.strip()]


def main(live=True):
    "Build the pages, then put them into `_docs` in place of older ones."
    start, work, out = time.time(), ROOT/"build"/"docs", ROOT/"_docs"
    def say(line): print(f"{time.time()-start:5.0f} s  {line}", flush=True)
    paths = notebooks()
    say(f"reading {len(paths)} notebooks")
    if faults := build(work, paths, say, live):
        shutil.rmtree(work/"doctrees", ignore_errors=True)  # so that the next run meets them again
        sys.exit("\n".join([*faults, f"{len(faults)} faults in the pages: mend the notebooks named above and run it again"]))
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(work/"html", out, ignore=shutil.ignore_patterns(".buildinfo*", "objects.inv"))
    say(f"{len([*out.rglob('*.html')])} pages")
    print("open _docs/index.html")


if __name__ == "__main__": main(live="--still" not in sys.argv)
