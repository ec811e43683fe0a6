/**
 * How a command ends: the exit codes of rabbitmqctl (sysexits.h), and errors
 * that carry one.
 */
export const ExitCode = {
  ok: 0,
  usage: 64,
  data: 65,
  noUser: 67,
  noHost: 68,
  unavailable: 69,
  software: 70,
  temporary: 75,
  noPermission: 77,
  configuration: 78,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** An expected end of a command: printed and turned into the process's exit code. */
export class CommandFailure extends Error {
  readonly exitCode: ExitCode;
  /** Printed as it is, without `Error:` before it. */
  readonly isBare: boolean;

  constructor(exitCode: ExitCode, text: string, isBare = false) {
    super(text);
    this.name = 'CommandFailure';
    this.exitCode = exitCode;
    this.isBare = isBare;
  }
}
