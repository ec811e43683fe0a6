/**
 * Whole numbers from 0 to 2^53 in as few bytes as they need: seven bits each,
 * the low ones first, the top bit says that more follow (as in LevelDB and
 * protobuf). For small records that are written with every commit.
 */
export class VarintWriter {
  private bytes: Buffer = Buffer.allocUnsafeSlow(1024);
  private at = 0;

  start(): void {
    this.at = 0;
  }

  byte(value: number): void {
    if (this.at === this.bytes.length) this.grow();
    this.bytes[this.at++] = value;
  }

  number(value: number): void {
    while (value >= 128) {
      this.byte((value % 128) | 128);
      value = Math.floor(value / 128);
    }
    this.byte(value);
  }

  get length(): number {
    return this.at;
  }

  copyTo(target: Buffer, start: number): void {
    this.bytes.copy(target, start, 0, this.at);
  }

  private grow(): void {
    const bytes = Buffer.allocUnsafeSlow(this.bytes.length * 2);
    this.bytes.copy(bytes);
    this.bytes = bytes;
  }
}

export class VarintReader {
  private readonly bytes: Buffer;
  private at: number;

  constructor(bytes: Buffer, start: number) {
    this.bytes = bytes;
    this.at = start;
  }

  get offset(): number {
    return this.at;
  }

  get isEnd(): boolean {
    return this.at >= this.bytes.length;
  }

  byte(): number {
    if (this.isEnd) throw new RangeError(`number cut off at byte ${this.at} of ${this.bytes.length}`);
    return this.bytes[this.at++]!;
  }

  number(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.byte();
      value += (byte & 127) * scale;
      scale *= 128;
      if (value > Number.MAX_SAFE_INTEGER || (byte >= 128 && scale > 2 ** 49)) {
        throw new RangeError(`number of more than 53 bits at byte ${this.at}`);
      }
      if (byte < 128) return value;
    }
  }

  skip(bytes: number): void {
    this.at += bytes;
  }
}
