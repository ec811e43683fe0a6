/**
 * Sends the same to Warren and to a RabbitMQ and compares what they say: every
 * method by a user with some of the rights (permissions.ts), and random scripts.
 *
 *     node dist/test/differential/main.js --seeds 200 [--first 1] [--seconds 120] [--flavour flow] [--shrink 20]
 *
 * A flavour leaves the permissions out. The broker to compare with is started
 * for it, or is the running one that WARREN_TEST_TARGET and
 * WARREN_TEST_RABBIT_DIR name (test/support/broker). A script whose outcome
 * differs is made as short as it gets and printed with both outcomes (R and W);
 * one whose outcome also differs between two runs on RabbitMQ is a matter of
 * timing and only counted. The last line is "N passed, N failed".
 */
import fc from 'fast-check';
import type { BrokerAdmin } from '../support/broker/admin.ts';
import { isRabbitInstalled, RabbitControl, RabbitNode } from '../support/broker/rabbit.ts';
import { startWarren } from '../support/broker/warren-node.ts';
import type { BrokerAddress } from '../support/raw-client/connection.ts';
import { Comparison } from './compare.ts';
import { FLAVOURS, type Flavour } from './generate.ts';
import { comparePermissions, PERMISSION_CASES } from './permissions.ts';

interface Broker {
  readonly address: BrokerAddress;
  readonly admin: BrokerAdmin;
}

interface Totals {
  passed: number;
  failed: number;
}

interface Options {
  readonly seeds: number;
  readonly first: number;
  readonly seconds: number;
  readonly flavours: readonly Flavour[];
  readonly hasPermissions: boolean;
  readonly shrinkSeconds: number;
}

function readOptions(args: readonly string[]): Options {
  const value = (name: string, otherwise: string): string => {
    const at = args.indexOf(`--${name}`);
    return at === -1 ? otherwise : (args[at + 1] ?? otherwise);
  };
  const all = Object.keys(FLAVOURS).filter(isFlavour);
  const asked = value('flavour', '');
  return {
    seeds: Number(value('seeds', '100')),
    first: Number(value('first', '1')),
    seconds: Number(value('seconds', '100000')),
    flavours: isFlavour(asked) ? [asked] : all,
    hasPermissions: asked === '',
    shrinkSeconds: Number(value('shrink', '20')),
  };
}

function isFlavour(name: string): name is Flavour {
  return Object.hasOwn(FLAVOURS, name);
}

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  const running = process.env['WARREN_TEST_TARGET'] ?? '';
  if (running === '' && !isRabbitInstalled()) {
    console.log('differential: no RabbitMQ is installed, nothing was compared');
    console.log('0 passed, 0 failed');
    return 0;
  }
  const warren = await startWarren({ settings: {}, isDurable: false });
  const rabbit = running === '' ? await RabbitNode.start() : null;
  try {
    const other = rabbit === null ? runningRabbit(running) : { address: rabbit.address, admin: rabbit.control };
    const totals: Totals = { passed: 0, failed: 0 };
    if (options.hasPermissions) await countPermissions(warren, other, totals);
    await compareScripts(options, new Comparison(warren.address, other.address), totals);
    console.log(`${totals.passed} passed, ${totals.failed} failed`);
    return totals.failed === 0 ? 0 : 1;
  } finally {
    await rabbit?.stop();
    await warren.stop();
  }
}

function runningRabbit(target: string): Broker {
  const [host = '127.0.0.1', port = '5672'] = target.split(':');
  const folder = process.env['WARREN_TEST_RABBIT_DIR'] ?? '';
  return { address: { host, port: Number(port) }, admin: new RabbitControl(folder) };
}

async function countPermissions(warren: Broker, rabbit: Broker, totals: Totals): Promise<void> {
  const differences = await comparePermissions(warren, rabbit);
  for (const difference of differences) console.log(difference);
  totals.failed += differences.length;
  totals.passed += PERMISSION_CASES.length - differences.length;
}

async function compareScripts(options: Options, comparison: Comparison, totals: Totals): Promise<void> {
  const endAt = performance.now() + options.seconds * 1000;
  for (let seed = options.first; seed < options.first + options.seeds && performance.now() < endAt; seed += 1) {
    const flavour = options.flavours[seed % options.flavours.length]!;
    let shrinkUntil = Number.POSITIVE_INFINITY;
    const property = fc.asyncProperty(FLAVOURS[flavour], async (script) => {
      if (performance.now() > shrinkUntil) return true; // enough: the shortest so far is printed
      if ((await comparison.run(script)) === null) return true;
      shrinkUntil = Math.min(shrinkUntil, performance.now() + options.shrinkSeconds * 1000);
      return false;
    });
    const details = await fc.check(property, { seed, numRuns: 1 });
    totals[details.failed ? 'failed' : 'passed'] += 1;
    if (!details.failed) continue;
    const shortenUntil = performance.now() + options.shrinkSeconds * 1000;
    const script = await comparison.shorten(details.counterexample?.[0] ?? [], shortenUntil);
    console.log(`\n=== seed ${seed} (${flavour})`);
    console.log(await comparison.describe(script));
  }
  console.log(`${comparison.timingCount} of ${comparison.runCount} scripts had more than one outcome on RabbitMQ`);
}

process.exitCode = await main();
