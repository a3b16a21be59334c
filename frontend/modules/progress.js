/**
 * The training page: while a run goes on its clock ticks and its remaining time is estimated.
 *
 * A run is `[data-run]` with data-started-at (ISO), data-progress (0..1) and a `[data-run-clock]` inside.
 */

import { clockText } from "./times.js";

/** Below this share an estimate would only jump about. */
const EARLIEST_ESTIMATE = 0.05;

/**
 * @param {{elapsedMs: number, progress: number}} run
 * @returns {string}
 */
export function runClock({ elapsedMs, progress }) {
  const gone = `${clockText(elapsedMs)} gone`;
  if (!(progress >= EARLIEST_ESTIMATE) || progress >= 1) {
    return gone;
  }
  return `${gone} · about ${clockText((elapsedMs * (1 - progress)) / progress)} left`;
}

function tick() {
  for (const run of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-run][data-started-at]"))) {
    const clock = run.querySelector("[data-run-clock]");
    const startedAt = Date.parse(run.dataset.startedAt ?? "");
    if (clock && !Number.isNaN(startedAt)) {
      const elapsedMs = Date.now() - startedAt;
      clock.textContent = runClock({ elapsedMs, progress: Number(run.dataset.progress) });
    }
  }
}

if (typeof document !== "undefined") {
  tick();
  window.setInterval(tick, 1_000);
}
