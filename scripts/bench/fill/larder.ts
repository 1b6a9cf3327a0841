import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { DeskBox } from "../../../src/desk/neighbourhood.ts";
import { publish } from "../../../src/headend/publish/publish.ts";
import type { TitleId } from "../../../src/wire/ids.ts";
import { spreadDesk } from "../network/desk.ts";
import type { Contestant, Race, Stage } from "./contestant.ts";

/** Agents as they are bundled for boxes, filled by a headend's plan: every box holds everything, each shard led by another. */
export const larder: Contestant = {
	name: "larder",
	about:
		"the bundled agents with their defaults, placed by a headend; the origin is nginx; a shard counts once it is verified, synced and under its name",
	open,
};

async function open(
	{ dir, content, network }: Stage,
	signal: AbortSignal,
): Promise<Race> {
	const copies = network.boxes.length;
	const options = { copies, takeover: "10 s" };
	const { desk, origin, addBoxes, close } = await spreadDesk(
		...([dir, network, options, signal] as const),
	);
	let boxes: readonly DeskBox[];
	try {
		boxes = await addBoxes();
	} catch (error) {
		await close();
		throw error;
	}
	let id: TitleId | undefined;
	let shards = 0;
	const shardsOf = (folder: string) =>
		Array.from({ length: shards }, (_, shard) => join(folder, `${shard}`));
	const folderOf = (box: number) =>
		join(boxes[box]?.dir ?? "", "data", "shards", id ?? "");
	return {
		pids: () => boxes.map(({ process }) => process?.pid ?? 0),
		start: async () => {
			const order = { operatorDir: desk.operator.dir, source: content.file };
			const made = await publish({ ...order, kind: "release" }, signal);
			id = made.title.id;
			shards = heldIn(join(origin, id));
		},
		has: (box) => {
			desk.broken.throwIfAborted();
			return heldIn(folderOf(box)) === shards;
		},
		files: (box) => ({
			got: shardsOf(folderOf(box)),
			wanted: shardsOf(join(origin, id ?? "")),
		}),
		close,
	};
}

/** Whole shards in a title's folder; none while there is no folder. */
function heldIn(folder: string): number {
	try {
		return readdirSync(folder).filter((name) => /^\d+$/.test(name)).length;
	} catch {
		return 0;
	}
}
