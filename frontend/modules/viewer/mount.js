/**
 * Puts a viewer on every `canvas[data-image-url]` of a page that only shows parts (record of a part, ties).
 *
 * Controls beside it, inside the same `[data-viewer]`: `[data-view-action=fit|actual]` buttons and an
 * `input[data-map-opacity]`.
 */

import { Decoder } from "./decoder.js";
import { Pictures } from "./pictures.js";
import { Viewer } from "./viewer.js";

const pictures = new Pictures(new Decoder(null));
/** @type {WeakSet<Element>} */
const mounted = new WeakSet();

/** @param {ParentNode} root */
function mountAll(root) {
  for (const frame of root.querySelectorAll("[data-viewer]")) {
    if (!mounted.has(frame)) {
      mounted.add(frame);
      mount(frame);
    }
  }
}

/** @param {Element} frame */
function mount(frame) {
  const canvas = frame.querySelector("canvas");
  const imageUrl = canvas?.dataset.imageUrl;
  if (!canvas || !imageUrl) {
    return;
  }
  const viewer = new Viewer(canvas);
  const opacity = /** @type {HTMLInputElement | null} */ (frame.querySelector("[data-map-opacity]"));
  const applyOpacity = () => opacity && viewer.setOpacity(Number(opacity.value) / 100);
  opacity?.addEventListener("input", applyOpacity);
  applyOpacity();
  frame.querySelector("[data-view-action=fit]")?.addEventListener("click", () => viewer.fit());
  frame.querySelector("[data-view-action=actual]")?.addEventListener("click", () => viewer.actualSize());
  const greyFrom = canvas.dataset.greyFrom ? Number(canvas.dataset.greyFrom) : null;
  pictures.get({ imageUrl, mapUrl: canvas.dataset.mapUrl || null, greyFrom }).then(
    (picture) => viewer.show(picture),
    () => frame.classList.add("is-broken"),
  );
}

mountAll(document);
document.addEventListener("htmx:afterSettle", () => mountAll(document));
