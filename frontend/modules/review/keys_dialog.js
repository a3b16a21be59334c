/**
 * The `?` overlay: every key with its meaning, and the way to give a verb another key.
 */

import { KEYS, capOf, keyTable, latin, printKeys, refusal } from "../keys.js";

/** @typedef {import("./api.js").ReviewApi} ReviewApi */
/** @typedef {import("../keys.js").Key} Key */
/** @typedef {import("../keys.js").Table} Table */

/** What the browser's own keys do here, for the overlay alone. @type {ReadonlyArray<[string[], string]>} */
const ALSO = [
  [["Tab"], "Next defect candidate; after the last one the focus moves on"],
  [["Shift", "↔"], "With arrow keys: move the picture"],
];

export class KeysDialog {
  #api;
  #dialog;
  /** @type {Record<string, string>} key by verb, where it is not the standard one */
  #own = {};
  /** @type {Table} */
  #table = KEYS;
  /** @type {Readonly<Key> | null} the verb whose new key is waited for */
  #recorded = null;

  /**
   * @param {ReviewApi} api
   * @param {HTMLDialogElement} dialog
   */
  constructor(api, dialog) {
    this.#api = api;
    this.#dialog = dialog;
    dialog.addEventListener("keydown", (event) => this.#record(event), { capture: true });
    dialog.addEventListener("close", () => this.#listenFor(null));
    this.#one("[data-keys-standard]").addEventListener("click", () => this.#use({}, "The standard keys are back."));
    this.#print();
  }

  get table() {
    return this.#table;
  }

  open() {
    this.#say("");
    this.#dialog.showModal();
  }

  /** The keys that this person has stored. */
  async load() {
    const { status, body } = await this.#api.keys();
    if (status === 200 && body?.keys) {
      this.#lay(body.keys);
    }
    this.#one("[data-keys-own]").hidden = status !== 200;
    this.#dialog.classList.toggle("is-fixed", status !== 200);
  }

  /** A button has been added to the page. */
  printCaps() {
    printKeys(this.#table);
  }

  /** @param {KeyboardEvent} event */
  #record(event) {
    const wanted = this.#recorded;
    if (!wanted || ["Shift", "Control", "Alt", "Meta", "Tab"].includes(event.key)) {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    this.#listenFor(null);
    if (event.key === "Escape") {
      this.#say("Nothing was changed.");
      return;
    }
    const key = latin(event);
    const no = refusal(this.#table, wanted.verb, key);
    if (no) {
      this.#say(`${no} ${capOf(wanted.key)} stays.`);
    } else {
      void this.#use({ ...this.#own, [wanted.verb]: key }, `${capOf(key)}: ${wanted.help}.`);
    }
  }

  /**
   * @param {Record<string, string>} own
   * @param {string} words
   */
  async #use(own, words) {
    const before = this.#own;
    this.#lay(own);
    this.#say("Saving.");
    const { status, body } = await this.#api.saveKeys(this.#own);
    if (status >= 200 && status < 300) {
      this.#say(words);
    } else {
      this.#lay(before);
      this.#say(body?.detail ?? "The server cannot be reached. Nothing was changed.");
    }
  }

  /** @param {Record<string, string>} own */
  #lay(own) {
    this.#own = Object.fromEntries(
      Object.entries(own).filter(([verb, key]) => KEYS.some((entry) => entry.verb === verb && entry.key !== key)),
    );
    this.#table = keyTable(this.#own);
    this.#print();
  }

  #print() {
    this.printCaps();
    /** @type {Map<string, HTMLElement[]>} */
    const groups = new Map();
    const [first, ...types] = this.#table.filter(({ verb }) => verb.startsWith("defect-"));
    for (const entry of this.#table.filter((each) => !types.includes(each))) {
      groups.set(entry.group, [...(groups.get(entry.group) ?? []), ...(entry === first ? typesRow(types) : this.#row(entry))]);
    }
    groups.get("Look")?.push(...ALSO.flatMap(([caps, help]) => [term(caps), meaning(help)]));
    this.#one("[data-key-table]").replaceChildren(
      ...[...groups].map(([name, rows]) => {
        const section = document.createElement("section");
        const heading = document.createElement("h3");
        const list = document.createElement("dl");
        heading.textContent = name;
        list.className = "key-table";
        list.append(...rows);
        section.append(heading, list);
        return section;
      }),
    );
  }

  /** @param {Readonly<Key>} entry */
  #row(entry) {
    const { verb, key, also, help, isFixed } = entry;
    const text = meaning(help);
    if (!isFixed) {
      const change = document.createElement("button");
      change.type = "button";
      change.className = "key-change";
      change.dataset.record = verb;
      change.textContent = "Change";
      change.setAttribute("aria-label", `Change the key for: ${help}`);
      change.addEventListener("click", () => this.#listenFor(this.#recorded === entry ? null : entry));
      text.append(change);
    }
    return [term(also ? [capOf(key), capOf(also)] : [capOf(key)]), text];
  }

  /** @param {Readonly<Key> | null} entry */
  #listenFor(entry) {
    this.#recorded = entry;
    for (const button of /** @type {NodeListOf<HTMLElement>} */ (this.#dialog.querySelectorAll("[data-record]"))) {
      button.setAttribute("aria-pressed", String(button.dataset.record === entry?.verb));
    }
    if (entry) {
      this.#say(`Press the new key for: ${entry.help}. Esc leaves it.`);
    }
  }

  /** @param {string} words */
  #say(words) {
    this.#one("[data-keys-said]").textContent = words;
  }

  /** @param {string} selector @returns {HTMLElement} */
  #one(selector) {
    return /** @type {HTMLElement} */ (this.#dialog.querySelector(selector));
  }
}

/** The nine digits in one row. @param {Table} types all but the first */
function typesRow(types) {
  return [term([`1–${types.length + 1}`]), meaning("Defect type 1 to 9 of the line")];
}

/** @param {ReadonlyArray<string>} caps */
function term(caps) {
  const element = document.createElement("dt");
  for (const cap of caps) {
    const drawn = document.createElement("kbd");
    drawn.textContent = cap;
    element.append(drawn);
  }
  return element;
}

/** @param {string} help */
function meaning(help) {
  const element = document.createElement("dd");
  element.textContent = help;
  return element;
}
