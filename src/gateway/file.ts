import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { OpenTitle } from "../act/ports.ts";
import { LarderError } from "../base/errors.ts";
import type { Bytes, Millis } from "../base/units.ts";
import type { Manifest, TitleFile } from "../content/manifest.ts";
import type { PlayerWord } from "../plan/session.ts";
import { etagOf, rangeApplies, settle } from "./condition.ts";
import { sendJson } from "./failure.ts";
import { type Selection, selectRange } from "./range.ts";
import { STEERING_LIST, steeringOf } from "./steering.ts";

/** Told of what leaves for the player. */
export interface Progress {
	/** `bytes` handed to the socket; called at the first of them, too. */
	sent(bytes: Bytes): void;
}

/** The request, and whom it is for: as in an Exchange of route.ts. */
interface Sending {
	readonly req: IncomingMessage;
	readonly res: ServerResponse;
	readonly progress: Progress;
	readonly began: Millis;
	readonly word: PlayerWord | undefined;
	readonly signal: AbortSignal;
}

/**
 * Answers a GET or HEAD for one file of a title (RFC 9110), or for what steers its players. The header leaves together with the first bytes.
 * Throws FILE_UNKNOWN, RANGE_OUTSIDE or what the library throws; when the header has left by then, the transfer is cut short.
 */
export async function sendFile(
	title: OpenTitle,
	path: string,
	{ req, res, progress, began, word, signal }: Sending,
): Promise<void> {
	const file = filesOf(title.manifest).get(path);
	if (file === undefined) {
		const steering = await steeringOf(title, path, signal);
		if (steering !== undefined)
			return sendJson(res, 200, steering, STEERING_LIST);
		throw new LarderError("FILE_UNKNOWN", "the title has no file of this path");
	}
	const etag = etagOf(title.id, path);
	res.setHeader("Accept-Ranges", "bytes");
	if (settle(req, res, etag, KEEP)) return;
	const selection = select(req, etag, file.length);
	if (selection.kind === "outside") {
		res.setHeader("Content-Range", `bytes */${file.length}`);
		throw new LarderError(
			"RANGE_OUTSIDE",
			`the file has ${file.length} bytes; the range starts behind them`,
		);
	}
	const { first, last } =
		selection.kind === "part" ? selection : { first: 0, last: file.length - 1 };
	const length = last - first + 1;
	const writeHead = () =>
		res.writeHead(selection.kind === "part" ? 206 : 200, {
			"Content-Type": file.type,
			"Content-Length": length,
			ETag: etag,
			...KEEP,
			...(selection.kind === "part" && {
				"Content-Range": `bytes ${first}-${last}/${file.length}`,
			}),
		});
	if (req.method === "HEAD" || length === 0) {
		writeHead().end();
		return;
	}
	let left = length;
	const offset = file.offset + first;
	const playing = { offset, length, began, word };
	for await (const chunk of title.play(playing, signal)) {
		signal.throwIfAborted();
		left -= chunk.byteLength;
		if (left < 0) break;
		if (!res.headersSent) writeHead();
		const room = res.write(chunk);
		progress.sent(chunk.byteLength);
		if (!room) await once(res, "drain", { signal });
	}
	if (left !== 0) {
		throw new LarderError(
			"INTERNAL_FAULT",
			`the library gave ${length - left} bytes instead of ${length}`,
		);
	}
	res.end();
}

// The box's disk is the cache. A copy of the plaintext in a browser's cache would wear the flash twice and outlive the key.
const KEEP = { "Cache-Control": "no-store" } as const;

function select(req: IncomingMessage, etag: string, length: Bytes): Selection {
	const counts = req.method === "GET" && rangeApplies(req.headers, etag);
	return selectRange(counts ? req.headers.range : undefined, length);
}

const tables = new WeakMap<Manifest, ReadonlyMap<string, TitleFile>>();

/** A title's files by path; built once for each manifest, for as long as somebody holds it. */
function filesOf(manifest: Manifest): ReadonlyMap<string, TitleFile> {
	let table = tables.get(manifest);
	if (table === undefined) {
		table = new Map(manifest.files.map((file) => [file.path, file]));
		tables.set(manifest, table);
	}
	return table;
}
