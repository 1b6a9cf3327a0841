// Where a receiver is tried: a neighbourhood on this machine, and one receiver in it, flashed and not yet switched on.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Test } from "tap";
import { type Film, publishFilm } from "../system/desk.ts";
import { openSecureDesk, order } from "../system/hostile/secure.ts";
import { HOST, note, PATIENCE, Receiver } from "./receiver.ts";

export const SERIAL = "SN-0002";
/** A receiver with more of everything. */
export const LARGE = "SN-0003";

export function hashOf(bytes: Buffer): string {
	return createHash("sha256").update(bytes).digest("hex");
}

export async function openStage(t: Test) {
	const image = process.env["LARDER_IMAGE"];
	if (image === undefined)
		throw new Error("npm run test:image has the network that this needs");
	t.setTimeout(3_600_000);
	const secure = await openSecureDesk(t, 2, ["SN-0001", SERIAL, LARGE], HOST);
	const { desk, operator, boot, flash, claimOf, speaker } = secure;
	const at = ["-d", operator.dir];
	const larder = (...args: string[]) => order(t, ...args);
	const neighbour = await boot(await flash("SN-0001"));
	note("headend, Mosquitto with TLS, DHT nodes, origin and a neighbour are up");
	/** What an operator puts onto the boot partition. */
	const filesFor = async (serial: string) => ({
		"enrol.json": await readFile(claimOf(serial)),
		"operator.toml": await larder("box-config", ...at),
		serial,
	});
	const disk = join(desk.dir, "disk.img");
	const receiver = await Receiver.flash(t, image, disk, await filesFor(SERIAL));
	let films = 0;
	let copies = 0;
	return {
		...{ desk, operator, at, larder, speaker, neighbour, receiver, image },
		filesFor,
		/** The root in the image, which an update brings. */
		root: image.replace(/img$/, "squashfs"),
		/** A film that both boxes are to hold whole. */
		publish: (size: number) => publishFilm(desk, size, `film-${++films}`),
		/** Resolves when they hold this one, too. */
		held: async (film: Film) => {
			copies += 2 * film.shards;
			await desk.filled(copies, AbortSignal.timeout(PATIENCE));
		},
		/** Whether the receiver's gateway gives a film as it was published. */
		gives: async (film: Film): Promise<boolean> => {
			const [file] = film.manifest.files;
			const [got] = await receiver.hashes(film, [file?.path ?? ""]);
			return got === hashOf(await readFile(film.source));
		},
	};
}
