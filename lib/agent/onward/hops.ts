/**
 * How far requests go because of each other (SPEC §8.11).
 *
 * @module
 */

/**
 * How often a request may be passed on, and lead to other requests, if it does not say. Through a node each agent of a chain
 * takes two, so chains have up to sixteen agents; and a circle ends before it has cost much.
 */
export const DEFAULT_HOPS = 32;
