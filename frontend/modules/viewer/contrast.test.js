import assert from "node:assert/strict";
import { test } from "node:test";

import { nextContrast, rangeInSight, stretchFilter } from "./contrast.js";

/** @param {number[]} greys */
const rgba = (greys) => Uint8ClampedArray.from(greys.flatMap((grey) => [grey, grey, grey, 255]));

/** What the filter makes of a value, as the filter functions are defined (clamped after each). */
function filtered(/** @type {string} */ filter, /** @type {number} */ grey) {
  const [, bright, contrast] = /** @type {string[]} */ (/brightness\((.+)\) contrast\((.+)\)/.exec(filter)).map(Number);
  const clamp = (/** @type {number} */ value) => Math.min(1, Math.max(0, value));
  return 255 * clamp((clamp((grey / 255) * bright) - 0.5) * contrast + 0.5);
}

test("B goes round through three looks", () => {
  assert.equal(nextContrast("normal"), "stretched");
  assert.equal(nextContrast("stretched"), "inverted");
  assert.equal(nextContrast("inverted"), "normal");
});

test("the outermost hundredth of the pixels does not count, nor do clear ones", () => {
  const greys = [...Array(98).fill(100), ...Array(98).fill(140), 0, 255];
  assert.deepEqual(rangeInSight(rgba(greys)), { low: 100, high: 140 });
  assert.deepEqual(rangeInSight(new Uint8ClampedArray(400)), { low: 0, high: 255 });
});

for (const range of [
  { low: 60, high: 180 },
  { low: 0, high: 90 },
  { low: 200, high: 250 },
]) {
  test(`${range.low} becomes black, ${range.high} white and the middle stays in the middle`, () => {
    const filter = stretchFilter(range);
    assert.ok(filtered(filter, range.low) < 1);
    assert.ok(filtered(filter, range.high) > 254);
    assert.ok(Math.abs(filtered(filter, (range.low + range.high) / 2) - 127.5) < 1);
  });
}

test("a flat picture is not blown up to noise", () => {
  const filter = stretchFilter({ low: 120, high: 121 });
  assert.ok(filtered(filter, 121) - filtered(filter, 120) < 30);
});
