/**
 * One tab of a person works; the others say so and wait. The server would keep them from doing harm anyway.
 */

const ANSWER_WITHIN_MS = 150;

export class Tabs {
  #channel;
  #worksHere = false;
  #isTaken = false;

  /**
   * @param {string} name the same in all tabs of the person
   * @param {{onLost: () => void, onFree: () => void}} hooks onLost: another tab works now; onFree: it was closed
   */
  constructor(name, { onLost, onFree }) {
    this.#channel = new BroadcastChannel(name);
    this.#channel.addEventListener("message", ({ data }) => {
      if (data === "who" && this.#worksHere) {
        this.#channel.postMessage("me");
      } else if (data === "me") {
        this.#isTaken = true;
      } else if (data === "mine" && this.#worksHere) {
        this.#worksHere = false;
        onLost();
      } else if (data === "free" && !this.#worksHere) {
        onFree();
      }
    });
  }

  get worksHere() {
    return this.#worksHere;
  }

  /** @returns {Promise<boolean>} whether another tab works */
  async isTaken() {
    this.#isTaken = false;
    this.#channel.postMessage("who");
    await new Promise((resolve) => window.setTimeout(resolve, ANSWER_WITHIN_MS));
    return this.#isTaken;
  }

  claim() {
    this.#worksHere = true;
    this.#channel.postMessage("mine");
  }

  /** The page goes away. */
  leave() {
    if (this.#worksHere) {
      this.#worksHere = false;
      this.#channel.postMessage("free");
    }
  }
}
