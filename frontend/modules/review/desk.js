/**
 * The flow of the review: lease a part, look, say a word, next.
 *
 * One part on the screen at a time; a verdict goes through the outbox, and no next part is taken before it is answered.
 */

import { clockOffset } from "../times.js";
import { Foresight } from "./foresight.js";
import { LeaseKeeper } from "./lease_keeper.js";
import { isLoginLost } from "./outbox.js";
import { WORDS, mayDecide, urgency } from "./panel.js";
import { isVeiled, readLease } from "./record.js";
import { UndoWindow } from "./undo.js";

/** @typedef {import("./record.js").LeasedCase} LeasedCase */
/** @typedef {import("./record.js").Word} Word */
/** @typedef {import("./outbox.js").Outcome} Outcome */
/** @typedef {import("./api.js").Answer} Answer */

/**
 * @typedef {object} Parts
 * @property {import("./api.js").ReviewApi} api
 * @property {import("./panel.js").Panel} panel
 * @property {import("./screen.js").Screen} screen
 * @property {import("./outbox.js").Outbox} outbox
 * @property {import("./shift.js").Shift} shift
 * @property {() => boolean} worksHere  whether the person works in this tab
 * @property {(verdict: Word) => {note: string, defect_type: string, handling: string, marks: number[][]}} remarks
 * @property {(leased: LeasedCase, isNew: boolean) => void} onCase  a case comes to the screen or changes there
 * @property {() => void} onAmber  the time is nearly over, once a case
 */

/** The server carries a passed deadline out within this. */
const DEADLINE_GRACE_MS = 1_000;
const REFUSED =
  "was not taken: the part has been decided elsewhere or its time ran out. Its disposition stands as the record shows.";

export class Desk {
  #parts;
  /** @type {LeasedCase | null} */
  #leased = null;
  #undo;
  #keeper;
  #shownAt = Number.POSITIVE_INFINITY;
  /** Which case is looked at, and from when on. */
  #seenCase = 0;
  #seenFrom = 0;
  /** When the picture of the next case was drawn ahead of its lease. @type {number | null} */
  #aheadAt = null;
  #foresight = new Foresight();
  #undoFollows = false;
  /** Case for which the tone has sounded. */
  #toned = 0;
  /** @type {Promise<void> | null} */
  #taking = null;
  #offsetMs = 0;

  /** @param {Parts} parts */
  constructor(parts) {
    this.#parts = parts;
    this.#undo = new UndoWindow(parts.api, parts.panel, () => this.#serverNow());
    this.#keeper = new LeaseKeeper(parts.api, parts.shift, (leased) => this.#lose(leased));
  }

  get leased() {
    return this.#leased;
  }

  /** When the picture on the screen appeared, performance.now clock. */
  get shownAt() {
    return this.#shownAt;
  }

  #serverNow() {
    return Date.now() + this.#offsetMs;
  }

  /** A verdict that a reload interrupted goes out before anything else. */
  async begin() {
    const outcome = await this.#parts.outbox.deliver();
    await (outcome ? this.#settle(outcome) : this.takeNext());
  }

  async takeNext() {
    if (this.#leased || this.#taking || this.#parts.outbox.pending || !this.#parts.worksHere()) {
      return;
    }
    this.#taking = this.#parts.api.leaseNext().then((answer) => this.#received(answer));
    await this.#taking;
    this.#taking = null;
  }

  /** @param {Answer} answer with a leased case, or none */
  #received(answer) {
    const { panel } = this.#parts;
    this.#offsetMs = clockOffset(answer.date, Date.now());
    if (answer.status === 200) {
      panel.clearBanner({ onlyBusy: true });
      this.#foresight.came(answer.body.case);
      void this.#show(readLease(answer.body));
    } else if (answer.status === 204) {
      panel.clearBanner({ onlyBusy: true });
      this.blank("empty");
    } else if (isLoginLost(answer)) {
      this.blank("trouble");
      panel.banner({ text: "You are no longer logged in.", tone: "error", busy: true, login: true });
    } else if (answer.status >= 400 && answer.status < 500) {
      this.blank("trouble");
      const text = answer.body?.detail ?? `The server refused (${answer.status}).`;
      panel.banner({ text, tone: "error", busy: true });
    } else {
      this.blank("trouble");
      panel.banner({ text: "The server cannot be reached. Trying again.", tone: "error", busy: true });
    }
  }

  /** @param {LeasedCase} next */
  async #show(next) {
    const { panel, screen, onCase } = this.#parts;
    const isNew = this.#seenCase !== next.id;
    if (screen.drawnCase !== next.id) {
      this.#aheadAt = null;
    }
    this.#leased = next;
    this.#shownAt = Number.POSITIVE_INFINITY;
    const seen = screen.show(next);
    panel.setState("loading");
    panel.setAhead(false);
    panel.showCase(next);
    panel.tick(next, this.#serverNow());
    onCase(next, isNew);
    const hasPicture = await seen;
    if (this.#leased !== next) {
      return;
    }
    this.#shownAt = this.#aheadAt ?? performance.now();
    this.#aheadAt = null;
    if (isNew) {
      this.#seenFrom = this.#shownAt;
      this.#seenCase = next.id;
    }
    panel.setState(hasPicture ? "looking" : "unseen");
  }

  /** @param {"empty" | "paused" | "trouble" | "elsewhere"} state */
  blank(state) {
    this.#leased = null;
    this.#seenCase = 0;
    this.#aheadAt = null;
    this.#shownAt = Number.POSITIVE_INFINITY;
    this.#parts.screen.blank();
    this.#parts.panel.setAhead(false);
    this.#parts.panel.setState(state);
  }

  /** @param {Word} verdict */
  async say(verdict) {
    const { panel, outbox, shift, remarks } = this.#parts;
    const current = this.#leased;
    if (!current || !mayDecide(panel.state, verdict.toLowerCase())) {
      return;
    }
    if (isVeiled(current) && verdict !== "ESCALATE") {
      await this.#giveFirstOpinion(current, verdict);
      return;
    }
    panel.setState("sending");
    this.#undo.close();
    const delivery = outbox.post({
      caseId: current.id,
      partName: current.partName,
      lease: current.token,
      verdict,
      seen_ms: Math.round(performance.now() - this.#seenFrom),
      active_ms: shift.activeMs,
      ...remarks(verdict),
    });
    this.#lookAhead(current);
    const outcome = await delivery;
    if (outcome) {
      await this.#settle(outcome);
    }
  }

  /** The picture of the next case is drawn at once; it can be judged when its lease is here. @param {LeasedCase} current */
  #lookAhead({ ahead: [next] }) {
    this.#foresight.expect(next?.id ?? null);
    if (next && this.#foresight.isTrusted && this.#parts.screen.showAhead(next)) {
      this.#aheadAt = performance.now();
      this.#parts.panel.setAhead(true);
    }
  }

  /** The verdict does not get through: what was drawn ahead is not to be looked at for minutes. */
  takeBackAhead() {
    if (this.#aheadAt !== null) {
      this.#aheadAt = null;
      this.#parts.screen.takeBack();
    }
  }

  /** @param {LeasedCase} current @param {Word} verdict */
  async #giveFirstOpinion(current, verdict) {
    const { api, panel } = this.#parts;
    const { state } = panel;
    panel.setState("sending");
    const answer = await api.firstOpinion(current, verdict);
    if (this.#leased !== current) {
      return;
    }
    if (answer.status === 200) {
      panel.announce("Score, map and precedents are shown. Now give your verdict.");
      await this.#show(readLease(answer.body));
    } else if (answer.status === 409) {
      // Another word came first, or the lease ended: the server says what is on this screen now.
      this.#leased = null;
      await this.takeNext();
    } else {
      panel.setState(state);
      const text = answer.status === 0 ? "The server cannot be reached." : (answer.body?.detail ?? "The server refused.");
      panel.banner({ text: `${text} Your first opinion was not sent; give it again.`, tone: "error" });
    }
  }

  /** @param {Outcome} outcome */
  async #settle(outcome) {
    const { panel } = this.#parts;
    panel.clearBanner();
    this.#leased = null;
    if (outcome.kind === "taken") {
      this.#undo.offer(outcome);
    } else {
      const said = `${WORDS[outcome.letter.verdict]} for ${outcome.letter.partName}`;
      panel.banner({ text: `${said} ${outcome.detail ? `was not taken: ${outcome.detail}` : REFUSED}`, tone: "error" });
    }
    if (!this.#parts.worksHere()) {
      this.blank("elsewhere");
    } else if (this.#undoFollows && this.#undo.isOpen) {
      this.#undoFollows = false;
      await this.undo();
    } else {
      this.#undoFollows = false;
      await this.takeNext();
    }
  }

  async undo() {
    const { panel, outbox } = this.#parts;
    if (panel.state === "sending" && outbox.pending) {
      this.#undoFollows = true;
      panel.banner({ text: "The verdict is being sent; it is undone as soon as it has arrived.", tone: "info" });
      return;
    }
    // The next part may be on its way to this screen; the undo gives it back, so it must have arrived.
    const answer = await this.#undo.take(this.#taking);
    if (!answer) {
      return;
    }
    if (answer.status === 200) {
      await this.#show(readLease(answer.body));
      panel.banner({ text: "The verdict is undone.", tone: "info" });
      return;
    }
    const why = answer.status === 0 ? "the server cannot be reached" : "its window is closed";
    panel.banner({ text: `The verdict could not be undone: ${why}.`, tone: "error" });
    await this.takeNext();
  }

  /**
   * The part in the inspector's hand comes to the screen.
   * @param {string} code
   * @returns {Promise<string | null>} why not, as a sentence
   */
  async takeInHand(code) {
    const { api, panel } = this.#parts;
    if (panel.state === "sending" || !this.#parts.worksHere()) {
      return "Wait until the verdict is sent.";
    }
    await this.#taking;
    const answer = await api.inHand(code);
    if (answer.status === 200) {
      this.#received(answer);
      return null;
    }
    return answer.status === 0
      ? "The server cannot be reached."
      : (answer.body?.detail ?? `The server refused (${answer.status}).`);
  }

  /**
   * Stop.
   * @param {ReadonlyArray<string>} sentences
   * @param {{isGivenBack: boolean}} part isGivenBack: the server has taken the part from this screen already
   */
  async pause(sentences, { isGivenBack }) {
    const current = this.#leased;
    this.#parts.panel.pause(sentences);
    this.#parts.panel.clearBanner();
    this.blank("paused");
    if (current && !isGivenBack) {
      await this.#parts.api.giveBack(current);
    }
  }

  /** This tab is left to another one, which has the same lease. */
  leave() {
    if (this.#parts.panel.state !== "sending") {
      this.blank("elsewhere");
    }
  }

  /** The page goes away. */
  close() {
    if (this.#leased && !this.#parts.outbox.pending) {
      void this.#parts.api.giveBack(this.#leased);
      this.blank("trouble");
    }
  }

  /** The machine woke up or the network is back: is the part still ours? */
  async resync() {
    const current = this.#leased;
    if (current && mayDecide(this.#parts.panel.state, "reject")) {
      await this.#keeper.renew(current);
    }
  }

  tick() {
    const { panel } = this.#parts;
    const now = this.#serverNow();
    const current = this.#leased;
    panel.tick(current, now);
    this.#undo.tick();
    if (!current || !mayDecide(panel.state, "reject")) {
      return;
    }
    const level = urgency(current, now);
    if (level === "amber" && this.#toned !== current.id) {
      this.#toned = current.id;
      this.#parts.onAmber();
      panel.announce("The time to decide is nearly over.");
    }
    if (level === "over" && /** @type {number} */ (current.deadlineAt) + DEADLINE_GRACE_MS < now) {
      void this.#expire(current);
    } else {
      this.#keeper.tick(current, now);
    }
  }

  /** The fail-safe rule has decided the part; where its case lives on, the word still counts for the record. */
  async #expire(/** @type {LeasedCase} */ { id, partName }) {
    const { panel } = this.#parts;
    this.#leased = null;
    panel.setState("sending");
    await this.takeNext();
    const after = /** @type {LeasedCase | null} */ (this.#leased);
    const record = after?.id === id && after.isLate ? " Your verdict still counts for the record." : "";
    panel.banner({ text: `The deadline of ${partName} passed: the fail-safe rule decided it.${record}`, tone: "warn" });
  }

  /** @param {LeasedCase} lost */
  #lose(lost) {
    if (this.#leased !== lost || !mayDecide(this.#parts.panel.state, "reject")) {
      return;
    }
    this.#parts.panel.pause(["Your part went back to the queue."]);
    this.blank("paused");
    const text = `Your time with ${lost.partName} ended; the part went back to the queue.`;
    this.#parts.panel.banner({ text, tone: "warn" });
  }
}
