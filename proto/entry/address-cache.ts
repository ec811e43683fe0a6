/**
 * Shares Address objects between messages that are read back from disk or come
 * from a peer: neighbours usually have the same exchange and routing key.
 *
 * In: the two short strings as bytes. Out: one Address per distinct pair, while
 * it is remembered. Bounded: when it is full everything is forgotten, which
 * costs only a few more objects.
 */
import { isUtf8Range } from '../base/byte-reader.ts';
import { Address } from './address.ts';
import { EntryError } from './entry-codec.ts';

/** More distinct pairs than a page of messages usually has; about 300 bytes each. */
export const ADDRESSES_MAX = 1024;

export class AddressCache {
  private readonly byBytes = new Map<string, Address>();
  private last: Address | null = null;

  /** `bytes[start, end)` holds two short strings. They are not kept. @throws EntryError when they are not UTF-8 */
  get(bytes: Buffer, start: number, end: number): Address {
    const last = this.last;
    if (last !== null && last.bytes.length === end - start && last.bytes.compare(bytes, start, end) === 0) return last;
    const key = bytes.toString('latin1', start, end);
    const known = this.byBytes.get(key);
    if (known !== undefined) {
      this.last = known;
      return known;
    }
    return this.add(key, bytes, start, end);
  }

  private add(key: string, bytes: Buffer, start: number, end: number): Address {
    const keyStart = start + 1 + bytes.readUInt8(start);
    if (!isUtf8Range(bytes, start + 1, keyStart) || !isUtf8Range(bytes, keyStart + 1, end)) {
      throw new EntryError('exchange and routing key of an entry are not UTF-8');
    }
    const address = new Address(bytes.toString('utf8', start + 1, keyStart), bytes.toString('utf8', keyStart + 1, end));
    if (this.byBytes.size >= ADDRESSES_MAX) this.byBytes.clear();
    this.byBytes.set(key, address);
    this.last = address;
    return address;
  }
}
