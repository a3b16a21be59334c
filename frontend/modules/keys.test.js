import assert from "node:assert/strict";
import { test } from "node:test";

import { BLIND_MS, KEYS, capOf, keyFor, keyTable, refusal } from "./keys.js";

const plain = { repeat: false, ctrlKey: false, altKey: false, metaKey: false };
const seen = { now: 10_000, shownAt: 0, typing: false };

for (const entry of KEYS) {
  test(`${capOf(entry.key)} means ${entry.verb}, in capitals too`, () => {
    assert.equal(keyFor({ ...plain, key: entry.key }, seen), entry);
    assert.equal(keyFor({ ...plain, key: entry.key.toUpperCase() }, seen), entry);
    if (entry.also) {
      assert.equal(keyFor({ ...plain, key: entry.also }, seen), entry);
    }
  });

  test(`${capOf(entry.key)} held down, typed into a field or with a modifier means nothing`, () => {
    assert.equal(keyFor({ ...plain, key: entry.key, repeat: true }, seen), null);
    assert.equal(keyFor({ ...plain, key: entry.key }, { ...seen, typing: true }), null);
    for (const modifier of ["ctrlKey", "altKey", "metaKey"]) {
      assert.equal(keyFor({ ...plain, key: entry.key, [modifier]: true }, seen), null);
    }
  });
}

test("no key and no verb stands twice in the table", () => {
  const keys = KEYS.flatMap(({ key, also }) => (also ? [key, also] : [key]));
  assert.equal(new Set(keys).size, keys.length);
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

test("the arrows decide, and with Shift they only move the picture", () => {
  assert.equal(keyFor({ ...plain, key: "ArrowLeft" }, seen)?.verb, "reject");
  assert.equal(keyFor({ ...plain, key: "ArrowRight" }, seen)?.verb, "pass");
  assert.equal(keyFor({ ...plain, key: "ArrowLeft", shiftKey: true }, seen), null);
});

test("a person's own key replaces the standard one, and the arrows stay", () => {
  const table = keyTable({ reject: "a" });
  const means = (/** @type {string} */ key) => keyFor({ ...plain, key }, seen, table)?.verb ?? null;
  assert.deepEqual([means("a"), means("f"), means("ArrowLeft")], ["reject", null, "reject"]);
});

test("two verbs may change places", () => {
  const table = keyTable({ reject: "j", pass: "f" });
  assert.equal(keyFor({ ...plain, key: "f" }, seen, table)?.verb, "pass");
});

test("stored keys that would give one key two meanings, or move a fixed one, are not used", () => {
  assert.deepEqual(keyTable({ reject: "j" }), KEYS);
  assert.deepEqual(keyTable({ help: "q", nonsense: "y" }), KEYS);
});

test("a key that is taken or belongs to the browser is refused with a sentence", () => {
  assert.equal(refusal(KEYS, "reject", "j"), "J is taken: pass.");
  assert.equal(refusal(KEYS, "pass", "arrowleft"), refusal(KEYS, "pass", "f5"));
  assert.match(refusal(KEYS, "reject", "tab") ?? "", /^Take a letter/);
  assert.equal(refusal(KEYS, "reject", "a"), null);
  assert.equal(refusal(KEYS, "reject", "f"), null);
});
