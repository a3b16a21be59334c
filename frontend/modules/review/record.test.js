import assert from "node:assert/strict";
import { test } from "node:test";

import { isVeiled, readLease } from "./record.js";

const least = { case: 7, plc_part_id: "P-7", lease: { token: "t", expires_at: "2026-01-01T00:00:00Z" } };

test("a record with nothing but its lease is a part that nobody can see", () => {
  const leased = readLease(least);
  assert.deepEqual([leased.id, leased.views, leased.ahead, leased.score], [7, [], [], null]);
  assert.deepEqual([leased.precedents, leased.criteria, leased.defectTypes], [[], [], []]);
  assert.equal(leased.isLate, false);
});

test("one picture is the main view, and of several the judged one is the first", () => {
  assert.deepEqual(readLease({ ...least, image_url: "/a" }).views, [{ name: "main", imageUrl: "/a" }]);
  const views = [
    { view: "left", image_url: "/l" },
    { view: "side", image_url: null },
    { view: "back", image_url: "/b" },
    { view: "top", image_url: "/t" },
  ];
  assert.deepEqual(
    readLease({ ...least, image_url: "/t", views }).views.map(({ name }) => name),
    ["top", "left", "back"],
  );
});

test("the pictures of the next three are fetched with maps and references", () => {
  const next = [
    { case: 8, image_url: "/8", map_url: "/8m", reference_url: "/r", grey_from: 0.2 },
    { case: 9, image_url: null, map_url: null, reference_url: null, grey_from: null },
  ];
  assert.deepEqual(readLease({ ...least, next }).ahead, [
    { id: 8, picture: { imageUrl: "/8", mapUrl: "/8m", greyFrom: 0.2 }, referenceUrl: "/r" },
    { id: 9, picture: null, referenceUrl: null },
  ]);
});

test("a case is veiled until the first opinion, and only on a blind line", () => {
  assert.equal(isVeiled(readLease(least)), false);
  assert.equal(isVeiled(readLease({ ...least, is_blind: true, first_opinion: null })), true);
  assert.equal(isVeiled(readLease({ ...least, is_blind: true, first_opinion: "PASS" })), false);
});

test("a score that is no number is no score", () => {
  assert.equal(readLease({ ...least, score: "NaN" }).score, null);
});
