/**
 * warrenctl prints what rabbitmqctl prints and ends with its codes. The
 * expected texts were taken from rabbitmqctl 3.10.8.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AdminRefusal } from '../../node/admin/operations.ts';
import { LinkFault } from '../../node/cli/admin-link.ts';
import { cliCommands } from '../../node/cli/run.ts';
import { createFakeOperations, type FakeOperations } from './support/fake-operations.ts';
import { type RunOptions, run } from './support/run-line.ts';

function withQueues(): FakeOperations {
  const operations = createFakeOperations();
  operations.tableByKind.set('queues', { columns: ['name', 'messages'], rows: [['q1', 0]] });
  return operations;
}

test('list_queues prints banner, header and tab-separated rows', async () => {
  const { code, out } = await run(['list_queues'], { operations: withQueues() });
  assert.equal(out, 'Timeout: 60.0 seconds ...\nListing queues for vhost / ...\nname\tmessages\nq1\t0\n');
  assert.equal(code, 0);
});

test('a list without rows has no header', async () => {
  const { out } = await run(['list_queues', '-p', 'other']);
  assert.equal(out, 'Timeout: 60.0 seconds ...\nListing queues for vhost other ...\n');
});

test('-q leaves the banner out, -s and --no-table-headers the header', async () => {
  const cases: readonly (readonly [line: readonly string[], out: string])[] = [
    [['-q', 'list_queues'], 'name\tmessages\nq1\t0\n'],
    [['list_queues', '--quiet'], 'name\tmessages\nq1\t0\n'],
    [['-s', 'list_queues'], 'q1\t0\n'],
    [
      ['list_queues', '--no-table-headers', '-t', '5'],
      'Timeout: 5.0 seconds ...\nListing queues for vhost / ...\nq1\t0\n',
    ],
  ];
  for (const [line, out] of cases) assert.equal((await run(line, { operations: withQueues() })).out, out);
});

test('formats for machines have no banner', async () => {
  const cases: readonly (readonly [format: string, out: string])[] = [
    ['json', '[\n{"name":"q1","messages":0}\n]\n'],
    ['json_stream', '{"name":"q1","messages":0}\n'],
    ['csv', '"name","messages"\n"q1","0"\n'],
  ];
  for (const [format, out] of cases) {
    assert.equal((await run(['list_queues', '--formatter', format], { operations: withQueues() })).out, out);
  }
  assert.equal((await run(['list_queues', '--formatter', 'json'])).out, '[\n]\n');
});

test('users, tags, arguments and bindings look as in rabbitmqctl', async () => {
  const operations = createFakeOperations();
  operations.tableByKind.set('users', {
    columns: ['user', 'tags'],
    rows: [
      ['guest', ['administrator']],
      ['a', ['x', 'y']],
      ['b', []],
    ],
  });
  operations.tableByKind.set('queues', {
    columns: ['name', 'arguments'],
    rows: [
      ['q', { 'x-max-length': 5, 'x-overflow': 'drop-head' }],
      ['r', {}],
    ],
  });
  assert.equal(
    (await run(['list_users'], { operations })).out,
    'Listing users ...\nuser\ttags\nguest\t[administrator]\na\t[x, y]\nb\t[]\n',
  );
  const queues = await run(['-q', 'list_queues', 'name', 'arguments'], { operations });
  assert.equal(queues.out, 'name\targuments\nq\t[{"x-max-length",5},{"x-overflow","drop-head"}]\nr\t[]\n');
  const json = await run(['list_queues', '--formatter', 'json'], { operations });
  assert.equal(
    json.out,
    '[\n{"name":"q","arguments":{"x-max-length":5,"x-overflow":"drop-head"}}\n,{"name":"r","arguments":[]}\n]\n',
  );
});

test('changes print their banner and reach the node', async () => {
  const cases: readonly (readonly [line: readonly string[], out: string, call: string])[] = [
    [['delete_user', 'bob'], 'Deleting user "bob" ...\n', 'delete bob'],
    [['change_password', 'bob', 's'], 'Changing password for user "bob" ...\n', 'changePassword bob s'],
    [
      ['set_user_tags', 'alice', 'monitoring', 'management'],
      'Setting tags for user "alice" to [monitoring, management] ...\n',
      'setTags alice monitoring,management',
    ],
    [
      ['set_permissions', '-p', 'v1', 'alice', '^a', '.*', ''],
      'Setting permissions for user "alice" in vhost "v1" ...\n',
      'setPermissions v1 alice ^a|.*|',
    ],
    [
      ['clear_permissions', '-p', 'v1', 'alice'],
      'Clearing permissions for user "alice" in vhost "v1" ...\n',
      'clearPermissions v1 alice',
    ],
    [['add_vhost', 'v1', '--description', 'd', '--tags', 'a, b'], 'Adding vhost "v1" ...\n', 'addVhost v1 d a,b'],
    [
      ['trace_on', '-p', 'v1'],
      'Starting tracing for vhost "v1" ...\nTrace enabled for vhost v1\n',
      'setTracing v1 true',
    ],
    [['trace_off'], 'Stopping tracing for vhost "/" ...\nTrace disabled for vhost /\n', 'setTracing / false'],
    [['delete_vhost', 'v1'], 'Deleting vhost "v1" ...\n', 'deleteVhost v1'],
    [
      ['set_policy', '-p', 'v1', '--priority', '3', '--apply-to', 'queues', 'two', '^two\\.', '{"max-length":2}'],
      'Setting policy "two" for pattern "^two\\." to "{"max-length":2}" with priority "3" for vhost "v1" ...\n',
      'setPolicy v1 two ^two\\. {"max-length":2} 3 queues',
    ],
    [
      ['set_operator_policy', 'op', 'x', '{"max-length":2}'],
      'Setting operator policy override "op" for pattern "x" to "{"max-length":2}" with priority "0" for vhost "/" ...\n',
      'setOperatorPolicy / op x {"max-length":2} 0 all',
    ],
    [['clear_policy', 'two'], 'Clearing policy "two" on vhost "/" ...\n', 'clearPolicy / two'],
    [['clear_operator_policy', 'op'], 'Clearing operator policy "op" on vhost "/" ...\n', 'clearOperatorPolicy / op'],
    [['purge_queue', 'q'], "Purging queue 'q' in vhost '/' ...\n", 'purge / q'],
    [
      ['delete_queue', 'q'],
      "Deleting queue 'q' on vhost '/' ...\nQueue was successfully deleted with 1 ready message\n",
      'deleteQueue / q false false',
    ],
    [
      ['delete_queue', 'q', '-e', '--if-unused'],
      "Deleting queue 'q' on vhost '/' if queue is unused and if queue is empty ...\nQueue was successfully deleted with 1 ready message\n",
      'deleteQueue / q true true',
    ],
  ];
  for (const [line, out, call] of cases) {
    const operations = createFakeOperations();
    const outcome = await run(line, { operations });
    assert.equal(outcome.out, out);
    assert.deepEqual(operations.calls, [call]);
    assert.equal(outcome.code, 0);
  }
});

test('add_user takes a password, a hash, or a line of standard input', async () => {
  const operations = createFakeOperations();
  const { out } = await run(['add_user', 'alice', 'secret'], { operations });
  assert.match(out, /^Adding user "alice" \.\.\.\nDone\. Don't forget to grant/);
  await run(['add_user', 'bob', 'aGFzaA==', '--pre-hashed-password'], { operations });
  await run(['add_user', 'carol'], { operations, stdin: 'typed\n' });
  assert.deepEqual(operations.calls, ['add alice secret', 'add bob aGFzaA==', 'add carol typed']);
});

test('refusals have the texts and exit codes of rabbitmqctl', async () => {
  const cases: readonly (readonly [line: readonly string[], refusal: AdminRefusal, err: string, code: number])[] = [
    [
      ['add_user', 'a', 'b'],
      new AdminRefusal('exists', 'User "a" already exists'),
      'Error:\nUser "a" already exists\n',
      70,
    ],
    [
      ['delete_user', 'bob'],
      new AdminRefusal('no-user', 'User "bob" does not exist'),
      'Error:\nUser "bob" does not exist\n',
      67,
    ],
    [
      ['set_permissions', '-p', 'nov', 'a', '', '', ''],
      new AdminRefusal('no-vhost', 'Virtual host nov does not exist'),
      'Error:\nVirtual host nov does not exist\n',
      69,
    ],
    [
      ['delete_vhost', 'v'],
      new AdminRefusal('no-vhost', "Virtual host 'v' does not exist"),
      "Virtual host 'v' does not exist\n",
      65,
    ],
    [
      ['list_permissions', '-p', 'v'],
      new AdminRefusal('no-vhost', "Virtual host 'v' does not exist"),
      "Virtual host 'v' does not exist\n",
      65,
    ],
    [['purge_queue', 'q'], new AdminRefusal('no-queue', 'not_found'), 'Error:\nnot_found\n', 69],
    [['delete_queue', 'q'], new AdminRefusal('no-queue', 'Queue not found'), 'Error:\nQueue not found\n', 64],
  ];
  for (const [line, refusal, err, code] of cases) {
    const operations = createFakeOperations();
    operations.nextRefusal = refusal;
    const outcome = await run(line, { operations });
    assert.deepEqual([outcome.err, outcome.code], [err, code], line.join(' '));
  }
});

test('wrong usage says what is wrong, repeats the line without passwords, shows the usage and ends with 64', async () => {
  const cases: readonly (readonly [line: readonly string[], start: string])[] = [
    [['add_user'], 'Error (argument validation): not enough arguments.\nArguments given:\n\tadd_user ...\n'],
    [
      ['add_user', 'a', 'b', 'c'],
      'Error (argument validation): too many arguments.\nArguments given:\n\tadd_user ...\n',
    ],
    [
      ['list_queues', 'nope'],
      'Error (argument validation): Info key(s) nope are not supported\nArguments given:\n\tlist_queues nope\n',
    ],
    [
      ['list_queues', '--nope'],
      'Error (argument validation): Invalid options for this command:\n--nope : \nArguments given:\n\tlist_queues --nope\n',
    ],
    [
      ['list_users', '--if-empty'],
      'Error (argument validation): Invalid options for this command:\n--if-empty : true\n',
    ],
    [['list_queues', '--formatter', 'xml'], 'Error (argument validation): Invalid formatter xml, expected one of'],
    [['list_queues', '-t', 'soon'], 'Error (argument validation): timeout soon: expected seconds'],
  ];
  for (const [line, start] of cases) {
    const { err, code } = await run(line);
    assert.ok(err.startsWith(start), err);
    assert.match(err, /Usage/);
    assert.equal(code, 64);
  }
});

test('an unknown command suggests the nearest', async () => {
  const { err, code } = await run(['list_queue']);
  assert.equal(
    err,
    "\nCommand 'list_queue' not found. \nDid you mean 'list_queues'? \n\nUse 'warrenctl help' to see all commands\n",
  );
  assert.equal(code, 64);
});

test('start, and start_app where nobody answers, say what to type instead', async () => {
  const start = await run(['start']);
  assert.deepEqual(
    [start.err, start.code],
    ["Error:\na node's process is not started by warrenctl; type: warren\n", 64],
  );
  const fault = new LinkFault('unreachable', 'no node answers');
  const app = await run(['start_app', '--data-dir', './other'], { fault, files: { './other/.erlang.cookie': 'c' } });
  assert.equal(app.out, 'Starting node rabbit@fake ...\n');
  assert.equal(app.err, "Error:\na node's process is not started by warrenctl; type: warren --data-dir ./other\n");
  assert.equal(app.code, 69);
  assert.equal((await run(['start_app'])).code, 0);
});

test('faults of the link end with 69, 75 and 77', async () => {
  const cases = [
    ['unreachable', 69],
    ['timeout', 75],
    ['wrong-cookie', 77],
    ['failed', 70],
  ] as const;
  for (const [kind, code] of cases) {
    const outcome = await run(['ping'], { fault: new LinkFault(kind, 'because') });
    assert.equal(outcome.code, code);
    assert.match(outcome.err, /^Error:\nbecause/);
    assert.match(outcome.out, /^Will ping rabbit@fake\. /);
  }
});

test('the node is looked for at --address, where its data directory says, then at the usual port', async () => {
  const told = { './data/admin-address': '127.0.0.1:4242\n' };
  const cases: readonly (readonly [line: readonly string[], options: RunOptions, address: string])[] = [
    [['ping'], {}, '127.0.0.1:25672'],
    [['ping'], { files: told }, '127.0.0.1:4242'],
    [['ping', '--address', 'h:1'], { files: told }, 'h:1'],
    [['ping'], { environment: { RABBITMQ_NODE_PORT: '5700' } }, '127.0.0.1:25700'],
    [['ping'], { environment: { RABBITMQ_DIST_PORT: '9' } }, '127.0.0.1:9'],
    [['ping', '-n', 'rabbit@fake'], {}, '127.0.0.1:25672'],
    [['ping', '-n', 'rabbit@elsewhere'], {}, 'elsewhere:25672'],
  ];
  for (const [line, options, address] of cases) assert.equal((await run(line, options)).address, address);
});

test('without a cookie it says where it looked', async () => {
  const { err, code } = await run(['ping', '--data-dir', './nowhere']);
  assert.match(err, /no cookie: \.\/nowhere\/\.erlang\.cookie cannot be read/);
  assert.equal(code, 77);
  assert.equal(
    (await run(['ping', '--data-dir', './nowhere'], { environment: { RABBITMQ_ERLANG_COOKIE: 'x' } })).code,
    0,
  );
});

test('another node than the one that was named is refused', async () => {
  const { err, code } = await run(['ping', '-n', 'rabbit@other', '--address', 'h:1']);
  assert.match(err, /the node that answers is rabbit@fake, not rabbit@other/);
  assert.equal(code, 69);
});

test('definitions go to a file or standard output, and come from a file or standard input', async () => {
  const file = await run(['export_definitions', '/tmp/d.json']);
  assert.equal(file.out, 'Exporting definitions in JSON to a file at "/tmp/d.json" ...\n');
  assert.equal(file.written, '{"users":[]}');
  assert.equal((await run(['export_definitions', '-'])).out, '{"users":[]}');
  const operations = createFakeOperations();
  await run(['import_definitions', '/d.json'], { operations, files: { '/d.json': '{"a":1}' } });
  await run(['import_definitions', '-'], { operations, stdin: '{"b":1}' });
  assert.deepEqual(operations.calls, ['import {"a":1}', 'import {"b":1}']);
  const missing = await run(['import_definitions', '/none.json']);
  assert.match(missing.err, /^Error \(argument validation\): Bad argument: File \/none.json does not exist/);
  assert.equal(missing.code, 65);
});

test('ping, version, status and stop', async () => {
  assert.match(
    (await run(['ping'])).out,
    /^Will ping rabbit@fake\. This only checks .* Timeout: 60000 ms\.\nPing succeeded\n$/,
  );
  assert.equal((await run(['ping', '-q'])).out, 'Ping succeeded\n');
  assert.equal((await run(['version'])).out, '3.13.7\n');
  const status = await run(['status']);
  assert.match(status.out, /^Status of node rabbit@fake \.\.\.\n\x1b\[1mRuntime\x1b\[0m\n\nOS PID: 42\n/);
  assert.match(status.out, /Interface: \[::\], port: 5672, protocol: amqp, purpose: AMQP 0-9-1\n$/);
  const json: unknown = JSON.parse((await run(['status', '--formatter', 'json'])).out);
  assert.ok(typeof json === 'object' && json !== null && 'rabbitmq_version' in json);
});

test('help names every command, and every command has a usage line', async () => {
  const { out, code } = await run(['help']);
  assert.equal(code, 0);
  assert.ok(cliCommands.length >= 24);
  for (const command of cliCommands) {
    assert.match(out, new RegExp(`   ${command.name} `));
    assert.match((await run(['help', command.name])).out, new RegExp(` ${command.name}`));
  }
});

test('cluster_status prints sections, nodes that are down or did not answer among them', async () => {
  const { out, code } = await run(['cluster_status']);
  assert.equal(code, 0);
  const plain = out.replaceAll(/\x1b\[\d+m/g, '');
  assert.equal(
    plain,
    `Cluster status of node rabbit@fake ...
Basics

Cluster name: fakes

Disk Nodes

rabbit@fake
rabbit@down

RAM Nodes

rabbit@mute

Running Nodes

rabbit@fake
rabbit@mute

Versions

rabbit@fake: RabbitMQ 3.13.7 (Warren 0.1.0) on Node
rabbit@mute: (did not answer)

Maintenance status

Node: rabbit@fake, status: not under maintenance
Node: rabbit@mute, status: not under maintenance

Alarms

Memory alarm on node rabbit@fake
Free disk space alarm on node rabbit@fake

Network Partitions

(none)

Listeners

Node: rabbit@fake, interface: [::], port: 5672, protocol: amqp, purpose: AMQP 0-9-1

Feature flags

(none)
`,
  );
});

test("cluster_status for machines has rabbitmqctl's keys", async () => {
  const { out } = await run(['cluster_status', '--formatter', 'json']);
  assert.deepEqual(JSON.parse(out), {
    alarms: ['Memory alarm on node rabbit@fake', 'Free disk space alarm on node rabbit@fake'],
    cluster_name: 'fakes',
    disk_nodes: ['rabbit@fake', 'rabbit@down'],
    feature_flags: [],
    listeners: {
      'rabbit@fake': [{ interface: '[::]', node: 'rabbit@fake', port: 5672, protocol: 'amqp', purpose: 'AMQP 0-9-1' }],
    },
    maintenance_status: { 'rabbit@fake': 'not under maintenance', 'rabbit@mute': 'not under maintenance' },
    partitions: {},
    ram_nodes: ['rabbit@mute'],
    running_nodes: ['rabbit@fake', 'rabbit@mute'],
    versions: {
      'rabbit@fake': {
        erlang_version: 'Node',
        rabbitmq_name: 'RabbitMQ',
        rabbitmq_version: '3.13.7',
        warren_version: '0.1.0',
      },
    },
  });
});

test('await_online_nodes asks until enough nodes run, or its time is over', async () => {
  const operations = createFakeOperations(); // one node more each time it is asked
  const { out, code } = await run(['await_online_nodes', '3'], { operations });
  assert.equal(out, 'Will wait for at least 3 nodes to join the cluster of rabbit@fake. Timeout: 60 seconds.\n');
  assert.equal(code, 0);
  assert.deepEqual(operations.calls, ['runningNodes', 'runningNodes', 'runningNodes']);
  const late = await run(['await_online_nodes', '900', '-t', '0.001']);
  assert.equal(late.err, "Error:\nError: timed out while waiting. Not enough nodes joined rabbit@fake's cluster.\n");
  assert.equal(late.code, 70);
  assert.equal((await run(['await_online_nodes', 'x'])).code, 65);
});

test('forget_cluster_node reaches the node and says why not', async () => {
  const operations = createFakeOperations();
  const { out, code } = await run(['forget_cluster_node', 'rabbit@down'], { operations });
  assert.equal(out, 'Removing node rabbit@down from the cluster\n');
  assert.deepEqual([code, operations.calls], [0, ['forget rabbit@down']]);
  operations.nextRefusal = new AdminRefusal('node-running', 'it runs');
  const refused = await run(['forget_cluster_node', 'rabbit@fake'], { operations });
  assert.deepEqual([refused.code, refused.err], [69, 'Error:\nit runs\n']);
  const offline = await run(['forget_cluster_node', '--offline', 'rabbit@down'], { operations });
  assert.equal(offline.code, 64);
  assert.match(offline.err, /--offline is not supported/);
});

test('list_queues says which queues it wants, and warns of nodes that did not answer', async () => {
  const cases: readonly (readonly [flags: readonly string[], scope: string])[] = [
    [[], ''],
    [['--online'], ' online'],
    [['--offline'], ' offline'],
    [['--online', '--offline'], ''],
    [['--online', '--local'], ' local'],
  ];
  for (const [flags, scope] of cases) {
    const operations = createFakeOperations();
    await run(['list_queues', 'name', ...flags], { operations });
    assert.deepEqual(operations.calls, [`list queues / name${scope}`]);
  }
  const operations = createFakeOperations();
  operations.tableByKind.set('queues', { columns: ['name'], rows: [['q']], notes: ['node b is silent'] });
  const { out, err, code } = await run(['list_queues', '--formatter', 'json'], { operations });
  assert.deepEqual([out, err, code], ['[\n{"name":"q"}\n]\n', 'Warning: node b is silent\n', 0]);
});
