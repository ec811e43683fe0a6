/** How many channels each user has open on this node, against the user's max-channels (behaviour 147). */
import type { MetadataView } from '../../cluster/metadata-client.ts';
import { Refusal } from './refusal.ts';

export class ChannelLimits {
  private readonly view: MetadataView;
  private readonly countByUser = new Map<string, number>();

  constructor(view: MetadataView) {
    this.view = view;
  }

  countOf(user: string): number {
    return this.countByUser.get(user) ?? 0;
  }

  /** @throws Refusal not-allowed */
  open(user: string): void {
    const count = this.countOf(user);
    const max = this.view.get('users', user)?.maxChannels ?? -1;
    if (max >= 0 && count >= max) {
      const what = `number of channels opened for user '${user}' has reached the maximum allowed user limit of (${max})`;
      throw new Refusal('not-allowed', what);
    }
    this.countByUser.set(user, count + 1);
  }

  /** @param channels how many of the user's end */
  close(user: string, channels: number): void {
    const left = this.countOf(user) - channels;
    if (left > 0) this.countByUser.set(user, left);
    else this.countByUser.delete(user);
  }
}
