/**
 * A19: who gets how much of a bottleneck that several flows share.
 *
 * @module
 */

import { address } from "../../lib/base/address.ts";
import { type Micros, micros, millis, seconds } from "../../lib/base/time.ts";
import { Bottleneck } from "../../lib/testing/bottleneck.ts";
import { SteadySource, TcpFlow } from "../../lib/testing/cross_traffic.ts";
import { Invariants } from "../../lib/testing/invariants.ts";
import { PatternTraffic } from "../../lib/testing/pattern_traffic.ts";
import { SimulatedNetwork } from "../../lib/testing/simulated_network.ts";
import { SimulatedNode } from "../../lib/testing/simulated_node.ts";
import { type Cell, type CellContext, ETHERNET_UDP_PAYLOAD, type Outcome, round, type Scenario } from "./scenario.ts";

const RATE = 20;
const RTT = 40;
/** Bytes: one bandwidth-delay product. */
const QUEUE = RATE * RTT * 125;
/**
 * Milliseconds by which acknowledgements vary, less than a segment takes on the wire, so that nothing is reordered. Without it a flow that is
 * clocked by its acknowledgements always finds the very place in the queue that its own segment has just left, which no real network grants.
 */
const ACK_JITTER = 0.5;
/** Time until the flows have found their shares, and how long they are then measured. */
const SETTLE = seconds(20);
const MEASURE = seconds(60);

/** Something that sends without end. */
interface Flow {
  delivered(): number;
}

/** A network whose flows all go through one wire. */
class SharedNetwork {
  readonly network: SimulatedNetwork;
  readonly #context: CellContext;
  readonly #wire: Bottleneck;
  readonly #invariants: Invariants;
  #hosts = 0;

  constructor(context: CellContext) {
    this.#context = context;
    const profile = { delay: millis(RTT / 2), mtu: ETHERNET_UDP_PAYLOAD };
    this.network = new SimulatedNetwork({ seed: context.seed, profile });
    this.#wire = new Bottleneck(this.network.clock, RATE, QUEUE);
    this.#invariants = new Invariants(() => this.network.now);
  }

  /** Two addresses; what goes from the first to the second goes through the bottleneck. */
  #path(): [ReturnType<typeof address>, ReturnType<typeof address>] {
    const id = ++this.#hosts;
    const from = address(`10.0.1.${id}`, 1), to = address(`10.0.2.${id}`, 1);
    this.network.link(from, to).shared = this.#wire;
    const back = this.network.link(to, from);
    back.profile = { ...back.profile, jitter: millis(ACK_JITTER) };
    return [from, to];
  }

  mxp(): Flow {
    const { crypto, congestion } = this.#context;
    const [from, to] = this.#path();
    const sender = new PatternTraffic(), receiver = new PatternTraffic();
    const common = { crypto, invariants: this.#invariants, settings: { congestion } };
    const server = new SimulatedNode(this.network, { ...common, address: to, application: receiver });
    const client = new SimulatedNode(this.network, { ...common, address: from, application: sender, accept: false });
    const connection = client.connect(to, { peerKey: server.identity.publicKey });
    sender.send(client, connection, 1e12);
    return { delivered: () => receiver.delivered };
  }

  tcp(): Flow {
    const [from, to] = this.#path();
    const flow = new TcpFlow(this.network, from, to);
    return { delivered: () => flow.delivered };
  }

  steady(rate: number): Flow {
    const [from, to] = this.#path();
    const source = new SteadySource(this.network, from, to, rate);
    return { delivered: () => source.delivered };
  }

  /** Mbit/s of each flow once all have settled. */
  measure(flows: readonly Flow[], settle: Micros, duration: Micros): number[] {
    this.network.run(() => false, settle);
    const before = flows.map((flow) => flow.delivered());
    this.network.run(() => false, duration);
    return flows.map((flow, i) => (flow.delivered() - before[i]) * 8 / duration);
  }
}

/** Jain's index: 1 if all have the same, 1/n if one has everything. */
function jain(shares: readonly number[]): number {
  const sum = shares.reduce((a, b) => a + b, 0);
  return sum ** 2 / (shares.length * shares.reduce((a, b) => a + b * b, 0));
}

function times(context: CellContext): [Micros, Micros] {
  return context.quick ? [micros(SETTLE / 5), micros(MEASURE / 12)] : [SETTLE, MEASURE];
}

function twoMxp(context: CellContext): Outcome {
  const shared = new SharedNetwork(context);
  const first = shared.mxp();
  // The second one comes when the first has taken everything.
  shared.network.run(() => false, seconds(3));
  const [a, b] = shared.measure([first, shared.mxp()], ...times(context));
  const index = jain([a, b]);
  return {
    ok: index >= 0.9,
    figures: { jain: round(index), first_mbit: round(a), second_mbit: round(b) },
    asked: "Jain's index ≥ 0.9",
  };
}

function besideTcp(context: CellContext): Outcome {
  const shared = new SharedNetwork(context);
  const [mxp, tcp] = shared.measure([shared.mxp(), shared.tcp()], ...times(context));
  const ratio = mxp / tcp;
  return {
    ok: ratio >= 0.5 && ratio <= 2,
    figures: { ratio: round(ratio), mxp_mbit: round(mxp), tcp_mbit: round(tcp) },
    asked: "MXP gets 0.5 to 2 times as much as TCP CUBIC",
  };
}

function besideSteady(context: CellContext): Outcome {
  const shared = new SharedNetwork(context);
  const [mxp, other] = shared.measure([shared.mxp(), shared.steady(RATE / 2)], ...times(context));
  return {
    ok: mxp >= 0.8 * RATE / 2,
    figures: { mxp_mbit: round(mxp), other_mbit: round(other) },
    asked: `MXP gets ≥ 80 % of the ${RATE / 2} Mbit/s that a source of constant rate leaves`,
  };
}

const CELLS: readonly Cell[] = [
  { name: "mxp+mxp", run: twoMxp },
  { name: "mxp+tcp", run: besideTcp },
  { name: "mxp+steady", inGate: true, run: besideSteady },
];

/** Fairness. */
export const A19: Scenario = {
  name: "A19",
  title:
    "flows that share a bottleneck of 20 Mbit/s, 40 ms, with a queue of one bandwidth-delay product: two of MXP; MXP " +
    "beside a model of TCP with CUBIC; MXP beside a source of constant rate",
  asked: "Jain's index ≥ 0.9; beside TCP 0.5 to 2 times as much",
  perController: true,
  cells: CELLS,
};
