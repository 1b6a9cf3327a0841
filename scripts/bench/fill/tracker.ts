import { once } from "node:events";
import { createServer } from "node:http";
import { HUB } from "../network/network.ts";

export interface Tracker {
	readonly url: string;
	close(): Promise<void>;
}

/** Tells everybody who announces itself of everybody else (BEP 3, compact as in BEP 23). It has one torrent. */
export async function startTracker(): Promise<Tracker> {
	const peers = new Map<string, Buffer>();
	const server = createServer((request, response) => {
		const address = request.socket.remoteAddress ?? "";
		const port = /[?&]port=(\d+)/.exec(request.url ?? "")?.[1];
		const entry = Buffer.from([...address.split(".").map(Number), 0, 0]);
		entry.writeUInt16BE(Number(port), 4);
		peers.set(address, entry);
		const others = [...peers]
			.filter(([peer]) => peer !== address)
			.map(([, bytes]) => bytes);
		const list = Buffer.concat(others);
		const head = `d8:intervali5e12:min intervali5e5:peers${list.length}:`;
		response.end(Buffer.concat([Buffer.from(head), list, Buffer.from("e")]));
	});
	server.listen(0, HUB);
	await once(server, "listening");
	const bound = server.address();
	const port = typeof bound === "object" ? bound?.port : undefined;
	return {
		url: `http://${HUB}:${port}/announce`,
		close: async () => {
			server.closeAllConnections();
			server.close();
		},
	};
}
