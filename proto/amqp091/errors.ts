/**
 * Errors as AMQP 0-9-1 spells them: a reply code and how much of the
 * conversation it ends.
 *
 * Source: AMQP 0-9-1 spec §4.10 (error handling) and the constants of its XML;
 * texts "NAME - what" as RabbitMQ words them.
 */
import { truncateUtf8 } from './erlang-term.ts';

export const ReplyCode = {
  contentTooLarge: 311,
  noRoute: 312,
  noConsumers: 313,
  connectionForced: 320,
  invalidPath: 402,
  accessRefused: 403,
  notFound: 404,
  resourceLocked: 405,
  preconditionFailed: 406,
  frameError: 501,
  syntaxError: 502,
  commandInvalid: 503,
  channelError: 504,
  unexpectedFrame: 505,
  resourceError: 506,
  notAllowed: 530,
  notImplemented: 540,
  internalError: 541,
} as const;
export type ReplyCode = (typeof ReplyCode)[keyof typeof ReplyCode];

const replyCodeNames: ReadonlyMap<number, string> = new Map([
  [ReplyCode.contentTooLarge, 'CONTENT_TOO_LARGE'],
  [ReplyCode.noRoute, 'NO_ROUTE'],
  [ReplyCode.noConsumers, 'NO_CONSUMERS'],
  [ReplyCode.connectionForced, 'CONNECTION_FORCED'],
  [ReplyCode.invalidPath, 'INVALID_PATH'],
  [ReplyCode.accessRefused, 'ACCESS_REFUSED'],
  [ReplyCode.notFound, 'NOT_FOUND'],
  [ReplyCode.resourceLocked, 'RESOURCE_LOCKED'],
  [ReplyCode.preconditionFailed, 'PRECONDITION_FAILED'],
  [ReplyCode.frameError, 'FRAME_ERROR'],
  [ReplyCode.syntaxError, 'SYNTAX_ERROR'],
  [ReplyCode.commandInvalid, 'COMMAND_INVALID'],
  [ReplyCode.channelError, 'CHANNEL_ERROR'],
  [ReplyCode.unexpectedFrame, 'UNEXPECTED_FRAME'],
  [ReplyCode.resourceError, 'RESOURCE_ERROR'],
  [ReplyCode.notAllowed, 'NOT_ALLOWED'],
  [ReplyCode.notImplemented, 'NOT_IMPLEMENTED'],
  [ReplyCode.internalError, 'INTERNAL_ERROR'],
]);

/** What the peer must see closed: one channel, or the whole connection. */
export type CloseScope = 'channel' | 'connection';

export class AmqpError extends Error {
  readonly scope: CloseScope;
  readonly replyCode: ReplyCode;
  /** Class and method that failed, 0 and 0 when no method was at fault. */
  readonly classId: number;
  readonly methodId: number;

  /** @param reason the text without the name of the reply code: see `replyText`. */
  constructor(scope: CloseScope, replyCode: ReplyCode, reason: string, classId = 0, methodId = 0) {
    super(reason);
    this.name = 'AmqpError';
    this.scope = scope;
    this.replyCode = replyCode;
    this.classId = classId;
    this.methodId = methodId;
  }

  /** As it goes into connection.close and channel.close: `NAME - reason`, cut to a short string. */
  get replyText(): string {
    return replyText(this.replyCode, this.message);
  }
}

/** A short string. */
const REPLY_TEXT_BYTES_MAX = 255;

/** NAME of the reply code, and the reason if there is one; one too long is cut at a character and ends in three dots. */
export function replyText(replyCode: ReplyCode, reason: string): string {
  const name = replyCodeNames.get(replyCode) ?? String(replyCode);
  const text = reason === '' ? name : `${name} - ${reason}`;
  if (Buffer.byteLength(text) <= REPLY_TEXT_BYTES_MAX) return text;
  return `${truncateUtf8(text, REPLY_TEXT_BYTES_MAX - 3)}...`;
}

/** The method is well framed, its arguments are not (behaviour 43). */
export function cannotDecode(renderedArguments: string, classId: number, methodId: number): AmqpError {
  return new AmqpError('connection', ReplyCode.frameError, `cannot decode ${renderedArguments}`, classId, methodId);
}

/** Behaviour 44: no method is blamed. */
export function malformedUtf8(): AmqpError {
  return new AmqpError('connection', ReplyCode.frameError, 'Malformed UTF-8 in shortstr');
}
