/**
 * Who founds a cluster: a table of what a node with an empty disk hears, and what
 * it does. The simulator (test/sim) plays the whole conversation.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  decideFounding,
  type FoundingDecision,
  type FoundingView,
  type PeerAnswer,
} from '../../../cluster/drivers/founding-decision.ts';

const NAMES = ['a@h', 'b@h', 'c@h'];

function answer(name: string, changes: Partial<PeerAnswer> = {}): PeerAnswer {
  const nodeId = `disk of ${name}`;
  const none = { clusterId: '', candidacy: 0, grantedTo: '', grantedCandidacy: 0 };
  return { nodeId, name, kind: 'disc', names: NAMES, ...none, ...changes };
}

function view(name: string, answers: readonly PeerAnswer[], changes: Partial<FoundingView> = {}): FoundingView {
  const own = { nodeId: `disk of ${name}`, name, kind: 'disc' as const, names: NAMES };
  return { ...own, answers, promise: null, candidacy: 0, waitedMs: 0, patienceMs: 3000, ...changes };
}

const wait = (text: string): FoundingDecision => ({ type: 'wait', text });
const promiseTo = (name: string, candidacy: number, nodeId = `disk of ${name}`) => ({ nodeId, name, candidacy });
const [a, b, c] = NAMES.map((name) => answer(name)) as [PeerAnswer, PeerAnswer, PeerAnswer];
const grantsA = { grantedTo: 'disk of a@h', grantedCandidacy: 7 };
const stands = { promise: promiseTo('a@h', 7), candidacy: 7 };

const CASES: readonly (readonly [what: string, view: FoundingView, decision: FoundingDecision])[] = [
  ['somebody has a cluster', view('a@h', [b, answer('c@h', { clusterId: 'x' })]), { type: 'join', clusterId: 'x' }],
  [
    'two have different ones',
    view('a@h', [answer('b@h', { clusterId: 'y' }), answer('c@h', { clusterId: 'x' })]),
    wait('peers belong to different clusters (x, y)'),
  ],
  [
    'nobody answers',
    view('a@h', []),
    wait('1 of 3 configured disc nodes have answered, 2 are needed: waiting for b@h, c@h'),
  ],
  [
    'a majority, early',
    view('a@h', [b]),
    wait('waiting up to 3000 ms for c@h to answer before a cluster is founded without'),
  ],
  ['a majority, late', view('a@h', [b], { waitedMs: 3000 }), { type: 'stand' }],
  ['all, and this is the first', view('a@h', [b, c]), { type: 'stand' }],
  ['all, and another is the first', view('b@h', [a, c]), wait('waiting for a@h to found the cluster')],
  [
    'the first stands',
    view('b@h', [answer('a@h', { candidacy: 7 }), c]),
    { type: 'promise', promise: promiseTo('a@h', 7) },
  ],
  [
    'the first stands, promised to another that is away',
    view('c@h', [answer('b@h', { candidacy: 9 })], { waitedMs: 3000, promise: promiseTo('a@h', 7) }),
    wait('waiting for a@h, which this node has let found the cluster'),
  ],
  [
    'promised to one that stands no more',
    view('c@h', [answer('b@h', { candidacy: 9 }), a], { promise: promiseTo('a@h', 7) }),
    { type: 'withdraw' },
  ],
  [
    'promised to one that came back with another disk',
    view('c@h', [b, answer('a@h', { nodeId: 'new', candidacy: 8 })], { promise: promiseTo('a@h', 7) }),
    { type: 'withdraw' },
  ],
  [
    'promised to itself, and not the first',
    view('b@h', [a, c], { promise: promiseTo('b@h', 7), candidacy: 7 }),
    { type: 'withdraw' },
  ],
  ['stands, alone', view('a@h', [b, c], stands), wait('1 nodes let this one found the cluster, 2 are needed')],
  ['stands, with a majority', view('a@h', [answer('b@h', grantsA), c], stands), { type: 'found' }],
  [
    'a promise to an earlier candidacy does not count',
    view('a@h', [answer('b@h', { ...grantsA, grantedCandidacy: 6 }), c], stands),
    wait('1 nodes let this one found the cluster, 2 are needed'),
  ],
  ['no peers but itself', view('a@h', [], { names: ['a@h'] }), { type: 'stand' }],
  ['no peers but itself, standing', view('a@h', [], { names: ['a@h'], ...stands }), { type: 'found' }],
  [
    'another list',
    view('a@h', [answer('b@h', { names: ['b@h', 'd@h'] })]),
    wait('b@h is configured with other peers (b@h, d@h) than this node (a@h, b@h, c@h)'),
  ],
  [
    'a ram node',
    view('a@h', [b, c], { kind: 'ram' }),
    wait('a ram node founds no cluster: waiting for one of b@h, c@h'),
  ],
  [
    'a peer that turns out to be a ram node has no say',
    view('a@h', [b, answer('c@h', { kind: 'ram' })]),
    { type: 'stand' },
  ],
];

test('who founds a cluster', async (t) => {
  for (const [what, given, decision] of CASES) {
    await t.test(what, () => assert.deepEqual(decideFounding(given), decision));
  }
});
