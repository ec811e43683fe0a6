// A process of its own: one offender, for some seconds. Its processor time and
// its memory are its own; when it has said what it did it dies without a
// goodbye, as such clients do.
//
// Comes in: {name, address, seconds} as JSON, 'go' over the channel of `fork`
// when its preparations are done. Goes out: {isReady}, then {did, told}.
import { once } from 'node:events';
import { Client } from './client.mjs';
import { offenders } from './offenders.mjs';

const { name, address, seconds } = JSON.parse(process.argv[2]);

/** What every offender gets. */
const world = {
  address,
  seconds,
  /** performance.now() at which it has to stop. */
  untilMs: Number.POSITIVE_INFINITY,
  open: (options) => Client.open(address, options),
  /** Ends the preparations: from here on it is measured. */
  async begin() {
    process.send({ isReady: true });
    await once(process, 'message');
    world.untilMs = performance.now() + seconds * 1000;
  },
};

const { did, told } = await offenders[name].run(world);
process.send({ did, told: told || 'nothing' }, () => process.exit(0));
