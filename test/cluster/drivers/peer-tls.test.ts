/** TLS between nodes: mutual, beside the cookie and not instead of it. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readPeerTls } from '../../../cluster/drivers/peer/tls.ts';
import { startNodes, TestNode, type TestNodeOptions, untilLinked } from './support/peer-nodes.ts';
import { certificates } from './support/tls-certificates.ts';

const withinMs = { timeout: 60_000 };

test('nodes with certificates of the same authority link, and frames pass', withinMs, async (context) => {
  const a = new TestNode({ name: 'rabbit@a', tls: certificates.node });
  const b = new TestNode({ name: 'rabbit@b', tls: certificates.node });
  await startNodes(context, a, b);
  a.know(b);
  await untilLinked(a, b);
  b.sendBytes(a, Buffer.alloc(3_000_000, 7), 1);
  await a.until(() => a.received.length === 1);
  assert.equal(a.received[0]!.frame.length, 3_000_002);
});

const refused: readonly (readonly [what: string, dialer: TestNodeOptions, listener: TestNodeOptions])[] = [
  ['a listener without TLS', { tls: certificates.node }, { tls: null }],
  ['a dialer without TLS', { tls: null }, { tls: certificates.node }],
  ['a dialer of another authority', { tls: certificates.impostor }, { tls: certificates.node }],
  ['a listener of another authority', { tls: certificates.node }, { tls: certificates.stranger }],
  ['a listener whose certificate names another host', { tls: certificates.node }, { tls: certificates.elsewhere }],
];
for (const [what, dialer, listener] of refused) {
  test(`no link: ${what}`, withinMs, async (context) => {
    const a = new TestNode({ name: 'rabbit@a', ...dialer });
    const b = new TestNode({ name: 'rabbit@b', ...listener });
    await startNodes(context, a, b);
    a.know(b);
    await a.until(() => a.logs.length > 0);
    assert.match(a.logs[0]!, /^no node at 127\.0\.0\.1:\d+ yet: /);
    assert.deepEqual([...a.events, ...b.events], []);
  });
}

test('a right certificate does not make up for a wrong cookie', withinMs, async (context) => {
  const a = new TestNode({ name: 'rabbit@a', tls: certificates.node, cookie: 'one' });
  const b = new TestNode({ name: 'rabbit@b', tls: certificates.node, cookie: 'two' });
  await startNodes(context, a, b);
  a.know(b);
  await a.until(() => a.logs.length > 0);
  assert.match(a.logs[0]!, /different cookies/);
});

test('files that are not there or not PEM are named', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'warren-tls-'));
  context.after(() => rm(folder, { recursive: true }));
  const good = join(folder, 'good.pem');
  await writeFile(good, certificates.node.cert);
  const bad = join(folder, 'bad.pem');
  await writeFile(bad, 'der');
  const files = { caFile: good, certFile: good, keyFile: good };
  assert.deepEqual(await readPeerTls(files), {
    ca: certificates.node.cert,
    cert: certificates.node.cert,
    key: certificates.node.cert,
  });
  await assert.rejects(readPeerTls({ ...files, keyFile: bad }), { message: /bad\.pem .* nothing in PEM format/ });
  await assert.rejects(readPeerTls({ ...files, caFile: join(folder, 'none') }), { message: /none .* ENOENT/ });
});
