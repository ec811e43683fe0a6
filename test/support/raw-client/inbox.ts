/**
 * What has arrived and nobody has taken yet, in order; and those who wait for it,
 * each with a deadline. When the source ends, waiters and later takers get the
 * reason, after everything that had arrived before it.
 */
export class Inbox<T> {
  private readonly items: T[] = [];
  private readonly waiters: Waiter<T>[] = [];
  private endReason: string | null = null;

  get size(): number {
    return this.items.length;
  }

  put(item: T): void {
    const waiter = this.waiters.shift();
    if (waiter === undefined) this.items.push(item);
    else waiter.resolve(item);
  }

  /** No more will come. */
  end(reason: string): void {
    if (this.endReason !== null) return;
    this.endReason = reason;
    for (const waiter of this.waiters.splice(0)) waiter.reject(new Error(`waiting for ${waiter.what}: ${reason}`));
  }

  take(what: string, withinMs: number): Promise<T> {
    if (this.items.length > 0) return Promise.resolve(this.items.shift()!);
    if (this.endReason !== null) return Promise.reject(new Error(`waiting for ${what}: ${this.endReason}`));
    return new Promise<T>((resolve, reject) => {
      const deadline = setTimeout(() => {
        this.waiters.splice(this.waiters.indexOf(waiter), 1);
        reject(new Error(`waiting for ${what}: nothing came within ${withinMs} ms`));
      }, withinMs);
      const waiter: Waiter<T> = {
        what,
        resolve: (item) => {
          clearTimeout(deadline);
          resolve(item);
        },
        reject: (error) => {
          clearTimeout(deadline);
          reject(error);
        },
      };
      this.waiters.push(waiter);
    });
  }
}

interface Waiter<T> {
  readonly what: string;
  resolve(item: T): void;
  reject(error: Error): void;
}
