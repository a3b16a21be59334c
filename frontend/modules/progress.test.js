import assert from "node:assert/strict";
import { test } from "node:test";

import { runClock } from "./progress.js";

test("the remaining time follows from the share done", () => {
  assert.equal(runClock({ elapsedMs: 30_000, progress: 0.25 }), "0:30 gone · about 1:30 left");
});

test("no estimate is shown too early, at the end or without a number", () => {
  for (const progress of [0, 0.01, 1, Number.NaN]) {
    assert.equal(runClock({ elapsedMs: 4_000, progress }), "0:04 gone");
  }
});
