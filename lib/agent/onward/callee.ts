/**
 * Calls, agent streams and events to whoever is at the other end of a connection, whichever side has made it.
 *
 * @module
 */

import { MxpError } from "../../base/errors.ts";
import type { CallMessages } from "../../mesh/call_messages.ts";
import type { CallBody } from "../call_body.ts";
import { connectionEnded } from "../calls/call_failure.ts";
import { Caller } from "../calls/caller.ts";
import { ClientCore } from "../client_core.ts";
import type { CallOptions, EventOptions, StreamOptions } from "../client_types.ts";
import { Emitter } from "../events/emitter.ts";
import type { Identity } from "../identity.ts";
import type { MxpStream } from "../streams/mxp_stream.ts";
import type { Platform } from "../platform.ts";
import { type Connected, RepeatedCalls } from "../calls/repeated_calls.ts";
import { emitRepeatedly } from "../events/repeated_event.ts";
import type { Reply } from "../calls/reply.ts";
import type { Session } from "../session.ts";
import { openStream } from "../streams/stream_opener.ts";

/** Somebody who can be asked. `Client` is one. */
export interface Callee {
  /** See `Client.call`. */
  call(body: CallBody | undefined, options: CallOptions): Promise<Reply>;
  /** See `Client.stream`. */
  stream(options: StreamOptions): MxpStream;
  /** See `Client.emit`. */
  emit(topic: string, data: CallBody | undefined, options: EventOptions): Promise<void>;
}

/** The peer of a connection that is somebody else's to close. Takes requests for as long as the connection lasts. */
export class Peer implements Callee {
  readonly #core: ClientCore;
  readonly #caller: Caller;
  readonly #own: Connected;
  readonly #repeated: RepeatedCalls;
  /** Whose connection it is makes it anew. */
  readonly #reconnect = (): Promise<never> =>
    Promise.reject(connectionEnded(this.#core.session.closeReason, "the connection"));
  readonly #emitter: Emitter;

  /** The other side of a session. */
  constructor(
    { platform, identity, messages }: {
      readonly platform: Platform;
      /** Who asks. */
      readonly identity: Identity;
      readonly messages: CallMessages;
    },
    session: Session,
  ) {
    const { host, port, publicKey } = session.peer;
    this.#core = new ClientCore(platform, identity, session, messages, { host, port, publicKey });
    this.#caller = new Caller(this.#core);
    this.#own = { core: this.#core, caller: this.#caller, close: () => Promise.resolve() };
    this.#repeated = new RepeatedCalls(this.#own, this.#reconnect);
    this.#emitter = new Emitter(this.#core);
  }

  call(body: CallBody | undefined, options: CallOptions): Promise<Reply> {
    if (options.direct) {
      return Promise.reject(new MxpError("usage", "a handler calls agents through its node, or by URL"));
    }
    if (options.retry !== undefined || options.hedge !== undefined) {
      return this.#repeated.call(body, options.method, options);
    }
    return this.#caller.call(body, options.method, options);
  }

  stream(options: StreamOptions): MxpStream {
    return openStream(this.#core, options.method, options);
  }

  emit(topic: string, data: CallBody | undefined, options: EventOptions): Promise<void> {
    if (options.attempts === undefined) return this.#emitter.emit(topic, data, options);
    const { session, platform: { random } } = this.#core;
    const sender = {
      get isOver() {
        return session.closeReason !== undefined;
      },
      emit: this.#emitter.emit.bind(this.#emitter),
      close: this.#own.close,
    };
    return emitRepeatedly({ sender, reconnect: this.#reconnect, random }, topic, data, options);
  }
}
