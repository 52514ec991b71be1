/**
 * Compresses and seals the messages of agent streams (SPEC §8.14).
 *
 * @module
 */

import { bytesEqual } from "../../base/bytes.ts";
import { MxpError } from "../../base/errors.ts";
import { ErrorCode } from "../../codec/error_codes.ts";
import { MessageFlag } from "../../codec/message_header.ts";
import { MessageType } from "../../codec/message_type.ts";
import { Accept, type Metadata } from "../../codec/payloads/metadata.ts";
import { checkZstdFrame } from "../../codec/zstd_frame.ts";
import { TAG_LENGTH } from "../../crypto/types.ts";
import type { PackedData, StreamPacker, StreamPackingProblem, StreamUnpacker } from "../../mesh/stream_packing.ts";
import type { CipherState } from "../../noise/cipher_state.ts";
import { compressed } from "./compression.ts";
import type { Compressor } from "./compressor.ts";
import type { Identity } from "../identity.ts";
import type { Platform } from "../platform.ts";
import { compressorOf, type PackingOptions, recipientOf } from "./request_packing.ts";
import { encodedHead, type OpenedRequest, Sealer, splitMetadata } from "./sealing.ts";

const EMPTY = new Uint8Array(0);
/** Most bytes in a TLV. */
const MAX_SEAL_BYTES = 0xffff;

/** What one half seals with: at once, or beginning with a Seal message. */
export interface SendingSeal {
  readonly cipher: CipherState;
  /** The payload of the Seal message, if there has to be one. */
  readonly payload?: Uint8Array;
}

/** Packs what one half sends. Every sealed message uses up a nonce, so that none can be left out or change places. */
export class StreamHalfPacker implements StreamPacker {
  readonly #compressor: Compressor | undefined;
  readonly #makeSeal: (() => SendingSeal) | undefined;
  #seal: SendingSeal | undefined;
  #isSealTaken = false;

  /** @param compressor if the other side takes compressed chunks. @param makeSeal is called when something is to be sealed first. */
  constructor(compressor: Compressor | undefined, makeSeal: (() => SendingSeal) | undefined) {
    this.#compressor = compressor;
    this.#makeSeal = makeSeal;
  }

  takeSeal(): Uint8Array | undefined {
    if (this.#isSealTaken) return undefined;
    this.#isSealTaken = true;
    return this.#seal?.payload;
  }

  pack(type: number, data: Uint8Array): PackedData {
    let flags = 0;
    if (this.#compressor !== undefined && type === MessageType.STREAM_CHUNK) {
      // A chunk is small enough for an answer at once.
      const frame = compressed(this.#compressor, data) as Uint8Array | undefined;
      if (frame !== undefined) {
        data = frame;
        flags = MessageFlag.COMPRESSED;
      }
    }
    if (this.#makeSeal === undefined) return { data, flags };
    flags |= MessageFlag.ENCRYPTED;
    this.#seal ??= this.#makeSeal();
    const sealed = new Uint8Array(data.length + TAG_LENGTH);
    this.#seal.cipher.encryptWithAd(Uint8Array.of(type, flags), data, sealed);
    return { data: sealed, flags };
  }
}

/** Unpacks what the other half sends. */
export class StreamHalfUnpacker implements StreamUnpacker {
  readonly isSealed: boolean;
  readonly #compressor: Compressor | undefined;
  readonly #openSeal: ((payload: Uint8Array) => CipherState | undefined) | undefined;
  #cipher: CipherState | undefined;

  /**
   * @param compressor zstd, if the runtime has it.
   * @param seal what opens, or how a Seal message leads to it; undefined for a stream that is not sealed.
   */
  constructor(
    compressor: Compressor | undefined,
    seal: CipherState | ((payload: Uint8Array) => CipherState | undefined) | undefined,
  ) {
    this.#compressor = compressor;
    this.isSealed = seal !== undefined;
    this.#openSeal = typeof seal === "function" ? seal : undefined;
    this.#cipher = typeof seal === "function" ? undefined : seal;
  }

  onSeal(payload: Uint8Array): StreamPackingProblem | undefined {
    if (this.#openSeal === undefined || this.#cipher !== undefined) {
      return { code: ErrorCode.STREAM_PROTOCOL, text: "a Seal message where none belongs" };
    }
    this.#cipher = this.#openSeal(payload);
    if (this.#cipher !== undefined) return undefined;
    return notOpened("the stream's answer is not sealed by the agent's key for this stream");
  }

  unpack(type: number, flags: number, data: Uint8Array, maxBytes: number): Uint8Array | StreamPackingProblem {
    const isEncrypted = (flags & MessageFlag.ENCRYPTED) !== 0;
    if (isEncrypted !== this.isSealed) {
      return notOpened(
        isEncrypted ? "a sealed message on a stream that is not" : "a message that is not sealed on a stream that is",
      );
    }
    if (isEncrypted) {
      const opened = this.#cipher?.decryptWithAd(Uint8Array.of(type, flags), data);
      if (opened === undefined) return notOpened("a message of the stream was changed or left out on the way");
      data = opened;
    }
    return (flags & MessageFlag.COMPRESSED) === 0 ? data : this.#decompress(data, maxBytes);
  }

  #decompress(frame: Uint8Array, maxBytes: number): Uint8Array | StreamPackingProblem {
    if (this.#compressor === undefined) {
      return {
        code: ErrorCode.UNSUPPORTED_TYPE,
        text: "compressed chunks are not supported here: this runtime has no zstd",
      };
    }
    const seen = checkZstdFrame(frame, maxBytes);
    if ("text" in seen) {
      const code = seen.tooLarge ? ErrorCode.PAYLOAD_TOO_LARGE : ErrorCode.CANNOT_DECOMPRESS;
      return { code, text: `a chunk is not one good zstd frame: ${seen.text}` };
    }
    const data = this.#compressor.decompress(frame, seen.maxSize);
    if (data !== undefined && data.length === (seen.contentSize ?? data.length)) return data;
    return { code: ErrorCode.CANNOT_DECOMPRESS, text: "a chunk is not one good zstd frame: it is damaged" };
  }
}

/** The packing of a stream, at one end. */
export interface StreamPacking {
  readonly packer: StreamHalfPacker | undefined;
  readonly unpacker: StreamHalfUnpacker;
}

/** What a stream is opened with when it is packed. */
export interface OpeningPacking extends StreamPacking {
  /** What goes into the StreamOpen. */
  readonly seal: Uint8Array | undefined;
  /** Whether it is sealed to the very key at the other end of the connection, so that nobody is between. */
  readonly isForPeer: boolean;
  /** What of the metadata goes in the clear. */
  readonly metadata: Metadata | undefined;
}

/**
 * The packing of a stream that we open; undefined if there is none.
 *
 * @param peerKey of the other end of the connection.
 * @throws {MxpError} `usage`, see `PackingOptions`.
 */
export function openingPacking(
  platform: Platform,
  identity: Identity,
  { compress, e2e }: PackingOptions,
  trace: { readonly traceHigh: number; readonly traceLow: number },
  target: Uint8Array,
  metadata: Metadata | undefined,
  peerKey: Uint8Array | undefined,
): OpeningPacking | undefined {
  if (compress !== true && e2e === undefined) return undefined;
  const compressor = compress === true ? compressorOf(platform) : undefined;
  if (compressor !== undefined) metadata = { ...metadata, accept: Accept.ZSTD };
  if (e2e === undefined) {
    return {
      packer: new StreamHalfPacker(compressor, undefined),
      unpacker: new StreamHalfUnpacker(compressor, undefined),
      seal: undefined,
      isForPeer: false,
      metadata,
    };
  }
  const recipient = recipientOf(e2e);
  const sealer = new Sealer(platform.crypto, platform.random, identity);
  const { inner, outer } = splitMetadata(metadata ?? {});
  const head = encodedHead({ timeMillis: Date.now(), target, metadata: inner });
  const begun = sealer.beginStream(recipient, { type: MessageType.STREAM_OPEN, ...trace }, head);
  if (begun.payload.length > MAX_SEAL_BYTES) {
    throw new MxpError(
      "too_large",
      `sealed, what opens the stream has ${begun.payload.length} bytes, at most ${MAX_SEAL_BYTES}`,
      { nothingDone: true },
    );
  }
  const answer = { type: MessageType.SEAL, ...trace, more: begun.hash };
  return {
    packer: new StreamHalfPacker(compressor, () => ({ cipher: begun.cipher })),
    unpacker: new StreamHalfUnpacker(compressor, (payload) => sealer.openStream(recipient, answer, payload)),
    seal: begun.payload,
    isForPeer: peerKey !== undefined && bytesEqual(peerKey, recipient),
    metadata: Object.keys(outer).length === 0 ? undefined : outer,
  };
}

/**
 * The packing of a stream that was opened to us.
 *
 * @param accept what its opener said that it accepts. @param seal if it is sealed.
 */
export function answeringPacking(
  compressor: Compressor | undefined,
  accept: number | undefined,
  seal: undefined | {
    readonly sealer: Sealer;
    readonly trace: { readonly traceHigh: number; readonly traceLow: number };
    readonly opened: OpenedRequest;
  },
): StreamPacking {
  const mayCompress = ((accept ?? 0) & Accept.ZSTD) !== 0 && compressor !== undefined;
  if (seal === undefined) {
    return {
      packer: mayCompress ? new StreamHalfPacker(compressor, undefined) : undefined,
      unpacker: new StreamHalfUnpacker(compressor, undefined),
    };
  }
  const { sealer, trace: { traceHigh, traceLow }, opened } = seal;
  const context = { type: MessageType.SEAL, traceHigh, traceLow, more: opened.hash };
  return {
    packer: new StreamHalfPacker(
      mayCompress ? compressor : undefined,
      () => sealer.beginStream(opened.sender, context, EMPTY),
    ),
    unpacker: new StreamHalfUnpacker(compressor, opened.cipher()),
  };
}

function notOpened(text: string): StreamPackingProblem {
  return { code: ErrorCode.CANNOT_DECRYPT, text };
}
