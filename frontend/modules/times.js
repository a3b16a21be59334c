/**
 * Times as a person at the line reads them.
 */

/**
 * Share of the time that is left, for a bar.
 * @param {{from: number, until: number, now: number}} moments epoch ms
 * @returns {number} 1 at the start, 0 at the end
 */
export function shareLeft({ from, until, now }) {
  return until <= from ? 0 : Math.min(1, Math.max(0, (until - now) / (until - from)));
}

/**
 * @param {number} ms
 * @returns {string} "0:07", "12:30", "1 h 05 min"
 */
export function clockText(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const minutes = Math.floor(seconds / 60);
  if (minutes >= 60) {
    return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
  }
  return `${minutes}:${String(seconds % 60).padStart(2, "0")}`;
}

/**
 * @param {number} ms
 * @returns {string} "now", "12 s", "4 min", "3 h", "2 d"
 */
export function ageText(ms) {
  const seconds = Math.floor(Math.max(0, ms) / 1000);
  if (seconds < 2) {
    return "now";
  }
  if (seconds < 90) {
    return `${seconds} s`;
  }
  if (seconds < 90 * 60) {
    return `${Math.round(seconds / 60)} min`;
  }
  return seconds < 36 * 3600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}

/**
 * Server clock minus ours. The Date header has whole seconds: a smaller difference is no difference.
 * @param {number | null} serverDate epoch ms
 * @param {number} now
 */
export function clockOffset(serverDate, now) {
  const offset = serverDate === null ? 0 : serverDate - now;
  return Math.abs(offset) < 2_000 ? 0 : offset;
}
