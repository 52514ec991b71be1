/**
 * Tickets in files, so that programs that run one after the other can resume each other's connections: a folder beside the known-peers
 * file, a file for each ticket. Nobody locks anything: who removes a file has its ticket.
 *
 * @module
 */

import { fromBase64Url, toBase64Url, toHex } from "../../base/bytes.ts";
import { canonicalIpv6, isIpv4 } from "../ip_address.ts";
import { printable } from "../quote.ts";
import {
  type KeptTicket,
  MAX_TICKETS_PER_OWNER,
  ownerName,
  type TakenTicket,
  type TicketOwner,
  type TicketStore,
} from "./tickets.ts";

/** What {@link TicketFiles} needs of the file system. All of it rejects with the system's errors, but for what is said here. */
export interface TicketStorage {
  /** The names in a folder; none if there is no such folder. */
  list(folder: string): Promise<readonly string[]>;
  /** The text of a file that only its owner can read; undefined if there is none, or others can. */
  read(path: string): Promise<string | undefined>;
  /** Writes a file as a whole, with mode 0600, missing folders (0700) included. */
  write(path: string, text: string): Promise<void>;
  /** Removes a file: whether it was there. Of several that try at the same time, one is told so. */
  remove(path: string): Promise<boolean>;
}

const TAG = "mxp-ticket-v1";
const PSK_LENGTH = 32;
const MAX_TICKET_LENGTH = 256;
/** Tickets in a folder, for all nodes together. */
const MAX_FILES = 1024;

/** A ticket's file: the node and client, when it expires, and something to tell it from others. */
interface TicketName {
  readonly name: string;
  readonly owner: string;
  readonly expiresAt: number;
}

/**
 * The tickets in a folder.
 *
 * What cannot be read is passed over with a warning, removed where that is possible, and never an error; a folder that cannot be used is told of once: without a ticket a
 * connection takes a little longer, that is all.
 */
export class TicketFiles implements TicketStore {
  /** Where the files are. */
  readonly folder: string;
  readonly #storage: TicketStorage;
  readonly #onProblem: (message: string) => void;
  readonly #random: (out: Uint8Array) => void;
  readonly #now: () => number;
  #failed = false;

  /**
   * Nothing is read before it is asked for.
   *
   * @param onProblem told of files that cannot be used.
   * @param random fills bytes that make names differ.
   * @param now milliseconds since 1970; for tests.
   */
  constructor(
    folder: string,
    storage: TicketStorage,
    random: (out: Uint8Array) => void,
    onProblem: (message: string) => void = () => {},
    now: () => number = Date.now,
  ) {
    this.folder = folder;
    this.#storage = storage;
    this.#random = random;
    this.#onProblem = onProblem;
    this.#now = now;
  }

  /** See {@link TicketStore}. Never rejects. */
  take(owner: TicketOwner): Promise<TakenTicket | undefined> {
    return this.#attempt("read the tickets", () => this.#take(ownerName(owner)));
  }

  /** See {@link TicketStore}. Never rejects. */
  put(owner: TicketOwner, ticket: KeptTicket): Promise<void> {
    return this.#attempt("keep a ticket", () => this.#put(ownerName(owner), ticket));
  }

  /** See {@link TicketStore}. Never rejects. */
  forget(owner: TicketOwner): Promise<void> {
    return this.#attempt("remove tickets", () => this.#forget(ownerName(owner)));
  }

  async #attempt<T>(what: string, task: () => Promise<T>): Promise<T | undefined> {
    try {
      return await task();
    } catch (error) {
      // Each ticket and each call would meet it anew.
      if (!this.#failed) this.#onProblem(`cannot ${what} in ${this.folder}: ${problemOf(error)}`);
      this.#failed = true;
      return undefined;
    }
  }

  async #take(name: string): Promise<TakenTicket | undefined> {
    const candidates = (await this.#files()).filter((file) => file.owner === name);
    for (let i = candidates.length - 1; i >= 0; i--) {
      const ticket = await this.#claim(candidates[i]);
      if (ticket !== undefined) return { ...ticket, left: i };
    }
    return undefined;
  }

  async #put(name: string, ticket: KeptTicket): Promise<void> {
    const files = await this.#files();
    const others = files.filter((file) => file.owner === name);
    const surplus = others.slice(0, Math.max(0, others.length + 1 - MAX_TICKETS_PER_OWNER));
    const excess = files.slice(0, Math.max(0, files.length + 1 - MAX_FILES));
    for (const file of new Set([...surplus, ...excess])) await this.#storage.remove(this.#path(file.name));
    const suffix = new Uint8Array(8);
    this.#random(suffix);
    const file = `${name}.${Math.floor(ticket.expiresAt)}.${toHex(suffix)}`;
    const text = `${TAG} ${toBase64Url(ticket.ticket)} ${toBase64Url(ticket.psk)} ${ticket.address}\n`;
    await this.#storage.write(this.#path(file), text);
  }

  async #forget(name: string): Promise<void> {
    for (const file of await this.#files()) {
      if (file.owner === name) await this.#storage.remove(this.#path(file.name));
    }
  }

  /** The tickets that are not expired, those that expire first in front. Removes the others. */
  async #files(): Promise<TicketName[]> {
    const now = this.#now(), files: TicketName[] = [];
    for (const name of await this.#storage.list(this.folder)) {
      const parts = /^([0-9a-f]{64}\.(?:[0-9a-f]{64}|anonymous))\.([0-9]{1,16})\.[0-9a-f]{16}$/.exec(name);
      if (parts === null) continue;
      const expiresAt = Number(parts[2]);
      if (expiresAt > now) files.push({ name, owner: parts[1], expiresAt });
      else await this.#storage.remove(this.#path(name)).catch(() => false);
    }
    return files.sort((a, b) => a.expiresAt - b.expiresAt || (a.name < b.name ? -1 : 1));
  }

  /** Makes a ticket ours, unless somebody else was faster or it is no good. */
  async #claim(file: TicketName): Promise<KeptTicket | undefined> {
    const path = this.#path(file.name);
    const text = await this.#storage.read(path);
    if (!await this.#storage.remove(path)) return undefined;
    const ticket = text === undefined ? undefined : parseTicket(text, file.expiresAt);
    if (ticket === undefined) this.#onProblem(`${path} is no ticket that only you can read; it was removed`);
    return ticket;
  }

  #path(name: string): string {
    return `${this.folder}/${name}`;
  }
}

/** What the file system says, in words. */
function problemOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  switch (code) {
    case "EACCES":
    case "EPERM":
      return "permission denied";
    case "EROFS":
      return "the file system is read-only";
    case "ENOSPC":
      return "the disk is full";
    case "ENOTDIR":
    case "EEXIST":
      return "it is no folder";
    default:
      return printable(message ?? String(error));
  }
}

function parseTicket(text: string, expiresAt: number): KeptTicket | undefined {
  const [tag, ticketText, pskText, address, ...rest] = text.trimEnd().split(" ");
  if (tag !== TAG || address === undefined || rest.length > 0) return undefined;
  const ticket = fromBase64Url(ticketText), psk = fromBase64Url(pskText);
  if (ticket === undefined || ticket.length < 1 || ticket.length > MAX_TICKET_LENGTH) return undefined;
  if (psk?.length !== PSK_LENGTH || !(isIpv4(address) || canonicalIpv6(address) !== undefined)) return undefined;
  return { ticket, psk, address, expiresAt };
}
