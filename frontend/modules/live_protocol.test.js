import assert from "node:assert/strict";
import { test } from "node:test";

import { backoffMs, parse, receive } from "./live_protocol.js";

const beat = (/** @type {number} */ seq) => ({ kind: "heartbeat", seq });

test("a message in order rings and moves the cursor", () => {
  const outcome = receive({ seen: 4, asked: null }, { kind: "case", seq: 5, id: 7 });
  assert.deepEqual(outcome, { cursor: { seen: 5, asked: null }, deliver: true, askSince: null, reload: false });
});

test("a gap rings and asks for what is missing", () => {
  const outcome = receive({ seen: 4, asked: null }, { kind: "case", seq: 9 });
  assert.equal(outcome.askSince, 4);
  assert.equal(outcome.cursor.seen, 9);
});

test("a late or repeated message rings again and does not move the cursor back", () => {
  const outcome = receive({ seen: 9, asked: null }, { kind: "part", seq: 6 });
  assert.equal(outcome.deliver, true);
  assert.equal(outcome.cursor.seen, 9);
});

test("a heartbeat at our number means that nothing was lost", () => {
  const outcome = receive({ seen: 9, asked: 8 }, beat(9));
  assert.deepEqual(outcome, { cursor: { seen: 9, asked: null }, deliver: false, askSince: null, reload: false });
});

test("a heartbeat ahead of us asks first and re-reads everything if that did not help", () => {
  const first = receive({ seen: 4, asked: null }, beat(6));
  assert.deepEqual([first.askSince, first.reload], [4, false]);
  const second = receive(first.cursor, beat(6));
  assert.deepEqual([second.askSince, second.reload, second.cursor.seen], [null, true, 6]);
});

test("a counter that went back re-reads everything", () => {
  assert.equal(receive({ seen: 400, asked: null }, beat(2)).reload, true);
});

test("an unknown start re-reads everything once", () => {
  const first = receive({ seen: null, asked: null }, beat(7));
  assert.equal(first.reload, true);
  assert.equal(receive(first.cursor, beat(7)).reload, false);
});

test("back-off grows, has jitter and an upper end", () => {
  assert.equal(backoffMs(0, () => 0), 250);
  assert.equal(backoffMs(0, () => 1), 500);
  assert.equal(backoffMs(2, () => 1), 2000);
  assert.equal(backoffMs(50, () => 1), 15000);
});

test("what is no live message is dropped", () => {
  assert.equal(parse("{"), null);
  assert.equal(parse("null"), null);
  assert.equal(parse('{"kind": "case"}'), null);
  assert.deepEqual(parse('{"kind": "case", "seq": 3}'), { kind: "case", seq: 3 });
});
