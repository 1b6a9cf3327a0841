// What a box has and gives that was never published.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { shardBytes } from "../../../src/content/geometry.ts";
import type {
	DeskBox,
	Neighbourhood,
} from "../../../src/desk/neighbourhood.ts";
import { BLOCK, type Film } from "../desk.ts";

/** What a player gets of a film for a while. */
export async function watch(
	desk: Neighbourhood,
	of: DeskBox,
	film: Film,
): Promise<Buffer> {
	const name = film.manifest.files[0]?.path ?? "";
	const parts: Uint8Array[] = [];
	try {
		const url = `${desk.gatewayOf(of)}/titles/${film.id}/${encodeURIComponent(name)}`;
		const answer = await fetch(url, { signal: AbortSignal.timeout(5_000) });
		if (answer.ok && answer.body !== null)
			for await (const part of answer.body) parts.push(part);
	} catch {
		// It breaks off, or is not there in time: all that counts is what came.
	}
	return Buffer.concat(parts);
}

/** Files of a title on a box's disk that are not what was published, or not yet. */
export async function strangeIn(
	desk: Neighbourhood,
	of: DeskBox,
	film: Film,
): Promise<string[]> {
	const strange: string[] = [];
	const data = join(of.dir, "data");
	for (const name of await namesIn(join(data, "shards", film.id))) {
		const isRight = () => isPublished(desk, of, film, name);
		// A block that is being written when it is read is half there; one that is wrong stays wrong.
		if (!((await isRight()) || (await wait(100).then(isRight))))
			strange.push(name);
	}
	const tables = join(data, "holders");
	for (const name of await namesIn(tables)) {
		if (!name.startsWith(film.id)) continue;
		const { title } = statement(await readFile(join(tables, name), "utf8"));
		if (title !== film.id) strange.push(name);
	}
	return strange;
}

async function isPublished(
	desk: Neighbourhood,
	of: DeskBox,
	film: Film,
	name: string,
): Promise<boolean> {
	const shard = name.replace(".part", "");
	const published = await readFile(
		join(desk.operator.dir, "origin", film.id, shard),
	);
	const held = join(of.dir, "data", "shards", film.id);
	// What was a part when the names were read may be whole by now.
	const kept = await readFile(join(held, name)).catch(() =>
		readFile(join(held, shard)),
	);
	return name.endsWith(".part")
		? isPartOf(kept, published, shardBytes(film.manifest, Number(shard)))
		: kept.equals(published);
}

/** Nothing when there is no such folder. */
export async function namesIn(path: string): Promise<string[]> {
	return await readdir(path).catch(() => []);
}

/**
 * Whether each block, and the leaves behind them, are what was published, or are not written yet.
 * @param leaves where they begin
 */
function isPartOf(part: Buffer, whole: Buffer, leaves: number): boolean {
	for (let at = 0; at < part.length; ) {
		const end = at < leaves ? Math.min(at + BLOCK, leaves) : part.length;
		const piece = part.subarray(at, end);
		const isThere = piece.some((byte) => byte !== 0);
		if (isThere && !piece.equals(whole.subarray(at, at + piece.length)))
			return false;
		at = end;
	}
	return true;
}

/** What an envelope says. */
export function statement(envelope: string): {
	readonly title?: string;
	readonly body?: object;
} {
	const { payload } = JSON.parse(envelope);
	return JSON.parse(Buffer.from(payload, "base64").toString());
}
