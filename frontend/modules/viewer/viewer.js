/**
 * One canvas that shows a part, its defect map, its golden reference and boxes under one transform.
 *
 * Wheel and two fingers zoom where they are, dragging moves, a double click switches between the whole part and 1:1.
 */

import { nextContrast } from "./contrast.js";
import { drawScene } from "./draw.js";
import { listen } from "./gestures.js";
import { actualSize, clamp, closeUp, fit, limits, pan, toImage, zoomAt } from "./transform.js";

/** @typedef {import("./transform.js").Transform} Transform */
/** @typedef {import("./transform.js").Point} Point */
/** @typedef {import("./pictures.js").Picture} Picture */
/** @typedef {import("./mips.js").Mips} Mips */
/** @typedef {import("./mips.js").Box} Box */
/** @typedef {import("./draw.js").Comparison} Comparison */
/** @typedef {import("./draw.js").Outline} Outline */
/** @typedef {{scale: number, fitted: boolean}} ViewState */

const KEY_STEP_PX = 48;
/** Between two pictures side by side. */
const GAP_PX = 4;
/** A smaller box on the screen was a click, not a region. */
const LEAST_BOX_PX = 6;

export class Viewer {
  #canvas;
  #context;
  #onChange;
  #onBox;
  #needsShift;
  /** @type {Picture | null} */
  #picture = null;
  /** @type {Mips | null} */
  #reference = null;
  /** @type {Comparison} */
  #comparison = "off";
  #showsReference = false;
  /** @type {import("./contrast.js").Contrast} */
  #contrast = "normal";
  /** @type {Transform} */
  #transform = { scale: 1, x: 0, y: 0 };
  #fitted = true;
  #opacity = 0.65;
  #mapHidden = false;
  /** @type {ReadonlyArray<Outline>} */
  #outlines = [];
  /** @type {Box | null} */
  #draft = null;
  #draws = false;
  #frame = 0;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {{onChange?: (state: ViewState) => void, onBox?: (box: Box) => void, needsShift?: boolean}} [options]
   *   onBox: a region was drawn, in image pixels; needsShift: plain arrow keys mean something else on this page
   */
  constructor(canvas, { onChange = () => {}, onBox = () => {}, needsShift = false } = {}) {
    const context = canvas.getContext("2d");
    if (!context) {
      throw new Error("this browser has no 2d canvas");
    }
    this.#canvas = canvas;
    this.#context = context;
    this.#onChange = onChange;
    this.#onBox = onBox;
    this.#needsShift = needsShift;
    new ResizeObserver(() => this.#resize()).observe(canvas);
    this.#listen();
  }

  /**
   * @param {Picture | null} picture
   * @param {{keepsView?: boolean}} [options] keepsView: the same part again, or another camera's look at the same place
   */
  show(picture, { keepsView = false } = {}) {
    const before = this.#picture?.image;
    this.#picture = picture;
    if (keepsView && picture && before?.width === picture.image.width && before.height === picture.image.height) {
      this.#redraw();
    } else {
      this.fit();
    }
  }

  /** @param {Mips | null} reference */
  setReference(reference) {
    this.#reference = reference;
    this.#redraw();
  }

  /** @param {Comparison} comparison */
  setComparison(comparison) {
    const before = this.#view();
    this.#comparison = comparison;
    this.#showsReference = false;
    const now = this.#view();
    if (this.#fitted) {
      this.fit();
    } else {
      this.#move(pan(this.#transform, (now.width - before.width) / 2, (now.height - before.height) / 2));
    }
  }

  /** The other half of a blink. */
  swapSides() {
    this.#showsReference = !this.#showsReference;
    this.#redraw();
    return this.#showsReference;
  }

  /** @returns {import("./contrast.js").Contrast} */
  cycleContrast() {
    this.#contrast = nextContrast(this.#contrast);
    this.#redraw();
    return this.#contrast;
  }

  /** @param {number} opacity 0..1 */
  setOpacity(opacity) {
    this.#opacity = opacity;
    this.#redraw();
  }

  /** @param {boolean} hidden */
  hideMap(hidden) {
    this.#mapHidden = hidden;
    this.#redraw();
  }

  /** @param {ReadonlyArray<Outline>} outlines */
  setOutlines(outlines) {
    this.#outlines = outlines;
    this.#redraw();
  }

  /** @param {boolean} draws dragging draws a box instead of moving the picture */
  setDrawing(draws) {
    this.#draws = draws;
    this.#draft = null;
    this.#canvas.classList.toggle("is-drawing", draws);
    this.#redraw();
  }

  /** @param {Box | null} draft a box that is not kept yet, in image pixels */
  setDraft(draft) {
    this.#draft = draft;
    this.#redraw();
  }

  fit() {
    this.#fitted = true;
    if (this.#picture) {
      this.#transform = fit(this.#picture.image, this.#view());
    }
    this.#redraw();
  }

  /** @param {Point} [at] */
  actualSize(at) {
    this.#move(actualSize(this.#transform, at ?? this.#middle(), window.devicePixelRatio));
  }

  /**
   * @param {number} factor
   * @param {Point} [at]
   */
  zoom(factor, at) {
    if (this.#picture) {
      this.#move(zoomAt(this.#transform, factor, at ?? this.#middle(), limits(this.#picture.image, this.#view())));
    }
  }

  /** @param {Box} box in image pixels */
  closeUp(box) {
    if (this.#picture) {
      this.#move(closeUp(box, this.#view(), limits(this.#picture.image, this.#view())));
    }
  }

  /** The middle third of what is in sight, in image pixels: where a box begins that is placed by keys. @returns {Box} */
  middleInSight() {
    const { width, height } = this.#view();
    const { x, y } = toImage(this.#transform, { x: width / 3, y: height / 3 });
    return { x, y, width: width / 3 / this.#transform.scale, height: height / 3 / this.#transform.scale };
  }

  /** @param {string} arrow KeyboardEvent.key @returns {boolean} whether that is an arrow */
  step(arrow) {
    const step = ARROWS[arrow];
    if (step) {
      this.#move(pan(this.#transform, step.x * KEY_STEP_PX, step.y * KEY_STEP_PX));
    }
    return Boolean(step);
  }

  /** @param {Transform} transform */
  #move(transform) {
    if (!this.#picture) {
      return;
    }
    this.#transform = clamp(transform, this.#picture.image, this.#view());
    this.#fitted = Math.abs(this.#transform.scale - fit(this.#picture.image, this.#view()).scale) < 1e-6;
    this.#redraw();
  }

  /** Size of one picture on the canvas. */
  #view() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    return this.#comparison === "side" ? { width: (width - GAP_PX) / 2, height } : { width, height };
  }

  #middle() {
    const view = this.#view();
    return { x: view.width / 2, y: view.height / 2 };
  }

  #resize() {
    const ratio = window.devicePixelRatio;
    this.#canvas.width = Math.round(this.#canvas.clientWidth * ratio);
    this.#canvas.height = Math.round(this.#canvas.clientHeight * ratio);
    if (this.#fitted) {
      this.fit();
    } else {
      this.#move(this.#transform);
    }
    // Setting the size cleared the canvas: draw in the same frame, so that it never flashes.
    this.#draw();
  }

  #redraw() {
    if (!this.#frame) {
      this.#frame = requestAnimationFrame(() => this.#draw());
    }
  }

  #draw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const context = this.#context;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    const ratio = window.devicePixelRatio;
    if (this.#picture) {
      const size = this.#view();
      /** @type {Outline[]} */
      const draft = this.#draft ? [{ box: this.#draft, tone: "draft", words: "" }] : [];
      drawScene(context, {
        picture: this.#picture,
        reference: this.#reference,
        comparison: this.#comparison,
        showsReference: this.#showsReference,
        transform: this.#transform,
        panes: this.#comparison === "side" ? [0, size.width + GAP_PX].map((x) => ({ x, size })) : [{ x: 0, size }],
        ratio,
        opacity: this.#mapHidden ? 0 : this.#opacity,
        contrast: this.#contrast,
        outlines: [...this.#outlines, ...draft],
      });
    }
    this.#onChange({ scale: this.#transform.scale * ratio, fitted: this.#fitted });
  }

  #listen() {
    listen(this.#canvas, {
      move: (dx, dy) => this.#move(pan(this.#transform, dx, dy)),
      zoom: (factor, at) => this.zoom(factor, this.#inPane(at)),
      doubleClick: (at) => (this.#fitted ? this.actualSize(this.#inPane(at)) : this.fit()),
      draws: () => this.#draws && this.#picture !== null,
      draw: (from, to, isDone) => this.#drawBox(this.#inPane(from), this.#inPane(to), isDone),
    });
    this.#canvas.addEventListener("keydown", (event) => {
      if (event.shiftKey === this.#needsShift && !event.defaultPrevented && this.step(event.key)) {
        event.preventDefault();
      }
    });
  }

  /** A point on the second picture is the same point of the first. @param {Point} at @returns {Point} */
  #inPane(at) {
    const { width } = this.#view();
    return this.#comparison === "side" && at.x > width + GAP_PX ? { x: at.x - width - GAP_PX, y: at.y } : at;
  }

  /**
   * @param {Point} from
   * @param {Point} to
   * @param {boolean} isDone
   */
  #drawBox(from, to, isDone) {
    const image = /** @type {Picture} */ (this.#picture).image;
    const [one, other] = [toImage(this.#transform, from), toImage(this.#transform, to)];
    const box = within(image, one, other);
    const isRegion = Math.min(box.width, box.height) * this.#transform.scale >= LEAST_BOX_PX;
    this.setDraft(isDone ? null : box);
    if (isDone && isRegion) {
      this.#onBox(box);
    }
  }
}

/** @type {Record<string, Point>} */
const ARROWS = {
  ArrowLeft: { x: 1, y: 0 },
  ArrowRight: { x: -1, y: 0 },
  ArrowUp: { x: 0, y: 1 },
  ArrowDown: { x: 0, y: -1 },
};

/**
 * The box between two points, cut at the edges of the image.
 * @param {import("./transform.js").Size} image
 * @param {Point} one
 * @param {Point} other
 * @returns {Box}
 */
function within(image, one, other) {
  const [left, right] = [one.x, other.x].map((x) => Math.min(image.width, Math.max(0, x))).sort((a, b) => a - b);
  const [top, bottom] = [one.y, other.y].map((y) => Math.min(image.height, Math.max(0, y))).sort((a, b) => a - b);
  return { x: left, y: top, width: right - left, height: bottom - top };
}
