/**
 * Small pictures of large files: decoded once, small, in the worker. An `<img>` would hold all 20 Mpx of each.
 */

/** @typedef {import("./decoder.js").Decoder} Decoder */

const KEPT = 24;

export class Thumbs {
  #decoder;
  /** @type {Map<string, Promise<ImageBitmap>>} */
  #kept = new Map();

  /** @param {Decoder} decoder */
  constructor(decoder) {
    this.#decoder = decoder;
  }

  /** A canvas that shows the picture as soon as it is here; empty where it cannot be had. @param {string} url */
  canvas(url) {
    const canvas = document.createElement("canvas");
    this.#get(url).then(
      (small) => {
        canvas.width = small.width;
        canvas.height = small.height;
        canvas.getContext("2d")?.drawImage(small, 0, 0);
      },
      () => {},
    );
    return canvas;
  }

  /** @param {string} url @returns {Promise<ImageBitmap>} */
  #get(url) {
    const known = this.#kept.get(url);
    if (known) {
      return known;
    }
    const small = this.#load(url);
    this.#kept.set(url, small);
    small.catch(() => this.#kept.delete(url));
    for (const oldest of [...this.#kept.keys()].slice(0, Math.max(0, this.#kept.size - KEPT))) {
      this.#kept.delete(oldest);
    }
    return small;
  }

  /** @param {string} url */
  async #load(url) {
    const answer = await fetch(url, { credentials: "same-origin" });
    if (!answer.ok) {
      throw new Error(`${url} answered ${answer.status}`);
    }
    return this.#decoder.thumb(await answer.blob());
  }
}
