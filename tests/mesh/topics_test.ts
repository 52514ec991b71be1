import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TopicTrie } from "../../lib/mesh/topic_trie.ts";
import { MAX_TOPIC_BYTES, MAX_TOPIC_TOKENS, patternProblem, tokensOf, topicProblem } from "../../lib/mesh/topics.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { property, testSeed } from "../support/seed.ts";

test("a topic is one or more tokens, none of them empty, and has no signs that only patterns have", () => {
  for (const topic of ["a", "orders.created", "täglich.übrig", "a b.c", "a-b_c:1/2.x", "日本", "a".repeat(1_024)]) {
    assert.equal(topicProblem(topic), undefined, topic);
    assert.equal(patternProblem(topic), undefined, topic);
  }
  const cases: [topic: string, problem: RegExp][] = [
    ["", /is empty/],
    [".", /empty token/],
    ["a.", /empty token/],
    [".a", /empty token/],
    ["a..b", /empty token/],
    ["a\u0000", /control character/],
    ["a.\u001b[31m", /control character/],
    ["a\nb", /control character/],
    ["a\u007f", /control character/],
    ["a\u009bb", /control character/],
    ["a.*", /has a \*, which only patterns have/],
    [">", /has a >, which only patterns have/],
    ["a\ud800", /half of a surrogate pair/],
    ["a".repeat(1_025), /has 1025 bytes, at most 1024 are allowed/],
    ["ä".repeat(513), /has 1026 bytes, at most 1024/],
    [new Array(65).fill("a").join("."), /has 65 tokens, at most 64/],
    [new Array(1_000).fill("a").join("."), /has 1999 bytes/],
  ];
  for (const [topic, problem] of cases) assert.match(topicProblem(topic) ?? "nothing", problem, JSON.stringify(topic));
  assert.equal(topicProblem(new Array(MAX_TOPIC_TOKENS).fill("a").join(".")), undefined);
  assert.equal(MAX_TOPIC_BYTES, 1_024);
});

test("a pattern may have * for a token, and > at its end", () => {
  for (const pattern of ["*", ">", "a.*", "*.a.*", "a.>", "*.>", "a.*.b.>"]) {
    assert.equal(patternProblem(pattern), undefined, pattern);
  }
  const cases: [pattern: string, problem: RegExp][] = [
    ["a*", /has a \* inside a token/],
    ["*a", /has a \* inside a token/],
    ["**", /has a \* inside a token/],
    ["a.b*.c", /has a \* inside a token/],
    ["a>", /has a > inside a token/],
    ["a.>b", /has a > inside a token/],
    [">.a", /has a > before its end/],
    ["a.>.>", /has a > before its end/],
    ["a.*.", /empty token/],
    ["", /is empty/],
  ];
  for (const [pattern, problem] of cases) assert.match(patternProblem(pattern) ?? "nothing", problem, pattern);
});

/** What a pattern means, in the plainest words. */
function meets(pattern: string, topic: string): boolean {
  const wanted = tokensOf(pattern);
  const tokens = tokensOf(topic);
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] === ">") return tokens.length > i;
    if (i >= tokens.length || (wanted[i] !== "*" && wanted[i] !== tokens[i])) return false;
  }
  return tokens.length === wanted.length;
}

interface Holder {
  readonly id: number;
}

test("the trie finds for every topic what comparing it with each pattern finds, while patterns come and go", () => {
  const token = fc.constantFrom("a", "b", "c");
  const topic = fc.array(token, { minLength: 1, maxLength: 4 }).map((tokens) => tokens.join("."));
  const pattern = fc.tuple(
    fc.array(fc.oneof({ weight: 3, arbitrary: token }, fc.constant("*")), { minLength: 0, maxLength: 4 }),
    fc.boolean(),
  ).map(([tokens, isOpen]) => [...tokens, ...(isOpen || tokens.length === 0 ? [">"] : [])].join("."));
  const step = fc.record({ add: fc.boolean(), holder: fc.nat(3), pattern, topic });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const trie = new TopicTrie<Holder>(new SeededRandom(testSeed));
      const holders: Holder[] = [0, 1, 2, 3].map((id) => ({ id }));
      const naive = new Set<string>();
      for (const { add, holder, pattern, topic } of steps) {
        const line = `${holder} ${pattern}`;
        if (add) {
          assert.equal(trie.add(pattern, holders[holder]), !naive.has(line));
          naive.add(line);
        } else assert.equal(trie.remove(pattern, holders[holder]), naive.delete(line));
        const found: number[] = [];
        trie.match(topic, ({ id }) => void found.push(id));
        const wanted = [...naive].map((line) => line.split(" ")).filter(([, pattern]) => meets(pattern, topic));
        assert.deepEqual(found.sort(), wanted.map(([id]) => Number(id)).sort());
        assert.equal(trie.patterns, naive.size);
      }
      for (const line of naive) {
        const [id, pattern] = line.split(" ");
        assert.equal(trie.remove(pattern, holders[Number(id)]), true);
      }
      assert.deepEqual([trie.patterns, trie.branches], [0, 0], "nothing is left of patterns that are gone");
    }),
    property(300),
  );
});

test("ten thousand patterns under one topic, and as many holders of one pattern, come and go", () => {
  const trie = new TopicTrie<Holder>(new SeededRandom(testSeed));
  const holders = Array.from({ length: 10_000 }, (_, id) => ({ id }));
  for (const holder of holders) {
    trie.add(`fleet.${holder.id}.position`, holder);
    trie.add("all.>", holder);
  }
  const count = (topic: string): number => {
    let found = 0;
    trie.match(topic, () => found++);
    return found;
  };
  assert.deepEqual(["fleet.77.position", "fleet.77", "nobody.wants", "all.x"].map(count), [1, 0, 0, 10_000]);
  assert.equal(trie.branches, 1 + 2 * 10_000 + 1);
  for (const holder of holders) {
    trie.remove(`fleet.${holder.id}.position`, holder);
    trie.remove("all.>", holder);
  }
  assert.deepEqual([trie.patterns, trie.branches], [0, 0]);
});
