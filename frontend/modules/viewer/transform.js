/**
 * Where an image lies in a view: screen = image * scale + (x, y), in CSS pixels.
 *
 * Pure numbers, no DOM, so that zoom and blink of several pictures share one transform.
 *
 * @typedef {{width: number, height: number}} Size
 * @typedef {{x: number, y: number}} Point
 * @typedef {{scale: number, x: number, y: number}} Transform
 * @typedef {{min: number, max: number}} ScaleLimits
 */

export const FIT_PADDING_PX = 16;
export const LARGEST_SCALE = 32;
/** A small region is not blown up beyond this: its surroundings say what it is. */
const LARGEST_CLOSE_UP = 3;

/**
 * Show the whole image, centred, as large as the view allows.
 * @param {Size} image
 * @param {Size} view
 * @param {number} [padding]
 * @returns {Transform}
 */
export function fit(image, view, padding = FIT_PADDING_PX) {
  const room = { width: Math.max(1, view.width - 2 * padding), height: Math.max(1, view.height - 2 * padding) };
  const scale = Math.min(room.width / image.width, room.height / image.height, LARGEST_SCALE);
  return centred(image, view, scale);
}

/**
 * From the fitted scale (never smaller) up to single pixels as large squares.
 * @param {Size} image
 * @param {Size} view
 * @returns {ScaleLimits}
 */
export function limits(image, view) {
  const fitted = fit(image, view).scale;
  return { min: Math.min(fitted, 1), max: LARGEST_SCALE };
}

/**
 * Zoom so that the image point under the cursor stays under the cursor.
 * @param {Transform} transform
 * @param {number} factor
 * @param {Point} cursor
 * @param {ScaleLimits} range
 * @returns {Transform}
 */
export function zoomAt(transform, factor, cursor, range) {
  const scale = Math.min(range.max, Math.max(range.min, transform.scale * factor));
  const ratio = scale / transform.scale;
  return { scale, x: cursor.x - (cursor.x - transform.x) * ratio, y: cursor.y - (cursor.y - transform.y) * ratio };
}

/**
 * One image pixel on one device pixel, with the point under the cursor kept in place.
 * @param {Transform} transform
 * @param {Point} cursor
 * @param {number} [devicePixelRatio]
 * @returns {Transform}
 */
export function actualSize(transform, cursor, devicePixelRatio = 1) {
  const scale = 1 / devicePixelRatio;
  return zoomAt(transform, scale / transform.scale, cursor, { min: scale, max: scale });
}

/**
 * @param {Transform} transform
 * @param {number} dx
 * @param {number} dy
 * @returns {Transform}
 */
export function pan(transform, dx, dy) {
  return { ...transform, x: transform.x + dx, y: transform.y + dy };
}

/**
 * Keep the image in sight: centred where it is smaller than the view, without a gap at its edges where it is larger.
 * @param {Transform} transform
 * @param {Size} image
 * @param {Size} view
 * @returns {Transform}
 */
export function clamp(transform, image, view) {
  return {
    scale: transform.scale,
    x: clampAxis(transform.x, image.width * transform.scale, view.width),
    y: clampAxis(transform.y, image.height * transform.scale, view.height),
  };
}

/**
 * Bring a region of the image into the middle, about a third of the view wide, and not larger than it makes sense.
 * @param {{x: number, y: number, width: number, height: number}} region in image pixels
 * @param {Size} view
 * @param {ScaleLimits} range
 * @returns {Transform}
 */
export function closeUp(region, view, range) {
  const wanted = Math.min(view.width / (3 * region.width), view.height / (3 * region.height), LARGEST_CLOSE_UP);
  const scale = Math.min(range.max, Math.max(range.min, wanted));
  return {
    scale,
    x: view.width / 2 - (region.x + region.width / 2) * scale,
    y: view.height / 2 - (region.y + region.height / 2) * scale,
  };
}

/**
 * @param {Transform} transform
 * @param {Point} screen
 * @returns {Point}
 */
export function toImage(transform, screen) {
  return { x: (screen.x - transform.x) / transform.scale, y: (screen.y - transform.y) / transform.scale };
}

/**
 * @param {Size} image
 * @param {Size} view
 * @param {number} scale
 * @returns {Transform}
 */
function centred(image, view, scale) {
  return { scale, x: (view.width - image.width * scale) / 2, y: (view.height - image.height * scale) / 2 };
}

/**
 * @param {number} offset
 * @param {number} drawn
 * @param {number} room
 */
function clampAxis(offset, drawn, room) {
  if (drawn <= room) {
    return (room - drawn) / 2;
  }
  return Math.min(0, Math.max(room - drawn, offset));
}
