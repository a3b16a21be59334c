/**
 * One canvas that shows a part and, above it, its defect map under the same transform.
 *
 * Wheel zooms at the cursor, dragging moves, a double click switches between the whole part and 1:1;
 * with the canvas focused the arrow keys move.
 */

import { actualSize, clamp, fit, limits, pan, toImage, zoomAt } from "./transform.js";

/** @typedef {import("./transform.js").Transform} Transform */
/** @typedef {import("./transform.js").Point} Point */
/** @typedef {import("./pictures.js").Picture} Picture */
/** @typedef {{scale: number, fitted: boolean, cursor: Point | null}} ViewState */

const WHEEL_STEP = 1.0015;
const KEY_STEP_PX = 48;
/** From here on single pixels are what the person wants to see. */
const CRISP_FROM_SCALE = 6;

export class Viewer {
  #canvas;
  #context;
  #onChange;
  /** @type {Picture | null} */
  #picture = null;
  /** @type {Transform} */
  #transform = { scale: 1, x: 0, y: 0 };
  #fitted = true;
  #opacity = 0.65;
  #mapHidden = false;
  /** @type {Point | null} */
  #cursor = null;
  #frame = 0;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {{onChange?: (state: ViewState) => void}} [options]
   */
  constructor(canvas, { onChange = () => {} } = {}) {
    const context = canvas.getContext("2d");
    if (!context) {
      throw new Error("this browser has no 2d canvas");
    }
    this.#canvas = canvas;
    this.#context = context;
    this.#onChange = onChange;
    new ResizeObserver(() => this.#resize()).observe(canvas);
    this.#listen();
  }

  /** @param {Picture | null} picture */
  show(picture) {
    this.#picture = picture;
    this.fit();
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

  /** @param {Transform} transform */
  #move(transform) {
    if (!this.#picture) {
      return;
    }
    this.#transform = clamp(transform, this.#picture.image, this.#view());
    this.#fitted = Math.abs(this.#transform.scale - fit(this.#picture.image, this.#view()).scale) < 1e-6;
    this.#redraw();
  }

  #view() {
    return { width: this.#canvas.clientWidth, height: this.#canvas.clientHeight };
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
    if (this.#picture) {
      this.#drawPicture(context, this.#picture);
    }
    const cursor = this.#picture && this.#cursor ? toImage(this.#transform, this.#cursor) : null;
    const scale = this.#transform.scale * window.devicePixelRatio;
    this.#onChange({ scale, fitted: this.#fitted, cursor });
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Picture} picture
   */
  #drawPicture(context, { image, map }) {
    const ratio = window.devicePixelRatio;
    const { scale, x, y } = this.#transform;
    context.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * x, ratio * y);
    context.imageSmoothingEnabled = scale * ratio < CRISP_FROM_SCALE;
    context.imageSmoothingQuality = "high";
    context.drawImage(image, 0, 0);
    if (map && !this.#mapHidden && this.#opacity > 0) {
      context.globalAlpha = this.#opacity;
      context.imageSmoothingEnabled = true;
      context.drawImage(map, 0, 0, image.width, image.height);
      context.globalAlpha = 1;
    }
  }

  #listen() {
    const canvas = this.#canvas;
    canvas.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.zoom(WHEEL_STEP ** -event.deltaY, pointOf(event));
      },
      { passive: false },
    );
    canvas.addEventListener("dblclick", (event) => {
      if (this.#fitted) {
        this.actualSize(pointOf(event));
      } else {
        this.fit();
      }
    });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      canvas.classList.add("is-dragging");
    });
    canvas.addEventListener("pointermove", (event) => {
      this.#cursor = pointOf(event);
      if (canvas.hasPointerCapture(event.pointerId)) {
        this.#move(pan(this.#transform, event.movementX, event.movementY));
      } else {
        this.#redraw();
      }
    });
    canvas.addEventListener("pointerleave", () => {
      this.#cursor = null;
      this.#redraw();
    });
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, () => canvas.classList.remove("is-dragging"));
    }
    canvas.addEventListener("keydown", (event) => {
      const step = ARROWS[event.key];
      if (step) {
        event.preventDefault();
        this.#move(pan(this.#transform, step.x * KEY_STEP_PX, step.y * KEY_STEP_PX));
      }
    });
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
 * @param {MouseEvent} event
 * @returns {Point}
 */
function pointOf(event) {
  return { x: event.offsetX, y: event.offsetY };
}
