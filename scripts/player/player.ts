// A player that only keeps time: `player.ts URL SESSION` prints what it saw as JSON. Run on the viewer's machine of the network.
import { setTimeout as sleep } from "node:timers/promises";
import { monotonic } from "../../src/base/time.ts";
import type { Bytes, Millis } from "../../src/base/units.ts";
import { Files } from "./fetch.ts";
import { Picture, type Still } from "./picture.ts";

/** What a session does: starts at one place, plays, winds to another, plays on. */
export interface Session {
	/** Which of the renditions, best first. */
	readonly rendition: number;
	/** Where it starts and winds to, as parts of the film. */
	readonly places: readonly number[];
	/** How long it plays at each. */
	readonly play: Millis;
	/** What it keeps ahead: hls.js by default fills 30 s. */
	readonly buffer?: Millis;
	/** Whether it asks again for what fails. */
	readonly retries?: boolean;
	/** The folder that was published: what comes is compared with it. */
	readonly source?: string;
	/** Whether it prints its progress, a line now and then. */
	readonly tells?: boolean;
}

/** How a player gets on. */
export interface Progress {
	/** Milliseconds since 1970. */
	readonly at: Millis;
	/** What was shown so far, at all places. */
	readonly shown: Millis;
	/** What is there to be shown, beyond that. */
	readonly ahead: Millis;
}

/** What a viewer sees at one place. */
export interface Sight {
	/** From the request of the place's segment to its first byte, and to its last. */
	readonly firstByte: Millis;
	readonly complete: Millis;
	/** Bytes of the segment. */
	readonly bytes: Bytes;
	/** Where the film stood still after it had begun, and for how long in all. */
	readonly stills: readonly Still[];
	readonly stalled: Millis;
	/** What was played and fetched. */
	readonly played: Millis;
	readonly fetched: Bytes;
}

/** What a player prints in the end. */
export interface Seen {
	/** Fetching playlists and the init segment. */
	readonly prepared: Millis;
	readonly sights: readonly Sight[];
	/** Files that were not as they were published, and those that had to be asked for again. */
	readonly wrong: number;
	readonly again: number;
}

interface Segment {
	readonly url: string;
	readonly duration: Millis;
}

const BUFFER: Millis = 30_000;
/** A viewer has long gone when nothing comes for so long. */
const PATIENCE: Millis = 30_000;
const TELL: Millis = 250;

const [base = "", order = ""] = process.argv.slice(2);
const session = JSON.parse(order) as Session;
const { buffer = BUFFER, retries = false, source } = session;
const original = source === undefined ? undefined : { base, folder: source };
const files = new Files({ retries, original });
let shownBefore: Millis = 0;

function patience(): AbortSignal {
	return AbortSignal.timeout(PATIENCE);
}

async function readPlaylist(url: string) {
	const segments: Segment[] = [];
	let init: string | undefined;
	let duration = 0;
	for (const line of `${await files.get(url, patience())}`.split("\n")) {
		const inf = /^#EXTINF:([\d.]+)/.exec(line)?.[1];
		const map = /^#EXT-X-MAP:URI="([^"]+)"/.exec(line)?.[1];
		if (inf !== undefined) duration = Number(inf) * 1000;
		else if (map !== undefined) init = new URL(map, url).href;
		else if (line !== "" && !line.startsWith("#"))
			segments.push({ url: new URL(line, url).href, duration });
	}
	return { init, segments };
}

/** Plays from one place on, in real time, until the time is over or the film is. */
async function playFrom(
	segments: readonly Segment[],
	place: number,
	span: Millis,
): Promise<Sight> {
	const [first, ...rest] = segments.slice(Math.floor(place * segments.length));
	if (first === undefined) throw new Error("the place is behind the film");
	const end = new AbortController();
	const began = monotonic();
	let firstByte = Number.NaN;
	const { length } = await files.get(first.url, patience(), () => {
		firstByte = monotonic() - began;
	});
	const complete = monotonic() - began;
	const picture = new Picture(first.duration);
	let fetched = length;
	const over = setTimeout(() => end.abort(), span);
	const telling = setInterval(() => tell(picture), TELL);
	try {
		for (const { url, duration } of rest) {
			while (picture.ahead > buffer)
				await sleep(100, undefined, { signal: end.signal });
			fetched += (await files.get(url, end.signal)).length;
			picture.add(duration);
		}
		picture.finish();
		await sleep(picture.ahead, undefined, { signal: end.signal });
	} catch (error) {
		if (!end.signal.aborted) throw error;
	} finally {
		clearTimeout(over);
		clearInterval(telling);
		picture.finish();
	}
	const { stills, stalled, shown } = picture;
	shownBefore += shown;
	return {
		...{ firstByte, complete, bytes: length, fetched },
		...{ stills, stalled, played: shown },
	};
}

function tell({ shown, ahead }: Picture): void {
	if (session.tells !== true) return;
	const at = Date.now();
	const progress: Progress = { at, shown: shownBefore + shown, ahead };
	console.log(JSON.stringify(progress));
}

const master = `${base}/master.m3u8`;
// Node loads its client when it is first used.
await fetch("data:,");
const began = monotonic();
const playlists = `${await files.get(master, patience())}`
	.split("\n")
	.filter((line) => line !== "" && !line.startsWith("#"));
const playlist = new URL(playlists[session.rendition] ?? "", master).href;
const { init, segments } = await readPlaylist(playlist);
if (init !== undefined) await files.get(init, patience());
const prepared = monotonic() - began;
const sights: Sight[] = [];
for (const place of session.places)
	sights.push(await playFrom(segments, place, session.play));
const { wrong, again } = files;
console.log(JSON.stringify({ prepared, sights, wrong, again } satisfies Seen));
