/**
 * What the `a` record of a queue says, and the `s` pages beside it.
 *
 *   a   [version u8][crc32 u32] nextPosition lastEpoch laneCount, then per lane:
 *       lane, low + 1, last + 1, head, count, bodyBytes, isPaged, ranges, sweeps
 *       each list: how many, then (distance to the one before, length)
 *   s   [version u8][crc32 u32] ranges
 *
 * All numbers as varints.
 */
import { VALUE_HEADER_BYTES, VALUE_VERSION } from './checksum.ts';
import { PAGE_POSITIONS, SettledSet } from './settled-set.ts';
import { VarintReader, type VarintWriter } from './varint.ts';

/** First and last position, both inclusive. */
export interface PositionRange {
  readonly first: number;
  readonly last: number;
}

/** The state of one chain that survives a restart. */
export interface LaneState {
  readonly lane: number;
  readonly settled: SettledSet;
  /** Position of the last message written, -1 before the first. */
  last: number;
  /** No live record has a key below this. */
  head: number;
  count: number;
  bodyBytes: number;
  /** Records between are settled and still to be deleted. */
  readonly sweeps: PositionRange[];
}

export interface QueueState {
  readonly nextPosition: number;
  readonly lastEpoch: number;
  readonly lanes: readonly LaneState[];
}

export function writeQueueState(
  writer: VarintWriter,
  nextPosition: number,
  lastEpoch: number,
  lanes: readonly (LaneState | null)[],
): void {
  writer.start();
  writer.number(nextPosition);
  writer.number(lastEpoch);
  let count = 0;
  for (const lane of lanes) if (lane !== null) count++;
  writer.number(count);
  for (const lane of lanes) if (lane !== null) writeLane(writer, lane);
}

function writeLane(writer: VarintWriter, state: LaneState): void {
  const settled = state.settled;
  writer.byte(state.lane);
  writer.number(settled.low + 1);
  writer.number(state.last + 1);
  writer.number(state.head);
  writer.number(state.count);
  writer.number(state.bodyBytes);
  writer.byte(settled.isPaged ? 1 : 0);
  const ranges = settled.isPaged ? 0 : settled.rangeCount;
  writer.number(ranges);
  let before = settled.low;
  for (let i = 0; i < ranges; i++) {
    writer.number(settled.first(i) - before);
    writer.number(settled.last(i) - settled.first(i));
    before = settled.last(i);
  }
  writeRanges(writer, state.sweeps);
}

function writeRanges(writer: VarintWriter, ranges: readonly PositionRange[]): void {
  writer.number(ranges.length);
  for (const { first, last } of ranges) {
    writer.number(first);
    writer.number(last - first);
  }
}

/** @throws RangeError when it is cut off. @param value with a checksum that was checked. */
export function readQueueState(value: Buffer): QueueState {
  if (value[0] !== VALUE_VERSION) throw new RangeError(`queue record version ${value[0]}, expected ${VALUE_VERSION}`);
  const reader = new VarintReader(value, VALUE_HEADER_BYTES);
  const nextPosition = reader.number();
  const lastEpoch = reader.number();
  const lanes: LaneState[] = [];
  for (let count = reader.number(); count > 0; count--) lanes.push(readLane(reader));
  return { nextPosition, lastEpoch, lanes };
}

function readLane(reader: VarintReader): LaneState {
  const lane = reader.byte();
  const settled = new SettledSet(reader.number() - 1);
  const last = reader.number() - 1;
  const head = reader.number();
  const count = reader.number();
  const bodyBytes = reader.number();
  const isPaged = reader.byte() === 1;
  let before = settled.low;
  for (let ranges = reader.number(); ranges > 0; ranges--) {
    const first = before + reader.number();
    before = first + reader.number();
    settled.add(first, before);
  }
  settled.isPaged = isPaged;
  return { lane, settled, last, head, count, bodyBytes, sweeps: readRanges(reader) };
}

function readRanges(reader: VarintReader): PositionRange[] {
  const ranges: PositionRange[] = [];
  for (let count = reader.number(); count > 0; count--) {
    const first = reader.number();
    ranges.push({ first, last: first + reader.number() });
  }
  return ranges;
}

/** The ranges that begin in `page`, or false when there are none. */
export function writePage(writer: VarintWriter, settled: SettledSet, page: number): boolean {
  const start = page * PAGE_POSITIONS;
  let index = settled.indexOf(start);
  if (index < settled.rangeCount && settled.first(index) < start) index++;
  writer.start();
  let before = start;
  let count = 0;
  while (index < settled.rangeCount && settled.first(index) < start + PAGE_POSITIONS) {
    writer.number(settled.first(index) - before);
    writer.number(settled.last(index) - settled.first(index));
    before = settled.last(index);
    index++;
    count++;
  }
  return count > 0;
}

export function readPage(value: Buffer, settled: SettledSet, page: number): void {
  const reader = new VarintReader(value, VALUE_HEADER_BYTES);
  let before = page * PAGE_POSITIONS;
  while (!reader.isEnd) {
    const first = before + reader.number();
    before = first + reader.number();
    settled.add(first, before);
  }
}
