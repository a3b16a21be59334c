/**
 * Worker, camera, PLC and model of the line in one strip: shape, word and colour; hidden where nobody tells it.
 */

/** @typedef {import("./api.js").ReviewApi} ReviewApi */

const EVERY_MS = 10_000;
/** @type {ReadonlyArray<[string, string]>} */
const PLACES = [
  ["worker", "Worker"],
  ["camera", "Camera"],
  ["plc", "PLC"],
  ["model", "Model"],
];
/** @type {Readonly<Record<string, {words: string, outcome: string}>>} */
const STATES = {
  ok: { words: "ok", outcome: "ok" },
  fault: { words: "fault", outcome: "fault" },
  unknown: { words: "unknown", outcome: "warn" },
};

export class LineState {
  #api;
  #strip;
  #line = "";

  /**
   * @param {ReviewApi} api
   * @param {HTMLElement} strip
   */
  constructor(api, strip) {
    this.#api = api;
    this.#strip = strip;
    window.setInterval(() => document.visibilityState === "visible" && void this.#ask(), EVERY_MS);
  }

  /** @param {string} line code of the line of the part on the screen */
  follow(line) {
    if (line && line !== this.#line) {
      this.#line = line;
      void this.#ask();
    }
  }

  async #ask() {
    if (!this.#line) {
      return;
    }
    const { status, body } = await this.#api.lineState(this.#line);
    this.#strip.hidden = status !== 200;
    if (status === 404) {
      this.#line = ""; // nobody tells the state of this line
    }
    if (status === 200) {
      this.#strip.replaceChildren(...PLACES.map(([name, words]) => entry(words, readState(body, name))));
    }
  }
}

/**
 * @param {any} body
 * @param {string} name
 * @returns {{state: string, sentence: string}}
 */
export function readState(body, name) {
  const { state, sentence } = body?.[name] ?? {};
  return { state: STATES[state] ? state : "unknown", sentence: sentence ?? "" };
}

/**
 * @param {string} name
 * @param {{state: string, sentence: string}} told
 */
function entry(name, { state, sentence }) {
  const item = document.createElement("li");
  item.className = "shape";
  item.dataset.outcome = STATES[state].outcome;
  item.dataset.state = state;
  const word = document.createElement("span");
  word.className = "line-state__word";
  word.textContent = STATES[state].words;
  const more = document.createElement("span");
  more.className = "visually-hidden";
  more.textContent = sentence;
  item.append(name, word, more);
  item.title = `${name} ${word.textContent}. ${sentence}`;
  return item;
}
