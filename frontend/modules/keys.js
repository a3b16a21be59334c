/**
 * The one table of keys. It decides what a key press means, prints the key caps into `[data-verb]` buttons,
 * fills the `?` overlay, and is what the tests walk through. A person's own keys are laid over it (`keyTable`).
 *
 * @typedef {object} Key
 * @property {string} verb      word of the trade; a handler and a button carry the same word
 * @property {string} key       KeyboardEvent.key, lower case
 * @property {string} [also]    a second key that always works
 * @property {string} help      one line for the overlay
 * @property {Group} group      heading in the overlay
 * @property {boolean} [decides]  says something about the part on the screen, so it waits until the part is seen
 * @property {boolean} [holds]    acts while the key is down
 * @property {boolean} [isFixed]  cannot be given another key
 *
 * @typedef {"Decide" | "Look" | "Say more" | "Work"} Group
 * @typedef {{key: string, code?: string, repeat: boolean, ctrlKey: boolean, altKey: boolean, metaKey: boolean,
 *   shiftKey?: boolean}} Press
 * @typedef {{now: number, shownAt: number, typing: boolean}} Moment
 * @typedef {(phase: "down" | "up") => void} Handler
 * @typedef {ReadonlyArray<Readonly<Key>>} Table
 */

/** A key that was on its way when the picture changed was meant for the part before. */
export const BLIND_MS = 300;
export const MOST_DEFECT_TYPES = 9;

/** @type {Table} */
export const KEYS = Object.freeze([
  { group: "Decide", verb: "reject", key: "f", also: "arrowleft", help: "Reject: the part is bad", decides: true },
  { group: "Decide", verb: "pass", key: "j", also: "arrowright", help: "Pass: the part is good", decides: true },
  { group: "Decide", verb: "cannot-tell", key: "c", help: "Cannot tell: the expert decides", decides: true },
  { group: "Decide", verb: "escalate", key: "e", help: "Escalate: the expert should see this", decides: true },
  { group: "Decide", verb: "undo", key: "z", help: "Undo the last verdict while its window is open" },
  { group: "Look", verb: "heat", key: "h", help: "Hold: the part without the heat map", holds: true },
  { group: "Look", verb: "opacity-down", key: "[", help: "Heat map weaker" },
  { group: "Look", verb: "opacity-up", key: "]", help: "Heat map stronger" },
  { group: "Look", verb: "contrast", key: "b", help: "Contrast: normal, stretched, inverted" },
  { group: "Look", verb: "compare", key: "g", help: "Golden reference: beside, blink, difference, off" },
  { group: "Look", verb: "blink", key: " ", help: "Stop the blinking or go on" },
  { group: "Look", verb: "view", key: "v", help: "Next camera" },
  { group: "Look", verb: "fit", key: "0", help: "The whole part" },
  { group: "Look", verb: "actual", key: "x", help: "1:1, one image pixel on one screen pixel" },
  { group: "Look", verb: "zoom-in", key: "+", also: "=", help: "Zoom in" },
  { group: "Look", verb: "zoom-out", key: "-", help: "Zoom out" },
  ...defectKeys(),
  { group: "Say more", verb: "mark", key: "m", help: "Mark a region: drag, or arrows and Enter" },
  { group: "Say more", verb: "note", key: "n", help: "Write a note; Esc goes back to the part" },
  { group: "Say more", verb: "tilt", key: "t", help: "I had to tilt the part" },
  { group: "Say more", verb: "wipe", key: "w", help: "I had to wipe the part" },
  { group: "Say more", verb: "light", key: "l", help: "I needed other light" },
  { group: "Work", verb: "in-hand", key: "k", help: "Part in hand: scan or type its code" },
  { group: "Work", verb: "break", key: "p", help: "Take a break" },
  { group: "Work", verb: "continue", key: "enter", help: "Take the next part after a pause", isFixed: true },
  { group: "Work", verb: "help", key: "?", help: "Show these keys", isFixed: true },
]);

/** @returns {Key[]} */
function defectKeys() {
  return Array.from({ length: MOST_DEFECT_TYPES }, (_, place) => ({
    group: "Say more",
    verb: `defect-${place + 1}`,
    key: String(place + 1),
    help: `Defect type ${place + 1} of the line`,
    isFixed: true,
  }));
}

/** @type {Readonly<Record<string, string>>} */
const CAPS = { arrowleft: "←", arrowright: "→", arrowup: "↑", arrowdown: "↓", " ": "Space", enter: "Enter", "-": "−" };

/** What is printed on a key cap. @param {string} key */
export function capOf(key) {
  return CAPS[key] ?? key.toUpperCase();
}

/**
 * The table with a person's own keys; the standard one where these would give one key two meanings.
 * @param {Readonly<Record<string, string>>} own key by verb
 * @returns {Table}
 */
export function keyTable(own) {
  const table = KEYS.map((entry) =>
    own[entry.verb] && !entry.isFixed ? { ...entry, key: own[entry.verb] } : entry,
  );
  const isTwice = (/** @type {Key} */ { verb, key }) =>
    table.some((other) => other.verb !== verb && (other.key === key || other.also === key));
  return table.some(isTwice) ? KEYS : table;
}

/**
 * Why a key cannot be given to a verb.
 * @param {Table} table
 * @param {string} verb
 * @param {string} key
 * @returns {string | null} a sentence, or null where it can
 */
export function refusal(table, verb, key) {
  if (!/^[\x20-\x7e]$/.test(key)) {
    return "Take a letter, a digit or a sign: other keys belong to the browser and to the page.";
  }
  const taken = table.find((entry) => entry.verb !== verb && (entry.key === key || entry.also === key));
  return taken ? `${capOf(key)} is taken: ${taken.help.replace(/[:;,].*/, "").toLowerCase()}.` : null;
}

/**
 * @param {Press} press
 * @param {Moment} moment
 * @param {Table} [table]
 * @returns {Readonly<Key> | null} null where the press means nothing here
 */
export function keyFor(press, { now, shownAt, typing }, table = KEYS) {
  if (typing || press.repeat || press.ctrlKey || press.altKey || press.metaKey) {
    return null;
  }
  const key = latin(press);
  if (press.shiftKey && key.startsWith("arrow")) {
    return null; // moves the picture
  }
  const found = table.find((entry) => entry.key === key || entry.also === key);
  if (!found || (found.decides && now - shownAt < BLIND_MS)) {
    return null;
  }
  return found;
}

/**
 * On a keyboard with another script the place of the key counts.
 * @param {Pick<Press, "key" | "code">} press
 */
export function latin({ key, code = "" }) {
  const place = /^Key([A-Z])$/.exec(code);
  return place && !/^[\x20-\x7e]+$/.test(key) ? place[1].toLowerCase() : key.toLowerCase();
}

/**
 * Listen for keys and for clicks on `[data-verb]` buttons; both go the same way.
 * @param {Record<string, Handler>} handlers by verb
 * @param {{shownAt: () => number, table: () => Table}} options shownAt: when the picture on the screen appeared
 *   (performance.now clock)
 */
export function bindKeys(handlers, { shownAt, table }) {
  /** @type {Map<string, string>} physical key -> verb held down */
  const held = new Map();
  document.addEventListener("keydown", (event) => {
    const moment = { now: performance.now(), shownAt: shownAt(), typing: event.defaultPrevented || isTyping(event) };
    const found = keyFor(event, moment, table());
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
 * Buttons may come and go (defect types of the line), so the document listens.
 * @param {Record<string, Handler>} handlers
 * @param {() => number} shownAt
 */
function bindButtons(handlers, shownAt) {
  /** @type {string | null} */
  let pressed = null;
  const release = () => {
    if (pressed) {
      handlers[pressed]?.("up");
      pressed = null;
    }
  };
  document.addEventListener("click", (event) => {
    const entry = entryOf(event);
    if (entry && !entry.holds && (!entry.decides || performance.now() - shownAt() >= BLIND_MS)) {
      handlers[entry.verb]?.("down");
    }
  });
  document.addEventListener("pointerdown", (event) => {
    const entry = entryOf(event);
    if (entry?.holds) {
      pressed = entry.verb;
      handlers[entry.verb]?.("down");
    }
  });
  for (const end of ["pointerup", "pointercancel"]) {
    document.addEventListener(end, release);
  }
  window.addEventListener("blur", release);
  // A long touch holds; it does not ask for a menu.
  document.addEventListener("contextmenu", (event) => entryOf(event)?.holds && event.preventDefault());
}

/** @param {Event} event */
function entryOf({ target }) {
  const button = target instanceof Element ? target.closest("[data-verb]") : null;
  const { verb } = /** @type {HTMLElement | null} */ (button)?.dataset ?? {};
  return KEYS.find((entry) => entry.verb === verb);
}

/**
 * Print the key caps into the buttons, and into `[data-cap]` beside a field that a key leads to.
 * @param {Table} table
 */
export function printKeys(table) {
  for (const button of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-verb]"))) {
    const entry = table.find(({ verb }) => verb === button.dataset.verb);
    if (entry) {
      const cap = button.querySelector("kbd") ?? button.appendChild(document.createElement("kbd"));
      cap.textContent = capOf(entry.key);
      button.setAttribute("aria-keyshortcuts", capOf(entry.key));
      button.title = entry.help;
    }
  }
  for (const cap of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-cap]"))) {
    const entry = table.find(({ verb }) => verb === cap.dataset.cap);
    cap.textContent = entry ? capOf(entry.key) : "";
  }
}

/** @param {KeyboardEvent} event */
function isTyping({ target, key }) {
  // Also where the focus is nowhere: behind an open dialog no key decides anything.
  if (document.querySelector("dialog[open]")) {
    return true;
  }
  if (!(target instanceof HTMLElement)) {
    return false;
  }
  if (target.closest("textarea, select, [contenteditable], input:not([type=range])")) {
    return true;
  }
  if (target.closest("input[type=range]") && key.startsWith("Arrow")) {
    return true;
  }
  // Enter and Space on a focused button are that button's own.
  return (key === "Enter" || key === " ") && target.closest("button, a, summary") !== null;
}
