import { realpath } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import { LarderError, systemCode } from "../../base/errors.ts";
import type { Clock } from "../../base/time.ts";
import type { Bytes } from "../../base/units.ts";
import {
	DEFAULT_BLOCK_SIZE,
	DEFAULT_SHARD_BLOCKS,
} from "../../content/geometry.ts";
import type { CatalogEntry } from "../../wire/catalog.ts";
import type { TitleId } from "../../wire/ids.ts";
import { type Lock, lockOperator } from "../operator/lock.ts";
import { fingerprintOf } from "../package/folder.ts";
import {
	type Inspection,
	inspect,
	inspectFiles,
	type Package,
} from "../package/inspect.ts";
import { formatRemarks, type Remark } from "../package/report.ts";
import { build, checkPlan } from "./attempt/build.ts";
import { Attempt, type Plan } from "./attempt/state.ts";
import {
	listTitles,
	readTitle,
	type TitleRecord,
	titlesDir,
	writeTitle,
} from "./titles.ts";

/** `waiting` for another publish into the same folder to end, `checking` what an earlier attempt left. */
export type PublishPhase =
	| "waiting"
	| "inspecting"
	| "checking"
	| "encrypting"
	| "finishing";

export interface PublishProgress {
	readonly phase: PublishPhase;
	readonly bytesDone: Bytes;
	/** 0 until the source has been looked through. */
	readonly bytesTotal: Bytes;
}

export interface PublishOptions {
	readonly operatorDir: string;
	/** A package's folder or an MP4 file; for a release any file or folder. */
	readonly source: string;
	readonly kind: CatalogEntry["kind"];
	/** What viewers read; by default made from the source's name. */
	readonly name?: string;
	/** The operator's own id, at most 64 bytes; by default the source's name. Publishing one again makes its next version. */
	readonly assetId?: string;
	/** What the release key says of a release. */
	readonly release?: NonNullable<TitleRecord["release"]>;
	/** Bytes; a power of two. */
	readonly blockSize?: Bytes;
	/** Blocks of a shard; a power of two. */
	readonly shardBlocks?: number;
	readonly onProgress?: (progress: PublishProgress) => void;
	readonly now?: Clock;
}

export interface Published {
	readonly title: TitleRecord;
	/** What the operator may want to mend although it was published. */
	readonly warnings: readonly Remark[];
	/** An earlier attempt was cut off and this one went on from there. */
	readonly resumed: boolean;
}

const LOCK_POLL = 200;

/**
 * Publishes a source: encrypts it into shard files, places them below `origin/`, and writes the title's record.
 * A title is there whole or not at all. An attempt that is cut off is resumed by the next call for the same, unchanged source.
 * Throws PACKAGE_INVALID (with every fault in its message), PACKAGE_CHANGED or STORE_FULL.
 */
export async function publish(
	options: PublishOptions,
	signal: AbortSignal,
): Promise<Published> {
	checkAssetId(options.assetId);
	const tell = (phase: PublishPhase, bytesDone = 0, bytesTotal = 0) =>
		options.onProgress?.({ phase, bytesDone, bytesTotal });
	const lock = await takeTurn(
		options.operatorDir,
		() => tell("waiting"),
		signal,
	);
	try {
		tell("inspecting");
		const pack = await look(options, signal);
		const plan = {
			operatorDir: options.operatorDir,
			source: await realpath(options.source),
			pack,
			blockSize: options.blockSize ?? DEFAULT_BLOCK_SIZE,
			shardBlocks: options.shardBlocks ?? DEFAULT_SHARD_BLOCKS,
		};
		checkPlan(plan);
		const attempt = await Attempt.open(plan);
		let id: TitleId;
		try {
			id = await build(plan, attempt, tell, signal);
		} catch (error) {
			// What was encrypted of it must not meet the key again.
			if (error instanceof LarderError && error.code === "PACKAGE_CHANGED")
				await attempt.close();
			throw error;
		}
		const title = await record(options, plan, attempt, id);
		await attempt.close();
		return { title, warnings: pack.warnings, resumed: attempt.resumed };
	} finally {
		await lock.close();
	}
}

/** One publish at a time works on an operator's folder; the others wait for it. */
async function takeTurn(
	operatorDir: string,
	onWait: () => void,
	signal: AbortSignal,
): Promise<Lock> {
	for (;;) {
		signal.throwIfAborted();
		try {
			return await lockOperator(titlesDir(operatorDir));
		} catch (error) {
			const busy =
				error instanceof LarderError && error.code === "OPERATOR_BUSY";
			if (!busy) throw error;
			onWait();
			await wait(LOCK_POLL, undefined, { signal });
		}
	}
}

async function look(
	{ kind, source }: PublishOptions,
	signal: AbortSignal,
): Promise<Package> {
	let found: Inspection;
	try {
		found = await (kind === "title" ? inspect : inspectFiles)(source, signal);
	} catch (cause) {
		if (systemCode(cause) !== "ENOENT") throw cause;
		throw new LarderError("PACKAGE_CHANGED", `${source} changed meanwhile`, {
			cause,
		});
	}
	if (found.ok) return found.value;
	throw new LarderError(
		"PACKAGE_INVALID",
		`${source} cannot be published:\n${formatRemarks(found.faults)}`,
	);
}

/** Writes the record; finds it there when the earlier attempt was cut off right after writing it. */
async function record(
	options: PublishOptions,
	{ pack, source, blockSize, shardBlocks }: Plan,
	{ cipher }: Attempt,
	id: TitleId,
): Promise<TitleRecord> {
	const { titles } = await listTitles(options.operatorDir);
	if (titles.some((title) => title.id === id))
		return await readTitle(options.operatorDir, id);
	const assetId = options.assetId ?? shorten(pack.name, isAssetId);
	const versions = titles
		.filter((title) => title.assetId === assetId)
		.map(({ version }) => version);
	const title: TitleRecord = {
		id,
		kind: options.kind,
		assetId,
		version: Math.max(0, ...versions) + 1,
		name: shorten(
			options.name ?? pack.name.replace(/[_\s]+/g, " ").trim(),
			(name) => name.length <= MAX_NAME,
		),
		duration: Math.round(pack.duration * 1000) / 1000,
		size: pack.size,
		blockSize,
		shardBlocks,
		key: cipher.key.toString("hex"),
		nonce: cipher.nonce.toString("hex"),
		publishedAt: (options.now ?? Date.now)(),
		source: { path: source, fingerprint: fingerprintOf(pack.source) },
		...(options.release && { release: options.release }),
	};
	await writeTitle(options.operatorDir, title);
	return title;
}

const MAX_ASSET_ID: Bytes = 64;
/** In the units that the catalog's schema counts. */
const MAX_NAME = 80;

function isAssetId(text: string): boolean {
	return text !== "" && Buffer.byteLength(text) <= MAX_ASSET_ID;
}

function checkAssetId(assetId: string | undefined): void {
	if (assetId === undefined || isAssetId(assetId)) return;
	throw new LarderError(
		"PACKAGE_INVALID",
		`the asset id "${assetId}" must have 1 to ${MAX_ASSET_ID} bytes`,
	);
}

/** The longest beginning of a text that fits. */
function shorten(text: string, fits: (text: string) => boolean): string {
	const letters = [...text];
	while (letters.length > 1 && !fits(letters.join(""))) letters.pop();
	return letters.join("");
}
