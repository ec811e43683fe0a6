/**
 * Topic exchange: binding keys are patterns of words separated by dots, `*` is
 * one word and `#` any number of them (behaviour 94). The matching is
 * `topic-trie`'s.
 */
import type { Binding } from './binding.ts';
import type { BindingTable, ExchangeType } from './exchange.ts';
import type { Matches } from './matches.ts';
import { TopicTrie } from './topic-trie.ts';

export class TopicTable implements BindingTable {
  private readonly trie: TopicTrie;

  constructor(seed: number) {
    this.trie = new TopicTrie(seed);
  }

  add(binding: Binding): void {
    this.trie.add(binding);
  }

  remove(binding: Binding): void {
    this.trie.remove(binding);
  }

  match(routingKey: string, matches: Matches): void {
    this.trie.match(routingKey, matches);
  }
}

export const topicType: ExchangeType = {
  name: 'topic',
  hasTopicPermissions: true,
  createTable: (seed) => new TopicTable(seed),
  checkBinding: () => {},
};
