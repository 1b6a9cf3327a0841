import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { LarderError, systemCode } from "../../../base/errors.ts";
import { type Bytes, formatBytes } from "../../../base/units.ts";
import {
	type Geometry,
	shardBytes,
	shardCount,
	shardFileBytes,
} from "../../../content/geometry.ts";
import { commitmentOf, titleIdOf } from "../../../content/hash.ts";
import {
	encodeManifest,
	type Manifest,
	readManifest,
} from "../../../content/manifest.ts";
import type { TitleId } from "../../../wire/ids.ts";
import { PUBLIC, writeWhole } from "../../operator/file.ts";
import { type Source, sameFile, survey } from "../../package/folder.ts";
import { Report } from "../../package/report.ts";
import { SpaceReader } from "./reader.ts";
import { checkShard, writeShard } from "./shards.ts";
import { type Attempt, originDir, type Plan } from "./state.ts";

type Tell = (
	phase: "checking" | "encrypting" | "finishing",
	bytesDone: Bytes,
	bytesTotal: Bytes,
) => void;

/** Refuses at once what would make no valid manifest at the end. Throws PACKAGE_INVALID. */
export function checkPlan(plan: Plan): void {
	const nothing = "0".repeat(64);
	const draft = manifestOf(
		plan,
		{ nonce: "0".repeat(24), keyCommitment: nothing },
		Array.from({ length: shardCount(geometryOf(plan)) }, () => nothing),
	);
	const bytes = encodeManifest(draft);
	const read = readManifest(titleIdOf(bytes), bytes);
	if (read.ok) return;
	throw new LarderError(
		"PACKAGE_INVALID",
		read.reason === "too-large"
			? `${plan.source} has too many files for one title; package it with longer segments or one file per rendition`
			: `${plan.source} makes no valid manifest: ${read.detail}`,
	);
}

/**
 * Makes the shards that are missing, then the manifest, and gives the whole its place below `origin/`.
 * Throws PACKAGE_CHANGED when the source is not what the plan says, STORE_FULL.
 */
export async function build(
	plan: Plan,
	attempt: Attempt,
	tell: Tell,
	signal: AbortSignal,
): Promise<TitleId> {
	if (attempt.title !== undefined && (await attempt.isPlaced()))
		return attempt.title;
	try {
		const hashes = await makeShards(plan, attempt, tell, signal);
		tell("finishing", plan.pack.size, plan.pack.size);
		await checkSource(plan, signal);
		const { key, nonce } = attempt.cipher;
		const manifest = encodeManifest(
			manifestOf(
				plan,
				{ nonce: nonce.toString("hex"), keyCommitment: commitmentOf(key) },
				hashes,
			),
		);
		const id = titleIdOf(manifest);
		await writeWhole(join(attempt.dir, "manifest"), manifest, PUBLIC);
		await attempt.place(id);
		return id;
	} catch (error) {
		if (!["ENOSPC", "EDQUOT"].includes(systemCode(error) ?? "")) throw error;
		throw full(plan, "publish again to go on where it stopped", error);
	}
}

async function makeShards(
	plan: Plan,
	{ dir, cipher, resumed }: Attempt,
	tell: Tell,
	signal: AbortSignal,
): Promise<string[]> {
	const geometry = geometryOf(plan);
	const { size } = geometry;
	const hashes = new Map<number, string>();
	const shards = [...Array(shardCount(geometry)).keys()];
	let done = 0;
	for (const shard of resumed ? shards : []) {
		const hash = await checkShard(dir, geometry, shard, signal);
		if (hash === undefined) continue;
		hashes.set(shard, hash);
		done += shardBytes(geometry, shard);
		tell("checking", done, size);
	}
	const missing = shards.filter((shard) => !hashes.has(shard));
	await checkRoom(plan, missing);
	const reader = new SpaceReader(plan.pack.root, plan.pack.files);
	try {
		for (const shard of missing) {
			const onBytes = (bytes: Bytes) => {
				done += bytes;
				tell("encrypting", done, size);
			};
			hashes.set(
				shard,
				await writeShard(dir, geometry, shard, cipher, reader, onBytes, signal),
			);
		}
		await reader.finish();
	} finally {
		await reader.close();
	}
	return shards.map((shard) => hashes.get(shard) ?? "");
}

async function checkRoom(
	plan: Plan,
	missing: readonly number[],
): Promise<void> {
	const geometry = geometryOf(plan);
	const needed = missing.reduce(
		(sum, shard) => sum + shardFileBytes(geometry, shard),
		0,
	);
	const { bavail, bsize } = await statfs(originDir(plan.operatorDir));
	if (needed <= bavail * bsize) return;
	throw full(
		plan,
		`${formatBytes(needed)} are needed and ${formatBytes(bavail * bsize)} free`,
	);
}

function full(plan: Plan, what: string, cause?: unknown): LarderError {
	return new LarderError(
		"STORE_FULL",
		`the disk of ${originDir(plan.operatorDir)} is full: ${what}`,
		{ cause },
	);
}

/** A last look at the whole source, also for files that came or went meanwhile. */
async function checkSource(plan: Plan, signal: AbortSignal): Promise<void> {
	let now: Source;
	try {
		now = await survey(plan.source, new Report(), signal);
	} catch (cause) {
		if (systemCode(cause) !== "ENOENT") throw cause;
		throw new LarderError("PACKAGE_CHANGED", `${plan.source} is gone`, {
			cause,
		});
	}
	const { files } = plan.pack.source;
	for (const path of new Set([...files.keys(), ...now.files.keys()])) {
		const [before, after] = [files.get(path), now.files.get(path)];
		if (before && after && sameFile(before, after)) continue;
		throw new LarderError("PACKAGE_CHANGED", `${path} changed meanwhile`);
	}
}

function manifestOf(
	plan: Plan,
	cipher: Omit<Manifest["cipher"], "name">,
	shards: readonly string[],
): Manifest {
	let offset = 0;
	const files = plan.pack.files.map(({ path, size, type }) => {
		const file = { path, offset, length: size, type };
		offset += size;
		return file;
	});
	return {
		v: 1,
		files,
		size: plan.pack.size,
		blockSize: plan.blockSize,
		shardBlocks: plan.shardBlocks,
		shards: [...shards],
		cipher: { name: "chacha20", ...cipher },
	};
}

function geometryOf({ pack, blockSize, shardBlocks }: Plan): Geometry {
	return { size: pack.size, blockSize, shardBlocks };
}
