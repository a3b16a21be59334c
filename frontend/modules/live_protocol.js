/**
 * What a live message means to us, without a socket: messages are doorbells, the page re-reads the truth.
 *
 * @typedef {{seq: number, kind: string, id?: number | string | null, version?: number | null}} LiveMessage
 * @typedef {{seen: number | null, asked: number | null}} Cursor  highest seq seen; from where we last asked
 * @typedef {{cursor: Cursor, deliver: boolean, askSince: number | null, reload: boolean}} Outcome
 */

/** The server beats every 5 s. */
export const SILENCE_MS = 12_000;
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 15_000;

/**
 * Exponential with jitter, so that a restarted server is not met by all screens at once.
 * @param {number} attempt 0 for the first retry
 * @param {() => number} [random]
 */
export function backoffMs(attempt, random = Math.random) {
  const ceiling = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt);
  return ceiling / 2 + (random() * ceiling) / 2;
}

/**
 * @param {string} text
 * @returns {LiveMessage | null} null for anything that is not a live message
 */
export function parse(text) {
  try {
    const message = JSON.parse(text);
    const whole = typeof message?.kind === "string" && Number.isInteger(message.seq);
    return whole ? message : null;
  } catch {
    return null;
  }
}

/**
 * @param {Cursor} cursor
 * @param {LiveMessage} message
 * @returns {Outcome} deliver: ring for this kind; askSince: ask the server for what we missed; reload: re-read all
 */
export function receive(cursor, message) {
  if (message.kind === "heartbeat") {
    return heartbeat(cursor, message.seq);
  }
  if (message.kind === "resync") {
    return { cursor: { seen: message.seq, asked: null }, deliver: false, askSince: null, reload: true };
  }
  const { seen } = cursor;
  const gap = seen !== null && message.seq > seen + 1;
  return {
    cursor: { seen: Math.max(seen ?? message.seq, message.seq), asked: cursor.asked },
    // Old numbers ring too: after a question they are what we missed, and a second ring is harmless.
    deliver: true,
    askSince: gap ? seen : null,
    reload: false,
  };
}

/**
 * @param {Cursor} cursor
 * @param {number} head
 * @returns {Outcome}
 */
function heartbeat({ seen, asked }, head) {
  const still = { deliver: false, askSince: null, reload: false };
  if (seen === head) {
    return { ...still, cursor: { seen, asked: null } };
  }
  // Unknown start, a counter that went back, or a question that did not close the gap: only a re-read is sure.
  if (seen === null || head < seen || asked === seen) {
    return { ...still, cursor: { seen: head, asked: null }, reload: true };
  }
  return { ...still, cursor: { seen, asked: seen }, askSince: seen };
}
