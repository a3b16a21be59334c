/**
 * Decoded pictures by address, so that the next part is on the screen without a wait.
 *
 * @typedef {import("./mips.js").Mips} Mips
 * @typedef {import("./decode.js").HeatMap} HeatMap
 * @typedef {{image: Mips, map: HeatMap | null}} Picture
 * @typedef {{imageUrl: string, mapUrl: string | null, greyFrom: number | null}} Wanted
 * @typedef {{value: any, release: () => void}} Held
 * @typedef {{held: Promise<Held>, now: Held | null}} Entry  now: set once it can be drawn
 * @typedef {{mips: Promise<Mips>, users: number}} Shared
 */

import { closeMips } from "./mips.js";

export class Pictures {
  /** @type {Map<string, Entry>} */
  #kept = new Map();
  /** By ETag: the golden reference of many cases is one file under many addresses. @type {Map<string, Shared>} */
  #shared = new Map();
  #decoder;

  /** @param {import("./decoder.js").Decoder} decoder */
  constructor(decoder) {
    this.#decoder = decoder;
  }

  /**
   * @param {Wanted} wanted
   * @returns {Promise<Picture>} rejects where the image cannot be had; a missing map is only null
   */
  async get({ imageUrl, mapUrl, greyFrom }) {
    const image = this.#entry(imageUrl, () => this.#loadImage(imageUrl));
    const map = mapUrl
      ? this.#entry(mapName(mapUrl, greyFrom), () => this.#loadMap(mapUrl, greyFrom)).held.catch(() => null)
      : null;
    return { image: (await image.held).value, map: (await map)?.value ?? null };
  }

  /**
   * What is decoded already and can be drawn in this very frame.
   * @param {Wanted} wanted
   * @returns {Picture | null}
   */
  ready({ imageUrl, mapUrl, greyFrom }) {
    const image = this.#kept.get(imageUrl)?.now;
    const map = mapUrl ? this.#kept.get(mapName(mapUrl, greyFrom))?.now : null;
    return image && map !== undefined ? { image: image.value, map: map?.value ?? null } : null;
  }

  /**
   * Forget all others: a picture of 20 Mpx holds about 110 MB. Call it after the viewer shows one of these.
   * @param {ReadonlyArray<Wanted>} wanted
   */
  keepOnly(wanted) {
    const names = new Set(
      wanted.flatMap(({ imageUrl, mapUrl, greyFrom }) => [imageUrl, mapUrl ? mapName(mapUrl, greyFrom) : ""]),
    );
    for (const [name, { held }] of this.#kept) {
      if (!names.has(name)) {
        this.#kept.delete(name);
        held.then(
          ({ release }) => release(),
          () => {},
        );
      }
    }
  }

  /** @param {string} name @param {() => Promise<Held>} load @returns {Entry} */
  #entry(name, load) {
    const known = this.#kept.get(name);
    if (known) {
      return known;
    }
    /** @type {Entry} */
    const entry = { held: load(), now: null };
    this.#kept.set(name, entry);
    entry.held.then(
      (held) => (entry.now = held),
      () => this.#kept.get(name) === entry && this.#kept.delete(name),
    );
    return entry;
  }

  /** @param {string} url @param {number | null} greyFrom @returns {Promise<Held>} */
  async #loadMap(url, greyFrom) {
    const { file } = await fetchFile(url);
    const value = await this.#decoder.map(file, greyFrom);
    return { value, release: () => value.overlay.close() };
  }

  /** @param {string} url @returns {Promise<Held>} */
  async #loadImage(url) {
    const { file, tag } = await fetchFile(url);
    const name = tag ?? url;
    const shared = this.#shared.get(name) ?? { mips: this.#decoder.image(file), users: 0 };
    this.#shared.set(name, shared);
    shared.users += 1;
    const release = () => {
      shared.users -= 1;
      if (shared.users === 0) {
        this.#shared.delete(name);
        shared.mips.then(closeMips, () => {});
      }
    };
    try {
      return { value: await shared.mips, release };
    } catch (problem) {
      release();
      throw problem;
    }
  }
}

/** @param {string} url @param {number | null} greyFrom */
const mapName = (url, greyFrom) => `${url} ${greyFrom ?? ""}`;

/** @param {string} url */
async function fetchFile(url) {
  const answer = await fetch(url, { credentials: "same-origin" });
  if (!answer.ok) {
    throw new Error(`${url} answered ${answer.status}`);
  }
  return { file: await answer.blob(), tag: answer.headers.get("ETag") };
}
