/**
 * What an attack is, and the oracle that all of them have in common.
 *
 * @module
 */

import process from "node:process";
import v8 from "node:v8";
import vm from "node:vm";
import type { TransportSettings } from "../../../lib/transport/settings.ts";
import type { CryptoProvider } from "../../../lib/crypto/types.ts";
import { type AttackerRole, Scene, type SceneOptions } from "./scene.ts";

/** An attack. */
export interface Attack {
  /** As in docs/reliability.md. */
  readonly name: string;
  readonly role: AttackerRole;
  /** The counter that says what happened, as `stats()` names it. */
  readonly counter: string;
  /** Rounds of the short run, which the gate does, and of the long one. */
  readonly rounds: readonly [short: number, long: number];
  /** Milliseconds between two rounds; 5 by default. */
  readonly pause?: number;
  /** What differs from the victim's defaults. */
  readonly settings?: Partial<TransportSettings>;
  /** The victim's cryptography, where it is watched. */
  readonly victimCrypto?: CryptoProvider;
  /** Most MiB by which the heap may have grown at the end; {@link HEAP_CAP} by default. */
  readonly heapCap?: number;
  /** Makes what the rounds need. */
  begin(scene: Scene): Assault;
}

/** An attack that is under way. */
export interface Assault {
  /** One round. */
  round(index: number): void;
  /** What the counter says. */
  count(): number;
  /** What else must hold in the end. */
  check?(): void;
}

/** What came of an attack. */
export interface AttackReport {
  readonly name: string;
  readonly role: AttackerRole;
  readonly rounds: number;
  /** The counter and what it said. */
  readonly counter: string;
  readonly count: number;
  /** MiB. */
  readonly heapGrowth: number;
  readonly heapCap: number;
  /** Milliseconds that the longest event took. */
  readonly longestStep: number;
  /** How long the honest peer took, in times of what it takes without an attack; Infinity if it never came to its end. */
  readonly honest: number;
  /** What is wrong, in words; empty if the attack has achieved nothing. */
  readonly failures: readonly string[];
}

/** Most MiB by which the heap may grow, unless an attack says otherwise. */
export const HEAP_CAP = 8;
/** Most milliseconds that one event may take. */
export const STEP_CAP = 50;
/** Most times that the honest peer may take of what it takes without an attack. */
export const HONEST_CAP = 2;
/** Garbage that was collected in an event, or not yet, looks like a failure once; what does too much does so every time. */
const ATTEMPTS = 3;

/** Runs an attack and judges it; `checked` as in the scene's options. Throws what the attack threw. */
export function runAttack(attack: Attack, rounds: number, seed: number, checked: boolean): AttackReport {
  let best: AttackReport | undefined;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const report = runOnce(attack, rounds, seed, checked);
    if (best === undefined || report.failures.length < best.failures.length) best = report;
    if (best.failures.length === 0) break;
  }
  return best!;
}

function runOnce(attack: Attack, rounds: number, seed: number, checked: boolean): AttackReport {
  const { name, role, counter, settings, victimCrypto, heapCap = HEAP_CAP, pause = 5 } = attack;
  const usual = usualTime({ role, seed, settings });
  const scene = new Scene({ role, seed, settings, victimCrypto, checked });
  const before = heapUsed();
  const assault = attack.begin(scene);
  for (let i = 0; i < rounds; i++) {
    assault.round(i);
    // Once the attack is well under way.
    if (!scene.hasBegun && i >= rounds / 4) scene.beginHonest();
    scene.tick(pause);
    if (i % 16 === 0) scene.prune();
  }
  if (!scene.hasBegun) scene.beginHonest();
  scene.endHonest();
  // What is still under way arrives.
  scene.tick(100);
  scene.prune();
  const heapGrowth = (heapUsed() - before) / 2 ** 20;
  const count = assault.count();
  const honest = scene.honestTime === -1 ? Infinity : scene.honestTime / usual;
  const { longestStep } = scene;
  const failures: string[] = [];
  if (heapGrowth > heapCap) failures.push(`the heap grew by ${heapGrowth.toFixed(1)} MiB`);
  if (longestStep > STEP_CAP) failures.push(`one event took ${longestStep.toFixed(0)} ms`);
  if (!(honest <= HONEST_CAP)) failures.push(`the honest peer took ${honest.toFixed(2)} times as long as usual`);
  if (!(count > 0)) failures.push(`${counter} is ${count}`);
  try {
    assault.check?.();
  } catch (error) {
    failures.push(error instanceof Error ? error.message : String(error));
  }
  return { name, role, rounds, counter, count, heapGrowth, heapCap, longestStep, honest, failures };
}

const usualTimes = new Map<string, number>();

/** How long the honest peer takes where nobody attacks. */
function usualTime(options: SceneOptions): number {
  const key = JSON.stringify(options);
  let time = usualTimes.get(key);
  if (time === undefined) {
    const scene = new Scene(options);
    scene.beginHonest();
    scene.endHonest();
    if (scene.honestTime === -1) throw new Error("the honest peer does not come to its end where nobody attacks");
    usualTimes.set(key, time = scene.honestTime);
  }
  return time;
}

let collect: (() => void) | undefined;

/** Bytes on the heap after garbage was collected. */
function heapUsed(): number {
  collect ??= collector();
  // V8 frees the buffers of what it collected in the background, and is done with that at the latest when it collects again.
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + (arrayBuffers ?? 0);
}

function collector(): () => void {
  const { Bun: bun, gc } = globalThis as { Bun?: { gc(force: boolean): void }; gc?: () => void };
  if (bun !== undefined) return () => bun.gc(true);
  if (gc !== undefined) return gc;
  v8.setFlagsFromString("--expose-gc");
  return vm.runInNewContext("gc");
}
