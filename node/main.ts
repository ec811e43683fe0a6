/**
 * The `warren` process: reads the command line, puts the configuration
 * together, starts one node, says so in one line, and ends it on a signal.
 *
 * Exit codes: 0 clean stop, 1 fault (one line says what to do), 64 wrong
 * usage, 78 wrong configuration.
 */
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { SystemClock } from '../proto/base/clock.ts';
import { ConfigError, entriesOfEnvironment, type ResolvedConfig, resolveConfig } from './config/config.ts';
import { loadConfigFiles } from './config/load-files.ts';
import { createLog, type Log } from './log.ts';
import { parseWarrenLine, usageText } from './main-options.ts';
import { WarrenNode } from './node.ts';
import { type NodeOptions, type NodeTesting, type RunningNode, StartError } from './node-options.ts';
import { rabbitmqVersion, warrenVersion } from './version.ts';

const exitClean = 0;
const exitFault = 1;
const exitUsage = 64;
const exitConfiguration = 78;

/** @param words without node and script. @param testing null outside our own tests */
export async function main(words: readonly string[], testing: NodeTesting | null = null): Promise<void> {
  const line = parseWarrenLine(words);
  if (line.type === 'mistake') {
    end(exitUsage, `warren: ${line.text}\nTry: warren --help`);
    return;
  }
  if (line.type === 'perf') return (await import('./perf/main.ts')).main(line.words);
  if (line.type === 'help') return void process.stdout.write(usageText());
  if (line.type === 'version') {
    return void process.stdout.write(`warren ${warrenVersion} (RabbitMQ ${rabbitmqVersion})\n`);
  }
  const files = loadConfigFiles(line.configFile, process.env);
  let config: ResolvedConfig;
  try {
    const entries = [...files.entries, ...entriesOfEnvironment(process.env), ...line.entries];
    config = resolveConfig(entries, files.problems, files.warnings);
  } catch (error) {
    if (error instanceof ConfigError) {
      // a refusal
      end(exitConfiguration, `warren: ${error.message}`);
      return;
    }
    throw error;
  }
  const log = await createLog({
    level: config.values.logLevel,
    format: config.values.logFormat,
    stream: process.stderr,
  });
  for (const warning of config.warnings) log.warn(warning);
  await new WarrenProcess(config, log, files.files, line.readyFile, testing).run();
}

class WarrenProcess {
  private readonly config: ResolvedConfig;
  private readonly log: Log;
  private readonly configFiles: readonly string[];
  private readonly readyFile: string | null;
  private readonly testing: NodeTesting | null;
  private readonly startedAtMs = performance.now();
  private node: RunningNode | null = null;
  private isStopping = false;

  constructor(
    config: ResolvedConfig,
    log: Log,
    configFiles: readonly string[],
    readyFile: string | null,
    testing: NodeTesting | null,
  ) {
    this.config = config;
    this.log = log;
    this.configFiles = configFiles;
    this.readyFile = readyFile;
    this.testing = testing;
  }

  async run(): Promise<void> {
    process.on('uncaughtException', (error) => this.fail(error));
    process.on('unhandledRejection', (reason) => this.fail(reason));
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => this.onSignal(signal));
    let node: RunningNode;
    try {
      node = await WarrenNode.start(this.options());
    } catch (error) {
      return this.fail(error); // a fault: port, disk, cookie, damaged data
    }
    this.node = node;
    if (this.isStopping) {
      this.stop();
      return;
    }
    this.writeAdminAddress(node);
    if (this.readyFile !== null) writeReadyFile(this.readyFile, node);
    process.stdout.write(`${servingLine(node, this.config, performance.now() - this.startedAtMs)}\n`);
  }

  private options(): NodeOptions {
    return {
      config: this.config,
      clock: new SystemClock(),
      log: this.log,
      hostName: hostname(),
      isAdminOn: true,
      configFiles: this.configFiles,
      testing: this.testing,
      onStopRequested: () => this.requestStop('warrenctl stop'),
      onFatal: (error) => this.fail(error),
    };
  }

  private onSignal(signal: string): void {
    if (this.isStopping) {
      this.removeTraces();
      end(exitFault, `warren: second ${signal}, ended at once; what was confirmed is on disk`);
      process.exit(exitFault);
    }
    this.requestStop(signal);
  }

  private requestStop(reason: string): void {
    if (this.isStopping) return;
    this.isStopping = true;
    this.log.info(`stopping: ${reason}`);
    if (this.node !== null) void this.stop();
  }

  private async stop(): Promise<void> {
    try {
      await this.node?.stop();
    } catch (error) {
      return this.fail(error);
    }
    this.removeTraces();
    process.exit(exitClean);
  }

  /** One line, and out: nothing more may be confirmed. */
  private fail(reason: unknown): never {
    const text = reason instanceof Error ? reason.message : String(reason);
    // What an operator can mend is said in one line; the rest needs its stack.
    if (!(reason instanceof StartError)) this.log.error('the node cannot go on', { error: reason });
    end(exitFault, `warren: ${text}`);
    this.removeTraces();
    process.exit(exitFault);
  }

  /** So that warrenctl finds a node whose admin port is not the usual one. */
  private writeAdminAddress(node: RunningNode): void {
    const { isEphemeral, dataDir } = this.config.values;
    if (isEphemeral || node.ports.admin === null) return;
    writeFileSync(join(dataDir, 'admin-address'), `127.0.0.1:${node.ports.admin}\n`);
  }

  private removeTraces(): void {
    const { isEphemeral, dataDir } = this.config.values;
    const isOwn = this.node !== null && !isEphemeral;
    if (isOwn) rmSync(join(dataDir, 'admin-address'), { force: true });
    if (this.readyFile !== null && this.node !== null) rmSync(this.readyFile, { force: true });
  }
}

function end(code: number, text: string): void {
  process.stderr.write(`${text}\n`);
  process.exitCode = code;
}

/** Whole or not at all: readers wait for its name. */
function writeReadyFile(path: string, node: RunningNode): void {
  const content = {
    pid: process.pid,
    nodeName: node.name,
    cookieFile: node.cookieFile === null ? null : resolve(node.cookieFile),
    ports: node.ports,
  };
  writeFileSync(`${path}.new`, `${JSON.stringify(content)}\n`);
  renameSync(`${path}.new`, path);
}

function servingLine(node: RunningNode, config: ResolvedConfig, tookMs: number): string {
  const { isEphemeral, dataDir } = config.values;
  const amqp = node.ports.amqp === null ? 'no AMQP listener' : `AMQP on port ${node.ports.amqp}`;
  const admin = node.ports.admin === null ? '' : `, warrenctl on ${node.ports.admin}`;
  const data = isEphemeral ? 'keeping nothing' : `data in ${dataDir}`;
  return `Warren ${warrenVersion} serves as ${node.name}: ${amqp}${admin}, ${data}, ready in ${Math.round(tookMs)} ms`;
}
