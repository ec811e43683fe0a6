/**
 * The options of `warren perf` as people read them: flags, group, one line
 * each. The parser takes the flags from here, so that none can be forgotten in
 * the help; docs/perf.md says more about some.
 */
export interface OptionText {
  /** As commander reads them. */
  readonly flags: string;
  readonly group: string;
  readonly text: string;
}

function rows(group: string, ...lines: readonly (readonly [flags: string, text: string])[]): readonly OptionText[] {
  return lines.map(([flags, text]) => ({ flags, group, text }));
}

export const optionTable: readonly OptionText[] = [
  ...rows(
    'Where and who',
    ['--uri <uri>', 'amqp://USER:PASSWORD@HOST:PORT/VHOST; the options below win over it'],
    ['--host <host>', 'default 127.0.0.1'],
    ['--port <list>', 'PORT or HOST:PORT, several with commas: connection i takes entry i mod n (5672)'],
    ['--pub-port <list>', 'the same, for publishers'],
    ['--con-port <list>', 'the same, for consumers'],
    ['--admin-port <list>', 'the same, for the connection that declares and deletes'],
    ['--user <name>', 'default guest'],
    ['--pass <password>', 'default guest'],
    ['--vhost <name>', 'default /'],
    ['--heartbeat <seconds>', "default: the server's"],
    ['--frame-max <bytes>', 'largest frame; the server may want less (131072)'],
    ['--connect-parallel <n>', 'connections opened at the same time (64)'],
  ),
  ...rows(
    'What',
    ['--publishers <n>', 'one connection each; publisher p feeds queue p mod queues, or several in turn (1)'],
    ['--consumers <n>', 'one connection each, dealt out likewise (1)'],
    ['--queues <n>', 'how many (1)'],
    ['--queue-prefix <text>', 'their names are this and a number from 0 (perf.q)'],
    ['--queue-args <list>', 'NAME=VALUE,...: whole numbers, true, false, or texts'],
    ['--durable', 'durable queues and exchange'],
    ['--auto-delete', 'queues that go with their last consumer'],
    ['--exchange <type>', 'default, direct, fanout, topic or headers (default)'],
    ['--exchange-name <name>', 'what it is called (perf)'],
    ['--bindings <n>', 'per queue (1)'],
    ['--key-cycle <n>', 'a publisher uses at most so many keys in turn (4096)'],
    ['--no-declare', 'neither declare nor delete anything'],
    ['--no-purge', 'do not empty the queues first'],
    ['--keep', 'do not delete the queues and the exchange at the end'],
  ),
  ...rows(
    'Messages',
    ['--size <bytes>', 'of a body; from 16 on latency and loss are measured (1024)'],
    ['--persistent', 'delivery mode 2'],
    ['--mandatory', 'have messages that reach no queue returned'],
    ['--confirm <window>', 'publisher confirms, at most so many outstanding per publisher (off)'],
    ['--rate <n>', 'messages a second and publisher (as many as go)'],
    ['--prefetch <n>', 'of consumers that acknowledge (no limit)'],
    ['--qos-global', 'one prefetch for the channel'],
    ['--ack-every <n>', 'acknowledge every n-th delivery; above 1 all up to it at once'],
    ['--autoack', 'the broker settles as it sends (default)'],
  ),
  ...rows(
    'How long',
    ['--duration <seconds>', 'what the figures cover (10; with --count until it is reached)'],
    ['--warmup <seconds>', 'before that (2; with --count 0)'],
    ['--count <n>', 'messages per publisher; without publishers: messages to be consumed'],
    ['--drain-timeout <seconds>', 'wait so long at the end for something more to arrive (5)'],
  ),
  ...rows(
    'Instead of load',
    ['--ping', 'each publisher waits for the delivery of its message: round trips'],
    ['--churn <workers>', 'connect, open a channel, declare an exclusive queue, close; again and again'],
    ['--idle-connections <n>', 'open so many and hold them for --duration'],
    ['--idle-channel', 'with a channel each'],
    ['--preload <n>', 'publish so many without consumers, then start these: both are timed'],
    ['--settle <seconds>', 'wait between the two (0)'],
    ['--drain <n>', 'only consume so many that an earlier --preload --no-drain left'],
    ['--no-drain', 'leave them there'],
  ),
  ...rows(
    'Output',
    ['--json', 'the summary as one line of JSON'],
    ['--quiet', 'no line a second'],
    ['--no-check', 'do not look for lost, repeated and reordered messages'],
    ['--broker-pid <list>', "CPU and memory of the broker's processes (Linux)"],
    ['--help', 'this'],
  ),
];

export function perfUsage(): string {
  const lines = ['Usage: warren perf [options]', '', 'Puts load on an AMQP 0-9-1 broker and measures it.'];
  let group = '';
  for (const row of optionTable) {
    if (row.group !== group) lines.push('', `${row.group}:`);
    group = row.group;
    lines.push(`  ${row.flags.padEnd(26)}${row.text}`);
  }
  lines.push(
    '',
    'Exit: 0 fine, 2 refused or broken connection, 3 confirmed messages lost, or messages repeated or',
    'out of order, 64 wrong usage.',
  );
  return `${lines.join('\n')}\n`;
}
