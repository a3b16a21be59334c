import assert from "node:assert/strict";
import { test } from "node:test";

import { colourAt, colourInPlace, rampTable } from "./ramp.js";

/** Relative luminance of WCAG 2.2. @param {number[]} rgb */
function luminance(rgb) {
  const linear = rgb.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}

test("a higher value is always a lighter colour", () => {
  let last = -1;
  for (let step = 0; step <= 100; step += 1) {
    const now = luminance(colourAt(step / 100));
    assert.ok(now > last, `at ${step}`);
    last = now;
  }
});

test("nothing is drawn below the floor and opacity rises above it", () => {
  const table = rampTable(0.5);
  assert.equal(table[127 * 4 + 3], 0);
  assert.ok(table[128 * 4 + 3] > 0);
  assert.equal(table[255 * 4 + 3], 255);
});

test("what only just reaches the grey band is drawn, and fainter than what is certain", () => {
  const table = rampTable(0.05);
  const [justGrey, certain] = [table[20 * 4 + 3], table[230 * 4 + 3]];
  assert.ok(justGrey > 0 && justGrey < certain);
  assert.equal(rampTable(0)[4 * 4 + 3], 0);
});

test("grey pixels become the colours of the table", () => {
  const pixels = new Uint8ClampedArray([0, 0, 0, 255, 255, 255, 255, 255]);
  colourInPlace(pixels, rampTable(0.2));
  assert.equal(pixels[3], 0);
  assert.deepEqual([...pixels.slice(4)], [252, 255, 164, 255]);
});
