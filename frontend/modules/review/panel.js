/**
 * Everything on the review page that is text, bars and buttons; the picture is the viewer's.
 */

import { onAxis } from "../score_axis.js";
import { ageText, clockText, shareLeft } from "../times.js";
import { isVeiled } from "./record.js";

/** @typedef {import("./record.js").LeasedCase} LeasedCase */
/** @typedef {import("./record.js").Word} Word */
/** @typedef {"loading" | "looking" | "unseen" | "sending" | "empty" | "paused" | "trouble" | "elsewhere"} State */

/** @type {Readonly<Record<Word, string>>} */
export const WORDS = { PASS: "Pass", REJECT: "Reject", CANNOT_TELL: "Cannot tell", ESCALATE: "Escalation" };
/** What a button says on a blind line once the first opinion is given. @type {Readonly<Record<string, string>>} */
const CHANGES = { REJECT: "Change to reject", CANNOT_TELL: "Cannot tell", PASS: "Change to pass" };

/**
 * A part that nobody can see on this screen is not passed from it.
 * @param {string | undefined} state
 * @param {string} verb
 */
export function mayDecide(state, verb) {
  return state === "looking" || (state === "unseen" && verb !== "pass");
}

/**
 * How urgent a case is.
 * @param {LeasedCase | null} leased
 * @param {number} now server clock, epoch ms
 * @returns {"late" | "over" | "amber" | "calm"}
 */
export function urgency(leased, now) {
  if (!leased || leased.deadlineAt === null) {
    return leased?.isLate ? "late" : "calm";
  }
  if (leased.isLate) {
    return "late";
  }
  const left = leased.deadlineAt - now;
  return left <= 0 ? "over" : left <= leased.amberMs ? "amber" : "calm";
}

export class Panel {
  #root;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
  }

  get state() {
    return /** @type {State} */ (this.#root.dataset.state);
  }

  /** @param {State} state */
  setState(state) {
    this.#root.dataset.state = state;
    for (const button of this.#all("[data-decides]")) {
      const { verb = "" } = /** @type {HTMLElement} */ (button).dataset;
      /** @type {HTMLButtonElement} */ (button).disabled = !mayDecide(state, verb);
    }
  }

  /** @param {boolean} isAhead the picture is already that of the next part, the words are not */
  setAhead(isAhead) {
    this.#root.toggleAttribute("data-ahead", isAhead);
  }

  /** @param {LeasedCase} leased */
  showCase(leased) {
    this.text("part", leased.partName);
    this.text("serial", leased.serial || "–");
    this.text("line", [leased.line, leased.station].filter(Boolean).join(" / ") || "–");
    this.text("part-type", leased.partType || "–");
    this.text("model", leased.model || "–");
    this.text("reason", leased.reason || "Score inside the grey band");
    this.text("score", leased.score === null ? "none" : leased.score.toFixed(3));
    this.#showScore(leased);
    this.#showStage(leased);
  }

  /**
   * Which of the two opinions of a blind line the next press is.
   * @param {LeasedCase} leased
   */
  #showStage(leased) {
    const { isBlind, firstOpinion } = leased;
    this.#root.dataset.veil = isVeiled(leased) ? "down" : "";
    this.#one("[data-stage]").hidden = !isBlind;
    this.text("stage-count", firstOpinion ? "Verdict · 2 of 2" : "First opinion · 1 of 2");
    this.text(
      "stage-words",
      firstOpinion
        ? `You said ${WORDS[firstOpinion].toLowerCase()}. The same key confirms it, another key changes it.`
        : "Say what you see. Score, map and precedents show after it.",
    );
    for (const button of this.#all(".verdict[data-outcome]")) {
      const outcome = /** @type {Word} */ (/** @type {HTMLElement} */ (button).dataset.outcome);
      const isFirst = outcome === firstOpinion;
      button.classList.toggle("is-first", isFirst);
      const plain = WORDS[outcome];
      const words = !firstOpinion ? plain : isFirst ? `Confirm ${plain.toLowerCase()}` : CHANGES[outcome];
      /** @type {HTMLElement} */ (button.querySelector("[data-label]")).textContent = words;
    }
  }

  /**
   * @param {LeasedCase | null} leased
   * @param {number} now server clock, epoch ms
   */
  tick(leased, now) {
    const until = leased?.deadlineAt ?? null;
    const from = leased?.openedAt ?? leased?.triggeredAt ?? null;
    const share = until === null ? 1 : shareLeft({ from: from ?? until - 60_000, until, now });
    const level = urgency(leased, now);
    this.#one("[data-deadline-bar]").style.transform = `scaleX(${level === "late" ? 0 : share})`;
    this.#one("[data-deadline]").dataset.urgency = level;
    const isOver = level === "late" || level === "over";
    this.text("deadline-words", isOver ? "Deadline passed:" : level === "amber" ? "Nearly over:" : "Time to decide");
    const left = until === null ? "no deadline" : clockText(until - now);
    this.text("deadline", level === "late" ? "for the record only" : level === "over" ? "0:00" : left);
    this.text("waited", from === null ? "–" : ageText(now - from));
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
    this.text("banner", text);
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

  /** Said once to those who listen instead of looking, and nowhere else. @param {string} words */
  announce(words) {
    this.text("announcement", words);
  }

  /** @param {ReadonlyArray<string>} sentences why there is no part on the screen */
  pause(sentences) {
    const place = this.#one("[data-pause-words]");
    place.replaceChildren(
      ...sentences.map((sentence) => {
        const line = document.createElement("p");
        line.textContent = sentence;
        return line;
      }),
    );
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
      this.text("undo", `${given.words} given for ${given.part}`);
    }
  }

  /**
   * @param {number} share 1..0
   * @param {number} ms
   */
  tickUndo(share, ms) {
    this.#one("[data-undo-bar]").style.transform = `scaleX(${share})`;
    this.text("undo-left", `${Math.ceil(ms / 1000)} s`);
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
      this.text("grey-from", greyFrom.toFixed(3));
      this.text("grey-to", greyTo.toFixed(3));
    }
  }

  /**
   * @param {string} name
   * @param {string} words
   */
  text(name, words) {
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
