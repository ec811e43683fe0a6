/**
 * Which resource alarms hold publishers back, and who wants to know
 * (behaviour 150). Raised by the node's watchers of memory and disk; several
 * watchers of one resource are told apart by their source.
 */
import type { AlarmBoard, AlarmListener } from './front-end.ts';

export type AlarmedResource = 'memory' | 'disk';

export class BrokerAlarmBoard implements AlarmBoard {
  private readonly sources: Readonly<Record<AlarmedResource, Set<string>>> = { memory: new Set(), disk: new Set() };
  private readonly listeners = new Set<AlarmListener>();
  private current: string | null = null;
  private isCritical = false;

  get reason(): string | null {
    return this.current;
  }

  get isMemoryCritical(): boolean {
    return this.isCritical;
  }

  setMemoryCritical(isCritical: boolean): void {
    if (isCritical === this.isCritical) return;
    this.isCritical = isCritical;
    this.tell();
  }

  isRaised(resource: AlarmedResource): boolean {
    return this.sources[resource].size > 0;
  }

  raise(resource: AlarmedResource, source: string): void {
    this.sources[resource].add(source);
    this.update();
  }

  clear(resource: AlarmedResource, source: string): void {
    this.sources[resource].delete(source);
    this.update();
  }

  subscribe(listener: AlarmListener): void {
    this.listeners.add(listener);
  }

  unsubscribe(listener: AlarmListener): void {
    this.listeners.delete(listener);
  }

  private update(): void {
    const raised = (['memory', 'disk'] as const).filter((resource) => this.isRaised(resource));
    const reason = raised.length === 0 ? null : `low on ${raised.join(' & ')}`;
    if (reason === this.current) return;
    this.current = reason;
    this.tell();
  }

  private tell(): void {
    for (const listener of [...this.listeners]) listener.onAlarm(this.current);
  }
}
