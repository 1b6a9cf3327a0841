import type { Stats } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import {
	createServer,
	type IncomingMessage,
	type OutgoingHttpHeaders,
	type Server,
	type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { describe, LarderError, systemCode } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { DAY, MINUTE, SECOND } from "../base/time.ts";
import type { Bytes } from "../base/units.ts";
import { rangeApplies, settle } from "../gateway/condition.ts";
import { selectRange } from "../gateway/range.ts";
import { isTitleId, type TitleId } from "../wire/ids.ts";
import { Metrics } from "./metrics.ts";

/** What lies below an origin; anything else, half-published titles too, is not there. */
const SHAPE =
	/^\/(?:([0-9a-f]{64})\/(?:manifest|0|[1-9]\d{0,6}|(holders)\/[a-z0-9][a-z0-9-]{0,31})|placement\/[0-9a-f]{64})$/;

/** Files named by their hash never change; holder tables are replaced. */
const IMMUTABLE = `public, max-age=${(365 * DAY) / SECOND}, immutable`;
const REPLACED = "no-cache";

/** A reader that leaves in the middle is nothing to tell of. */
const LEFT = new Set(["ERR_STREAM_PREMATURE_CLOSE", "ECONNRESET", "EPIPE"]);

export interface OriginServerOptions {
	readonly host: string;
	/** 0 takes a free one. */
	readonly port: number;
	/** The operator's `origin` folder. */
	readonly dir: string;
	readonly log: Log;
}

export interface OriginServer {
	readonly port: number;
	/** Bytes of files sent since the start, headers not counted. */
	readonly bytesSent: Bytes;
	/** Of these, those of titles. */
	readonly bytesByTitle: ReadonlyMap<TitleId, Bytes>;
	close(): Promise<void>;
}

/**
 * Serves the origin folder with GET, HEAD and single ranges: the default origin, which any static HTTP server can replace.
 * @throws LarderError PORT_TAKEN
 */
export async function startOrigin(
	options: OriginServerOptions,
): Promise<OriginServer> {
	const { host, port, dir, log } = options;
	let bytesSent = 0;
	const bytesByTitle = new Map<TitleId, Bytes>();
	const server = createServer({ keepAliveTimeout: 30 * SECOND });
	// A reader that takes nothing for so long is gone.
	server.setTimeout(MINUTE);
	const metrics = new Metrics(() => bytesSent);
	server.on("request", (request, response) => {
		const count = (title: TitleId | undefined, bytes: Bytes) => {
			bytesSent += bytes;
			if (title !== undefined)
				bytesByTitle.set(title, (bytesByTitle.get(title) ?? 0) + bytes);
		};
		const answered = metrics.isFor(request)
			? metrics.send(response)
			: serve(dir, request, response, count);
		answered.catch((error: unknown) => {
			if (LEFT.has(systemCode(error) ?? "")) return;
			log.warn({ path: request.url, error: describe(error) }, "not served");
			if (response.headersSent) response.destroy();
			else refuse(response, 500);
		});
	});
	await listen(server, host, port);
	return {
		port: (server.address() as AddressInfo).port,
		get bytesSent() {
			return bytesSent;
		},
		bytesByTitle,
		close: () =>
			new Promise((resolve, reject) => {
				server.close((error) => (error ? reject(error) : resolve()));
				server.closeAllConnections();
			}),
	};
}

async function serve(
	dir: string,
	request: IncomingMessage,
	response: ServerResponse,
	count: (title: TitleId | undefined, bytes: Bytes) => void,
): Promise<void> {
	const { method, headers } = request;
	if (method !== "GET" && method !== "HEAD")
		return refuse(response, 405, { allow: "GET, HEAD" });
	const [path = ""] = (request.url ?? "").split("?");
	const match = SHAPE.exec(path);
	if (match === null) return refuse(response, 404);
	const [, title = "", holders] = match;
	const file = await openFile(join(dir, path));
	if (file === undefined) return refuse(response, 404);
	try {
		const stats = await file.stat();
		if (!stats.isFile()) return refuse(response, 404);
		const etag = etagOf(stats);
		const common = {
			"accept-ranges": "bytes",
			"cache-control": holders === undefined ? IMMUTABLE : REPLACED,
		};
		if (settle(request, response, etag, common)) return;
		const { size } = stats;
		const part = selectRange(
			method === "GET" && rangeApplies(headers, etag)
				? headers.range
				: undefined,
			size,
		);
		if (part.kind === "outside")
			return refuse(response, 416, { "content-range": `bytes */${size}` });
		// A file that turns out shorter breaks the connection instead of leaving the reader to wait.
		response.strictContentLength = true;
		const { first, last } =
			part.kind === "part" ? part : { first: 0, last: size - 1 };
		response.writeHead(part.kind === "part" ? 206 : 200, {
			...common,
			etag,
			"content-type": "application/octet-stream",
			"content-length": last - first + 1,
			...(part.kind === "part" && {
				"content-range": `bytes ${first}-${last}/${size}`,
			}),
		});
		if (method === "HEAD" || size === 0) {
			response.end();
			return;
		}
		await pipeline(
			file.createReadStream({ start: first, end: last, autoClose: false }),
			async function* (chunks: AsyncIterable<Buffer>) {
				for await (const chunk of chunks) {
					count(isTitleId(title) ? title : undefined, chunk.length);
					yield chunk;
				}
			},
			response,
		);
	} finally {
		await file.close();
	}
}

async function openFile(path: string): Promise<FileHandle | undefined> {
	try {
		return await open(path, "r");
	} catch (error) {
		const code = systemCode(error);
		if (code === "ENOENT" || code === "ENOTDIR") return undefined;
		throw error;
	}
}

/** Strong: files are written once and put in place by a rename, which gives another inode. */
function etagOf({ ino, size, mtimeMs }: Stats): string {
	return `"${ino.toString(36)}-${size.toString(36)}-${mtimeMs.toString(36)}"`;
}

function refuse(
	response: ServerResponse,
	status: number,
	headers: OutgoingHttpHeaders = {},
): void {
	response.writeHead(status, { ...headers, "content-length": 0 }).end();
}

function listen(server: Server, host: string, port: number): Promise<void> {
	return new Promise((resolve, reject) => {
		server.once("error", (cause) =>
			reject(
				new LarderError("PORT_TAKEN", `${host}:${port} cannot be opened`, {
					cause,
				}),
			),
		);
		server.listen(port, host, resolve);
	});
}
