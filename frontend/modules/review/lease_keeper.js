/**
 * Keeps the lease of the part on the screen while somebody is there.
 */

/** @typedef {import("./record.js").LeasedCase} LeasedCase */

/** Nobody moved for so long: the lease is left to expire and the part goes to somebody who is there. */
const AWAY_MS = 60_000;
const RENEW_BEFORE_MS = 20_000;
const RENEW_GAP_MS = 2_000;

export class LeaseKeeper {
  #api;
  #shift;
  #onLost;
  #isAsking = false;
  #notBefore = 0;

  /**
   * @param {import("./api.js").ReviewApi} api
   * @param {import("./shift.js").Shift} shift
   * @param {(leased: LeasedCase) => void} onLost the part went back to the queue
   */
  constructor(api, shift, onLost) {
    this.#api = api;
    this.#shift = shift;
    this.#onLost = onLost;
  }

  /**
   * @param {LeasedCase} leased
   * @param {number} now server clock, epoch ms
   */
  tick(leased, now) {
    const left = leased.expiresAt - now;
    const here = performance.now();
    if (left <= 0) {
      this.#onLost(leased);
    } else if (
      left < RENEW_BEFORE_MS &&
      here >= this.#notBefore &&
      this.#shift.idleMs(here) < AWAY_MS &&
      document.visibilityState === "visible"
    ) {
      void this.renew(leased);
    }
  }

  /** @param {LeasedCase} leased */
  async renew(leased) {
    if (this.#isAsking) {
      return;
    }
    this.#isAsking = true;
    const answer = await this.#api.renew(leased);
    this.#isAsking = false;
    this.#notBefore = performance.now() + RENEW_GAP_MS;
    if (answer.status === 200) {
      leased.expiresAt = Date.parse(answer.body.lease.expires_at);
    } else if (answer.status === 409) {
      this.#onLost(leased);
    }
  }
}
