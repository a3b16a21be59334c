/**
 * The worker around decode.js: one question, one answer, pictures handed over without a copy.
 *
 * @typedef {{id: number, kind: "image" | "map" | "thumb", file: Blob, greyFrom: number | null}} Question
 */

import { decodeImage, decodeMap, decodeThumb } from "./decode.js";

self.addEventListener("message", (event) => void answer(/** @type {MessageEvent<Question>} */ (event).data));

/** @param {Question} question */
async function answer({ id, kind, file, greyFrom }) {
  try {
    if (kind === "image") {
      const value = await decodeImage(file);
      self.postMessage({ id, value }, { transfer: [...value.levels] });
    } else if (kind === "map") {
      const value = await decodeMap(file, greyFrom);
      self.postMessage({ id, value }, { transfer: [value.overlay] });
    } else {
      const value = await decodeThumb(file);
      self.postMessage({ id, value }, { transfer: [value] });
    }
  } catch (problem) {
    self.postMessage({ id, problem: String(problem) });
  }
}
