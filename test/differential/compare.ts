/**
 * Plays one script on both brokers and says whether they agree.
 *
 * Where they do not, RabbitMQ and Warren play it again: if any two of their
 * outcomes are equal, the script's result is a matter of timing on RabbitMQ.
 */
import type { BrokerAddress } from '../support/raw-client/connection.ts';
import { Typed } from '../support/raw-client/table.ts';
import { type Outcome, Player } from './player.ts';
import type { Script, Step } from './script.ts';

const REPLAYS = 3;

export interface Difference {
  readonly step: number;
  readonly warren: readonly string[];
  readonly rabbit: readonly string[];
}

export class Comparison {
  timingCount = 0;
  runCount = 0;
  private readonly warren: BrokerAddress;
  private readonly rabbit: BrokerAddress;
  private readonly runId = Math.random().toString(36).slice(2, 8);

  constructor(warren: BrokerAddress, rabbit: BrokerAddress) {
    this.warren = warren;
    this.rabbit = rabbit;
  }

  /** Null: they agree. */
  async run(script: Script): Promise<Difference | null> {
    const [warren, rabbit] = await this.both(script);
    const difference = firstDifference(warren, rabbit);
    if (difference === null) return null;
    const warrens = [warren];
    const rabbits = [rabbit];
    for (let replay = 0; replay < REPLAYS; replay += 1) {
      const [again, rabbitAgain] = await this.both(script);
      warrens.push(again);
      rabbits.push(rabbitAgain);
      if (!warrens.some((one) => rabbits.some((other) => firstDifference(one, other) === null))) continue;
      this.timingCount += 1;
      return null;
    }
    return difference;
  }

  /** Without the steps that the difference does not need: what fast-check leaves, since its scripts' lengths are part of a choice. */
  async shorten(script: Script, untilMs: number): Promise<Script> {
    let shorter = script;
    for (let at = script.length - 1; at >= 0 && performance.now() < untilMs; at -= 1) {
      if (at >= shorter.length) continue;
      const without = shorter.filter((_step, index) => index !== at);
      const [warren, rabbit] = await this.both(without);
      const difference = firstDifference(warren, rabbit);
      // Nothing after the difference matters; what it held at last needs every step.
      if (difference !== null) shorter = without.slice(0, difference.step + 1);
    }
    return shorter;
  }

  /** The script, step by step, with what both said; the first difference is marked. */
  async describe(script: Script): Promise<string> {
    const [warren, rabbit] = await this.both(script);
    const difference = firstDifference(warren, rabbit);
    const lines: string[] = [];
    for (let step = 0; step <= script.length; step += 1) {
      lines.push(step < script.length ? `${step + 1}. ${stepText(script[step])}` : 'at last');
      if (difference?.step !== step) {
        lines.push(...(warren[step] ?? []).map((line) => `     ${line}`));
        continue;
      }
      const same = new Set((warren[step] ?? []).filter((line) => rabbit[step]?.includes(line)));
      lines.push(...[...same].map((line) => `     ${line}`));
      lines.push(...(rabbit[step] ?? []).filter((line) => !same.has(line)).map((line) => `  R  ${line}`));
      lines.push(...(warren[step] ?? []).filter((line) => !same.has(line)).map((line) => `  W  ${line}`));
      break;
    }
    return lines.join('\n');
  }

  private async both(script: Script): Promise<readonly [Outcome, Outcome]> {
    this.runCount += 1;
    const prefix = `d${this.runId}${this.runCount}-`;
    return Promise.all([new Player(this.warren, prefix).play(script), new Player(this.rabbit, prefix).play(script)]);
  }
}

function firstDifference(warren: Outcome, rabbit: Outcome): Difference | null {
  for (let step = 0; step < Math.max(warren.length, rabbit.length); step += 1) {
    const ours = warren[step] ?? [];
    const theirs = rabbit[step] ?? [];
    if (ours.join('\n') !== theirs.join('\n')) return { step, warren: ours, rabbit: theirs };
  }
  return null;
}

/** Short enough to be read: what is false or empty is left out. */
function stepText(step: Step | undefined): string {
  if (step === undefined) return '';
  if (step.kind === 'drop' || step.kind === 'goodbye') return `${step.kind} connection ${step.connection}`;
  const { kind, at, ...others } = step;
  const place = `${at.connection}.${at.channel}`;
  if (step.kind === 'method') return `${place} ${step.name} ${given(step.fields)}`;
  if (step.kind === 'malformed') return `${place} ${step.name}`;
  return `${place} ${kind} ${given(others)}`;
}

function given(fields: object): string {
  return JSON.stringify(fields, (_key, value: unknown) => {
    if (value === false || value === '') return undefined;
    if (value instanceof Typed) return `${value.tag}:${String(value.value)}`;
    return typeof value === 'bigint' ? String(value) : value;
  });
}
