// When does a broker serve? It does when it answers the AMQP header with
// connection.start. Comes in: a port; goes out: the moment of the first such
// answer, and the version in it. Also finds free ports.
import { connect, createServer } from 'node:net';

const header = Buffer.from('AMQP\0\0\x09\x01', 'latin1');
const retryMs = 3;

/** For a broker that has to come back to the same port later, so not port 0. */
export function findFreePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** `{ atMs, version }`; `child` is the process that ought to answer: when it ends there is no point in waiting. */
export async function waitUntilServing(port, child, withinMs) {
  const giveUpAt = performance.now() + withinMs;
  let endedWith = null;
  child.ended.then((status) => (endedWith = status));
  while (performance.now() < giveUpAt) {
    const answer = await ask(port, giveUpAt - performance.now());
    if (answer !== null) return { atMs: answer.atMs, version: versionIn(answer.bytes) };
    if (endedWith !== null) throw new Error(`the broker on port ${port} ended with ${endedWith} instead of serving`);
    await new Promise((resolve) => setTimeout(resolve, retryMs));
  }
  throw new Error(`the broker on port ${port} did not answer within ${withinMs} ms`);
}

function ask(port, withinMs) {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const end = (answer) => {
      resolve(answer);
      socket.destroy();
    };
    socket.setTimeout(Math.max(1, withinMs), () => end(null));
    socket.on('error', () => end(null));
    socket.on('close', () => end(null));
    socket.on('connect', () => socket.write(header));
    socket.on('data', (bytes) => {
      // A method frame of channel 0 with class 10, method 10.
      end(
        bytes.length >= 11 && bytes[0] === 1 && bytes.readUInt32BE(7) === 0x000a000a
          ? { atMs: performance.now(), bytes }
          : null,
      );
    });
  });
}

/** The value of `version` in the server properties, a long string. */
function versionIn(bytes) {
  const at = bytes.indexOf('\x07versionS', 0, 'latin1');
  if (at === -1) return 'of an unknown version';
  const length = bytes.readUInt32BE(at + 9);
  return bytes.toString('latin1', at + 13, at + 13 + length);
}
