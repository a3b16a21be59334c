/**
 * The inspector's own time: the ring of active time, the suggestion of a break, and what a finished block was like.
 */

import { ActiveClock } from "./active_clock.js";

/** @typedef {import("./api.js").ReviewApi} ReviewApi */

const TELL_EVERY_MS = 15_000;
/** Circumference of the drawn ring, r = 16. */
const ROUND = 2 * Math.PI * 16;
const BREAK_AFTER_MS = 20 * 60_000;

export class Shift {
  #api;
  #root;
  #clock = new ActiveClock(performance.now());
  #signAt = performance.now();
  /** Active time of the spell as the server knows it. */
  #told = 0;
  #breakAfter = BREAK_AFTER_MS;
  #askedAt = performance.now();
  #hasBegun = false;
  #isDismissed = false;

  /**
   * @param {ReviewApi} api
   * @param {HTMLElement} root
   */
  constructor(api, root) {
    this.#api = api;
    this.#root = root;
    for (const sign of ["pointermove", "keydown", "pointerdown", "wheel"]) {
      document.addEventListener(sign, () => this.sign(), { passive: true });
    }
    this.#one("[data-break-later]").addEventListener("click", () => {
      this.#isDismissed = true;
      this.#one("[data-break-due]").hidden = true;
    });
  }

  /** Active time into the spell. */
  get activeMs() {
    return this.#told + this.#clock.untold;
  }

  /** How long nobody has moved. @param {number} now */
  idleMs(now) {
    return now - this.#signAt;
  }

  /** Somebody is here. */
  sign() {
    this.#signAt = performance.now();
  }

  /** A part is on the screen: the block begins now and not with the first report. */
  begin() {
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      void this.#tell();
    }
  }

  /** @param {boolean} isWorking whether this tab is where the person works */
  tick(isWorking) {
    const now = performance.now();
    this.#clock.tick(now, { isVisible: isWorking && document.visibilityState === "visible", signAt: this.#signAt });
    if (now - this.#askedAt >= TELL_EVERY_MS) {
      this.#askedAt = now;
      if (this.#clock.untold > 0) {
        void this.#tell();
      }
    }
    this.#print();
  }

  async #tell() {
    const { untold } = this.#clock;
    const { status, body } = await this.#api.activity(untold);
    if (status !== 200) {
      return; // stays untold and goes with the next one
    }
    this.#clock.told(untold);
    this.#told = body.active_ms;
    this.#breakAfter = body.break_after_ms || BREAK_AFTER_MS;
    this.#one("[data-break-due]").hidden = !body.break_due || this.#isDismissed;
  }

  /**
   * End the block.
   * @returns {Promise<{sentences: string[]} | null>} what it was like; null where the server keeps no blocks
   */
  async takeBreak() {
    await this.#tell();
    const { status, body } = await this.#api.takeBreak();
    this.#clock.told(this.#clock.untold);
    this.#told = 0;
    this.#hasBegun = false;
    this.#isDismissed = false;
    this.#one("[data-break-due]").hidden = true;
    return status === 200 ? { sentences: blockWords(body) } : null;
  }

  #print() {
    const share = Math.min(1, this.activeMs / this.#breakAfter);
    this.#one("[data-ring]").style.strokeDashoffset = String(ROUND * (1 - share));
    const words = this.#one('[data-text="active"]');
    const minutes = String(Math.floor(this.activeMs / 60_000));
    if (words.textContent !== minutes) {
      words.textContent = minutes;
    }
  }

  /** @param {string} selector @returns {HTMLElement} */
  #one(selector) {
    return /** @type {HTMLElement} */ (this.#root.querySelector(selector));
  }
}

/**
 * @param {{verdicts: number, active_ms: number,
 *   probes: {seen: number, right: number, missed_bad: number, rejected_good: number}}} block
 * @returns {string[]}
 */
export function blockWords({ verdicts, active_ms, probes }) {
  const minutes = Math.round(active_ms / 60_000);
  const time = minutes < 1 ? "less than a minute" : `${minutes} active ${minutes === 1 ? "minute" : "minutes"}`;
  const work = `${verdicts} ${verdicts === 1 ? "verdict" : "verdicts"} in ${time}.`;
  if (!probes?.seen) {
    return [work];
  }
  const slips = [
    probes.missed_bad ? `${probes.missed_bad} bad passed` : "",
    probes.rejected_good ? `${probes.rejected_good} good rejected` : "",
  ].filter(Boolean);
  const known = `Of ${probes.seen} known ${probes.seen === 1 ? "part" : "parts"} among them you judged ${probes.right} right`;
  return [work, `${known}${slips.length ? `: ${slips.join(", ")}` : ""}.`];
}
