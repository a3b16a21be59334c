/**
 * Whether the case that the server called the next one really comes next.
 *
 * Where that holds, its picture is drawn while the verdict is still on its way. Where several inspectors empty one
 * queue it often does not, and a picture that is taken back at once would be worse than a wait.
 */

/** After a wrong guess so many right ones in a row earn the trust again. */
const RIGHT_AGAIN = 3;

export class Foresight {
  /** @type {number | null} */
  #expected = null;
  #missing = 0;

  get isTrusted() {
    return this.#missing === 0;
  }

  /** @param {number | null} caseId what should come after the verdict that is given now */
  expect(caseId) {
    this.#expected = caseId;
  }

  /** @param {number} caseId what came */
  came(caseId) {
    if (this.#expected !== null) {
      this.#missing = this.#expected === caseId ? Math.max(0, this.#missing - 1) : RIGHT_AGAIN;
    }
    this.#expected = null;
  }
}
