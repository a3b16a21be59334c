import assert from "node:assert/strict";
import { test } from "node:test";

import { readState } from "./line_state.js";
import { blockWords } from "./shift.js";

const none = { seen: 0, right: 0, missed_bad: 0, rejected_good: 0 };

test("a block without known parts is told in one sentence", () => {
  assert.deepEqual(blockWords({ verdicts: 41, active_ms: 18.2 * 60_000, probes: none }), [
    "41 verdicts in 18 active minutes.",
  ]);
  assert.deepEqual(blockWords({ verdicts: 1, active_ms: 5_000, probes: none }), [
    "1 verdict in less than a minute.",
  ]);
});

test("the known parts are told with what was missed", () => {
  const probes = { seen: 5, right: 3, missed_bad: 1, rejected_good: 1 };
  assert.equal(
    blockWords({ verdicts: 9, active_ms: 60_000, probes })[1],
    "Of 5 known parts among them you judged 3 right: 1 bad passed, 1 good rejected.",
  );
  const all = { seen: 1, right: 1, missed_bad: 0, rejected_good: 0 };
  assert.equal(
    blockWords({ verdicts: 9, active_ms: 60_000, probes: all })[1],
    "Of 1 known part among them you judged 1 right.",
  );
});

test("a place of the line is told with its sentence; a word that nobody knows is unknown", () => {
  const told = { plc: { state: "fault", sentence: "No heartbeat." } };
  assert.deepEqual(readState(told, "plc"), { state: "fault", sentence: "No heartbeat." });
  assert.equal(readState({ plc: { state: "fine" } }, "plc").state, "unknown");
  assert.equal(readState(null, "plc").state, "unknown");
});
