/**
 * warrenctl's commands that change something: users, permissions, vhosts,
 * queues, definitions. Texts are rabbitmqctl's.
 */
import { bytesOf, numberOf, textsOf } from '../admin/admin-codec.ts';
import type { CliCommand, CommandContext } from './command.ts';
import { CommandFailure, ExitCode } from './exit-code.ts';
import type { CliOptions } from './options.ts';

const definitionsPartBytes = 256 * 1024;

type Declaration = Partial<CliCommand> & Pick<CliCommand, 'name' | 'group' | 'usage' | 'summary' | 'run'>;

function command(declaration: Declaration & { readonly args: number | readonly [number, number] }): CliCommand {
  const { args, ...rest } = declaration;
  const [argsMin, argsMax] = typeof args === 'number' ? [args, args] : args;
  return { ownOptions: [], hasVhost: false, banner: () => null, check: () => {}, ...rest, argsMin, argsMax };
}

const userCommands: readonly CliCommand[] = [
  command({
    name: 'add_user',
    group: 'Users',
    usage: '<username> [<password>] [<password_hash> --pre-hashed-password]',
    summary:
      'Creates a new user in the internal database. This user will have no permissions for any virtual hosts by default.',
    args: [1, 2],
    ownOptions: ['preHashedPassword'],
    banner: ([name]) => `Adding user "${name}" ...`,
    run: addUser,
  }),
  command({
    name: 'delete_user',
    group: 'Users',
    usage: '<username>',
    summary: 'Removes a user from the internal database.',
    args: 1,
    banner: ([name]) => `Deleting user "${name}" ...`,
    run: async ({ link, args }) => void (await link.call('DeleteUser', { name: args[0] })),
  }),
  command({
    name: 'change_password',
    group: 'Users',
    usage: '<username> <password>',
    summary: 'Changes the user password',
    args: [1, 2],
    banner: ([name]) => `Changing password for user "${name}" ...`,
    run: async (context) => {
      const password = await passwordOf(context);
      await context.link.call('ChangePassword', { name: context.args[0], password });
    },
  }),
  command({
    name: 'set_user_tags',
    group: 'Users',
    usage: '<username> <tag> [...]',
    summary: 'Sets user tags',
    args: [1, Number.POSITIVE_INFINITY],
    banner: ([name, ...tags]) => `Setting tags for user "${name}" to [${tags.join(', ')}] ...`,
    run: async ({ link, args }) => {
      const tags = args
        .slice(1)
        .flatMap((word) => word.split(','))
        .filter((tag) => tag !== '');
      await link.call('SetUserTags', { name: args[0], tags });
    },
  }),
];

const accessCommands: readonly CliCommand[] = [
  command({
    name: 'set_permissions',
    group: 'Access Control',
    usage: '[--vhost <vhost>] <username> <conf> <write> <read>',
    summary: 'Sets user permissions for a vhost',
    args: 4,
    hasVhost: true,
    banner: ([user], { vhost }) => `Setting permissions for user "${user}" in vhost "${vhost}" ...`,
    run: async ({ link, args, options }) => {
      const [user, configure, write, read] = args;
      await link.call('SetPermissions', { vhost: options.vhost, user, configure, write, read });
    },
  }),
  command({
    name: 'clear_permissions',
    group: 'Access Control',
    usage: '[--vhost <vhost>] <username>',
    summary: 'Revokes user permissions for a vhost',
    args: 1,
    hasVhost: true,
    banner: ([user], { vhost }) => `Clearing permissions for user "${user}" in vhost "${vhost}" ...`,
    run: async ({ link, args, options }) =>
      void (await link.call('ClearPermissions', { vhost: options.vhost, user: args[0] })),
  }),
];

const vhostCommands: readonly CliCommand[] = [
  command({
    name: 'add_vhost',
    group: 'Virtual hosts',
    usage: '<vhost> [--description <description> --tags "<tag1>,<tag2>,<...>" --default-queue-type <quorum|classic>]',
    summary: 'Creates a virtual host',
    args: 1,
    ownOptions: ['description', 'tags', 'defaultQueueType'],
    banner: ([name]) => `Adding vhost "${name}" ...`,
    run: async ({ link, args, options }) => {
      const tags = textOption(options, 'tags')
        .split(',')
        .map((tag) => tag.trim());
      await link.call('AddVhost', {
        name: args[0],
        description: textOption(options, 'description'),
        tags: tags.filter((tag) => tag !== ''),
        defaultQueueType: textOption(options, 'defaultQueueType'),
      });
    },
  }),
  command({
    name: 'delete_vhost',
    group: 'Virtual hosts',
    usage: '<vhost>',
    summary: 'Deletes a virtual host',
    args: 1,
    banner: ([name]) => `Deleting vhost "${name}" ...`,
    run: async ({ link, args }) => void (await link.call('DeleteVhost', { name: args[0] })),
  }),
  tracing('trace_on', 'Starting', 'enabled', true),
  tracing('trace_off', 'Stopping', 'disabled', false),
];

/** The firehose of a vhost. */
function tracing(name: string, verb: string, done: string, isTracing: boolean): CliCommand {
  return command({
    name,
    group: 'Virtual hosts',
    usage: '[--vhost <vhost>]',
    summary: `${verb} tracing: copies of all messages go to the exchange amq.rabbitmq.trace`,
    args: 0,
    hasVhost: true,
    banner: (_args, { vhost }) => `${verb} tracing for vhost "${vhost}" ...`,
    run: async ({ link, options, print }) => {
      await link.call('SetTracing', { vhost: options.vhost, isTracing });
      print(`Trace ${done} for vhost ${options.vhost}\n`);
    },
  });
}

const policyCommands: readonly CliCommand[] = [
  setPolicy('set_policy', 'SetPolicy', 'policy', 'Sets or updates a policy'),
  setPolicy(
    'set_operator_policy',
    'SetOperatorPolicy',
    'operator policy override',
    'Sets an operator policy that overrides a subset of arguments in user policies',
  ),
  clearPolicy('clear_policy', 'ClearPolicy', 'policy', 'Clears (removes) a policy'),
  clearPolicy('clear_operator_policy', 'ClearOperatorPolicy', 'operator policy', 'Clears an operator policy'),
];

function setPolicy(name: string, method: string, what: string, summary: string): CliCommand {
  return command({
    name,
    group: 'Policies',
    usage: '[--vhost <vhost>] [--priority <priority>] [--apply-to <apply-to>] <name> <pattern> <definition>',
    summary,
    args: 3,
    hasVhost: true,
    ownOptions: ['priority', 'applyTo'],
    check: (_args, options) => void priorityOf(options),
    banner: ([policy, pattern, definition], options) => {
      const value = `"${policy}" for pattern "${pattern}" to "${definition}"`;
      return `Setting ${what} ${value} with priority "${priorityOf(options)}" for vhost "${options.vhost}" ...`;
    },
    run: async ({ link, args, options }) => {
      const [policy, pattern, definition] = args;
      const priority = priorityOf(options);
      const applyTo = textOption(options, 'applyTo');
      await link.call(method, { vhost: options.vhost, name: policy, pattern, definition, priority, applyTo });
    },
  });
}

function clearPolicy(name: string, method: string, what: string, summary: string): CliCommand {
  return command({
    name,
    group: 'Policies',
    usage: '[--vhost <vhost>] <name>',
    summary,
    args: 1,
    hasVhost: true,
    banner: ([policy], { vhost }) => `Clearing ${what} "${policy}" on vhost "${vhost}" ...`,
    run: async ({ link, args, options }) => void (await link.call(method, { vhost: options.vhost, name: args[0] })),
  });
}

function priorityOf(options: CliOptions): number {
  const text = textOption(options, 'priority');
  if (text === '') return 0;
  if (!/^-?\d{1,9}$/.test(text))
    throw new CommandFailure(ExitCode.usage, `--priority ${text}: expected a whole number`);
  return Number(text);
}

const queueCommands: readonly CliCommand[] = [
  command({
    name: 'purge_queue',
    group: 'Queues',
    usage: '[--vhost <vhost>] <queue>',
    summary: 'Purges a queue (removes all messages in it)',
    args: 1,
    hasVhost: true,
    banner: ([name], { vhost }) => `Purging queue '${name}' in vhost '${vhost}' ...`,
    run: async ({ link, args, options }) =>
      void (await link.call('PurgeQueue', { vhost: options.vhost, name: args[0] })),
  }),
  command({
    name: 'delete_queue',
    group: 'Queues',
    usage: '[--vhost <vhost>] <queue_name> [--if-empty|-e] [--if-unused|-u] [--timeout <timeout>]',
    summary: 'Deletes a queue',
    args: 1,
    hasVhost: true,
    ownOptions: ['ifEmpty', 'ifUnused'],
    banner: ([name], options) => {
      const conditions = ['ifUnused', 'ifEmpty'].filter((option) => options.own[option] === true);
      const words = conditions.map((option) => (option === 'ifEmpty' ? 'if queue is empty ' : 'if queue is unused '));
      return `Deleting queue '${name}' on vhost '${options.vhost}' ${words.join('and ')}...`;
    },
    run: async ({ link, args, options, say }) => {
      const reply = await link.call('DeleteQueue', {
        vhost: options.vhost,
        name: args[0],
        ifEmpty: options.own['ifEmpty'] === true,
        ifUnused: options.own['ifUnused'] === true,
      });
      const count = numberOf(reply, 'count');
      say(`Queue was successfully deleted with ${count} ready message${count === 1 ? '' : 's'}`);
    },
  }),
];

const definitionCommands: readonly CliCommand[] = [
  command({
    name: 'export_definitions',
    group: 'Definitions',
    usage: '<file_path | "-"> [--format <json>] [--timeout <timeout>]',
    summary: 'Exports definitions in JSON.',
    args: 1,
    ownOptions: ['format'],
    check: (_args, options) => checkFormat(options),
    banner: ([path]) => (path === '-' ? null : `Exporting definitions in JSON to a file at "${path}" ...`),
    run: async ({ link, args, world, print }) => {
      const parts: Buffer[] = [];
      for await (const part of link.stream('ExportDefinitions', {})) parts.push(bytesOf(part, 'json'));
      const json = Buffer.concat(parts).toString('utf8');
      if (args[0] === '-') print(json);
      else world.writeFile(args[0]!, json);
    },
  }),
  command({
    name: 'import_definitions',
    group: 'Definitions',
    usage: '<file_path | "-"> [--format <json>] [--skip-if-unchanged] [--timeout <timeout>]',
    summary: 'Imports definitions in JSON, all of them or none.',
    args: 1,
    ownOptions: ['format', 'skipIfUnchanged'],
    check: ([path], options, world) => {
      checkFormat(options);
      if (path !== '-') readDefinitionsFile(path!, world.readFile);
    },
    banner: ([path]) =>
      path === '-'
        ? 'Importing definitions in JSON from standard input ...'
        : `Importing definitions in JSON from a file at "${path}" ...`,
    run: async ({ link, args, world, say }) => {
      const json = args[0] === '-' ? await world.readStdin() : readDefinitionsFile(args[0]!, world.readFile);
      const reply = await link.send('ImportDefinitions', partsOf(Buffer.from(json)));
      for (const note of textsOf(reply, 'notes')) say(`left out: ${note}`);
      say('Definitions were imported.');
    },
  }),
];

export const changeCommands: readonly CliCommand[] = [
  ...userCommands,
  ...accessCommands,
  ...vhostCommands,
  ...policyCommands,
  ...queueCommands,
  ...definitionCommands,
];

async function addUser(context: CommandContext): Promise<void> {
  const name = context.args[0];
  const secret = await passwordOf(context);
  const isHashed = context.options.own['preHashedPassword'] === true;
  await context.link.call('AddUser', isHashed ? { name, passwordHash: secret } : { name, password: secret });
  context.say(
    "Done. Don't forget to grant the user permissions to some virtual hosts! See 'rabbitmqctl help set_permissions' to learn more.",
  );
}

/** The second argument, or a line of standard input, so that it need not stand in the shell's history. */
async function passwordOf(context: CommandContext): Promise<string> {
  const argument = context.args[1];
  if (argument !== undefined) return argument;
  context.world.writeErr('Password: \n');
  return (await context.world.readStdin()).split(/\r?\n/)[0]!;
}

function textOption(options: CliOptions, name: string): string {
  const value = options.own[name];
  return typeof value === 'string' ? value : '';
}

function checkFormat(options: CliOptions): void {
  const format = textOption(options, 'format');
  if (format !== '' && format !== 'json') {
    throw new CommandFailure(ExitCode.usage, `format ${format}: expected json`);
  }
}

function readDefinitionsFile(path: string, read: (path: string) => string): string {
  try {
    return read(path);
  } catch (error) {
    // A refusal: the operator's file.
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    const reason = isMissing ? `File ${path} does not exist` : `File ${path} cannot be read: ${String(error)}`;
    throw new CommandFailure(ExitCode.data, `Bad argument: ${reason}`);
  }
}

function* partsOf(bytes: Buffer): Generator<{ readonly json: Buffer }> {
  for (let at = 0; at < bytes.length; at += definitionsPartBytes) {
    yield { json: bytes.subarray(at, at + definitionsPartBytes) };
  }
}
