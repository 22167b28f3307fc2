// postgres.js: every query is prepared under a name, and queries are pipelined without asking.

import assert from "node:assert/strict";
import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";

import postgres from "postgres";

import * as plan from "./plan.js";
import { fails, numbersTo, play, question, randomOf, together } from "./plan.js";

async function withClient(work, options = {}) {
  const sql = postgres(plan.DSN, { max: 1, onnotice: () => {}, ...options });
  try {
    return await work(sql);
  } finally {
    await sql.end();
  }
}

async function ask(sql, asked) {
  const rows = await sql.unsafe(asked.text, asked.values, { prepare: true });
  assert.deepEqual({ ...rows[0] }, asked.answer);
}

async function fail(sql, random) {
  if (random(2)) await fails(sql`select 1 / ${0}::int`, plan.DIVISION_BY_ZERO);
  else await fails(sql.unsafe(`selct ${random(9)}`, [], { prepare: true }), plan.SYNTAX_ERROR);
}

async function transact(sql, random) {
  await sql.begin(async (tx) => {
    const [first] = await tx`select pg_backend_pid() as pid`;
    await ask(tx, question(random));
    await fails(tx.savepoint((sp) => sp`select 1 / ${0}::int`), plan.DIVISION_BY_ZERO);
    await ask(tx, question(random));
    const [last] = await tx`select pg_backend_pid() as pid`;
    assert.deepEqual(last, first);
  });
}

async function clientsAskAtRandom() {
  await together((number) =>
    withClient(async (sql) => {
      const random = randomOf(number);
      for (let i = 0; i < plan.QUERIES; i++) {
        const chance = random(100);
        if (chance < 80) await ask(sql, question(random));
        else if (chance < 90) await fail(sql, random);
        else await transact(sql, random);
      }
    }),
  );
}

async function oneNameMeansDifferentTexts() {
  // The driver numbers its statements behind a random prefix; parallel queries share a connection.
  await together((number) =>
    withClient(async (sql) => {
      const random = randomOf(number);
      const asked = numbersTo(30).map(() => question(random, 1000 + number));
      await Promise.all(asked.map((each) => ask(sql, each)));
    }),
  );
}

async function queriesArePipelined() {
  await withClient(async (sql) => {
    const random = randomOf(0);
    const asked = numbersTo(plan.BATCH).map(() => question(random));
    const failing = sql`select 1 / ${0}::int`;
    await Promise.all([
      ...asked.slice(0, 100).map((each) => ask(sql, each)),
      fails(failing, plan.DIVISION_BY_ZERO),
      ...asked.slice(100).map((each) => ask(sql, each)),
    ]);
  });
}

async function errorsAmongManyTextsInPipelines() {
  // Statements are evicted while the requests behind an error are skipped.
  await together((number) =>
    withClient(async (sql) => {
      const random = randomOf(number);
      const work = numbersTo(300).map(() =>
        random(10) ? ask(sql, question(random, random(150))) : fail(sql, random),
      );
      await Promise.all(work);
    }),
  );
}

async function transactionsArePipelined() {
  await withClient(async (sql) => {
    const random = randomOf(0);
    await sql.begin((tx) => numbersTo(plan.BATCH).map(() => ask(tx, question(random))));
    await ask(sql, question(random));
  });
}

async function aPoolOfClients() {
  await withClient(
    async (sql) => {
      const random = randomOf(0);
      await Promise.all(numbersTo(600).map(() => ask(sql, question(random))));
    },
    { max: plan.CLIENTS },
  );
}

async function cursorsOnTheServer() {
  await together((number) =>
    withClient(async (sql) => {
      const top = 1000 + number;
      const seen = [];
      await sql.begin(async (tx) => {
        const cursor = tx`select n from generate_series(1, ${top}::int) n`.cursor(100);
        for await (const rows of cursor) seen.push(...rows.map((row) => row.n));
      });
      assert.deepEqual(seen, numbersTo(top).map((n) => n + 1));
    }),
  );
}

async function copiesBothWays() {
  await withClient(async (sql) => {
    const lines = numbersTo(5000).map((n) => `${n}\trow ${n}\n`);
    await sql.begin(async (tx) => {
      await tx`create temp table copied (n int, t text) on commit drop`;
      await pipeline(Readable.from(lines), await tx`copy copied from stdin`.writable());
      const [{ count }] = await tx`select count(*)::int from copied`;
      assert.equal(count, lines.length);
      // More than a stream buffers (16 KB) leaves the driver's socket paused, also without a pool.
      const out = await tx`copy (select n, t from copied where n < 500 order by n) to stdout`.readable();
      const chunks = [];
      for await (const chunk of out) chunks.push(chunk);
      assert.equal(Buffer.concat(chunks).toString(), lines.slice(0, 500).join(""));
    });
  });
}

async function settingsFollowTheirClient() {
  await together((number) =>
    withClient(async (sql) => {
      const random = randomOf(number);
      const wanted = `${100 + number}MB`;
      await sql`select set_config('work_mem', ${wanted}, false)`;
      for (let i = 0; i < 20; i++) {
        await ask(sql, question(random));
        const [row] = await sql`show work_mem`;
        assert.equal(row.work_mem, wanted);
      }
    }),
  );
}

async function longQueriesAreCancelled() {
  // The driver asks once, and a request that comes before its query runs is without effect.
  await together((number) =>
    withClient(async (sql) => {
      const random = randomOf(number);
      let cancelled = 0;
      for (let i = 0; i < 5; i++) {
        await ask(sql, question(random));
        const query = sql`select pg_sleep(2)`.execute();
        setTimeout(() => query.cancel(), 50);
        await query.catch((error) => {
          assert.equal(error.code, plan.QUERY_CANCELED);
          cancelled++;
        });
      }
      assert.ok(cancelled > 0);
    }),
  );
}

async function aLargeParameter() {
  await withClient(async (sql) => {
    const text = "g".repeat(plan.BIG);
    const bytes = Buffer.alloc(plan.BIG, 0xff);
    const [row] = await sql`select ${text}::text as text, ${bytes}::bytea as bytes`;
    assert.equal(row.text, text);
    assert.deepEqual(Buffer.from(row.bytes), bytes);
  });
}

async function moreTextsThanAServerHolds() {
  await together((number) =>
    withClient(async (sql) => {
      const random = randomOf(number);
      const texts = Math.floor(plan.DISTINCT / plan.CLIENTS) * 2;
      await Promise.all(numbersTo(texts).map((i) => ask(sql, question(random, i))));
      for (let i = 0; i < 50; i++) await ask(sql, question(random, random(texts)));
    }),
  );
}

await play(
  clientsAskAtRandom,
  oneNameMeansDifferentTexts,
  queriesArePipelined,
  errorsAmongManyTextsInPipelines,
  transactionsArePipelined,
  aPoolOfClients,
  cursorsOnTheServer,
  copiesBothWays,
  settingsFollowTheirClient,
  longQueriesAreCancelled,
  aLargeParameter,
  moreTextsThanAServerHolds,
);
