import { join } from "node:path";
import type { Millis } from "../../../src/base/units.ts";
import type { Progress, Seen, Session, Sight } from "../../player/player.ts";
import { run } from "../../run.ts";
import type { Network } from "../network/network.ts";
import { type Frames, watchInBrowser } from "./browser.ts";
import type { House, Sources } from "./contestant.ts";
import { RENDITIONS } from "./film.ts";
import type { Course, Second } from "./plot.ts";

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
	/** Of the session that is to be drawn, where its house tells. */
	readonly course: Course | undefined;
}

/** A session in Chromium. */
export type Framed = Frames & { readonly sources: Sources | undefined };

export interface Evening {
	readonly viewings: readonly Viewing[];
	readonly frames: readonly Framed[];
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
	/** How many of the sessions are hls.js in Chromium. */
	readonly inChromium: number;
	/** An existing folder for what they need. */
	readonly work: string;
	/** Which session's course is told, from 0; undefined for none. */
	readonly drawn: number | undefined;
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
	const { sessions, viewers, titles, play, killed, draw, drawn } = options;
	const { inChromium, work } = options;
	const boxes = shuffled([...network.boxes.keys()], draw);
	const doomed = boxes.splice(0, Math.round(killed * boxes.length));
	const part = (of: number) => Math.floor((of * inChromium) / sessions);
	const plan = Array.from({ length: sessions }, (_, i) => ({
		box: boxes[i % boxes.length] ?? 0,
		// Spread over the evening.
		inBrowser: i !== drawn && part(i + 1) > part(i),
		title: Math.floor(i / boxes.length) % titles,
		session: {
			rendition: Math.floor(draw() * RENDITIONS.length),
			// The last seconds of the film are left to be played.
			places: [0, 0.05 + 0.75 * draw()],
			play,
			tells: i === drawn,
		},
	}));
	const viewings: Viewing[] = [];
	const failures: string[] = [];
	const frames: Framed[] = [];
	let begun = 0;
	let ended = 0;
	const inBrowser = ({ box, title, session }: (typeof plan)[number]) =>
		during(house, box, () =>
			watchInBrowser(work, network.boxes[box]?.through ?? [], {
				url: `${house.urlOf(box, title)}/master.m3u8`,
				level: RENDITIONS.length - 1 - session.rendition,
				place: session.places.at(-1) ?? 0,
				play,
			}),
		);
	const watch = async () => {
		for (let next = plan[begun]; next !== undefined; next = plan[begun]) {
			begun++;
			if (begun === Math.ceil(sessions / 2))
				for (const box of doomed) await house.kill?.(box);
			try {
				if (next.inBrowser) frames.push(await inBrowser(next));
				else
					viewings.push(
						await during(house, next.box, () => view(network, house, next)),
					);
			} catch (error) {
				failures.push(`box ${next.box}: ${String(error).slice(-300)}`);
			}
			say(`${++ended} of ${sessions} sessions`);
		}
	};
	await Promise.all(Array.from({ length: viewers }, watch));
	return { viewings, frames, failures };
}

async function view(
	network: Network,
	house: House,
	what: { box: number; title: number; session: Session },
): Promise<Omit<Viewing, "sources">> {
	const { box, title, session } = what;
	const [enter = "", ...words] = [
		...(network.boxes[box]?.through ?? []),
		...[process.execPath, PLAYER, house.urlOf(box, title)],
		JSON.stringify(session),
	];
	const following = session.tells === true ? house.follow?.(box) : undefined;
	let seconds: Second[] | undefined;
	let printed = "";
	try {
		printed = await run(enter, words);
	} finally {
		seconds = await following?.end();
	}
	const lines = printed.trim().split("\n");
	const seen = JSON.parse(lines.pop() ?? "") as Seen;
	const levels = lines.map((line) => JSON.parse(line) as Progress);
	return { box, session, ...seen, course: seconds && { seconds, levels } };
}

/** What a viewer got while `work` was done, by source. */
async function during<T>(
	house: House,
	box: number,
	work: () => Promise<T>,
): Promise<T & { sources: Sources | undefined }> {
	const before = await house.sourcesOf(box);
	const done = await work();
	const after = await house.sourcesOf(box);
	return { ...done, sources: before && after && difference(after, before) };
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
