/**
 * What is said beside the verdict: the type of the defect, what the part needed to be judged, a note.
 */

import { MOST_DEFECT_TYPES } from "../keys.js";

/** @typedef {import("./record.js").Word} Word */
/** @typedef {"tilt" | "wipe" | "light"} Handling */

export class Remarks {
  #root;
  /** @type {ReadonlyArray<string>} */
  #types = [];
  #type = "";
  /** @type {Handling | ""} */
  #handling = "";

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
  }

  /** @returns {HTMLTextAreaElement} */
  get note() {
    return /** @type {HTMLTextAreaElement} */ (this.#root.querySelector("[data-note]"));
  }

  /** A new part. @param {ReadonlyArray<string>} types of defects on its line */
  reset(types) {
    const isSame = types.join("\n") === this.#types.join("\n");
    this.#types = types.slice(0, MOST_DEFECT_TYPES);
    this.#type = "";
    this.#handling = "";
    this.note.value = "";
    if (!isSame) {
      this.#list.replaceChildren(...this.#types.map(typeButton));
      /** @type {HTMLElement} */ (this.#root.querySelector("[data-defect-block]")).hidden = this.#types.length === 0;
    }
    this.#print();
    return !isSame;
  }

  /** @param {number} place 0 is the first; a second press takes it back */
  chooseType(place) {
    const type = this.#types[place];
    if (type) {
      this.#type = this.#type === type ? "" : type;
      this.#print();
    }
  }

  /** @param {Handling} handling a second press takes it back */
  chooseHandling(handling) {
    this.#handling = this.#handling === handling ? "" : handling;
    this.#print();
  }

  /** @param {Word} verdict a good part has no defect type */
  said(verdict) {
    return {
      note: this.note.value.trim(),
      defect_type: verdict === "PASS" ? "" : this.#type,
      handling: this.#handling,
    };
  }

  get #list() {
    return /** @type {HTMLElement} */ (this.#root.querySelector("[data-defect-types]"));
  }

  #print() {
    for (const [place, type] of this.#types.entries()) {
      this.#press(`defect-${place + 1}`, type === this.#type);
    }
    for (const handling of ["tilt", "wipe", "light"]) {
      this.#press(handling, handling === this.#handling);
    }
  }

  /** @param {string} verb @param {boolean} isPressed */
  #press(verb, isPressed) {
    this.#root.querySelector(`[data-verb="${verb}"]`)?.setAttribute("aria-pressed", String(isPressed));
  }
}

/** @param {string} type @param {number} place */
function typeButton(type, place) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "chip";
  button.dataset.verb = `defect-${place + 1}`;
  const words = document.createElement("span");
  words.className = "chip__words";
  words.textContent = type;
  button.append(words);
  return button;
}
