/**
 * The bridge from the broker's refusals to AMQP 0-9-1: which reply code, and
 * how much of the conversation ends.
 *
 * Source: what RabbitMQ answers, behaviours 46 to 147.
 */
import { AmqpError, type CloseScope, ReplyCode } from '../../../proto/amqp091/errors.ts';
import type { Refusal, RefusalKind } from '../../broker/refusal.ts';

interface ReplyCodeRow {
  readonly scope: CloseScope;
  readonly replyCode: ReplyCode;
}

const replyCodes: Record<RefusalKind, ReplyCodeRow> = {
  'not-found': { scope: 'channel', replyCode: ReplyCode.notFound },
  'access-refused': { scope: 'channel', replyCode: ReplyCode.accessRefused },
  'precondition-failed': { scope: 'channel', replyCode: ReplyCode.preconditionFailed },
  'resource-locked': { scope: 'channel', replyCode: ReplyCode.resourceLocked },
  'not-allowed': { scope: 'connection', replyCode: ReplyCode.notAllowed },
  'not-implemented': { scope: 'connection', replyCode: ReplyCode.notImplemented },
  'command-invalid': { scope: 'connection', replyCode: ReplyCode.commandInvalid },
  'limit-reached': { scope: 'channel', replyCode: ReplyCode.preconditionFailed },
  unavailable: { scope: 'channel', replyCode: ReplyCode.resourceError },
  'internal-error': { scope: 'connection', replyCode: ReplyCode.internalError },
};

/** @param classId and methodId of the method that was declined; 0 and 0 when none is to blame. */
export function refusalError(refusal: Refusal, classId: number, methodId: number): AmqpError {
  const { scope, replyCode } = replyCodes[refusal.kind];
  return new AmqpError(scope, replyCode, refusal.message, classId, methodId);
}

/** What connection.open is answered with, whatever the reason: 530 (behaviours 13, 14, 146, 147). */
export function openRefusedError(refusal: Refusal): AmqpError {
  return new AmqpError('connection', ReplyCode.notAllowed, refusal.message, 10, 40);
}
