import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, LarderError } from "../../base/errors.ts";
import { monotonic, SECOND, sleep } from "../../base/time.ts";
import { type Bytes, KiB, type Millis } from "../../base/units.ts";
import { shardCount } from "../../content/geometry.ts";
import { type Manifest, readManifest } from "../../content/manifest.ts";
import { encodePath } from "../../gateway/target.ts";
import { callIpc } from "../../ipc/client.ts";
import type { TitleId } from "../../wire/ids.ts";
import { playerToken } from "../../wire/ipc.ts";
import { parseValue } from "../../wire/json.ts";
import type { Config } from "../config.ts";
import type { Releases } from "./releases.ts";

const POLL: Millis = 0.25 * SECOND;
/** One answer is waited for so long. */
const ANSWER: Millis = 5 * SECOND;
/** What is read of a title. */
const PIECE: Bytes = 64 * KiB;

/**
 * Whether the release on trial serves: its gateway is ready, and gives a piece of what lies on this disk, for which nobody
 * else is needed: the title that the release came as. One that does is kept. Asked by the release before it.
 * Throws UPDATE_REFUSED when it does not in time.
 */
export async function prove(
	config: Pick<Config, "data" | "ipc">,
	releases: Releases,
	patience: Millis,
): Promise<void> {
	const trial = await releases.trial();
	if (trial === undefined) return;
	const piece = await pieceOf(config.data, trial.title);
	const end = monotonic() + patience;
	let why: unknown;
	while (monotonic() < end) {
		try {
			await look(config.ipc.socket, piece);
			await releases.keep();
			return;
		} catch (error) {
			why = error;
		}
		await sleep(POLL);
	}
	throw new LarderError(
		"UPDATE_REFUSED",
		`${trial.version} does not serve after ${patience / SECOND} s: ${describe(why)}`,
		{ cause: why },
	);
}

/** Throws why it does not serve yet. */
async function look(socket: string, piece: string | undefined): Promise<void> {
	const told = await callIpc(socket, "player-token", ANSWER);
	const read = parseValue(playerToken, told);
	if (!read.ok) throw new Error(`it gives no player token: ${read.detail}`);
	const { base } = read.value;
	await get(`${new URL(base).origin}/readyz`);
	await get(`${base}/titles`);
	if (piece !== undefined) await get(`${base}${piece}`);
}

async function get(url: string): Promise<void> {
	const { pathname } = new URL(url);
	const response = await fetch(url, {
		headers: pathname.includes("/titles/")
			? { range: `bytes=0-${PIECE - 1}` }
			: {},
		signal: AbortSignal.timeout(ANSWER),
	});
	const body = await response.bytes();
	if (response.ok && body.length > 0) return;
	const said = Buffer.from(body.subarray(0, 200)).toString();
	throw new Error(`${response.status} at ${new URL(url).origin}: ${said}`);
}

/** Where a file of a title is, when all of the title and a lease of its key lie here; else undefined. */
async function pieceOf(
	data: string,
	title: TitleId,
): Promise<string | undefined> {
	const folder = join(data, "shards", title);
	const manifest = await manifestIn(folder, title);
	const [file] = manifest?.files ?? [];
	if (manifest === undefined || file === undefined) return undefined;
	const shards = Array.from({ length: shardCount(manifest) }, (_, i) => `${i}`);
	const isWhole = shards.every((shard) => existsSync(join(folder, shard)));
	if (!isWhole || !existsSync(join(data, "keys", title))) return undefined;
	return `/titles/${title}/${encodePath(file.path)}`;
}

async function manifestIn(
	folder: string,
	title: TitleId,
): Promise<Manifest | undefined> {
	const path = join(folder, "manifest");
	if (!existsSync(path)) return undefined;
	const read = readManifest(title, await readFile(path));
	return read.ok ? read.value : undefined;
}
