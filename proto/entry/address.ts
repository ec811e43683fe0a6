/**
 * Where a message was published to: exchange and routing key, as the words that
 * features ask for and as the bytes that every delivery repeats.
 *
 * One Address is shared by all messages of a cached route (and, when messages
 * are read back from disk, by neighbours with the same words), so that a
 * consumer can keep one prepared deliver method per Address: compare by
 * identity, never make one per message on the hot path.
 */
export class Address {
  readonly exchange: string;
  readonly routingKey: string;
  /** Two AMQP 0-9-1 short strings (length octet, UTF-8 bytes), exchange then routing key. Immutable. */
  readonly bytes: Buffer;

  /** @throws RangeError when a name is longer than 255 bytes: front-ends check before. */
  constructor(exchange: string, routingKey: string) {
    this.exchange = exchange;
    this.routingKey = routingKey;
    const exchangeBytes = Buffer.byteLength(exchange);
    const routingKeyBytes = Buffer.byteLength(routingKey);
    if (exchangeBytes > 255 || routingKeyBytes > 255) throw new RangeError('a name is longer than 255 bytes');
    const bytes = Buffer.allocUnsafeSlow(exchangeBytes + routingKeyBytes + 2);
    bytes[0] = exchangeBytes;
    bytes.write(exchange, 1, 'utf8');
    bytes[exchangeBytes + 1] = routingKeyBytes;
    bytes.write(routingKey, exchangeBytes + 2, 'utf8');
    this.bytes = bytes;
  }
}
