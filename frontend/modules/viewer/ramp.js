/**
 * Colours of the defect map: dark violet -> orange -> pale yellow.
 *
 * Lightness rises with the value, so the order survives every kind of colour blindness and a grey print.
 * Anchor colours after the "inferno" map of matplotlib (CC0, S. van der Walt and N. Smith).
 */

/** @type {ReadonlyArray<readonly [number, number, number]>} */
const ANCHORS = [
  [87, 16, 110],
  [136, 34, 106],
  [188, 55, 84],
  [227, 89, 51],
  [249, 140, 10],
  [249, 201, 50],
  [252, 255, 164],
];

/** Where no grey band is known: values under it are noise to a person and stay clear. */
export const DEFAULT_FLOOR = 0.2;
/** A map has 256 steps; below this they would be noise whatever the band. */
const LOWEST_FLOOR = 0.02;

/**
 * @param {number} value 0..1
 * @returns {[number, number, number]}
 */
export function colourAt(value) {
  const position = Math.min(1, Math.max(0, value)) * (ANCHORS.length - 1);
  const low = Math.min(ANCHORS.length - 2, Math.floor(position));
  const share = position - low;
  const mix = (/** @type {number} */ channel) =>
    Math.round(ANCHORS[low][channel] * (1 - share) + ANCHORS[low + 1][channel] * share);
  return [mix(0), mix(1), mix(2)];
}

/**
 * Where the drawing of a map begins.
 * @param {number | null} greyFrom where the grey band begins, 0..1
 */
export function floorOf(greyFrom) {
  return Math.max(LOWEST_FLOOR, greyFrom ?? DEFAULT_FLOOR);
}

/**
 * RGBA for each of the 256 grey values of a map PNG.
 *
 * Colour rises with the logarithm of the value: what lifts a part just into the grey band is seen, faintly, and what
 * is certain stays the brightest.
 * @param {number | null} [floor] lowest value that is drawn, 0..1: where the grey band begins
 * @returns {Uint8ClampedArray} 256 * 4
 */
export function rampTable(floor = DEFAULT_FLOOR) {
  const lowest = floorOf(floor);
  const table = new Uint8ClampedArray(256 * 4);
  for (let grey = 0; grey < 256; grey += 1) {
    const value = grey / 255;
    if (value < lowest) {
      continue;
    }
    const above = lowest >= 1 ? 1 : Math.log(value / lowest) / Math.log(1 / lowest);
    const [red, green, blue] = colourAt(above);
    table.set([red, green, blue, Math.round(255 * Math.min(1, 0.35 + 1.3 * above))], grey * 4);
  }
  return table;
}

/**
 * Turn the grey pixels of a decoded map into colours, in place.
 * @param {Uint8ClampedArray} pixels RGBA, grey in the red channel
 * @param {Uint8ClampedArray} table of rampTable
 */
export function colourInPlace(pixels, table) {
  for (let at = 0; at < pixels.length; at += 4) {
    const entry = pixels[at] * 4;
    pixels[at] = table[entry];
    pixels[at + 1] = table[entry + 1];
    pixels[at + 2] = table[entry + 2];
    pixels[at + 3] = table[entry + 3];
  }
}
