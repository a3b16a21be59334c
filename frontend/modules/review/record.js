/**
 * The answer of `POST cases/lease/` as the screen uses it.
 *
 * @typedef {import("../viewer/pictures.js").Wanted} Wanted
 * @typedef {"PASS" | "REJECT" | "CANNOT_TELL" | "ESCALATE"} Word
 * @typedef {{name: string, imageUrl: string}} View
 * @typedef {{grade: string, defectType: string, note: string, criterion: string, similarity: number | null,
 *   imageUrl: string | null}} Precedent
 * @typedef {{number: string, text: string, defectType: string}} Criterion
 * @typedef {{id: number | null, picture: Wanted | null, referenceUrl: string | null}} Ahead
 *
 * @typedef {object} LeasedCase
 * @property {number} id
 * @property {string} token
 * @property {number} expiresAt   epoch ms, server clock
 * @property {number | null} deadlineAt
 * @property {number | null} openedAt
 * @property {number} amberMs     so long before the deadline it is nearly over
 * @property {boolean} isLate     the fail-safe disposition went out; the verdict is for the record only
 * @property {boolean} isBlind    score, map and precedents show after the first opinion
 * @property {Word | null} firstOpinion
 * @property {string} reason
 * @property {number | null} score
 * @property {number | null} greyFrom
 * @property {number | null} greyTo
 * @property {string} partName
 * @property {string} serial
 * @property {string} line
 * @property {string} station
 * @property {string} partType
 * @property {string} model
 * @property {number | null} triggeredAt
 * @property {ReadonlyArray<View>} views  empty where there is no image that anybody can read
 * @property {string | null} mapUrl       belongs to the first view
 * @property {string | null} referenceUrl belongs to the first view
 * @property {ReadonlyArray<string>} defectTypes
 * @property {ReadonlyArray<Precedent>} precedents
 * @property {ReadonlyArray<Criterion>} criteria
 * @property {ReadonlyArray<Ahead>} ahead  the cases that are likely next
 */

/** Where the line names no other time. */
const AMBER_MS = 15_000;

/**
 * @param {any} body of `POST cases/lease/`; only the fields of the first version are sure to be there
 * @returns {LeasedCase}
 */
export function readLease(body) {
  const isBlind = Boolean(body.is_blind);
  return {
    id: body.case,
    token: body.lease.token,
    expiresAt: Date.parse(body.lease.expires_at),
    deadlineAt: moment(body.deadline_at),
    openedAt: moment(body.opened_at),
    amberMs: finite(body.amber_s) === null ? AMBER_MS : body.amber_s * 1_000,
    isLate: Boolean(body.is_late),
    isBlind,
    firstOpinion: body.first_opinion || null,
    reason: body.reason_text,
    score: finite(body.score),
    greyFrom: finite(body.grey_from),
    greyTo: finite(body.grey_to),
    partName: body.plc_part_id,
    serial: body.serial ?? "",
    line: body.line ?? "",
    station: body.station ?? "",
    partType: body.part_type ?? "",
    model: body.model ?? "",
    triggeredAt: moment(body.triggered_at),
    views: readViews(body),
    mapUrl: body.map_url ?? null,
    referenceUrl: body.reference_url ?? null,
    defectTypes: body.defect_types ?? [],
    precedents: (body.precedents ?? []).map(readPrecedent),
    criteria: (body.criteria ?? []).map(readCriterion),
    ahead: readAhead(body),
  };
}

/** Whether score, map and precedents are still held back. @param {LeasedCase} leased */
export function isVeiled({ isBlind, firstOpinion }) {
  return isBlind && firstOpinion === null;
}

/** @param {any} body @returns {View[]} */
function readViews({ views, image_url }) {
  /** @type {View[]} */
  const seen = (views ?? [])
    .filter((/** @type {any} */ each) => each.image_url)
    .map((/** @type {any} */ each) => ({ name: each.view, imageUrl: each.image_url }));
  if (!seen.length) {
    return image_url ? [{ name: "main", imageUrl: image_url }] : [];
  }
  // The one that the model judged comes first.
  return seen.sort((one, other) => Number(other.imageUrl === image_url) - Number(one.imageUrl === image_url));
}

/** @param {any} each @returns {Precedent} */
function readPrecedent(each) {
  return {
    grade: each.grade,
    defectType: each.defect_type ?? "",
    note: each.note ?? "",
    criterion: each.criterion ? String(each.criterion?.number ?? each.criterion) : "",
    similarity: finite(each.similarity),
    imageUrl: each.image_url ?? null,
  };
}

/** @param {any} each @returns {Criterion} */
function readCriterion(each) {
  return { number: String(each.number ?? ""), text: each.text ?? "", defectType: each.defect_type ?? "" };
}

/** @param {any} body @returns {Ahead[]} */
function readAhead({ next, grey_from: greyFrom }) {
  const cases = Array.isArray(next) ? next : next ? [next] : [];
  return cases.map((each) => ({
    id: each.case ?? null,
    picture: each.image_url
      ? { imageUrl: each.image_url, mapUrl: each.map_url ?? null, greyFrom: finite(each.grey_from ?? greyFrom) }
      : null,
    referenceUrl: each.reference_url ?? null,
  }));
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
