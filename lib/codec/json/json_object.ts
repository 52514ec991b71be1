/**
 * JSON objects from peers: bounded in size and depth, read member by member. Members are only ever looked up by names that
 * this code knows, as own properties, so nothing that a peer writes reaches a prototype.
 *
 * @module
 */

import { type Address, address } from "../../base/address.ts";
import { parseUuid } from "../../base/uuid.ts";
import { CodecError } from "../codec_error.ts";
import { parseEndpoint } from "../endpoint.ts";
import { checkPayloadRange } from "../payload_reader.ts";
import { readUtf8, toUtf8 } from "../utf8.ts";
import { parseRfc3339 } from "./rfc3339.ts";

/** The largest payload that is looked at as JSON. */
export const MAX_JSON_BYTES = 1_048_576;
/** How deeply objects and arrays may lie in each other. */
export const MAX_JSON_DEPTH = 16;

const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Whether a payload can be JSON at all: it begins with `{`, ends with `}` and is not too long. */
export function looksLikeJson(bytes: Uint8Array, at: number, end: number): boolean {
  return end - at >= 2 && end - at <= MAX_JSON_BYTES && bytes[at] === OPEN_BRACE && bytes[end - 1] === CLOSE_BRACE;
}

/** Parses `bytes[at, end)`, which must be one JSON object. */
export function parseJsonObject(bytes: Uint8Array, at: number, end: number): JsonObject | CodecError {
  checkPayloadRange(bytes, at, end);
  if (!looksLikeJson(bytes, at, end)) return new CodecError("bad_json", { field: "not an object" });
  if (tooDeep(bytes, at, end)) return new CodecError("bad_json", { field: "too deep" });
  const text = readUtf8(bytes, at, end);
  if (text === undefined) return new CodecError("bad_utf8", { field: "JSON" });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return new CodecError("bad_json", { field: "syntax" });
  }
  return isObject(value) ? new JsonObject(value) : new CodecError("bad_json", { field: "not an object" });
}

/** A value as the bytes of its JSON. */
export function toJsonBytes(value: unknown): Uint8Array {
  return toUtf8(JSON.stringify(value));
}

/** The members of a JSON object. The first error sticks; the decoder looks at {@link error} at the end. */
export class JsonObject {
  /** The first thing that was wrong. */
  error: CodecError | undefined = undefined;
  readonly #members: Readonly<Record<string, unknown>>;

  /** For {@link parseJsonObject}. */
  constructor(members: Readonly<Record<string, unknown>>) {
    this.#members = members;
  }

  /** Whether there is such a member and it is not null. */
  has(name: string): boolean {
    return this.#get(name) !== undefined;
  }

  text(name: string): string {
    const value = this.#get(name);
    if (isText(value)) return value;
    this.#fail(name);
    return "";
  }

  /** Undefined if it is missing or null. */
  optionalText(name: string): string | undefined {
    return this.has(name) ? this.text(name) : undefined;
  }

  boolean(name: string): boolean {
    const value = this.#get(name);
    if (typeof value !== "boolean") this.#fail(name);
    return value === true;
  }

  /** An array of at most `max` texts; empty if it is missing or null and that is allowed. */
  texts(name: string, max: number, optional = false): string[] {
    const value = this.#get(name);
    if (value === undefined && optional) return [];
    if (Array.isArray(value) && value.length <= max && value.every(isText)) return value;
    this.#fail(name);
    return [];
  }

  /** An array of at most `max` objects. */
  objects(name: string, max: number): JsonObject[] {
    const value = this.#get(name);
    if (Array.isArray(value) && value.length <= max && value.every(isObject)) {
      return value.map((members) => new JsonObject(members));
    }
    this.#fail(name);
    return [];
  }

  /** An object whose values are all texts, as at most `max` pairs; empty if it is missing or null. */
  textPairs(name: string, max: number): [string, string][] {
    const value = this.#get(name);
    if (value === undefined) return [];
    const pairs = isObject(value) ? Object.entries(value) : undefined;
    if (pairs !== undefined && pairs.length <= max && pairs.every(isTextPair)) return pairs;
    this.#fail(name);
    return [];
  }

  /** A UUID, as 16 bytes. */
  uuid(name: string): Uint8Array {
    const bytes = parseUuid(this.text(name));
    if (bytes === undefined) this.#fail(name);
    return bytes ?? new Uint8Array(16);
  }

  /** `ip:port`; undefined if it is missing, null, or the unspecified address with port 0. */
  endpoint(name: string): Address | undefined {
    const text = this.optionalText(name);
    if (text === undefined) return undefined;
    const endpoint = parseEndpoint(text);
    if (endpoint === undefined) this.#fail(name);
    return endpoint === undefined || isUnspecified(endpoint) ? undefined : endpoint;
  }

  /** An RFC 3339 time, as milliseconds since 1970. */
  time(name: string): number {
    const millis = parseRfc3339(this.text(name));
    if (millis === undefined) this.#fail(name);
    return millis ?? 0;
  }

  #get(name: string): unknown {
    if (!Object.hasOwn(this.#members, name)) return undefined;
    return this.#members[name] ?? undefined;
  }

  #fail(name: string): void {
    this.error ??= new CodecError("bad_json", { field: `member ${name}` });
  }
}

/** The text of an endpoint for a member that has to be there. */
export function endpointText(...endpoints: readonly (Address | undefined)[]): string {
  return (endpoints.find((endpoint) => endpoint !== undefined) ?? address("0.0.0.0", 0)).key;
}

function isUnspecified(endpoint: Address): boolean {
  return endpoint.port === 0 && (endpoint.host === "0.0.0.0" || endpoint.host === "::");
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A string without lone surrogates, which have no UTF-8. */
function isText(value: unknown): value is string {
  return typeof value === "string" && value.isWellFormed();
}

function isTextPair(pair: [string, unknown]): pair is [string, string] {
  return isText(pair[0]) && isText(pair[1]);
}

/** Whether brackets outside strings nest deeper than allowed. Parsers recurse, or keep a stack, per bracket. */
function tooDeep(bytes: Uint8Array, at: number, end: number): boolean {
  let depth = 0;
  for (let i = at; i < end; i++) {
    switch (bytes[i]) {
      case QUOTE:
        for (i++; i < end && bytes[i] !== QUOTE; i++) if (bytes[i] === BACKSLASH) i++;
        break;
      case OPEN_BRACE:
      case OPEN_BRACKET:
        if (++depth > MAX_JSON_DEPTH) return true;
        break;
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        depth--;
        break;
    }
  }
  return false;
}
