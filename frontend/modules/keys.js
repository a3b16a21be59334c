/**
 * The one table of keys. It decides what a key press means, prints the key caps into `[data-verb]` buttons,
 * fills the `?` overlay, and is what the tests walk through.
 *
 * @typedef {object} Key
 * @property {string} verb      word of the trade; a handler and a button carry the same word
 * @property {string} key       KeyboardEvent.key, lower case
 * @property {string} cap       what is printed on the key cap
 * @property {string} help      one line for the overlay
 * @property {boolean} [decides]  says something about the part on the screen, so it waits until the part is seen
 * @property {boolean} [holds]    acts while the key is down
 *
 * @typedef {{key: string, code?: string, repeat: boolean, ctrlKey: boolean, altKey: boolean, metaKey: boolean}} Press
 * @typedef {{now: number, shownAt: number, typing: boolean}} Moment
 * @typedef {(phase: "down" | "up") => void} Handler
 */

/** A key that was on its way when the picture changed was meant for the part before. */
export const BLIND_MS = 300;

/** @type {ReadonlyArray<Readonly<Key>>} */
export const KEYS = Object.freeze([
  { verb: "reject", key: "f", cap: "F", help: "Reject: the part is bad", decides: true },
  { verb: "pass", key: "j", cap: "J", help: "Pass: the part is good", decides: true },
  { verb: "cannot-tell", key: "c", cap: "C", help: "Cannot tell: the quality expert decides", decides: true },
  { verb: "escalate", key: "e", cap: "E", help: "Escalate: the quality expert should see this one", decides: true },
  { verb: "undo", key: "z", cap: "Z", help: "Undo the last verdict while its window is open" },
  { verb: "heat", key: "h", cap: "H", help: "Hold: see the part without the heat map", holds: true },
  { verb: "fit", key: "0", cap: "0", help: "Show the whole part" },
  { verb: "actual", key: "1", cap: "1", help: "One image pixel on one screen pixel" },
  { verb: "zoom-in", key: "+", cap: "+", help: "Zoom in" },
  { verb: "zoom-out", key: "-", cap: "−", help: "Zoom out" },
  { verb: "note", key: "n", cap: "N", help: "Write a note; Esc goes back to the part" },
  { verb: "continue", key: "enter", cap: "Enter", help: "Take the next part after a pause" },
  { verb: "help", key: "?", cap: "?", help: "Show these keys" },
]);

/**
 * @param {Press} press
 * @param {Moment} moment
 * @returns {Readonly<Key> | null} null where the press means nothing here
 */
export function keyFor(press, { now, shownAt, typing }) {
  if (typing || press.repeat || press.ctrlKey || press.altKey || press.metaKey) {
    return null;
  }
  const found = KEYS.find((entry) => entry.key === latin(press));
  if (!found || (found.decides && now - shownAt < BLIND_MS)) {
    return null;
  }
  return found;
}

/**
 * On a keyboard with another script the place of the key counts.
 * @param {Press} press
 */
function latin({ key, code = "" }) {
  const place = /^Key([A-Z])$/.exec(code);
  return place && !/^[\x20-\x7e]+$/.test(key) ? place[1].toLowerCase() : key.toLowerCase();
}

/**
 * Listen for keys and for clicks on `[data-verb]` buttons; both go the same way.
 * @param {Record<string, Handler>} handlers by verb
 * @param {{shownAt: () => number}} options when the picture on the screen appeared (performance.now clock)
 */
export function bindKeys(handlers, { shownAt }) {
  /** @type {Map<string, string>} physical key -> verb held down */
  const held = new Map();
  document.addEventListener("keydown", (event) => {
    const found = keyFor(event, { now: performance.now(), shownAt: shownAt(), typing: isTyping(event) });
    if (!found || !handlers[found.verb]) {
      return;
    }
    event.preventDefault();
    if (found.holds) {
      held.set(event.code, found.verb);
    }
    handlers[found.verb]("down");
  });
  document.addEventListener("keyup", (event) => letGo(event.code));
  window.addEventListener("blur", () => [...held.keys()].forEach(letGo));
  bindButtons(handlers, shownAt);

  /** @param {string} code */
  function letGo(code) {
    const verb = held.get(code);
    if (verb) {
      held.delete(code);
      handlers[verb]("up");
    }
  }
}

/**
 * @param {Record<string, Handler>} handlers
 * @param {() => number} shownAt
 */
function bindButtons(handlers, shownAt) {
  for (const button of verbButtons()) {
    const entry = KEYS.find(({ verb }) => verb === button.dataset.verb);
    if (!entry) {
      continue;
    }
    if (entry.holds) {
      button.addEventListener("pointerdown", () => handlers[entry.verb]?.("down"));
      for (const end of ["pointerup", "pointerleave", "pointercancel"]) {
        button.addEventListener(end, () => handlers[entry.verb]?.("up"));
      }
      continue;
    }
    button.addEventListener("click", () => {
      if (!entry.decides || performance.now() - shownAt() >= BLIND_MS) {
        handlers[entry.verb]?.("down");
      }
    });
  }
}

/** Print the key caps into the buttons and the table into the overlay. */
export function printKeys() {
  for (const button of verbButtons()) {
    const entry = KEYS.find(({ verb }) => verb === button.dataset.verb);
    if (entry && !button.querySelector("kbd")) {
      button.append(keyCap(entry.cap));
      button.setAttribute("aria-keyshortcuts", entry.cap);
      button.title = entry.help;
    }
  }
  const list = document.querySelector("[data-key-table]");
  list?.replaceChildren(
    ...KEYS.flatMap(({ cap, help }) => {
      const term = document.createElement("dt");
      const text = document.createElement("dd");
      term.append(keyCap(cap));
      text.textContent = help;
      return [term, text];
    }),
  );
}

/** @returns {NodeListOf<HTMLElement>} */
function verbButtons() {
  return document.querySelectorAll("[data-verb]");
}

/** @param {string} cap */
function keyCap(cap) {
  const element = document.createElement("kbd");
  element.textContent = cap;
  return element;
}

/** @param {KeyboardEvent} event */
function isTyping(event) {
  const target = event.target;
  if (!(target instanceof HTMLElement)) {
    return false;
  }
  if (target.closest("textarea, select, [contenteditable], input:not([type=range]), dialog[open]")) {
    return true;
  }
  // Enter on a focused button is that button's own.
  return event.key === "Enter" && target.closest("button, a, summary") !== null;
}
