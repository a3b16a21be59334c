/**
 * The review page: puts its parts together and says what each key does. The flow is review/desk.js.
 */

import { bindKeys } from "./keys.js";
import { ReviewApi } from "./review/api.js";
import { Compare } from "./review/compare.js";
import { Desk } from "./review/desk.js";
import { Evidence, gradeWords } from "./review/evidence.js";
import { KeysDialog } from "./review/keys_dialog.js";
import { LineState } from "./review/line_state.js";
import { Marking } from "./review/marking.js";
import { Outbox, isLoginLost } from "./review/outbox.js";
import { Panel, WORDS } from "./review/panel.js";
import { Remarks } from "./review/remarks.js";
import { Screen } from "./review/screen.js";
import { Shift } from "./review/shift.js";
import { Tabs } from "./review/tabs.js";
import { Tone } from "./review/tone.js";
import { CONTRAST_WORDS } from "./viewer/contrast.js";
import { Decoder } from "./viewer/decoder.js";
import { Pictures } from "./viewer/pictures.js";
import { Thumbs } from "./viewer/thumbs.js";
import { Viewer } from "./viewer/viewer.js";

/** @typedef {import("./keys.js").Handler} Handler */

const POLL_MS = 15_000;
const TICK_MS = 200;
const OPACITY_STEP = 15;

const root = /** @type {HTMLElement} */ (document.getElementById("workstation"));
const one = (/** @type {string} */ selector) => /** @type {HTMLElement} */ (root.querySelector(selector));
const canvas = /** @type {HTMLCanvasElement} */ (document.getElementById("stage"));
const opacity = /** @type {HTMLInputElement} */ (document.getElementById("map-opacity"));
const code = /** @type {HTMLInputElement} */ (document.getElementById("in-hand"));
const csrf = document.querySelector('meta[name="csrf-token"]')?.getAttribute("content") ?? "";
const person = root.dataset.person ?? "";

const api = new ReviewApi(root.dataset.apiUrl ?? "/api/v1/", csrf);
const panel = new Panel(root);
const viewer = new Viewer(canvas, {
  needsShift: true,
  onChange: ({ scale }) => panel.text("zoom", `${Math.round(scale * 100)} %`),
  onBox: (box) => marking.add(box),
});
const isCalm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
const compare = new Compare(viewer, one("[data-compare]"), {
  isCalm,
  onChange: (comparison) => one('[data-verb="compare"]').setAttribute("aria-pressed", String(comparison !== "off")),
});
const decoder = new Decoder(root.dataset.decoderUrl ?? null);
const thumbs = new Thumbs(decoder);
const screen = new Screen({
  viewer,
  compare,
  thumbs,
  pictures: new Pictures(decoder),
  strip: one("[data-views]"),
  onPicture: ({ image }, isNewPart) => {
    marking.stop(image);
    if (isNewPart) {
      marking.clear();
    }
  },
});
const marking = new Marking(viewer, {
  list: one("[data-marks]"),
  button: one('[data-verb="mark"]'),
  onChange: (boxes, isOn) => {
    screen.setMarks(boxes);
    one("[data-marking]").hidden = !isOn && boxes.length === 0;
    one("[data-marking-words]").hidden = !isOn;
  },
});
const remarks = new Remarks(root);
const evidence = new Evidence(root, thumbs, ({ imageUrl, grade }) => {
  if (imageUrl) {
    void screen.compareWith(imageUrl, `ruled case (${gradeWords(grade).toLowerCase()})`);
  }
});
const keys = new KeysDialog(api, /** @type {HTMLDialogElement} */ (document.getElementById("keys")));
const shift = new Shift(api, root);
const lineState = new LineState(api, one("[data-line-state]"));
const tone = new Tone(window.localStorage);
const tabs = new Tabs(`secondlook.review.${person}`, {
  onLost: () => desk.leave(),
  onFree: () => document.visibilityState === "visible" && workHere(),
});
const outbox = new Outbox(
  { send: (letter) => api.send(letter), store: window.localStorage, wait: waitForNetwork, onTrouble: showTrouble },
  person,
);
const desk = new Desk({
  api,
  panel,
  screen,
  outbox,
  shift,
  worksHere: () => tabs.worksHere,
  remarks: (verdict) => ({ ...remarks.said(verdict), marks: marking.marks }),
  onCase: showCase,
  onAmber: () => tone.play(),
});

let leavingToLogin = false;
/** @type {() => void} */
let hurry = () => {};

/**
 * @param {import("./review/record.js").LeasedCase} leased
 * @param {boolean} isNew
 */
function showCase(leased, isNew) {
  shift.begin();
  evidence.show(leased);
  lineState.follow(leased.line);
  if (isNew) {
    marking.clear();
    if (remarks.reset(leased.defectTypes)) {
      keys.printCaps();
    }
  }
}

/**
 * @param {import("./review/api.js").Letter} letter
 * @param {number} attempt
 * @param {import("./review/api.js").Answer} answer
 */
function showTrouble(letter, attempt, answer) {
  desk.takeBackAhead();
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

/** Something changed at the server, or time has passed. */
function look() {
  hurry();
  if (panel.state === "empty" || panel.state === "trouble") {
    // Several inspectors wake by the same bell; the first to ask gets the part, the others stay blank.
    window.setTimeout(() => void desk.takeNext(), Math.random() * 250);
  }
}

/** After sleep, a hidden tab or a lost network: what is on the screen may no longer be ours. */
function wakeUp() {
  if (document.visibilityState !== "visible") {
    return;
  }
  if (tabs.worksHere) {
    look();
    void desk.resync();
  } else {
    void open();
  }
}

/** One tab of a person works. */
async function open() {
  if (await tabs.isTaken()) {
    desk.blank("elsewhere");
  } else if (!tabs.worksHere) {
    workHere();
  }
}

function workHere() {
  tabs.claim();
  void desk.begin();
}

async function takeBreak() {
  if (!tabs.worksHere || panel.state === "sending" || panel.state === "paused") {
    return;
  }
  const block = await shift.takeBreak();
  await desk.pause(["Your part went back to the queue.", ...(block?.sentences ?? [])], { isGivenBack: block !== null });
}

/** @param {number} step */
function changeOpacity(step) {
  opacity.value = String(Number(opacity.value) + step);
  applyOpacity();
}

function applyOpacity() {
  viewer.setOpacity(Number(opacity.value) / 100);
}

function cycleContrast() {
  const words = CONTRAST_WORDS[viewer.cycleContrast()];
  panel.text("contrast", words);
  panel.announce(`Contrast: ${words}`);
}

function cycleComparison() {
  const told = compare.cycle();
  if (told === "none") {
    panel.banner({ text: "There is no golden reference for this part yet.", tone: "info" });
  } else if (told === "awaited") {
    panel.announce("The golden reference is on its way.");
  }
}

async function nextView() {
  const name = await screen.nextView();
  if (name) {
    panel.announce(`Camera ${name}`);
  }
}

/** Tab walks through the candidates while the part has the focus, or nothing has; then the focus moves on. */
function walkCandidates(/** @type {KeyboardEvent} */ event) {
  const { activeElement } = document;
  const isHere = activeElement === canvas || activeElement === document.body || activeElement === null;
  const isPlain = !event.ctrlKey && !event.altKey && !event.metaKey && !document.querySelector("dialog[open]");
  if (event.key !== "Tab" || !isHere || !isPlain) {
    return;
  }
  const candidate = screen.stepCandidate(event.shiftKey ? -1 : 1);
  if (candidate) {
    event.preventDefault();
    canvas.focus({ preventScroll: true });
    panel.announce(`Candidate ${candidate.place} of ${candidate.count}`);
  }
}

/** @param {KeyboardEvent} event */
function movePicture(event) {
  const isFree = event.target === document.body || event.target === canvas;
  if (event.shiftKey && isFree && !event.defaultPrevented && viewer.step(event.key)) {
    event.preventDefault();
  }
}

/** @param {SubmitEvent} event */
async function takeInHand(event) {
  event.preventDefault();
  const wanted = code.value.trim();
  if (!wanted) {
    return;
  }
  const problem = await desk.takeInHand(wanted);
  panel.text("in-hand", problem ?? "");
  if (problem) {
    code.select();
  } else {
    code.value = "";
    code.blur();
  }
}

/** @param {(() => void)} act @returns {Handler} */
const onDown = (act) => (phase) => phase === "down" && act();

/** @returns {Record<string, Handler>} */
function handlers() {
  const types = Array.from({ length: 9 }, (_, place) => [`defect-${place + 1}`, onDown(() => remarks.chooseType(place))]);
  return {
    reject: onDown(() => void desk.say("REJECT")),
    pass: onDown(() => void desk.say("PASS")),
    "cannot-tell": onDown(() => void desk.say("CANNOT_TELL")),
    escalate: onDown(() => void desk.say("ESCALATE")),
    undo: onDown(() => void desk.undo()),
    heat: (phase) => viewer.hideMap(phase === "down"),
    "opacity-down": onDown(() => changeOpacity(-OPACITY_STEP)),
    "opacity-up": onDown(() => changeOpacity(OPACITY_STEP)),
    contrast: onDown(cycleContrast),
    compare: onDown(cycleComparison),
    blink: onDown(() => compare.hold()),
    view: onDown(() => void nextView()),
    fit: onDown(() => viewer.fit()),
    actual: onDown(() => viewer.actualSize()),
    "zoom-in": onDown(() => viewer.zoom(1.4)),
    "zoom-out": onDown(() => viewer.zoom(1 / 1.4)),
    mark: onDown(() => desk.leased && screen.isJudgedView && marking.toggle()),
    note: onDown(() => remarks.note.focus()),
    tilt: onDown(() => remarks.chooseHandling("tilt")),
    wipe: onDown(() => remarks.chooseHandling("wipe")),
    light: onDown(() => remarks.chooseHandling("light")),
    ...Object.fromEntries(types),
    "in-hand": onDown(() => code.focus()),
    break: onDown(() => void takeBreak()),
    continue: onDown(() => (panel.state === "elsewhere" ? workHere() : void desk.takeNext())),
    help: onDown(() => keys.open()),
  };
}

function listen() {
  document.addEventListener("keydown", walkCandidates);
  document.addEventListener("keydown", movePicture);
  bindKeys(handlers(), { shownAt: () => desk.shownAt, table: () => keys.table });
  opacity.addEventListener("input", applyOpacity);
  one("[data-in-hand]").addEventListener("submit", (event) => void takeInHand(/** @type {SubmitEvent} */ (event)));
  for (const field of /** @type {HTMLElement[]} */ ([remarks.note, code])) {
    field.addEventListener("keydown", (event) => event.key === "Escape" && field.blur());
  }
  one("[data-dismiss]").addEventListener("click", () => panel.clearBanner());
  one("[data-compare-off]").addEventListener("click", () => compare.set("off"));
  // The pending verdict survives the way over the login page and goes out with the new token.
  one("[data-login]").addEventListener("click", () => {
    leavingToLogin = true;
    window.location.reload();
  });
  one("[data-tone-switch]").addEventListener("click", () => {
    tone.toggle();
    printTone();
  });
  document.addEventListener("live:case", look);
  document.addEventListener("live:resync", wakeUp);
  window.addEventListener("online", wakeUp);
  document.addEventListener("visibilitychange", wakeUp);
  window.addEventListener("pageshow", (event) => event.persisted && wakeUp());
  window.addEventListener("pagehide", () => {
    tabs.leave();
    desk.close();
  });
  window.addEventListener("beforeunload", (event) => {
    if (tabs.worksHere && outbox.pending && !leavingToLogin) {
      event.preventDefault();
    }
  });
  window.setInterval(look, POLL_MS);
  window.setInterval(() => {
    desk.tick();
    shift.tick(tabs.worksHere);
  }, TICK_MS);
}

function printTone() {
  one("[data-tone-switch]").setAttribute("aria-pressed", String(!tone.isMuted));
  panel.text("tone", tone.isMuted ? "Tone off" : "Tone on");
}

listen();
applyOpacity();
printTone();
void keys.load();
void open();
