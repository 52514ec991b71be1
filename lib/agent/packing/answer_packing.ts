/**
 * Compresses and seals what a handler answers.
 *
 * @module
 */

import { MessageFlag } from "../../codec/message_header.ts";
import { MessageType } from "../../codec/message_type.ts";
import type { ErrorPayload } from "../../codec/payloads/error.ts";
import { cutText } from "../../mesh/message_writer.ts";
import { compressed } from "./compression.ts";
import type { Compressor } from "./compressor.ts";
import type { Packed } from "./request_packing.ts";
import type { SealContext, Sealer } from "./sealing.ts";

/** Whom an answer is sealed to. */
export interface AnswerSeal {
  readonly sealer: Sealer;
  readonly recipient: Uint8Array;
  readonly context: SealContext;
}

/** What becomes of the answer to one call. */
export class AnswerPacking {
  readonly #compressor: Compressor | undefined;
  readonly #seal: AnswerSeal | undefined;

  /** @param compressor if the caller takes compressed answers. @param seal if it has sealed its request. */
  constructor(compressor: Compressor | undefined, seal: AnswerSeal | undefined) {
    this.#compressor = compressor;
    this.#seal = seal;
  }

  /** Seals the answer to a request with this hash. */
  static sealFor(
    sealer: Sealer,
    request: { readonly traceHigh: number; readonly traceLow: number },
    recipient: Uint8Array,
    hash: Uint8Array,
  ): AnswerSeal {
    const { traceHigh, traceLow } = request;
    return { sealer, recipient, context: { type: MessageType.RESPONSE, traceHigh, traceLow, more: hash } };
  }

  /** A handler's answer. */
  response(data: Uint8Array): Packed | Promise<Packed> {
    const frame = this.#compressor === undefined ? undefined : compressed(this.#compressor, data);
    if (frame instanceof Promise) return frame.then((frame) => this.#sealed(frame, data));
    return this.#sealed(frame, data);
  }

  /** An Error; undefined if it goes in the clear. */
  error(code: number, retryable: boolean, text: string): Packed | undefined {
    if (this.#seal === undefined) return undefined;
    const { sealer, recipient, context } = this.#seal;
    const error: ErrorPayload = { code, retryable, text: cutText(text) };
    return { data: sealer.errorAnswer(recipient, context, error), flags: MessageFlag.ENCRYPTED };
  }

  #sealed(frame: Uint8Array | undefined, data: Uint8Array): Packed | Promise<Packed> {
    const flags = frame === undefined ? 0 : MessageFlag.COMPRESSED;
    const body = frame ?? data;
    if (this.#seal === undefined) return { data: body, flags };
    const { sealer, recipient, context } = this.#seal;
    const sealed = sealer.answer(recipient, context, flags | MessageFlag.ENCRYPTED, body);
    const packed = (data: Uint8Array): Packed => ({ data, flags: flags | MessageFlag.ENCRYPTED });
    return sealed instanceof Promise ? sealed.then(packed) : packed(sealed);
  }
}
