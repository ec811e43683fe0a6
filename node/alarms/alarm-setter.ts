/**
 * What the monitors need from others: somebody who blocks publishers, and a
 * timer. Both are injected, so tests bring their own.
 */

export type AlarmName = 'memory' | 'disk';

export interface AlarmSetter {
  /** Called when the state changes, not at each check. */
  set(name: AlarmName, isRaised: boolean): void;
  /** So little memory is left that nothing new may be made. Only while the memory alarm is raised. */
  setMemoryCritical(isCritical: boolean): void;
}

export interface Repeater {
  /** Calls `run` every so often until the returned function is called. */
  every(intervalMs: number, run: () => void): () => void;
}

/** Does not keep the process alive. */
export const systemRepeater: Repeater = {
  every: (intervalMs, run) => {
    const timer = setInterval(run, intervalMs);
    timer.unref();
    return () => clearInterval(timer);
  },
};
