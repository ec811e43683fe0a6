/**
 * Settings of limits and alarms. Declarations only. Defaults are RabbitMQ
 * 3.13's, except where a line of `doc` says otherwise.
 */
import { family, scalar } from './setting.ts';
import { byteSize, fraction, integer } from './values.ts';

/** A limit as a share of something measured later, or in bytes. */
export type Watermark =
  | { readonly type: 'relative'; readonly fraction: number }
  | { readonly type: 'absolute'; readonly bytes: number };

const memoryDefault: Watermark = { type: 'relative', fraction: 0.4 };
const diskDefault: Watermark = { type: 'absolute', bytes: 50_000_000 };
const memoryFraction = fraction(0, 1);
const diskFraction = fraction(0, 1000);

export const limitSettings = {
  maxMessageBytes: scalar({
    key: 'max_message_size',
    type: { ...byteSize, parse: (text) => limited(byteSize.parse(text), 512 * 1024 * 1024) },
    default: 134_217_728,
    unit: 'bytes',
    doc: 'Largest message body, at most 512 MiB.',
  }),
  memoryWatermark: family<Watermark>({
    key: 'vm_memory_high_watermark.*',
    prefix: 'vm_memory_high_watermark',
    suffixes: ['relative', 'absolute'],
    empty: memoryDefault,
    default: memoryDefault,
    defaultText: 'relative = 0.4',
    expected: '`.relative`: a number from 0 to 1; `.absolute`: a size (2GB)',
    environment: 'RABBITMQ_VM_MEMORY_HIGH_WATERMARK',
    doc: "Publishers are blocked while the process is larger than this. `.relative` is a share of the memory of the machine or container; V8's heap is watched against its own limit too.",
    add: (_value, suffix, text) => watermark(suffix, text, memoryFraction.parse(text)),
  }),
  diskFreeLimit: family<Watermark>({
    key: 'disk_free_limit.*',
    prefix: 'disk_free_limit',
    suffixes: ['relative', 'absolute'],
    empty: diskDefault,
    default: diskDefault,
    defaultText: 'absolute = 50MB, raised to what the write buffers need',
    expected: '`.absolute`: a size (1GB); `.relative`: a multiple of the memory (1.5)',
    doc: 'Publishers are blocked while less than this is free where the data directory is. The default is raised to two write buffers and 256 MiB; a lower value that was set is obeyed, with a warning.',
    add: (_value, suffix, text) => watermark(suffix, text, diskFraction.parse(text)),
  }),
  unfinishedContentBytes: scalar({
    key: 'warren.unfinished_content_bytes',
    type: byteSize,
    default: 0,
    defaultText: '40 % of the memory watermark',
    doc: 'Messages begun and not complete, of all connections together, may hold so much memory, and never less than `max_message_size`. Beyond it the connection that holds most of it is closed with 506. 0 for the default.',
  }),
  consumerTimeoutMs: scalar({
    key: 'consumer_timeout',
    type: {
      expected: 'an integer from 1000 to 2147483647, 0 or undefined for never',
      parse: (text) => (text === 'undefined' || text === '0' ? 0 : integer(1000, 2_147_483_647).parse(text)),
    },
    default: 0,
    defaultText: '0 (never)',
    unit: 'milliseconds',
    doc: 'A delivery unsettled for longer closes its channel. Off by default, other than in RabbitMQ (30 minutes): a worker that takes long is not a dead one.',
  }),
  queueWindowBytes: scalar({
    key: 'warren.queue_window_bytes',
    type: byteSize,
    default: 8 * 1024 * 1024,
    unit: 'bytes',
    doc: "How much of one queue's ready messages is kept in memory; the rest waits on disk.",
  }),
  queueUnwrittenBytes: scalar({
    key: 'warren.queue_unwritten_bytes',
    type: byteSize,
    default: 16 * 1024 * 1024,
    unit: 'bytes',
    doc: 'Publishers of a queue are held while this much of it waits for the disk.',
  }),
};

function limited(bytes: number | null, max: number): number | null {
  return bytes !== null && bytes > 0 && bytes <= max ? bytes : null;
}

function watermark(suffix: string, text: string, share: number | null): Watermark | null {
  if (suffix === 'relative') return share === null ? null : { type: 'relative', fraction: share };
  const bytes = byteSize.parse(text);
  return bytes === null ? null : { type: 'absolute', bytes };
}
