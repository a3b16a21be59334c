/**
 * The part against its golden reference: beside it with locked zoom, in turn with it, subtracted, off.
 */

/** @typedef {import("../viewer/viewer.js").Viewer} Viewer */
/** @typedef {import("../viewer/mips.js").Mips} Mips */
/** @typedef {import("../viewer/draw.js").Comparison} Comparison */

/** @type {ReadonlyArray<Comparison>} */
const ORDER = ["off", "side", "blink", "difference"];
/** Two changes there and back a second: seen as movement, and under the three flashes a second of WCAG 2.3.1. */
const BLINK_MS = 250;

const GOLDEN = "golden reference";

/** @param {Comparison} comparison @returns {Comparison} */
export function nextComparison(comparison) {
  return ORDER[(ORDER.indexOf(comparison) + 1) % ORDER.length];
}

/**
 * What is said above the pictures.
 * @param {Comparison} comparison
 * @param {{name: string, blinks: boolean, showsReference: boolean}} state name: of what the part is compared with
 */
export function comparisonWords(comparison, { name, blinks, showsReference }) {
  if (comparison === "side") {
    return `Left the part, right the ${name}`;
  }
  if (comparison === "difference") {
    return `Difference between the part and the ${name}, four times as bright`;
  }
  if (comparison === "blink") {
    return blinks ? `Part and ${name} in turn` : `Now the ${showsReference ? name : "part"}`;
  }
  return "";
}

export class Compare {
  #viewer;
  #bar;
  #stop;
  #isCalm;
  #onChange;
  /** @type {Comparison} */
  #comparison = "off";
  /** @type {Mips | null} */
  #golden = null;
  #name = GOLDEN;
  #hasReference = false;
  #isAwaited = false;
  /** What was asked for while the reference was on its way. @type {Comparison | null} */
  #wish = null;
  #showsReference = false;
  #timer = 0;

  /**
   * @param {Viewer} viewer
   * @param {HTMLElement} bar with `[data-compare-words]` and the button of the blink
   * @param {{isCalm: boolean, onChange: (comparison: Comparison) => void}} options
   *   isCalm: nothing moves by itself; the blink goes on by hand
   */
  constructor(viewer, bar, { isCalm, onChange }) {
    this.#viewer = viewer;
    this.#bar = bar;
    this.#stop = /** @type {HTMLElement} */ (bar.querySelector('[data-verb="blink"]'));
    this.#isCalm = isCalm;
    this.#onChange = onChange;
  }

  /** @param {Mips | null} reference the golden one of the part on the screen */
  setReference(reference) {
    const wish = this.#wish;
    this.#golden = reference;
    this.#isAwaited = false;
    this.#wish = null;
    this.#use(reference, GOLDEN);
    if (!reference) {
      this.set("off");
    } else if (wish) {
      this.set(wish);
    }
    this.#print();
  }

  /** Compare with another picture until it is switched off. @param {Mips} other @param {string} name */
  beside(other, name) {
    this.set("side");
    this.#use(other, name);
    this.#print();
  }

  /** @param {Mips | null} reference @param {string} name */
  #use(reference, name) {
    this.#hasReference = reference !== null;
    this.#name = name;
    this.#viewer.setReference(reference);
  }

  /** The reference of a new part is on its way; the old one is no longer drawn. */
  await() {
    this.#golden = null;
    this.#isAwaited = true;
    this.#use(null, GOLDEN);
  }

  /** @returns {"shown" | "awaited" | "none"} none: there is nothing to compare with */
  cycle() {
    if (this.#isAwaited) {
      this.#wish = nextComparison(this.#wish ?? this.#comparison);
      return "awaited";
    }
    this.set(this.#hasReference ? nextComparison(this.#comparison) : "off");
    return this.#hasReference ? "shown" : "none";
  }

  /** @param {Comparison} comparison */
  set(comparison) {
    window.clearInterval(this.#timer);
    this.#timer = 0;
    this.#comparison = comparison;
    this.#showsReference = false;
    this.#viewer.setComparison(comparison);
    this.#onChange(comparison);
    if (comparison === "off") {
      this.#use(this.#golden, GOLDEN);
    }
    if (comparison === "blink" && !this.#isCalm) {
      this.#blink();
    }
    this.#print();
  }

  /** A new part: a difference or a blink that began with the part before would be taken for its picture. */
  settle() {
    this.#wish = null;
    if (this.#comparison !== "side") {
      this.set("off");
    }
  }

  /** Stop the blinking or go on; without motion: the other of the two. */
  hold() {
    if (this.#comparison !== "blink") {
      return;
    }
    if (this.#timer) {
      window.clearInterval(this.#timer);
      this.#timer = 0;
    } else if (this.#isCalm) {
      this.#showsReference = this.#viewer.swapSides();
    } else {
      this.#blink();
    }
    this.#print();
  }

  #blink() {
    this.#timer = window.setInterval(() => {
      this.#showsReference = this.#viewer.swapSides();
    }, BLINK_MS);
  }

  #print() {
    const blinks = this.#timer !== 0;
    this.#bar.hidden = this.#comparison === "off";
    const words = /** @type {HTMLElement} */ (this.#bar.querySelector("[data-compare-words]"));
    const state = { name: this.#name, blinks, showsReference: this.#showsReference };
    words.textContent = comparisonWords(this.#comparison, state);
    this.#stop.hidden = this.#comparison !== "blink";
    const label = /** @type {HTMLElement} */ (this.#stop.querySelector("span"));
    label.textContent = blinks ? "Stop" : this.#isCalm ? "Show the other" : "Go on";
  }
}
