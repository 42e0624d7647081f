// From the bytes of a strip to regions, pictures and scores. Pure: arrays in, arrays out, in a browser and in node alike.
// A plane is a Uint8Array of height*width, row by row; a mask is a plane of 0 and 1. A picture is a Uint32Array, one opaque pixel each.
// Every result equals the Python library's own (decide, overlay_masks, compare_masks, dice, iou), bit by bit: tests/test_viewer.py.

// Unpack zlib bytes, a DataView or an array of them.
export async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Run-length text to a mask: pixels count from 1, down the columns first.
export function decodeRuns(text, height, width) {
  const mask = new Uint8Array(height * width), numbers = text.trim() ? text.trim().split(/\s+/).map(Number) : [];
  for (let n = 0; n < numbers.length; n += 2) {
    const stop = numbers[n] - 1 + numbers[n + 1];
    if (!(numbers[n] >= 1 && numbers[n + 1] >= 1 && stop <= mask.length)) throw new Error("run-length text does not fit the strip");
    for (let i = numbers[n] - 1; i < stop; i++) mask[(i % height) * width + Math.floor(i / height)] = 1;
  }
  return mask;
}

// ---- Regions: a mask as runs along its rows. Run r covers the pixels start[r] to stop[r]-1, and area[r] is that of its region.

export function emptyRuns() {
  return { n: 0, regions: 0, joined: true, height: 0, width: 0, rows: new Int32Array(1),
           start: new Int32Array(0), stop: new Int32Array(0), area: new Int32Array(0), parent: new Int32Array(0) };
}

function makeRoom(runs, size) {
  for (const name of ["start", "stop", "area", "parent"]) {
    const larger = new Int32Array(size);
    larger.set(runs[name].subarray(0, runs.n));
    runs[name] = larger;
  }
}

// Find the runs of pixels that are k or more.
function findRuns(plane, height, width, k, runs) {
  const most = (width + 1) >> 1;
  if (runs.rows.length !== height + 1) runs.rows = new Int32Array(height + 1);
  Object.assign(runs, { height, width, joined: false, n: 0 });
  let n = 0;
  for (let row = 0, i = 0; row < height; row++) {
    runs.rows[row] = runs.n = n;
    if (n + most > runs.start.length) makeRoom(runs, 2 * (n + most));
    const { start, stop } = runs, end = (row + 1) * width;
    while (i < end) {
      while (i < end && plane[i] < k) i++;
      if (i === end) break;
      start[n] = i;
      while (i < end && plane[i] >= k) i++;
      stop[n++] = i;
    }
  }
  runs.rows[height] = runs.n = n;
}

function rootOf(parent, r) {
  while (parent[r] !== r) r = parent[r] = parent[parent[r]];
  return r;
}

// Join runs that touch, corners included, and give each run the area of its region.
export function joinRuns(runs) {
  const { n, rows, start, stop, area, parent, height, width } = runs;
  for (let r = 0; r < n; r++) { parent[r] = r; area[r] = 0; }
  for (let row = 1; row < height; row++) {
    let above = rows[row - 1], below = rows[row];
    const lastAbove = rows[row], lastBelow = rows[row + 1];
    while (above < lastAbove && below < lastBelow) {
      const from = start[above] + width, to = stop[above] + width;
      if (from <= stop[below] && start[below] <= to) {
        const a = rootOf(parent, above), b = rootOf(parent, below);
        if (a < b) parent[b] = a; else parent[a] = b;
      }
      if (to < stop[below]) above++; else below++;
    }
  }
  runs.regions = 0;
  for (let r = 0; r < n; r++) {
    if (parent[r] === r) runs.regions++;
    parent[r] = parent[parent[r]]; // roots come first, so this is the root
    area[parent[r]] += stop[r] - start[r];
  }
  for (let r = 0; r < n; r++) area[r] = area[parent[r]];
  runs.joined = true;
  return runs;
}

// Drop the runs of regions with fewer pixels than `least`.
function dropSmall(runs, least) {
  const { start, stop, area, parent, rows } = runs;
  let kept = 0, regions = 0;
  for (let row = 0, r = 0; row < runs.height; row++) {
    const end = rows[row + 1];
    rows[row] = kept;
    for (; r < end; r++) {
      if (area[r] < least) continue;
      if (parent[r] === r) regions++;
      start[kept] = start[r]; stop[kept] = stop[r]; area[kept++] = area[r];
    }
  }
  rows[runs.height] = runs.n = kept;
  runs.regions = regions;
}

// The regions of a plane at k, those with fewer than minArea pixels left out. `runs` from an earlier call is used again.
export function regionsAbove(plane, height, width, k, minArea = 0, runs = emptyRuns()) {
  findRuns(plane, height, width, k, runs);
  if (minArea > 1) { joinRuns(runs); dropSmall(runs, minArea); }
  return runs;
}

// Area of the region that a pixel belongs to, 0 outside.
export function areaAt(runs, row, column) {
  if (!runs.joined) joinRuns(runs);
  const i = row * runs.width + column;
  let low = runs.rows[row], high = runs.rows[row + 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (runs.stop[middle] <= i) low = middle + 1; else high = middle;
  }
  return low < runs.rows[row + 1] && runs.start[low] <= i ? runs.area[low] : 0;
}

// Write 1 from start to stop; for a few pixels a loop is quicker than `fill`.
function fillOnes(plane, start, stop) {
  if (stop - start > 24) plane.fill(1, start, stop);
  else for (let i = start; i < stop; i++) plane[i] = 1;
}

// The mask of runs, written into `mask`.
export function fillMask(runs, mask) {
  const { n, start, stop } = runs;
  mask.fill(0);
  for (let r = 0; r < n; r++) fillOnes(mask, start[r], stop[r]);
  return mask;
}

// The rim of a mask: its pixels within 2 steps of a pixel outside; the border of the image is no rim. Only pixels of the mask are written.
export function fillRim(runs, mask, rim) {
  const { height: H, width: W, start, stop } = runs;
  const off = (row, column) => row >= 0 && row < H && column >= 0 && column < W && !mask[row * W + column];
  const near = (row, column) => off(row - 2, column) || off(row + 2, column) || off(row - 1, column - 1) || off(row - 1, column) || off(row - 1, column + 1)
    || off(row + 1, column - 1) || off(row + 1, column) || off(row + 1, column + 1);
  for (let row = 0; row < H; row++) {
    for (let r = runs.rows[row]; r < runs.rows[row + 1]; r++) {
      const left = row * W, right = left + W, first = start[r] === left ? left : start[r] + 2, last = stop[r] === right ? right : stop[r] - 2;
      if (first >= last) { fillOnes(rim, start[r], stop[r]); continue; }
      fillOnes(rim, start[r], first);
      fillOnes(rim, last, stop[r]);
      if (row < 2 || row > H - 3) {
        for (let i = first; i < last; i++) rim[i] = near(row, i - left) ? 1 : 0;
        continue;
      }
      let i = first;
      if (i === left) { rim[i] = near(row, 0) ? 1 : 0; i++; }
      const end = last === right ? last - 1 : last;
      for (; i < end; i++) {
        rim[i] = 1 ^ (mask[i - 2 * W] & mask[i + 2 * W] & mask[i - W - 1] & mask[i - W] & mask[i - W + 1] & mask[i + W - 1] & mask[i + W] & mask[i + W + 1]);
      }
      if (end < last && end >= i) rim[end] = near(row, W - 1) ? 1 : 0;
    }
  }
  return rim;
}

// ---- Scores

// Pixels found, labelled, and both.
export function countPixels(found, truth, labelled) {
  const { n, start, stop } = found;
  let pixels = 0, both = 0;
  for (let r = 0; r < n; r++) {
    pixels += stop[r] - start[r];
    if (labelled) for (let i = start[r]; i < stop[r]; i++) both += truth[i];
  }
  return { found: pixels, labelled, both };
}

export const diceOf = ({ found, labelled, both }) => (found + labelled ? 2 * both / (found + labelled) : 1);
export const iouOf = ({ found, labelled, both }) => (found + labelled ? both / (found + labelled - both) : 1);

// ---- Pictures

const PATTERN_TESTS = {
  "solid": () => true,
  "dots": (on, row, column, period) => on(row) && on(column + (period >> 1) * (Math.floor(row / period) % 2)),
  "diagonal": (on, row, column) => on(row + column),
  "back-diagonal": (on, row, column) => on(row - column),
  "horizontal": (on, row) => on(row),
  "grid": (on, row, column) => on(row) || on(column),
};

// The texture of a pattern as a mask.
export function patternPlane(pattern, height, width, period = 12) {
  const plane = new Uint8Array(height * width), test = PATTERN_TESTS[pattern];
  const on = (position) => ((position % period) + period) % period < period / 2.4;
  for (let row = 0, i = 0; row < height; row++) for (let column = 0; column < width; column++, i++) plane[i] = test(on, row, column, period) ? 1 : 0;
  return plane;
}

// Round as numpy does: halves to the even neighbour.
function roundEven(x) {
  const low = Math.floor(x), rest = x - low;
  return rest < 0.5 ? low : rest > 0.5 ? low + 1 : low + (low % 2);
}

export const packGrey = (grey) => Uint32Array.from(grey, (g) => 0xff000000 | g * 0x010101);

// Tables that paint: for each way (a list of opacities, one laid over the other) and each old value the new one.
// `grey` has whole pixels for a grey one, `red`, `green` and `blue` the channels for one that is coloured already.
export function paintTables(color, ways) {
  const tables = { grey: new Uint32Array(ways.length << 8) }, names = ["red", "green", "blue"];
  names.forEach((name, channel) => {
    tables[name] = new Uint8Array(ways.length << 8);
    ways.forEach((opacities, way) => {
      for (let value = 0; value < 256; value++) {
        const mixed = opacities.reduce((v, opacity) => roundEven(v * (1 - opacity) + color[channel] * opacity), value);
        tables[name][way << 8 | value] = mixed;
        tables.grey[way << 8 | value] |= mixed << (8 * channel) | 0xff000000;
      }
    });
  });
  return tables;
}

const overlayWays = (opacity, contour, pattern) => {
  const faint = pattern ? opacity * 0.4 : opacity;
  return contour ? [[faint], [opacity], [faint, 0.9], [opacity, 0.9]] : [[faint], [opacity], [faint], [opacity]];
};

// Tables for `paintOverlay`: off and on the pattern, then both again under the rim.
export const overlayTables = (color, { opacity = 0.45, contour = true, pattern = true } = {}) => paintTables(color, overlayWays(opacity, contour, pattern));

// Tables for `paintCompare`: found, found under the rim, missed, missed under the rim, false.
export const compareTables = (color, { opacity = 0.6 } = {}) => paintTables(color, [[opacity], [opacity, 0.9], [0.95], [0.95, 0.9], [0.95]]);

const mixPixel = (pixel, way, t) => (0xff000000 | t.red[way | (pixel & 255)] | t.green[way | (pixel >> 8 & 255)] << 8 | t.blue[way | (pixel >> 16 & 255)] << 16) >>> 0;

// Lay one class over a picture. `grey` is the strip, `base` the same as a picture: where the picture still equals it, one look-up does.
export function paintOverlay(picture, base, grey, { runs, rim, texture, tables }) {
  const plain = tables.grey;
  for (let r = 0; r < runs.n; r++) {
    for (let i = runs.start[r], stop = runs.stop[r]; i < stop; i++) {
      const way = (rim[i] << 1 | texture[i]) << 8;
      picture[i] = picture[i] === base[i] ? plain[way | grey[i]] : mixPixel(picture[i], way, tables);
    }
  }
}

// Show one class as found, missed and false. `stripes` and `dots` are the textures of the last two.
export function paintCompare(picture, base, grey, { truth, found, stripes, dots, tables }) {
  const plain = tables.grey, labelled = truth.mask, there = found.mask, rim = truth.rim;
  for (let r = 0; r < found.runs.n; r++) {
    for (let i = found.runs.start[r], stop = found.runs.stop[r]; i < stop; i++) {
      if (!labelled[i] && !dots[i]) continue;
      const way = (labelled[i] ? rim[i] : 4) << 8;
      picture[i] = picture[i] === base[i] ? plain[way | grey[i]] : mixPixel(picture[i], way, tables);
    }
  }
  for (let r = 0; r < truth.runs.n; r++) {
    for (let i = truth.runs.start[r], stop = truth.runs.stop[r]; i < stop; i++) {
      if (there[i] || !stripes[i]) continue;
      const way = (2 + rim[i]) << 8;
      picture[i] = picture[i] === base[i] ? plain[way | grey[i]] : mixPixel(picture[i], way, tables);
    }
  }
}
