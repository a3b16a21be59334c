/**
 * The calls of the review page, as plain answers: nothing here throws, a lost network is status 0.
 *
 * @typedef {{status: number, body: any, date: number | null}} Answer
 * @typedef {import("./record.js").LeasedCase} LeasedCase
 * @typedef {import("./record.js").Word} Word
 *
 * @typedef {object} Letter  a verdict with everything that was said beside it
 * @property {string} key    the Idempotency-Key
 * @property {number} caseId
 * @property {string} partName
 * @property {string} lease
 * @property {Word} verdict
 * @property {string} note
 * @property {number} seen_ms
 * @property {string} [defect_type]
 * @property {string} [handling]
 * @property {number[][]} [marks]
 * @property {number} [active_ms]
 */

export class ReviewApi {
  #root;
  #csrf;

  /**
   * @param {string} root of the REST addresses, for instance /api/v1/
   * @param {string} csrf
   */
  constructor(root, csrf) {
    this.#root = root;
    this.#csrf = csrf;
  }

  leaseNext() {
    return this.#call("POST", "cases/lease/", {});
  }

  /** @param {string} code serial or part id, as scanned */
  inHand(code) {
    return this.#call("POST", "cases/in-hand/", { code });
  }

  /** @param {LeasedCase} leased */
  renew(leased) {
    return this.#call("POST", `cases/${leased.id}/lease/`, { token: leased.token });
  }

  /** @param {LeasedCase} leased */
  giveBack(leased) {
    // keepalive: the page may already be closing.
    return this.#call("DELETE", `cases/${leased.id}/lease/`, { token: leased.token }, { keepalive: true });
  }

  /** @param {LeasedCase} leased @param {Word} verdict */
  firstOpinion(leased, verdict) {
    return this.#call("POST", `cases/${leased.id}/first-opinion/`, { lease: leased.token, verdict });
  }

  /** @param {Letter} letter */
  send({ key, caseId, partName: _, verdict, ...said }) {
    const isEscalation = verdict === "ESCALATE";
    const body = isEscalation ? said : { ...said, verdict };
    const path = `cases/${caseId}/${isEscalation ? "escalate" : "verdict"}/`;
    return this.#call("POST", path, body, { headers: { "Idempotency-Key": key } });
  }

  /** @param {number} caseId */
  undo(caseId) {
    return this.#call("DELETE", `cases/${caseId}/verdict/`, {});
  }

  /** @param {number} activeMs since the last call */
  activity(activeMs) {
    return this.#call("POST", "review/activity/", { active_ms: activeMs });
  }

  takeBreak() {
    return this.#call("POST", "review/break/", {});
  }

  keys() {
    return this.#call("GET", "review/keys/");
  }

  /** @param {Readonly<Record<string, string>>} keys */
  saveKeys(keys) {
    return this.#call("PUT", "review/keys/", { keys });
  }

  /** @param {string} line */
  lineState(line) {
    return this.#call("GET", `lines/${encodeURIComponent(line)}/state/`);
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {object} [body]
   * @param {{headers?: Record<string, string>, keepalive?: boolean}} [options]
   * @returns {Promise<Answer>}
   */
  async #call(method, path, body, { headers = {}, keepalive = false } = {}) {
    try {
      const answer = await fetch(this.#root + path, {
        method,
        keepalive,
        credentials: "same-origin",
        headers: { "Content-Type": "application/json", "X-CSRFToken": this.#csrf, ...headers },
        body: body && JSON.stringify(body),
        signal: AbortSignal.timeout(8_000),
      });
      const text = await answer.text();
      const date = Date.parse(answer.headers.get("Date") ?? "");
      return { status: answer.status, body: parseBody(text), date: Number.isNaN(date) ? null : date };
    } catch {
      return { status: 0, body: null, date: null };
    }
  }
}

/** @param {string} text */
function parseBody(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}
