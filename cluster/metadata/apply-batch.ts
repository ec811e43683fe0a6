/**
 * Several commands, all or none, in steps of bounded work: a batch of a hundred
 * thousand commands must not hold the event loop, and when the last of them is
 * refused nothing of the others may remain.
 *
 * Commands are applied in order, and every change is kept; when one does not go
 * through, the changes are taken back in reverse order. Between `beginUndecided`
 * and the last step nothing else may be applied to the state: the caller lets
 * other commands wait.
 */
import type { Command, CommandReply } from './commands.ts';
import type { Change } from './definitions.ts';
import { fromJson } from './json-text.ts';
import type { MetadataState } from './state.ts';

/** What takes one step, and what a batch may hold. */
export type SimpleCommand = Exclude<
  Command,
  { type: 'found-cluster' | 'batch' | 'batch-part' | 'batch-commit' | 'batch-abort' }
>;

export type ApplySimple = (state: MetadataState, command: SimpleCommand, index: number) => CommandReply;

type Phase = 'applying' | 'undoing' | 'closing' | 'done';

export class BatchApplication {
  private readonly state: MetadataState;
  /** Each part as commands, or as the JSON text of them: one is parsed at a time. */
  private readonly parts: readonly (string | readonly Command[])[];
  private readonly index: number;
  private readonly applySimple: ApplySimple;
  private readonly lastQueueIdBefore: number;

  private phase: Phase = 'applying';
  private nextPart = 0;
  private commands: readonly Command[] = [];
  private nextCommand = 0;
  /** Commands of the parts before `commands`. */
  private commandsBefore = 0;
  private readonly changes: Change[] = [];
  private reply: CommandReply = { type: 'ok' };

  constructor(
    state: MetadataState,
    parts: readonly (string | readonly Command[])[],
    index: number,
    applySimple: ApplySimple,
  ) {
    this.state = state;
    this.parts = parts;
    this.index = index;
    this.applySimple = applySimple;
    this.lastQueueIdBefore = state.lastQueueId;
    state.beginUndecided();
  }

  /** Does the work of at most `commandsMax` commands (or as many undone changes). True when all is done. */
  step(commandsMax: number): boolean {
    switch (this.phase) {
      case 'applying':
        this.applySome(commandsMax);
        return false;
      case 'undoing':
        this.undoSome(commandsMax);
        return false;
      case 'closing':
        if (this.state.closePlaces(commandsMax) === 0) this.phase = 'done';
        return this.isDone;
      case 'done':
        return true;
    }
  }

  get isDone(): boolean {
    return this.phase === 'done';
  }

  /** What is done and not undone so far, in order. Grows and shrinks with the steps. */
  get changesSoFar(): readonly Change[] {
    return this.changes;
  }

  /** Once `step` has returned true. The changes belong to the caller. */
  get applied(): { readonly reply: CommandReply; readonly changes: readonly Change[] } {
    return { reply: this.reply, changes: this.reply.type === 'ok' ? this.changes : [] };
  }

  private applySome(commandsMax: number): void {
    for (let count = 0; count < commandsMax; count++) {
      if (this.nextCommand === this.commands.length) {
        if (this.nextPart === this.parts.length) {
          for (const change of this.state.takeChanges()) this.changes.push(change);
          this.phase = 'closing';
        } else {
          this.openNextPart();
        }
        return;
      }
      const reply = this.applyOne(this.commands[this.nextCommand]!);
      for (const change of this.state.takeChanges()) this.changes.push(change);
      if (reply !== null) {
        this.reply = { type: 'batch-refused', at: this.commandsBefore + this.nextCommand, reply };
        this.phase = 'undoing';
        return;
      }
      this.nextCommand++;
    }
  }

  private openNextPart(): void {
    const part = this.parts[this.nextPart++]!;
    this.commandsBefore += this.commands.length;
    this.commands = typeof part === 'string' ? parsePart(part) : part;
    this.nextCommand = 0;
  }

  /** Null when it went through. */
  private applyOne(command: Command): CommandReply | null {
    if (!isSimple(command)) return { type: 'refused', reason: `'${command.type}' can't be part of a batch` };
    const reply = this.applySimple(this.state, command, this.index);
    return wentThrough(command, reply) ? null : reply;
  }

  private undoSome(changesMax: number): void {
    for (let count = 0; count < changesMax; count++) {
      const change = this.changes.pop();
      if (change === undefined) {
        this.state.takeChanges();
        this.state.lastQueueId = this.lastQueueIdBefore;
        this.phase = 'closing';
        return;
      }
      this.state.undo(change);
    }
  }
}

/** Declaring what is there and deleting what is not there change nothing, and are no reason to undo the rest. */
function wentThrough(command: SimpleCommand, reply: CommandReply): boolean {
  switch (reply.type) {
    case 'ok':
    case 'created':
      return true;
    case 'exists':
      return command.type !== 'put-user';
    case 'not-found':
      return command.type.startsWith('delete-');
    default:
      return false;
  }
}

function isSimple(command: Command): command is SimpleCommand {
  switch (command.type) {
    case 'found-cluster':
    case 'register-node':
    case 'batch':
    case 'batch-part':
    case 'batch-commit':
    case 'batch-abort':
      return false;
    default:
      return true;
  }
}

function parsePart(text: string): readonly Command[] {
  // Our own text: `batch-part` wrote it after its commands had been checked.
  return fromJson(text) as readonly Command[];
}
