/**
 * Attackers that have finished the handshake, on either side of it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { seconds } from "../../../lib/base/time.ts";
import type { HostilePeerOptions } from "../../../lib/testing/hostile_peer.ts";
import { TransportError } from "../../../lib/wire/error_codes.ts";
import { encodeFrame, type Frame } from "../../../lib/wire/frames.ts";
import type { Assault, Attack } from "./attack.ts";
import type { Attacker, AttackerRole, Scene } from "./scene.ts";

const ROLES = ["initiator", "responder"] as const;
/** Windows that are soon exceeded. */
export const SMALL_WINDOWS = { maxData: 1 << 18, maxStreamData: 1 << 16, maxDataWindow: 0, maxStreamWindow: 0 };

/** An attack that is the same on both sides. */
export type OnBothSides = Omit<Attack, "role" | "begin"> & { begin(scene: Scene, role: AttackerRole): Assault };

/** One attack for each side. */
export function onBothSides(attack: OnBothSides): Attack[] {
  return ROLES.map((role) => ({ ...attack, role, begin: (scene) => attack.begin(scene, role) }));
}

/** An attacker that comes back with a new connection each time that the victim has closed the last one. */
export class Returning {
  readonly #scene: Scene;
  readonly #options: Partial<HostilePeerOptions>;
  #current: Attacker | undefined;

  constructor(scene: Scene, options: Partial<HostilePeerOptions> = {}) {
    this.#scene = scene;
    this.#options = options;
  }

  get current(): Attacker {
    if (this.#current === undefined || this.#current.connection.closeReason !== undefined) {
      this.#current = this.#scene.attacker(this.#options);
    }
    return this.#current;
  }
}

/** What each of many connections does once, and is closed for. */
export function violation(
  name: string,
  code: keyof typeof TransportError,
  packets: (role: AttackerRole, index: number, attacker: Attacker) => readonly (Frame | Uint8Array)[],
  settings: Attack["settings"] = SMALL_WINDOWS,
): Attack[] {
  return onBothSides({
    name,
    counter: `violations.${code}`,
    rounds: [24, 400],
    settings,
    begin: (scene, role) => {
      const attackers = new Returning(scene);
      let closed = 0, rounds = 0;
      return {
        round: (index) => {
          rounds++;
          const attacker = attackers.current;
          for (const packet of packets(role, index, attacker)) {
            attacker.peer.sendPlaintext(packet instanceof Uint8Array ? packet : encodeFrame(packet));
          }
          scene.run(() => attacker.peer.closed !== undefined, seconds(1));
          if (attacker.peer.closed?.code === TransportError[code]) closed++;
          // It is over, and what it has in memory is not the victim's.
          scene.network.detach(attacker.peer.address);
        },
        count: () => scene.victim.endpoint.violations[code] ?? 0,
        check: () => assert.equal(closed, rounds, `${closed} of ${rounds} connections were closed with ${code}`),
      };
    },
  });
}
