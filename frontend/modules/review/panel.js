/**
 * Everything on the review page that is text, bars and buttons; the picture is the viewer's.
 */

import { onAxis } from "../score_axis.js";
import { ageText, clockText, shareLeft } from "../times.js";

/** @typedef {import("./api.js").LeasedCase} LeasedCase */
/** @typedef {"loading" | "looking" | "unseen" | "sending" | "empty" | "paused" | "trouble"} State */

/** The last fifth of the time is shown as urgent, by colour, by words and by weight. */
const URGENT_SHARE = 0.2;

/**
 * A part that nobody can see on this screen is not passed from it.
 * @param {string | undefined} state
 * @param {string} verb
 */
export function mayDecide(state, verb) {
  return state === "looking" || (state === "unseen" && verb !== "pass");
}

export class Panel {
  #root;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
  }

  /** @param {State} state */
  setState(state) {
    this.#root.dataset.state = state;
    for (const button of this.#all("[data-decides]")) {
      const { verb = "" } = /** @type {HTMLElement} */ (button).dataset;
      /** @type {HTMLButtonElement} */ (button).disabled = !mayDecide(state, verb);
    }
  }

  /** @param {LeasedCase} leased */
  showCase(leased) {
    this.#text("part", leased.partName);
    this.#text("serial", leased.serial || "–");
    this.#text("station", leased.station || "–");
    this.#text("reason", leased.reason || "Score inside the grey band");
    this.#text("score", leased.score === null ? "none" : leased.score.toFixed(3));
    this.#showScore(leased);
    this.note.value = "";
  }

  /** @returns {HTMLTextAreaElement} */
  get note() {
    return /** @type {HTMLTextAreaElement} */ (this.#one("[data-note]"));
  }

  /**
   * @param {LeasedCase | null} leased
   * @param {number} now server clock, epoch ms
   */
  tick(leased, now) {
    const until = leased?.deadlineAt ?? null;
    const from = leased?.openedAt ?? leased?.triggeredAt ?? null;
    const share = until === null ? 1 : shareLeft({ from: from ?? until - 60_000, until, now });
    const bar = this.#one("[data-deadline-bar]");
    bar.style.transform = `scaleX(${share})`;
    const urgent = until !== null && share < URGENT_SHARE;
    this.#one("[data-deadline]").classList.toggle("is-urgent", urgent);
    this.#text("deadline", until === null ? "no deadline" : clockText(until - now));
    this.#text("waited", from === null ? "–" : ageText(now - from));
  }

  /**
   * @param {{text: string, tone: "info" | "warn" | "error", busy?: boolean, login?: boolean}} words
   *   busy: goes away by itself; login: offers the way to the login page
   */
  banner({ text, tone, busy = false, login = false }) {
    const banner = this.#one("[data-banner]");
    banner.hidden = false;
    banner.dataset.tone = tone;
    banner.toggleAttribute("data-busy", busy);
    this.#one("[data-dismiss]").hidden = busy;
    this.#one("[data-login]").hidden = !login;
    this.#text("banner", text);
  }

  /**
   * @param {{onlyBusy?: boolean}} [which] onlyBusy: a trouble that is over; news stay until they are read
   */
  clearBanner({ onlyBusy = false } = {}) {
    const banner = this.#one("[data-banner]");
    if (!onlyBusy || banner.hasAttribute("data-busy")) {
      banner.hidden = true;
    }
  }

  /**
   * The strip that offers the undo.
   * @param {{verdict: string, words: string, part: string} | null} given
   */
  showUndo(given) {
    const strip = this.#one("[data-undo]");
    strip.hidden = given === null;
    if (given) {
      strip.dataset.outcome = given.verdict;
      this.#text("undo", `${given.words} given for ${given.part}`);
    }
  }

  /**
   * @param {number} share 1..0
   * @param {number} ms
   */
  tickUndo(share, ms) {
    this.#one("[data-undo-bar]").style.transform = `scaleX(${share})`;
    this.#text("undo-left", `${Math.ceil(ms / 1000)} s`);
  }

  /** @param {string} text */
  setZoom(text) {
    this.#text("zoom", text);
  }

  /** @param {LeasedCase} leased */
  #showScore({ score, greyFrom, greyTo }) {
    const scale = this.#one("[data-score]");
    const known = score !== null && greyFrom !== null && greyTo !== null;
    scale.hidden = !known;
    if (known) {
      // Geometry by the CSSOM: the policy forbids style attributes, not this.
      const axis = this.#one("[data-score-axis]");
      axis.style.setProperty("--from", `${100 * onAxis(greyFrom)}%`);
      axis.style.setProperty("--to", `${100 * onAxis(Math.max(greyFrom, greyTo))}%`);
      this.#one("[data-score-mark]").style.left = `${100 * onAxis(score)}%`;
      this.#text("grey-from", greyFrom.toFixed(3));
      this.#text("grey-to", greyTo.toFixed(3));
    }
  }

  /**
   * @param {string} name
   * @param {string} words
   */
  #text(name, words) {
    for (const element of this.#all(`[data-text="${name}"]`)) {
      if (element.textContent !== words) {
        element.textContent = words;
      }
    }
  }

  /**
   * @param {string} selector
   * @returns {HTMLElement}
   */
  #one(selector) {
    const found = this.#root.querySelector(selector);
    if (!(found instanceof HTMLElement)) {
      throw new Error(`the review page lacks ${selector}`);
    }
    return found;
  }

  /** @param {string} selector */
  #all(selector) {
    return this.#root.querySelectorAll(selector);
  }
}
