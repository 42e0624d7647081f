"""A real browser and a real JupyterLab for tests: Chromium, driven by playwright.

Fixtures, known to all tests by conftest.py: `chromium` (the browser, one for each test file), `lab` (a JupyterLab over a copy of the notebooks). `lab.open(chromium, path)`
opens a notebook; `open_file(chromium, path)` opens a saved page from disk. What either asks of other machines, and what its console
complains of, is kept and told by `faults()`. Nothing can leave: the browser finds no host but this one, and neither do kernels.
"""
import base64
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import nbformat
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
HERE = {"127.0.0.1", "localhost", "[::1]", "::1"}
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
QUIET = ["--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps",
         "--no-first-run", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"]
SETTINGS = {  # every cell is drawn at once, whether in sight or not; nothing is looked up, offered or asked
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}


# --- Chromium

def find_chromium():
    "The path of Chromium, or None."
    named = os.environ.get("CHROMIUM")
    if named and not shutil.which(named): pytest.fail(f"CHROMIUM={named} is no program: correct it or unset it", pytrace=False)
    return next(filter(None, map(shutil.which, [named] if named else ["chromium", "chromium-browser", "google-chrome"])), None)


def no_browser(reason):
    "Skip, or fail where STEEL_BROWSER=required."
    remedy = f"{reason}: install one (Debian: apt-get install chromium), or name it in CHROMIUM"
    if os.environ.get("STEEL_BROWSER") == "required": pytest.fail(f"STEEL_BROWSER=required, but {remedy}", pytrace=False)
    pytest.skip(remedy)


@contextmanager
def launched(**options):
    "A headless Chromium that ends with the block."
    from playwright.sync_api import sync_playwright
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=find_chromium(), args=QUIET, **options)
        try: yield browser
        finally: browser.close()


@pytest.fixture(scope="module")
def chromium():
    "A headless Chromium; without one a skip, or a failure where STEEL_BROWSER=required."
    if not find_chromium(): no_browser("there is no Chromium")
    with launched() as browser: yield browser


def wait_until(done, what, timeout=20):
    "Ask again until the answer is true, and hand it back."
    end = time.monotonic()+timeout
    while not (answer := done()):
        if time.monotonic() > end: raise TimeoutError(f"{what}: not within {timeout} s")
        time.sleep(.1)
    return answer


class Page:
    "A page of the browser that remembers complaints of the console and requests."
    def __init__(self, browser, *, dark=False, width=1300, height=1000, **options):
        self.context = browser.new_context(viewport=dict(width=width, height=height), color_scheme="dark" if dark else "light", **options)
        self.errors, self.requests, self.tab = [], [], self.context.new_page()
        self.context.on("request", lambda r: self.requests.append(r.url))
        self.tab.on("websocket", lambda s: self.requests.append(s.url))
        self.tab.on("console", lambda m: self.errors.append(f"{m.text} ({m.location.get('url', '')})") if m.type == "error" else None)
        self.tab.on("pageerror", lambda e: self.errors.append(e.stack or str(e)))

    def __enter__(self): return self
    def __exit__(self, *_): self.close()
    def close(self): self.context.close()

    def asked(self):
        "Requests over a network, this machine included."
        return [u for u in self.requests if urlsplit(u).scheme in ("http", "https", "ws", "wss", "ftp")]

    def faults(self):
        "Errors of the console and requests to other hosts, as sentences."
        leaving = [u for u in self.asked() if urlsplit(u).hostname not in HERE]
        return [f"console: {e}" for e in self.errors]+[f"request to another host: {u}" for u in leaving]

    def drag(self, target, start, end, steps=12):
        "Press the mouse at `start` of an element, move to `end` and let go; both are shares of its width and height."
        target.scroll_into_view_if_needed()
        box = wait_until(target.bounding_box, "the element has a place on the screen")
        points = [(box["x"]+x*box["width"], box["y"]+y*box["height"]) for x, y in (start, end)]
        self.tab.mouse.move(*points[0])
        self.tab.mouse.down()
        self.tab.mouse.move(*points[1], steps=steps)
        self.tab.mouse.up()

    def drag_slider(self, slider, value, steps=12):
        "Drag the thumb of an <input type=range> by mouse from where it is to about `value`."
        at, low, high, width, height = slider.evaluate("s => [+s.value, +(s.min || 0), +(s.max || 100), s.clientWidth, s.clientHeight]")
        thumb = min(16, height)  # as wide as it is high, about
        place = [(thumb/2+(v-low)/(high-low)*(width-thumb))/width for v in (at, value)]
        self.drag(slider, (place[0], .5), (place[1], .5), steps)
        wait_until(lambda: abs(float(slider.input_value())-value) <= .04*(high-low), f"the slider has come near {value}")  # the last movement may be on its way


def pixels(canvas):
    "What a canvas shows, uint8 (height, width, 4)."
    width, height, data = canvas.evaluate("""c => {
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, parts = [];
        for (let i = 0; i < d.length; i += 32768) parts.push(String.fromCharCode(...d.subarray(i, i + 32768)));
        return [c.width, c.height, btoa(parts.join(''))];
    }""")
    return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)


def open_file(browser, path, **options):
    "A saved page, opened from disk."
    page = Page(browser, **options)
    page.tab.goto(Path(path).resolve().as_uri(), wait_until="load")
    return page


# --- JupyterLab

SERVER = """
import os, signal, sys, threading, time
def watch():  # tests may be killed before they can end their server
    while os.getppid() == int(sys.argv[1]): time.sleep(.5)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=watch, daemon=True).start()
from jupyterlab.labapp import main
main(sys.argv[2:])
"""


class Lab:
    "A JupyterLab server of its own: its port, its token, its settings; `folder` is what it shows."
    def __init__(self, folder, home):
        self.folder, self.home, self.token = Path(folder), Path(home), secrets.token_hex(16)
        places = {name: self.home/name for name in ("config", "data", "runtime", "ipython", "tmp", "cache")}
        for place in places.values(): place.mkdir(parents=True)
        (places["config"]/"labconfig").mkdir()
        (places["config"]/"labconfig"/"default_setting_overrides.json").write_text(json.dumps(SETTINGS))
        disabled = {f"@jupyterlab/{name}": True for name in ("apputils-extension:announcements", "extensionmanager-extension")}
        (places["config"]/"labconfig"/"page_config.json").write_text(json.dumps(dict(disabledExtensions=disabled)))
        nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
        env = {k: v for k, v in os.environ.items() if k not in ("JUPYTER_PATH", "JUPYTER_CONFIG_PATH", "MPLBACKEND", "STEEL_DATA", "PYTEST_CURRENT_TEST")}
        env |= nowhere | dict(no_proxy="127.0.0.1,localhost", NO_PROXY="127.0.0.1,localhost", OMP_NUM_THREADS="1",
                              JUPYTER_CONFIG_DIR=str(places["config"]), JUPYTER_DATA_DIR=str(places["data"]), JUPYTER_RUNTIME_DIR=str(places["runtime"]),
                              IPYTHONDIR=str(places["ipython"]), TMPDIR=str(places["tmp"]), HF_HUB_OFFLINE="1",
                              PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        options = {"ServerApp.ip": "127.0.0.1", "ServerApp.port": 0, "ServerApp.open_browser": False, "ServerApp.root_dir": self.folder,
                   "ServerApp.allow_root": True, "ServerApp.terminals_enabled": False, "IdentityProvider.token": self.token,
                   "LabApp.expose_app_in_browser": True, "LabApp.news_url": None, "LabApp.extension_manager": "readonly",
                   "LabApp.check_for_updates_class": "jupyterlab.handlers.announcements.NeverCheckForUpdate",
                   "ServerApp.iopub_data_rate_limit": 1e9, "MultiKernelManager.default_kernel_name": "python3"}
        self.log = self.home/"server.log"
        with open(self.log, "w") as out:
            self.process = subprocess.Popen([sys.executable, "-c", SERVER, str(os.getpid()), *(f"--{k}={v}" for k, v in options.items())],
                                            cwd=self.folder, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        self.info = places["runtime"]/f"jpserver-{self.process.pid}.json"
        try: wait_until(self._started, "JupyterLab has started", 90)
        except BaseException:
            self.stop()
            raise
        self.url = f"http://127.0.0.1:{json.loads(self.info.read_text())['port']}"

    def _started(self):
        if self.process.poll() is not None: raise RuntimeError(f"JupyterLab ended:\n{self.log.read_text()[-3000:]}")
        return self.info.exists() and self.info.stat().st_size

    def stop(self):
        "End the server and its kernels; a kernel whose server is gone ends by itself."
        if self.process.poll() is None: self.process.send_signal(signal.SIGTERM)
        try: self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def write(self, name, *cells):
        "Write a notebook of code cells; its path."
        nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
        nb.metadata.kernelspec = dict(name="python3", display_name="python3", language="python")
        nbformat.write(nb, self.folder/name)
        return name

    def open(self, browser, path, **options): return Notebook(self, browser, path, **options)


class Notebook(Page):
    "A notebook opened in JupyterLab."
    def __init__(self, lab, browser, path, *, dark=False, timeout=90, **options):
        super().__init__(browser, dark=dark, **options)
        try:
            self.tab.goto(f"{lab.url}/lab/workspaces/w{secrets.token_hex(4)}?token={lab.token}", wait_until="commit")
            self.tab.wait_for_function("window.jupyterapp?.shell && document.querySelector('.jp-LabShell')", timeout=1e3*timeout)
            self.tab.evaluate("""async ([path, theme]) => {
                const app = window.jupyterapp;
                await app.restored;
                app.shell.collapseLeft();
                await app.commands.execute('apputils:change-theme', {theme});
                const panel = window.sdPanel = await app.commands.execute('docmanager:open', {path, factory: 'Notebook'});
                await panel.context.ready;
                await panel.sessionContext.ready;
                await panel.sessionContext.session.kernel.info;
                await panel.revealed;
            }""", [str(path), "JupyterLab Dark" if dark else "JupyterLab Light"])
            self.tab.wait_for_function("!document.querySelector('#jupyterlab-splash')", timeout=1e3*timeout)
            # while it opens, before any cell is run, JupyterLab 4.6 may take its splash away twice, 200 ms apart, and complain of that
            self.tab.wait_for_timeout(300)
            self.errors = [e for e in self.errors if "'removeChild'" not in e or "/static/lab/jlab_core." not in e]
        except BaseException:
            self.context.close()
            raise

    def close(self):
        try: self.tab.evaluate("window.sdPanel?.sessionContext.shutdown()")
        finally: self.context.close()

    def _wait(self, command, timeout):
        self.tab.evaluate("""command => { window.sdRun = null;
            window.jupyterapp.commands.execute(command).then(() => { window.sdRun = 'done' }, e => { window.sdRun = String(e) }) }""", command)
        self.tab.wait_for_function("window.sdRun && window.sdPanel.sessionContext.session.kernel.status == 'idle'", timeout=1e3*timeout, polling=50)

    def run_all(self, timeout=120):
        "Run all cells; come back when the kernel is idle and no widget is on its way."
        self._wait("notebook:run-all-cells", timeout)
        try: self.tab.wait_for_function("![...document.querySelectorAll('.jp-OutputArea-output')].some(e => e.textContent.includes('Loading widget...'))", timeout=2e4)
        except Exception: pass  # `faults` tells which
        return self

    def run(self, source, timeout=60):
        "Run code in a new last cell; the text that it wrote, or its error."
        self.tab.evaluate("""source => { const n = window.sdPanel.content;
            n.model.sharedModel.addCell({cell_type: 'code', source, metadata: {}}); n.activeCellIndex = n.widgets.length - 1; n.deselectAll() }""", source)
        self._wait("notebook:run-cell", timeout)
        return self.cells()[-1]["text"]

    def cells(self):
        "Code cells: source, prompt, text, errors, and for each widget view whether it is there."
        return self.tab.evaluate("""mime => window.sdPanel.content.widgets.filter(c => c.model.type == 'code').map(c => {
            const out = c.model.outputs.toJSON(), flat = t => Array.isArray(t) ? t.join('') : t || '';
            return {source: c.model.sharedModel.getSource(), prompt: c.model.executionCount,
                text: out.map(o => flat(o.text) || flat(o.data?.['text/plain']) || (o.ename ? `${o.ename}: ${o.evalue}` : '')).join(''),
                errors: out.filter(o => o.output_type == 'error').map(o => `${o.ename}: ${o.evalue}`),
                views: out.map((o, i) => [o, c.outputArea.widgets[i]]).filter(([o]) => o.data?.[mime]).map(([o, w]) => {
                    const r = w?.node.querySelector('.jp-OutputArea-output') ?? w?.node, said = r?.innerText ?? '';
                    if (/Error displaying widget|Loading widget\\.\\.\\./.test(said)) return said.slice(0, 300);
                    const seen = [...r?.querySelectorAll('canvas,img,svg,input,select,button,textarea') ?? []].some(e => e.getBoundingClientRect().height > 1);
                    return seen || said.trim() ? '' : 'no view';
                })};
        })""", WIDGET_VIEW)

    def faults(self):
        "What went wrong, as sentences: cells, widgets, console, requests to other hosts."
        told = []
        for cell in self.cells():
            first = (cell["source"].strip().splitlines() or [""])[0]
            told += [f"cell {first!r}: {e}" for e in cell["errors"]]+[f"widget of cell {first!r}: {v}" for v in cell["views"] if v]
            if cell["source"].strip() and cell["prompt"] is None: told.append(f"cell {first!r} was not run")
        return told+super().faults()

    def show(self, target):
        "Bring an element to the top of the notebook."
        target.evaluate("e => e.scrollIntoView({block: 'start'})")


@pytest.fixture(scope="module")
def lab(tmp_path_factory, chromium):
    "A JupyterLab over a copy of notebooks and sample, so that running them changes nothing here."
    home = tmp_path_factory.mktemp("lab")
    ignore = shutil.ignore_patterns(".ipynb_checkpoints", "__pycache__", ".last_checked")
    shutil.copytree(ROOT/"nbs", home/"project"/"nbs", ignore=ignore)
    shutil.copytree(ROOT/"data"/"sample", home/"project"/"data"/"sample", ignore=ignore)
    server = Lab(home/"project", home/"server")
    try: yield server
    finally: server.stop()


def screenshots():
    "The folder for pictures to look at, named by STEEL_SHOTS, or None."
    named = os.environ.get("STEEL_SHOTS")
    if named: Path(named).mkdir(parents=True, exist_ok=True)
    return Path(named) if named else None


# --- the picture in README.md

def draw_readme(path):
    "Draw the viewer on a synthetic strip: `python tests/browser.py nbs/images/viewer.png`."
    from steel_defects.catalog import read_severstal
    from steel_defects.decision import read_decision
    from steel_defects.predict import read_probabilities
    from steel_defects.widgets import StripViewer, catalog_strip
    sample = ROOT/"data"/"sample"
    catalog = read_severstal(sample/"train.csv", sample/"train_images")
    strip = catalog_strip(catalog, "s7-00014.jpg", lambda i: read_probabilities(sample/"found"/"probabilities"/f"{i}.npz"))
    viewer = StripViewer(strip, decision=read_decision(sample/"found"/"decision.json"))
    with TemporaryDirectory() as folder, launched() as browser, open_file(browser, viewer.to_html(f"{folder}/strip.html"), width=1180) as page:
        page.tab.wait_for_function("document.querySelector('.sd-strip')?.stripView.layers.length == 4")
        page.tab.wait_for_timeout(500)
        page.tab.locator(".sd-strip").screenshot(path=path)


if __name__ == "__main__": draw_readme(*sys.argv[1:])
