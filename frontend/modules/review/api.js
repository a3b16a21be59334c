/**
 * The calls of the review page, as plain answers: nothing here throws, a lost network is status 0.
 *
 * @typedef {{status: number, body: any, date: number | null}} Answer
 *
 * @typedef {"PASS" | "REJECT" | "CANNOT_TELL" | "ESCALATE"} Word
 * @typedef {{key: string, caseId: number, partName: string, lease: string, verdict: Word, note: string,
 *   seen_ms: number}} Letter
 *
 * @typedef {object} LeasedCase
 * @property {number} id
 * @property {string} token
 * @property {number} expiresAt   epoch ms, server clock
 * @property {number | null} deadlineAt
 * @property {number | null} openedAt
 * @property {string} reason
 * @property {number | null} score
 * @property {number | null} greyFrom
 * @property {number | null} greyTo
 * @property {string} partName
 * @property {string} serial
 * @property {string} station
 * @property {number | null} triggeredAt
 * @property {string | null} imageUrl  null where there is no image that anybody can read
 * @property {string | null} mapUrl
 * @property {{imageUrl: string, mapUrl: string | null} | null} next  likely next picture, to fetch ahead
 */

export class ReviewApi {
  #cases;
  #csrf;

  /**
   * @param {string} casesUrl for instance /api/v1/cases/
   * @param {string} csrf
   */
  constructor(casesUrl, csrf) {
    this.#cases = casesUrl;
    this.#csrf = csrf;
  }

  leaseNext() {
    return this.#call("POST", "lease/", {});
  }

  /** @param {LeasedCase} leased */
  renew(leased) {
    return this.#call("POST", `${leased.id}/lease/`, { token: leased.token });
  }

  /** @param {LeasedCase} leased */
  giveBack(leased) {
    // keepalive: the page may already be closing.
    return this.#call("DELETE", `${leased.id}/lease/`, { token: leased.token }, { keepalive: true });
  }

  /** @param {Letter} letter */
  send(letter) {
    const place = letter.verdict === "ESCALATE" ? "escalate" : "verdict";
    const { lease, verdict, note, seen_ms } = letter;
    const body = place === "verdict" ? { lease, verdict, note, seen_ms } : { lease, note, seen_ms };
    return this.#call("POST", `${letter.caseId}/${place}/`, body, { headers: { "Idempotency-Key": letter.key } });
  }

  /** @param {number} caseId */
  undo(caseId) {
    return this.#call("DELETE", `${caseId}/verdict/`, {});
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {object} body
   * @param {{headers?: Record<string, string>, keepalive?: boolean}} [options]
   * @returns {Promise<Answer>}
   */
  async #call(method, path, body, { headers = {}, keepalive = false } = {}) {
    try {
      const answer = await fetch(this.#cases + path, {
        method,
        keepalive,
        credentials: "same-origin",
        headers: { "Content-Type": "application/json", "X-CSRFToken": this.#csrf, ...headers },
        body: JSON.stringify(body),
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

/**
 * @param {any} body of `POST cases/lease/`
 * @returns {LeasedCase}
 */
export function readLease(body) {
  return {
    id: body.case,
    token: body.lease.token,
    expiresAt: Date.parse(body.lease.expires_at),
    deadlineAt: moment(body.deadline_at),
    openedAt: moment(body.opened_at),
    reason: body.reason_text,
    score: finite(body.score),
    greyFrom: finite(body.grey_from),
    greyTo: finite(body.grey_to),
    partName: body.plc_part_id,
    serial: body.serial,
    station: body.station,
    triggeredAt: moment(body.triggered_at),
    imageUrl: body.image_url,
    mapUrl: body.map_url,
    next: body.next?.image_url ? { imageUrl: body.next.image_url, mapUrl: body.next.map_url } : null,
  };
}

/** @param {unknown} value */
function finite(value) {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/** @param {unknown} text */
function moment(text) {
  const at = typeof text === "string" ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? null : at;
}
