import assert from "node:assert/strict";
import { test } from "node:test";

import { Outbox, isLoginLost } from "./outbox.js";

/** @typedef {import("./record.js").Word} Word */
const words = {
  caseId: 7,
  partName: "P-7",
  lease: "tok",
  verdict: /** @type {Word} */ ("PASS"),
  note: "",
  seen_ms: 1200,
};

/** A world whose server gives the statuses in turn. @param {number[]} statuses */
function world(statuses) {
  /** @type {import("./outbox.js").Letter[]} */
  const sent = [];
  /** @type {Map<string, string>} */
  const kept = new Map();
  const rim = {
    sent,
    kept,
    troubles: 0,
    store: {
      getItem: (/** @type {string} */ name) => kept.get(name) ?? null,
      setItem: (/** @type {string} */ name, /** @type {string} */ text) => void kept.set(name, text),
      removeItem: (/** @type {string} */ name) => void kept.delete(name),
    },
    wait: async () => {},
    onTrouble: () => {
      rim.troubles += 1;
    },
    send: async (/** @type {import("./outbox.js").Letter} */ letter) => {
      sent.push(letter);
      const status = statuses.shift() ?? 200;
      return { status, body: status >= 400 ? { error: "x", detail: "a sentence" } : { ok: true }, date: null };
    },
  };
  return rim;
}

test("a lost network and a failing server see the same key again until the verdict is taken", async () => {
  const rim = world([0, 503, 0, 200]);
  const outcome = await new Outbox(rim, "5").post(words);
  assert.equal(outcome?.kind, "taken");
  assert.equal(rim.sent.length, 4);
  assert.equal(new Set(rim.sent.map(({ key }) => key)).size, 1);
  assert.equal(rim.troubles, 3);
  assert.equal(rim.kept.size, 0);
});

test("a conflict is final and told with the server's sentence", async () => {
  const rim = world([409]);
  const outcome = await new Outbox(rim, "5").post(words);
  assert.deepEqual(outcome?.kind === "refused" && [outcome.status, outcome.detail], [409, "a sentence"]);
  assert.equal(rim.kept.size, 0);
});

test("a lost login keeps the verdict", async () => {
  const rim = world([401, 200]);
  assert.equal((await new Outbox(rim, "5").post(words))?.kind, "taken");
  assert.equal(rim.sent.length, 2);
});

test("a role that forbids is final, a lost login or token is not", async () => {
  const rim = world([403]);
  assert.equal((await new Outbox(rim, "5").post(words))?.kind, "refused");
  const lost = (/** @type {any} */ body) => isLoginLost({ status: 403, body, date: null });
  assert.equal(lost(null), true);
  assert.equal(lost({ error: "not_authenticated", detail: "" }), true);
  assert.equal(lost({ error: "permission_denied", detail: "CSRF Failed: CSRF token incorrect." }), true);
  assert.equal(lost({ error: "permission_denied", detail: "Inspectors only." }), false);
});

test("the verdict is written down before it is sent", async () => {
  const rim = world([200]);
  const keptAtSend = /** @type {number[]} */ ([]);
  const { send } = rim;
  rim.send = async (letter) => {
    keptAtSend.push(rim.kept.size);
    return send(letter);
  };
  await new Outbox(rim, "5").post(words);
  assert.deepEqual(keptAtSend, [1]);
});

test("a second verdict while one is on its way is not taken", async () => {
  const rim = world([200]);
  const outbox = new Outbox(rim, "5");
  const [first, second] = await Promise.all([outbox.post(words), outbox.post({ ...words, verdict: "REJECT" })]);
  assert.equal(first?.kind, "taken");
  assert.equal(second, null);
  assert.equal(rim.sent.length, 1);
});

test("after a reload the written verdict goes out under its old key", async () => {
  const rim = world([200]);
  rim.kept.set("secondlook.pending-verdict.5", JSON.stringify({ ...words, key: "old" }));
  const outcome = await new Outbox(rim, "5").deliver();
  assert.equal(outcome?.letter.key, "old");
});

test("what one person wrote down is not sent by the next one at the screen", async () => {
  const rim = world([]);
  rim.kept.set("secondlook.pending-verdict.4", JSON.stringify({ ...words, key: "old" }));
  assert.equal(await new Outbox(rim, "5").deliver(), null);
  assert.equal(rim.sent.length, 0);
});
