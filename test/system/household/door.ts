// A door in a home to what listens on loopback in the centre: node door.ts <port> <unix socket>. It shuts when standard input does.
import { connect, createServer, type Server } from "node:net";

/** Lets whoever comes to `door` through to `target`, each a port on loopback or a socket's path. */
export async function openDoor(
	door: number | string,
	target: number | string,
): Promise<Server> {
	const to = (place: number | string) =>
		typeof place === "number"
			? { host: "127.0.0.1", port: place }
			: { path: place };
	const server = createServer((inside) => {
		const outside = connect(to(target));
		for (const end of [inside, outside]) end.on("error", () => undefined);
		inside.pipe(outside).pipe(inside);
		inside.once("close", () => outside.destroy());
		outside.once("close", () => inside.destroy());
	});
	await new Promise<void>((resolve) => server.listen(to(door), resolve));
	return server;
}

const [, program, port, path] = process.argv;
if (program === import.meta.filename && port && path) {
	await openDoor(Number(port), path);
	process.stdout.write("open\n");
	process.stdin.on("end", () => process.exit()).resume();
}
