import assert from "node:assert/strict";
import { test } from "node:test";

import { ActiveClock } from "./active_clock.js";

const here = { isVisible: true, signAt: 0 };

test("the time between two ticks counts while somebody looks", () => {
  const clock = new ActiveClock(0);
  clock.tick(1_000, here);
  clock.tick(2_000, here);
  assert.equal(clock.untold, 2_000);
});

test("a hidden tab and an idle minute stop the clock", () => {
  const clock = new ActiveClock(0);
  clock.tick(1_000, { isVisible: false, signAt: 1_000 });
  assert.equal(clock.untold, 0);
  clock.tick(1_500, { isVisible: true, signAt: -60_000 });
  assert.equal(clock.untold, 0);
});

test("a machine that slept was not looked at", () => {
  const clock = new ActiveClock(0);
  clock.tick(3_600_000, { isVisible: true, signAt: 3_600_000 });
  assert.equal(clock.untold, 0);
});

test("what the server took is not told again, and what it did not take stays", () => {
  const clock = new ActiveClock(0);
  clock.tick(1_500, here);
  const told = clock.untold;
  clock.tick(2_500, here);
  clock.told(told);
  assert.equal(clock.untold, 1_000);
});
