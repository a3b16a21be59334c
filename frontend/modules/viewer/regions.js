/**
 * Defect candidates: connected regions of a defect map from where the grey band begins, strongest first.
 *
 * @typedef {import("./mips.js").Box} Box
 * @typedef {{box: Box, peak: number}} Region  box in shares of the picture (0..1), peak 0..255
 * @typedef {{width: number, height: number, values: Uint8Array}} GreyMap
 */

/** Longer side on which regions are looked for; a larger map is pooled by its maxima, so no region is lost. */
const LONGEST_SIDE = 512;
/** More than these nobody walks through. */
export const MOST_REGIONS = 12;

/**
 * @param {Uint8ClampedArray} pixels RGBA, grey in the red channel
 * @param {number} width
 * @param {number} height
 * @returns {GreyMap}
 */
export function pooled(pixels, width, height) {
  const factor = Math.max(1, Math.ceil(Math.max(width, height) / LONGEST_SIDE));
  const across = Math.ceil(width / factor);
  const down = Math.ceil(height / factor);
  const values = new Uint8Array(across * down);
  for (let y = 0, at = 0; y < height; y += 1) {
    const row = Math.floor(y / factor) * across;
    for (let x = 0; x < width; x += 1, at += 4) {
      const cell = row + Math.floor(x / factor);
      if (pixels[at] > values[cell]) {
        values[cell] = pixels[at];
      }
    }
  }
  return { width: across, height: down, values };
}

/**
 * 8-connected regions by flood fill.
 * @param {GreyMap} map
 * @param {number} floor lowest grey value that belongs to a region, at least 1
 * @returns {Region[]} strongest first
 */
export function regions({ width, height, values }, floor) {
  const lowest = Math.max(1, floor);
  const seen = new Uint8Array(values.length);
  const found = [];
  for (let start = 0; start < values.length; start += 1) {
    if (values[start] >= lowest && !seen[start]) {
      found.push(fill(start));
    }
  }
  return found
    .sort((one, other) => other.peak - one.peak || other.cells - one.cells)
    .slice(0, MOST_REGIONS)
    .map(({ box, peak }) => ({ box, peak }));

  /** @param {number} start */
  function fill(start) {
    const waiting = [start];
    seen[start] = 1;
    let [left, right, top, bottom, peak, cells] = [width, 0, height, 0, 0, 0];
    while (waiting.length) {
      const cell = /** @type {number} */ (waiting.pop());
      const x = cell % width;
      const y = (cell - x) / width;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y);
      peak = Math.max(peak, values[cell]);
      cells += 1;
      for (let v = Math.max(0, y - 1); v <= Math.min(height - 1, y + 1); v += 1) {
        for (let u = Math.max(0, x - 1); u <= Math.min(width - 1, x + 1); u += 1) {
          const next = v * width + u;
          if (!seen[next] && values[next] >= lowest) {
            seen[next] = 1;
            waiting.push(next);
          }
        }
      }
    }
    const box = {
      x: left / width,
      y: top / height,
      width: (right - left + 1) / width,
      height: (bottom - top + 1) / height,
    };
    return { box, peak, cells };
  }
}
