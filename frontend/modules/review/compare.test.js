import assert from "node:assert/strict";
import { test } from "node:test";

import { comparisonWords, nextComparison } from "./compare.js";

test("G goes beside, blink, difference, off", () => {
  assert.equal(nextComparison("off"), "side");
  assert.equal(nextComparison("side"), "blink");
  assert.equal(nextComparison("blink"), "difference");
  assert.equal(nextComparison("difference"), "off");
});

test("a stopped blink says which of the two is seen", () => {
  const state = { name: "golden reference", blinks: false, showsReference: true };
  assert.equal(comparisonWords("blink", state), "Now the golden reference");
  assert.equal(comparisonWords("blink", { ...state, showsReference: false }), "Now the part");
  assert.equal(comparisonWords("blink", { ...state, blinks: true }), "Part and golden reference in turn");
});
