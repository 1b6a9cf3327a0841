import { once } from "node:events";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { silent } from "../../../src/base/log.ts";
import { sleep } from "../../../src/base/time.ts";
import type { Millis } from "../../../src/base/units.ts";
import {
	type DeskBox,
	Neighbourhood,
	type NeighbourhoodOptions,
} from "../../../src/desk/neighbourhood.ts";
import { freeTcpPort } from "../../../src/desk/ports.ts";
import { startBroker } from "../../../src/headend/control/broker.ts";
import { run } from "../../run.ts";
import { startNginx } from "../measure/nginx.ts";
import { HUB, type Network } from "./network.ts";

const ORIGIN_PORT = 8480;
/** Agents that start at a time: starting is the heaviest thing that they do. */
const AT_ONCE = 4;
const LOOK: Millis = 200;

/** A desk spread over a network: headend, broker and DHT nodes at the hub, nginx as the origin on the source, an agent on each box. */
export interface SpreadDesk {
	readonly desk: Neighbourhood;
	/** The origin's folder. */
	readonly origin: string;
	/** Starts an agent on every box, or on those from one place in the network's order to another; gives them in that order. */
	addBoxes(
		settings?: Parameters<Neighbourhood["addBox"]>[0],
		from?: number,
		to?: number,
	): Promise<readonly DeskBox[]>;
	/** Ends the broker, as if its machine were gone. */
	endBroker(): Promise<void>;
	/** Ends the origin. */
	endOrigin(): Promise<void>;
	close(): Promise<void>;
}

export async function spreadDesk(
	dir: string,
	network: Network,
	options: Pick<NeighbourhoodOptions, "copies" | "takeover" | "quota">,
	signal: AbortSignal,
): Promise<SpreadDesk> {
	const closers: (() => Promise<unknown>)[] = [];
	const close = async () => {
		for (const each of closers.splice(0).reverse()) await each();
	};
	/** Closes something in the end, or before that where it is called. */
	const closing = (each: () => Promise<unknown>) => {
		let closed: Promise<unknown> | undefined;
		const once = async () => {
			closed ??= each();
			await closed;
		};
		closers.push(once);
		return once;
	};
	const { source, boxes: nodes } = network;
	try {
		const broker = await startBroker({
			host: "127.0.0.1",
			port: 0,
			log: silent,
		});
		const endBroker = closing(() => broker.close());
		const relay = await relayTo(broker.port);
		closing(relay.close);
		const desk = await Neighbourhood.start(
			{
				dir: join(dir, "desk"),
				host: HUB,
				broker: `mqtt://${HUB}:${relay.port}`,
				origin: false,
				originUrl: `http://${source.address}:${ORIGIN_PORT}`,
				...options,
			},
			signal,
		);
		closing(() => desk.close());
		const origin = join(desk.operator.dir, "origin");
		const listen = `${source.address}:${ORIGIN_PORT}`;
		const work = join(dir, "nginx");
		const nginx = await startNginx(work, origin, listen, source.through);
		const endOrigin = closing(nginx.close);
		return {
			...{ desk, origin, endBroker, endOrigin },
			addBoxes: async (settings = {}, from = 0, to = nodes.length) => {
				const boxes: DeskBox[] = [];
				for (let at = from; at < to; at += AT_ONCE) {
					const some = nodes.slice(at, Math.min(to, at + AT_ONCE));
					const adding = await Promise.all(
						some.map(({ address, through }, i) =>
							desk.addBox(
								{
									serial: `box-${at + i + 1}`,
									swarmHost: address,
									...settings,
								},
								through,
							),
						),
					);
					boxes.push(...adding);
				}
				return boxes;
			},
			close,
		};
	} catch (error) {
		await close();
		throw error;
	}
}

/** Resolves when a box lists so many titles, asked from its own machine. */
export async function listed(
	desk: Neighbourhood,
	box: DeskBox,
	titles: number,
	signal: AbortSignal,
): Promise<void> {
	const [enter = "", ...words] = [
		...(box.within ?? []),
		...["curl", "-sf", `${desk.gatewayOf(box)}/titles`],
	];
	for (;;) {
		const list = JSON.parse(await run(enter, words)) as unknown[];
		if (list.length >= titles) return;
		await sleep(LOOK, signal);
	}
}

/** The desk's broker listens on loopback alone: here is the way to it for boxes, in a network that nobody else is in. */
async function relayTo(port: number) {
	const server = createServer((near) => {
		const far = connect(port, "127.0.0.1");
		for (const [one, other] of [
			[near, far],
			[far, near],
		] as const) {
			one.on("error", () => other.destroy());
			one.pipe(other);
		}
	});
	const own = await freeTcpPort();
	server.listen(own, HUB);
	await once(server, "listening");
	return {
		port: own,
		close: async () => {
			server.close();
		},
	};
}
