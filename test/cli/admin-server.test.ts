/**
 * The admin service over real gRPC on a free port: nothing without a token,
 * lists in pages, refusals with their words, proofs that cannot be repeated.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { deriveKey, makeProof } from '../../cluster/drivers/peer-auth.ts';
import { AdminAuth, adminChallenge, tokenLifetimeMs } from '../../node/admin/admin-auth.ts';
import {
  type AdminMethodDefinition,
  type Fields,
  loadAdminMethods,
  messagesOf,
  textsOf,
} from '../../node/admin/admin-codec.ts';
import { AdminServer, usualAdminPort } from '../../node/admin/admin-server.ts';
import { adminMethods } from '../../node/admin/admin-service.ts';
import { AdminRefusal } from '../../node/admin/operations.ts';
import { LinkFault, NodeRefusal } from '../../node/cli/admin-link.ts';
import { GrpcLink } from '../../node/cli/grpc-link.ts';
import { silentLog } from '../../node/log.ts';
import { createFakeOperations } from './support/fake-operations.ts';

const cookie = 'a cookie for this test';
const operations = createFakeOperations();
const clock = { nowMs: 0, monotonicMs: () => clock.nowMs, wallMs: () => 0 };
let server: AdminServer;
let address = '';

before(async () => {
  const auth = new AdminAuth(cookie, clock, randomBytes);
  server = await AdminServer.start({ host: '127.0.0.1', port: 0, isStrict: true }, auth, operations, silentLog);
  address = `127.0.0.1:${server.port}`;
});

after(() => server.stop());

function open(withCookie = cookie): Promise<GrpcLink> {
  return GrpcLink.open({ address, cookie: withCookie, timeoutMs: 20_000 });
}

/** The code a call without any authentication ends with. */
function codeWithout(definition: AdminMethodDefinition, client: Client, metadata: Metadata): Promise<status | null> {
  const { path, requestSerialize, responseDeserialize } = definition;
  return new Promise((resolve) => {
    const done = (error: ServiceError | null): void => resolve(error === null ? null : error.code);
    if (definition.requestStream) {
      client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, metadata, {}, done).end();
    } else if (definition.responseStream) {
      const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, {}, metadata, {});
      call.on('error', (error: ServiceError) => done(error));
      call.on('end', () => done(null));
      call.resume();
    } else {
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, {}, metadata, {}, done);
    }
  });
}

test('every method but the two of authentication is UNAUTHENTICATED without a token, and with a made-up one', async () => {
  const methods = loadAdminMethods();
  assert.ok(methods.size >= 25, `the service has ${methods.size} methods`);
  const client = new Client(address, credentials.createInsecure());
  const madeUp = new Metadata();
  madeUp.set('warren-token', randomBytes(32).toString('base64url'));
  const callsBefore = operations.calls.length;
  let checked = 0;
  for (const [name, definition] of methods) {
    if (name === 'Challenge' || name === 'Authenticate') continue;
    for (const metadata of [new Metadata(), madeUp]) {
      assert.equal(await codeWithout(definition, client, metadata), status.UNAUTHENTICATED, name);
      checked++;
    }
  }
  client.close();
  assert.equal(checked, (methods.size - 2) * 2);
  assert.equal(operations.calls.length, callsBefore, 'nothing was done');
});

test('the file of the service and the table of methods name the same methods', () => {
  assert.deepEqual([...loadAdminMethods().keys()].sort(), Object.keys(adminMethods).sort());
});

test('a token of one connection is worth nothing on another', async () => {
  const link = await open();
  const stolen = (link as unknown as { metadata: Metadata }).metadata; // what a thief would have
  const client = new Client(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  const ping = loadAdminMethods().get('Ping')!;
  assert.equal(await codeWithout(ping, client, stolen), status.UNAUTHENTICATED);
  client.close();
  link.close();
});

test('a client with another cookie learns it from the first step', async () => {
  await assert.rejects(open('another'), (error) => error instanceof LinkFault && error.kind === 'wrong-cookie');
});

test('where nobody listens the client says so at once', async () => {
  const nobody = GrpcLink.open({ address: '127.0.0.1:1', cookie, timeoutMs: 20_000 });
  await assert.rejects(nobody, (error) => error instanceof LinkFault && error.kind === 'unreachable');
});

test('calls go through with their fields', async () => {
  const link = await open();
  assert.deepEqual(await link.call('Ping', {}), { nodeName: 'rabbit@fake' });
  await link.call('SetPermissions', { vhost: 'v', user: 'u', configure: 'c', write: '', read: 'r' });
  assert.equal(operations.calls.at(-1), 'setPermissions v u c||r');
  const reply = await link.call('Status', {});
  assert.equal(reply['diskFreeBytes'], 1e10);
  link.close();
});

test('a refusal keeps its kind and its words, letters beyond ASCII too', async () => {
  const link = await open();
  operations.nextRefusal = new AdminRefusal('no-user', 'User "zoë" does not exist');
  await assert.rejects(
    link.call('DeleteUser', { name: 'zoë' }),
    (error) =>
      error instanceof NodeRefusal && error.kind === 'no-user' && error.message === 'User "zoë" does not exist',
  );
  link.close();
});

test('a long list comes in pages, in order and whole', async () => {
  const rows = Array.from({ length: 5000 }, (_, index) => [`queue-${index}`, index, null, true, { a: [1] }]);
  operations.tableByKind.set('queues', { columns: ['name', 'messages', 'policy', 'durable', 'arguments'], rows });
  const link = await open();
  const names: unknown[] = [];
  let pages = 0;
  let columns: readonly string[] = [];
  for await (const page of link.stream('ListQueues', { vhost: '/', columns: [] })) {
    if (pages++ === 0) columns = textsOf(page, 'columns');
    for (const row of messagesOf(page, 'rows')) names.push((messagesOf(row, 'cells')[0] as Fields)['text']);
  }
  assert.deepEqual(columns, ['name', 'messages', 'policy', 'durable', 'arguments']);
  assert.equal(names.length, 5000);
  assert.deepEqual([names[0], names[4999]], ['queue-0', 'queue-4999']);
  assert.ok(pages > 20);
  link.close();
});

test('a list that is refused tells why', async () => {
  const link = await open();
  const read = async (): Promise<void> => {
    for await (const _page of link.stream('ListQueues', { vhost: '/', columns: ['nope'] }));
  };
  await assert.rejects(read(), (error) => error instanceof NodeRefusal && error.kind === 'bad-columns');
  link.close();
});

test('definitions go in and out in parts', async () => {
  const link = await open();
  const json = JSON.stringify({ users: Array.from({ length: 20_000 }, (_, index) => ({ name: `u${index}` })) });
  const bytes = Buffer.from(json);
  await link.send('ImportDefinitions', [{ json: bytes.subarray(0, 300_000) }, { json: bytes.subarray(300_000) }]);
  assert.equal(operations.calls.at(-1), `import ${json}`);
  link.close();
});

test('a port that was set and is taken is an error, a usual one is replaced', async () => {
  const auth = new AdminAuth(cookie, clock, randomBytes);
  const taken = { host: '127.0.0.1', port: server.port };
  await assert.rejects(AdminServer.start({ ...taken, isStrict: true }, auth, operations, silentLog));
  const other = await AdminServer.start({ ...taken, isStrict: false }, auth, operations, silentLog);
  assert.notEqual(other.port, server.port);
  await other.stop();
});

test('the usual port is the AMQP port and 20000, where that is a port', () => {
  assert.deepEqual([5672, 45_535, 45_536, 0, null].map(usualAdminPort), [25_672, 65_535, 0, 0, 0]);
});

test('a proof works once, for its peer, for 30 seconds; a token for ten minutes', () => {
  const auth = new AdminAuth(cookie, clock, randomBytes);
  const clientNonce = randomBytes(32);
  const proofFor = (serverNonce: Buffer): Buffer =>
    makeProof(deriveKey(cookie), 'client', adminChallenge(clientNonce, serverNonce));
  const challenge = (): Buffer => auth.challenge('peer', clientNonce)!.serverNonce;

  let serverNonce = challenge();
  assert.equal(auth.authenticate('other', clientNonce, serverNonce, proofFor(serverNonce)), null);
  serverNonce = challenge();
  assert.equal(auth.authenticate('peer', clientNonce, serverNonce, randomBytes(32)), null);
  serverNonce = challenge();
  clock.nowMs += 30_000;
  assert.equal(auth.authenticate('peer', clientNonce, serverNonce, proofFor(serverNonce)), null);
  serverNonce = challenge();
  const token = auth.authenticate('peer', clientNonce, serverNonce, proofFor(serverNonce));
  assert.ok(token !== null);
  assert.equal(auth.authenticate('peer', clientNonce, serverNonce, proofFor(serverNonce)), null);
  assert.equal(auth.isValid('peer', token), true);
  assert.equal(auth.isValid('other', token), false);
  clock.nowMs += tokenLifetimeMs;
  assert.equal(auth.isValid('peer', token), false);
  assert.equal(auth.challenge('peer', Buffer.alloc(15)), null);
});
