/**
 * One tab of a person works; the others say so and wait. The server would keep them from doing harm anyway.
 */

const ANSWER_WITHIN_MS = 150;
/** A tab has written down that it works: on a busy machine it may take its time to say so again. */
const WORKING_ANSWERS_WITHIN_MS = 1_500;

export class Tabs {
  #name;
  #channel;
  #worksHere = false;
  /** @type {() => void} */
  #heard = () => {};

  /**
   * @param {string} name the same in all tabs of the person
   * @param {{onLost: () => void, onFree: () => void}} hooks onLost: another tab works now; onFree: it was closed
   */
  constructor(name, { onLost, onFree }) {
    this.#name = name;
    this.#channel = new BroadcastChannel(name);
    this.#channel.addEventListener("message", ({ data }) => {
      if (data === "who" && this.#worksHere) {
        this.#channel.postMessage("me");
      } else if (data === "me") {
        this.#heard();
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
  isTaken() {
    // A tab that crashed has left its mark behind: that costs the next one only the longer wait.
    const wait = window.localStorage.getItem(this.#name) ? WORKING_ANSWERS_WITHIN_MS : ANSWER_WITHIN_MS;
    return new Promise((resolve) => {
      const timer = window.setTimeout(() => resolve(false), wait);
      this.#heard = () => {
        window.clearTimeout(timer);
        resolve(true);
      };
      this.#channel.postMessage("who");
    });
  }

  claim() {
    this.#worksHere = true;
    window.localStorage.setItem(this.#name, "works");
    this.#channel.postMessage("mine");
  }

  /** The page goes away. */
  leave() {
    if (this.#worksHere) {
      this.#worksHere = false;
      window.localStorage.removeItem(this.#name);
      this.#channel.postMessage("free");
    }
  }
}
