import { once } from "node:events";
import { connect, type Socket } from "node:net";

export interface Answer {
	readonly status: number;
	readonly headers: Readonly<Record<string, string>>;
	readonly body: Buffer;
}

/** A list is sent line by line. */
export type Fields = Readonly<Record<string, string | readonly string[]>>;

/** Opens a connection to the gateway and sends a request exactly as given: no client tidies the path up. */
export async function send(
	port: number,
	method: string,
	path: string,
	headers: Fields = {},
): Promise<Socket> {
	const socket = connect(port, "127.0.0.1");
	await once(socket, "connect");
	socket.write(request(port, method, path, headers));
	return socket;
}

/** The bytes of a request without a body. */
export function request(
	port: number,
	method: string,
	path: string,
	headers: Fields = {},
): string {
	const all = { host: `127.0.0.1:${port}`, ...headers };
	const lines = Object.entries(all).flatMap(([name, values]) =>
		[values].flat().map((value) => `${name}: ${value}`),
	);
	return [`${method} ${path} HTTP/1.1`, ...lines, "", ""].join("\r\n");
}

/** Everything that one request brings until the gateway closes the connection. */
export async function exchange(
	port: number,
	method: string,
	path: string,
	headers: Fields = {},
): Promise<Answer> {
	const socket = await send(port, method, path, {
		...headers,
		connection: "close",
	});
	const chunks: Buffer[] = [];
	for await (const chunk of socket) chunks.push(chunk);
	return parse(Buffer.concat(chunks));
}

export function parse(bytes: Buffer): Answer {
	const end = bytes.indexOf("\r\n\r\n");
	const [first = "", ...lines] = bytes
		.subarray(0, end)
		.toString()
		.split("\r\n");
	return {
		status: Number(first.split(" ")[1]),
		headers: Object.fromEntries(
			lines.map((line) => {
				const colon = line.indexOf(":");
				return [
					line.slice(0, colon).toLowerCase(),
					line.slice(colon + 1).trim(),
				];
			}),
		),
		body: bytes.subarray(end + 4),
	};
}
