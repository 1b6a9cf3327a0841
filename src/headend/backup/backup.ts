import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import {
	chmod,
	cp,
	lstat,
	mkdir,
	mkdtemp,
	readdir,
	readFile,
	rename,
	rm,
	writeFile,
} from "node:fs/promises";
import { basename, dirname, join, relative, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import * as z from "zod/mini";
import { LarderError } from "../../base/errors.ts";
import { type Clock, SECOND } from "../../base/time.ts";
import { hex32, instant, isTitleId, networkId } from "../../wire/ids.ts";
import { encodeMessage, parseMessage } from "../../wire/json.ts";
import { type Database, openDatabase } from "../fleet/database.ts";
import { isVacant, readIfThere, SECRET, syncFolder } from "../operator/file.ts";
import { lockOperator } from "../operator/lock.ts";
import {
	type Operator,
	openOperator,
	writeEpoch,
} from "../operator/operator.ts";
import { pack, unpack } from "./tar.ts";

const LIST = "backup.json";
const DUMP = "db.tar.gz";
/**
 * Small and not to be had again. The root's key and the one for releases are among it only while they lie in keys/: who moved them
 * away wants them nowhere else, and who did not would lose them with the disk.
 * The rest of origin/ is large ciphertext that neighbours still hold; the catalog begins anew with each epoch.
 */
const KEPT = [
	"operator.toml",
	"network.json",
	"epoch",
	"keys",
	"titles",
	"issued",
];

const list = z.object({
	format: z.literal(1),
	network: networkId,
	createdAt: instant,
	/** SHA-256 of each file by its path. */
	files: z.record(z.string(), hex32),
});

/**
 * Writes keys, titles, issued boxes, manifests, settings and the fleet database into one file that only its owner can read.
 * It holds every secret of the operator. Throws COMMAND_FAILED, or OPERATOR_BUSY while keys are changed.
 * @param database the open one of a running headend. Without it the operator must be idle (OPERATOR_BUSY).
 */
export async function backup(
	operator: Pick<Operator, "dir" | "network">,
	file: string,
	database?: Database,
	now: Clock = Date.now,
): Promise<void> {
	if (database !== undefined)
		return await write(operator, resolve(file), database, now());
	const lock = await lockOperator(operator.dir);
	try {
		const own = await openDatabase(join(operator.dir, "db"));
		try {
			await write(operator, resolve(file), own, now());
		} finally {
			await own.close();
		}
	} finally {
		await lock.close();
	}
}

async function write(
	{ dir, network }: Pick<Operator, "dir" | "network">,
	file: string,
	database: Database,
	createdAt: number,
): Promise<void> {
	await mkdir(dirname(file), { recursive: true });
	const stage = await mkdtemp(join(dirname(file), `.${basename(file)}-`));
	try {
		const content = join(stage, "content");
		await mkdir(content);
		// The database first: a title published in between is then planned anew, not one that is there without its key.
		await writeFile(join(content, DUMP), await database.dump());
		// Keys are changed by one process at a time: none is copied while it is replaced.
		const keys = await lockOperator(join(dir, "keys"));
		try {
			for (const name of KEPT)
				await cp(join(dir, name), join(content, name), { recursive: true });
		} finally {
			await keys.close();
		}
		await copyManifests(join(dir, "origin"), join(content, "origin"));
		const files: Record<string, string> = {};
		for (const path of await walk(content))
			files[path] = await digest(join(content, path));
		await writeFile(
			join(content, LIST),
			encodeMessage({ format: 1, network, createdAt, files } satisfies z.output<
				typeof list
			>),
		);
		const packed = join(stage, "packed");
		await writeFile(packed, "", { mode: SECRET });
		await pack(content, packed);
		await rename(packed, file);
		await syncFolder(dirname(file));
	} finally {
		await rm(stage, { recursive: true, force: true });
	}
}

/**
 * Makes an operator's folder from a backup, in a higher epoch than any before: its catalog is another.
 * Throws OPERATOR_EXISTS when `dir` is anything but absent or empty, BACKUP_INVALID when the file is not whole.
 */
export async function restore(
	file: string,
	dir: string,
	now: Clock = Date.now,
): Promise<Operator> {
	const target = resolve(dir);
	if (!(await isVacant(target)))
		throw new LarderError("OPERATOR_EXISTS", `${target} is not empty`);
	await mkdir(dirname(target), { recursive: true });
	const draft = await mkdtemp(
		join(dirname(target), `.${basename(target)}-restore-`),
	);
	try {
		await verified(file, draft);
		const dump = await readFile(join(draft, DUMP));
		const database = await openDatabase(
			join(draft, "db"),
			new Uint8Array(dump),
		);
		await database.close();
		for (const name of [LIST, DUMP]) await rm(join(draft, name));
		await mkdir(join(draft, "ingest"));
		const { epoch } = await openOperator(draft, now);
		// By the clock too: a second restore of the same file must come out above the first.
		await writeEpoch(draft, Math.max(epoch + 1, Math.floor(now() / SECOND)));
		await chmod(draft, 0o755);
		await rename(draft, target);
		await syncFolder(dirname(target));
	} catch (cause) {
		if (cause instanceof LarderError && cause.code !== "OPERATOR_INVALID")
			throw cause;
		throw new LarderError("BACKUP_INVALID", `${file} cannot be restored`, {
			cause,
		});
	} finally {
		await rm(draft, { recursive: true, force: true });
	}
	return await openOperator(target, now);
}

/** Unpacks into an empty folder and holds every file to the list: none missing, none changed, none added. */
async function verified(file: string, draft: string): Promise<void> {
	try {
		await unpack(resolve(file), draft);
	} catch (cause) {
		throw new LarderError("BACKUP_INVALID", `${file} cannot be unpacked`, {
			cause,
		});
	}
	const bytes = await readIfThere(join(draft, LIST));
	const read = parseMessage(list, bytes ?? Buffer.alloc(0), Infinity);
	if (!read.ok)
		throw new LarderError("BACKUP_INVALID", `${file} has no list of its files`);
	const expected = new Map(Object.entries(read.value.files));
	for (const path of await walk(draft)) {
		if (path === LIST) continue;
		if (expected.get(path) !== (await digest(join(draft, path))))
			throw new LarderError("BACKUP_INVALID", `${file}: ${path} is damaged`);
		expected.delete(path);
	}
	for (const path of expected.keys())
		throw new LarderError("BACKUP_INVALID", `${file}: ${path} is missing`);
}

async function copyManifests(from: string, to: string): Promise<void> {
	await mkdir(to);
	for (const title of await readdir(from)) {
		if (!isTitleId(title)) continue;
		const manifest = await readIfThere(join(from, title, "manifest"));
		if (manifest === undefined) continue;
		await mkdir(join(to, title));
		await writeFile(join(to, title, "manifest"), manifest);
	}
}

/** Paths of all files below a folder. Throws BACKUP_INVALID at anything that is neither file nor folder. */
async function walk(folder: string): Promise<string[]> {
	const paths: string[] = [];
	for (const name of await readdir(folder, { recursive: true })) {
		const path = join(folder, name);
		const entry = await lstat(path);
		if (entry.isFile()) paths.push(relative(folder, path));
		else if (!entry.isDirectory())
			throw new LarderError("BACKUP_INVALID", `${name} is not a file`);
	}
	return paths;
}

async function digest(path: string): Promise<string> {
	const hash = createHash("sha256");
	await pipeline(createReadStream(path), hash);
	return hash.digest("hex");
}
