import assert from "node:assert/strict";
import { test } from "node:test";

import { ageText, clockOffset, clockText, shareLeft } from "./times.js";

test("the bar is full at the start, empty at the end and never beyond", () => {
  const span = { from: 1000, until: 3000 };
  assert.deepEqual([0, 1000, 2000, 3000, 9000].map((now) => shareLeft({ ...span, now })), [1, 1, 0.5, 0, 0]);
  assert.equal(shareLeft({ from: 5, until: 5, now: 5 }), 0);
});

test("a clock never shows zero while there is time left", () => {
  assert.deepEqual([0, 1, 6_400, 60_000, 750_000, 3_900_000].map(clockText), [
    "0:00", "0:01", "0:07", "1:00", "12:30", "1 h 05 min",
  ]);
});

test("ages are short", () => {
  assert.deepEqual([-5, 1_500, 45_000, 240_000, 10_800_000, 259_200_000].map(ageText), [
    "now", "now", "45 s", "4 min", "3 h", "3 d",
  ]);
});

test("only a real difference of the clocks counts", () => {
  assert.equal(clockOffset(10_000, 9_100), 0);
  assert.equal(clockOffset(70_000, 10_000), 60_000);
  assert.equal(clockOffset(null, 5), 0);
});
