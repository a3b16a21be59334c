import assert from "node:assert/strict";
import { test } from "node:test";

import { MOST_REGIONS, pooled, regions } from "./regions.js";

/** A map from rows of digits; a digit d stands for the value 10 d. @param {string[]} rows */
function map(rows) {
  const values = Uint8Array.from(rows.join("").split(""), (digit) => 10 * Number(digit));
  return { width: rows[0].length, height: rows.length, values };
}

test("touching cells, also at a corner, are one region, and the strongest comes first", () => {
  const found = regions(map(["30005", "03009", "00000", "40000"]), 20);
  assert.deepEqual(
    found.map(({ peak }) => peak),
    [90, 40, 30],
  );
  assert.deepEqual(found[2].box, { x: 0, y: 0, width: 0.4, height: 0.5 });
  assert.deepEqual(found[0].box, { x: 0.8, y: 0, width: 0.2, height: 0.5 });
});

test("of equally strong regions the larger one comes first", () => {
  const [first] = regions(map(["50055", "00055"]), 20);
  assert.equal(first.box.x, 0.6);
});

test("what is below the grey band is no region, and an empty map has none", () => {
  assert.deepEqual(regions(map(["111", "111"]), 20), []);
  assert.deepEqual(regions(map(["000", "000"]), 0), []);
});

test("a noisy map gives only the strongest regions", () => {
  const row = "1020304050607080901020304050607080";
  assert.equal(regions(map([row]), 10).length, MOST_REGIONS);
});

test("pooling keeps a single bright pixel of a large map", () => {
  const [width, height] = [1500, 30];
  const pixels = new Uint8ClampedArray(width * height * 4);
  pixels[(17 * width + 1200) * 4] = 200;
  const small = pooled(pixels, width, height);
  assert.deepEqual([small.width, small.height], [500, 10]);
  const [only] = regions(small, 100);
  assert.deepEqual([only.peak, only.box.x, only.box.y], [200, 0.8, 0.5]);
});
