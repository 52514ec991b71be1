/**
 * Compresses and seals what this side asks, and opens the answer.
 *
 * @module
 */

import { bytesEqual } from "../../base/bytes.ts";
import { MxpError } from "../../base/errors.ts";
import { MAX_PAYLOAD_BYTES, MessageFlag } from "../../codec/message_header.ts";
import { MessageType } from "../../codec/message_type.ts";
import { Accept, type Metadata } from "../../codec/payloads/metadata.ts";
import type { CallOutcome } from "../../mesh/pending_calls.ts";
import { isAcceptablePublicKey } from "../../crypto/x25519_public_key.ts";
import { compressed, decompressed } from "./compression.ts";
import type { Compressor } from "./compressor.ts";
import type { Identity } from "../identity.ts";
import { parsePublicKey } from "../mxp_url.ts";
import type { Platform } from "../platform.ts";
import { Sealer, splitMetadata } from "./sealing.ts";

/** How a request is packed. */
export interface PackingOptions {
  /** Compresses the data where that makes it smaller, and says that the answer may be. */
  readonly compress?: boolean;
  /**
   * The agent's public key, as text (43 characters of base64url) or 32 bytes: what is sent and answered is then sealed end to
   * end, so that no node on the way can read it, and the agent knows the key of who sent it. Get the key from the agent's owner: a
   * node that is asked for it could name its own.
   */
  readonly e2e?: string | Uint8Array;
}

/** Data as it goes into a message. */
export interface Packed {
  readonly data: Uint8Array;
  /** COMPRESSED and ENCRYPTED. */
  readonly flags: number;
}

/** What a request is, for its seal. */
interface Sealable {
  readonly type: number;
  readonly traceHigh: number;
  readonly traceLow: number;
  /** An event's topic as UTF-8. */
  readonly more?: Uint8Array;
}

/** An answer that was opened: its data, or the agent's own Error. */
export type UnpackedAnswer = Extract<CallOutcome, { kind: "response" | "error" }>;

/** The packing of one request. */
export class RequestPacking {
  readonly #compressor: Compressor | undefined;
  readonly #sealer: Sealer | undefined;
  readonly #recipient: Uint8Array | undefined;
  #hash: Uint8Array | undefined;
  #context: Sealable | undefined;

  /** Undefined for a request that goes as it is. @throws {MxpError} `usage` for what is no key, and where there is no zstd. */
  static of(platform: Platform, identity: Identity, options: PackingOptions): RequestPacking | undefined {
    const { compress, e2e } = options;
    return compress === true || e2e !== undefined ? new RequestPacking(platform, identity, options) : undefined;
  }

  private constructor(platform: Platform, identity: Identity, { compress, e2e }: PackingOptions) {
    if (compress === true) this.#compressor = compressorOf(platform);
    if (e2e === undefined) return;
    this.#recipient = recipientOf(e2e);
    this.#sealer = new Sealer(platform.crypto, platform.random, identity);
  }

  /** Whether the answer has to be sealed. */
  get isSealed(): boolean {
    return this.#sealer !== undefined;
  }

  /** Whether it is sealed to this key. */
  isFor(key: Uint8Array | undefined): boolean {
    return key !== undefined && this.#recipient !== undefined && bytesEqual(this.#recipient, key);
  }

  /** The flags that an answer may have. */
  get accepted(): number {
    return (this.#compressor === undefined ? 0 : MessageFlag.COMPRESSED) |
      (this.#sealer === undefined ? 0 : MessageFlag.ENCRYPTED);
  }

  /**
   * Packs the data of a request.
   *
   * @param target as its sender knows it. @param metadata all of it.
   * @returns the data, and what of the metadata goes in the clear. Rejects with `too_large`.
   */
  async pack(
    context: Sealable,
    target: Uint8Array,
    metadata: Metadata | undefined,
    data: Uint8Array,
  ): Promise<Packed & { readonly metadata: Metadata | undefined }> {
    let flags = 0;
    if (this.#compressor !== undefined) {
      metadata = { ...metadata, accept: Accept.ZSTD };
      const frame = await compressed(this.#compressor, data);
      if (frame !== undefined) {
        data = frame;
        flags = MessageFlag.COMPRESSED;
      }
    }
    if (this.#sealer === undefined) return { data, flags, metadata };
    flags |= MessageFlag.ENCRYPTED;
    const { inner, outer } = splitMetadata(metadata ?? {});
    const head = { timeMillis: Date.now(), target, metadata: inner };
    const { hash, length, seal } = this.#sealer.request(this.#recipient!, context, flags, head, data);
    this.#hash = hash;
    this.#context = context;
    if (length > MAX_PAYLOAD_BYTES) {
      const text = `sealed, the data has ${length} bytes, and a message holds ${MAX_PAYLOAD_BYTES}`;
      throw new MxpError("too_large", text, { nothingDone: true });
    }
    return { data: await seal(), flags, metadata: Object.keys(outer).length === 0 ? undefined : outer };
  }

  /** What an answer holds. Rejects with `agent_error` if it is not packed as it has to be, or cannot be unpacked. */
  async open(payload: Uint8Array, packed: number): Promise<UnpackedAnswer> {
    let data = payload;
    if (this.#sealer !== undefined) {
      if ((packed & MessageFlag.ENCRYPTED) === 0) {
        throw new MxpError("agent_error", "the answer is not sealed, so it may come from a node on the way");
      }
      const { traceHigh, traceLow } = this.#context!;
      const context = { type: MessageType.RESPONSE, traceHigh, traceLow, more: this.#hash! };
      const opened = await this.#sealer.openAnswer(this.#recipient!, context, packed, payload);
      if (opened === undefined) {
        throw new MxpError("agent_error", "the answer was not sealed by the agent's key for this request");
      }
      if (opened.kind === "error") return opened;
      data = opened.data;
    }
    if ((packed & MessageFlag.COMPRESSED) !== 0) {
      const result = await decompressed(this.#compressor, data, MAX_PAYLOAD_BYTES, () => true);
      if (!(result instanceof Uint8Array)) throw new MxpError("agent_error", `the answer: ${result.text}`);
      data = result;
    }
    return { kind: "response", payload: data, packed: 0 };
  }
}

/** What compresses. @throws {MxpError} `usage` if nothing does. */
export function compressorOf(platform: Platform): Compressor {
  if (platform.compressor !== undefined) return platform.compressor;
  throw new MxpError("usage", "this runtime has no zstd to compress with (Deno, Bun and Node 22.15 have)");
}

/** Whom something is to be sealed to. @throws {MxpError} `usage` for what is no key. */
export function recipientOf(e2e: string | Uint8Array): Uint8Array {
  const key = typeof e2e === "string" ? parsePublicKey(e2e, "e2e") : e2e.slice();
  if (isAcceptablePublicKey(key)) return key;
  throw new MxpError("usage", "e2e is no public key of an agent: expected 32 bytes that are an X25519 key");
}

/**
 * The error for an Error message in the clear, or a reset, that came to a sealed request: a node on the way has said it, or has made it
 * up. That nothing was done is not to be believed then. Not for requests that are sealed to the very key at the other end of the connection.
 *
 * @param isForAgent whether it was for somebody behind that node.
 */
export function unsealedError(
  { code, message, retryable, remoteCode, remoteName }: MxpError,
  isForAgent: boolean,
): MxpError {
  const text = `${message} (says ${isForAgent ? "a node on the way" : "the node"}; it is not sealed)`;
  return new MxpError(code, text, {
    retryable,
    isUnsealed: true,
    ...(remoteCode !== undefined && { remoteCode }),
    ...(remoteName !== undefined && { remoteName }),
  });
}
