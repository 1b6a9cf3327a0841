import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { Test } from "tap";

/** One connection of a server that follows no rules. */
export interface Caller {
	readonly socket: Socket;
	/** Which of all connections it is, from 1. */
	readonly number: number;
	/** Resolves with the head of the next request. */
	request(): Promise<string>;
	/** Sends lines of a head and a body. */
	answer(head: readonly string[], body?: string | Buffer): void;
}

/** A TCP server that treats each connection as told; `quiet` resolves when all its sockets are closed. */
export async function wildServer(
	t: Test,
	treat: (caller: Caller) => Promise<void>,
) {
	const open = new Set<Socket>();
	let connections = 0;
	const server = createServer((socket) => {
		const number = ++connections;
		open.add(socket);
		socket.on("close", () => open.delete(socket));
		socket.on("error", () => undefined);
		let text = "";
		let told = Promise.withResolvers<void>();
		// Read at all times: a server that does not read never notices that its caller left.
		socket.setEncoding("latin1").on("data", (chunk: string) => {
			text += chunk;
			told.resolve();
			told = Promise.withResolvers();
		});
		const request = async () => {
			while (!text.includes("\r\n\r\n")) await told.promise;
			const end = text.indexOf("\r\n\r\n") + 4;
			const head = text.slice(0, end);
			text = text.slice(end);
			return head;
		};
		const answer = (head: readonly string[], body: string | Buffer = "") => {
			socket.write(`${head.join("\r\n")}\r\n\r\n`);
			if (body.length > 0) socket.write(body);
		};
		void treat({ socket, number, request, answer });
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	t.teardown(() => {
		for (const socket of open) socket.destroy();
		server.close();
	});
	return {
		port: (server.address() as AddressInfo).port,
		get connections() {
			return connections;
		},
		quiet: async () => {
			for (const socket of open)
				await new Promise((resolve) => socket.once("close", resolve));
		},
	};
}
