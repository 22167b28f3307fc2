// What both programs do alike: random queries whose answers are known. The numbers are those of
// tests/drivers/python/plan.py.

import assert from "node:assert/strict";

export const DSN = process.env.GREENPOOL_DSN;
export const CLIENTS = 12;
export const QUERIES = 150;
export const TEXTS = 40;
export const DISTINCT = 2000;
export const BATCH = 200;
export const BIG = 1 << 20;
export const DIVISION_BY_ZERO = "22012";
export const SYNTAX_ERROR = "42601";
export const QUERY_CANCELED = "57014";

const SEED = Number(process.env.GREENPOOL_SEED ?? 1);

/** Random whole numbers below a bound, the same for the same client and GREENPOOL_SEED. */
export function randomOf(client) {
  let state = (SEED + client * 0x9e3779b9) >>> 0;
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound;
  };
}

/** A query whose text depends on `number`, its parameters, and the row that must come back. */
export function question(random, number = random(TEXTS)) {
  const value = random(2000) - 1000;
  const word = `w${random(1_000_000)}`;
  return {
    number,
    text: `select $1::int + ${number} as sum, $2::text || '-${number}' as word`,
    values: [value, word],
    answer: { sum: value + number, word: `${word}-${number}` },
  };
}

/** Await a failure with that SQLSTATE. */
export async function fails(promise, sqlstate) {
  await assert.rejects(Promise.resolve(promise), (error) => error.code === sqlstate);
}

/** Run `work(client)` for CLIENTS clients at a time. */
export function together(work) {
  return Promise.all(Array.from({ length: CLIENTS }, (_, client) => work(client)));
}

export const numbersTo = (end) => Array.from({ length: end }, (_, n) => n);

/** Play the scenes in order and name each one. */
export async function play(...scenes) {
  for (const scene of scenes) {
    console.log(`${scene.name} ...`);
    await scene();
  }
  console.log("done");
}
