/**
 * Goal: a port opens, names itself, and says plainly why it does not. The one test here with real sockets.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { Listener, ListenFault } from '../../node/protocols/listener.ts';
import { protocols } from '../../node/protocols/registry.ts';
import { TestClient } from './support/client.ts';

const options = { backlog: 16 };

test('port 0 picks a free port, which speaks AMQP; a taken one is named', async () => {
  const { context } = new TestClient();
  const listener = await Listener.open({ host: '127.0.0.1', port: 0 }, options, protocols, context);
  try {
    assert.ok(listener.port > 0);
    const socket = connect(listener.port, '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\n');
    const [answer] = (await once(socket, 'data')) as [Buffer];
    assert.equal(answer.toString('latin1'), 'AMQP\x00\x00\x09\x01');
    socket.destroy();
    await assert.rejects(
      Listener.open({ host: '127.0.0.1', port: listener.port }, options, protocols, context),
      (error: unknown) => {
        assert.ok(error instanceof ListenFault);
        assert.equal(error.code, 'EADDRINUSE');
        assert.equal(error.message, `port ${listener.port} on 127.0.0.1 is taken by another program`);
        return true;
      },
    );
  } finally {
    listener.close();
  }
});
