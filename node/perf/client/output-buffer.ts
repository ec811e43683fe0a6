/**
 * What a connection has to say, gathered until the end of the turn and written
 * at once: two buffers that change places, one with the kernel and one being
 * filled. Not shared; knows no socket.
 */
const USUAL_BYTES = 128 * 1024;

export class OutputBuffer {
  /** [0, at) is to be written. Changes with `reserve` and `take`: not to be kept. */
  bytes: Buffer;
  at = 0;
  private spare: Buffer | null = null;

  /** @param bytes of the first buffer: little for connections that only listen. */
  constructor(bytes: number = USUAL_BYTES) {
    this.bytes = Buffer.allocUnsafeSlow(bytes);
  }

  /** Room without growing: who has more waits for the next turn. Something of any size goes into an empty buffer. */
  hasRoom(bytes: number): boolean {
    if (this.at + bytes <= this.bytes.length) return true;
    if (this.at > 0) return false;
    this.grow(bytes);
    return true;
  }

  /** Room at any price, for what cannot wait: acknowledgements, methods. @returns where it begins. */
  reserve(bytes: number): number {
    const at = this.at;
    if (at + bytes > this.bytes.length) this.grow(at + bytes);
    this.at = at + bytes;
    return at;
  }

  add(frame: Buffer): void {
    const at = this.reserve(frame.length);
    frame.copy(this.bytes, at);
  }

  /** What there is. Its buffer is filled again after the next `take`: not before the kernel has it. */
  take(): Buffer {
    const taken = this.bytes.subarray(0, this.at);
    const next = this.spare ?? Buffer.allocUnsafeSlow(this.bytes.length);
    this.spare = this.bytes;
    this.bytes = next;
    this.at = 0;
    return taken;
  }

  private grow(bytes: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(bytes, this.bytes.length * 2));
    this.bytes.copy(larger, 0, 0, this.at);
    this.bytes = larger;
  }
}
