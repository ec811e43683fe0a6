/** What another node, or whoever reaches its port, sends on the streams of a link. */
import assert from 'node:assert/strict';
import { PeerInbox } from '../../../cluster/drivers/peer/inbox.ts';
import { LinkCodec, type LinkMessage, type PeerCard } from '../../../cluster/drivers/peer/link-codec.ts';
import { PEER_FRAME_BYTES_MAX, PeerChannel } from '../../../cluster/peer-network.ts';
import { isTaken, REFUSED, refusedOr, type Target } from '../core/target.ts';

const codec = new LinkCodec();
const isRefusal = (error: unknown): boolean => error instanceof RangeError;
const identity: PeerCard = {
  nodeId: '0123456789abcdef0123456789abcdef',
  name: 'rabbit@web1',
  incarnation: 3,
  processId: '11'.repeat(16),
  version: '1.2.3',
  protocolMin: 1,
  protocolMax: 2,
  clusterId: 'c1',
  kind: 'disc',
  port: 25672,
};
const linkToken = 'ab'.repeat(16);
const messages: readonly LinkMessage[] = [
  { step: 'hello', nonce: Buffer.alloc(32, 1), identity, linkToken, isBulk: true },
  { step: 'challenge', nonce: Buffer.alloc(32, 2), identity: { ...identity, clusterId: null, kind: 'ram' } },
  { step: 'proof', proof: Buffer.alloc(32, 3) },
  { step: 'farewell', reason: 'other-cluster', text: 'rabbit@a belongs to another cluster' },
  { step: 'holds', linkToken },
  { step: 'held', isHeld: true },
  { step: 'adopt' },
];

function checkLinkMessage(input: Buffer): number {
  const message = refusedOr(() => codec.decode(input), isRefusal);
  if (message === null) return REFUSED;
  assert.deepEqual(codec.decode(codec.encode(message)), message, 'encoded again it says the same');
  return JSON.stringify(message).length;
}

/** Messages, each after its length (u16), on one stream. */
function checkStream(input: Buffer): number {
  let bytes = 0;
  const sink = {
    isOpen: true,
    onFrame(frame: Buffer): void {
      assert.ok(frame.length >= 2 && frame.length <= PEER_FRAME_BYTES_MAX);
      bytes += frame.length;
    },
  };
  const inbox = new PeerInbox(sink, PeerChannel.bulk);
  for (let at = 0; at + 2 <= input.length; ) {
    const end = at + 2 + input.readUInt16BE(at);
    const message = input.subarray(at + 2, end);
    if (!isTaken(() => inbox.push(message), isRefusal)) return REFUSED;
    at = end;
  }
  return bytes;
}

function streamOf(...texts: readonly string[]): Buffer {
  const parts = texts.map((hex) => Buffer.from(hex, 'hex'));
  return Buffer.concat(parts.flatMap((part) => [Buffer.from([part.length >> 8, part.length & 255]), part]));
}

export const linkMessages: Target = {
  name: 'link-messages',
  claim: 'what is said in a handshake is understood or refused, and never goes into a log as it came',
  casesInTests: 10_000,
  generate: null,
  corpus: messages.map((message) => codec.encode(message)),
  dictionary: [Buffer.from('rabbit@'), Buffer.from([1, 1]), Buffer.from([0x0a, 0x20]), Buffer.from([0x80])],
  bytesMax: 4096,
  growth: { factor: 12, constant: 1000 },
  check: checkLinkMessage,
};

export const peerStreams: Target = {
  name: 'peer-streams',
  claim: 'a stream of messages gives whole frames of at most 16 MiB or is refused',
  casesInTests: 20_000,
  generate: null,
  corpus: [
    streamOf('1001aabb'),
    streamOf('0001' + '00000003' + '100142' + '00000002' + '1101'),
    streamOf('0201' + '00050000' + '00000000' + '100142424242', '0201' + '00050000' + '00000006' + '4242'),
    streamOf('1001', '0001' + '00000002' + '1001', '2002ff'),
  ],
  dictionary: [Buffer.from([0, 1]), Buffer.from([2, 1]), Buffer.from([0, 0, 0, 2]), Buffer.from([0, 5, 0, 0])],
  bytesMax: 4096,
  growth: { factor: 1, constant: 0 },
  check: checkStream,
};
