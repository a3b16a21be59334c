/**
 * Regions that the inspector marks: drawn by dragging, or placed by arrow keys and Enter; removable one by one.
 */

/** @typedef {import("../viewer/viewer.js").Viewer} Viewer */
/** @typedef {import("../viewer/mips.js").Box} Box */
/** @typedef {import("../viewer/transform.js").Size} Size */

const MOST_MARKS = 20;
/** A step of the box that is placed by keys, as a share of its own size. */
const STEP = 0.2;

export class Marking {
  #viewer;
  #list;
  #button;
  #onChange;
  /** @type {Box[]} */
  #boxes = [];
  /** @type {Box | null} */
  #draft = null;
  /** @type {Size} */
  #image = { width: 1, height: 1 };
  #isOn = false;

  /**
   * @param {Viewer} viewer
   * @param {{list: HTMLElement, button: HTMLElement, onChange: (boxes: ReadonlyArray<Box>, isOn: boolean) => void}} rim
   */
  constructor(viewer, { list, button, onChange }) {
    this.#viewer = viewer;
    this.#list = list;
    this.#button = button;
    this.#onChange = onChange;
    window.addEventListener("keydown", (event) => this.#key(event), { capture: true });
  }

  /** Whole image pixels, as the server keeps them. */
  get marks() {
    return this.#boxes.map(({ x, y, width, height }) => {
      const [left, top] = [Math.floor(x), Math.floor(y)];
      return [left, top, Math.max(1, Math.ceil(x + width) - left), Math.max(1, Math.ceil(y + height) - top)];
    });
  }

  /** A new part. */
  clear() {
    this.#boxes = [];
    this.set(false);
  }

  /** Another picture is drawn; regions that were marked stay with theirs. @param {Size} image */
  stop(image) {
    this.#image = image;
    this.set(false);
  }

  toggle() {
    this.set(!this.#isOn);
  }

  /** @param {boolean} isOn */
  set(isOn) {
    this.#isOn = isOn;
    this.#draft = null;
    this.#button.setAttribute("aria-pressed", String(isOn));
    this.#viewer.setDrawing(isOn);
    this.#print();
  }

  /** @param {Box} box */
  add(box) {
    if (this.#boxes.length < MOST_MARKS) {
      this.#boxes = [...this.#boxes, box];
    }
    this.#draft = null;
    this.#viewer.setDraft(null);
    this.#print();
  }

  /** While a region is marked, arrows, Enter and Esc belong to its box and decide nothing. @param {KeyboardEvent} event */
  #key(event) {
    const target = event.target instanceof HTMLElement ? event.target : document.body;
    const isTaken = target.closest("input, textarea, dialog") || (event.key === "Enter" && target.closest("button"));
    if (!this.#isOn || isTaken || event.ctrlKey || event.altKey || event.metaKey) {
      return;
    }
    if (event.key === "Escape") {
      this.set(false);
    } else if (event.key === "Enter") {
      this.add(this.#draft ?? this.#viewer.middleInSight());
    } else if (event.key.startsWith("Arrow")) {
      this.#draft = moved(this.#draft ?? this.#viewer.middleInSight(), event, this.#image);
      this.#viewer.setDraft(this.#draft);
    } else {
      return;
    }
    event.preventDefault();
  }

  #print() {
    this.#list.replaceChildren(...this.#boxes.map((_, place) => this.#entry(place)));
    this.#onChange(this.#boxes, this.#isOn);
  }

  /** @param {number} place */
  #entry(place) {
    const item = document.createElement("li");
    const remove = document.createElement("button");
    remove.type = "button";
    remove.className = "mark-chip";
    remove.textContent = `Region ${place + 1}`;
    remove.setAttribute("aria-label", `Remove region ${place + 1}`);
    remove.addEventListener("click", () => {
      this.#boxes = this.#boxes.filter((_, other) => other !== place);
      this.#print();
    });
    item.append(remove);
    return item;
  }
}

/**
 * An arrow moves the box, with Shift it grows and shrinks.
 * @param {Box} box
 * @param {{key: string, shiftKey: boolean}} press
 * @param {Size} image
 * @returns {Box}
 */
export function moved(box, { key, shiftKey }, image) {
  const along = { ArrowLeft: -STEP, ArrowRight: STEP }[key] ?? 0;
  const down = { ArrowUp: -STEP, ArrowDown: STEP }[key] ?? 0;
  if (shiftKey) {
    const width = Math.min(image.width - box.x, Math.max(4, box.width * (1 + along)));
    const height = Math.min(image.height - box.y, Math.max(4, box.height * (1 + down)));
    return { ...box, width, height };
  }
  return {
    ...box,
    x: Math.min(image.width - box.width, Math.max(0, box.x + along * box.width)),
    y: Math.min(image.height - box.height, Math.max(0, box.y + down * box.height)),
  };
}
