// A region of many boxes in one process, each with sockets and a disk of its own: titles are striped over them as the planner does it.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type HyperDHT from "hyperdht";
import { Holders } from "../../src/agent/holders.ts";
import { silent } from "../../src/base/log.ts";
import { monotonic, sleep } from "../../src/base/time.ts";
import { KiB, type Millis } from "../../src/base/units.ts";
import { tableOf } from "../../src/plan/assignment.ts";
import { type Assignment, planPlacement } from "../../src/plan/placement.ts";
import type { ViewerPatience } from "../../src/plan/source.ts";
import { seal, trustIn } from "../../src/wire/envelope.ts";
import type { BoxId, TitleId } from "../../src/wire/ids.ts";
import { generateKeyPair, type KeyPair } from "../../src/wire/keys.ts";
import type { HolderTable } from "../../src/wire/placement.ts";
import {
	makeBootstrap,
	makeBox,
	makeOperator,
	makeOrigin,
	makeTitle,
	type TestBox,
	type TestOperator,
	type TestOrigin,
	type TestTitle,
} from "../fixture.ts";

const BLOCK = 4 * KiB;
const SHARD_BLOCKS = 4;
/** Boxes that are started side by side. */
const BATCH = 8;

export interface TownSettings {
	/** An empty folder for all of them. */
	readonly folder: string;
	readonly boxes: number;
	readonly titles: number;
	/** Of each title. */
	readonly shards: number;
	readonly copies: number;
	readonly maxPeers: number;
	/** Playing time of each title, in seconds. */
	readonly duration: number;
	readonly patience?: ViewerPatience;
}

/** A holder that was not connected: when a viewer lacked it, when it was dialled, and when it was a neighbour. */
export interface Meeting {
	readonly lacked: Millis;
	readonly dialled: Millis;
	readonly came: Millis;
}

/** One box, and how it met the holders that it dialled. */
interface Resident {
	readonly box: TestBox;
	readonly meetings: Meeting[];
}

export interface Showing {
	/** Whether all of it came as it was published. */
	readonly whole: boolean;
	readonly firstByte: Millis;
	readonly meetings: readonly Meeting[];
}

export class Town {
	readonly titles: readonly TestTitle[];
	readonly residents: Resident[] = [];
	private readonly settings: TownSettings;
	private readonly operator: TestOperator = makeOperator();
	private readonly origin: TestOrigin;
	private readonly node: HyperDHT;
	private readonly address: string;
	private moved = 0;

	private constructor(
		settings: TownSettings,
		titles: readonly TestTitle[],
		origin: TestOrigin,
		{ node, address }: Awaited<ReturnType<typeof makeBootstrap>>,
	) {
		this.settings = settings;
		this.titles = titles;
		this.origin = origin;
		this.node = node;
		this.address = address;
	}

	/** All boxes run, each with its part of each title on its disk, and with the tables of the titles that it has a part of. */
	static async open(settings: TownSettings): Promise<Town> {
		const { titles: count, shards, boxes, copies } = settings;
		const titles = Array.from({ length: count }, (_, n) =>
			makeTitle(
				shards * SHARD_BLOCKS * BLOCK,
				BLOCK,
				SHARD_BLOCKS,
				`film-${n}`,
			),
		);
		const origin = await makeOrigin(...titles);
		const town = new Town(settings, titles, origin, await makeBootstrap());
		const keys = Array.from({ length: boxes }, () => generateKeyPair());
		const { holders } = planPlacement({
			titles: titles.map(({ id, manifest }) => ({ id, geometry: manifest })),
			boxes: keys.map((key) => ({
				...{ id: idOf(key), capacity: 1e9, presence: 1, reachable: true },
			})),
			...{ copies, current: new Map() },
		});
		const tables = town.tablesOf(holders);
		for (let at = 0; at < boxes; at += BATCH)
			await Promise.all(
				keys.slice(at, at + BATCH).map(async (key) => {
					await town.stock(key, holders, tables);
					town.residents.push(await town.move(key));
				}),
			);
		return town;
	}

	/** Bytes of titles that the origin sent, and that boxes took from it to play. */
	get fromOrigin(): number {
		return this.residents.reduce(
			(sum, { box }) => sum + box.ledger.counters.playedFromOrigin,
			this.origin.sent(),
		);
	}

	/** From now on there are neither DHT nodes of the operator nor an origin; broker and headend there are none of anyway. */
	async darken(): Promise<void> {
		this.origin.close();
		await this.node.destroy({ force: true });
	}

	/** Plays a title on that one of these boxes which has least of it. */
	async play(title: TestTitle, among: readonly Resident[]): Promise<Showing> {
		const { id, manifest, plaintext } = title;
		const heldBy = ({ box }: Resident) =>
			box.store.inventory(id)?.held.count ?? 0;
		const [{ box, meetings } = undefined as never] = among.toSorted(
			(a, b) => heldBy(a) - heldBy(b),
		);
		const from = meetings.length;
		const { signal } = new AbortController();
		const asked = monotonic();
		let firstByte: Millis | undefined;
		const parts: Buffer[] = [];
		const open = await box.library.open(id, signal);
		for await (const part of open.read(0, manifest.size, signal)) {
			firstByte ??= monotonic() - asked;
			parts.push(part);
		}
		return {
			whole: Buffer.concat(parts).equals(plaintext),
			firstByte: firstByte ?? Number.NaN,
			meetings: meetings.slice(from),
		};
	}

	/** A box dials one that is no neighbour of it, and nothing else happens; in how long it is one. Undefined when all are, or it cannot. */
	async meetOne({ box }: Resident): Promise<Millis | undefined> {
		const other = this.residents.find(
			(each) => each.box !== box && !box.swarm.isConnected(each.box.id),
		);
		if (other === undefined) return undefined;
		const began = monotonic();
		box.swarm.dial([other.box.id]);
		while (box.swarm.isConnected(other.box.id)) {
			if (box.swarm.neighbours.has(other.box.id)) return monotonic() - began;
			await sleep(1);
		}
		return undefined;
	}

	async close(): Promise<void> {
		for (let at = 0; at < this.residents.length; at += BATCH)
			await Promise.all(
				this.residents.slice(at, at + BATCH).map(({ box }) => box.close()),
			);
		this.origin.close();
		if (!this.node.destroyed) await this.node.destroy({ force: true });
	}

	private tablesOf(holders: Assignment): Map<TitleId, Buffer> {
		const { region, root } = this.operator;
		const { network } = trustIn(root.publicKey, Date.now);
		const signer = this.operator.signer("placement");
		return new Map(
			[...holders].map(([title, rows]) => {
				const said = { network, region, title, epoch: 1, version: 1 };
				const table: HolderTable = { ...said, ...tableOf(rows) };
				return [title, seal(signer, table)];
			}),
		);
	}

	/** As filling leaves it, without waiting for a disk: a file under its final name is whole. */
	private async stock(
		key: KeyPair,
		holders: Assignment,
		tables: ReadonlyMap<TitleId, Buffer>,
	): Promise<void> {
		const [box, folder] = [idOf(key), this.folderOf(key)];
		await mkdir(join(folder, "holders"), { recursive: true });
		for (const { id, manifestBytes, shardFiles } of this.titles) {
			const mine = [...(holders.get(id) ?? []).entries()].filter(([, boxes]) =>
				boxes.includes(box),
			);
			if (mine.length === 0) continue;
			const shards = join(folder, "shards", id);
			await mkdir(shards, { recursive: true });
			await writeFile(join(shards, "manifest"), manifestBytes);
			for (const [shard] of mine)
				await writeFile(join(shards, `${shard}`), shardFiles[shard] ?? "");
			await writeFile(join(folder, "holders", id), tables.get(id) ?? "");
		}
	}

	private async move(key: KeyPair): Promise<Resident> {
		const { maxPeers, duration, patience } = this.settings;
		const { operator, origin, titles, address } = this;
		const folder = this.folderOf(key);
		const host = addressOf(this.moved++);
		const meetings: Meeting[] = [];
		/** Since when shards of a title have been lacked, and boxes dialled. */
		const lacked = new Map<TitleId, Millis>();
		const dialled = new Map<BoxId, Pick<Meeting, "lacked" | "dialled">>();
		let since: Millis = 0;
		const holders = new Holders({
			folder: join(folder, "holders"),
			...{ region: operator.region, log: silent },
			trust: trustIn(operator.root.publicKey, Date.now),
			origin: origin.origin,
			neighbours: () => ({
				holders: (id, signal) => box.swarm.holders(id, signal),
				dial: (boxes) => {
					for (const each of boxes)
						if (!box.swarm.isConnected(each) && each !== box.id)
							dialled.set(each, { lacked: since, dialled: monotonic() });
					box.swarm.dial(boxes);
				},
			}),
		});
		const box: TestBox = await makeBox({
			...{ folder, operator, key, titles, duration, maxPeers },
			...{ host, tcpHost: host },
			...(patience && { patience }),
			bootstrap: [address],
			origin: origin.origin,
			shelf: () => ({ holders: (id) => holders.bytes(id) }),
			holders: {
				dial: (id, shard) => {
					since = lacked.get(id) ?? monotonic();
					lacked.set(id, since);
					holders.dial(id, shard);
				},
				before: (...asked) => holders.before(...asked),
			},
			onMember: (_stream, member) => {
				const begun = dialled.get(member.box);
				dialled.delete(member.box);
				if (begun !== undefined) meetings.push({ ...begun, came: monotonic() });
			},
			log: silent,
		});
		return { box, meetings };
	}

	private folderOf(key: KeyPair): string {
		return join(this.settings.folder, idOf(key).slice(0, 16));
	}
}

/** Each has a home of its own: from one address a box lets few in. */
function addressOf(number: number): string {
	return `127.0.${1 + Math.floor(number / 250)}.${1 + (number % 250)}`;
}

function idOf({ publicKey }: KeyPair): BoxId {
	return publicKey.toString("hex") as BoxId;
}
