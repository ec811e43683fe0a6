/**
 * A Map and a Set that take no table until the first entry: for what an object
 * may need and most never do. The table of an empty Map is 184 bytes; a channel
 * that was opened had five of them, and a queue six, so that opening many at
 * once was garbage collection above all (a channel took 4.9 KB).
 *
 * A look at an entry costs one branch more. `clear` gives the table back.
 */
const NOTHING: readonly never[] = [];

export class LazyMap<K, V> {
  private map: Map<K, V> | null = null;

  get size(): number {
    return this.map === null ? 0 : this.map.size;
  }

  get(key: K): V | undefined {
    return this.map === null ? undefined : this.map.get(key);
  }

  has(key: K): boolean {
    return this.map?.has(key) ?? false;
  }

  set(key: K, value: V): void {
    this.map ??= new Map();
    this.map.set(key, value);
  }

  delete(key: K): boolean {
    return this.map?.delete(key) ?? false;
  }

  clear(): void {
    this.map = null;
  }

  /** In the order of adding, as of a Map; `clear` while one goes through it does not end that. */
  keys(): Iterable<K> {
    return this.map === null ? NOTHING : this.map.keys();
  }

  values(): Iterable<V> {
    return this.map === null ? NOTHING : this.map.values();
  }

  entries(): Iterable<[K, V]> {
    return this.map === null ? NOTHING : this.map.entries();
  }
}

export class LazySet<T> {
  private set: Set<T> | null = null;

  get size(): number {
    return this.set === null ? 0 : this.set.size;
  }

  has(item: T): boolean {
    return this.set?.has(item) ?? false;
  }

  add(item: T): void {
    this.set ??= new Set();
    this.set.add(item);
  }

  delete(item: T): boolean {
    return this.set?.delete(item) ?? false;
  }

  clear(): void {
    this.set = null;
  }

  /** In the order of adding. */
  values(): Iterable<T> {
    return this.set === null ? NOTHING : this.set.values();
  }
}
