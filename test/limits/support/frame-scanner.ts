/**
 * Counts what a broker sends when it is too much to be kept: chunks go in, each
 * whole frame comes out once, as a view that is only valid during the call.
 */
export type OnFrame = (type: number, channel: number, payload: Buffer) => void;

const HEADER_BYTES = 7;

export class FrameScanner {
  private readonly onFrame: OnFrame;
  private rest: Buffer = Buffer.alloc(0);

  constructor(onFrame: OnFrame) {
    this.onFrame = onFrame;
  }

  push(chunk: Buffer): void {
    const bytes = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    let at = 0;
    while (bytes.length - at > HEADER_BYTES) {
      const payloadEnd = at + HEADER_BYTES + bytes.readUInt32BE(at + 3);
      if (payloadEnd >= bytes.length) break;
      this.onFrame(bytes.readUInt8(at), bytes.readUInt16BE(at + 1), bytes.subarray(at + HEADER_BYTES, payloadEnd));
      at = payloadEnd + 1;
    }
    this.rest = bytes.subarray(at);
  }
}
