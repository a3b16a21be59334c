import assert from "node:assert/strict";
import { test } from "node:test";

import { Foresight } from "./foresight.js";

test("the next case is trusted until it turns out wrong, and again after three right ones", () => {
  const foresight = new Foresight();
  assert.equal(foresight.isTrusted, true);
  foresight.expect(8);
  foresight.came(9);
  for (const next of [10, 11, 12]) {
    assert.equal(foresight.isTrusted, false);
    foresight.expect(next);
    foresight.came(next);
  }
  assert.equal(foresight.isTrusted, true);
});

test("a case that nobody foretold says nothing about the foresight", () => {
  const foresight = new Foresight();
  foresight.expect(null);
  foresight.came(3);
  foresight.came(4);
  assert.equal(foresight.isTrusted, true);
});
