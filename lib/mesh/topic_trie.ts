/**
 * Finds out which patterns a topic meets, however many there are (SPEC §8.12).
 *
 * @module
 */

import type { HashKey } from "../base/keyed_hash.ts";
import { KeyedMap, newHashKey } from "../base/keyed_map.ts";
import type { Random } from "../base/random.ts";
import { ANY_REST, ANY_TOKEN, tokensOf } from "./topics.ts";

/** What patterns have in common up to a token. */
class Branch<T extends object> {
  /** Patterns that end here. */
  ending: Set<T> | undefined = undefined;
  /** Patterns that end here in `>`. */
  rest: Set<T> | undefined = undefined;
  /** What follows `*`. */
  star: Branch<T> | undefined = undefined;
  /** The only token that follows, and what is behind it: most have one. */
  token: string | undefined = undefined;
  child: Branch<T> | undefined = undefined;
  /** All that follow, if there are several. Subscribers choose them. */
  children: KeyedMap<Branch<T>> | undefined = undefined;

  get isEmpty(): boolean {
    return this.ending === undefined && this.rest === undefined && this.star === undefined &&
      this.child === undefined && this.children === undefined;
  }

  get(token: string): Branch<T> | undefined {
    if (this.children !== undefined) return this.children.get(token);
    return this.token === token ? this.child : undefined;
  }

  add(token: string, branch: Branch<T>, hashKey: HashKey): void {
    if (this.children === undefined && this.child === undefined) {
      this.token = token;
      this.child = branch;
      return;
    }
    if (this.children === undefined) {
      this.children = new KeyedMap(hashKey);
      this.children.set(this.token!, this.child!);
      this.token = this.child = undefined;
    }
    this.children.set(token, branch);
  }

  remove(token: string): void {
    if (this.children === undefined) {
      this.token = this.child = undefined;
      return;
    }
    this.children.delete(token);
    if (this.children.size === 0) this.children = undefined;
  }
}

/**
 * Patterns, and who wants what meets them. All patterns and topics have to be valid (see `patternProblem`).
 *
 * @example
 * ```ts
 * import { TopicTrie } from "./topic_trie.ts";
 * import { SystemRandom } from "../runtime/random.ts";
 *
 * const trie = new TopicTrie<{ readonly name: string }>(new SystemRandom());
 * trie.add("orders.*", { name: "shop" });
 * trie.match("orders.created", ({ name }) => console.log(name)); // shop
 * ```
 */
export class TopicTrie<T extends object> {
  readonly #hashKey: HashKey;
  readonly #root = new Branch<T>();
  #patterns = 0;
  #branches = 0;

  constructor(random: Random) {
    this.#hashKey = newHashKey(random);
  }

  /** How many patterns there are, the same one of several holders as often. */
  get patterns(): number {
    return this.#patterns;
  }

  /** How many places in memory they take: at most one for each token. */
  get branches(): number {
    return this.#branches;
  }

  /** Adds a pattern of a holder. False if that one has it already. */
  add(pattern: string, holder: T): boolean {
    let branch = this.#root;
    const tokens = tokensOf(pattern);
    const isOpen = tokens[tokens.length - 1] === ANY_REST;
    const last = isOpen ? tokens.length - 1 : tokens.length;
    for (let i = 0; i < last; i++) branch = this.#step(branch, tokens[i]);
    const holders = isOpen ? branch.rest ??= new Set() : branch.ending ??= new Set();
    if (holders.has(holder)) return false;
    holders.add(holder);
    this.#patterns++;
    return true;
  }

  /** Takes a pattern of a holder away. False if that one does not have it. */
  remove(pattern: string, holder: T): boolean {
    const tokens = tokensOf(pattern);
    const isOpen = tokens[tokens.length - 1] === ANY_REST;
    if (isOpen) tokens.pop();
    const path: Branch<T>[] = [this.#root];
    for (const token of tokens) {
      const branch = path[path.length - 1];
      const next = token === ANY_TOKEN ? branch.star : branch.get(token);
      if (next === undefined) return false;
      path.push(next);
    }
    const end = path[path.length - 1];
    const holders = isOpen ? end.rest : end.ending;
    if (holders === undefined || !holders.delete(holder)) return false;
    this.#patterns--;
    if (holders.size > 0) return true;
    if (isOpen) end.rest = undefined;
    else end.ending = undefined;
    for (let i = tokens.length; i > 0 && path[i].isEmpty; i--) {
      this.#branches--;
      if (tokens[i - 1] === ANY_TOKEN) path[i - 1].star = undefined;
      else path[i - 1].remove(tokens[i - 1]);
    }
    return true;
  }

  /** Shows every holder of a pattern that the topic meets, once for each such pattern. The trie must not change meanwhile. */
  match(topic: string, visit: (holder: T) => void): void {
    if (this.#patterns > 0) matchFrom(this.#root, tokensOf(topic), 0, visit);
  }

  #step(branch: Branch<T>, token: string): Branch<T> {
    const found = token === ANY_TOKEN ? branch.star : branch.get(token);
    if (found !== undefined) return found;
    const next = new Branch<T>();
    if (token === ANY_TOKEN) branch.star = next;
    else branch.add(token, next, this.#hashKey);
    this.#branches++;
    return next;
  }
}

function matchFrom<T extends object>(
  branch: Branch<T>,
  tokens: readonly string[],
  at: number,
  visit: (holder: T) => void,
): void {
  if (at === tokens.length) {
    if (branch.ending !== undefined) { for (const holder of branch.ending) visit(holder); }
    return;
  }
  if (branch.rest !== undefined) { for (const holder of branch.rest) visit(holder); }
  const next = branch.get(tokens[at]);
  if (next !== undefined) matchFrom(next, tokens, at + 1, visit);
  if (branch.star !== undefined) matchFrom(branch.star, tokens, at + 1, visit);
}
