/**
 * Ports for processes that cannot pick one themselves, and waiting for a process
 * to answer as an AMQP broker.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { start } from '../raw-client/connect.ts';
import { type BrokerAddress, RawConnection } from '../raw-client/connection.ts';

const RETRY_MS = 50;

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('a TCP listener has no port');
  return address.port;
}

/** Resolves when the broker answers a protocol header with connection.start. */
export async function waitUntilServing(address: BrokerAddress, withinMs: number): Promise<void> {
  const giveUpAt = performance.now() + withinMs;
  for (;;) {
    const error = await tryToStart(address);
    if (error === null) return;
    if (performance.now() > giveUpAt) {
      throw new Error(`no broker on ${address.host}:${address.port} after ${withinMs} ms`, { cause: error });
    }
    await delay(RETRY_MS);
  }
}

async function tryToStart(address: BrokerAddress): Promise<unknown> {
  try {
    const connection = await RawConnection.dial(address);
    try {
      await start(connection);
      return null;
    } finally {
      connection.destroy();
    }
  } catch (error) {
    return error; // not listening yet, or not serving yet
  }
}
