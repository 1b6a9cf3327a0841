import { createSocket } from "node:dgram";
import { createServer } from "node:net";

/** A TCP port of loopback that was free a moment ago. */
export async function freeTcpPort(): Promise<number> {
	const server = createServer();
	await new Promise<void>((resolve, reject) => {
		server.once("error", reject);
		server.listen(0, "127.0.0.1", resolve);
	});
	const address = server.address();
	await new Promise<void>((resolve) => server.close(() => resolve()));
	return typeof address === "object" && address ? address.port : 0;
}

/** A UDP port of loopback that was free a moment ago. */
export async function freeUdpPort(): Promise<number> {
	const socket = createSocket("udp4");
	await new Promise<void>((resolve, reject) => {
		socket.once("error", reject);
		socket.bind(0, "127.0.0.1", resolve);
	});
	const { port } = socket.address();
	await new Promise<void>((resolve) => socket.close(() => resolve()));
	return port;
}
