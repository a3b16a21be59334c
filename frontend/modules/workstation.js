/**
 * The review page: lease a grey part, look, say a word, next.
 *
 * One part on the screen at a time; a verdict goes through the outbox, and no next part is taken before it is answered.
 */

import { bindKeys, printKeys } from "./keys.js";
import { ReviewApi, readLease } from "./review/api.js";
import { clockOffset } from "./times.js";
import { Outbox, isLoginLost } from "./review/outbox.js";
import { Panel, mayDecide } from "./review/panel.js";
import { Pictures } from "./viewer/pictures.js";
import { Viewer } from "./viewer/viewer.js";

/** @typedef {import("./review/api.js").LeasedCase} LeasedCase */
/** @typedef {import("./review/outbox.js").Word} Word */
/** @typedef {import("./review/outbox.js").Outcome} Outcome */

/** @type {Record<Word, string>} */
const WORDS = { PASS: "Pass", REJECT: "Reject", CANNOT_TELL: "Cannot tell", ESCALATE: "Escalation" };
/** A picture that does not come is asked for again after so long. */
const PICTURE_WAITS_MS = [500, 2_000];
const POLL_MS = 15_000;
const TICK_MS = 200;
/** Nobody moved for so long: the lease is left to expire and the part goes to somebody who is there. */
const AWAY_MS = 60_000;
const REFUSED =
  "was not taken: the part has been decided elsewhere or its time ran out. Its disposition stands as the record shows.";

const root = /** @type {HTMLElement} */ (document.getElementById("workstation"));
const canvas = /** @type {HTMLCanvasElement} */ (document.getElementById("stage"));
const opacity = /** @type {HTMLInputElement} */ (document.getElementById("map-opacity"));
const help = /** @type {HTMLDialogElement} */ (document.getElementById("keys"));
const csrf = document.querySelector('meta[name="csrf-token"]')?.getAttribute("content") ?? "";

const api = new ReviewApi(root.dataset.casesUrl ?? "/api/v1/cases/", csrf);
const panel = new Panel(root);
const pictures = new Pictures();
const viewer = new Viewer(canvas, { onChange: ({ scale }) => panel.setZoom(`${Math.round(scale * 100)} %`) });
const outbox = new Outbox({
  send: (letter) => api.send(letter),
  store: window.sessionStorage,
  wait: waitForNetwork,
  onTrouble: showTrouble,
});

/** @type {LeasedCase | null} */
let leased = null;
/** @type {{caseId: number, until: number, span: number} | null} */
let undoable = null;
let shownAt = Number.POSITIVE_INFINITY;
let activeAt = performance.now();
let renewing = false;
/** @type {Promise<void> | null} */
let taking = null;
let leavingToLogin = false;
let offsetMs = 0;
/** @type {() => void} */
let hurry = () => {};

const serverNow = () => Date.now() + offsetMs;

async function takeNext() {
  if (leased || taking || outbox.pending) {
    return;
  }
  taking = askForNext();
  await taking;
  taking = null;
}

async function askForNext() {
  const answer = await api.leaseNext();
  offsetMs = clockOffset(answer.date, Date.now());
  if (answer.status === 200) {
    panel.clearBanner({ onlyBusy: true });
    void show(readLease(answer.body));
  } else if (answer.status === 204) {
    panel.clearBanner({ onlyBusy: true });
    blank("empty");
  } else if (isLoginLost(answer)) {
    blank("trouble");
    panel.banner({ text: "You are no longer logged in.", tone: "error", busy: true, login: true });
  } else if (answer.status >= 400 && answer.status < 500) {
    blank("trouble");
    panel.banner({ text: answer.body?.detail ?? `The server refused (${answer.status}).`, tone: "error", busy: true });
  } else {
    blank("trouble");
    panel.banner({ text: "The server cannot be reached. Trying again.", tone: "error", busy: true });
  }
}

/** @param {LeasedCase} next */
async function show(next) {
  leased = next;
  shownAt = Number.POSITIVE_INFINITY;
  panel.setState("loading");
  panel.showCase(next);
  panel.tick(next, serverNow());
  const picture = next.imageUrl ? await pictureOf(next, next.imageUrl) : null;
  if (leased !== next) {
    return;
  }
  viewer.show(picture);
  shownAt = performance.now();
  activeAt = shownAt;
  panel.setState(picture ? "looking" : "unseen");
  if (next.next) {
    pictures.get(next.next.imageUrl, next.next.mapUrl, next.greyFrom).catch(() => {});
  }
}

/**
 * @param {LeasedCase} next
 * @param {string} imageUrl
 * @returns {Promise<import("./viewer/pictures.js").Picture | null>} null where it does not come even when asked again
 */
async function pictureOf(next, imageUrl) {
  for (const wait of [...PICTURE_WAITS_MS, null]) {
    try {
      return await pictures.get(imageUrl, next.mapUrl, next.greyFrom);
    } catch {
      if (wait === null || leased !== next) {
        return null;
      }
      await new Promise((resolve) => window.setTimeout(resolve, wait));
    }
  }
  return null;
}

/** @param {"empty" | "paused" | "trouble" | "loading"} state */
function blank(state) {
  leased = null;
  shownAt = Number.POSITIVE_INFINITY;
  viewer.show(null);
  panel.setState(state);
}

/** @param {Word} verdict */
async function say(verdict) {
  const current = leased;
  if (!current || !mayDecide(root.dataset.state, verdict.toLowerCase())) {
    return;
  }
  panel.setState("sending");
  hideUndo();
  const outcome = await outbox.post({
    caseId: current.id,
    partName: current.partName,
    lease: current.token,
    verdict,
    note: panel.note.value.trim(),
    seen_ms: Math.round(performance.now() - shownAt),
  });
  if (outcome) {
    await settle(outcome);
  }
}

/** @param {Outcome} outcome */
async function settle(outcome) {
  panel.clearBanner();
  leased = null;
  if (outcome.kind === "taken") {
    offerUndo(outcome);
  } else {
    const said = `${WORDS[outcome.letter.verdict]} for ${outcome.letter.partName}`;
    panel.banner({ text: `${said} ${outcome.detail ? `was not taken: ${outcome.detail}` : REFUSED}`, tone: "error" });
  }
  await takeNext();
}

/** @param {Extract<Outcome, {kind: "taken"}>} outcome */
function offerUndo({ letter, body }) {
  const until = Date.parse(body.undo_until);
  const span = until - serverNow();
  if (span > 0) {
    undoable = { caseId: letter.caseId, until, span };
    panel.showUndo({ verdict: letter.verdict, words: WORDS[letter.verdict], part: letter.partName });
  }
}

function hideUndo() {
  undoable = null;
  panel.showUndo(null);
}

async function undo() {
  const wanted = undoable;
  if (!wanted) {
    return;
  }
  hideUndo();
  // The next part may be on its way to this screen; the undo gives it back, so it must have arrived.
  await taking;
  const answer = await api.undo(wanted.caseId);
  if (answer.status !== 200) {
    const why = answer.status === 0 ? "the server cannot be reached" : "its window is closed";
    panel.banner({ text: `The verdict could not be undone: ${why}.`, tone: "error" });
    return;
  }
  await show(readLease(answer.body));
  panel.banner({ text: "The verdict is undone.", tone: "info" });
}

async function keepLease() {
  const current = leased;
  if (!current || renewing || root.dataset.state === "sending") {
    return;
  }
  const left = current.expiresAt - serverNow();
  const here = performance.now() - activeAt < AWAY_MS && document.visibilityState === "visible";
  if (left <= 0) {
    blank("paused");
    panel.banner({ text: `Your time with ${current.partName} ended; the part went back to the queue.`, tone: "warn" });
  } else if (left < 10_000 && here) {
    renewing = true;
    const answer = await api.renew(current);
    renewing = false;
    if (answer.status === 200) {
      current.expiresAt = Date.parse(answer.body.lease.expires_at);
    }
  }
}

function tick() {
  panel.tick(leased, serverNow());
  if (undoable) {
    const left = undoable.until - serverNow();
    panel.tickUndo(Math.max(0, left / undoable.span), Math.max(0, left));
    if (left <= 0) {
      hideUndo();
    }
  }
  if (leased?.deadlineAt && leased.deadlineAt + 1_000 < serverNow() && mayDecide(root.dataset.state, "reject")) {
    const { partName } = leased;
    leased = null;
    panel.banner({ text: `The deadline of ${partName} passed: the fail-safe rule decided it.`, tone: "warn" });
    void takeNext();
  }
  void keepLease();
}

/**
 * @param {import("./review/outbox.js").Letter} letter
 * @param {number} attempt
 * @param {import("./review/api.js").Answer} answer
 */
function showTrouble(letter, attempt, answer) {
  const login = isLoginLost(answer);
  const why = login ? "You are no longer logged in." : "The connection is lost.";
  const kept = `${WORDS[letter.verdict]} for ${letter.partName} is kept and is sent again (attempt ${attempt + 1}).`;
  panel.banner({ text: `${why} ${kept}`, tone: "error", busy: true, login });
}

/** Wait, but not longer than until the network says that it is back. @param {number} ms @returns {Promise<void>} */
function waitForNetwork(ms) {
  return new Promise((resolve) => {
    hurry = resolve;
    window.setTimeout(resolve, ms);
  });
}

function wakeUp() {
  hurry();
  const state = root.dataset.state;
  if (state === "empty" || state === "trouble") {
    // Several inspectors wake by the same bell; the first to ask gets the part, the others stay blank.
    window.setTimeout(() => void takeNext(), Math.random() * 250);
  }
}

/** @param {(() => void)} act @returns {import("./keys.js").Handler} */
const onDown = (act) => (phase) => phase === "down" && act();

function start() {
  printKeys();
  bindKeys(
    {
      reject: onDown(() => void say("REJECT")),
      pass: onDown(() => void say("PASS")),
      "cannot-tell": onDown(() => void say("CANNOT_TELL")),
      escalate: onDown(() => void say("ESCALATE")),
      undo: onDown(() => void undo()),
      heat: (phase) => viewer.hideMap(phase === "down"),
      fit: onDown(() => viewer.fit()),
      actual: onDown(() => viewer.actualSize()),
      "zoom-in": onDown(() => viewer.zoom(1.4)),
      "zoom-out": onDown(() => viewer.zoom(1 / 1.4)),
      note: onDown(() => panel.note.focus()),
      continue: onDown(() => void takeNext()),
      help: onDown(() => help.showModal()),
    },
    { shownAt: () => shownAt },
  );
  const applyOpacity = () => viewer.setOpacity(Number(opacity.value) / 100);
  opacity.addEventListener("input", applyOpacity);
  applyOpacity();
  root.querySelector("[data-dismiss]")?.addEventListener("click", () => panel.clearBanner());
  // The pending verdict survives the way over the login page and goes out with the new token.
  root.querySelector("[data-login]")?.addEventListener("click", () => {
    leavingToLogin = true;
    window.location.reload();
  });
  panel.note.addEventListener("keydown", (event) => event.key === "Escape" && panel.note.blur());
  for (const sign of ["pointermove", "keydown", "pointerdown"]) {
    document.addEventListener(sign, () => (activeAt = performance.now()), { passive: true });
  }
  document.addEventListener("live:case", wakeUp);
  document.addEventListener("live:resync", wakeUp);
  window.addEventListener("online", wakeUp);
  window.addEventListener("pagehide", () => leased && !outbox.pending && void api.giveBack(leased));
  window.addEventListener("beforeunload", (event) => outbox.pending && !leavingToLogin && event.preventDefault());
  window.setInterval(wakeUp, POLL_MS);
  window.setInterval(tick, TICK_MS);
  void begin();
}

/** A verdict that a reload interrupted goes out before anything else. */
async function begin() {
  const outcome = await outbox.deliver();
  await (outcome ? settle(outcome) : takeNext());
}

start();
