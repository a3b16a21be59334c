/**
 * Decodes in a worker; on a page that names none, or where it cannot start, on the page itself.
 */

import { decodeImage, decodeMap, decodeThumb } from "./decode.js";

/** @typedef {import("./mips.js").Mips} Mips */
/** @typedef {import("./decode.js").HeatMap} HeatMap */

export class Decoder {
  /** @type {Worker | null} */
  #worker = null;
  /** @type {Map<number, {resolve: (value: any) => void, reject: (problem: Error) => void, here: () => Promise<any>}>} */
  #asked = new Map();
  #number = 0;

  /** @param {string | null} workerUrl */
  constructor(workerUrl) {
    if (workerUrl) {
      this.#worker = new Worker(workerUrl, { type: "module" });
      this.#worker.addEventListener("message", ({ data }) => this.#answered(data));
      this.#worker.addEventListener("error", () => this.#goOnHere());
    }
  }

  /** @param {Blob} file @returns {Promise<Mips>} */
  image(file) {
    return this.#ask("image", file, null, () => decodeImage(file));
  }

  /** @param {Blob} file @param {number | null} greyFrom @returns {Promise<HeatMap>} */
  map(file, greyFrom) {
    return this.#ask("map", file, greyFrom, () => decodeMap(file, greyFrom));
  }

  /** @param {Blob} file @returns {Promise<ImageBitmap>} */
  thumb(file) {
    return this.#ask("thumb", file, null, () => decodeThumb(file));
  }

  /**
   * @param {"image" | "map" | "thumb"} kind
   * @param {Blob} file
   * @param {number | null} greyFrom
   * @param {() => Promise<any>} here
   * @returns {Promise<any>}
   */
  #ask(kind, file, greyFrom, here) {
    const worker = this.#worker;
    if (!worker) {
      return here();
    }
    this.#number += 1;
    const id = this.#number;
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve, reject, here });
      worker.postMessage({ id, kind, file, greyFrom });
    });
  }

  /** @param {{id: number, value?: any, problem?: string}} answer */
  #answered({ id, value, problem }) {
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    if (problem) {
      asked?.reject(new Error(problem));
    } else {
      asked?.resolve(value);
    }
  }

  /** The worker did not start or died: what it owes is done on the page. */
  #goOnHere() {
    this.#worker?.terminate();
    this.#worker = null;
    const owed = [...this.#asked.values()];
    this.#asked.clear();
    for (const { here, resolve, reject } of owed) {
      here().then(resolve, reject);
    }
  }
}
