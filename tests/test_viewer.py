"The viewer's script against the library: regions, pictures and scores, bit by bit, in node."
import json
import shutil
import subprocess
import zlib

import numpy as np
import pytest

from steel_defects.decision import Decision, decide
from steel_defects.defects import NEU_SEG, PATTERNS, SEVERSTAL, DefectClass, TYPES
from steel_defects.live import bundle
from steel_defects.metrics import counts, dice, iou
from steel_defects.overlay import compare_masks, contours, overlay_masks, pattern_mask
from steel_defects.regions import region_table
from steel_defects.rle import rle_encode
from steel_defects.widgets import strip_data

AREAS = 0, 1, 2, 8, 64, 512
SIX = tuple(DefectClass(i+1, f"class {i+1}", TYPES["crack"], tint=i/6-.4, pattern=p) for i, p in enumerate(PATTERNS))


@pytest.fixture(scope="module")
def node(tmp_path_factory, root):
    "Run JavaScript with everything of decide.js at hand: data in by name as bytes or JSON, bytes out."
    if not shutil.which("node"): pytest.skip("node is not installed (the browser tests look at the same code)")
    folder = tmp_path_factory.mktemp("node")
    shutil.copy(root/"steel_defects"/"static"/"decide.js", folder/"decide.mjs")
    head = ('import { readFileSync, writeFileSync } from "node:fs";\nimport * as d from "./decide.mjs";\nconst given = JSON.parse(readFileSync("given.json"));\n'
            'const parts = [], out = (a) => parts.push(Buffer.from(a.buffer, a.byteOffset, a.byteLength));\nconst file = (n) => new Uint8Array(readFileSync(n));\n')
    def run(script, files=None, **given):
        (folder/"given.json").write_text(json.dumps(given))
        for name, data in (files or {}).items(): (folder/name).write_bytes(np.ascontiguousarray(data).tobytes() if isinstance(data, np.ndarray) else data)
        (folder/"run.mjs").write_text(head+script+'\nwriteFileSync("out.bin", Buffer.concat(parts));\n')
        done = subprocess.run(["node", "run.mjs"], cwd=folder, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return np.fromfile(folder/"out.bin", np.uint8)
    return run


def tricky_planes(height, width, seed=0):
    "Planes on which regions go wrong: noise, diagonals, a ring, everything at the borders, ramps, a comb, a spiral."
    rng, (r, c) = np.random.default_rng(seed), np.mgrid[:height, :width]
    far = np.hypot(r-height/2, (c-width/2)*height/width)
    border = np.minimum(np.minimum(r, height-1-r), np.minimum(c, width-1-c))
    spiral = (np.hypot(r-height/2, c-width/2)-np.arctan2(r-height/2, c-width/2)*1.2)%8 < 4
    planes = [rng.integers(0, 256, (height, width)), np.where((r-c)%7 == 0, 200, np.where((r+c)%11 == 0, 90, 3)), 255-np.minimum(255, abs(far-height/3)*30),
              np.where(border < 2, 250-20*border, rng.integers(0, 60, (height, width))), (r*width+c)*255//(height*width-1),
              np.where((c%2 == 0) | (r == height-1), 180, 20), spiral*160+rng.integers(0, 90, (height, width)), np.zeros((height, width))]
    return np.stack(planes).astype(np.uint8)


@pytest.mark.parametrize("height, width", [(40, 57), (23, 16), (1, 9), (9, 1), (3, 4)])
def test_masks_at_every_threshold_and_area(node, height, width):
    planes = tricky_planes(height, width)
    masks = node("""const { height, width, n, areas } = given, size = height * width, planes = file("planes"), runs = d.emptyRuns(), mask = new Uint8Array(size);
      for (let c = 0; c < n; c++) for (let k = 0; k < 256; k++) for (const a of areas) {
        d.regionsAbove(planes.subarray(c * size, (c + 1) * size), height, width, k, a, runs); out(d.fillMask(runs, mask).slice()); }""",
                 {"planes": planes}, height=height, width=width, n=len(planes), areas=AREAS).reshape(len(planes), 256, len(AREAS), height, width)
    for k in range(256):
        for a, area in enumerate(AREAS):
            true = decide(planes, Decision((k,)*len(planes), (area,)*len(planes)))
            assert (masks[:, k, a] == true).all(), f"threshold {k}, minimum area {area}"


def test_masks_of_a_whole_strip(node):
    planes, ks = tricky_planes(256, 1600), (0, 1, 60, 128, 180, 255)
    masks = node("""const size = 256 * 1600, planes = file("planes"), mask = new Uint8Array(size);
      for (let c = 0; c < given.n; c++) for (const k of given.ks) out(d.fillMask(d.regionsAbove(planes.subarray(c * size, (c + 1) * size), 256, 1600, k, 64), mask).slice());""",
                 {"planes": planes}, n=len(planes), ks=ks).reshape(len(planes), len(ks), 256, 1600)
    for i, k in enumerate(ks): assert (masks[:, i] == decide(planes, Decision((k,)*len(planes), (64,)*len(planes)))).all(), k


@pytest.mark.parametrize("area", [0, 8])
def test_areas_of_regions(node, area):
    planes = tricky_planes(40, 57)
    found = decide(planes, Decision((100,)*len(planes), (area,)*len(planes)))
    areas = node("""for (let c = 0; c < given.n; c++) { const runs = d.regionsAbove(file("planes").subarray(c * 2280, (c + 1) * 2280), 40, 57, 100, given.area), a = new Int32Array(2280);
      for (let i = 0; i < 2280; i++) a[i] = d.areaAt(runs, Math.floor(i / 57), i % 57);
      out(a); out(Int32Array.of(runs.regions)); }""", {"planes": planes}, n=len(planes), area=area).view(np.int32).reshape(len(planes), 2281)
    table = region_table(found)
    for c, (mask, got) in enumerate(zip(found, areas)):
        regions = table[table.ClassId == c+1]
        assert got[-1] == len(regions)
        assert (got[:-1].reshape(40, 57) > 0).tolist() == mask.tolist()
        for o in regions.itertuples(): assert (got[:-1].reshape(40, 57)[o.top:o.bottom, o.left:o.right] == o.area).sum() >= o.area


def test_rims(node):
    for height, width in ((40, 57), (256, 300), (2, 3), (5, 2), (4, 30)):
        stack = tricky_planes(height, width, 3) >= 90
        rims = node("""const { height, width, n } = given, size = height * width;
          for (let c = 0; c < n; c++) { const mask = file("stack").subarray(c * size, (c + 1) * size);
            out(d.fillRim(d.regionsAbove(mask, height, width, 1), mask, new Uint8Array(size))); }""", {"stack": stack.astype(np.uint8)}, height=height, width=width, n=len(stack))
        assert (rims.reshape(stack.shape) == contours(stack)).all()


def test_patterns(node):
    for period in (8, 12):
        planes = node("for (const p of given.patterns) out(d.patternPlane(p, 50, 70, given.period));", patterns=PATTERNS, period=period).reshape(-1, 50, 70)
        for pattern, plane in zip(PATTERNS, planes): assert (plane == pattern_mask(pattern, (50, 70), period=period)).all(), pattern


PAINT = """const { height, width, classes, options } = given, size = height * width, grey = file("grey"), base = d.packGrey(grey);
  const sides = ["truth", "found"].map((name) => classes.map((_, c) => { const mask = file(name).subarray(c * size, (c + 1) * size), runs = d.regionsAbove(mask, height, width, 1);
    return { mask, runs, rim: d.fillRim(runs, mask, new Uint8Array(size)) }; }));
  const stripes = d.patternPlane("diagonal", height, width, 8), dots = d.patternPlane("dots", height, width, 8);
  for (const o of options) {
    const picture = new Uint32Array(base);
    classes.forEach(([color, pattern], c) => {
      if (o.compare) d.paintCompare(picture, base, grey, { truth: sides[0][c], found: sides[1][c], stripes, dots, tables: d.compareTables(color, o) });
      else d.paintOverlay(picture, base, grey, { ...sides[0][c], texture: d.patternPlane(o.pattern ? pattern : "solid", height, width), tables: d.overlayTables(color, o) });
    });
    out(picture);
  }"""


@pytest.mark.parametrize("classes", [SEVERSTAL, NEU_SEG, SIX])
def test_pictures(node, classes):
    "Overlapping classes, every grey level, halves that numpy rounds to even."
    height, width, n = 64, 90, len(classes)
    image = (np.arange(height*width).reshape(height, width)%256).astype(np.uint8)
    planes = tricky_planes(height, width, 5)
    truth, found = planes[:n] >= 120, np.roll(planes, 9, axis=2)[1:n+1] >= 100
    options = [dict(opacity=o, contour=c, pattern=p) for o in (0, .25, .45, .5, .6, 1) for c in (True, False) for p in (True, False)]
    options += [dict(opacity=o, compare=True) for o in (0, .37, .5, .6, 1)]
    got = node(PAINT, {"grey": image, "truth": truth.astype(np.uint8), "found": found.astype(np.uint8)}, height=height, width=width,
               classes=[(c.color, c.pattern) for c in classes], options=options).reshape(len(options), height, width, 4)
    assert (got[..., 3] == 255).all()
    for o, picture in zip(options, got[..., :3]):
        true = compare_masks(image, truth, found, classes, opacity=o["opacity"]) if "compare" in o else overlay_masks(image, truth, classes, **o)
        assert (picture == true).all(), o


def test_scores(node):
    planes = tricky_planes(40, 57)
    found, truth = planes >= 150, np.roll(planes, 3, axis=2) >= 80
    found, truth = np.concatenate([found, found[:1], 0*found[:1], 0*found[:1]]).astype(bool), np.concatenate([truth, 0*truth[:1], truth[:1], 0*truth[:1]]).astype(bool)
    got = node("""for (let c = 0; c < given.n; c++) { const f = file("found").subarray(c * 2280, (c + 1) * 2280), t = file("truth").subarray(c * 2280, (c + 1) * 2280);
      const n = d.countPixels(d.regionsAbove(f, 40, 57, 1), t, t.reduce((a, b) => a + b, 0));
      out(Float64Array.of(n.found, n.labelled, n.both, d.diceOf(n), d.iouOf(n))); }""", {"found": found.astype(np.uint8), "truth": truth.astype(np.uint8)}, n=len(found)).view(float).reshape(-1, 5)
    n = counts(found, truth)
    assert (got[:, 0] == n[:, 0]+n[:, 1]).all() and (got[:, 1] == n[:, 0]+n[:, 2]).all() and (got[:, 2] == n[:, 0]).all()
    assert (got[:, 3] == dice(n)).all() and (got[:, 4] == iou(n)).all()


def test_run_length_text(node):
    masks = [*(tricky_planes(40, 57) >= 120), np.ones((40, 57), bool), np.zeros((40, 57), bool)]
    got = node("for (const text of given.texts) out(d.decodeRuns(text, 40, 57));", texts=[rle_encode(m) for m in masks])
    assert (got.reshape(len(masks), 40, 57) == masks).all()
    assert node("""let refused = 0; for (const text of ["2280 2", "0 3", "4", "x 3"]) try { d.decodeRuns(text, 40, 57); } catch { refused++; } out(Uint8Array.of(refused));""")[0] == 4


def test_what_python_sends_unpacks_there(node):
    planes, image = tricky_planes(40, 57)[:4], np.linspace(0, 1, 2280, dtype=np.float32).reshape(40, 57)
    strip = strip_data(image, planes >= 90, planes)
    got = node('out(await d.inflate(file("image"))); out(await d.inflate(file("planes")));', {"image": strip["image"], "planes": strip["probabilities"]})
    assert (got[:2280].reshape(40, 57) == np.round(image*255)).all()
    assert (got[2280:].reshape(4, 40, 57) == planes).all()
    assert zlib.decompress(strip["probabilities"]) == planes.tobytes()


def test_one_module():
    script = bundle("viewer_widget.js")
    assert "import " not in script.replace("important", "") and "innerHTML" not in script and "http" not in script
