/**
 * Files to what the viewer draws. Runs in a worker where there is one, so that 20 Mpx do not stop the page.
 *
 * @typedef {import("./mips.js").Mips} Mips
 * @typedef {import("./regions.js").Region} Region
 * @typedef {{overlay: ImageBitmap, regions: Region[]}} HeatMap
 */

import { levelSizes } from "./mips.js";
import { colourInPlace, floorOf, rampTable } from "./ramp.js";
import { pooled, regions } from "./regions.js";

/** Longer side of a drawn map: colours over a part are seen as areas, not as pixels. */
const MOST_OVERLAY_PX = 2048;
/** Wide enough for the largest small picture on a screen with fine pixels. */
const THUMB_PX = 320;

/**
 * @param {Blob} file
 * @returns {Promise<Mips>}
 */
export async function decodeImage(file) {
  // No colour management: two screens show the same grey values, and the camera's are the ones that were judged.
  const full = await createImageBitmap(file, { colorSpaceConversion: "none" });
  const levels = [full];
  for (const { width, height } of levelSizes(full).slice(1)) {
    const above = levels[levels.length - 1];
    // Bilinear at one half is the mean of four pixels.
    levels.push(
      await createImageBitmap(above, { resizeWidth: width, resizeHeight: height, resizeQuality: "low" }),
    );
  }
  return { width: full.width, height: full.height, levels };
}

/** @param {Blob} file @returns {Promise<ImageBitmap>} */
export function decodeThumb(file) {
  return createImageBitmap(file, { resizeWidth: THUMB_PX, resizeQuality: "medium", colorSpaceConversion: "none" });
}

/**
 * @param {Blob} file
 * @param {number | null} greyFrom where the grey band begins: the map is drawn, and regions are cut, from there
 * @returns {Promise<HeatMap>}
 */
export async function decodeMap(file, greyFrom) {
  const grey = await createImageBitmap(file, { colorSpaceConversion: "none" });
  const canvas = new OffscreenCanvas(grey.width, grey.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) {
    throw new Error("no canvas for the defect map");
  }
  context.drawImage(grey, 0, 0);
  grey.close();
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  const found = regions(pooled(pixels.data, canvas.width, canvas.height), Math.ceil(255 * floorOf(greyFrom)));
  colourInPlace(pixels.data, rampTable(greyFrom));
  const share = Math.min(1, MOST_OVERLAY_PX / Math.max(canvas.width, canvas.height));
  const resize = { resizeWidth: Math.ceil(canvas.width * share), resizeHeight: Math.ceil(canvas.height * share) };
  return { overlay: await createImageBitmap(pixels, share < 1 ? resize : {}), regions: found };
}
