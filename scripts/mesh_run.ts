/**
 * A mesh of several processes: one node, agents on Deno and Bun, clients that call them by capability; and what becomes of
 * the calls when the process of some of the agents is killed.
 *
 * @module
 */

import { type Client, connect, MxpError, type ServerStats } from "../mod.ts";
import { SeededRandom } from "../lib/testing/seeded_random.ts";
import { CAPABILITY, type Work } from "./mesh_party.ts";
import { Party } from "./party.ts";

/** What a run is to do. */
export interface MeshOptions {
  readonly agents: number;
  readonly processes: number;
  readonly calls: number;
  readonly clients: number;
  /** Calls of one client that are under way at a time. */
  readonly concurrency: number;
  readonly leaseMs: number;
  readonly seed: number;
  /** Every how many calls one has a large answer, which takes many packets, and how large that is. */
  readonly largeEvery: number;
  readonly largeBytes: number;
  /** Further attempts at a call that fails; the work does no harm if it is done twice. 0: none. */
  readonly retry: number;
  /** A call that has no answer after so many milliseconds is made at another agent, too. 0: it is not. */
  readonly hedge: number;
}

/** What became of the calls of one round. */
export interface MeshRound {
  readonly calls: number;
  readonly answered: number;
  /** Answers that were not what was asked for. */
  readonly wrong: number;
  readonly failures: readonly MeshFailure[];
  /** Calls that each agent answered, by its name. */
  readonly byAgent: ReadonlyMap<string, number>;
  readonly seconds: number;
  /** Attempts at the calls that were answered. */
  readonly attempts: number;
  /** Of the calls' times in milliseconds. */
  readonly medianMs: number;
  readonly longestMs: number;
  /** What the node counted meanwhile: calls that went to another agent, and those whose agent went in the middle of its answer. */
  readonly failovers: number;
  readonly cutOff: number;
}

/** A call without an answer. */
export interface MeshFailure {
  readonly code: string;
  readonly remoteName: string | undefined;
  readonly retryable: boolean;
  readonly text: string;
}

/** What was seen of agents that were killed. */
export interface MeshDeath {
  readonly runtime: string;
  readonly agents: readonly string[];
  /** Calls that had been answered by then. */
  readonly afterCalls: number;
  /** Since they were killed: when all of them were Offline, … */
  readonly offline: Between;
  /** … and when none was listed any more. */
  readonly gone: Between;
}

/** Milliseconds: when a look at the list began that showed no change, and when the first one began that did. */
export interface Between {
  readonly notYet: number;
  readonly seen: number;
}

/** What the processes run. */
const FILE = "mesh_party.ts";
const SMALL_BYTES = 100;
const LONGEST_WORK_MS = 4;
/** How often is looked who is listed. */
const LOOK_EVERY_MS = 50;

/** One process of agents. */
interface AgentProcess {
  readonly runtime: string;
  readonly agents: readonly string[];
  readonly party: Party;
}

/** A running mesh. */
export class MeshRun implements AsyncDisposable {
  readonly #options: MeshOptions;
  readonly #random: SeededRandom;
  readonly #parties: AgentProcess[] = [];
  readonly #clients: Client[] = [];
  #node!: Party;
  #counter = 0;

  private constructor(options: MeshOptions) {
    this.#options = options;
    this.#random = new SeededRandom(options.seed);
  }

  /** Starts the node, the agents and the clients. */
  static async start(options: MeshOptions): Promise<MeshRun> {
    const run = new MeshRun(options);
    try {
      await run.#start();
    } catch (error) {
      await run[Symbol.asyncDispose]();
      throw error;
    }
    return run;
  }

  async #start(): Promise<void> {
    const { agents, processes, clients, leaseMs } = this.#options;
    this.#node = new Party("deno", FILE, ["node"]);
    const { url } = await this.#node.next() as { readonly url: string };
    const names = Array.from({ length: agents }, (_, n) => `agent-${n + 1}`);
    const starting: Promise<unknown>[] = [];
    for (let p = 0; p < processes; p++) {
      const own = names.filter((_, n) => n % processes === p);
      const runtime = p % 2 === 0 ? "deno" : "bun";
      const party = new Party(runtime, FILE, ["agents", url, String(leaseMs), ...own]);
      this.#parties.push({ runtime, agents: own, party });
      starting.push(party.next());
    }
    await Promise.all(starting);
    for (let c = 0; c < clients; c++) this.#clients.push(await connect(url));
  }

  /** The processes of the agents: what they run on, and whom they have. */
  get processes(): readonly { readonly runtime: string; readonly agents: readonly string[] }[] {
    return this.#parties;
  }

  /** Makes the calls; `onAnswer` is told after each answer how many there are. */
  async round(onAnswer: (answered: number) => void = () => {}): Promise<MeshRound> {
    const { calls, concurrency, largeEvery, largeBytes, retry, hedge } = this.#options;
    const before = await this.#relayed();
    const byAgent = new Map<string, number>();
    const failures: MeshFailure[] = [];
    const times: number[] = [];
    let left = calls, wrong = 0, attempts = 0;
    const work = async (client: Client): Promise<void> => {
      while (left-- > 0) {
        const began = performance.now();
        const id = this.#counter++;
        const bytes = id % largeEvery === 0 ? largeBytes : SMALL_BYTES;
        const task: Work = { id, delayMs: Math.floor(this.#random.next() * (LONGEST_WORK_MS + 1)), bytes };
        try {
          const reply = await client.call(JSON.stringify(task), {
            capability: CAPABILITY,
            idempotent: retry > 0 || hedge > 0,
            ...(retry > 0 && { retry }),
            ...(hedge > 0 && { hedge: { afterMs: hedge, max: 3 } }),
          });
          attempts += reply.attempts;
          times.push(performance.now() - began);
          const agent = agentOf(reply.bytes, task);
          if (agent === undefined) wrong++;
          else byAgent.set(agent, (byAgent.get(agent) ?? 0) + 1);
          onAnswer(times.length);
        } catch (error) {
          failures.push(failureOf(error));
        }
      }
    };
    const began = performance.now();
    const workers = this.#clients.flatMap((client) => Array.from({ length: concurrency }, () => work(client)));
    await Promise.all(workers);
    const seconds = (performance.now() - began) / 1000;
    const after = await this.#relayed();
    times.sort((a, b) => a - b);
    return {
      calls,
      answered: times.length,
      wrong,
      failures,
      byAgent,
      seconds,
      attempts,
      medianMs: times[times.length >> 1] ?? 0,
      longestMs: times.at(-1) ?? 0,
      failovers: after.failovers - before.failovers,
      cutOff: after.cutOff - before.cutOff,
    };
  }

  /** A round in the middle of which one of the processes is killed, and its agents are watched until they are gone. */
  async roundWithKill(): Promise<{ readonly round: MeshRound; readonly death: MeshDeath }> {
    const victim = this.#parties[Math.floor(this.#random.next() * this.#parties.length)];
    const afterCalls = Math.floor(this.#options.calls * (0.3 + 0.4 * this.#random.next()));
    let watching: Promise<Pick<MeshDeath, "offline" | "gone">> | undefined;
    const round = await this.round((answered) => {
      if (answered < afterCalls || watching !== undefined) return;
      victim.party.child.kill("SIGKILL");
      watching = this.#watchDeath(victim);
    });
    if (watching === undefined) throw new Error("the round was over before anybody was killed");
    const { runtime, agents } = victim;
    return { round, death: { runtime, agents, afterCalls, ...await watching } };
  }

  async #watchDeath({ agents }: AgentProcess): Promise<Pick<MeshDeath, "offline" | "gone">> {
    const began = performance.now();
    const latest = 4 * this.#options.leaseMs;
    let offline: Between = { notYet: 0, seen: Infinity };
    let gone = offline;
    while (gone.seen === Infinity && performance.now() - began < latest) {
      // A busy node answers late what it has looked up in time: only the beginning counts.
      const now = performance.now() - began;
      const listed = (await this.#clients[0].discover()).filter(({ name }) => agents.includes(name));
      if (offline.seen === Infinity) offline = next(offline, now, listed.every(({ status }) => status === "offline"));
      gone = next(gone, now, listed.length === 0);
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
    return { offline, gone };
  }

  /** Ends every process. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
    const parties = [...this.#parties.map(({ party }) => party), this.#node];
    await Promise.all(parties.map((party) => party?.[Symbol.asyncDispose]()));
  }

  async #relayed(): Promise<NonNullable<ServerStats["registry"]>["relayed"]> {
    return (await this.#node.ask("stats") as ServerStats).registry!.relayed;
  }
}

function next({ notYet }: Between, now: number, isSo: boolean): Between {
  return isSo ? { notYet, seen: now } : { notYet: now, seen: Infinity };
}

/** The agent that gave an answer; undefined if it is not what was asked for. */
function agentOf(answer: Uint8Array, { id, bytes }: Work): string | undefined {
  const end = answer.indexOf(10);
  const [number, name] = new TextDecoder().decode(answer.subarray(0, Math.max(0, end))).split(" ");
  const rest = answer.subarray(end + 1);
  const isRight = number === String(id) && rest.length === bytes && rest.every((byte) => byte === (id & 0xff));
  return isRight ? name : undefined;
}

function failureOf(error: unknown): MeshFailure {
  if (!(error instanceof MxpError)) throw error;
  const { code, remoteName, retryable, message: text } = error;
  return { code, remoteName, retryable, text };
}

/** What is to be said of a round against what is promised: nothing, if every promise was kept. */
export function brokenPromises(round: MeshRound, { agents, retry }: MeshOptions, isEven: boolean): string[] {
  const broken: string[] = [];
  const lost = round.calls - round.answered - round.failures.length;
  if (lost !== 0) broken.push(`${lost} calls were lost`);
  if (round.wrong > 0) broken.push(`${round.wrong} answers were wrong`);
  if (round.failures.length > round.cutOff) {
    const n = round.failures.length - round.cutOff;
    broken.push(`${n} calls failed although no byte of an answer had come (${round.failures[0].text})`);
  }
  if (retry > 0 && round.failures.length > 0) {
    broken.push(`${round.failures.length} calls failed although they were made again (${round.failures[0].text})`);
  }
  const final = round.failures.filter(({ retryable }) => !retryable).length;
  if (final > 0) broken.push(`${final} calls failed with errors that are not retryable`);
  if (isEven) {
    const mean = round.calls / agents;
    const counts = [...round.byAgent.values()];
    const [least, most] = [round.byAgent.size < agents ? 0 : Math.min(...counts), Math.max(...counts)];
    if (least < 0.8 * mean || most > 1.2 * mean) {
      broken.push(`agents had from ${least} to ${most} calls; expected ${0.8 * mean} to ${1.2 * mean}`);
    }
  }
  return broken;
}

/** How much later than a lease says something may still be seen. */
const LATE_MS = 250;

/** The same of agents that were killed. They are Offline one lease after their last heartbeat, and gone after two. */
export function brokenLeases({ offline, gone }: MeshDeath, leaseMs: number): string[] {
  const broken: string[] = [];
  const check = (what: string, { notYet, seen }: Between, leases: number): void => {
    if (notYet <= leases * leaseMs + LATE_MS && seen !== Infinity) return;
    broken.push(`not ${what} ${notYet.toFixed(0)} ms after the kill; expected within ${leases * leaseMs} ms`);
  };
  check("offline", offline, 1);
  check("gone", gone, 2);
  return broken;
}
