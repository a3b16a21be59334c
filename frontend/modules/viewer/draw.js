/**
 * Paints one frame: the part, its golden reference beside it, in turn with it or subtracted, the map, the boxes.
 *
 * @typedef {import("./mips.js").Mips} Mips
 * @typedef {import("./mips.js").Box} Box
 * @typedef {import("./pictures.js").Picture} Picture
 * @typedef {import("./transform.js").Size} Size
 * @typedef {import("./transform.js").Transform} Transform
 * @typedef {import("./contrast.js").Contrast} Contrast
 * @typedef {"off" | "side" | "blink" | "difference"} Comparison
 * @typedef {{box: Box, tone: "mark" | "draft" | "candidate", words: string}} Outline  box in image pixels
 *
 * @typedef {object} Scene
 * @property {Picture} picture
 * @property {Mips | null} reference
 * @property {Comparison} comparison
 * @property {boolean} showsReference  the other half of the blink
 * @property {Transform} transform     image to pane, CSS pixels
 * @property {ReadonlyArray<{x: number, size: Size}>} panes
 * @property {number} ratio            device pixels per CSS pixel
 * @property {number} opacity          of the map; 0 draws none
 * @property {Contrast} contrast
 * @property {ReadonlyArray<Outline>} outlines
 */

import { rangeInSight, stretchFilter } from "./contrast.js";
import { inSight, levelFor } from "./mips.js";

/** From here on single pixels are what the person wants to see. */
const CRISP_FROM_SCALE = 6;
const SAMPLE_PX = 96;
/** A difference of a few grey values is what a scratch is made of: it is doubled so often. */
const DOUBLINGS = 2;
/** Literal colours: the canvas knows no tokens; they are --hold, --ink and --accent of the dark theme. */
const TONES = { mark: "#f3bd45", draft: "#eceff1", candidate: "#86b7ff" };

/** @type {CanvasRenderingContext2D | null} */
let sample = null;

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 */
export function drawScene(context, scene) {
  const { picture, reference, comparison, panes } = scene;
  const filter = filterOf(scene);
  inPane(context, scene, panes[0], () => {
    const blinked = comparison === "blink" && scene.showsReference && reference;
    drawMips(context, blinked || picture.image, scene, filter);
    if (comparison === "difference" && reference) {
      drawDifference(context, reference, scene);
    } else if (comparison === "off" || comparison === "side") {
      drawMap(context, scene);
    }
    drawOutlines(context, scene);
  });
  if (comparison === "side" && reference && panes[1]) {
    inPane(context, scene, panes[1], () => {
      drawMips(context, reference, scene, filter);
      drawOutlines(context, scene);
    });
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 * @param {{x: number, size: Size}} pane
 * @param {() => void} paint
 */
function inPane(context, { ratio }, { x, size }, paint) {
  context.save();
  context.setTransform(ratio, 0, 0, ratio, ratio * x, 0);
  context.beginPath();
  context.rect(0, 0, size.width, size.height);
  context.clip();
  paint();
  context.restore();
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Mips} mips stretched to the size of the part's image
 * @param {Scene} scene
 * @param {string} filter
 */
function drawMips(context, mips, { picture, transform, ratio, panes }, filter) {
  const scale = (transform.scale * ratio * picture.image.width) / mips.width;
  const level = mips.levels[levelFor(scale, mips.levels.length)];
  context.filter = filter;
  context.imageSmoothingEnabled = scale < CRISP_FROM_SCALE;
  // The level is at most twice as fine as the screen; better filters would only build mips of their own.
  context.imageSmoothingQuality = "low";
  drawCut(context, level, picture.image, transform, panes[0].size);
  context.filter = "none";
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {ImageBitmap} bitmap
 * @param {Size} image
 * @param {Transform} transform
 * @param {Size} view
 */
function drawCut(context, bitmap, image, transform, view) {
  const cut = inSight(bitmap, image, transform, view);
  if (cut) {
    const { source: s, target: t } = cut;
    context.drawImage(bitmap, s.x, s.y, s.width, s.height, t.x, t.y, t.width, t.height);
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 */
function drawMap(context, { picture, opacity, transform, panes }) {
  if (picture.map && opacity > 0) {
    context.globalAlpha = opacity;
    context.imageSmoothingEnabled = true;
    drawCut(context, picture.map.overlay, picture.image, transform, panes[0].size);
    context.globalAlpha = 1;
  }
}

/**
 * Part minus reference without its sign, made brighter.
 * @param {CanvasRenderingContext2D} context
 * @param {Mips} reference
 * @param {Scene} scene
 */
function drawDifference(context, reference, scene) {
  context.globalCompositeOperation = "difference";
  drawMips(context, reference, scene, "none");
  context.globalCompositeOperation = "lighter";
  const { width, height } = scene.panes[0].size;
  for (let step = 0; step < DOUBLINGS; step += 1) {
    context.drawImage(context.canvas, 0, 0, width, height);
  }
  context.globalCompositeOperation = "source-over";
}

/** @param {Scene} scene */
function filterOf({ contrast, comparison, picture, transform, panes }) {
  if (contrast === "normal" || comparison === "difference") {
    return "none";
  }
  if (contrast === "inverted") {
    return "invert(1)";
  }
  sample ??= sampleCanvas();
  const { width, height } = panes[0].size;
  const { levels } = picture.image;
  sample.setTransform(1, 0, 0, 1, 0, 0);
  sample.clearRect(0, 0, SAMPLE_PX, SAMPLE_PX);
  sample.setTransform(SAMPLE_PX / width, 0, 0, SAMPLE_PX / height, 0, 0);
  const level = levels[levelFor((transform.scale * SAMPLE_PX) / Math.max(width, height), levels.length)];
  drawCut(sample, level, picture.image, transform, panes[0].size);
  return stretchFilter(rangeInSight(sample.getImageData(0, 0, SAMPLE_PX, SAMPLE_PX).data));
}

function sampleCanvas() {
  const canvas = document.createElement("canvas");
  canvas.width = SAMPLE_PX;
  canvas.height = SAMPLE_PX;
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Scene} scene
 */
function drawOutlines(context, { outlines, transform }) {
  for (const { box, tone, words } of outlines) {
    const x = box.x * transform.scale + transform.x;
    const y = box.y * transform.scale + transform.y;
    const [width, height] = [box.width * transform.scale, box.height * transform.scale];
    context.setLineDash(tone === "draft" ? [6, 4] : []);
    // A dark halo under the light line: seen on every ground.
    for (const [line, colour] of /** @type {[number, string][]} */ ([
      [5, "rgb(0 0 0 / 70%)"],
      [2, TONES[tone]],
    ])) {
      context.lineWidth = line;
      context.strokeStyle = colour;
      context.strokeRect(x, y, width, height);
    }
    label(context, words, x, y, TONES[tone]);
  }
  context.setLineDash([]);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {string} words
 * @param {number} x
 * @param {number} y
 * @param {string} colour
 */
function label(context, words, x, y, colour) {
  if (!words) {
    return;
  }
  context.font = "600 13px system-ui, sans-serif";
  const width = context.measureText(words).width + 10;
  const top = Math.max(0, y - 22);
  context.fillStyle = "rgb(0 0 0 / 75%)";
  context.fillRect(x - 2, top, width, 20);
  context.fillStyle = colour;
  context.textBaseline = "middle";
  context.fillText(words, x + 3, top + 10);
}
