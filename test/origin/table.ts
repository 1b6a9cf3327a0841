import { createHash, randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Test } from "tap";
import { openOrigin } from "../../src/origin/client.ts";
import type { Region, TitleId } from "../../src/wire/ids.ts";

export const NORTH = "north-1" as Region;
export const TITLE = "ab".repeat(32) as TitleId;
export const MISSING = "cd".repeat(32) as TitleId;

/** An origin folder with one title, one placement and one attempt to publish. */
export async function originFolder(dir: string) {
	const files = {
		manifest: randomBytes(50_000),
		holders: randomBytes(3000),
		shard: randomBytes(3 * 2 ** 20 + 77),
		empty: Buffer.alloc(0),
		placement: randomBytes(9000),
		secret: Buffer.from("not yet published"),
	};
	const ref = `placement/${createHash("sha256").update(files.placement).digest("hex")}`;
	const paths = {
		[`${TITLE}/manifest`]: files.manifest,
		[`${TITLE}/holders/${NORTH}`]: files.holders,
		[`${TITLE}/0`]: files.shard,
		[`${TITLE}/1`]: files.empty,
		[ref]: files.placement,
		[`.publishing-${TITLE}/manifest`]: files.secret,
		"titles.json": files.secret,
	};
	for (const [path, bytes] of Object.entries(paths)) {
		await mkdir(join(dir, path, ".."), { recursive: true });
		await writeFile(join(dir, path), bytes);
	}
	return { ...files, ref };
}

export type OriginFiles = Awaited<ReturnType<typeof originFolder>>;

export async function collect(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
	const parts: Buffer[] = [];
	for await (const chunk of chunks) parts.push(chunk);
	return Buffer.concat(parts);
}

/** What the client must be able to do with any origin server. */
export async function originTable(
	t: Test,
	base: string,
	files: OriginFiles,
): Promise<void> {
	const { signal } = new AbortController();
	let received = 0;
	const origin = openOrigin({
		base,
		region: NORTH,
		onBytes: (bytes) => {
			received += bytes;
		},
	});
	t.teardown(() => origin.close());
	const size = files.shard.length;

	await t.test("whole files", async (t) => {
		received = 0;
		t.ok(files.manifest.equals(await origin.manifest(TITLE, signal)));
		t.ok(files.holders.equals(await origin.holders(TITLE, signal)));
		const placement = await origin.file(files.ref, 9000, signal);
		t.ok(files.placement.equals(placement));
		t.equal(received, 50_000 + 3000 + 9000);
		t.equal(origin.sockets, 1, "one after the other over one socket");
	});

	await t.test("parts of a shard", async (t) => {
		for (const [offset, length] of [
			[0, size],
			[0, 1],
			[size - 1, 1],
			[65_536, 65_536],
			[1_000_001, 2_000_000],
			[5, 0],
		] as const) {
			received = 0;
			const part = await collect(
				origin.shard(TITLE, 0, offset, length, signal),
			);
			const want = files.shard.subarray(offset, offset + length);
			t.ok(want.equals(part), `${length} bytes at ${offset}`);
			t.equal(received, length);
		}
		t.equal(origin.sockets, 1);
	});

	await t.test("40 readers at once", async (t) => {
		const parts = await Promise.all(
			Array.from({ length: 40 }, (_, n) =>
				collect(origin.shard(TITLE, 0, n * 50_000, 60_000, signal)),
			),
		);
		for (const [n, part] of parts.entries())
			if (!files.shard.subarray(n * 50_000, n * 50_000 + 60_000).equals(part))
				t.fail(`reader ${n}`);
		t.ok(origin.sockets <= 8, `${origin.sockets} sockets`);
	});

	await t.test("what is not there", async (t) => {
		const code = "ORIGIN_FAILED";
		await t.rejects(origin.manifest(MISSING, signal), {
			code,
			message: /manifest: status 404/,
		});
		await t.rejects(origin.holders(MISSING, signal), { code });
		await t.rejects(collect(origin.shard(TITLE, 7, 0, 10, signal)), { code });
		await t.rejects(collect(origin.shard(TITLE, 0, size, 10, signal)), {
			code,
			message: /416/,
		});
		await t.rejects(collect(origin.shard(TITLE, 0, size - 5, 10, signal)), {
			code,
			message: /asked for bytes \d+-\d+, got/,
		});
		await t.rejects(collect(origin.shard(TITLE, 1, 0, 10, signal)), { code });
		await t.rejects(origin.file(files.ref, 8999, signal), {
			code,
			message: /9000 bytes, at most 8999/,
		});
		await t.rejects(origin.file("../secret", 100, signal), { code });
		t.ok(files.manifest.equals(await origin.manifest(TITLE, signal)));
	});

	await t.test("a reader that stops early frees its socket", async (t) => {
		for await (const chunk of origin.shard(TITLE, 0, 0, size, signal)) {
			t.ok(files.shard.subarray(0, chunk.length).equals(chunk));
			break;
		}
		const control = new AbortController();
		await t.rejects(
			(async () => {
				for await (const _ of origin.shard(TITLE, 0, 0, size, control.signal))
					control.abort(new Error("enough"));
			})(),
			{ message: "enough" },
		);
		t.ok(files.manifest.equals(await origin.manifest(TITLE, signal)));
	});
}
