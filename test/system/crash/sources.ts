import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { Test } from "tap";
import { Bitfield } from "../../../src/content/bitfield.ts";
import { blocksIn, shardBytes } from "../../../src/content/geometry.ts";
import type { Neighbourhood } from "../../../src/desk/neighbourhood.ts";
import type { BoxId } from "../../../src/wire/ids.ts";
import type { Film } from "../desk.ts";
import { goodsOf } from "../liar.ts";
import { openMember } from "../member.ts";

/** Every block that was asked for since it was last cleared, of the origin or a neighbour: `<title id>/<shard>` to blocks. */
export class Asked {
	private readonly blocks = new Map<string, Set<number>>();
	/** Of these films alone blocks are known. */
	readonly films: Film[] = [];

	clear(): void {
		this.blocks.clear();
	}

	note(id: string, shard: number, first: number, count: number): void {
		const key = `${id}/${shard}`;
		const asked = this.blocks.get(key) ?? new Set();
		this.blocks.set(key, asked);
		for (let block = first; block < first + count; block++) asked.add(block);
	}

	of(key: string): ReadonlySet<number> {
		return this.blocks.get(key) ?? new Set();
	}

	get count(): number {
		return [...this.blocks.values()].reduce((sum, { size }) => sum + size, 0);
	}
}

/** Serves an origin folder and notes which blocks are asked for. Its address. */
export async function openOrigin(
	t: Test,
	dir: string,
	asked: Asked,
): Promise<string> {
	const server = createServer(async (request, response) => {
		const path = (request.url ?? "").slice(1);
		const bytes = await readFile(join(dir, path)).catch(() => undefined);
		if (bytes === undefined) return response.writeHead(404).end();
		const [, from, to] =
			/^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
		if (from === undefined) return response.writeHead(200).end(bytes);
		const first = Number(from);
		const last = Math.min(Number(to), bytes.length - 1);
		note(asked, path, first, last);
		const range = `bytes ${first}-${last}/${bytes.length}`;
		const part = bytes.subarray(first, last + 1);
		return response
			.writeHead(206, { "content-range": range, "content-length": part.length })
			.end(part);
	});
	await new Promise<void>((resolve) =>
		server.listen(0, "127.0.0.1", () => resolve()),
	);
	t.teardown(() => {
		server.closeAllConnections();
		server.close();
	});
	return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

/** Leaves, which lie behind the blocks, are no blocks. */
function note(asked: Asked, path: string, first: number, last: number): void {
	const [, id, shard] = /^([0-9a-f]{64})\/(\d+)$/.exec(path) ?? [];
	const film = asked.films.find((each) => each.id === id);
	if (film === undefined || shard === undefined) return;
	const { manifest } = film;
	const end = Math.min(last, shardBytes(manifest, Number(shard)) - 1);
	if (first > end) return;
	const block = Math.floor(first / manifest.blockSize);
	const count = Math.floor(end / manifest.blockSize) - block + 1;
	asked.note(film.id, Number(shard), block, count);
}

/** A neighbour in this process. */
export interface Giver {
	/** Dials the box, and hears what it holds. */
	meet(box: BoxId): void;
	/** The box is gone: no need to wait until that shows. */
	part(box: BoxId): void;
	/** What the box says that it holds of a shard. */
	told(box: BoxId, film: Film, shard: number): ReadonlySet<number>;
}

/** A member that holds every other shard of these films, and notes which blocks it is asked for. */
export async function openGiver(
	t: Test,
	desk: Neighbourhood,
	asked: Asked,
): Promise<Giver> {
	const { films } = asked;
	const goods = (id: string) => {
		const film = films.find((each) => each.id === id);
		return film && { film, ...goodsOf(desk, film) };
	};
	const gives = (shard: number) => shard % 2 === 0;
	const { swarm } = await openMember(t, desk, "giver", {
		shelf: {
			manifest: async (id) => await goods(id)?.manifest(),
			holders: async (id) => await goods(id)?.holders(),
			leaves: async (id, shard) =>
				gives(shard) ? await goods(id)?.leaves(shard) : undefined,
			blocks: async (id, shard, first, count) => {
				const own = goods(id);
				if (own === undefined || !gives(shard)) return undefined;
				asked.note(id, shard, first, count);
				const bytes = await own.blocks(shard, first, count);
				return { bytes, blockSize: own.film.manifest.blockSize };
			},
		},
		holdings: {
			holding: (title) => {
				const film = films.find(({ id }) => id === title);
				const shards = new Bitfield(film?.shards ?? 0);
				for (let shard = 0; shard < shards.length; shard++)
					if (gives(shard)) shards.add(shard);
				return { title, shards: shards.bytes, partial: [] };
			},
			change: (title, shard) => ({
				...{ title, shard, held: gives(shard) },
				blocks: new Uint8Array(0),
			}),
		},
	});
	const ends = films.map(({ id }) => swarm.watch(id));
	t.teardown(() => ends.forEach((end) => void end()));
	return {
		meet: (box) => swarm.dial([box]),
		part: (box) => swarm.neighbours.get(box)?.cut(),
		told: (box, { id, manifest }, shard) => {
			const told = swarm.neighbours.get(box)?.inventory?.blocks(id, shard);
			const blocks = new Set<number>();
			for (let block = 0; block < blocksIn(manifest, shard); block++)
				if (told?.has(block)) blocks.add(block);
			return blocks;
		},
	};
}
