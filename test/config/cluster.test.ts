/** What the configuration says of the links between nodes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePeerAddress } from '../../cluster/drivers/peer/address.ts';
import { entryOfSet, resolveConfig } from '../../node/config/config.ts';
import { peerListeningOf, peerTlsFilesOf } from '../../node/peer-listening.ts';

function configOf(...lines: readonly string[]) {
  return resolveConfig(lines.map((line) => entryOfSet(line)!)).values;
}

test('a node listens for others when it has peers or a port was set', () => {
  assert.equal(peerListeningOf(configOf(), false), null);
  assert.deepEqual(peerListeningOf(configOf(), true), { host: null, port: 25672 });
  assert.deepEqual(peerListeningOf(configOf('cluster.port=0'), false), { host: null, port: 0 });
  const inside = configOf('cluster.port=4000', 'cluster.interface=10.0.0.1');
  assert.deepEqual(peerListeningOf(inside, true), { host: '10.0.0.1', port: 4000 });
});

test('TLS between nodes takes three files or none', () => {
  assert.equal(peerTlsFilesOf(configOf()), null);
  const all = ['cluster.tls.cacertfile=ca', 'cluster.tls.certfile=cert', 'cluster.tls.keyfile=key'];
  assert.deepEqual(peerTlsFilesOf(configOf(...all)), { caFile: 'ca', certFile: 'cert', keyFile: 'key' });
  assert.throws(() => peerTlsFilesOf(configOf(all[0]!)), {
    name: 'StartError',
    message:
      'TLS between nodes needs an authority, a certificate and a key: cluster.tls.certfile, cluster.tls.keyfile not set',
  });
});

test('the address of a node is a name, a host or an IP address, with a port or without', () => {
  const cases: readonly (readonly [text: string, expected: ReturnType<typeof parsePeerAddress>])[] = [
    ['rabbit@web1', { name: 'rabbit@web1', host: 'web1', port: 25672 }],
    ['rabbit@web1.example.com:4000', { name: 'rabbit@web1.example.com', host: 'web1.example.com', port: 4000 }],
    ['web1:4000', { name: null, host: 'web1', port: 4000 }],
    ['10.0.0.2', { name: null, host: '10.0.0.2', port: 25672 }],
    ['[fd00::2]:4000', { name: null, host: 'fd00::2', port: 4000 }],
    ['rabbit@[::1]', { name: 'rabbit@::1', host: '::1', port: 25672 }],
  ];
  for (const [text, expected] of cases) assert.deepEqual(parsePeerAddress(text), expected, text);
  for (const text of [
    '',
    '@web1',
    'rabbit@',
    'web1:',
    'web1:0',
    'web1:65536',
    'a b',
    'fd00::2',
    '[web1]',
    'a@b@c',
    'x/y',
  ]) {
    assert.equal(parsePeerAddress(text), null, text);
  }
});
