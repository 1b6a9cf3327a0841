import { join } from "node:path";
import { silent } from "../../../src/base/log.ts";
import { SECOND } from "../../../src/base/time.ts";
import { freeUdpPort } from "../../../src/desk/ports.ts";
import {
	type Broker,
	startBroker,
} from "../../../src/headend/control/broker.ts";
import { issueBox } from "../../../src/headend/operator/issue.ts";
import {
	initOperator,
	type Operator,
} from "../../../src/headend/operator/operator.ts";
import { callIpc } from "../../../src/ipc/client.ts";
import { openBootstrapNode } from "../../../src/swarm/dht.ts";
import type { Region } from "../../../src/wire/ids.ts";
import { status } from "../../../src/wire/ipc.ts";
import { parseValue } from "../../../src/wire/json.ts";

export interface IssuedBox {
	readonly config: string;
	/** Where its agent answers. */
	readonly socket: string;
}

/** What a box finds when it starts: a broker and a DHT node, both in this process. Nothing is placed on anybody. */
export class Desk {
	private readonly dir: string;
	/** A folder with a short path: a socket's may have 107 characters. */
	private readonly sockets: string;
	private readonly operator: Operator;
	private readonly broker: Broker;
	private readonly node: Awaited<ReturnType<typeof openBootstrapNode>>;
	private issued = 0;

	private constructor(
		dir: string,
		sockets: string,
		operator: Operator,
		broker: Broker,
		node: Awaited<ReturnType<typeof openBootstrapNode>>,
	) {
		this.dir = dir;
		this.sockets = sockets;
		this.operator = operator;
		this.broker = broker;
		this.node = node;
	}

	static async open(dir: string, sockets: string): Promise<Desk> {
		const host = "127.0.0.1";
		const port = await freeUdpPort();
		const broker = await startBroker({ host, port: 0, log: silent });
		const operator = await initOperator(join(dir, "operator"), {
			region: "bench-1" as Region,
			bootstrap: [`${host}:${port}`],
			brokerUrl: `mqtt://${host}:${broker.port}`,
		});
		const node = await openBootstrapNode(host, port, []);
		return new Desk(dir, sockets, operator, broker, node);
	}

	async issue(): Promise<IssuedBox> {
		const serial = `box-${++this.issued}`;
		const dir = join(this.dir, serial);
		const socket = join(this.sockets, serial);
		await issueBox(this.operator, {
			serial,
			dir,
			swarmHost: "127.0.0.1",
			// Pinned, as on a receiver: at another port it would leave a dead node behind with every restart.
			swarmPort: await freeUdpPort(),
			reach: "direct",
			gatewayPort: 0,
			socket,
		});
		return { config: join(dir, "larder.toml"), socket };
	}

	async close(): Promise<void> {
		await this.node.destroy({ force: true });
		await this.broker.close();
	}
}

/** How many neighbours the agent of a box says that it has. */
export async function neighboursOf({ socket }: IssuedBox): Promise<number> {
	const answer = await callIpc(socket, "status", 5 * SECOND);
	const read = parseValue(status, answer);
	if (!read.ok) throw new Error(read.detail);
	return read.value.swarm.neighbours.length;
}
