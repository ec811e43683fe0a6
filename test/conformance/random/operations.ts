/**
 * What a random client does, one step at a time, as data: so that fast-check can
 * make sequences of it and show the shortest one that fails. Numbers are
 * choices; whoever carries them out takes them modulo what there is.
 */
import fc from 'fast-check';
import type { Settle } from './party.ts';

export type Operation =
  /** To one queue, or to all through a fanout exchange. */
  | { type: 'publish'; by: number; to: number; count: number; isPersistent: boolean; fill: number }
  | { type: 'confirm'; by: number }
  | { type: 'consume'; on: number; queue: number; isAutoAck: boolean; prefetch: number }
  | { type: 'cancel'; on: number; which: number }
  /** Of the channel as a whole. */
  | { type: 'limit'; on: number; prefetch: number }
  | { type: 'get'; on: number; queue: number; isAutoAck: boolean }
  | { type: 'settle'; on: number; which: number; isMultiple: boolean; how: Settle }
  | { type: 'recover'; on: number }
  | { type: 'pause'; turns: number }
  | { type: 'purge'; queue: number }
  /** Deletes and declares again. */
  | { type: 'redeclare'; queue: number }
  | { type: 'closeChannel'; on: number }
  | { type: 'closeConnection'; which: number }
  /** The socket is destroyed, perhaps with a question on its way. */
  | { type: 'cut'; which: number; asks: 'nothing' | 'get' | 'consume'; queue: number }
  /** Of the broker, in good order. */
  | { type: 'restart' }
  | { type: 'check'; queue: number };

const choice = fc.nat(11);
const one = <T extends string>(type: T) => fc.constant(type);

const arbitraries: readonly fc.WeightedArbitrary<Operation>[] = [
  {
    weight: 10,
    arbitrary: fc.record({
      type: one('publish'),
      by: choice,
      to: choice,
      count: fc.integer({ min: 1, max: 12 }),
      isPersistent: fc.boolean(),
      fill: fc.oneof({ weight: 6, arbitrary: fc.nat(100) }, { weight: 1, arbitrary: fc.nat(20_000) }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: one('confirm'), by: choice }) },
  {
    weight: 6,
    arbitrary: fc.record({
      type: one('consume'),
      on: choice,
      queue: choice,
      isAutoAck: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
      prefetch: fc.constantFrom(0, 0, 1, 3, 10),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: one('cancel'), on: choice, which: choice }) },
  { weight: 1, arbitrary: fc.record({ type: one('limit'), on: choice, prefetch: fc.constantFrom(0, 1, 3) }) },
  { weight: 5, arbitrary: fc.record({ type: one('get'), on: choice, queue: choice, isAutoAck: fc.boolean() }) },
  {
    weight: 14,
    arbitrary: fc.record({
      type: one('settle'),
      on: choice,
      which: choice,
      isMultiple: fc.boolean(),
      how: fc.constantFrom<Settle>('ack', 'ack', 'requeue', 'reject'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: one('recover'), on: choice }) },
  { weight: 4, arbitrary: fc.record({ type: one('pause'), turns: fc.integer({ min: 1, max: 8 }) }) },
  { weight: 1, arbitrary: fc.record({ type: one('purge'), queue: choice }) },
  { weight: 1, arbitrary: fc.record({ type: one('redeclare'), queue: choice }) },
  { weight: 2, arbitrary: fc.record({ type: one('closeChannel'), on: choice }) },
  { weight: 1, arbitrary: fc.record({ type: one('closeConnection'), which: choice }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: one('cut'),
      which: choice,
      asks: fc.constantFrom('nothing', 'get', 'consume'),
      queue: choice,
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: one('restart') }) },
  { weight: 2, arbitrary: fc.record({ type: one('check'), queue: choice }) },
];

export const operations: fc.Arbitrary<Operation[]> = fc.array(fc.oneof(...arbitraries), {
  minLength: 20,
  maxLength: 80,
  size: 'max',
});
