// node-postgres (pg): named and unnamed statements, its pool, cursors, COPY streams.

import assert from "node:assert/strict";
import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";

import pg from "pg";
import copy from "pg-copy-streams";
import Cursor from "pg-cursor";

import * as plan from "./plan.js";
import { fails, numbersTo, play, question, randomOf, together } from "./plan.js";

async function withClient(work) {
  const client = new pg.Client({ connectionString: plan.DSN });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Ask; with a name the statement is parsed once in the life of the connection. */
async function ask(client, asked, name) {
  const { rows } = await client.query({ name, text: asked.text, values: asked.values });
  assert.deepEqual({ ...rows[0] }, asked.answer);
}

const askNamed = (client, asked) => ask(client, asked, `q${asked.number}`);

async function fail(client, random) {
  if (random(2)) {
    const asked = { name: "zero", text: "select 1 / $1::int", values: [0] };
    await fails(client.query(asked), plan.DIVISION_BY_ZERO);
  } else {
    const asked = { name: `bad${random(1e6)}`, text: "selct $1::int", values: [0] };
    await fails(client.query(asked), plan.SYNTAX_ERROR);
  }
}

async function transact(client, random) {
  await client.query("begin");
  const pid = async () => (await client.query("select pg_backend_pid() as pid")).rows[0].pid;
  const first = await pid();
  await askNamed(client, question(random));
  await client.query("savepoint s");
  await fail(client, random);
  await client.query("rollback to s");
  await askNamed(client, question(random));
  assert.equal(await pid(), first);
  await client.query("commit");
}

async function clientsAskAtRandom() {
  await together((number) =>
    withClient(async (client) => {
      const random = randomOf(number);
      for (let i = 0; i < plan.QUERIES; i++) {
        const chance = random(100);
        if (chance < 60) await askNamed(client, question(random));
        else if (chance < 80) await ask(client, question(random));
        else if (chance < 90) await fail(client, random);
        else await transact(client, random);
      }
    }),
  );
}

async function oneNameMeansDifferentTexts() {
  await together((number) =>
    withClient(async (client) => {
      const random = randomOf(number);
      const text = 1000 + number;
      for (let i = 0; i < 30; i++) await ask(client, question(random, text), "mine");
    }),
  );
}

async function queriesAreQueued() {
  // pg keeps a queue of its own; every answer must find its query.
  await withClient(async (client) => {
    const random = randomOf(0);
    await Promise.all(numbersTo(plan.BATCH).map(() => askNamed(client, question(random))));
  });
}

async function queriesArePipelined() {
  // The driver's own pipeline mode: many queries are under way before the first answer.
  const client = new pg.Client({ connectionString: plan.DSN, pipeline: true });
  await client.connect();
  try {
    const random = randomOf(1);
    const asked = numbersTo(plan.BATCH).map(() => question(random));
    const failing = client.query({ text: "select 1 / $1::int", values: [0] });
    await Promise.all([fails(failing, plan.DIVISION_BY_ZERO), ...asked.map((q) => askNamed(client, q))]);
  } finally {
    await client.end();
  }
}

async function aPoolOfClients() {
  const pool = new pg.Pool({ connectionString: plan.DSN, max: plan.CLIENTS });
  const random = randomOf(0);
  await Promise.all(numbersTo(400).map(() => askNamed(pool, question(random))));
  await pool.end();
}

async function cursorsOnTheServer() {
  await together((number) =>
    withClient(async (client) => {
      const top = 1000 + number;
      await client.query("begin");
      const cursor = client.query(new Cursor("select n from generate_series(1, $1::int) n", [top]));
      const seen = [];
      for (let rows = await cursor.read(100); rows.length; rows = await cursor.read(100))
        seen.push(...rows.map((row) => row.n));
      await cursor.close();
      await client.query("commit");
      assert.deepEqual(seen, numbersTo(top).map((n) => n + 1));
    }),
  );
}

async function copiesBothWays() {
  await withClient(async (client) => {
    const lines = numbersTo(5000).map((n) => `${n}\trow ${n}\n`);
    await client.query("begin");
    await client.query("create temp table copied (n int, t text) on commit drop");
    await pipeline(Readable.from(lines), client.query(copy.from("copy copied from stdin")));
    const out = client.query(copy.to("copy (select n, t from copied order by n) to stdout"));
    const chunks = [];
    for await (const chunk of out) chunks.push(chunk);
    assert.equal(Buffer.concat(chunks).toString(), lines.join(""));
    await client.query("rollback");
  });
}

async function aLargeParameter() {
  await withClient(async (client) => {
    for (const [kind, value] of [
      ["text", "g".repeat(plan.BIG)],
      ["bytea", Buffer.alloc(plan.BIG, 0xff)],
    ]) {
      const text = `select $1::${kind} as value, length($1::${kind}) as length`;
      const { rows } = await client.query({ name: `big ${kind}`, text, values: [value] });
      assert.equal(rows[0].length, plan.BIG);
      assert.deepEqual(rows[0].value, value);
    }
  });
}

async function moreTextsThanAServerHolds() {
  await together((number) =>
    withClient(async (client) => {
      const random = randomOf(number);
      const texts = Math.floor(plan.DISTINCT / plan.CLIENTS) * 2;
      for (let i = 0; i < texts; i++) await askNamed(client, question(random, i));
      for (let i = 0; i < 50; i++) await askNamed(client, question(random, random(texts)));
    }),
  );
}

await play(
  clientsAskAtRandom,
  oneNameMeansDifferentTexts,
  queriesAreQueued,
  queriesArePipelined,
  aPoolOfClients,
  cursorsOnTheServer,
  copiesBothWays,
  aLargeParameter,
  moreTextsThanAServerHolds,
);
