import assert from "node:assert/strict";
import { test } from "node:test";

import { inSight, levelFor, levelSizes } from "./mips.js";

test("every level is half of the one before, down to a thumbnail", () => {
  assert.deepEqual(levelSizes({ width: 5472, height: 3648 }), [
    { width: 5472, height: 3648 },
    { width: 2736, height: 1824 },
    { width: 1368, height: 912 },
    { width: 684, height: 456 },
    { width: 342, height: 228 },
    { width: 171, height: 114 },
  ]);
  assert.deepEqual(levelSizes({ width: 200, height: 1 }), [{ width: 200, height: 1 }]);
});

test("a level never has fewer pixels than the screen shows of it", () => {
  for (const [scale, level] of [
    [4, 0],
    [1, 0],
    [0.51, 0],
    [0.5, 1],
    [0.26, 1],
    [0.25, 2],
    [0.0001, 5],
  ]) {
    assert.equal(levelFor(scale, 6), level, `at ${scale}`);
  }
});

test("only what is in sight is drawn, in whole pixels of the level", () => {
  const image = { width: 4000, height: 2000 };
  const level = { width: 2000, height: 1000 };
  const cut = inSight(level, image, { scale: 0.5, x: -100.5, y: 20 }, { width: 800, height: 600 });
  assert.deepEqual(cut?.source, { x: 100, y: 0, width: 801, height: 580 });
  assert.deepEqual(cut?.target, { x: -0.5, y: 20, width: 801, height: 580 });
});

test("a picture beside the view is not drawn", () => {
  const size = { width: 100, height: 100 };
  assert.equal(inSight(size, size, { scale: 1, x: 900, y: 0 }, { width: 800, height: 600 }), null);
});
