/**
 * Configurations of random walks, and one walk: the seed decides everything.
 */
import type { RuleName } from './rules.ts';
import { type Fault, World, type WorldOptions } from './world.ts';

type Configuration = Omit<WorldOptions, 'seed' | 'broken' | 'isTraced'>;

const base: Configuration = {
  steps: 400,
  minInSync: 2,
  isAlways: false,
  tailBytesMax: 1_000_000,
  publishes: 8,
  transientShare: 0,
  faults: ['kill', 'power', 'cut'],
  faultsMax: 4,
  isOneLost: false,
};
const everything: readonly Fault[] = ['kill', 'power', 'cut', 'wrong-down', 'drop', 'lag'];

export const configurations: ReadonlyMap<string, Configuration> = new Map<string, Configuration>([
  ['quiet', { ...base, faultsMax: 0 }],
  ['crash', base],
  ['cuts', { ...base, faults: ['cut', 'lag'], faultsMax: 8 }],
  ['floor-one', { ...base, minInSync: 1, faults: everything, faultsMax: 6 }],
  ['sync', { ...base, tailBytesMax: 0, faults: everything, faultsMax: 6 }],
  ['sync-one', { ...base, tailBytesMax: 0, minInSync: 1, faults: everything, faultsMax: 8, steps: 600 }],
  ['transient', { ...base, transientShare: 0.5, faults: everything, faultsMax: 5 }],
  ['transient-sync', { ...base, transientShare: 0.5, tailBytesMax: 0, minInSync: 1, faults: everything, faultsMax: 5 }],
  ['membership', { ...base, faults: ['drop', 'cut', 'wrong-down', 'power'], minInSync: 1, faultsMax: 8 }],
  ['readded', { ...base, faults: ['drop', 'drop', 'cut'], minInSync: 1, faultsMax: 6, steps: 600 }],
  ['wipe', { ...base, faults: ['wipe', 'cut', 'wrong-down', 'kill'], tailBytesMax: 0 }],
  ['gone', { ...base, faults: ['cut', 'kill', 'lag'], faultsMax: 6, isOneLost: true }],
  ['gone-power', { ...base, faults: ['power', 'power', 'cut', 'wrong-down'], isOneLost: true, tailBytesMax: 0 }],
  ['alone', { ...base, isAlways: true, minInSync: 1, faults: ['lag', 'cut', 'wrong-down', 'power'], publishes: 12 }],
  ['always', { ...base, isAlways: true, minInSync: 1, faults: everything, faultsMax: 6 }],
  ['always-sync', { ...base, isAlways: true, minInSync: 1, tailBytesMax: 0, faults: everything, faultsMax: 8 }],
]);

export interface Failure {
  readonly configuration: string;
  readonly seed: number;
  readonly text: string;
  readonly stack: string;
  readonly trace: readonly string[];
}

/** @returns null when nothing was wrong */
export function walk(name: string, seed: number, broken: RuleName | null, isTraced = false): Failure | null {
  const index = [...configurations.keys()].indexOf(name);
  const world = new World({ ...configurations.get(name)!, seed: seed * 64 + index, broken, isTraced });
  try {
    world.run();
    return null;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const { message, stack } = error;
    return { configuration: name, seed, text: message, stack: stack ?? '', trace: world.trace };
  }
}
