/**
 * Logins and permissions of the internal backend: who gets in from where, what
 * a pattern allows, how long a verdict is kept. Method: the three metadata
 * tables that access reads, held in maps and changed by the test.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Change,
  type MetadataTables,
  type PermissionDefinition,
  rowKey,
  type TableName,
  type TopicPermissionDefinition,
  type UserDefinition,
} from '../../cluster/metadata/definitions.ts';
import type { MetadataView } from '../../cluster/metadata-client.ts';
import { InternalAccess } from '../../node/access/internal-access.ts';
import { isLoopbackAddress } from '../../node/access/loopback.ts';
import { hashPassword } from '../../node/access/password-hash.ts';

const ELSEWHERE = '192.0.2.7';

interface Tables {
  readonly users: Map<string, UserDefinition>;
  readonly permissions: Map<string, PermissionDefinition>;
  readonly topicPermissions: Map<string, TopicPermissionDefinition>;
}

/** The three tables that access reads. */
class TestView implements MetadataView {
  readonly tables: Tables = { users: new Map(), permissions: new Map(), topicPermissions: new Map() };

  get<T extends TableName>(table: T, key: string): MetadataTables[T] | null {
    const rows: Partial<{ [N in TableName]: ReadonlyMap<string, MetadataTables[N]> }> = this.tables;
    return rows[table]?.get(key) ?? null;
  }

  rows(): never {
    throw new Error('access reads single rows');
  }
  size(): number {
    return 0;
  }
  bindingsFrom(): never[] {
    return [];
  }
  bindingsTo(): never[] {
    return [];
  }
  queuesOf(): never[] {
    return [];
  }
  exchangesOf(): never[] {
    return [];
  }
  queueCount(): number {
    return 0;
  }

  addUser(name: string, passwordHash: string, tags: readonly string[] = []): void {
    const hashingAlgorithm = 'rabbit_password_hashing_sha256';
    this.tables.users.set(name, { name, passwordHash, hashingAlgorithm, tags, maxConnections: -1, maxChannels: -1 });
  }

  permit(user: string, vhost: string, configure: string, write: string, read: string): void {
    this.tables.permissions.set(rowKey(user, vhost), { user, vhost, configure, write, read });
  }

  permitTopic(user: string, vhost: string, exchange: string, write: string, read: string): void {
    this.tables.topicPermissions.set(rowKey(user, vhost, exchange), { user, vhost, exchange, write, read });
  }
}

function world(): { view: TestView; access: InternalAccess; notes: string[] } {
  const view = new TestView();
  const notes: string[] = [];
  const access = new InternalAccess(view, {
    backends: ['internal'],
    loopbackUsers: ['guest'],
    onNote: (note) => notes.push(note),
  });
  return { view, access, notes };
}

test('a user logs in with the right password and nothing else', async () => {
  const { view, access } = world();
  view.addUser('anna', hashPassword('secret'), ['administrator']);
  view.addUser('ghost', '');
  view.addUser('blank', hashPassword(''));
  assert.deepEqual(await access.authenticate('anna', 'secret', ELSEWHERE), {
    type: 'accepted',
    user: 'anna',
    tags: ['administrator'],
  });
  const rows: readonly (readonly [user: string, password: string, reason: RegExp])[] = [
    ['anna', 'Secret', /'anna': wrong password/],
    ['anna', '', /'anna': no password was given/],
    ['ghost', '', /'ghost': has no password/],
    ['ghost', 'x', /'ghost': has no password/],
    ['blank', '', /'blank': no password was given/],
    ['nobody', 'secret', /'nobody' does not exist/],
    ['__proto__', 'secret', /'__proto__' does not exist/],
  ];
  for (const [user, password, reason] of rows) {
    const result = await access.authenticate(user, password, '127.0.0.1');
    assert.ok(
      result.type === 'refused' && reason.test(result.reason),
      `${user} ${password}: ${JSON.stringify(result)}`,
    );
  }
});

test('loopback users log in from this machine only, and a wrong password says the same from anywhere', async () => {
  const { view, access } = world();
  view.addUser('guest', hashPassword('guest'));
  for (const address of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1', '::ffff:7f00:1']) {
    assert.equal((await access.authenticate('guest', 'guest', address)).type, 'accepted', address);
  }
  for (const address of [ELSEWHERE, '0.0.0.0', '::', '::2', '::ffff:192.0.2.7', 'fe80::1%lo', '', 'localhost']) {
    assert.equal(isLoopbackAddress(address), false, address);
    const result = await access.authenticate('guest', 'guest', address);
    assert.ok(result.type === 'refused' && /can only connect via localhost/.test(result.reason), address);
  }
  const wrong = await access.authenticate('guest', 'wrong', ELSEWHERE);
  assert.ok(wrong.type === 'refused' && /wrong password/.test(wrong.reason));
});

test('an unknown backend is an error of the configuration, and without backends nobody logs in', async () => {
  const { view } = world();
  const onNote = () => undefined;
  assert.throws(
    () => new InternalAccess(view, { backends: ['ldap'], loopbackUsers: [], onNote }),
    /'ldap'; known: internal/,
  );
  view.addUser('anna', hashPassword('secret'));
  const none = new InternalAccess(view, { backends: [], loopbackUsers: [], onNote });
  assert.equal((await none.authenticate('anna', 'secret', ELSEWHERE)).type, 'refused');
});

test('a vhost is entered with any permission there', () => {
  const { view, access } = world();
  view.addUser('anna', '');
  assert.deepEqual([access.userExists('anna'), access.userExists('bert')], [true, false]);
  assert.equal(access.mayEnterVhost('anna', '/'), false);
  view.permit('anna', '/', '', '', '');
  assert.deepEqual([access.mayEnterVhost('anna', '/'), access.mayEnterVhost('anna', 'x')], [true, false]);
});

test('permissions are unanchored patterns by kind, and the empty one allows the empty name only', () => {
  const { view, access } = world();
  view.permit('anna', '/', '^anna\\.', '.*', '');
  const rows = [
    ['configure', 'anna.q', true],
    ['configure', 'bert.q', false],
    ['write', 'amq.default', true],
    ['write', 'anything', true],
    ['read', 'anna.q', false],
    ['read', '', true],
  ] as const;
  for (const [kind, name, verdict] of rows) {
    assert.equal(access.isAllowed('anna', '/', kind, name), verdict, `${kind} ${name}`);
    assert.equal(access.isAllowed('anna', '/', kind, name), verdict, 'asked again');
  }
  assert.equal(access.isAllowed('anna', 'other', 'write', 'x'), false);
  assert.equal(access.isAllowed('bert', '/', 'write', 'x'), false);
});

test('verdicts last until users, permissions or vhosts change', () => {
  const { view, access } = world();
  const changed = (table: 'permissions' | 'topicPermissions' | 'users' | 'vhosts' | 'queues'): Change[] => [
    { table, key: '', before: null, after: null },
  ];
  for (const table of ['permissions', 'topicPermissions', 'users', 'vhosts'] as const) {
    view.permit('anna', '/', '.*', '.*', '.*');
    access.onChanges(changed(table));
    assert.equal(access.isAllowed('anna', '/', 'write', 'x'), true);
    view.tables.permissions.clear();
    access.onChanges(changed('queues'));
    assert.equal(access.isAllowed('anna', '/', 'write', 'x'), true, 'kept while only queues change');
    access.onChanges(changed(table));
    assert.equal(access.isAllowed('anna', '/', 'write', 'x'), false, `asked anew after ${table}`);
  }
});

test('the number of kept verdicts is bounded however many names clients ask for', () => {
  const { view, access } = world();
  view.permit('anna', '/', '.*', '.*', '.*');
  let most = 0;
  for (let i = 0; i < 50_000; i++) {
    access.isAllowed('anna', '/', 'write', `q${i}`);
    most = Math.max(most, access.verdictCount);
  }
  assert.equal(most, 20_000);
});

test('a pattern that is invalid or takes too many steps allows nothing, and is noted', () => {
  const { view, access, notes } = world();
  view.permit('anna', '/', '(', '^(a+)+\\1$', '.*');
  assert.equal(access.isAllowed('anna', '/', 'configure', 'q'), false);
  assert.equal(access.isAllowed('anna', '/', 'write', `${'a'.repeat(100)}!`), false);
  assert.equal(notes.length, 2);
  assert.match(
    notes[0]!,
    /configure permission of user 'anna' in vhost '\/': the pattern '\(' is invalid \(missing \) at 1\)/,
  );
  assert.match(notes[1]!, /write permission of user 'anna'.*takes too many steps/);
});

test('topic permissions restrict where there are some, with variables that match themselves only', () => {
  const { view, access } = world();
  assert.equal(access.isTopicAllowed('anna', '/', 'amq.topic', 'write', 'x'), true, 'no row, no restriction');
  const rows: readonly (readonly [user: string, pattern: string, key: string, verdict: boolean])[] = [
    ['anna', '^{username}\\.', 'anna.1', true],
    ['anna', '^{username}\\.', 'bert.1', false],
    ['.*', '^{username}$', '.*', true],
    ['.*', '^{username}$', 'bert', false],
    ['a|b', '^x{username}$', 'b', false],
    ['a-z', '^[{username}]$', 'm', false], // the hyphen makes no range within brackets
    ['a-z', '^[{username}]$', '-', true],
    ['^a', '^[{username}]$', 'b', false],
    ['a]|.*|[', '^[{username}]$', 'anything', false],
    ['\\E.*', '^\\Q{username}\\E$', 'anything', false],
    ['2', '^(a)\\1{username}$', 'aa2', true], // the digit does not become part of the reference
    ['caf\u00e9', '^{username}$', 'caf\u00e9', true],
    ['anna', '^{vhost}{client_id}$', '/{client_id}', true], // AMQP has no client id
    ['anna', '', '', true],
    ['anna', '', 'x', false],
    ['anna', '{user}', '{user}', true],
  ];
  for (const [user, pattern, key, verdict] of rows) {
    view.permitTopic(user, '/', 'amq.topic', pattern, '.*');
    access.onChanges([{ table: 'topicPermissions', key: '', before: null, after: null }]);
    assert.equal(access.isTopicAllowed(user, '/', 'amq.topic', 'write', key), verdict, `${user} ${pattern} ${key}`);
    assert.equal(access.isTopicAllowed(user, '/', 'amq.topic', 'read', key), true);
    assert.equal(access.isTopicAllowed(user, '/', 'other', 'write', key), true);
  }
  view.permitTopic('anna', '/', 'amq.topic', '^{client_id}$', '');
  access.onChanges([{ table: 'topicPermissions', key: '', before: null, after: null }]);
  assert.equal(access.isTopicAllowed('anna', '/', 'amq.topic', 'write', '.*', '.*'), true);
  assert.equal(access.isTopicAllowed('anna', '/', 'amq.topic', 'write', 'x', '.*'), false);
  assert.equal(access.isTopicAllowed('anna', '/', 'amq.topic', 'write', 'x', 'x'), true);
});
