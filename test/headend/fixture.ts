import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { silent } from "../../src/base/log.ts";
import type { Clock } from "../../src/base/time.ts";
import { blankDatabase } from "../../src/desk/blank.ts";
import {
	type Database,
	openDatabase,
} from "../../src/headend/fleet/database.ts";
import { Fleet } from "../../src/headend/fleet/fleet.ts";
import { issueBox, readIssued } from "../../src/headend/operator/issue.ts";
import {
	initOperator,
	type Operator,
} from "../../src/headend/operator/operator.ts";
import type { TitleRecord } from "../../src/headend/publish/titles.ts";
import type { BoxId, Region, TitleId } from "../../src/wire/ids.ts";
import type { Fill, State } from "../../src/wire/reports.ts";

export const region = "north-1" as Region;

export interface Bench {
	readonly dir: string;
	readonly operator: Operator;
	readonly database: Database;
	readonly fleet: Fleet;
	/** Issues a box and gives its id. */
	box(): Promise<BoxId>;
}

/** A real operator with a real database, closed with the test. */
export async function bench(
	t: { testdir(): string; teardown(work: () => Promise<void>): void },
	now: Clock = Date.now,
): Promise<Bench> {
	const dir = t.testdir();
	const operator = await initOperator(join(dir, "operator"), { region });
	await blankDatabase(join(operator.dir, "db"));
	const database = await openDatabase(join(operator.dir, "db"));
	const fleet = new Fleet({
		database,
		issued: (box) => readIssued(operator.dir, box),
		log: silent,
		now,
	});
	t.teardown(async () => {
		await fleet.close();
		await database.close();
	});
	let issued = 0;
	return {
		dir,
		operator,
		database,
		fleet,
		box: () => {
			const serial = `SN-${String(++issued).padStart(4, "0")}`;
			return issueBox(operator, { serial, dir: join(dir, "boxes", serial) });
		},
	};
}

export function session(): string {
	return randomBytes(8).toString("hex");
}

export function stateOf(box: BoxId, over: Partial<State> = {}): State {
	return {
		box,
		session: "0".repeat(16),
		online: true,
		since: 1,
		region,
		version: "0.1.0",
		power: "active",
		reach: "direct",
		...over,
	};
}

export function fillOf(over: Partial<Fill> = {}): Fill {
	return {
		session: "0".repeat(16),
		at: 1,
		capacity: 1_000_000,
		usedSpace: 0,
		streamingShare: 100_000,
		transientBytes: 0,
		placedBytes: 0,
		heldBytes: 0,
		shards: { placed: 0, held: 0 },
		titles: [],
		neighbours: 0,
		counters: {
			fromNeighbours: 0,
			fromOrigin: 0,
			toNeighbours: 0,
			toPlayers: 0,
			playedFromDisk: 0,
			playedFromNeighbours: 0,
			playedFromOrigin: 0,
			wrongBlocks: 0,
		},
		...over,
	};
}

/** The record of a title of four shards of 1 KiB. */
export function recordOf(
	id: TitleId,
	over: Partial<TitleRecord> = {},
): TitleRecord {
	return {
		id,
		kind: "title",
		assetId: "film",
		version: 1,
		name: "Film",
		duration: 60,
		size: 4096,
		blockSize: 1024,
		shardBlocks: 1,
		key: "0".repeat(64),
		nonce: "0".repeat(24),
		publishedAt: 1,
		source: { path: "/film.mp4", fingerprint: "0".repeat(64) },
		...over,
	};
}
