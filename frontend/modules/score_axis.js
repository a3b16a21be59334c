/**
 * Where a score stands on the drawn axis: log-odds from 1:999 to 999:1, as inspection/templatetags/score_axis.py.
 */

const ENDS_ODDS = 999;

/**
 * @param {number} score probability 0..1
 * @returns {number} place 0..1
 */
export function onAxis(score) {
  if (!(score > 0 && score < 1)) {
    return score >= 1 ? 1 : 0;
  }
  const place = 0.5 + Math.log(score / (1 - score)) / (2 * Math.log(ENDS_ODDS));
  return Math.min(1, Math.max(0, place));
}
