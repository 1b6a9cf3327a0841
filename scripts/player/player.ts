// A player that only keeps time: `player.ts URL SESSION` prints what it saw as JSON. Run on the viewer's machine of the network.
import { setTimeout as sleep } from "node:timers/promises";
import type { Millis } from "../../../src/base/units.ts";
import { clock } from "../measure/process.ts";

/** What a session does: starts at one place, plays, winds to another, plays on. */
export interface Session {
	/** Which of the renditions, best first. */
	readonly rendition: number;
	/** Where it starts and winds to, as parts of the film. */
	readonly places: readonly number[];
	/** How long it plays at each. */
	readonly play: Millis;
}

/** What a viewer sees at one place. */
export interface Sight {
	/** From the request of the place's segment to its first byte, and to its last. */
	readonly firstByte: Millis;
	readonly complete: Millis;
	/** Bytes of the segment. */
	readonly bytes: number;
	/** How often the film stood still after it had begun, and for how long in all. */
	readonly stalls: number;
	readonly stalled: Millis;
	/** What was played and fetched. */
	readonly played: Millis;
	readonly fetched: number;
}

interface Segment {
	readonly url: string;
	readonly duration: Millis;
}

/** What a player keeps ahead: hls.js by default fills 30 s. */
const BUFFER: Millis = 30_000;
/** A viewer has long gone when nothing comes for so long. */
const PATIENCE: Millis = 30_000;

const [base = "", order = ""] = process.argv.slice(2);
const session = JSON.parse(order) as Session;

async function text(url: string): Promise<string> {
	const answer = await fetch(url, { signal: AbortSignal.timeout(PATIENCE) });
	if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
	return await answer.text();
}

async function readPlaylist(url: string) {
	const segments: Segment[] = [];
	let init = "";
	let duration = 0;
	for (const line of (await text(url)).split("\n")) {
		const inf = /^#EXTINF:([\d.]+)/.exec(line)?.[1];
		const map = /^#EXT-X-MAP:URI="([^"]+)"/.exec(line)?.[1];
		if (inf !== undefined) duration = Number(inf) * 1000;
		else if (map !== undefined) init = new URL(map, url).href;
		else if (line !== "" && !line.startsWith("#"))
			segments.push({ url: new URL(line, url).href, duration });
	}
	return { init, segments };
}

/** Fetches all of it; `onFirst` at its first byte. */
async function fetchAll(
	url: string,
	signal: AbortSignal,
	onFirst: () => void = () => undefined,
): Promise<number> {
	const answer = await fetch(url, { signal });
	if (!answer.ok || answer.body === null)
		throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
	let bytes = 0;
	for await (const chunk of answer.body) {
		if (bytes === 0) onFirst();
		bytes += chunk.length;
	}
	return bytes;
}

/** How far the picture has come: it stands still while what comes next is not there whole. */
class Picture {
	stalls = 0;
	private still: Millis = 0;
	private stillSince: Millis | undefined;
	private readonly started = clock();
	/** How much of the film is there, from where it started. */
	private there: Millis;
	private readonly timer = setInterval(() => this.look(), 10);

	constructor(there: Millis) {
		this.there = there;
	}

	get shown(): Millis {
		return clock() - this.started - this.stalled;
	}

	get stalled(): Millis {
		const { stillSince } = this;
		return this.still + (stillSince === undefined ? 0 : clock() - stillSince);
	}

	get ahead(): Millis {
		return this.there - this.shown;
	}

	add(more: Millis): void {
		this.still = this.stalled;
		this.stillSince = undefined;
		this.there += more;
	}

	end(): void {
		clearInterval(this.timer);
	}

	private look(): void {
		if (this.stillSince !== undefined || this.ahead > 0) return;
		this.stalls++;
		this.stillSince = clock();
	}
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
	const began = clock();
	let firstByte = Number.NaN;
	const patience = AbortSignal.timeout(PATIENCE);
	const bytes = await fetchAll(first.url, patience, () => {
		firstByte = clock() - began;
	});
	const complete = clock() - began;
	const picture = new Picture(first.duration);
	let fetched = bytes;
	const over = setTimeout(() => end.abort(), span);
	try {
		for (const { url, duration } of rest) {
			while (picture.ahead > BUFFER)
				await sleep(100, undefined, { signal: end.signal });
			fetched += await fetchAll(url, end.signal);
			picture.add(duration);
		}
		await sleep(picture.ahead, undefined, { signal: end.signal });
	} catch (error) {
		if (!end.signal.aborted) throw error;
	} finally {
		clearTimeout(over);
		picture.end();
	}
	const { stalls, stalled, shown } = picture;
	return {
		...{ firstByte, complete, bytes, fetched },
		...{ stalls, stalled, played: shown },
	};
}

const master = `${base}/master.m3u8`;
// Node loads its client when it is first used.
await text("data:,");
const began = clock();
const playlists = (await text(master))
	.split("\n")
	.filter((line) => line !== "" && !line.startsWith("#"));
const playlist = new URL(playlists[session.rendition] ?? "", master).href;
const { init, segments } = await readPlaylist(playlist);
await text(init);
const prepared = clock() - began;
const sights: Sight[] = [];
for (const place of session.places)
	sights.push(await playFrom(segments, place, session.play));
console.log(JSON.stringify({ prepared, sights }));
