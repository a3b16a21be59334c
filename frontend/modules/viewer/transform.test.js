import assert from "node:assert/strict";
import { test } from "node:test";

import { actualSize, clamp, closeUp, fit, limits, pan, toImage, zoomAt } from "./transform.js";

const image = { width: 400, height: 200 };
const view = { width: 832, height: 632 };

test("a fitted image is whole, centred and as large as the view allows", () => {
  assert.deepEqual(fit(image, view, 16), { scale: 2, x: 16, y: 116 });
});

test("a tiny image is not blown up beyond the largest scale", () => {
  assert.equal(fit({ width: 2, height: 2 }, view).scale, 32);
});

test("the image point under the cursor stays under the cursor while zooming", () => {
  const cursor = { x: 300, y: 250 };
  const before = fit(image, view);
  const after = zoomAt(before, 1.7, cursor, limits(image, view));
  assert.ok(Math.abs(toImage(after, cursor).x - toImage(before, cursor).x) < 1e-9);
  assert.ok(Math.abs(toImage(after, cursor).y - toImage(before, cursor).y) < 1e-9);
});

test("zoom stops at its limits", () => {
  const range = { min: 0.5, max: 4 };
  assert.equal(zoomAt({ scale: 2, x: 0, y: 0 }, 100, { x: 0, y: 0 }, range).scale, 4);
  assert.equal(zoomAt({ scale: 2, x: 0, y: 0 }, 0.01, { x: 0, y: 0 }, range).scale, 0.5);
});

test("one to one is one image pixel on one device pixel", () => {
  assert.equal(actualSize({ scale: 3, x: 0, y: 0 }, { x: 10, y: 10 }).scale, 1);
  assert.equal(actualSize({ scale: 3, x: 0, y: 0 }, { x: 10, y: 10 }, 2).scale, 0.5);
});

test("a large image cannot be dragged off its edges and a small one stays centred", () => {
  const zoomed = { scale: 4, x: 0, y: 0 };
  assert.deepEqual(clamp(pan(zoomed, 500, 500), image, view), { scale: 4, x: 0, y: 0 });
  assert.deepEqual(clamp(pan(zoomed, -9000, -9000), image, view), { scale: 4, x: 832 - 1600, y: 632 - 800 });
  assert.deepEqual(clamp({ scale: 1, x: 900, y: -50 }, image, view), { scale: 1, x: 216, y: 216 });
});

test("a close-up has its region in the middle, a third of the view wide", () => {
  const region = { x: 100, y: 50, width: 200, height: 20 };
  const seen = closeUp(region, view, { min: 0.1, max: 32 });
  assert.ok(Math.abs(seen.scale - 832 / 600) < 1e-9);
  const middle = toImage(seen, { x: 416, y: 316 });
  assert.ok(Math.hypot(middle.x - 200, middle.y - 60) < 1e-9);
  assert.equal(closeUp({ x: 0, y: 0, width: 1, height: 1 }, view, { min: 0.1, max: 32 }).scale, 3);
});
