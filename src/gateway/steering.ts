import type { OpenTitle } from "../act/ports.ts";
import { type Bytes, MiB } from "../base/units.ts";
import { isElsewhere, resolve } from "../content/path.ts";
import { type Entry, entriesOf } from "./entry.ts";

export const STEERING_LIST = "application/vnd.apple.steering-list";

/** Where a player is to read from next (draft-pantos-content-steering, section 4; ETSI TS 103 998 for DASH). */
export interface SteeringManifest {
	readonly VERSION: 1;
	/** Seconds after which it is asked for again. */
	readonly TTL: number;
	readonly "PATHWAY-PRIORITY": readonly string[];
}

/** As the draft would have it; what is said never changes. */
const TTL = 300;
/** Nobody writes a longer playlist that names renditions only. */
const LONGEST: Bytes = MiB;

interface Steered {
	/** The address of the server, relative to the file. */
	readonly server: string;
	/** Ids of the ways to the media, the one to begin with first. */
	readonly pathways: readonly string[];
}

/**
 * What a box says as the steering server of a title, at the relative address that its playlist or MPD gives for one: all ways of a title end
 * at this box, so a player is to stay on the one to begin with, and here. Undefined when nothing names the path as such.
 */
export async function steeringOf(
	title: OpenTitle,
	path: string,
	signal: AbortSignal,
): Promise<SteeringManifest | undefined> {
	for (const entry of entriesOf(title.manifest)) {
		const steered = await steeredBy(title, entry, signal);
		if (steered === undefined || steered.pathways.length === 0) continue;
		const { server } = steered;
		if (isElsewhere(server) || resolve(entry.path, server) !== path) continue;
		return { VERSION: 1, TTL, "PATHWAY-PRIORITY": steered.pathways };
	}
	return undefined;
}

async function steeredBy(
	title: OpenTitle,
	{ format, path }: Entry,
	signal: AbortSignal,
): Promise<Steered | undefined> {
	const file = title.manifest.files.find((one) => one.path === path);
	if (file === undefined || format === "mp4") return undefined;
	const chunks: Buffer[] = [];
	const length = Math.min(file.length, LONGEST);
	for await (const chunk of title.read(file.offset, length, signal))
		chunks.push(Buffer.from(chunk));
	const text = Buffer.concat(chunks).toString();
	return format === "hls" ? steeredHls(text) : steeredDash(text);
}

function steeredHls(text: string): Steered | undefined {
	const tag = /^#EXT-X-CONTENT-STEERING:.*$/m.exec(text)?.[0];
	const server = tag && attribute(tag, "SERVER-URI");
	if (tag === undefined || server === undefined) return undefined;
	const variants = text.match(/^#EXT-X-STREAM-INF:.*$/gm) ?? [];
	const ids = variants.map((line) => attribute(line, "PATHWAY-ID") ?? ".");
	return { server, pathways: inOrder(attribute(tag, "PATHWAY-ID"), ids) };
}

/** One of an HLS tag's, in quotes. */
function attribute(tag: string, name: string): string | undefined {
	return new RegExp(`[:,]\\s*${name}="([^"]*)"`).exec(tag)?.[1];
}

function steeredDash(text: string): Steered | undefined {
	const element = /<ContentSteering\b([^>]*)>([^<]*)</.exec(text);
	if (element === null) return undefined;
	const [, attributes = "", server = ""] = element;
	const first = /\bdefaultServiceLocation="([^"\s]*)/.exec(attributes)?.[1];
	const named = text.matchAll(/\sserviceLocation="([^"]*)"/g);
	const ids = [...named].map(([, id = ""]) => id);
	return { server: server.trim(), pathways: inOrder(first, ids) };
}

function inOrder(first: string | undefined, ids: readonly string[]): string[] {
	const rest = [...new Set(ids)];
	return first !== undefined && rest.includes(first)
		? [first, ...rest.filter((id) => id !== first)]
		: rest;
}
