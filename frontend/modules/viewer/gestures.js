/**
 * What hands do on the canvas, as words: one finger or the mouse moves, two fingers pinch, the wheel zooms, a double
 * click switches, and while a region is being marked one finger or the mouse draws it.
 *
 * @typedef {import("./transform.js").Point} Point
 * @typedef {object} Hand
 * @property {(dx: number, dy: number) => void} move
 * @property {(factor: number, at: Point) => void} zoom
 * @property {(at: Point) => void} doubleClick
 * @property {() => boolean} draws     whether dragging draws a box just now
 * @property {(from: Point, to: Point, isDone: boolean) => void} draw
 */

const WHEEL_STEP = 1.0015;
/** Lines and pages of a wheel in pixels. */
const WHEEL_UNITS = [1, 32, 400];

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Hand} hand
 */
export function listen(canvas, hand) {
  /** @type {Map<number, Point>} */
  const fingers = new Map();
  /** @type {Point | null} */
  let drawnFrom = null;

  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      hand.zoom(WHEEL_STEP ** (-event.deltaY * WHEEL_UNITS[event.deltaMode]), pointOf(event));
    },
    { passive: false },
  );
  canvas.addEventListener("dblclick", (event) => !hand.draws() && hand.doubleClick(pointOf(event)));
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) {
      return;
    }
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, pointOf(event));
    drawnFrom = fingers.size === 1 && hand.draws() ? pointOf(event) : null;
    canvas.classList.toggle("is-dragging", drawnFrom === null);
  });
  canvas.addEventListener("pointermove", (event) => {
    const at = pointOf(event);
    const before = fingers.get(event.pointerId);
    if (!before) {
      return;
    }
    if (drawnFrom) {
      hand.draw(drawnFrom, at, false);
    } else if (fingers.size === 2) {
      pinch(event.pointerId, before, at);
    } else {
      hand.move(at.x - before.x, at.y - before.y);
    }
    fingers.set(event.pointerId, at);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, (event) => lift(/** @type {PointerEvent} */ (event), end === "pointerup"));
  }

  /**
   * @param {number} id
   * @param {Point} before
   * @param {Point} at
   */
  function pinch(id, before, at) {
    const [still] = [...fingers].filter(([other]) => other !== id).map(([, point]) => point);
    const reach = Math.hypot(before.x - still.x, before.y - still.y);
    const middle = { x: (at.x + still.x) / 2, y: (at.y + still.y) / 2 };
    hand.move((at.x - before.x) / 2, (at.y - before.y) / 2);
    if (reach > 1) {
      hand.zoom(Math.hypot(at.x - still.x, at.y - still.y) / reach, middle);
    }
  }

  /**
   * @param {PointerEvent} event
   * @param {boolean} isDone
   */
  function lift(event, isDone) {
    if (drawnFrom && fingers.has(event.pointerId)) {
      // What the system broke off is a box without a size, which nobody keeps.
      hand.draw(drawnFrom, isDone ? pointOf(event) : drawnFrom, true);
      drawnFrom = null;
    }
    fingers.delete(event.pointerId);
    canvas.classList.toggle("is-dragging", fingers.size > 0);
  }
}

/** @param {MouseEvent} event @returns {Point} */
function pointOf(event) {
  return { x: event.offsetX, y: event.offsetY };
}
