/**
 * One soft tone when the time to decide is nearly over; it can be muted, and the browser remembers that.
 */

const NAME = "secondlook.tone-muted";
const PITCH_HZ = 587;
const LASTS_S = 0.5;
const LOUDNESS = 0.07;

export class Tone {
  #store;
  /** @type {AudioContext | null} */
  #audio = null;

  /** @param {Pick<Storage, "getItem" | "setItem" | "removeItem">} store */
  constructor(store) {
    this.#store = store;
  }

  get isMuted() {
    return this.#store.getItem(NAME) === "yes";
  }

  toggle() {
    if (this.isMuted) {
      this.#store.removeItem(NAME);
    } else {
      this.#store.setItem(NAME, "yes");
    }
  }

  play() {
    // Without a first touch of the page the browser allows no sound, and a context made then stays silent.
    if (this.isMuted || !navigator.userActivation?.hasBeenActive) {
      return;
    }
    this.#audio ??= new AudioContext();
    void this.#audio.resume();
    const now = this.#audio.currentTime;
    const gain = this.#audio.createGain();
    const voice = this.#audio.createOscillator();
    voice.frequency.value = PITCH_HZ;
    gain.gain.setValueAtTime(0, now);
    gain.gain.linearRampToValueAtTime(LOUDNESS, now + 0.06);
    gain.gain.exponentialRampToValueAtTime(0.0001, now + LASTS_S);
    voice.connect(gain).connect(this.#audio.destination);
    voice.start(now);
    voice.stop(now + LASTS_S);
  }
}
