import { randomBytes } from "node:crypto";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod/mini";
import { LarderError, systemCode } from "../../base/errors.ts";
import type { Clock } from "../../base/time.ts";
import { claimOf } from "../../wire/enrol.ts";
import { hex32, instant } from "../../wire/ids.ts";
import { parseMessage } from "../../wire/json.ts";
import { readSecret, SECRET, writeWhole } from "../operator/file.ts";
import type { Operator } from "../operator/operator.ts";

const NAME = /^[a-z0-9][a-z0-9-]{0,31}$/;

const batchFile = z.object({
	v: z.literal(1),
	name: z.string(),
	/** Whether all its boxes have one claim, which an image can hold, rather than each its own. */
	shared: z.boolean(),
	/** Never leaves this folder: claims are made of it. */
	secret: hex32,
	createdAt: instant,
});

/** Boxes that are made together, in keys/batches/<name>.json. */
export type Batch = z.output<typeof batchFile>;
export type BatchView = Pick<Batch, "name" | "shared" | "createdAt">;

type Folder = Pick<Operator, "dir">;

/** Makes a batch with a secret of its own. Throws CONFIG_INVALID for a name that is taken or none. */
export async function addBatch(
	operator: Folder,
	name: string,
	shared: boolean,
	now: Clock = Date.now,
): Promise<BatchView> {
	if (!NAME.test(name))
		throw wrong(
			`no name for a batch: ${JSON.stringify(name)}; lower-case letters, digits and hyphens, at most 32`,
		);
	if ((await readSecret(pathOf(operator, name))) !== undefined)
		throw wrong(`there is a batch ${name} already`);
	const secret = randomBytes(32).toString("hex");
	const batch: Batch = { v: 1, name, shared, secret, createdAt: now() };
	const text = `${JSON.stringify(batch, undefined, "\t")}\n`;
	await mkdir(folderOf(operator), { recursive: true, mode: 0o700 });
	await writeWhole(pathOf(operator, name), text, SECRET);
	return viewOf(batch);
}

/** By name. Throws as `readBatch`. */
export async function listBatches(operator: Folder): Promise<BatchView[]> {
	const batches: BatchView[] = [];
	for (const file of await namesIn(folderOf(operator))) {
		const name = /^(.+)\.json$/.exec(file)?.[1];
		const batch = name && (await readBatch(operator, name));
		if (batch) batches.push(viewOf(batch));
	}
	return batches.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** From now on its claims let nobody in; who is in stays. Throws CONFIG_INVALID when there is none. */
export async function removeBatch(
	operator: Folder,
	name: string,
): Promise<void> {
	await theBatch(operator, name);
	await rm(pathOf(operator, name));
}

/** Undefined when there is none. Throws OPERATOR_INVALID for one that is damaged or open to others. */
export async function readBatch(
	operator: Folder,
	name: string,
): Promise<Batch | undefined> {
	if (!NAME.test(name)) return undefined;
	const path = pathOf(operator, name);
	const bytes = await readSecret(path);
	if (bytes === undefined) return undefined;
	const read = parseMessage(batchFile, bytes);
	if (read.ok && read.value.name === name) return read.value;
	const why = read.ok ? "of another name" : read.detail;
	throw new LarderError("OPERATOR_INVALID", `${path}: ${why}`);
}

/** As `readBatch`. Throws CONFIG_INVALID when there is none. */
export async function theBatch(operator: Folder, name: string): Promise<Batch> {
	const batch = await readBatch(operator, name);
	if (batch !== undefined) return batch;
	throw wrong(`there is no batch ${name}: larder enrol batch list names them`);
}

/** What a box of the batch with this serial is to know. */
export function claimIn({ secret, shared }: Batch, serial: string): Buffer {
	const key = Buffer.from(secret, "hex");
	return shared ? claimOf(key) : claimOf(key, serial);
}

function viewOf({ name, shared, createdAt }: Batch): BatchView {
	return { name, shared, createdAt };
}

function folderOf({ dir }: Folder): string {
	return join(dir, "keys", "batches");
}

function pathOf(operator: Folder, name: string): string {
	return join(folderOf(operator), `${name}.json`);
}

async function namesIn(folder: string): Promise<string[]> {
	try {
		return await readdir(folder);
	} catch (error) {
		if (systemCode(error) === "ENOENT") return [];
		throw error;
	}
}

function wrong(why: string): LarderError {
	return new LarderError("CONFIG_INVALID", why);
}
