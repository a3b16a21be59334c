/**
 * The three looks of the same pixels: as they are, stretched to what is in sight, inverted.
 *
 * @typedef {"normal" | "stretched" | "inverted"} Contrast
 */

/** @type {ReadonlyArray<Contrast>} */
const ORDER = ["normal", "stretched", "inverted"];
/** @type {Readonly<Record<Contrast, string>>} */
export const CONTRAST_WORDS = { normal: "Normal", stretched: "Stretched", inverted: "Inverted" };
/** Shares of the pixels that may become black and white. */
const TAILS = 0.01;
/** Grey values closer than this are noise and are not stretched further. */
const LEAST_SPAN = 12;

/** @param {Contrast} contrast @returns {Contrast} */
export function nextContrast(contrast) {
  return ORDER[(ORDER.indexOf(contrast) + 1) % ORDER.length];
}

/**
 * Darkest and brightest value in sight without the outermost hundredth on either side.
 * @param {Uint8ClampedArray} pixels RGBA; clear pixels do not count
 * @returns {{low: number, high: number}} 0..255
 */
export function rangeInSight(pixels) {
  const counts = new Uint32Array(256);
  let all = 0;
  for (let at = 0; at < pixels.length; at += 4) {
    if (pixels[at + 3]) {
      counts[Math.round(0.299 * pixels[at] + 0.587 * pixels[at + 1] + 0.114 * pixels[at + 2])] += 1;
      all += 1;
    }
  }
  const cut = all * TAILS;
  let [low, high] = [0, 255];
  for (let sum = counts[low]; sum <= cut && low < 255; sum += counts[low]) {
    low += 1;
  }
  for (let sum = counts[high]; sum <= cut && high > 0; sum += counts[high]) {
    high -= 1;
  }
  return all && high > low ? { low, high } : { low: 0, high: 255 };
}

/**
 * The canvas filter that takes `low` to black and `high` to white.
 *
 * brightness(b) multiplies, contrast(c) stretches about the middle: (b v - 1/2) c + 1/2 = (v - low) / (high - low).
 * @param {{low: number, high: number}} range 0..255
 */
export function stretchFilter({ low, high }) {
  const middle = (low + high) / 2;
  const half = Math.max(high - low, LEAST_SPAN) / 2;
  const from = Math.max(0, middle - half) / 255;
  const to = Math.max(from * 255 + LEAST_SPAN, middle + half) / 255;
  return `brightness(${(1 / (from + to)).toFixed(4)}) contrast(${((to + from) / (to - from)).toFixed(4)})`;
}
