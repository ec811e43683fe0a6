/**
 * The raft group over a store that loses what was not synced.
 *
 * Goal: what was answered survives. Method: propose, stop the process at a
 * random moment with a power failure, start again on what is left, many times;
 * then compare what was answered with what comes out of the log.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RaftStoreRows } from '../../../cluster/drivers/raft-store-rows.ts';
import { changedMembership } from '../../../cluster/raft/membership.ts';
import { Message, MessageType } from '../../../cluster/raft/port.ts';
import {
  type CommittedEntry,
  foundingEntry,
  PROPOSAL_CHARS_MAX,
  PROPOSALS_MAX,
  RaftGroup,
  type RaftMessage,
} from '../../../cluster/raft/raft-group.ts';
import { type Membership, RaftLog } from '../../../cluster/raft/raft-log.ts';
import { TurnQueue } from '../../../proto/base/turn-queue.ts';
import { SimDisk, SimRaftStore } from '../sim-raft-store.ts';

/** The event list of a process: one call at a time. */
class Loop {
  private calls: (() => void)[] = [];
  readonly schedule = (run: () => void): void => {
    this.calls.push(run);
  };
  run(callsMax = 100_000): void {
    for (let i = 0; i < callsMax; i++) {
      const call = this.calls.shift();
      if (call === undefined) return;
      call();
    }
  }
}

class Member {
  readonly loop = new Loop();
  readonly store: SimRaftStore;
  readonly rows: RaftStoreRows;
  readonly group: RaftGroup;
  readonly committed: string[] = [];
  readonly leaders: (string | null)[] = [];
  readonly sent: RaftMessage[] = [];
  readonly faults: Error[] = [];
  readonly refused: string[] = [];
  private membership: Membership;
  appliedIndex: number;

  constructor(nodeId: string, disk: SimDisk, options: { readonly founds: boolean }) {
    this.store = new SimRaftStore(disk, this.loop.schedule);
    this.rows = new RaftStoreRows(this.store);
    let loaded = this.rows.load();
    if (loaded.isNew && options.founds) {
      const { hardState, entry } = foundingEntry(nodeId);
      this.rows.save(hardState, [entry], true, null);
      loaded = { ...loaded, hardState, entries: [entry] };
    }
    this.membership = loaded.membership;
    this.appliedIndex = loaded.appliedIndex;
    for (const value of loaded.rows.get('told')?.values() ?? []) this.committed.push(value);
    const log = new RaftLog(loaded.hardState, loaded.membership, loaded.compacted, loaded.entries, () => ({
      index: this.appliedIndex,
      text: this.snapshotText(),
    }));
    this.group = new RaftGroup({
      nodeId,
      log,
      appliedIndex: loaded.appliedIndex,
      turn: new TurnQueue(this.loop.schedule),
      random: () => 0.5,
      persistence: this.rows,
      events: {
        onCommitted: (entries) => this.apply(entries),
        onSnapshot: (snapshot) => {
          this.appliedIndex = snapshot.index;
          this.committed.length = 0;
          for (const line of snapshot.text.split('\n').slice(1)) this.committed.push(JSON.parse(line)[2]);
        },
        onLeader: (leader) => this.leaders.push(leader),
        onMessage: (message) => this.sent.push(message),
        onFault: (error) => this.faults.push(error),
        log() {},
      },
    });
    this.group.start();
  }

  get members(): Membership {
    return this.membership;
  }

  propose(data: string, isShortLived = false): string | null {
    return this.group.propose(data, isShortLived, (reason) => this.refused.push(reason));
  }

  private apply(entries: readonly CommittedEntry[]): void {
    for (const entry of entries) {
      this.appliedIndex = entry.index;
      if (entry.type === 'membership') {
        this.membership = entry.membership;
        this.rows.saveMembership(entry.membership, entry.index);
      } else if (entry.type === 'command') {
        this.committed.push(entry.data);
        this.rows.saveRows([this.row(entry.index, entry.data)], entry.index);
      } else {
        this.rows.saveRows([], entry.index);
      }
    }
  }

  private row(index: number, value: string): { table: string; key: string; value: string } {
    return { table: 'told', key: String(index).padStart(8, '0'), value };
  }

  private snapshotText(): string {
    const lines = this.committed.map((value, i) => JSON.stringify(['told', String(i), value]));
    return ['1', ...lines].join('\n');
  }
}

test('a single voter leads after its first commit, without any tick', () => {
  const member = new Member('a', new SimDisk(), { founds: true });
  assert.equal(member.propose('too early'), 'no leader is known');
  member.loop.run();
  assert.deepEqual(member.leaders, ['a']);
  assert.equal(member.group.status.isLeader, true);
  assert.deepEqual(member.members, { voters: ['a'], learners: [] });
  assert.equal(member.propose('one'), null);
  member.loop.run();
  assert.deepEqual(member.committed, ['one']);
});

test('proposals of one turn and those that come while it is written make two commits', () => {
  const member = new Member('a', new SimDisk(), { founds: true });
  member.loop.run();
  const before = member.store.syncCount;
  for (let i = 0; i < 50; i++) member.propose(`first ${i}`);
  member.loop.run(1); // the turn ends, its commit is under way
  for (let i = 0; i < 50; i++) member.propose(`second ${i}`);
  member.loop.run();
  assert.equal(member.committed.length, 100);
  assert.equal(member.store.syncCount - before, 2);
});

test('nothing is committed before it is synced', () => {
  const member = new Member('a', new SimDisk(), { founds: true });
  member.loop.run();
  member.store.isHeld = true;
  member.propose('one');
  member.loop.run();
  assert.deepEqual(member.committed, []);
  member.store.release();
  member.loop.run();
  assert.deepEqual(member.committed, ['one']);
});

test('for what ends with the process anyway a voter without peers does not wait for its disk', () => {
  const member = new Member('a', new SimDisk(), { founds: true });
  member.loop.run();
  const syncsOf = (act: () => void): number => {
    const before = member.store.syncCount;
    act();
    member.loop.run();
    return member.store.syncCount - before;
  };
  assert.equal(
    syncsOf(() => member.propose('short-lived', true)),
    0,
  );
  member.store.isHeld = true;
  member.propose('on a disk that is busy', true);
  member.loop.run();
  assert.deepEqual(member.committed, ['short-lived', 'on a disk that is busy']);
  member.store.release();
  member.loop.run();
  const both = () => {
    member.propose('short-lived', true);
    member.propose('lasting');
  };
  assert.equal(syncsOf(both), 1, 'beside what lasts');
  assert.equal(
    syncsOf(() => member.group.proposeMembership({ type: 'add-learner', nodeId: 'b' })),
    1,
    'a change of the members',
  );
  assert.equal(
    syncsOf(() => member.propose('short-lived', true)),
    1,
    'with somebody who may keep it',
  );
});

test('on a disk that takes nothing only so many are committed without it', () => {
  const member = new Member('a', new SimDisk(), { founds: true });
  member.loop.run();
  member.store.isHeld = true;
  for (let i = 0; i < 10_000; i++) {
    member.propose('short-lived', true);
    if (i % 100 === 0) member.loop.run();
  }
  member.loop.run();
  assert.ok(member.committed.length <= 4096, `${member.committed.length} committed`);
  member.store.release();
  member.loop.run();
  assert.equal(member.committed.length, 10_000);
});

test('no answered proposal that lasts is lost, and none comes twice, whenever the power fails', () => {
  const lives = fc.array(
    fc.record({
      proposals: fc.integer({ min: 0, max: 30 }),
      calls: fc.integer({ min: 0, max: 60 }),
      kept: fc.double({ min: 0, max: 0.999, noNaN: true }),
    }),
    { minLength: 1, maxLength: 12 },
  );
  fc.assert(
    fc.property(lives, (plan) => {
      const disk = new SimDisk();
      const answered: string[] = [];
      let number = 0;
      for (const life of plan) {
        const member = new Member('a', disk, { founds: true });
        const known = member.committed.length;
        member.loop.run(12);
        for (let i = 0; i < life.proposals; i++) {
          const isShortLived = number % 5 < 2;
          member.propose(`${isShortLived ? 's' : 'p'}${number++}`, isShortLived);
          if (i % 7 === 0) member.loop.run(1);
        }
        member.loop.run(life.calls);
        assert.deepEqual(member.faults, []);
        for (const data of member.committed.slice(known)) {
          if (data.startsWith('p') && !answered.includes(data)) answered.push(data);
        }
        if (member.appliedIndex > 20 && life.calls % 2 === 0) {
          const index = member.appliedIndex - 5;
          member.rows.compact(index, member.group.status.term);
          // A log in memory is not cut: the process ends here.
        }
        member.store.kill();
        disk.losePower(life.kept);
      }
      const last = new Member('a', disk, { founds: true });
      last.loop.run();
      assert.deepEqual(last.faults, []);
      assert.deepEqual(
        last.committed.filter((data) => answered.includes(data)),
        answered,
      );
      assert.equal(new Set(last.committed).size, last.committed.length);
    }),
    { numRuns: 200 },
  );
});

test('too many proposals and too much text are refused, with the numbers', () => {
  const member = new Member('a', new SimDisk(), { founds: true });
  member.loop.run();
  member.store.isHeld = true;
  for (let i = 0; i < PROPOSALS_MAX; i++) assert.equal(member.propose('p'), null);
  assert.equal(member.propose('p'), `${PROPOSALS_MAX} changes are waiting already, at most ${PROPOSALS_MAX} may`);
  member.store.release();
  member.loop.run();
  assert.equal(member.committed.length, PROPOSALS_MAX);
  member.store.isHeld = true;
  const text = 'x'.repeat(1024 * 1024);
  let taken = 0;
  while (member.propose(text) === null) taken++;
  assert.equal(taken, PROPOSAL_CHARS_MAX / text.length);
  assert.match(member.propose(text) ?? '', /changes waiting would hold \d+ characters, at most 67108864 may/);
});

test('a group that stops refuses what waits', () => {
  const member = new Member('a', new SimDisk(), { founds: true });
  member.loop.run();
  member.propose('one');
  member.group.stop();
  member.loop.run();
  assert.deepEqual(member.refused, ['the node is stopping']);
  assert.equal(member.propose('two'), 'the node is stopping');
});

test('members change one at a time, never to nobody', () => {
  const three: Membership = { voters: ['a', 'b'], learners: ['c'] };
  const cases = [
    ['add-learner', 'd', { voters: ['a', 'b'], learners: ['c', 'd'] }],
    ['add-learner', 'a', "a votes already and can't become a learner"],
    ['add-learner', 'c', 'c is a learner already'],
    ['add-learner', '', 'a member needs an id'],
    ['add-voter', 'c', { voters: ['a', 'b', 'c'], learners: [] }],
    ['add-voter', 'b', 'b votes already'],
    ['add-voter', 'd', 'd must be a learner before it votes'],
    ['remove', 'b', { voters: ['a'], learners: ['c'] }],
    ['remove', 'c', { voters: ['a', 'b'], learners: [] }],
    ['remove', 'd', 'd is not a member'],
  ] as const;
  for (const [type, nodeId, expected] of cases) {
    assert.deepEqual(changedMembership(three, { type, nodeId }), expected, `${type} ${nodeId}`);
  }
  const one: Membership = { voters: ['a'], learners: [] };
  assert.equal(changedMembership(one, { type: 'remove', nodeId: 'a' }), 'a is the last voter');
});

/** Delivers what the members sent, until nobody has anything more to say. */
function converse(members: ReadonlyMap<string, Member>): void {
  for (let round = 0; round < 200; round++) {
    for (const member of members.values()) member.loop.run();
    const messages = [...members.values()].flatMap((member) => member.sent.splice(0));
    if (messages.length === 0) return;
    for (const message of messages) members.get(message.to)?.group.step(message);
  }
  assert.fail('the members do not come to rest');
}

test('a founder takes in a second and third member, which then survive it', () => {
  const members = new Map([['a', new Member('a', new SimDisk(), { founds: true })]]);
  const a = members.get('a')!;
  converse(members);
  for (const text of ['one', 'two']) a.propose(text);
  converse(members);
  for (const id of ['b', 'c']) {
    members.set(id, new Member(id, new SimDisk(), { founds: false }));
    assert.equal(a.group.proposeMembership({ type: 'add-learner', nodeId: id }), null);
    assert.equal(
      a.group.proposeMembership({ type: 'add-voter', nodeId: id }),
      'a change of the members is not applied yet',
    );
    converse(members);
    assert.equal(a.group.proposeMembership({ type: 'add-voter', nodeId: id }), null);
    converse(members);
  }
  const [b, c] = [members.get('b')!, members.get('c')!];
  for (const member of [a, b, c]) {
    assert.deepEqual(member.members, { voters: ['a', 'b', 'c'], learners: [] });
    assert.deepEqual(member.committed, ['one', 'two']);
  }
  assert.equal(b.propose('by b'), null, 'a follower passes it on');
  converse(members);
  members.delete('a');
  for (let tick = 0; tick < 60; tick++) {
    b.group.tick();
    if (tick > 5) c.group.tick();
    converse(members);
  }
  assert.equal(b.group.status.leader, c.group.status.leader);
  const leader = b.group.status.isLeader ? b : c;
  assert.equal(leader.propose('without a'), null);
  converse(members);
  for (const member of [b, c]) assert.deepEqual(member.committed, ['one', 'two', 'by b', 'without a']);
  assert.deepEqual([...a.faults, ...b.faults, ...c.faults], []);
});

test('a leader is handed over, and a removed member is out', () => {
  const members = new Map([['a', new Member('a', new SimDisk(), { founds: true })]]);
  const a = members.get('a')!;
  converse(members);
  members.set('b', new Member('b', new SimDisk(), { founds: false }));
  const b = members.get('b')!;
  for (const type of ['add-learner', 'add-voter'] as const) {
    assert.equal(a.group.proposeMembership({ type, nodeId: 'b' }), null);
    converse(members);
  }
  assert.equal(a.group.proposeMembership({ type: 'remove', nodeId: 'a' }), 'a leader hands over before it is removed');
  a.group.transferLeadership('b');
  converse(members);
  assert.equal(b.group.status.isLeader, true);
  assert.equal(a.group.proposeMembership({ type: 'remove', nodeId: 'b' }), 'only the leader changes the members');
  assert.equal(b.group.proposeMembership({ type: 'remove', nodeId: 'a' }), null);
  converse(members);
  assert.deepEqual(b.members, { voters: ['b'], learners: [] });
  b.propose('alone');
  converse(members);
  assert.deepEqual(b.committed, ['alone']);
});

test('a member whose entries are gone gets a snapshot', () => {
  const members = new Map([['a', new Member('a', new SimDisk(), { founds: true })]]);
  const a = members.get('a')!;
  converse(members);
  for (let i = 0; i < 20; i++) a.propose(`p${i}`);
  converse(members);
  const disk = a.store.disk;
  a.rows.compact(a.appliedIndex, a.group.status.term);
  a.loop.run();
  a.store.kill();
  members.set('a', new Member('a', disk, { founds: true }));
  members.set('b', new Member('b', new SimDisk(), { founds: false }));
  const again = members.get('a')!;
  converse(members);
  assert.equal(again.group.proposeMembership({ type: 'add-learner', nodeId: 'b' }), null);
  converse(members);
  const b = members.get('b')!;
  assert.deepEqual(b.committed, again.committed);
  assert.equal(b.committed.length, 20);
  again.propose('behind the snapshot');
  converse(members);
  assert.equal(b.committed.at(-1), 'behind the snapshot');
  b.store.kill();
  const restarted = new Member('b', b.store.disk, { founds: false });
  restarted.loop.run();
  assert.deepEqual(restarted.committed, again.committed);
  assert.deepEqual(restarted.faults, []);
});

test('messages for somebody else and answers that nobody asked for are dropped', () => {
  const member = new Member('a', new SimDisk(), { founds: true });
  member.loop.run();
  assert.equal(member.group.step(new Message({ type: MessageType.MsgHeartbeat, from: 'b', to: 'c', term: 9 })), false);
  for (const type of [MessageType.MsgReadIndex, MessageType.MsgReadIndexResp]) {
    assert.equal(member.group.step(new Message({ type, from: 'b', to: 'a', term: 9 })), false);
  }
  let taken = 0;
  while (member.group.step(new Message({ type: MessageType.MsgHeartbeatResp, from: 'b', to: 'a', term: 2 }))) taken++;
  assert.equal(taken, 4096);
});

test('a log that lacks what was applied is not gone on from', () => {
  const disk = new SimDisk();
  const member = new Member('a', disk, { founds: true });
  member.loop.run();
  disk.entries.clear();
  assert.throws(
    () => new Member('a', disk, { founds: true }),
    /the metadata is applied up to index \d, but the log holds entries 1 to 0: entries are missing/,
  );
});
