import { spawn } from "node:child_process";
import { mkdir, mkdtemp, open, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import t from "tap";
import { type Bytes, GiB, KiB, MiB } from "../../src/base/units.ts";
import { boxes } from "./packages.ts";

const FILM: Bytes = GiB;
/** The runtime, the program and what waits to be collected: far less than the film. */
const BOUND: Bytes = 300 * MiB;

/** An MP4 whose media is a hole: it takes no room on the disk and reads as zeros. */
async function writeHole(path: string, size: Bytes): Promise<void> {
	const index = boxes.movie({ duration: 7200 });
	const header = Buffer.alloc(16);
	header.writeUInt32BE(1, 0);
	header.write("mdat", 4, "latin1");
	header.writeBigUInt64BE(BigInt(size - index.length), 8);
	const file = await open(path, "w");
	await file.write(Buffer.concat([index, header]));
	await file.truncate(size);
	await file.close();
}

t.test("a film of any size is published in little memory", async (t) => {
	const dir = await mkdtemp(join(tmpdir(), "larder-memory-"));
	t.teardown(() => rm(dir, { recursive: true }));
	await mkdir(join(dir, "titles"));
	await mkdir(join(dir, "origin"));
	const source = join(dir, "film.mp4");
	await writeHole(source, FILM);
	const child = spawn(
		process.execPath,
		[join(import.meta.dirname, "measured.ts"), dir, source],
		{ stdio: ["ignore", "pipe", "inherit"] },
	);
	t.teardown(() => child.kill());
	const peak = Number(await text(child.stdout)) * KiB;
	t.ok(peak > 0 && peak < BOUND, `${peak} bytes at most`);
	const [title = ""] = await readdir(join(dir, "origin"));
	const shards = await readdir(join(dir, "origin", title));
	let published = 0;
	for (const shard of shards)
		published += (await stat(join(dir, "origin", title, shard))).size;
	t.ok(published > FILM, "all of it");
});
