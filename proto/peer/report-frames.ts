/**
 * What a node asks another one on behalf of an operator, as bytes and back:
 * rows of lists, what `cluster_status` shows of a node.
 *
 *   report request   number (u64), question (u32 length, JSON)
 *   report answer    number of the question (u64), answer (u32 length, JSON)
 *
 * JSON, since these are few, for people, and grow columns with every release.
 * What stands in it is the business of `node/admin/peers`. Decoding throws
 * RangeError only.
 */
import { ByteWriter } from '../base/byte-writer.ts';
import { FRAME_HEADER_BYTES, FrameKind } from './frame-kinds.ts';
import { decode, readText, whole, writeText } from './raft-frames.ts';

const VERSION = 1;

export interface ReportFrame {
  /** Counted by the node that asks. */
  readonly number: number;
  /** JSON. */
  readonly text: string;
}

export function encodeReport(kind: 'request' | 'answer', { number, text }: ReportFrame): Buffer {
  const writer = new ByteWriter(FRAME_HEADER_BYTES + 12 + text.length);
  writer.u8(kind === 'request' ? FrameKind.reportRequest : FrameKind.reportAnswer);
  writer.u8(VERSION);
  writer.u64(number);
  writeText(writer, text);
  return writer.finish();
}

export function decodeReport(frame: Uint8Array): ReportFrame {
  return decode('report of a node', frame, (reader) => ({ number: whole(reader), text: readText(reader) }));
}
