import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = path.dirname(fileURLToPath(import.meta.url));
const REFERENCE = /(?:\bfrom\s*|\bimport\s*|\bimport\()"(\.[^"]+)"/g;
const files = readdirSync(ROOT, { recursive: true })
  .map(String)
  .filter((name) => name.endsWith(".js") && !name.endsWith(".test.js"));
const text = (/** @type {string} */ name) => readFileSync(path.join(ROOT, name), "utf8");

/** What a module names, in code and in types: the hashing of static files follows both. @param {string} name */
function references(name) {
  const found = [...text(name).matchAll(REFERENCE)].map(([, to]) => path.join(path.dirname(name), to));
  return [...new Set(found)].filter((to) => files.includes(to));
}

test("no module reaches itself through its imports, or hashed names never settle", () => {
  for (const start of files) {
    const reached = new Set(references(start));
    for (const name of reached) {
      references(name).forEach((next) => reached.add(next));
    }
    assert.ok(!reached.has(start), `${start} is in a circle`);
  }
});

test("every import ends with a semicolon, or its name is silently left unhashed", () => {
  for (const name of files) {
    for (const line of text(name).split("\n")) {
      assert.ok(!/^(import|export)\b.*\bfrom\s*"/.test(line) || line.endsWith(";"), `${name}: ${line}`);
    }
  }
});
