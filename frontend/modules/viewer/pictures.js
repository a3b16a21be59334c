/**
 * Decoded pictures by address, so that the next part is on the screen without a wait.
 *
 * @typedef {{image: ImageBitmap, map: ImageBitmap | null}} Picture
 */

import { colourInPlace, rampTable } from "./ramp.js";

const KEPT = 6;

export class Pictures {
  /** @type {Map<string, Promise<Picture>>} */
  #kept = new Map();

  /**
   * @param {string} imageUrl
   * @param {string | null} mapUrl
   * @param {number | null} [greyFrom] where the grey band begins: the map is drawn from there
   * @returns {Promise<Picture>} rejects where the image cannot be had; a missing map is only null
   */
  get(imageUrl, mapUrl, greyFrom = null) {
    const name = `${imageUrl} ${mapUrl ?? ""} ${greyFrom ?? ""}`;
    const known = this.#kept.get(name);
    if (known) {
      return known;
    }
    const picture = loadPicture(imageUrl, mapUrl, greyFrom);
    this.#kept.set(name, picture);
    picture.catch(() => this.#kept.delete(name));
    this.#dropOldest();
    return picture;
  }

  #dropOldest() {
    for (const name of this.#kept.keys()) {
      if (this.#kept.size <= KEPT) {
        return;
      }
      this.#kept.delete(name);
    }
  }
}

/**
 * @param {string} imageUrl
 * @param {string | null} mapUrl
 * @param {number | null} greyFrom
 * @returns {Promise<Picture>}
 */
async function loadPicture(imageUrl, mapUrl, greyFrom) {
  const map = mapUrl ? loadMap(mapUrl, greyFrom).catch(() => null) : Promise.resolve(null);
  return { image: await loadBitmap(imageUrl), map: await map };
}

/** @param {string} url */
async function loadBitmap(url) {
  const answer = await fetch(url, { credentials: "same-origin" });
  if (!answer.ok) {
    throw new Error(`${url} answered ${answer.status}`);
  }
  return createImageBitmap(await answer.blob());
}

/** @param {string} url @param {number | null} greyFrom */
async function loadMap(url, greyFrom) {
  const grey = await loadBitmap(url);
  const canvas = new OffscreenCanvas(grey.width, grey.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) {
    throw new Error("no canvas for the defect map");
  }
  context.drawImage(grey, 0, 0);
  grey.close();
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  colourInPlace(pixels.data, rampTable(greyFrom));
  return createImageBitmap(pixels);
}
