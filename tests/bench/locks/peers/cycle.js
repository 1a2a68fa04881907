// node redlock over ioredis: one task, one call after the other, on 100 rotating keys.
"use strict";
const readline = require("readline");
const Redis = require("ioredis").default ?? require("ioredis");
const Redlock = require("redlock").default ?? require("redlock");

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const line = async () => (await lines.next()).value;

(async () => {
  const job = JSON.parse(await line());
  const client = new Redis(job.port, "127.0.0.1");
  const redlock = new Redlock([client], { retryCount: 0 });
  const cycle = async (number) => {
    const lock = await redlock.acquire([`bench:${number % 100}`], 10000);
    await lock.release();
  };
  for (let number = 0; number < 2000; number++) await cycle(number);
  console.log('"ready"');
  await line();
  const samples = [];
  const start = process.hrtime.bigint();
  const used = process.cpuUsage();
  for (let number = 0; number < job.cycles; number++) {
    const before = process.hrtime.bigint();
    await cycle(number);
    samples.push(Number(process.hrtime.bigint() - before) / 1e3);
  }
  const { user, system } = process.cpuUsage(used);
  const outcome = {
    samples,
    bodies: [],
    count: samples.length,
    wall: Number(process.hrtime.bigint() - start),
    processor: (user + system) * 1000,
    violations: 0,
    late: 0,
  };
  process.stdout.write(JSON.stringify(outcome) + "\n", () => process.exit(0));
})();
