import assert from "node:assert/strict";
import { test } from "node:test";

import { onAxis } from "./score_axis.js";

test("the axis stands still at its ends and its middle", () => {
  assert.equal(onAxis(0), 0);
  assert.equal(onAxis(0.0005), 0);
  assert.equal(onAxis(0.5), 0.5);
  assert.equal(onAxis(1), 1);
  assert.equal(onAxis(Number.NaN), 0);
});

test("places agree with those of the server", () => {
  assert.equal(onAxis(0.05).toFixed(4), "0.2868");
  assert.equal(onAxis(0.9).toFixed(4), "0.6591");
});
