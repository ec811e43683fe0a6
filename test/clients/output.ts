/**
 * What a program of a tutorial prints: lines are collected as they come, and a
 * test waits for as many as it expects.
 */
import { Inbox } from '../support/raw-client/inbox.ts';

const WITHIN_MS = 10_000;

export class Output {
  private readonly lines = new Inbox<string>();

  readonly print = (line: string): void => {
    this.lines.put(line);
  };

  async take(count: number): Promise<string[]> {
    const taken: string[] = [];
    while (taken.length < count) taken.push(await this.lines.take(`line ${taken.length + 1} of ${count}`, WITHIN_MS));
    return taken;
  }

  /** Printed and not taken. */
  get waiting(): number {
    return this.lines.size;
  }
}
