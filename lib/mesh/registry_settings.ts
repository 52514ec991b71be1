/**
 * The limits of a registry (SPEC §8.9).
 *
 * @module
 */

/** How long leases are, and how much a registry holds. */
export interface RegistrySettings {
  /** The lease of an agent that does not ask for one. */
  readonly leaseMillis: number;
  /** The shortest lease that is granted. */
  readonly minLeaseMillis: number;
  /** The longest. */
  readonly maxLeaseMillis: number;
  /** Agents that may be registered at a time. */
  readonly maxAgents: number;
  /** The same for one key. */
  readonly maxAgentsPerKey: number;
  /** Ids whose owner is remembered, those of agents that have gone included. */
  readonly maxIds: number;
  /** The same for one key; of one that has more, those that went first are forgotten. */
  readonly maxIdsPerKey: number;
  /** How long after its agent went an id is safe from being forgotten to make room for others' ids. */
  readonly keepOwnerMillis: number;
  /** Largest weight of one registration. See `weightOf`. */
  readonly maxWeight: number;
  /** Largest weight of all registrations of one key. */
  readonly maxWeightPerKey: number;
  /** Largest weight of all registrations. */
  readonly maxTotalWeight: number;
  /** Agents without a key that may be registered at a time (SPEC §3.2). */
  readonly maxPlainAgents: number;
  /** The same for one address and port. */
  readonly maxPlainAgentsPerAddress: number;
  /** Largest weight of all registrations without a key. */
  readonly maxPlainWeight: number;
  /** Changes that a watcher may be behind before it gets the whole listing anew instead. */
  readonly maxPendingChanges: number;
}

/** An answer ends with the agent that brings it over this weight, so that it stays far below the largest message. */
export const MAX_PAGE_WEIGHT = 1 << 20;

const DAY_MILLIS = 86_400_000;

/** What a node uses. */
export const DEFAULT_REGISTRY_SETTINGS: RegistrySettings = Object.freeze({
  leaseMillis: 30_000,
  minLeaseMillis: 3_000,
  maxLeaseMillis: 600_000,
  maxAgents: 65_536,
  maxAgentsPerKey: 1_024,
  maxIds: 262_144,
  maxIdsPerKey: 4_096,
  keepOwnerMillis: 30 * DAY_MILLIS,
  maxWeight: 32_768,
  maxWeightPerKey: 16 << 20,
  maxTotalWeight: 64 << 20,
  maxPlainAgents: 1_024,
  maxPlainAgentsPerAddress: 64,
  maxPlainWeight: 1 << 20,
  maxPendingChanges: 1_024,
});

/** Heartbeats are due this many times in a lease: when all of them were missed, it is over. */
export const HEARTBEATS_PER_LEASE = 3;

/**
 * The defaults with some of them replaced.
 *
 * @throws RangeError for a limit that is not a whole number above 0, or limits that contradict each other.
 */
export function registrySettings(overrides: Partial<RegistrySettings> = {}): RegistrySettings {
  const settings = { ...DEFAULT_REGISTRY_SETTINGS, ...overrides };
  for (const [name, value] of Object.entries(settings)) {
    if (!Number.isSafeInteger(value) || value < 1) throw new RangeError(`${name} is ${value}, expected at least 1`);
  }
  const { minLeaseMillis, leaseMillis, maxLeaseMillis, maxAgentsPerKey, maxIdsPerKey } = settings;
  if (minLeaseMillis > leaseMillis || leaseMillis > maxLeaseMillis) {
    throw new RangeError(`a lease of ${leaseMillis} ms is not between ${minLeaseMillis} and ${maxLeaseMillis}`);
  }
  if (maxAgentsPerKey > maxIdsPerKey) {
    throw new RangeError(`maxAgentsPerKey is ${maxAgentsPerKey}, expected at most maxIdsPerKey, ${maxIdsPerKey}`);
  }
  return settings;
}
