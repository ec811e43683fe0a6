/**
 * The messages of cluster.proto as protobufjs reads and writes them, and the
 * gRPC descriptions of the two streams, whose messages are bytes that pass
 * through unread.
 *
 * In: bytes of kind `link`, from anybody who reaches the port. Out: a message
 * whose every field was checked (lengths, characters, ranges), or a RangeError.
 */
import protobuf from 'protobufjs';
import { FRAME_HEADER_BYTES, FrameKind } from '../../../proto/peer/frame-kinds.ts';
import { NONCE_BYTES } from '../peer-auth.ts';
import { clusterProto } from '../peer-proto.ts';
import { LINK_TOKEN_BYTES, PROCESS_ID_BYTES } from './handshake.ts';

/** A handshake has to fit into messages of this size; identities are bounded far below it. */
export const LINK_MESSAGE_BYTES_MAX = 4096;
const LINK_FORMAT = 1;
const WORD_CHARS_MAX = 64;
const NAME_CHARS_MAX = 255;
const TEXT_CHARS_MAX = 1000;

/** What a node says of itself. */
export interface PeerCard {
  readonly nodeId: string;
  readonly name: string;
  readonly incarnation: number;
  /** Hexadecimal. */
  readonly processId: string;
  readonly version: string;
  readonly protocolMin: number;
  readonly protocolMax: number;
  readonly clusterId: string | null;
  readonly kind: 'disc' | 'ram';
  /** Where it listens for nodes; 0: it does not. */
  readonly port: number;
}

export type LinkMessage =
  | {
      readonly step: 'hello';
      readonly nonce: Buffer;
      readonly identity: PeerCard;
      /** Hexadecimal. */
      readonly linkToken: string;
      readonly isBulk: boolean;
    }
  | { readonly step: 'challenge'; readonly nonce: Buffer; readonly identity: PeerCard }
  | { readonly step: 'proof'; readonly proof: Buffer }
  | { readonly step: 'welcome'; readonly proof: Buffer }
  | { readonly step: 'farewell'; readonly reason: string; readonly text: string }
  | { readonly step: 'ready' }
  | { readonly step: 'holds'; readonly linkToken: string }
  | { readonly step: 'held'; readonly isHeld: boolean }
  | { readonly step: 'adopt' }
  | { readonly step: 'alive' };

type Fields = Readonly<Record<string, unknown>>;

export const CONTROL_PATH = '/warren.cluster.v1.Cluster/Control';
export const BULK_PATH = '/warren.cluster.v1.Cluster/Bulk';

export const passThrough = (bytes: Buffer): Buffer => bytes;

function streamDefinition(path: string) {
  return {
    path,
    requestStream: true,
    responseStream: true,
    requestSerialize: passThrough,
    requestDeserialize: passThrough,
    responseSerialize: passThrough,
    responseDeserialize: passThrough,
  };
}

/** By hand, as grpc-js wants it. */
export const clusterService = { Control: streamDefinition(CONTROL_PATH), Bulk: streamDefinition(BULK_PATH) };

export class LinkCodec {
  private readonly type: protobuf.Type;

  constructor() {
    this.type = protobuf.parse(clusterProto()).root.lookupType('warren.cluster.v1.LinkMessage');
  }

  encode(message: LinkMessage): Buffer {
    const body = this.type.encode(this.type.fromObject({ [message.step]: fieldsOf(message) })).finish();
    const bytes = Buffer.allocUnsafe(FRAME_HEADER_BYTES + body.length);
    bytes[0] = FrameKind.link;
    bytes[1] = LINK_FORMAT;
    bytes.set(body, FRAME_HEADER_BYTES);
    return bytes;
  }

  /** @throws RangeError when it is not a link message that we understand */
  decode(bytes: Uint8Array): LinkMessage {
    if (bytes.length > LINK_MESSAGE_BYTES_MAX) {
      throw new RangeError(`a link message of ${bytes.length} bytes, at most ${LINK_MESSAGE_BYTES_MAX} are taken`);
    }
    if (bytes[0] !== FrameKind.link || bytes[1] !== LINK_FORMAT) {
      throw new RangeError(`a message of kind ${bytes[0]} and format ${bytes[1]} where a link message was expected`);
    }
    let fields: Fields;
    try {
      const decoded = this.type.decode(bytes.subarray(FRAME_HEADER_BYTES));
      fields = this.type.toObject(decoded, { longs: Number, defaults: true, oneofs: true });
    } catch (error) {
      // A fault of the other end: protobufjs knows several errors.
      throw new RangeError(`a link message that is not protobuf: ${error instanceof Error ? error.message : error}`);
    }
    const step = fields['step'];
    if (typeof step !== 'string') throw new RangeError('a link message without a step that is known here');
    return messageOf(step, messageField(fields, step));
  }
}

function fieldsOf(message: LinkMessage): Fields {
  switch (message.step) {
    case 'hello':
      return {
        nonce: message.nonce,
        identity: cardFields(message.identity),
        linkToken: Buffer.from(message.linkToken, 'hex'),
        isBulk: message.isBulk,
      };
    case 'challenge':
      return { nonce: message.nonce, identity: cardFields(message.identity) };
    case 'proof':
    case 'welcome':
      return { proof: message.proof };
    case 'farewell':
      return { reason: message.reason, text: message.text.slice(0, TEXT_CHARS_MAX) };
    case 'holds':
      return { linkToken: Buffer.from(message.linkToken, 'hex') };
    case 'held':
      return { isHeld: message.isHeld };
    case 'ready':
    case 'adopt':
    case 'alive':
      return {};
  }
}

function cardFields(card: PeerCard): Fields {
  const { processId, clusterId, kind, ...same } = card;
  return { ...same, processId: Buffer.from(processId, 'hex'), clusterId: clusterId ?? '', isRam: kind === 'ram' };
}

function messageOf(step: string, fields: Fields): LinkMessage {
  switch (step) {
    case 'hello': {
      const linkToken = exactBytes(fields, 'linkToken', LINK_TOKEN_BYTES).toString('hex');
      const nonce = exactBytes(fields, 'nonce', NONCE_BYTES);
      return { step, nonce, identity: cardOf(fields), linkToken, isBulk: fields['isBulk'] === true };
    }
    case 'challenge':
      return { step, nonce: exactBytes(fields, 'nonce', NONCE_BYTES), identity: cardOf(fields) };
    case 'proof':
    case 'welcome':
      return { step, proof: bytesField(fields, 'proof') };
    case 'farewell':
      return { step, reason: wordField(fields, 'reason'), text: shownText(fields, 'text') };
    case 'holds':
      return { step, linkToken: exactBytes(fields, 'linkToken', LINK_TOKEN_BYTES).toString('hex') };
    case 'held':
      return { step, isHeld: fields['isHeld'] === true };
    case 'ready':
    case 'adopt':
    case 'alive':
      return { step };
    default:
      throw new RangeError(`a link message with the step ${step}, which is not known here`);
  }
}

function cardOf(message: Fields): PeerCard {
  const fields = messageField(message, 'identity');
  const protocolMin = countField(fields, 'protocolMin');
  const protocolMax = countField(fields, 'protocolMax');
  if (protocolMin > protocolMax) throw new RangeError(`protocol versions from ${protocolMin} to ${protocolMax}`);
  const clusterId = stringField(fields, 'clusterId');
  if (clusterId !== '') wordField(fields, 'clusterId');
  return {
    nodeId: wordField(fields, 'nodeId'),
    name: nameField(fields, 'name'),
    incarnation: countField(fields, 'incarnation'),
    processId: exactBytes(fields, 'processId', PROCESS_ID_BYTES).toString('hex'),
    version: wordField(fields, 'version'),
    protocolMin,
    protocolMax,
    clusterId: clusterId === '' ? null : clusterId,
    kind: fields['isRam'] === true ? 'ram' : 'disc',
    port: portField(fields, 'port'),
  };
}

function messageField(fields: Fields, name: string): Fields {
  const value = fields[name];
  if (typeof value !== 'object' || value === null) throw new RangeError(`a link message without ${name}`);
  return value as Fields; // protobufjs makes plain objects of messages
}

function bytesField(fields: Fields, name: string): Buffer {
  const value = fields[name];
  return value instanceof Uint8Array ? Buffer.from(value) : Buffer.alloc(0);
}

function exactBytes(fields: Fields, name: string, count: number): Buffer {
  const bytes = bytesField(fields, name);
  if (bytes.length !== count) throw new RangeError(`${name} has ${bytes.length} bytes, expected ${count}`);
  return bytes;
}

function stringField(fields: Fields, name: string): string {
  const value = fields[name];
  return typeof value === 'string' ? value : '';
}

/** Ids and versions: nothing that could play tricks in a log line. */
function wordField(fields: Fields, name: string): string {
  const value = stringField(fields, name);
  if (!/^[A-Za-z0-9._+~-]+$/.test(value) || value.length > WORD_CHARS_MAX) {
    throw new RangeError(`${name} is not a word of 1 to ${WORD_CHARS_MAX} letters, digits and . _ + ~ -`);
  }
  return value;
}

function nameField(fields: Fields, name: string): string {
  const value = stringField(fields, name);
  if (!/^[A-Za-z0-9._%+~-]+@[A-Za-z0-9._:%+~-]+$/.test(value) || value.length > NAME_CHARS_MAX) {
    throw new RangeError(`${name} is not name@host of at most ${NAME_CHARS_MAX} characters`);
  }
  return value;
}

function shownText(fields: Fields, name: string): string {
  return stringField(fields, name)
    .slice(0, TEXT_CHARS_MAX)
    .replace(/[^\x20-\x7e]/g, '?');
}

function countField(fields: Fields, name: string): number {
  const value = fields[name];
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`${name} is not an integer from 0 to 2^53 - 1`);
  }
  return value;
}

function portField(fields: Fields, name: string): number {
  const port = countField(fields, name);
  if (port > 65_535) throw new RangeError(`${name} is ${port}, expected at most 65535`);
  return port;
}
