import assert from "node:assert/strict";
import { test } from "node:test";

import { BLIND_MS, KEYS, keyFor } from "./keys.js";

const plain = { repeat: false, ctrlKey: false, altKey: false, metaKey: false };
const seen = { now: 10_000, shownAt: 0, typing: false };

for (const entry of KEYS) {
  test(`${entry.cap} means ${entry.verb}, in capitals too`, () => {
    assert.equal(keyFor({ ...plain, key: entry.key }, seen), entry);
    assert.equal(keyFor({ ...plain, key: entry.key.toUpperCase() }, seen), entry);
  });

  test(`${entry.cap} held down, typed into a field or with a modifier means nothing`, () => {
    assert.equal(keyFor({ ...plain, key: entry.key, repeat: true }, seen), null);
    assert.equal(keyFor({ ...plain, key: entry.key }, { ...seen, typing: true }), null);
    for (const modifier of ["ctrlKey", "altKey", "metaKey"]) {
      assert.equal(keyFor({ ...plain, key: entry.key, [modifier]: true }, seen), null);
    }
  });
}

test("no key and no verb stands twice in the table", () => {
  assert.equal(new Set(KEYS.map(({ key }) => key)).size, KEYS.length);
  assert.equal(new Set(KEYS.map(({ verb }) => verb)).size, KEYS.length);
});

test("a key that was on its way when the picture changed decides nothing", () => {
  for (const entry of KEYS.filter(({ decides }) => decides)) {
    const press = { ...plain, key: entry.key };
    assert.equal(keyFor(press, { now: 1000 + BLIND_MS - 1, shownAt: 1000, typing: false }), null);
    assert.equal(keyFor(press, { now: 1000 + BLIND_MS, shownAt: 1000, typing: false }), entry);
  }
});

test("undo, help and the heat map work at once after a new picture", () => {
  for (const key of ["z", "?", "h"]) {
    assert.ok(keyFor({ ...plain, key }, { now: 1001, shownAt: 1000, typing: false }));
  }
});

test("on a Cyrillic keyboard the place of the key counts", () => {
  assert.equal(keyFor({ ...plain, key: "а", code: "KeyF" }, seen)?.verb, "reject");
});

test("an unknown key means nothing", () => {
  assert.equal(keyFor({ ...plain, key: "q", code: "KeyQ" }, seen), null);
});
