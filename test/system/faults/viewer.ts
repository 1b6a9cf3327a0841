import { spawn } from "node:child_process";
import { on, once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import type { Test } from "tap";
import type {
	Progress,
	Seen,
	Session,
} from "../../../scripts/player/player.ts";
import { SECOND } from "../../../src/base/time.ts";
import type { Bytes, Millis } from "../../../src/base/units.ts";
import type {
	DeskBox,
	Neighbourhood,
} from "../../../src/desk/neighbourhood.ts";
import type { BoxId } from "../../../src/wire/ids.ts";
import { type Film, poll } from "../desk.ts";

const PLAYER = join(import.meta.dirname, "../../../scripts/player/player.ts");

/** What is shorter nobody sees, and plan/session.ts does not count. */
const STALL: Millis = 100;

/** Bytes that a box's players got, by where they came from. */
export interface Sources {
	readonly disk: Bytes;
	readonly neighbours: Bytes;
	readonly origin: Bytes;
}

/** Somebody who watches a film at a box. */
export interface Viewer {
	readonly box: DeskBox;
	/** Resolves when the player has come so far; rejects when it ends before. */
	until(isThere: (progress: Progress) => boolean): Promise<void>;
	/** How it was to watch, once it is over. */
	readonly seen: Promise<Seen>;
}

/** Presses play at a box, on its own machine. */
export function press(
	t: Test,
	desk: Neighbourhood,
	box: DeskBox,
	film: Film,
	session: Partial<Session>,
): Viewer {
	const order = {
		...{ rendition: 0, places: [0], play: 0, source: film.source },
		...{ tells: true, ...session },
	} satisfies Session;
	const url = `${desk.gatewayOf(box)}/titles/${film.id}`;
	const [enter = "", ...words] = [
		...(box.within ?? []),
		...[process.execPath, PLAYER, url, JSON.stringify(order)],
	];
	const child = spawn(enter, words, { stdio: ["ignore", "pipe", "pipe"] });
	t.teardown(() => child.kill("SIGKILL"));
	let last = "";
	const lines = createInterface(child.stdout);
	lines.on("line", (line) => {
		last = line;
	});
	const said = text(child.stderr);
	const failure = async () =>
		new Error(`the player at ${box.name} has ended: ${await said}`);
	const ended = Promise.all([once(child, "close"), once(lines, "close")]);
	const seen = ended.then(async ([[code]]) => {
		if (code !== 0) throw await failure();
		return JSON.parse(last) as Seen;
	});
	seen.catch(() => undefined);
	return {
		box,
		seen,
		until: async (isThere) => {
			for await (const [line] of on(lines, "line", { close: ["close"] }))
				if (isThere(JSON.parse(line) as Progress)) return;
			throw await failure();
		},
	};
}

/** What a box's players got so far. */
async function sourcesOf(desk: Neighbourhood, box: DeskBox): Promise<Sources> {
	const { counters } = await desk.statusOf(box);
	return {
		disk: counters.playedFromDisk,
		neighbours: counters.playedFromNeighbours,
		origin: counters.playedFromOrigin,
	};
}

/** The neighbour that gives most to a box, over the time that it takes until any gives. */
export async function busiest(
	desk: Neighbourhood,
	box: DeskBox,
	holders: readonly DeskBox[],
): Promise<DeskBox> {
	const before = await givenBy(desk, box);
	return await poll("somebody gives", async () => {
		const now = await givenBy(desk, box);
		const gave = (id: BoxId) => (now.get(id) ?? 0) - (before.get(id) ?? 0);
		const [most] = holders.toSorted((a, b) => gave(b.id) - gave(a.id));
		return most !== undefined && gave(most.id) > 0 && most;
	});
}

async function givenBy(desk: Neighbourhood, box: DeskBox) {
	const { neighbours } = (await desk.statusOf(box)).swarm;
	return new Map(neighbours.map(({ box, bytesFrom }) => [box, bytesFrom]));
}

/** Its picture never stood still, and every byte was right. Says how it was, and where all bytes of its box came from so far. */
export async function mustBeSmooth(
	t: Test,
	desk: Neighbourhood,
	{ box, seen }: Viewer,
	what: string,
): Promise<void> {
	const { sights, wrong, again } = await seen;
	const told = sights.map(
		({ complete, played }) =>
			`a picture after ${Math.round(complete)} ms for ${(played / SECOND).toFixed(1)} s`,
	);
	const sources = inWords(await sourcesOf(desk, box));
	t.comment(`${what}: ${[...told, `${again} tries more`, sources].join(", ")}`);
	const stills = sights
		.flatMap(({ stills }) => stills)
		.filter(({ span }) => span > STALL);
	t.same({ stills, wrong }, { stills: [], wrong: 0 }, what);
}

function inWords(sources: Sources): string {
	const all = sources.disk + sources.neighbours + sources.origin;
	return Object.entries(sources)
		.map(([name, bytes]) => `${name} ${Math.round((100 * bytes) / all)} %`)
		.join(", ");
}
