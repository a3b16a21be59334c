/**
 * The way back: the last verdict while its window is open.
 */

import { WORDS } from "./panel.js";

/** @typedef {import("./api.js").ReviewApi} ReviewApi */
/** @typedef {import("./api.js").Answer} Answer */
/** @typedef {import("./outbox.js").Outcome} Outcome */

const AGAIN_MS = 400;

export class UndoWindow {
  #api;
  #panel;
  #now;
  /** @type {{caseId: number, until: number, span: number} | null} */
  #open = null;

  /**
   * @param {ReviewApi} api
   * @param {import("./panel.js").Panel} panel
   * @param {() => number} now server clock, epoch ms
   */
  constructor(api, panel, now) {
    this.#api = api;
    this.#panel = panel;
    this.#now = now;
  }

  get isOpen() {
    return this.#open !== null;
  }

  /** @param {Extract<Outcome, {kind: "taken"}>} outcome */
  offer({ letter, body }) {
    const until = Date.parse(body.undo_until);
    const span = until - this.#now();
    if (span > 0) {
      this.#open = { caseId: letter.caseId, until, span };
      this.#panel.showUndo({ verdict: letter.verdict, words: WORDS[letter.verdict], part: letter.partName });
    }
  }

  close() {
    this.#open = null;
    this.#panel.showUndo(null);
  }

  tick() {
    if (this.#open) {
      const left = this.#open.until - this.#now();
      this.#panel.tickUndo(Math.max(0, left / this.#open.span), Math.max(0, left));
      if (left <= 0) {
        this.close();
      }
    }
  }

  /**
   * Take the verdict back; a lost network is tried again while there is time.
   * @param {Promise<void> | null} before what must have been answered first
   * @returns {Promise<Answer | null>} null where nothing can be undone
   */
  async take(before) {
    const wanted = this.#open;
    if (!wanted) {
      return null;
    }
    this.close();
    await before;
    let answer = await this.#api.undo(wanted.caseId);
    while (answer.status === 0 && this.#now() < wanted.until) {
      await new Promise((resolve) => window.setTimeout(resolve, AGAIN_MS));
      answer = await this.#api.undo(wanted.caseId);
    }
    return answer;
  }
}
