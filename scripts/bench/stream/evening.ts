import { join } from "node:path";
import type { Millis } from "../../../src/base/units.ts";
import type { Session, Sight } from "../../player/player.ts";
import { run } from "../../run.ts";
import type { Network } from "../network/network.ts";
import type { House, Sources } from "./contestant.ts";
import { RENDITIONS } from "./film.ts";

const PLAYER = join(import.meta.dirname, "../../player/player.ts");

/** One viewer's session: where, what, and how it went. */
export interface Viewing {
	readonly box: number;
	readonly session: Session;
	/** Fetching playlists and the init segment. */
	readonly prepared: Millis;
	/** At its start, then at the place it winds to. */
	readonly sights: readonly Sight[];
	readonly sources: Sources | undefined;
}

export interface Evening {
	readonly viewings: readonly Viewing[];
	/** Sessions that ended with an error, and the error. */
	readonly failures: readonly string[];
}

export interface EveningOptions {
	readonly sessions: number;
	/** How many at once. */
	readonly viewers: number;
	readonly titles: number;
	readonly play: Millis;
	/** The part of the boxes that are killed when half of the sessions have begun; nobody watches at those. */
	readonly killed: number;
	/** Drawn numbers in [0, 1); the same for each contestant. */
	readonly draw: () => number;
}

/** Sessions, a few at once, each at a box where nobody else watches and which has not played the title yet, as far as there are any. */
export async function spend(
	network: Network,
	house: House,
	options: EveningOptions,
	say: (line: string) => void,
): Promise<Evening> {
	const { sessions, viewers, titles, play, killed, draw } = options;
	const boxes = shuffled([...network.boxes.keys()], draw);
	const doomed = boxes.splice(0, Math.round(killed * boxes.length));
	const plan = Array.from({ length: sessions }, (_, i) => ({
		box: boxes[i % boxes.length] ?? 0,
		title: Math.floor(i / boxes.length) % titles,
		session: {
			rendition: Math.floor(draw() * RENDITIONS.length),
			// The last seconds of the film are left to be played.
			places: [0, 0.05 + 0.75 * draw()],
			play,
		},
	}));
	const viewings: Viewing[] = [];
	const failures: string[] = [];
	let begun = 0;
	const watch = async () => {
		for (let next = plan[begun]; next !== undefined; next = plan[begun]) {
			begun++;
			if (begun === Math.ceil(sessions / 2))
				for (const box of doomed) await house.kill?.(box);
			try {
				viewings.push(await view(network, house, next));
			} catch (error) {
				failures.push(`box ${next.box}: ${String(error).slice(-300)}`);
			}
			say(`${viewings.length + failures.length} of ${sessions} sessions`);
		}
	};
	await Promise.all(Array.from({ length: viewers }, watch));
	return { viewings, failures };
}

async function view(
	network: Network,
	house: House,
	what: { box: number; title: number; session: Session },
): Promise<Viewing> {
	const { box, title, session } = what;
	const before = await house.sourcesOf(box);
	const [enter = "", ...words] = [
		...(network.boxes[box]?.through ?? []),
		...[process.execPath, PLAYER, house.urlOf(box, title)],
		JSON.stringify(session),
	];
	const seen = JSON.parse(await run(enter, words)) as Pick<
		Viewing,
		"prepared" | "sights"
	>;
	const after = await house.sourcesOf(box);
	const sources = before && after && difference(after, before);
	return { box, session, ...seen, sources };
}

function difference(after: Sources, before: Sources): Sources {
	return {
		disk: after.disk - before.disk,
		neighbours: after.neighbours - before.neighbours,
		origin: after.origin - before.origin,
	};
}

/** R. Durstenfeld, "Algorithm 235: Random permutation", 1964. */
function shuffled<T>(values: T[], draw: () => number): T[] {
	for (let i = values.length - 1; i > 0; i--) {
		const j = Math.floor(draw() * (i + 1));
		[values[i], values[j]] = [values[j] as T, values[i] as T];
	}
	return values;
}
