/** Messages for tests, from properties as words. */

import { MessageDoor } from '../../../node/broker/message-door.ts';
import { Refusal } from '../../../node/broker/refusal.ts';
import { encodeProperties, NO_PROPERTIES, type Properties } from '../../../proto/amqp091/properties.ts';
import { Address } from '../../../proto/entry/address.ts';
import type { Message } from '../../../proto/entry/message.ts';

export interface MessageOptions extends Partial<Properties> {
  readonly body?: string;
  readonly user?: string;
  readonly tags?: readonly string[];
  readonly replyAddress?: string;
}

/** Through the door, as a front-end does it, from a window into a larger buffer. */
export function admit(address: Address, options: MessageOptions = {}): Message | Refusal {
  const { body = 'hello', user = 'guest', tags = [], replyAddress = null, ...properties } = options;
  const door = new MessageDoor(user, tags);
  door.replyAddress = replyAddress;
  const encoded = encodeProperties({ ...NO_PROPERTIES, ...properties });
  const bytes = Buffer.concat([Buffer.alloc(7, 0xee), encoded, Buffer.from(body), Buffer.alloc(5, 0xee)]);
  const propertiesEnd = 7 + encoded.length;
  const bodyEnd = propertiesEnd + Buffer.byteLength(body);
  return door.admit(address, bytes, 7, propertiesEnd, propertiesEnd, bodyEnd, [], bodyEnd - propertiesEnd, false);
}

export function message(exchange: string, routingKey: string, options: MessageOptions = {}): Message {
  const admitted = admit(new Address(exchange, routingKey), options);
  if (admitted instanceof Refusal) throw admitted;
  return admitted;
}
