/**
 * Time that somebody really looks: a hidden tab, an idle minute and a sleeping machine do not count.
 */

export const IDLE_MS = 60_000;
/** A longer step between two ticks was sleep. */
const LONGEST_STEP_MS = 2_000;

export class ActiveClock {
  #at;
  #untold = 0;

  /** @param {number} now monotonic ms */
  constructor(now) {
    this.#at = now;
  }

  /**
   * @param {number} now
   * @param {{isVisible: boolean, signAt: number}} person signAt: when a hand moved last
   */
  tick(now, { isVisible, signAt }) {
    const step = now - this.#at;
    this.#at = now;
    if (isVisible && now - signAt < IDLE_MS && step <= LONGEST_STEP_MS) {
      this.#untold += step;
    }
  }

  /** Active time that the server does not know yet. */
  get untold() {
    return Math.round(this.#untold);
  }

  /** @param {number} ms that the server has taken */
  told(ms) {
    this.#untold -= ms;
  }
}
