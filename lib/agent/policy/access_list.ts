/**
 * Which key may do what at a node: rules by key, as people write them down and as programs give them.
 *
 * @module
 */

import { bytesEqual } from "../../base/bytes.ts";
import { MxpError } from "../../base/errors.ts";
import { isNilUuid } from "../../base/uuid.ts";
import { capabilityMatches } from "../../codec/payloads/agent_discover.ts";
import { agentTarget } from "../../mesh/agent_target.ts";
import { defaultPlatform } from "../default_platform.ts";
import { parsePublicKey, publicKeyText } from "../mxp_url.ts";
import { quote } from "../quote.ts";

/**
 * What a key may be let do. `register`: register agents. `call`: make calls, open agent streams, send events, look for
 * agents. `subscribe`: take part in what others publish. `admin`: all of that, and end the registrations of other keys.
 */
export type Permission = "register" | "call" | "subscribe" | "admin";

/** What a key that connects gets if its rule names nothing. */
const USUAL: readonly Permission[] = ["register", "call", "subscribe"];
const WORDS: ReadonlySet<string> = new Set([...USUAL, "admin"]);
/** Rules of one file; more of them belong into a program (`authorize`). */
const MAX_RULES = 100_000;
/** Longer than any line with a sensible comment. */
const MAX_LINE = 4_096;

/** Something that a peer wants to do at a node. */
export interface AccessAction {
  /** What it is. `remove` ends the registration of an agent that belongs to another key. */
  readonly kind:
    | "register"
    | "heartbeat"
    | "deregister"
    | "discover"
    | "call"
    | "stream"
    | "event"
    | "subscribe"
    | "remove";
  /** What it takes. */
  readonly permission: Permission;
  /** Whom a call, a stream or an event is for: 16 bytes, nil for the node itself. */
  readonly target?: Uint8Array;
  /** The capability that a call is routed by, or those that an agent says it has. */
  readonly capabilities?: readonly string[];
  /** What an event or a subscription is about. */
  readonly topic?: string;
  /**
   * Of an agent stream that goes on after its connection was lost, and so has its agent's id as its target, however the agent
   * was found at first: what the agent is registered with. Agents let only those go on who have begun.
   */
  readonly goesOnWith?: { readonly name: string; readonly capabilities: readonly string[] };
}

/**
 * What one key may do, or everybody else (`*`). A permission is a word of {@link Permission}; `call:WHAT`, for calls by
 * the capability WHAT (exact, or `prefix.*`) and to the agent with the name or id WHAT; `register:WHAT`, for agents all of
 * whose capabilities meet WHAT; or `none`, alone, for a key that may not even connect. Without any: everything but `admin`.
 */
export interface AccessRule {
  /** The public key as text or bytes; `*` for whoever has no rule. */
  readonly key: string | Uint8Array;
  /** See above. */
  readonly permissions?: readonly string[];
}

/** What was read of one rule. */
interface Grants {
  readonly words: ReadonlySet<string>;
  /** Patterns of `register:`. */
  readonly registers: readonly string[];
  /** Patterns of `call:`, with the target that they stand for. */
  readonly calls: readonly { readonly pattern: string; readonly target: Uint8Array }[];
}

/**
 * Rules by key. Who has no rule, where there is none for `*`, may not connect.
 *
 * @example
 * ```ts
 * import { AccessList, generateIdentity, serve } from "../../../mod.ts";
 *
 * const [agent, operator] = [generateIdentity(), generateIdentity()];
 * await using node = await serve({
 *   listen: "127.0.0.1:0",
 *   registry: true,
 *   allow: new AccessList([
 *     { key: agent.publicKey, permissions: ["register:text.*"] },
 *     { key: operator.publicKey, permissions: ["admin"] },
 *     { key: "*", permissions: ["call"] },
 *   ]),
 * }, () => "");
 * ```
 */
export class AccessList {
  /** By the text of the key. Configured, not chosen by peers. */
  readonly #byKey = new Map<string, Grants>();
  #others: Grants | undefined;

  /**
   * A list of rules.
   *
   * @throws {MxpError} `usage` for what is no rule, and for two of one key.
   */
  constructor(rules: Iterable<AccessRule>) {
    for (const { key, permissions = [] } of rules) {
      const who = key === "*" ? key : publicKeyText(parsePublicKey(typeof key === "string" ? key : publicKeyText(key)));
      const grants = toGrants(permissions);
      if (who === "*" ? this.#others !== undefined : this.#byKey.has(who)) {
        throw new MxpError("usage", `there are two rules for ${who === "*" ? "everybody else (*)" : who}; keep one`);
      }
      if (who === "*") this.#others = grants;
      else this.#byKey.set(who, grants);
    }
  }

  /** Whether somebody with this key may connect. */
  admits(publicKey: Uint8Array): boolean {
    const grants = this.#grantsOf(publicKeyText(publicKey));
    return grants !== undefined && !grants.words.has("none");
  }

  /** Whether a key, as text, may do something. */
  permits(key: string, action: AccessAction): boolean {
    const grants = this.#grantsOf(key);
    if (grants === undefined) return false;
    const { words, registers, calls } = grants;
    if (words.has(action.permission) || words.has("admin")) return true;
    const { kind, capabilities = [], target, goesOnWith } = action;
    switch (kind) {
      case "register":
        return registers.length > 0 &&
          capabilities.every((capability) => registers.some((pattern) => capabilityMatches(pattern, capability)));
      case "heartbeat":
      case "deregister":
        return registers.length > 0;
      case "discover":
        return calls.length > 0;
      case "call":
      case "stream":
      case "event":
        if (capabilities.length > 0) {
          return calls.some(({ pattern }) => capabilityMatches(pattern, capabilities[0]));
        }
        if (target === undefined || isNilUuid(target)) return false;
        return calls.some((call) =>
          bytesEqual(call.target, target) || (goesOnWith !== undefined && isMetBy(call.pattern, goesOnWith))
        );
      case "subscribe":
      case "remove":
        return false;
    }
  }

  #grantsOf(key: string): Grants | undefined {
    return this.#byKey.get(key) ?? this.#others;
  }
}

/** Whether a pattern of `call:` is an agent's name, or stands for one of its capabilities. */
function isMetBy(pattern: string, agent: NonNullable<AccessAction["goesOnWith"]>): boolean {
  return pattern === agent.name || agent.capabilities.some((capability) => capabilityMatches(pattern, capability));
}

function toGrants(permissions: readonly string[]): Grants {
  const words = new Set<string>();
  const registers: string[] = [];
  const calls: { pattern: string; target: Uint8Array }[] = [];
  for (const permission of permissions.length === 0 ? USUAL : permissions) {
    const [, verb, pattern] = /^(register|call):(.+)$/.exec(permission) ?? [];
    if (pattern !== undefined) checkPattern(permission, pattern);
    if (verb === "register") registers.push(pattern);
    else if (verb === "call") calls.push({ pattern, target: targetOf(pattern) });
    else if (WORDS.has(permission) || permission === "none") words.add(permission);
    else {
      throw new MxpError(
        "usage",
        `${quote(permission)} is no permission; expected register, call, subscribe, admin, register:CAPABILITY, ` +
          "call:CAPABILITY-OR-AGENT or none",
      );
    }
  }
  if (words.has("none") && permissions.length > 1) {
    throw new MxpError("usage", "none stands alone: a key that may not connect can do nothing else");
  }
  return { words, registers, calls };
}

/** A pattern that means something else than it seems to would let in whom nobody has thought of, or keep out whom it is for. */
function checkPattern(permission: string, pattern: string): void {
  if (/\p{Cc}|\p{Surrogate}/u.test(pattern)) {
    throw new MxpError("usage", `control characters in ${quote(permission)}`);
  }
  if (!pattern.includes("*") || /^(?:[^*]+\.)?\*$/.test(pattern)) return;
  throw new MxpError(
    "usage",
    `a star stands alone or behind a dot at the end, as in text.*, not as in ${quote(permission)}`,
  );
}

/** The permissions of a line: none, or words with one comma between each two. @throws {MxpError} `usage` */
function permissionsOf(text: string): string[] {
  if (text === "") return [];
  return text.split(",").map((part) => {
    const word = part.trim();
    if (word === "") {
      throw new MxpError("usage", `there is nothing between two commas, or beside one, in ${quote(text)}`);
    }
    if (/\s/.test(word)) throw new MxpError("usage", `commas are missing in ${quote(word)}`);
    return word;
  });
}

function targetOf(agent: string): Uint8Array {
  const { sha256 } = defaultPlatform().crypto;
  return agentTarget((bytes) => sha256.hash(bytes), agent);
}

/**
 * Reads rules as they stand in files: `KEY PERMISSIONS # comment` on each line, with `*` in place of the key for everybody
 * else, and permissions of an {@link AccessRule} separated by commas.
 *
 * @param source names the file in errors.
 * @throws {MxpError} `config`, with the number of the line.
 *
 * @example
 * ```ts
 * import { AccessList, generateIdentity, parseAccessRules } from "../../../mod.ts";
 *
 * const key = generateIdentity().publicKeyText;
 * const list = new AccessList(parseAccessRules(`${key} admin # the operator\n* call:text.*\n`, "node.access"));
 * ```
 */
export function parseAccessRules(text: string, source: string): AccessRule[] {
  const rules: AccessRule[] = [];
  const lineOf = new Map<string, number>();
  const lines = text.split(/\r?\n/);
  for (let i = 0; i < lines.length; i++) {
    const wrong = (what: string): MxpError => new MxpError("config", `${source} line ${i + 1}: ${what}`);
    if (lines[i].length > MAX_LINE) throw wrong(`it is longer than ${MAX_LINE} characters`);
    const line = lines[i].replace(/(^|\s)#.*$/, "").trim();
    if (line === "") continue;
    const [, key, rest] = /^(\S+)\s*(.*)$/s.exec(line)!;
    const before = lineOf.get(key);
    if (before !== undefined) throw wrong(`the key has a rule in line ${before} already; keep one of them`);
    if (rules.length >= MAX_RULES) throw wrong(`there are more than ${MAX_RULES} rules`);
    lineOf.set(key, i + 1);
    try {
      const rule = { key, permissions: permissionsOf(rest) };
      // Whatever is wrong with it is said here, where the line is known.
      new AccessList([rule]);
      rules.push(rule);
    } catch (error) {
      if (!(error instanceof MxpError)) throw error;
      throw wrong(`${error.message}; a line is KEY register,call # comment`);
    }
  }
  return rules;
}
