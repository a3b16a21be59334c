/**
 * A picture in halving sizes, so that 20 Mpx are drawn from about as many pixels as the screen has.
 *
 * @typedef {import("./transform.js").Size} Size
 * @typedef {import("./transform.js").Transform} Transform
 * @typedef {{x: number, y: number, width: number, height: number}} Box
 * @typedef {{width: number, height: number, levels: ReadonlyArray<ImageBitmap>}} Mips  levels[0] has every pixel
 */

/** A level whose longer side is not larger is the last one. */
const SMALLEST_SIDE_PX = 320;

/**
 * Sizes of all levels, the full one first.
 * @param {Size} image
 * @returns {Size[]}
 */
export function levelSizes({ width, height }) {
  const sizes = [{ width, height }];
  while (Math.max(width, height) > SMALLEST_SIDE_PX) {
    width = Math.max(1, Math.round(width / 2));
    height = Math.max(1, Math.round(height / 2));
    sizes.push({ width, height });
  }
  return sizes;
}

/**
 * The smallest level that still has a pixel for every pixel of the screen.
 * @param {number} scale device pixels per image pixel
 * @param {number} count of levels
 */
export function levelFor(scale, count) {
  return Math.min(count - 1, Math.max(0, Math.floor(Math.log2(1 / scale) + 1e-6)));
}

/**
 * What of a level is in sight, in whole pixels of the level, and where it goes in the view.
 * @param {Size} level
 * @param {Size} image
 * @param {Transform} transform image to view
 * @param {Size} view
 * @returns {{source: Box, target: Box} | null} null where nothing of the image is in sight
 */
export function inSight(level, image, transform, view) {
  const across = axis(level.width, image.width, transform.scale, transform.x, view.width);
  const down = axis(level.height, image.height, transform.scale, transform.y, view.height);
  if (!across || !down) {
    return null;
  }
  return {
    source: { x: across.from, y: down.from, width: across.count, height: down.count },
    target: { x: across.place, y: down.place, width: across.length, height: down.length },
  };
}

/**
 * @param {number} pixels of the level
 * @param {number} full pixels of the image
 * @param {number} scale
 * @param {number} offset
 * @param {number} room
 */
function axis(pixels, full, scale, offset, room) {
  const step = (full / pixels) * scale; // screen length of one pixel of the level
  const from = Math.max(0, Math.floor(-offset / step));
  const to = Math.min(pixels, Math.ceil((room - offset) / step));
  return to <= from ? null : { from, count: to - from, place: offset + from * step, length: (to - from) * step };
}

/** @param {Mips} mips */
export function closeMips({ levels }) {
  levels.forEach((level) => level.close());
}
