/**
 * Method payloads to `Method` values and back, with RabbitMQ's errors for what
 * cannot be decoded. Control plane: publish, deliver and ack have ways of their
 * own in frame-parser and frame-writer.
 *
 * Source: AMQP 0-9-1 spec §4.2.4 (method payloads); behaviours 31, 43, 44.
 */
import { ByteReader, EndOfBytes, NotUtf8 } from '../base/byte-reader.ts';
import { ByteWriter } from '../base/byte-writer.ts';
import { formatBytes } from './erlang-term.ts';
import { AmqpError, cannotDecode, malformedUtf8, ReplyCode } from './errors.ts';
import { MalformedTable } from './field-table-codec.ts';
import { type Method, readMethod, writeMethod } from './methods.generated.ts';

/**
 * Decodes the arguments `bytes[start, end)`.
 *
 * @returns null when there is no such method: the socket is dropped without a
 *   word (behaviour 31).
 * @throws AmqpError 501 (connection) when the arguments are cut short, longer than the method, not UTF-8 where text is
 *   due, or hold a malformed table.
 */
export function decodeMethod(
  classId: number,
  methodId: number,
  bytes: Buffer,
  start: number,
  end: number,
): Method | null {
  const reader = new ByteReader(bytes, start, end);
  try {
    const method = readMethod(classId, methodId, reader);
    if (method !== null && reader.remaining > 0) throw cannotDecode(formatBytes(bytes, start, end), classId, methodId);
    return method;
  } catch (error) {
    // Refusals: the peer's bytes are wrong. Anything else is a bug of ours and goes on.
    if (error instanceof EndOfBytes) throw cannotDecode(formatBytes(bytes, start, end), classId, methodId);
    if (error instanceof NotUtf8) throw malformedUtf8();
    if (error instanceof MalformedTable) {
      throw new AmqpError('connection', ReplyCode.frameError, error.message, classId, methodId);
    }
    throw error;
  }
}

/** Class id, method id and arguments: the payload of a method frame. @throws RangeError when a value does not fit. */
export function encodeMethod(method: Method): Buffer {
  const writer = new ByteWriter();
  writeMethod(writer, method);
  return writer.finish();
}
