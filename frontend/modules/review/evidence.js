/**
 * What has been ruled before: the most similar ruled cases, and the lines of the acceptance book.
 */

/** @typedef {import("./record.js").LeasedCase} LeasedCase */
/** @typedef {import("./record.js").Precedent} Precedent */
/** @typedef {import("./record.js").Criterion} Criterion */

import { isVeiled } from "./record.js";

const MOST_PRECEDENTS = 3;

export class Evidence {
  #root;
  #thumbs;
  #onPick;

  /**
   * @param {HTMLElement} root
   * @param {import("../viewer/thumbs.js").Thumbs} thumbs
   * @param {(precedent: Precedent) => void} onPick a ruled case is to be seen beside the part
   */
  constructor(root, thumbs, onPick) {
    this.#root = root;
    this.#thumbs = thumbs;
    this.#onPick = onPick;
  }

  /** @param {LeasedCase} leased */
  show(leased) {
    const precedents = leased.precedents.slice(0, MOST_PRECEDENTS);
    this.#one("[data-precedents]").replaceChildren(...precedents.map((each) => this.#precedent(each)));
    this.#one("[data-no-precedents]").hidden = precedents.length > 0 || isVeiled(leased);
    const book = this.#one("[data-book]");
    book.hidden = leased.criteria.length === 0;
    this.#one("[data-book-lines]").replaceChildren(...leased.criteria.map(bookLine));
    this.#one("[data-book-count]").textContent = String(leased.criteria.length);
  }

  /** @param {Precedent} precedent */
  #precedent(precedent) {
    const { grade, defectType, note, criterion, imageUrl } = precedent;
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "precedent";
    button.disabled = !imageUrl;
    if (imageUrl) {
      button.append(this.#thumbs.canvas(imageUrl));
    }
    const state = document.createElement("span");
    state.className = "state";
    state.dataset.outcome = grade.toUpperCase();
    state.textContent = gradeWords(grade);
    const words = document.createElement("span");
    words.className = "precedent__words";
    words.textContent = [defectType, criterion && `Line ${criterion}`, note].filter(Boolean).join(" · ") || "No note";
    button.append(state, words);
    button.title = words.textContent;
    button.addEventListener("click", () => this.#onPick(precedent));
    item.append(button);
    return item;
  }

  /** @param {string} selector @returns {HTMLElement} */
  #one(selector) {
    return /** @type {HTMLElement} */ (this.#root.querySelector(selector));
  }
}

/** @param {string} grade */
export function gradeWords(grade) {
  return grade.toLowerCase() === "good" ? "Good" : "Bad";
}

/** @param {Criterion} criterion */
function bookLine({ number, text, defectType }) {
  const item = document.createElement("li");
  const name = document.createElement("strong");
  name.textContent = [number, defectType].filter(Boolean).join(" ");
  item.append(name, ` ${text}`);
  return item;
}
