import assert from "node:assert/strict";
import { test } from "node:test";

import { moved } from "./marking.js";

const image = { width: 1000, height: 500 };
const box = { x: 100, y: 100, width: 100, height: 50 };

test("an arrow moves the box by a fifth of itself and never out of the picture", () => {
  assert.equal(moved(box, { key: "ArrowRight", shiftKey: false }, image).x, 120);
  assert.equal(moved(box, { key: "ArrowUp", shiftKey: false }, image).y, 90);
  assert.equal(moved({ ...box, x: 0 }, { key: "ArrowLeft", shiftKey: false }, image).x, 0);
  assert.equal(moved({ ...box, x: 895 }, { key: "ArrowRight", shiftKey: false }, image).x, 900);
});

test("with Shift it grows and shrinks, and never beyond the picture", () => {
  assert.equal(moved(box, { key: "ArrowRight", shiftKey: true }, image).width, 120);
  assert.equal(moved(box, { key: "ArrowUp", shiftKey: true }, image).height, 40);
  assert.equal(moved({ ...box, y: 460 }, { key: "ArrowDown", shiftKey: true }, image).height, 40);
});
