// Loaded into the broker that a soak starts (`--import`): writes to the file in
// SOAK_MEMORY_FILE how much V8 says is in use, objects and buffers, at the lowest
// moment of the last ten seconds. From outside only what the process holds can be
// seen, and that is also what malloc and V8 keep for later.
import { renameSync, writeFileSync } from 'node:fs';

const lookMs = 250;
const looksPerWrite = 40;

const { SOAK_MEMORY_FILE: file } = process.env;
let lowest = Number.POSITIVE_INFINITY;
let looks = 0;

function look() {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  lowest = Math.min(lowest, heapUsed + arrayBuffers);
  if (++looks % looksPerWrite !== 0) return;
  writeFileSync(`${file}.new`, JSON.stringify({ inUseBytes: lowest }));
  renameSync(`${file}.new`, file); // a reader sees the old one or the new one
  lowest = Number.POSITIVE_INFINITY;
}

if (file !== undefined) setInterval(look, lookMs).unref();
