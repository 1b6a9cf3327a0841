import { join } from "node:path";
import { LarderError } from "../base/errors.ts";
import { SECOND } from "../base/time.ts";
import type { Bytes, Millis } from "../base/units.ts";
import type { DeskBox, Neighbourhood } from "../desk/neighbourhood.ts";
import { type Played, playAll } from "../desk/play.ts";
import type { TitleRecord } from "../headend/publish/titles.ts";
import { type Level, LiveTable } from "./live.ts";
import { print } from "./output.ts";
import type { ProgressBar } from "./progress.ts";

/** A fill that brings nothing new for so long has come to a halt. */
const PATIENCE: Millis = 60 * SECOND;

export interface Title extends TitleRecord {
	readonly shards: number;
}

/**
 * Shows the boxes filling, as they report it over MQTT, until all hold what is placed on them.
 * Throws COMMAND_FAILED, naming the boxes that lack something, when nothing moves any more.
 * @param wanted copies of shards in all
 */
export async function fill(
	neighbourhood: Neighbourhood,
	wanted: number,
	signal: AbortSignal,
): Promise<void> {
	const { observer } = neighbourhood;
	const live = new LiveTable(3);
	const halt = new AbortController();
	const timer = setTimeout(() => halt.abort(), PATIENCE);
	let before = -1;
	const draw = () => {
		live.draw(reported(neighbourhood), wanted);
		const { held } = neighbourhood.levels();
		if (held !== before) timer.refresh();
		before = held;
	};
	const end = observer.onChange(draw);
	try {
		draw();
		const either = AbortSignal.any([signal, halt.signal]);
		await neighbourhood.filled(wanted, either);
	} catch (cause) {
		if (!halt.signal.aborted) throw cause;
		throw new LarderError("COMMAND_FAILED", halted(neighbourhood, wanted));
	} finally {
		clearTimeout(timer);
		end();
		live.end();
	}
}

/** Bytes where they are counted: at the boxes. */
export async function count(
	neighbourhood: Neighbourhood,
): Promise<{ placedBytes: Bytes; heldBytes: Bytes; fromOrigin: Bytes }> {
	const sum = { placedBytes: 0, heldBytes: 0, fromOrigin: 0 };
	for (const box of neighbourhood.boxes) {
		const { store, counters } = await neighbourhood.statusOf(box);
		sum.placedBytes += store.placedBytes;
		sum.heldBytes += store.heldBytes;
		sum.fromOrigin += counters.fromOrigin;
	}
	return sum;
}

/** Plays the whole title and gives what came from where, as the box counted it. */
export async function play(
	neighbourhood: Neighbourhood,
	viewer: DeskBox,
	{ id }: Title,
	source: string,
	bar: ProgressBar,
	signal: AbortSignal,
) {
	const gateway = neighbourhood.gatewayOf(viewer);
	let played: Played;
	try {
		played = await playAll(
			gateway,
			id,
			source,
			(done, total) => bar.show("playing", done, total),
			signal,
		);
	} finally {
		bar.clear();
	}
	const { counters } = await neighbourhood.statusOf(viewer);
	return {
		bytes: played.bytes,
		fromDisk: counters.playedFromDisk,
		fromNeighbours: counters.playedFromNeighbours,
		fromOrigin: counters.playedFromOrigin,
		firstByteMs: played.firstByteMs,
		mismatches: played.mismatches,
	};
}

/** Names the pages and shows what the boxes hold and serve until `signal` is aborted by a person; rejects when a process ends. */
export async function stay(
	neighbourhood: Neighbourhood,
	viewer: DeskBox,
	{ id }: Title,
	signal: AbortSignal,
): Promise<void> {
	const gateway = neighbourhood.gatewayOf(viewer);
	const page = await neighbourhood.pageUrl;
	const lines = `
  operator's page   ${page}
  player page       ${gateway}/
  for any player    ${gateway}/titles/${id}/
  drop titles into  ${join(neighbourhood.operator.dir, "ingest")}
  status of a box   npm run -s larder -- status -c ${join(viewer.dir, "larder.toml")}

  Ctrl-C ends everything.
`;
	print(lines);
	// Long addresses take a second line on narrow terminals.
	const live = new LiveTable(lines.split("\n").length + 3);
	const terminal = process.stderr.isTTY;
	while (!signal.aborted) {
		if (terminal) live.draw(await asked(neighbourhood));
		await pause(SECOND, signal);
	}
	live.end();
	neighbourhood.broken.throwIfAborted();
}

/** As the boxes last reported over MQTT. */
function reported(neighbourhood: Neighbourhood): Level[] {
	const { observer } = neighbourhood;
	return inOrder(neighbourhood).map(({ id, name }) => {
		const { shards, counters } = observer.fills.get(id) ?? NOTHING;
		const said = observer.reports.get(id);
		const trouble = said?.phase === "failed" || said?.phase === "short";
		return { name, shards, counters, trouble: trouble ? said.code : undefined };
	});
}

/** As the boxes say when they are asked now. */
async function asked(neighbourhood: Neighbourhood): Promise<Level[]> {
	return await Promise.all(
		inOrder(neighbourhood).map(async (box) => {
			const { name } = box;
			try {
				const { store, counters } = await neighbourhood.statusOf(box);
				return { name, shards: store.shards, counters };
			} catch {
				return { name, ...NOTHING, trouble: "does not answer" };
			}
		}),
	);
}

function inOrder({ boxes }: Neighbourhood): DeskBox[] {
	return boxes.toSorted((a, b) =>
		a.name.localeCompare(b.name, "en", { numeric: true }),
	);
}

const NOTHING = {
	shards: { placed: 0, held: 0 },
	counters: { fromOrigin: 0, fromNeighbours: 0, toNeighbours: 0, toPlayers: 0 },
};

function halted({ boxes, observer }: Neighbourhood, wanted: number): string {
	const lines = boxes.map(({ id, name }) => {
		const { placed = 0, held = 0 } = observer.fills.get(id)?.shards ?? {};
		const { phase, code, detail } = observer.reports.get(id) ?? {};
		const said = [phase ?? "nothing reported", code, detail];
		return `${name}: ${held} of ${placed} shards; ${said.filter(Boolean).join(", ")}`;
	});
	const what = `nothing moved for ${PATIENCE / SECOND} s; ${wanted} copies of shards were to be held`;
	return [what, ...lines].join("\n");
}

/** Resolves after so long, or at once when aborted. */
function pause(ms: Millis, signal: AbortSignal): Promise<void> {
	return new Promise((resolve) => {
		const timer = setTimeout(resolve, ms);
		signal.addEventListener("abort", () => {
			clearTimeout(timer);
			resolve();
		});
	});
}
