/**
 * What members say to each other about the metadata and about being alive, as
 * bytes and back. Every frame begins with kind and version (u8 each); numbers
 * are u64, texts a length (u32) and UTF-8. Decoding throws RangeError only.
 *
 *   proposal          term, number, incarnation, text of the command
 *   proposal refused  number, why (u8), reason
 *   alive             incarnation, applied index, number, flags (u8: 1 its disk stalls)
 *   heartbeat         term, number, number of the last `alive` heard from the receiver, confirmed number, committed index,
 *                     list of (node id, incarnation, applied index)
 *   heartbeat answer  term, number, list of (node id, milliseconds since it was heard)
 *   member request    number, is it a repetition (u8), operation (u8), node id, name, kind (u8)
 *   member answer     number, outcome (u8), text
 *   discovery         see `DiscoveryFrame`
 *
 * Source: docs/replication.md (Membership, Lease); rule 39.
 */
import type { ByteReader } from '../base/byte-reader.ts';
import { ByteWriter } from '../base/byte-writer.ts';
import { FrameKind } from './frame-kinds.ts';
import { atMost, decode, readList, readText, readTexts, whole, writeText, writeTexts } from './raft-frames.ts';

const VERSION = 1;
const PEERS_MAX = 1000;
/** Length of a text and a u64. */
const HEARD_BYTES_MIN = 12;
/** Length of a text and two u64. */
const APPLIED_BYTES_MIN = 20;

export interface ProposalFrame {
  /** Raft's term that the leader is asked to propose it in. */
  readonly term: number;
  /** Of the attempt; rises within a life of the sender. */
  readonly number: number;
  readonly incarnation: number;
  readonly text: string;
}

/**
 * not-taken: it is in no log and may be tried again. not-leading: this frame was not taken; one that was sent before it
 * with the same number may have been. refused: it is in no log, and the reason is for the client.
 */
export const PROPOSAL_OUTCOMES = ['not-taken', 'not-leading', 'refused'] as const;
export type ProposalOutcome = (typeof PROPOSAL_OUTCOMES)[number];

export interface ProposalRefusedFrame {
  readonly number: number;
  readonly outcome: ProposalOutcome;
  readonly reason: string;
}

export interface AliveFrame {
  readonly incarnation: number;
  readonly appliedIndex: number;
  /** Rises with each frame of this kind to anybody. */
  readonly number: number;
  readonly isDiskStalled: boolean;
}

export interface HeartbeatFrame {
  readonly term: number;
  readonly number: number;
  /** The `alive` of the receiver that the controller has heard last: what follows was sent later than that. 0: none. */
  readonly heardNumber: number;
  /** The highest heartbeat of this term that a majority has answered. 0: none. */
  readonly confirmedNumber: number;
  /** As the controller knew it when it sent this. */
  readonly committedIndex: number;
  /** What the members have applied, for those that are not linked with each other. */
  readonly applied: readonly { readonly nodeId: string; readonly incarnation: number; readonly appliedIndex: number }[];
}

export interface HeartbeatAnswerFrame {
  readonly term: number;
  readonly number: number;
  readonly heard: readonly { readonly nodeId: string; readonly agoMs: number }[];
}

export const MEMBER_OPERATIONS = ['join', 'remove', 'leave'] as const;
export type MemberOperation = (typeof MEMBER_OPERATIONS)[number];

export interface MemberRequestFrame {
  readonly number: number;
  /** Asked before, perhaps of another controller: what is done already is no error. */
  readonly isRepetition: boolean;
  readonly operation: MemberOperation;
  readonly nodeId: string;
  readonly name: string;
  readonly kind: 'disc' | 'ram';
}

/**
 * done. elsewhere: `text` is the controller's node id, '' when unknown. refused: `text` says why. removed: unasked, by
 * the controller, to a node that is no member any more.
 */
export const MEMBER_OUTCOMES = ['done', 'elsewhere', 'refused', 'removed'] as const;
export type MemberOutcome = (typeof MEMBER_OUTCOMES)[number];

export interface MemberAnswerFrame {
  readonly number: number;
  readonly outcome: MemberOutcome;
  readonly text: string;
}

/** How a node without a cluster, and whom it asks, show themselves. */
export interface DiscoveryFrame {
  readonly name: string;
  readonly kind: 'disc' | 'ram';
  /** The receiver shall answer with one of its own. */
  readonly isQuestion: boolean;
  /** '': none. */
  readonly clusterId: string;
  /** Its configured peers, itself included, sorted. */
  readonly names: readonly string[];
  /** Not 0: it asks to be allowed to found a cluster, with this number. */
  readonly candidacy: number;
  /** Whom it has allowed that, '' for nobody, and which candidacy. */
  readonly grantedTo: string;
  readonly grantedCandidacy: number;
}

export function encodeProposalFrame({ term, number, incarnation, text }: ProposalFrame): Buffer {
  const writer = begin(FrameKind.proposal, 64 + text.length);
  writer.u64(term);
  writer.u64(number);
  writer.u64(incarnation);
  writeText(writer, text);
  return writer.finish();
}

/** @throws RangeError, as all below */
export function decodeProposalFrame(frame: Uint8Array): ProposalFrame {
  return decode('proposal', frame, (reader) => {
    return { term: whole(reader), number: whole(reader), incarnation: whole(reader), text: readText(reader) };
  });
}

export function encodeProposalRefused({ number, outcome, reason }: ProposalRefusedFrame): Buffer {
  const writer = begin(FrameKind.proposalRefused, 256);
  writer.u64(number);
  writer.u8(PROPOSAL_OUTCOMES.indexOf(outcome));
  writeText(writer, reason);
  return writer.finish();
}

export function decodeProposalRefused(frame: Uint8Array): ProposalRefusedFrame {
  return decode('refused proposal', frame, (reader) => {
    const number = whole(reader);
    const outcome = PROPOSAL_OUTCOMES[atMost('outcome', reader.u8(), PROPOSAL_OUTCOMES.length - 1)]!;
    return { number, outcome, reason: readText(reader) };
  });
}

export function encodeAlive({ incarnation, appliedIndex, number, isDiskStalled }: AliveFrame): Buffer {
  const writer = begin(FrameKind.alive, 32);
  writer.u64(incarnation);
  writer.u64(appliedIndex);
  writer.u64(number);
  writer.u8(isDiskStalled ? 1 : 0);
  return writer.finish();
}

export function decodeAlive(frame: Uint8Array): AliveFrame {
  return decode('sign of life', frame, (reader) => {
    const incarnation = whole(reader);
    const appliedIndex = whole(reader);
    return { incarnation, appliedIndex, number: whole(reader), isDiskStalled: flag(reader) };
  });
}

export function encodeHeartbeat(heartbeat: HeartbeatFrame): Buffer {
  const writer = begin(FrameKind.heartbeat, 64 + 64 * heartbeat.applied.length);
  writer.u64(heartbeat.term);
  writer.u64(heartbeat.number);
  writer.u64(heartbeat.heardNumber);
  writer.u64(heartbeat.confirmedNumber);
  writer.u64(heartbeat.committedIndex);
  writer.u32(heartbeat.applied.length);
  for (const { nodeId, incarnation, appliedIndex } of heartbeat.applied) {
    writeText(writer, nodeId);
    writer.u64(incarnation);
    writer.u64(appliedIndex);
  }
  return writer.finish();
}

export function decodeHeartbeat(frame: Uint8Array): HeartbeatFrame {
  return decode('heartbeat', frame, (reader) => {
    const term = whole(reader);
    const number = whole(reader);
    const heardNumber = whole(reader);
    const confirmedNumber = whole(reader);
    const committedIndex = whole(reader);
    const applied = readList(reader, APPLIED_BYTES_MIN, (item) => {
      return { nodeId: readText(item), incarnation: whole(item), appliedIndex: whole(item) };
    });
    return { term, number, heardNumber, confirmedNumber, committedIndex, applied };
  });
}

export function encodeHeartbeatAnswer({ term, number, heard }: HeartbeatAnswerFrame): Buffer {
  const writer = begin(FrameKind.heartbeatAnswer, 64 + 48 * heard.length);
  writer.u64(term);
  writer.u64(number);
  writer.u32(heard.length);
  for (const { nodeId, agoMs } of heard) {
    writeText(writer, nodeId);
    writer.u64(agoMs);
  }
  return writer.finish();
}

export function decodeHeartbeatAnswer(frame: Uint8Array): HeartbeatAnswerFrame {
  return decode('answer to a heartbeat', frame, (reader) => {
    const term = whole(reader);
    const number = whole(reader);
    const heard = readList(reader, HEARD_BYTES_MIN, (item) => ({ nodeId: readText(item), agoMs: whole(item) }));
    atMost('nodes heard of', heard.length, PEERS_MAX);
    return { term, number, heard };
  });
}

export function encodeMemberRequest(request: MemberRequestFrame): Buffer {
  const writer = begin(FrameKind.memberRequest, 128);
  writer.u64(request.number);
  writer.u8(request.isRepetition ? 1 : 0);
  writer.u8(MEMBER_OPERATIONS.indexOf(request.operation));
  writeText(writer, request.nodeId);
  writeText(writer, request.name);
  writer.u8(request.kind === 'ram' ? 1 : 0);
  return writer.finish();
}

export function decodeMemberRequest(frame: Uint8Array): MemberRequestFrame {
  return decode('request of a member', frame, (reader) => {
    const number = whole(reader);
    const isRepetition = flag(reader);
    const operation = MEMBER_OPERATIONS[atMost('operation', reader.u8(), MEMBER_OPERATIONS.length - 1)]!;
    const nodeId = readText(reader);
    return { number, isRepetition, operation, nodeId, name: readText(reader), kind: kind(reader) };
  });
}

export function encodeMemberAnswer({ number, outcome, text }: MemberAnswerFrame): Buffer {
  const writer = begin(FrameKind.memberAnswer, 256);
  writer.u64(number);
  writer.u8(MEMBER_OUTCOMES.indexOf(outcome));
  writeText(writer, text);
  return writer.finish();
}

export function decodeMemberAnswer(frame: Uint8Array): MemberAnswerFrame {
  return decode('answer to a member', frame, (reader) => {
    const number = whole(reader);
    const outcome = MEMBER_OUTCOMES[atMost('outcome', reader.u8(), MEMBER_OUTCOMES.length - 1)]!;
    return { number, outcome, text: readText(reader) };
  });
}

export function encodeDiscovery(discovery: DiscoveryFrame): Buffer {
  const writer = begin(FrameKind.discovery, 256);
  writeText(writer, discovery.name);
  writer.u8(discovery.kind === 'ram' ? 1 : 0);
  writer.u8(discovery.isQuestion ? 1 : 0);
  writeText(writer, discovery.clusterId);
  writeTexts(writer, discovery.names);
  writer.u64(discovery.candidacy);
  writeText(writer, discovery.grantedTo);
  writer.u64(discovery.grantedCandidacy);
  return writer.finish();
}

export function decodeDiscovery(frame: Uint8Array): DiscoveryFrame {
  return decode('discovery', frame, (reader) => {
    const name = readText(reader);
    const nodeKind = kind(reader);
    const isQuestion = flag(reader);
    const clusterId = readText(reader);
    const names = readTexts(reader);
    atMost('configured peers', names.length, PEERS_MAX);
    const candidacy = whole(reader);
    const grantedTo = readText(reader);
    const grantedCandidacy = whole(reader);
    return { name, kind: nodeKind, isQuestion, clusterId, names, candidacy, grantedTo, grantedCandidacy };
  });
}

function begin(frameKind: number, capacityBytes: number): ByteWriter {
  const writer = new ByteWriter(capacityBytes);
  writer.u8(frameKind);
  writer.u8(VERSION);
  return writer;
}

function flag(reader: ByteReader): boolean {
  return atMost('flag', reader.u8(), 1) === 1;
}

function kind(reader: ByteReader): 'disc' | 'ram' {
  return flag(reader) ? 'ram' : 'disc';
}
