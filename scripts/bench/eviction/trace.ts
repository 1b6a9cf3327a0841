import { DAY, HOUR, MINUTE } from "../../../src/base/time.ts";
import { type Bytes, MiB, type Millis } from "../../../src/base/units.ts";

export const SHARD: Bytes = 16 * MiB;
const WEEK: Millis = 7 * DAY;

/** How popular the titles are: Zipf with this exponent, or stretched exponential. */
export type Popularity = number | "stretched";

export interface TraceSettings {
	readonly popularity: Popularity;
	readonly titles: number;
	/** Plays in the week. */
	readonly plays: number;
	/** Households, each as likely to play as any other. */
	readonly boxes: number;
	readonly seed: number;
}

/** A viewer begins to read a shard. */
export interface Request {
	readonly at: Millis;
	readonly box: number;
	readonly title: number;
	readonly shard: number;
	/** Of the shard, numbered through all titles. */
	readonly key: number;
	readonly bytes: Bytes;
}

export interface Trace {
	/** By time. */
	readonly requests: readonly Request[];
	/** Bytes of all requests, and of all titles. */
	readonly asked: Bytes;
	readonly catalog: Bytes;
}

interface Title {
	readonly minutes: number;
	readonly bytes: Bytes;
	readonly firstKey: number;
	/** When it comes out; before the week for most. */
	readonly release: Millis;
	readonly weight: number;
}

/** Share of a day's plays by the hour, up to a factor: twenty times as many at nine in the evening as at four in the morning. */
const HOURS = [
	...[0.35, 0.2, 0.12, 0.1, 0.1, 0.12, 0.2, 0.35, 0.45, 0.5, 0.55, 0.6],
	...[0.7, 0.7, 0.65, 0.65, 0.75, 0.95, 1.3, 1.8, 2.2, 2.1, 1.5, 0.8],
];
/** So many of the titles come out in this week. */
const NEW = 0.05;
/** A new title begins as wanted as the best of so many, and loses that by 1/e in so long. */
const HIT = 50;
const NEWS: Millis = 2 * DAY;
/** How popularity stands is looked up so often. */
const EPOCH: Millis = 6 * HOUR;

/** Numbers in [0, 1), the same for the same seed. Source: mulberry32 (T. Ettinger, public domain). */
export function seededRandom(seed: number): () => number {
	let state = seed | 0;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
		mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
}

/** A week of viewing, the same for the same settings. */
export function makeTrace(settings: TraceSettings): Trace {
	const random = seededRandom(settings.seed);
	const titles = makeTitles(settings, random);
	const draw = drawing(titles, random);
	const requests: Request[] = [];
	for (const at of times(settings.plays, random)) {
		const title = draw(at);
		const played = titles[title];
		if (played === undefined) continue;
		const box = Math.floor(random() * settings.boxes);
		const { minutes, bytes, firstKey } = played;
		const span = (minutes * MINUTE * SHARD) / bytes;
		const stay = stayOf(minutes, random) * MINUTE;
		for (let shard = 0; shard * span < stay; shard++) {
			requests.push({
				...{ at: at + shard * span, box, title, shard, key: firstKey + shard },
				bytes: Math.min(SHARD, bytes - shard * SHARD),
			});
		}
	}
	requests.sort((a, b) => a.at - b.at);
	return {
		requests,
		asked: requests.reduce((sum, { bytes }) => sum + bytes, 0),
		catalog: titles.reduce((sum, { bytes }) => sum + bytes, 0),
	};
}

function makeTitles(
	{ titles: count, popularity }: TraceSettings,
	random: () => number,
): Title[] {
	const titles: Title[] = [];
	for (let rank = 1, firstKey = 0; rank <= count; rank++) {
		const minutes = minutesOf(random);
		const bytes = Math.ceil((minutes * 60 * (3 + 3 * random()) * 1e6) / 8);
		const release = random() < NEW ? random() * WEEK : -1;
		const weight = weightOf(rank, count, popularity);
		titles.push({ minutes, bytes, firstKey, release, weight });
		firstKey += Math.ceil(bytes / SHARD);
	}
	return titles;
}

/** Films, episodes and clips. */
function minutesOf(random: () => number): number {
	const kind = random();
	if (kind < 0.45) return 80 + 50 * random();
	return kind < 0.85 ? 20 + 35 * random() : 3 + 7 * random();
}

/**
 * Plays of the title of a rank, up to a factor. Stretched exponential: plays^c = b - a ln(rank), with c = 0.2 and the last one played
 * once (L. Guo et al., The stretched exponential distribution of Internet media access patterns, PODC 2008).
 */
function weightOf(rank: number, count: number, popularity: Popularity): number {
	return popularity === "stretched"
		? (1 + 0.35 * Math.log(count / rank)) ** 5
		: rank ** -popularity;
}

/**
 * Minutes that a viewer stays. A fifth see the end (L. Chen et al., Video Browsing, ICCCN 2013); of the others half leave after an
 * exponential time in the first minutes, half after one by a truncated power law (Y. Chen et al., On Distribution of User
 * Movie Watching Time, ICC 2014, which has these shapes).
 */
function stayOf(minutes: number, random: () => number): number {
	const kind = random();
	if (kind < 0.2) return minutes;
	if (kind < 0.6) return Math.min(minutes, -5 * Math.log(1 - random()));
	const [least, exponent] = [Math.min(5, minutes), 0.7];
	const rest = 1 - (least / minutes) ** exponent;
	return least * (1 - random() * rest) ** (-1 / exponent);
}

/** When plays begin, in order: each day alike, with its evening. */
function times(plays: number, random: () => number): number[] {
	const sum = HOURS.reduce((all, hour) => all + hour, 0);
	return Array.from({ length: plays }, () => {
		let point = random() * sum;
		let hour = 0;
		while (point > (HOURS[hour] ?? sum)) point -= HOURS[hour++] ?? 0;
		return Math.floor(random() * 7) * DAY + (hour + random()) * HOUR;
	}).sort((a, b) => a - b);
}

/** Draws titles as popular as they are at the time; times must not run backwards. */
function drawing(titles: readonly Title[], random: () => number) {
	const hit = titles[Math.floor(titles.length / HIT)]?.weight ?? 0;
	const sums = new Float64Array(titles.length);
	let epoch = -1;
	const look = (now: Millis) => {
		let sum = 0;
		for (const [i, { release, weight }] of titles.entries()) {
			const age = now - release;
			const news = release < 0 ? 0 : hit * Math.exp(-age / NEWS);
			if (release < 0 || age >= 0) sum += weight + news;
			sums[i] = sum;
		}
	};
	return (at: Millis): number => {
		const now = Math.floor(at / EPOCH);
		if (now !== epoch) look(now * EPOCH);
		epoch = now;
		const point = random() * (sums.at(-1) ?? 0);
		let [low, high] = [0, titles.length - 1];
		while (low < high) {
			const middle = (low + high) >> 1;
			if ((sums[middle] ?? 0) > point) high = middle;
			else low = middle + 1;
		}
		return low;
	};
}
