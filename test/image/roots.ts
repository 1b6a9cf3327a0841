// Images for updates, and how the receiver comes by them.
import { createReadStream } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Test } from "tap";
import { run } from "../../scripts/run.ts";
import { HOST } from "./receiver.ts";

/** A root with the kernel of another, and nothing else: it panics where it should begin. */
export async function makeEmpty(
	from: string,
	to: string,
	work: string,
): Promise<void> {
	const folder = join(await mkdtemp(join(work, "empty-")), "root");
	await run("unsquashfs", ["-no-progress", "-d", folder, from, "boot"]);
	await run("mksquashfs", [folder, to, "-no-progress", "-all-root", "-noI"]);
}

/** Gives the files of a folder to the receiver. */
export async function serve(t: Test, folder: string): Promise<string> {
	const server = createServer((request, response) => {
		const file = join(folder, basename(request.url ?? ""));
		// A file that is not there ends the connection, and so the test.
		pipeline(createReadStream(file), response).catch(() => response.destroy());
	});
	await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
	t.teardown(() => new Promise((resolve) => server.close(resolve)));
	return `http://${HOST}:${(server.address() as AddressInfo).port}`;
}
