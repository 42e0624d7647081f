"Scripts are joined without loss, and a saved page works in a browser, with bytes unchanged and nothing loaded from outside."
import base64
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import traitlets
from browser import open_file
from steel_defects.live import LiveWidget, bundle, css, show_saved, state_json

STATIC = Path(__file__).resolve().parent.parent/"steel_defects"/"static"
ENTRIES = sorted(p.name for p in STATIC.glob("*_widget.js"))
SCRIPTS = sorted(p.name for p in STATIC.glob("*.js"))


class Echo(LiveWidget):
    _css, words = css(), "An echo"
    _esm = """
export default { async render({ model, el }) {
  const v = model.get("things").deep[0];
  el.textContent = `${model.get("text")}|${[...new Uint8Array(v.buffer, v.byteOffset, v.byteLength)].join(",")}|${model.saved}`;
  model.on("change:text", () => { el.title = model.get("text"); });
  model.set("text", "heard");
  model.save_changes();
  model.send({ ask: 1 });
} }
"""
    text, things = traitlets.Unicode().tag(sync=True), traitlets.Dict().tag(sync=True)

    def still(self): return b"\xff\xd8 no picture at all"


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_keep_the_rules(name):
    text = (STATIC/name).read_text(encoding="utf-8")
    assert ("export default" in text) == (name in ENTRIES), "only ..._widget.js has an export default"
    for line in re.findall(r"^import .*$", text, re.M):
        assert re.fullmatch(r'import \{[^}]*\} from "\./[\w.]+\.js";', line), f"an import is one line: {line}"
    assert not re.search(r"https?://(?!www\.w3\.org)", text), "nothing is loaded from outside"
    assert "innerHTML" not in text and "document.write" not in text and "eval(" not in text, "text goes in with textContent"


@pytest.mark.parametrize("entry", ENTRIES)
def test_bundle_is_one_module(entry, tmp_path):
    text = bundle(entry)
    assert len(re.findall(r"^export default ", text, re.M)) == 1 and not re.search(r"^import ", text, re.M)
    if not shutil.which("node"): pytest.skip("no node to read the script with")
    (tmp_path/"bundle.mjs").write_text(text+"\n"+bundle("page.js"), encoding="utf-8")  # joined with the host, as in a page: no name twice
    done = subprocess.run(["node", "--check", tmp_path/"bundle.mjs"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_state_survives_json():
    state = {"a": [b"\x00\xff", {"b": memoryview(b"x")}], "text": "</script><b> \u2028 \"'", "none": None, "t": (1, 2.5)}
    text = state_json(state)
    assert "<" not in text
    back = json.loads(text)
    assert base64.b64decode(back["a"][0]["$bytes"]) == b"\x00\xff" and base64.b64decode(back["a"][1]["b"]["$bytes"]) == b"x"
    assert back["text"] == state["text"] and back["none"] is None and back["t"] == [1, 2.5]
    with pytest.raises(ValueError): state_json({"a": float("nan")})


def test_notebook_shows_widget_and_picture():
    data, _ = Echo()._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data and "<img" in data["text/html"] and data["text/plain"] == "Echo"
    show_saved()
    try: saved = Echo(text="x")._repr_mimebundle_()
    finally: show_saved(False)
    assert set(saved) == {"text/plain", "text/html"} and "revive(widget" in saved["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in Echo()._repr_mimebundle_()[0]


def test_script_that_would_end_its_page():
    class Bad(Echo): _esm = "export default { render() { return '</script>' } }"
    with pytest.raises(ValueError, match="holds </script"): Bad().fragment()


def test_saved_page_gives_the_state_back(chromium, tmp_path):
    every = bytes(range(256))
    first = Echo(text="</script>\u2028\"'<b>", things={"deep": [every, b"x"]})
    path = first.to_html(tmp_path/"a 'b' <d>.html", title="<Two> & more")
    with open_file(chromium, path) as page:
        place = page.tab.locator("body > div").first
        page.tab.wait_for_function("document.querySelector('body > div').title === 'heard'")
        assert place.text_content() == f"</script>\u2028\"'<b>|{','.join(map(str, every))}|true"
        assert page.tab.title() == "<Two> & more" and not page.faults() and not page.asked()


def test_page_that_cannot_live_says_so(chromium, tmp_path):
    class Broken(Echo): _esm = "export default { render() { throw new Error('no such thing') } }"
    with open_file(chromium, Broken().to_html(tmp_path/"broken.html")) as page:
        page.tab.wait_for_function("document.body.textContent.includes('could not be brought to life in this browser (no such thing)')")
        assert page.faults()


TELLER = """
const told = [], state = { k: 0, area: 1 }, wait = (ms) => new Promise((done) => setTimeout(done, ms));
const model = { get: (n) => state[n], set: (n, v) => { state[n] = v; }, save_changes: () => told.push({ ...state }) };
const teller = new Teller(model, 60), said = [];
teller.tell({ k: 1 });
await wait(20);
teller.tell({ k: 2 });
said.push(told.length, state.k, teller.get("k"));   // the first is told at once; the second waits and is not in the model
state.k = 1;                                        // the kernel's answer to the first one
said.push(teller.read(["k", "area"]));
for (let k = 3; k < 9; k++) teller.tell({ k });
await wait(90);
said.push(told.map((s) => s.k), state.k);
teller.tell({ k: 9 });
teller.flush();                                     // the view goes: the last value is told
teller.flush();
await wait(90);
console.log(JSON.stringify([...said, told.map((s) => s.k)]));
"""


def test_the_hand_is_told_now_and_then_and_last(tmp_path):
    "A value that waits to be told stays out of the model, so that an older answer of the kernel cannot move a slider back."
    if not shutil.which("node"): pytest.skip("no node to run the script with")
    (tmp_path/"run.mjs").write_text((STATIC/"tell.js").read_text(encoding="utf-8")+TELLER)
    done = subprocess.run(["node", tmp_path/"run.mjs"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [1, 1, 2, {"k": 2, "area": 1}, [1, 8], 8, [1, 8, 9]]


def test_paper_and_forced_colours(chromium, tmp_path):
    "On paper all is dark on white, and where the system sets the colours ours step back, whatever the theme says."
    path = Echo(things={"deep": [b"x"]}).to_html(tmp_path/"page.html")
    with open_file(chromium, path, dark=True) as page:
        page.tab.evaluate("() => { document.body.dataset.jpThemeLight = 'false'; document.querySelector('body > div').className = 'sd'; }")
        def colour(name): return page.tab.evaluate("n => getComputedStyle(document.querySelector('.sd')).getPropertyValue(n).trim()", name)
        assert colour("--sd-fg") == "#e3e8ee"
        page.tab.emulate_media(media="print")
        assert (colour("--sd-fg"), colour("--sd-bg"), page.tab.evaluate("getComputedStyle(document.body).backgroundColor")) == ("#1d232b", "#ffffff", "rgb(255, 255, 255)")
        page.tab.emulate_media(media="screen", forced_colors="active")
        assert (colour("--sd-fg"), colour("--sd-accent")) == ("CanvasText", "Highlight")
