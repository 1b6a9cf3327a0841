import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod/mini";
import { MiB } from "../../../base/units.ts";
import { freshCipher, type TitleCipher } from "../../../content/cipher.ts";
import { hex32, type TitleId, titleId } from "../../../wire/ids.ts";
import { parseMessage } from "../../../wire/json.ts";
import {
	readIfThere,
	SECRET,
	syncFolder,
	writeWhole,
} from "../../operator/file.ts";
import { sameFile } from "../../package/folder.ts";
import type { Package } from "../../package/inspect.ts";
import { titlesDir } from "../titles.ts";

const PREFIX = ".publishing-";
/** Room for the most files that a title may have. */
const MAX_STATE = 256 * MiB;

const fileState = z.object({
	path: z.string(),
	size: z.number(),
	mtimeMs: z.number(),
	ctimeMs: z.number(),
	inode: z.number(),
	type: z.string(),
});

const attemptState = z.object({
	source: z.string(),
	blockSize: z.number(),
	shardBlocks: z.number(),
	key: hex32,
	nonce: z.string(),
	files: z.array(fileState),
	/** Set once all shards are done, before they get their final place. */
	title: z.optional(titleId),
});
type AttemptState = z.output<typeof attemptState>;

/** What an attempt is for. Any other answer means another attempt, with another key. */
export interface Plan {
	readonly operatorDir: string;
	/** Real path of what is published. */
	readonly source: string;
	readonly pack: Package;
	readonly blockSize: number;
	readonly shardBlocks: number;
}

/**
 * One try at publishing a source: its key, and the folder in which its shards gather.
 * The key is kept beside the title records, never in the folder that the origin serves.
 * Invariant: a key is used for one content only. The attempt is thrown away, key and all, when any file is not what it was.
 */
export class Attempt {
	readonly cipher: TitleCipher;
	/** Where its shards gather, readable by nobody else. */
	readonly dir: string;
	/** Left behind by an earlier try that was cut off. */
	readonly resumed: boolean;
	private readonly operatorDir: string;
	private state: AttemptState;

	private constructor(
		operatorDir: string,
		state: AttemptState,
		resumed: boolean,
	) {
		this.operatorDir = operatorDir;
		this.dir = join(originDir(operatorDir), nameOf(state.source));
		this.state = state;
		this.resumed = resumed;
		this.cipher = {
			key: Buffer.from(state.key, "hex"),
			nonce: Buffer.from(state.nonce, "hex"),
		};
	}

	/** Takes up the attempt that is there for this plan, or begins one with a fresh key. */
	static async open(plan: Plan): Promise<Attempt> {
		const { operatorDir, source } = plan;
		const old = await readState(operatorDir, nameOf(source));
		const resumed = old !== undefined && fits(old, plan);
		if (!resumed) await discard(operatorDir, nameOf(source));
		const state = resumed ? old : begin(plan);
		const attempt = new Attempt(operatorDir, state, resumed);
		if (!resumed) await attempt.save();
		if (!(await attempt.isPlaced()))
			await mkdir(attempt.dir, { recursive: true, mode: 0o700 });
		return attempt;
	}

	/** The title whose shards this attempt has put, or was about to put, into their final place. */
	get title(): TitleId | undefined {
		return this.state.title;
	}

	async isPlaced(): Promise<boolean> {
		if (this.state.title === undefined) return false;
		const manifest = join(
			originDir(this.operatorDir),
			this.state.title,
			"manifest",
		);
		return (await readIfThere(manifest)) !== undefined;
	}

	/** Gives the finished folder its final name, and lets the origin's server read it. */
	async place(title: TitleId): Promise<void> {
		this.state = { ...this.state, title };
		await this.save();
		await syncFolder(this.dir);
		await chmod(this.dir, 0o755);
		await rename(this.dir, join(originDir(this.operatorDir), title));
		await syncFolder(originDir(this.operatorDir));
	}

	/** Forgets the key, and removes shards that were not placed. */
	async close(): Promise<void> {
		await discard(this.operatorDir, nameOf(this.state.source));
	}

	private async save(): Promise<void> {
		await writeWhole(
			statePath(this.operatorDir, nameOf(this.state.source)),
			JSON.stringify(this.state),
			SECRET,
		);
	}
}

/** Removes what cut-off attempts left behind whose source is gone: nobody will resume them. */
export async function sweepAttempts(operatorDir: string): Promise<void> {
	for (const file of await readdir(titlesDir(operatorDir))) {
		const name = file.replace(/\.json$/, "");
		if (!name.startsWith(PREFIX) || name === file) continue;
		const state = await readState(operatorDir, name);
		if (state === undefined || !existsSync(state.source))
			await discard(operatorDir, name);
	}
}

export function originDir(operatorDir: string): string {
	return join(operatorDir, "origin");
}

function begin({ source, blockSize, shardBlocks, pack }: Plan): AttemptState {
	const { key, nonce } = freshCipher();
	return {
		source,
		blockSize,
		shardBlocks,
		key: key.toString("hex"),
		nonce: nonce.toString("hex"),
		files: pack.files.map((file) => ({ ...file })),
	};
}

function fits(state: AttemptState, plan: Plan): boolean {
	const { files } = plan.pack;
	return (
		state.source === plan.source &&
		state.blockSize === plan.blockSize &&
		state.shardBlocks === plan.shardBlocks &&
		state.files.length === files.length &&
		state.files.every((file, index) => {
			const now = files[index];
			return now !== undefined && sameFile(file, now) && file.type === now.type;
		})
	);
}

async function readState(
	operatorDir: string,
	name: string,
): Promise<AttemptState | undefined> {
	const bytes = await readIfThere(statePath(operatorDir, name));
	if (bytes === undefined) return undefined;
	const read = parseMessage(attemptState, bytes, MAX_STATE);
	// One that cannot be read holds no key to go on with: a new attempt takes its place.
	return read.ok ? read.value : undefined;
}

async function discard(operatorDir: string, name: string): Promise<void> {
	const origin = originDir(operatorDir);
	const title = (await readState(operatorDir, name))?.title;
	// Placed, but without a record nobody has its key.
	if (title !== undefined && !(await isRecorded(operatorDir, title)))
		await rm(join(origin, title), { recursive: true, force: true });
	await rm(join(origin, name), { recursive: true, force: true });
	await rm(statePath(operatorDir, name), { force: true });
}

async function isRecorded(operatorDir: string, id: TitleId): Promise<boolean> {
	return (
		(await readIfThere(join(titlesDir(operatorDir), `${id}.json`))) !==
		undefined
	);
}

function statePath(operatorDir: string, name: string): string {
	return join(titlesDir(operatorDir), `${name}.json`);
}

/** The same for every attempt at one source, so that the next one finds what the last one left. */
function nameOf(source: string): string {
	const digest = createHash("sha256").update(source).digest("hex");
	return `${PREFIX}${digest.slice(0, 16)}`;
}
