/**
 * Random scripts of several flavours. Each begins with some queues, exchanges
 * and bindings, most of them good, and goes on with steps of its flavour:
 * messages on good queues, whatever comes, declarations with odd arguments,
 * quorum queues, malformed frames.
 */
import fc, { type Arbitrary } from 'fast-check';
import { forQuorum, withoutPriorityLimits } from './exemptions.ts';
import { flow } from './flows.ts';
import type { Script, Step } from './script.ts';
import {
  bindQueue,
  exchangeBindFields,
  goodExchange,
  goodQueue,
  malformed,
  messageStep,
  method,
  quorumQueue,
  topologyStep,
} from './steps.ts';
import { weighted } from './values.ts';

/** Two or three queues, some exchanges, some bindings between them. */
function setUpWith(queue: Arbitrary<Step>): Arbitrary<Step[]> {
  const named = (step: Arbitrary<Step>, field: string, name: string): Arbitrary<Step> =>
    step.map((made) => (made.kind === 'method' ? { ...made, fields: { ...made.fields, [field]: name } } : made));
  const maybe = (step: Arbitrary<Step>): Arbitrary<Step[]> => fc.array(step, { maxLength: 1 });
  return fc
    .tuple(
      fc.tuple(named(queue, 'queue', 'q1'), named(queue, 'queue', 'q2')),
      maybe(named(queue, 'queue', 'q3')),
      maybe(named(goodExchange, 'exchange', 'x1')),
      maybe(named(goodExchange, 'exchange', 'x2')),
      fc.array(weighted([4, bindQueue], [1, method('exchange.bind', exchangeBindFields)]), { maxLength: 3 }),
    )
    .map((parts) => parts.flat());
}

function flavour(begin: Arbitrary<Step[]>, step: Arbitrary<Step>, stepsMax: number): Arbitrary<Script> {
  return fc
    .tuple(begin, fc.array(step, { minLength: 2, maxLength: stepsMax }))
    .map(([first, rest]) => withoutPriorityLimits([...first, ...rest]));
}

/** Without fast-check's leaning towards small values: scripts of one step find nothing. */
export const FLAVOURS = {
  flow: fc.noBias(flow),
  messages: fc.noBias(flavour(setUpWith(goodQueue), messageStep, 16)),
  mixed: fc.noBias(flavour(setUpWith(goodQueue), weighted([3, messageStep], [2, topologyStep]), 14)),
  topology: fc.noBias(flavour(fc.constant([]), topologyStep, 12)),
  quorum: fc.noBias(flavour(setUpWith(quorumQueue), messageStep.map(forQuorum), 10)),
  malformed: fc.noBias(flavour(fc.constant([]), weighted([3, malformed], [1, messageStep]), 4)),
} as const satisfies Readonly<Record<string, Arbitrary<Script>>>;

export type Flavour = keyof typeof FLAVOURS;
