"""Write what follows from the notebooks and is no module: README.md and the list of public names.

`python nbs/_refresh.py` writes both and drops saved widget views; `python nbs/_refresh.py README.md` writes that one alone.
"""
import ast
import json
import posixpath
import re
import sys
from pathlib import Path
from textwrap import fill

import nbformat
from nbconvert import MarkdownExporter
from traitlets.config import Config

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT/"steel_defects"
SHELL_ONLY = {"cli"}  # modules whose functions are commands of the shell, no names of the package
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def notebooks(root=ROOT):
    "Every notebook, the exporting ones first, in their order."
    nbs = root/"nbs"
    return [p for p in sorted(nbs.rglob("*.ipynb"), key=lambda p: (p.parent != nbs, p))
            if not any(part.startswith((".", "_")) for part in p.relative_to(nbs).parts)]


def exporting(root=ROOT):
    "Module name to (number, notebook path), in order."
    found = (re.fullmatch(r"(\d\d)_(\w+)", p.stem) for p in notebooks(root) if p.parent == root/"nbs")
    return {m[2]: (int(m[1]), root/"nbs"/f"{m[0]}.ipynb") for m in found if m}


def directives(source):
    "The `#|` directives of a code cell."
    return [line[2:].strip() for line in source.splitlines() if line.startswith("#|")]


# --- README.md

def relink(text, folder="nbs"):
    "Turn links that are relative to `folder` into links relative to the top folder."
    def fix(m):
        if re.match(r"[a-z]+:|#|/", m[2]): return m[0]
        return f"{m[1]}{posixpath.normpath(posixpath.join(folder, m[2]))}{m[3]}"
    return re.sub(r'(\]\(|(?:src|href)=")([^)"\s]+)([)"])', fix, text)


def readme(root=ROOT):
    "README.md as text: nbs/index.ipynb without hidden cells, directives and links that hold only below nbs/."
    nb = nbformat.read(root/"nbs"/"index.ipynb", as_version=4)
    cells = []
    for cell in nb.cells:
        if cell.cell_type == "code":
            if "hide" in directives(cell.source): continue
            if any(kind.startswith("image/") for out in cell.outputs for kind in out.get("data", {})):
                raise ValueError("nbs/index.ipynb: a picture in a cell's output cannot go into README.md; "
                                 "save it in nbs/images and show it from a markdown cell")
            cell.source = "\n".join(line for line in cell.source.splitlines() if not line.startswith("#|")).strip()
        else: cell.source = relink(cell.source)
        cells.append(cell)
    nb.cells = cells
    nb.metadata.language_info = {"name": "python"}  # nbdev_clean drops it; it colours the code
    config = Config({"NbConvertBase": {"display_data_priority": ["text/markdown", "text/plain"]}})
    text = MarkdownExporter(config=config).from_notebook_node(nb)[0]
    text = re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+$", "", text, flags=re.M)).strip()
    return f"<!-- Written from nbs/index.ipynb by `make readme`: edit there. -->\n\n{text}\n"


# --- steel_defects/__init__.pyi

def public_names(module):
    "`__all__` of an exported module, read without importing it."
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return ast.literal_eval(node.value)
    return []


def stub(root=ROOT):
    "`steel_defects/__init__.pyi` as text: which module holds which public name."
    names = {m: sorted(set(public_names(root/"steel_defects"/f"{m}.py")) if m not in SHELL_ONLY else ())
             for m in exporting(root) if (root/"steel_defects"/f"{m}.py").exists()}
    home = {}
    for module, held in names.items():
        for name in held:
            if name in home: raise ValueError(f"{home[name]}.py and {module}.py both export {name}: rename one")
            if name in names and name != module:
                raise ValueError(f"{module}.py exports {name}, which is the name of a module: rename one")
            home[name] = module
    lines = ['"Public names by module, for lazy loading and for editors. Written by `make prepare`: do not edit."', "__version__: str"]
    for module, held in names.items():
        if module not in held: lines.append(f"from . import {module} as {module}")
        if held:
            inside = fill(", ".join(f"{n}~as~{n}" for n in held), 118, initial_indent="    ", subsequent_indent="    ")
            lines.append(f"from .{module} import (\n{inside},\n)".replace("~", " "))
    return "\n".join(lines) + "\n"


# --- notebooks

def without_widget_view(out):
    "An output without its live widget: with the picture that stands in for it, or None where there is none."
    if WIDGET_VIEW not in out.get("data", {}): return out
    data = {kind: value for kind, value in out["data"].items() if kind != WIDGET_VIEW}
    return type(out)(out | {"data": data}) if set(data) - {"text/plain"} else None


def without_widget_views(text):
    "A notebook's text without live widgets: saved, they open as an error."
    nb = json.loads(text)
    changed = nb["metadata"].pop("widgets", None) is not None
    for cell in nb["cells"]:
        outputs = [out for o in cell.get("outputs", []) if (out := without_widget_view(o)) is not None]
        if outputs != cell.get("outputs", []): cell["outputs"], changed = outputs, True
    return json.dumps(nb, ensure_ascii=False, indent=1, sort_keys=True) + "\n" if changed else text


WRITERS = {"README.md": readme, "steel_defects/__init__.pyi": stub}


def write(path, text):
    "Write `text` to `path` where it differs, and say so."
    if path.exists() and path.read_text(encoding="utf-8") == text: return
    path.write_text(text, encoding="utf-8")
    print(f"wrote {path.relative_to(ROOT)}")


def main(which):
    "Write the files named in `which`, or everything."
    for name in which or WRITERS: write(ROOT/name, WRITERS[name]())
    if not which:
        for path in notebooks(): write(path, without_widget_views(path.read_text(encoding="utf-8")))


if __name__ == "__main__": main(sys.argv[1:])
