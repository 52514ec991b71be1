/**
 * What agents may be called, and what they may say that they can do (SPEC §8.9).
 *
 * @module
 */

/** What is wrong with the name of an agent; undefined if nothing is. */
export function nameProblem(name: string): string | undefined {
  return name === "" ? "an agent's name has at least one character" : undefined;
}

/**
 * What is wrong with a capability of an agent; undefined if nothing is. `text.*` asks for every capability below `text`: as one that an
 * agent has, it would be met by a question and not by those that it is meant to stand for.
 */
export function capabilityProblem(capability: string): string | undefined {
  if (capability === "") return "a capability has at least one character";
  if (!capability.endsWith("*")) return undefined;
  return "a capability that an agent has does not end in *, which asks for all that begin so; list each one";
}

/** What is wrong with the first of them that something is wrong with. */
export function namesProblem(name: string, capabilities: readonly string[]): string | undefined {
  const problem = nameProblem(name);
  if (problem !== undefined) return problem;
  for (const capability of capabilities) {
    const problem = capabilityProblem(capability);
    if (problem !== undefined) return problem;
  }
  return undefined;
}
