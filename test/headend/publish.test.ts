import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import {
	cp,
	mkdir,
	readdir,
	readFile,
	rename,
	rm,
	stat,
	utimes,
	writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { applyCipher } from "../../src/content/cipher.ts";
import {
	type Geometry,
	runBytes,
	shardBytes,
	shardCount,
} from "../../src/content/geometry.ts";
import { commitmentOf } from "../../src/content/hash.ts";
import { type Manifest, readManifest } from "../../src/content/manifest.ts";
import { verifyBlock, verifyLeaves } from "../../src/content/verify.ts";
import { lockOperator } from "../../src/headend/operator/lock.ts";
import { inspect } from "../../src/headend/package/inspect.ts";
import { build } from "../../src/headend/publish/attempt/build.ts";
import {
	Attempt,
	sweepAttempts,
} from "../../src/headend/publish/attempt/state.ts";
import {
	type PublishOptions,
	type PublishProgress,
	publish,
} from "../../src/headend/publish/publish.ts";
import {
	entryOf,
	listTitles,
	readTitle,
	type TitleRecord,
} from "../../src/headend/publish/titles.ts";
import type { TitleId } from "../../src/wire/ids.ts";
import { HLS } from "./packages.ts";

const signal = new AbortController().signal;
const clip = join(import.meta.dirname, "../media/clip");
const small = { kind: "title", blockSize: 1024, shardBlocks: 64 } as const;

async function operator(t: Test): Promise<string> {
	const dir = join(t.testdir(), "operator");
	await mkdir(join(dir, "titles"), { recursive: true });
	await mkdir(join(dir, "origin"));
	return dir;
}

/** What a box would make of a title, from the origin's files and the key alone. */
async function decrypt(
	t: Test,
	dir: string,
	{ id, key, nonce }: TitleRecord,
): Promise<Map<string, Buffer>> {
	const folder = join(dir, "origin", id);
	const read = readManifest(id, await readFile(join(folder, "manifest")));
	if (!read.ok) throw new Error(read.detail);
	const manifest: Manifest = read.value;
	t.equal(manifest.cipher.nonce, nonce);
	t.equal(manifest.cipher.keyCommitment, commitmentOf(Buffer.from(key, "hex")));
	const geometry: Geometry = manifest;
	const space: Buffer[] = [];
	for (let shard = 0; shard < shardCount(geometry); shard++) {
		const file = await readFile(join(folder, `${shard}`));
		const blocks = file.subarray(0, shardBytes(geometry, shard));
		const leaves = verifyLeaves(
			geometry,
			manifest.shards,
			shard,
			file.subarray(blocks.length),
		);
		if (leaves === undefined) throw new Error(`leaves of ${shard}`);
		for (let at = 0, block = 0; at < blocks.length; block++) {
			const length = runBytes(geometry, { shard, first: block, count: 1 });
			const bytes = blocks.subarray(at, at + length);
			if (verifyBlock(geometry, leaves, shard, block, bytes) === undefined)
				throw new Error(`block ${shard}/${block}`);
			at += length;
		}
		space.push(blocks);
	}
	const cipher = {
		key: Buffer.from(key, "hex"),
		nonce: Buffer.from(nonce, "hex"),
	};
	const plain = applyCipher(cipher, 0, Buffer.concat(space));
	return new Map(
		manifest.files.map(({ path, offset, length }) => [
			path,
			plain.subarray(offset, offset + length),
		]),
	);
}

async function sameBytes(t: Test, files: Map<string, Buffer>, source: string) {
	for (const [path, bytes] of files)
		t.ok(bytes.equals(await readFile(join(source, path))), path);
}

/** Names of what is under way: the attempt's folder and its state. */
async function leftovers(dir: string): Promise<string[]> {
	const names = [
		...(await readdir(join(dir, "origin"))),
		...(await readdir(join(dir, "titles"))),
	];
	return names.filter((name) => name.startsWith("."));
}

t.test("the demo title is published and comes out as it went in", async (t) => {
	const dir = await operator(t);
	const seen: PublishProgress[] = [];
	const { title, warnings, resumed } = await publish(
		{
			operatorDir: dir,
			source: clip,
			kind: "title",
			blockSize: 4096,
			shardBlocks: 32,
			name: "A clip",
			now: () => 17,
			onProgress: (progress) => seen.push(progress),
		},
		signal,
	);
	t.match(title, { assetId: "clip", version: 1, name: "A clip", duration: 24 });
	t.equal(title.publishedAt, 17);
	t.same(warnings, []);
	t.notOk(resumed);
	const files = await decrypt(t, dir, title);
	t.equal([...files.keys()][0], "master.m3u8");
	t.equal(files.size, 43);
	await sameBytes(t, files, clip);
	t.same(await readTitle(dir, title.id), title);
	t.same(await listTitles(dir), { titles: [title], damaged: [] });
	t.notOk("key" in entryOf(title));
	t.same(await leftovers(dir), []);
	t.equal(
		(await stat(join(dir, "titles", `${title.id}.json`))).mode & 0o777,
		0o600,
	);
	const folder = await stat(join(dir, "origin", title.id));
	t.equal(folder.mode & 0o777, 0o755);
	const shard = await stat(join(dir, "origin", title.id, "0"));
	t.equal(shard.mode & 0o777, 0o644);
	const last = seen.at(-1);
	t.same(last, {
		phase: "finishing",
		bytesDone: title.size,
		bytesTotal: title.size,
	});
	const done = seen
		.filter(({ phase }) => phase === "encrypting")
		.map(({ bytesDone }) => bytesDone);
	t.same(
		done,
		[...done].sort((a, b) => a - b),
	);
});

t.test(
	"the same asset id again is its next version, with another key",
	async (t) => {
		const dir = await operator(t);
		const source = join(t.testdirName, "a_long  name");
		await cp(clip, source, { recursive: true, preserveTimestamps: true });
		const options: PublishOptions = { ...small, operatorDir: dir, source };
		const first = (await publish(options, signal)).title;
		const second = (await publish(options, signal)).title;
		t.match(first, {
			name: "a long name",
			assetId: "a_long  name",
			version: 1,
		});
		t.equal(second.version, 2);
		t.not(second.id, first.id);
		t.not(second.key, first.key);
		t.equal(second.source.fingerprint, first.source.fingerprint);
		const other = await publish({ ...options, assetId: "b" }, signal);
		t.equal(other.title.version, 1);
		t.equal((await listTitles(dir)).titles.length, 3);
	},
);

t.test("names and ids of any length find room in the catalog", async (t) => {
	const dir = await operator(t);
	const source = join(t.testdirName, "ü".repeat(90));
	await cp(clip, source, { recursive: true });
	const { title } = await publish(
		{ ...small, operatorDir: dir, source },
		signal,
	);
	t.equal(title.assetId, "ü".repeat(32));
	t.equal(title.name, "ü".repeat(80));
	for (const assetId of ["", "x".repeat(65)])
		await t.rejects(
			publish({ ...small, operatorDir: dir, source, assetId }, signal),
			{ code: "PACKAGE_INVALID" },
		);
});

t.test(
	"a package with faults is not published, and all of them are told",
	async (t) => {
		const dir = await operator(t);
		const source = join(t.testdirName, "source");
		await mkdir(source);
		await writeFile(join(source, "i.m3u8"), HLS.media("1.ts", "2.ts"));
		await t.rejects(publish({ ...small, operatorDir: dir, source }, signal), {
			code: "PACKAGE_INVALID",
			message: /1\.ts: .*\n2\.ts: /,
		});
		t.same(await readdir(join(dir, "origin")), []);
		await t.rejects(
			publish(
				{ ...small, operatorDir: dir, source: clip, blockSize: 1000 },
				signal,
			),
			{ code: "PACKAGE_INVALID", message: /power of two/ },
		);
	},
);

t.test("a release is taken as it is", async (t) => {
	const dir = await operator(t);
	const source = join(t.testdirName, "larder-1.2.tar");
	await writeFile(source, "anything");
	const { title } = await publish(
		{ ...small, operatorDir: dir, source, kind: "release" },
		signal,
	);
	t.match(title, { kind: "release", assetId: "larder-1.2", duration: 0 });
	const files = await decrypt(t, dir, title);
	t.equal(files.get("larder-1.2.tar")?.toString(), "anything");
});

t.test(
	"killed again and again, then finished from where it stopped",
	async (t) => {
		const dir = await operator(t);
		const child = join(import.meta.dirname, "publisher.ts");
		const kept = new Set<string>();
		for (const after of [0.2, 0.5, 0.8, 1]) {
			const running = spawn(process.execPath, [child, dir, clip, `${after}`], {
				stdio: ["ignore", "pipe", "inherit"],
			});
			await once(running.stdout, "data");
			running.kill("SIGKILL");
			await once(running, "exit");
			const [folder = ""] = await readdir(join(dir, "origin"));
			t.match(folder, /^\.publishing-/);
			t.equal((await stat(join(dir, "origin", folder))).mode & 0o777, 0o700);
			t.notOk(
				(await readdir(join(dir, "origin", folder))).includes("state.json"),
			);
			const state = join(dir, "titles", `${folder}.json`);
			t.equal((await stat(state)).mode & 0o777, 0o600);
			kept.add(JSON.parse(await readFile(state, "utf8")).key);
			t.same(await listTitles(dir), { titles: [], damaged: [] });
		}
		t.equal(kept.size, 1);
		const [folder = ""] = await readdir(join(dir, "origin"));
		const zero = await stat(join(dir, "origin", folder, "0"));
		// Damage that a disk might have done is found and mended.
		const one = join(dir, "origin", folder, "1");
		const bytes = await readFile(one);
		bytes.writeUInt8(bytes.readUInt8(70) ^ 1, 70);
		await writeFile(one, bytes);
		const { title, resumed } = await publish(
			{ ...small, operatorDir: dir, source: clip },
			signal,
		);
		t.ok(resumed);
		t.ok(kept.has(title.key));
		const final = await stat(join(dir, "origin", title.id, "0"));
		t.equal(final.ino, zero.ino);
		t.equal(final.mtimeMs, zero.mtimeMs);
		await sameBytes(t, await decrypt(t, dir, title), clip);
		t.same(await leftovers(dir), []);
	},
);

t.test(
	"cut off between placing the shards and forgetting the attempt",
	async (t) => {
		const dir = await operator(t);
		const found = await inspect(clip, signal);
		if (!found.ok) throw new Error("the clip is sound");
		const plan = {
			...small,
			operatorDir: dir,
			source: clip,
			pack: found.value,
		};
		const id = await build(plan, await Attempt.open(plan), () => {}, signal);
		const [name = ""] = await leftovers(dir);
		const state = await readFile(join(dir, "titles", name));
		// The shards have their place, the record is missing.
		const options = { ...small, operatorDir: dir, source: clip };
		const { title, resumed } = await publish(options, signal);
		t.ok(resumed);
		t.equal(title.id, id);
		await sameBytes(t, await decrypt(t, dir, title), clip);
		// The record is there, the attempt not yet forgotten.
		await writeFile(join(dir, "titles", name), state);
		t.same((await publish(options, signal)).title, title);
		t.same(await leftovers(dir), []);
		t.equal((await readdir(join(dir, "origin"))).length, 1);
	},
);

t.test("placed, not recorded, and then the source changes", async (t) => {
	const dir = await operator(t);
	const source = join(t.testdirName, "source");
	await cp(clip, source, { recursive: true });
	const found = await inspect(source, signal);
	if (!found.ok) throw new Error("the clip is sound");
	const plan = { ...small, operatorDir: dir, source, pack: found.value };
	const lost = await build(plan, await Attempt.open(plan), () => {}, signal);
	await writeFile(join(source, "more.vtt"), "x");
	const options = { ...small, operatorDir: dir, source };
	const { title } = await publish(options, signal);
	t.not(title.id, lost);
	t.same(await readdir(join(dir, "origin")), [title.id]);
	t.same(await leftovers(dir), []);
});

/** A copy of the clip, and a publish of it that is stopped half-way. */
async function halfway(t: Test, dir: string) {
	const source = join(t.testdirName, "source");
	await cp(clip, source, { recursive: true, preserveTimestamps: true });
	const stop = new AbortController();
	const options: PublishOptions = { ...small, operatorDir: dir, source };
	const onProgress = ({ bytesDone, bytesTotal }: PublishProgress) => {
		if (bytesDone > bytesTotal / 2) stop.abort();
	};
	await t.rejects(publish({ ...options, onProgress }, stop.signal), {
		name: "AbortError",
	});
	const [name = ""] = await readdir(join(dir, "origin"));
	const state = await readFile(join(dir, "titles", `${name}.json`), "utf8");
	return { options, source, key: JSON.parse(state).key };
}

const changes: Record<string, (source: string) => Promise<void>> = {
	"rewritten with its size and time kept": async (source) => {
		const path = join(source, "360p/05.m4s");
		const { atime, mtime, size } = await stat(path);
		await writeFile(path, Buffer.alloc(size, 7));
		await utimes(path, atime, mtime);
	},
	touched: (source) => utimes(join(source, "360p/05.m4s"), 1, 1),
	"joined by another": (source) => writeFile(join(source, "more.vtt"), "x"),
	renamed: (source) =>
		rename(join(source, "144p/init_2.mp4"), join(source, "144p/init_3.mp4")),
};
for (const [how, change] of Object.entries(changes)) {
	t.test(`after a stop, a file is ${how}: another key`, async (t) => {
		const dir = await operator(t);
		const { options, source, key } = await halfway(t, dir);
		await change(source);
		if (how === "renamed") {
			const path = join(source, "144p/index.m3u8");
			const text = await readFile(path, "utf8");
			await writeFile(path, text.replace("init_2", "init_3"));
		}
		const { title, resumed } = await publish(options, signal);
		t.notOk(resumed);
		t.not(title.key, key);
		await sameBytes(t, await decrypt(t, dir, title), source);
		t.same(await leftovers(dir), []);
	});
}

t.test("after a stop, nothing has changed: the same key", async (t) => {
	const dir = await operator(t);
	const { options, source, key } = await halfway(t, dir);
	const { title, resumed } = await publish(options, signal);
	t.ok(resumed);
	t.equal(title.key, key);
	await sameBytes(t, await decrypt(t, dir, title), source);
	t.notOk((await publish(options, signal)).resumed);
});

const disturbances: Record<string, [early: boolean, (source: string) => void]> =
	{
		"a file that is being read": [
			true,
			(source) => {
				// The clip's largest rendition is being read; one of these is open.
				for (const name of ["04", "05", "06"])
					appendFileSync(join(source, `360p/${name}.m4s`), "x");
			},
		],
		"a file already read": [
			false,
			(source) => utimesSync(join(source, "master.m3u8"), 1, 1),
		],
		"a file still to come": [
			true,
			(source) => utimesSync(join(source, "144p/11.m4s"), 1, 1),
		],
		"a new file": [
			false,
			(source) => writeFileSync(join(source, "new.vtt"), "x"),
		],
		"the whole folder": [true, (source) => rmSync(source, { recursive: true })],
	};
for (const [what, [early, disturb]] of Object.entries(disturbances)) {
	t.test(`while it is published, ${what} changes`, async (t) => {
		const dir = await operator(t);
		const source = join(t.testdirName, "source");
		await cp(clip, source, { recursive: true });
		let done = false;
		let ended = false;
		const onProgress = (progress: PublishProgress) => {
			ended ||= progress.phase === "finishing";
			if (done || progress.bytesDone <= progress.bytesTotal / 4) return;
			done = true;
			disturb(source);
		};
		await t.rejects(
			publish({ ...small, operatorDir: dir, source, onProgress }, signal),
			{ code: "PACKAGE_CHANGED" },
		);
		t.equal(ended, !early);
		t.same(await readdir(join(dir, "origin")), []);
		t.same(await readdir(join(dir, "titles")), []);
	});
}

t.test("two at once take turns", async (t) => {
	const dir = await operator(t);
	const options: PublishOptions = { ...small, operatorDir: dir, source: clip };
	const titles = await Promise.all(
		[1, 2, 3].map(async () => (await publish(options, signal)).title),
	);
	t.same(titles.map(({ version }) => version).sort(), [1, 2, 3]);
	t.equal(new Set(titles.map(({ key }) => key)).size, 3);
	for (const title of titles)
		await sameBytes(t, await decrypt(t, dir, title), clip);
});

t.test("waiting for a turn can be given up", async (t) => {
	const dir = await operator(t);
	const lock = await lockOperator(join(dir, "titles"));
	const stop = new AbortController();
	const phases: string[] = [];
	const onProgress = ({ phase }: PublishProgress) => {
		phases.push(phase);
		stop.abort();
	};
	await t.rejects(
		publish(
			{ ...small, operatorDir: dir, source: clip, onProgress },
			stop.signal,
		),
		{ name: "AbortError" },
	);
	t.same(phases, ["waiting"]);
	await lock.close();
});

t.test("attempts whose source is gone are swept away", async (t) => {
	const dir = await operator(t);
	const { source } = await halfway(t, dir);
	await sweepAttempts(dir);
	t.equal((await leftovers(dir)).length, 2);
	await rm(source, { recursive: true });
	await sweepAttempts(dir);
	t.same(await leftovers(dir), []);
});

t.test("title records that cannot be read are named", async (t) => {
	const dir = await operator(t);
	const id = "a".repeat(64) as TitleId;
	await t.rejects(readTitle(dir, id), { code: "TITLE_UNKNOWN" });
	const path = join(dir, "titles", `${id}.json`);
	await writeFile(path, "{}");
	await writeFile(join(dir, "titles", `${id}.json.0.part`), "{}");
	await t.rejects(readTitle(dir, id), { code: "OPERATOR_INVALID" });
	t.match(await listTitles(dir), { titles: [], damaged: [{ path }] });
});
