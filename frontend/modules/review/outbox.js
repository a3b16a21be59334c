/**
 * The one verdict that is on its way. It is written down before it is sent, goes out under one key until the server
 * has said yes or no, and so is neither lost by a broken network, a reload or a closed tab nor counted twice.
 *
 * @typedef {import("./record.js").Word} Word
 * @typedef {import("./api.js").Letter} Letter
 * @typedef {import("./api.js").Answer} Answer
 * @typedef {{kind: "taken", letter: Letter, body: any} | {kind: "refused", letter: Letter, status: number,
 *   detail: string}} Outcome
 * @typedef {{send: (letter: Letter) => Promise<Answer>, store: Pick<Storage, "getItem" | "setItem" | "removeItem">,
 *   wait: (ms: number) => Promise<void>, onTrouble: (letter: Letter, attempt: number, answer: Answer) => void}} Rim
 */

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8_000;

export class Outbox {
  #rim;
  #name;
  #busy = false;

  /**
   * @param {Rim} rim everything that touches the world
   * @param {string} person whose verdicts these are: somebody else at the same screen never sends them
   */
  constructor(rim, person) {
    this.#rim = rim;
    this.#name = `secondlook.pending-verdict.${person}`;
  }

  /** @returns {Letter | null} written down and not yet answered */
  get pending() {
    try {
      return JSON.parse(this.#rim.store.getItem(this.#name) ?? "null");
    } catch {
      return null;
    }
  }

  /**
   * @param {Omit<Letter, "key">} words
   * @returns {Promise<Outcome | null>} null where another verdict is still on its way: nothing was taken
   */
  async post(words) {
    if (this.#busy || this.pending) {
      return null;
    }
    this.#rim.store.setItem(this.#name, JSON.stringify({ key: newKey(), ...words }));
    return this.deliver();
  }

  /**
   * Send what is written down until it is answered; after a reload this goes on where the page stopped.
   * @returns {Promise<Outcome | null>} null where nothing is written down
   */
  async deliver() {
    const letter = this.pending;
    if (!letter || this.#busy) {
      return null;
    }
    this.#busy = true;
    try {
      return await this.#sendUntilAnswered(letter);
    } finally {
      this.#busy = false;
    }
  }

  /**
   * @param {Letter} letter
   * @returns {Promise<Outcome>}
   */
  async #sendUntilAnswered(letter) {
    for (let attempt = 0; ; attempt += 1) {
      const answer = await this.#rim.send(letter);
      if (answer.status >= 200 && answer.status < 300) {
        this.#rim.store.removeItem(this.#name);
        return { kind: "taken", letter, body: answer.body };
      }
      if (isFinal(answer)) {
        this.#rim.store.removeItem(this.#name);
        return { kind: "refused", letter, status: answer.status, detail: answer.body?.detail ?? "" };
      }
      this.#rim.onTrouble(letter, attempt + 1, answer);
      await this.#rim.wait(Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** attempt));
    }
  }
}

/**
 * A refusal that no repetition changes.
 * @param {Answer} answer
 */
function isFinal(answer) {
  const { status } = answer;
  return status >= 400 && status < 500 && ![408, 425, 429].includes(status) && !isLoginLost(answer);
}

/**
 * The login or its token ran out: the person logs in again and the verdict goes out. Not so where the role forbids it,
 * which the server says with a code of its own.
 * @param {Answer} answer
 */
export function isLoginLost({ status, body }) {
  const forbidden = body?.error && body.error !== "not_authenticated" && !String(body.detail).startsWith("CSRF");
  return status === 401 || (status === 403 && !forbidden);
}

/** crypto.randomUUID exists only on https and localhost; a plant may run plain http inside its network. */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
