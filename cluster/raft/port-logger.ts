/**
 * What the raft port has to say, as lines for the node's log. Its panics become
 * exceptions that stop the group; they never end the process by themselves.
 */
import { formatText, type Logger, RaftPanic } from './port.ts';

export interface RaftLogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly text: string;
}

export function portLogger(target: { log(line: RaftLogLine): void }): Logger {
  const write = (level: RaftLogLine['level'], format: string, values: readonly unknown[]): void =>
    target.log({ level, text: `raft: ${formatText(format, values)}` });
  return {
    infof: (format, ...values) => write('debug', format, values), // elections of one voter are no news
    debugf() {},
    warningf: (format, ...values) => write('warn', format, values),
    errorf: (format, ...values) => write('error', format, values),
    fatalf(format, ...values) {
      throw new RaftPanic(formatText(format, values));
    },
    panicf(format, ...values) {
      throw new RaftPanic(formatText(format, values));
    },
  };
}
