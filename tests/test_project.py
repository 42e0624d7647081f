"The project as a whole: notebooks and modules agree, floors import downwards, the wheel is complete, README.md is fresh."
import ast
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest
import _refresh as refresh

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT/"steel_defects"
NOTEBOOKS = refresh.notebooks()
EXPORTING = refresh.exporting()  # module: (number, notebook)
MODULES = {p.stem: p for p in PACKAGE.glob("*.py") if not p.stem.startswith("_")}
ARRAYS = [m for m, (number, _) in EXPORTING.items() if number < 30]
LAST_CELL = "import nbdev; nbdev.nbdev_export()"


def run(*command, cwd=ROOT, **env):
    "Run a command of this environment and return what it printed; a failure shows all of it."
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"} | env
    done = subprocess.run(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, command))} failed:\n{done.stdout}"
    return done.stdout


def python(code, **kwargs):
    "Run code in a fresh Python."
    return run(sys.executable, "-c", code, **kwargs)


def tracked():
    "The files of the project: those git knows and those it would add."
    if not (ROOT/".git").exists(): pytest.skip("no git checkout: there is no list of the project's files")
    names = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    return [ROOT/name for name in names if name and (ROOT/name).is_file()]


def read_notebook(path): return json.loads(path.read_text(encoding="utf-8"))


def code_cells(path): return ["".join(c["source"]) for c in read_notebook(path)["cells"] if c["cell_type"] == "code"]


def is_exported(source): return any(re.match(r"exports?\b", d) for d in refresh.directives(source))


def own_imports(source):
    "The modules of this package that a piece of code imports."
    source = re.sub(r"^\s*[%!?].*$", "", source, flags=re.M)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            if node.level == 1 and node.module: yield node.module.split(".")[0]
            elif node.level == 0 and node.module == "steel_defects" or node.level == 1:
                yield from (a.name for a in node.names if a.name in EXPORTING)
            elif node.level == 0 and node.module and node.module.startswith("steel_defects."): yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("steel_defects."))


def copy_sources(folder):
    "Copy settings and notebooks into an empty folder, as nbdev needs them."
    shutil.copy(ROOT/"settings.ini", folder)
    shutil.copytree(ROOT/"nbs", folder/"nbs", ignore=shutil.ignore_patterns(".ipynb_checkpoints", "__pycache__"))
    (folder/"steel_defects").mkdir()
    shutil.copy(PACKAGE/"__init__.py", folder/"steel_defects")
    return folder


by_name = {"ids": lambda o: o.stem if isinstance(o, Path) else str(o)}


# --- notebooks

def test_notebooks_are_clean(tmp_path):
    copy = copy_sources(tmp_path)
    run("nbdev_clean", cwd=copy)
    dirty = [str(p.relative_to(ROOT)) for p in NOTEBOOKS if p.read_bytes() != (copy/p.relative_to(ROOT)).read_bytes()]
    assert not dirty, f"not clean, run `make prepare`: {dirty}"


@pytest.mark.parametrize("path", NOTEBOOKS, **by_name)
def test_notebook_keeps_no_widget_state(path):
    text = path.read_text(encoding="utf-8")
    assert refresh.without_widget_views(text) == text, "a saved widget opens as an error without its state: run `make prepare`"


@pytest.mark.parametrize("path", NOTEBOOKS, **by_name)
def test_notebook_keeps_no_error(path):
    errors = [out["evalue"] or out["ename"] for c in read_notebook(path)["cells"] for out in c.get("outputs", [])
              if out["output_type"] == "error"]
    assert not errors, f"saved while a cell failed: {errors}"


@pytest.mark.parametrize("path", NOTEBOOKS, **by_name)
def test_notebook_tells_nothing_of_the_machine(path):
    outputs = json.dumps([c.get("outputs") for c in read_notebook(path)["cells"]])
    assert str(ROOT) not in outputs and sys.prefix not in outputs, "an output shows a path of the machine it ran on"


@pytest.mark.parametrize("module", EXPORTING)
def test_notebook_has_its_shape(module):
    path = EXPORTING[module][1]
    cells = read_notebook(path)["cells"]
    title = "".join(cells[0]["source"])
    assert cells[0]["cell_type"] == "markdown" and re.match(r"# .+\s+> .+", title), "first cell: `# Title` and `> promise`"
    named = [d.split()[1] for source in code_cells(path) for d in refresh.directives(source) if d.startswith("default_exp")]
    assert named == [module], f"{path.name} must say `#| default_exp {module}` once"
    last = [line for line in "".join(cells[-1]["source"]).splitlines() if line.strip()]
    assert last == ["#| hide", LAST_CELL], f"last cell: `#| hide`, then `{LAST_CELL}`, alone"
    for source in filter(is_exported, code_cells(path)):
        lines = [line for line in source.splitlines() if line.strip() and not line.startswith("#|")]
        assert len(lines) <= 40, f"an exported cell of {len(lines)} lines, 40 are allowed:\n{source[:200]}"
        kinds = {isinstance(node, (ast.Import, ast.ImportFrom)) for node in ast.parse(source).body}
        assert len(kinds) <= 1, f"imports mixed with other code in one exported cell:\n{source[:200]}"


# --- notebooks and modules agree

def test_every_module_has_its_notebook():
    assert set(MODULES) == set(EXPORTING), "each steel_defects/name.py comes from one nbs/NN_name.ipynb: run `make prepare`"
    numbers = [number for number, _ in EXPORTING.values()]
    assert len(set(numbers)) == len(numbers), f"two notebooks bear one number: {numbers}"


def test_modules_are_in_sync(tmp_path):
    copy = copy_sources(tmp_path)
    run("nbdev_export", cwd=copy, IN_TEST="")
    fresh = {p.name: p.read_text(encoding="utf-8") for p in (copy/"steel_defects").glob("*.py")}
    here = {p.name: p.read_text(encoding="utf-8") for p in PACKAGE.glob("*.py")}
    stale = sorted(name for name in fresh | here if fresh.get(name) != here.get(name))
    assert not stale, f"not what the notebooks export, run `make prepare`: {stale}"


# --- floors

@pytest.mark.parametrize("module", EXPORTING)
def test_imports_go_down(module):
    number, notebook = EXPORTING[module]
    if module in MODULES:
        for name in own_imports(MODULES[module].read_text(encoding="utf-8")):
            assert name in EXPORTING and EXPORTING[name][0] < number, f"{module}.py imports {name}, which is not below it"
    for name in {name for source in code_cells(notebook) for name in own_imports(source)}:
        assert name in EXPORTING and EXPORTING[name][0] <= number, f"{notebook.name} imports {name}, which is not below it"


def test_train_is_given_its_parts():
    if "train" not in MODULES: pytest.skip("there is no train module")
    parts = {"dataset", "unet", "losses"} & set(own_imports(MODULES["train"].read_text(encoding="utf-8")))
    assert not parts, f"train takes model, loaders and loss as arguments, but imports {parts}"


def test_arrays_floor_is_light():
    python(f"""
import importlib, sys
for module in {ARRAYS}:
    importlib.import_module("steel_defects." + module)
    heavy = sorted({{"torch", "ipywidgets", "matplotlib.pyplot", "kornia", "accelerate"}} & set(sys.modules))
    assert not heavy, f"importing steel_defects.{{module}} loads {{heavy}}"
""")


# --- the package

def test_version_is_that_of_settings():
    settings = ConfigParser(delimiters=["="])
    settings.read(ROOT/"settings.ini", encoding="utf-8")
    assert importlib.import_module("steel_defects").__version__ == settings["DEFAULT"]["version"]


def test_importing_the_package_is_cheap():
    python("""
import sys
import steel_defects as sd
heavy = sorted({"numpy", "pandas", "torch", "matplotlib", "skimage", "ipywidgets"} & set(sys.modules))
assert not heavy, f"import steel_defects loads {heavy}"
assert "rle_decode" in dir(sd) and "rle" in dir(sd)
""")


def test_lazy_names_are_fresh():
    fresh = (PACKAGE/"__init__.pyi").read_text(encoding="utf-8") == refresh.stub()
    assert fresh, "steel_defects/__init__.pyi does not list the modules' public names: run `make prepare`"


def test_lazy_names_resolve():
    assert json.loads(python("""
import importlib, json, types
import steel_defects as sd
from _refresh import SHELL_ONLY, exporting, public_names, PACKAGE
wrong, modules = [], exporting()
for name in dir(sd): getattr(sd, name)
for module in modules:
    loaded = importlib.import_module("steel_defects." + module)
    if module in SHELL_ONLY: continue
    wrong += [f"{module}.{n}" for n in public_names(PACKAGE/f"{module}.py") if getattr(sd, n) is not getattr(loaded, n)]
    if module not in public_names(PACKAGE/f"{module}.py") and getattr(sd, module) is not loaded: wrong.append(module)
print(json.dumps(wrong))
""", PYTHONPATH=str(ROOT/"nbs")).splitlines()[-1]) == []


SHARED = [m for m in EXPORTING if m in MODULES and m not in refresh.SHELL_ONLY and m in refresh.public_names(MODULES[m])]


@pytest.mark.skipif(not SHARED, reason="no module shares its name with a function in it")
@pytest.mark.parametrize("first", ["sd.{0}", "importlib.import_module('steel_defects.{0}')"])
def test_a_shared_name_is_the_function(first):
    "Whatever was imported first, `sd.name` is the function and not the module."
    for name in SHARED:
        python(f"import importlib, types, steel_defects as sd; {first.format(name)}; "
               f"importlib.import_module('steel_defects.{name}'); assert not isinstance(sd.{name}, types.ModuleType)")


# --- what is handed out

def test_readme_is_fresh():
    fresh = (ROOT/"README.md").read_text(encoding="utf-8") == refresh.readme()
    assert fresh, "README.md is not what nbs/index.ipynb says: run `make readme`"


def test_readme_links_lead_somewhere():
    links = re.findall(r'(?:\]\(|(?:src|href)=")([^)"\s#]+)', (ROOT/"README.md").read_text(encoding="utf-8"))
    assert any(link.endswith((".png", ".jpg")) for link in links), "README.md opens with a picture"
    missing = [link for link in links if not re.match(r"[a-z]+:", link) and not (ROOT/link).exists()]
    assert not missing, f"README.md links to what is not there: {missing}"


def test_readme_leaves_hidden_cells_out(tmp_path):
    "What the writer does, shown on a notebook made for it."
    nbs = tmp_path/"nbs"
    nbs.mkdir()
    nb = refresh.nbformat.v4
    cells = [nb.new_markdown_cell("# T\n![](images/a.png) [b](../data/README.md) [c](https://c.org) [d](#d)"),
             nb.new_code_cell("#| hide\nsecret = 1"), nb.new_code_cell("#| eval: false\nshown = 2")]
    cells[2].outputs = [nb.new_output("execute_result", {"text/plain": "42", "text/html": "<b>42</b>"})]
    refresh.nbformat.write(nb.new_notebook(cells=cells), nbs/"index.ipynb")
    text = refresh.readme(tmp_path)
    assert "![](nbs/images/a.png) [b](data/README.md) [c](https://c.org) [d](#d)" in text
    assert "secret" not in text and "#|" not in text and "<b>" not in text
    assert "```python\nshown = 2\n```" in text and "    42" in text


def test_wheel_holds_everything_and_installs(tmp_path):
    source, made, target = tmp_path/"source", tmp_path/"made", tmp_path/"target"
    source.mkdir()
    for name in ["setup.py", "settings.ini", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"]: shutil.copy(ROOT/name, source)
    shutil.copytree(PACKAGE, source/"steel_defects", ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    (source/"steel_defects"/"probe.css").touch()  # whatever lies beside the modules must come along
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(made), str(source))  # the wheel comes out of the sdist
    wheel = next(made.glob("*.whl"))
    wanted = {f"steel_defects/{p.relative_to(source/'steel_defects').as_posix()}"
              for p in (source/"steel_defects").rglob("*") if p.is_file()}
    with zipfile.ZipFile(wheel) as z:
        names = set(z.namelist())
        entry_points = z.read(next(n for n in names if n.endswith("entry_points.txt"))).decode()
    assert not wanted - names, f"the wheel lacks {sorted(wanted - names)}"
    assert not {n.split("/")[0] for n in names if "dist-info" not in n} - {"steel_defects"}, "the wheel holds more than the package"
    assert "steel-defects = steel_defects.cli:main" in entry_points
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target), str(wheel))
    where = python("import steel_defects as sd; sd.rle_decode; print(sd.__file__)", cwd=tmp_path, PYTHONPATH=str(target))
    assert str(target) in where, f"imported {where} and not the installed wheel"


def test_no_file_is_large():
    large = {str(p.relative_to(ROOT)): p.stat().st_size for p in tracked() if p.stat().st_size > (10_000_000 if PACKAGE/"weights" in p.parents else 1_500_000)}
    assert not large, f"larger than 1.5 MB: {large}"


def test_no_file_names_a_place_outside():
    "The project names no folder of the machine it was written on."
    places = ["/wo" "rk/", "/tm" "p/w/", "shared" "/data"]
    found = {str(p.relative_to(ROOT)): place for p in tracked() for place in places if place.encode() in p.read_bytes()}
    assert not found, f"paths that exist on one machine only: {found}"


def test_code_has_no_loose_ends():
    "No unused import, no undefined name."
    run("ruff", "check", "--quiet", "--output-format", "concise", "steel_defects", "tests", "nbs")


def test_every_import_is_declared(root):
    "A plain `pip install .` must bring all that the modules import at their top."
    names = {"sklearn": "scikit-learn", "skimage": "scikit-image", "PIL": "pillow", "IPython": "ipywidgets"}  # ipywidgets brings IPython
    ini = ConfigParser(delimiters=["="])
    ini.read(root/"settings.ini")
    declared = {re.split(r"[<>=]", r)[0].lower() for r in ini["DEFAULT"]["requirements"].split()}
    for path in (root/"steel_defects").glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            found = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            for name in (f.split(".")[0] for f in found):
                if name in sys.stdlib_module_names or name == "steel_defects": continue
                assert names.get(name, name).lower() in declared, f"{path.name} imports {name}, which settings.ini does not require"
