/**
 * Errors of channel methods in RabbitMQ's words, each blamed on a method given
 * as class id * 65536 + method id (`MethodId`).
 *
 * Source: behaviours 23 to 41 and 64 to 124.
 */
import { AmqpError, ReplyCode } from '../../../proto/amqp091/errors.ts';

export const PUBLISH_ID = 60 * 65_536 + 40;

/** Ends the channel. */
export function channelError(replyCode: ReplyCode, reason: string, methodId: number): AmqpError {
  return new AmqpError('channel', replyCode, reason, methodId >>> 16, methodId & 0xffff);
}

/** Ends the connection. */
export function connectionError(replyCode: ReplyCode, reason: string, methodId: number): AmqpError {
  return new AmqpError('connection', replyCode, reason, methodId >>> 16, methodId & 0xffff);
}

export function preconditionFailed(reason: string, methodId: number): AmqpError {
  return channelError(ReplyCode.preconditionFailed, reason, methodId);
}

export function expectedChannelOpen(methodId: number): AmqpError {
  return connectionError(ReplyCode.channelError, "expected 'channel.open'", methodId);
}

export function unexpectedInStateRunning(methodId: number): AmqpError {
  return connectionError(ReplyCode.channelError, 'unexpected method in connection state running', methodId);
}

/** A method that only the server sends, or that this class does not take from clients. */
export function unimplementedMethod(methodId: number): AmqpError {
  return connectionError(ReplyCode.commandInvalid, 'unimplemented method', methodId);
}

/** Behaviours 37 to 40: `text` after "expected ". */
export function unexpectedFrame(text: string, methodId: number): AmqpError {
  return connectionError(ReplyCode.unexpectedFrame, `expected ${text}`, methodId);
}

export function noQueue(name: string, vhost: string, methodId: number): AmqpError {
  return channelError(ReplyCode.notFound, `no queue '${name}' in vhost '${vhost}'`, methodId);
}

/** The client's stream makes no sense and RabbitMQ answers nothing: the socket is dropped (behaviour 31). */
export class DropConnection extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'DropConnection';
  }
}
