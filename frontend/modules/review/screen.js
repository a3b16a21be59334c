/**
 * What of a case is drawn: the views of its cameras, the map, the golden reference, the candidates, and the pictures
 * of the cases that come next.
 */

import { isVeiled } from "./record.js";

/** @typedef {import("./record.js").LeasedCase} LeasedCase */
/** @typedef {import("../viewer/pictures.js").Pictures} Pictures */
/** @typedef {import("../viewer/pictures.js").Picture} Picture */
/** @typedef {import("../viewer/pictures.js").Wanted} Wanted */
/** @typedef {import("../viewer/viewer.js").Viewer} Viewer */
/** @typedef {import("../viewer/mips.js").Box} Box */
/** @typedef {import("./compare.js").Compare} Compare */

/** A picture that does not come is asked for again after so long. */
const PICTURE_WAITS_MS = [500, 2_000];
/** Around a candidate, as a share of its longer side: a line over its edge would hide what is judged. */
const ROOM = 0.15;

export class Screen {
  #viewer;
  #pictures;
  #thumbs;
  #compare;
  #strip;
  #onPicture;
  /** @type {LeasedCase | null} */
  #leased = null;
  /** Whose picture the canvas shows. @type {number | null} */
  #drawn = null;
  /** @type {Picture | null} */
  #picture = null;
  #view = 0;
  #candidate = -1;
  /** @type {ReadonlyArray<Box>} */
  #marks = [];

  /**
   * @param {{viewer: Viewer, pictures: Pictures, thumbs: import("../viewer/thumbs.js").Thumbs, compare: Compare, strip: HTMLElement,
   *   onPicture: (picture: Picture, isNewPart: boolean) => void}} parts
   *   strip: where the cameras are chosen; onPicture: another part, or another camera's look at it, is drawn
   */
  constructor({ viewer, pictures, thumbs, compare, strip, onPicture }) {
    this.#viewer = viewer;
    this.#pictures = pictures;
    this.#thumbs = thumbs;
    this.#compare = compare;
    this.#strip = strip;
    this.#onPicture = onPicture;
  }

  /** Of which case the picture is that is seen. */
  get drawnCase() {
    return this.#drawn;
  }

  /**
   * Draw a case; in this very frame where its picture is decoded already.
   * @param {LeasedCase} leased
   * @returns {Promise<boolean>} whether there is a picture to judge
   */
  async show(leased) {
    const isSame = this.#drawn === leased.id;
    this.#leased = leased;
    this.#candidate = -1;
    if (!isSame) {
      this.#startCase();
    }
    this.#printViews();
    const wanted = this.#wanted();
    const ready = wanted && this.#pictures.ready(wanted);
    if (!ready && !isSame) {
      this.#clear();
    }
    const picture = ready || (wanted && (await this.#load(wanted, leased)));
    if (this.#leased !== leased) {
      return false;
    }
    if (!picture) {
      this.#clear();
      return false;
    }
    this.#draw(picture, leased.id, isSame);
    void this.#fetchAhead(leased);
    return true;
  }

  /**
   * Draw the case that comes next while the word for this one is still on its way.
   * @param {import("./record.js").Ahead} next
   * @returns {boolean} false where its picture is not here yet: the old one stays
   */
  showAhead({ id, picture: wanted }) {
    const picture = wanted && this.#pictures.ready(wanted);
    if (!picture || id === null) {
      return false;
    }
    this.#leased = null;
    this.#startCase();
    this.#draw(picture, id, false);
    return true;
  }

  /** What was drawn ahead does not come now. */
  takeBack() {
    if (this.#leased === null) {
      this.#clear();
    }
  }

  /** No part is on the screen. */
  blank() {
    this.#leased = null;
    this.#clear();
    this.#compare.setReference(null);
    this.#printViews();
  }

  /** @returns {Promise<string | null>} name of the camera that is seen now; null where there is only one */
  async nextView() {
    const leased = this.#leased;
    if (!leased || leased.views.length < 2) {
      return null;
    }
    await this.chooseView((this.#view + 1) % leased.views.length);
    return leased.views[this.#view].name;
  }

  /** @param {number} view */
  async chooseView(view) {
    const leased = this.#leased;
    this.#view = view;
    this.#candidate = -1;
    this.#printViews();
    const wanted = this.#wanted();
    const picture = wanted && leased && (await this.#load(wanted, leased));
    if (picture && this.#leased === leased && this.#view === view) {
      this.#draw(picture, leased.id, false);
      void this.#showReference();
    }
  }

  /**
   * Go to the next or previous defect candidate.
   * @param {1 | -1} direction
   * @returns {{place: number, count: number} | null} null past the last one: the focus may move on
   */
  stepCandidate(direction) {
    const count = this.#regions().length;
    const place = direction === -1 && this.#candidate === -1 ? count : this.#candidate + direction;
    if (place < 0 || place >= count || !this.#picture) {
      this.#candidate = -1;
      this.#outline();
      return null;
    }
    this.#candidate = place;
    this.#viewer.closeUp(this.#candidateBox(place));
    this.#outline();
    return { place: place + 1, count };
  }

  /** The picture that the model judged: regions are marked on it and on no other. */
  get isJudgedView() {
    return this.#picture !== null && this.#view === 0;
  }

  /** @param {ReadonlyArray<Box>} marks */
  setMarks(marks) {
    this.#marks = marks;
    this.#outline();
  }

  /** Another picture to compare with: a ruled case. @param {string} imageUrl @param {string} name */
  async compareWith(imageUrl, name) {
    const leased = this.#leased;
    const found = await this.#pictures.get({ imageUrl, mapUrl: null, greyFrom: null }).catch(() => null);
    if (found && leased && this.#leased === leased) {
      this.#compare.beside(found.image, name);
    }
  }

  /** @returns {Wanted | null} */
  #wanted() {
    const leased = this.#leased;
    const view = leased?.views[this.#view];
    if (!leased || !view) {
      return null;
    }
    const hasMap = this.#view === 0 && !isVeiled(leased);
    return { imageUrl: view.imageUrl, mapUrl: hasMap ? leased.mapUrl : null, greyFrom: leased.greyFrom };
  }

  /**
   * @param {Wanted} wanted
   * @param {LeasedCase} leased
   * @returns {Promise<Picture | null>} null where it does not come even when asked again
   */
  async #load(wanted, leased) {
    for (const wait of [...PICTURE_WAITS_MS, null]) {
      try {
        return await this.#pictures.get(wanted);
      } catch {
        if (wait === null || this.#leased !== leased) {
          return null;
        }
        await new Promise((resolve) => window.setTimeout(resolve, wait));
      }
    }
    return null;
  }

  #startCase() {
    this.#view = 0;
    this.#candidate = -1;
    this.#compare.settle();
    this.#compare.await();
  }

  /** @param {Picture} picture @param {number} caseId @param {boolean} keepsView */
  #draw(picture, caseId, keepsView) {
    const isNew = this.#picture?.image !== picture.image;
    const isNewPart = this.#drawn !== caseId;
    this.#drawn = caseId;
    this.#picture = picture;
    this.#viewer.show(picture, { keepsView });
    if (isNew) {
      this.#onPicture(picture, isNewPart);
    }
    this.#outline();
  }

  #clear() {
    this.#drawn = null;
    this.#picture = null;
    this.#viewer.show(null);
    this.#viewer.setOutlines([]);
  }

  /** First what this case still needs, then the next cases, one after the other. @param {LeasedCase} leased */
  async #fetchAhead(leased) {
    const others = leased.views.slice(1).map(({ imageUrl }) => ({ imageUrl, mapUrl: null, greyFrom: null }));
    const own = /** @type {Wanted} */ (this.#wanted());
    const references = leased.views.flatMap((_, view) => {
      const imageUrl = referenceOf(leased, view);
      return imageUrl ? [{ imageUrl, mapUrl: null, greyFrom: null }] : [];
    });
    void this.#showReference();
    const ahead = leased.ahead.flatMap(({ picture, referenceUrl }) => [
      ...(picture ? [picture] : []),
      ...(referenceUrl ? [{ imageUrl: referenceUrl, mapUrl: null, greyFrom: null }] : []),
    ]);
    this.#pictures.keepOnly([own, ...others, ...references, ...ahead]);
    for (const wanted of [...others, ...ahead]) {
      if (this.#leased !== leased) {
        return;
      }
      await this.#pictures.get(wanted).catch(() => null);
    }
  }

  async #showReference() {
    const leased = this.#leased;
    const view = this.#view;
    const url = leased && referenceOf(leased, view);
    if (!url) {
      this.#compare.setReference(null);
      return;
    }
    const wanted = { imageUrl: url, mapUrl: null, greyFrom: null };
    let found = this.#pictures.ready(wanted);
    if (!found) {
      this.#compare.await();
      found = await this.#pictures.get(wanted).catch(() => null);
    }
    if (this.#leased === leased && this.#view === view) {
      this.#compare.setReference(found?.image ?? null);
    }
  }

  #regions() {
    return this.#picture?.map?.regions ?? [];
  }

  /** @param {number} place @returns {Box} in image pixels */
  #candidateBox(place) {
    const { width, height } = /** @type {Picture} */ (this.#picture).image;
    const { box } = this.#regions()[place];
    const room = ROOM * Math.max(box.width * width, box.height * height);
    return {
      x: box.x * width - room,
      y: box.y * height - room,
      width: box.width * width + 2 * room,
      height: box.height * height + 2 * room,
    };
  }

  #outline() {
    const count = this.#regions().length;
    const words = `${this.#candidate + 1} of ${count}`;
    this.#viewer.setOutlines([
      ...(this.#view === 0 ? this.#marks : []).map((box, place) => ({ box, tone: /** @type {const} */ ("mark"), words: `Region ${place + 1}` })),
      ...(this.#candidate >= 0
        ? [{ box: this.#candidateBox(this.#candidate), tone: /** @type {const} */ ("candidate"), words }]
        : []),
    ]);
  }

  #printViews() {
    const views = this.#leased?.views ?? [];
    this.#strip.hidden = views.length < 2;
    this.#strip.replaceChildren(...(views.length < 2 ? [] : views.map((view, place) => this.#viewButton(view, place))));
  }

  /** @param {import("./record.js").View} view @param {number} place */
  #viewButton({ name, imageUrl }, place) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "view-thumb";
    button.setAttribute("aria-pressed", String(place === this.#view));
    button.append(this.#thumbs.canvas(imageUrl), name);
    button.addEventListener("click", () => void this.chooseView(place));
    return button;
  }
}

/** Where the golden reference of a camera's view is. @param {LeasedCase} leased @param {number} view */
function referenceOf({ referenceUrl, views }, view) {
  return referenceUrl && view > 0 ? `${referenceUrl}?view=${encodeURIComponent(views[view].name)}` : referenceUrl;
}
