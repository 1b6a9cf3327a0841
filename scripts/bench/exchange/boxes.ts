import { join } from "node:path";
import { NODE_FLAGS } from "../../../src/agent/runtime.ts";
import { SECOND } from "../../../src/base/time.ts";
import { freeUdpPort } from "../../../src/desk/ports.ts";
import { issueBox } from "../../../src/headend/operator/issue.ts";
import { initOperator } from "../../../src/headend/operator/operator.ts";
import { openBootstrapNode } from "../../../src/swarm/dht.ts";
import type { Region } from "../../../src/wire/ids.ts";
import { Child } from "../measure/child.ts";
import { MemoryWatch, writtenBy } from "../measure/process.ts";
import type { Contestant, Mark, Outcome, Stage } from "./contestant.ts";
import type { PeerOrder, PeerSettings } from "./peer.ts";

const PEER = join(import.meta.dirname, "peer.ts");

type Transport = PeerSettings["transport"];

/** Two boxes of Larder in two processes. */
export function boxes(transport: Transport): Contestant {
	const path =
		transport === "tcp" ? "Noise over TCP" : "the Hyperswarm stream (UDX)";
	return {
		name: `larder, ${transport}`,
		about: `two boxes over ${path}; every block is verified, a shard is synced before it counts`,
		run: (stage, signal) => run(transport, stage, signal),
	};
}

/** A box in a process of its own, see `peer.ts`. */
export function startPeer(name: string, settings: PeerSettings): Child {
	const args = [...NODE_FLAGS, PEER, JSON.stringify(settings)];
	return new Child(name, process.execPath, args);
}

async function run(
	transport: Transport,
	{ dir, content, profiles }: Stage,
	signal: AbortSignal,
): Promise<Outcome> {
	const port = await freeUdpPort();
	const bootstrap = `127.0.0.1:${port}`;
	const operator = await initOperator(join(dir, "operator"), {
		region: "bench-1" as Region,
		bootstrap: [bootstrap],
	});
	const received = join(dir, "received");
	const start = async (name: string, store: string) => {
		const box = join(dir, name);
		await issueBox(operator, { serial: name, dir: box });
		const settings: PeerSettings = {
			box,
			store,
			capacity: 2 * content.size,
			bootstrap,
			transport,
		};
		return startPeer(name, settings);
	};
	const node = await openBootstrapNode("127.0.0.1", port, []);
	const sender = await start("sender", content.store);
	const receiver = await start("receiver", received);
	const tell = (child: Child, order: PeerOrder) => child.tell(order);
	const memory = new MemoryWatch([sender.pid, receiver.pid], SECOND / 4);
	try {
		for (const child of [sender, receiver]) {
			tell(child, { do: "meet" });
			await child.said("ready", signal);
			if (profiles === undefined) continue;
			tell(child, { do: "profile" });
			await child.said("profiling", signal);
		}
		const { title, manifest } = content;
		tell(receiver, { do: "fill", title, manifest, sender: sender.pid });
		const first = (await receiver.said("first", signal))["mark"] as Mark;
		const done = (await receiver.said("done", signal))["mark"] as Mark;
		for (const child of [sender, receiver]) {
			memory.look(child.pid);
			if (profiles === undefined) continue;
			const role = child === sender ? "sender" : "receiver";
			const file = join(profiles, `${role}-${transport}.cpuprofile`);
			tell(child, { do: "keep", profile: file });
			await child.said("kept", signal);
		}
		return {
			course: {
				first,
				done,
				// A shard is held only once it is synced under its final name.
				synced: done,
				memory: {
					sender: memory.peak(sender.pid),
					receiver: memory.peak(receiver.pid),
				},
				written: writtenBy(receiver.pid),
			},
			pieces: content.shards.map((bytes, shard) => ({
				path: join(received, title, `${shard}`),
				bytes,
			})),
		};
	} finally {
		memory.close();
		await Promise.all([sender.close(), receiver.close()]);
		await node.destroy({ force: true });
	}
}
