import type { IncomingMessage } from "node:http";
import type { Origin } from "../act/ports.ts";
import { LarderError } from "../base/errors.ts";
import { type Bytes, MiB } from "../base/units.ts";
import { MAX_MANIFEST } from "../content/manifest.ts";
import { isInside } from "../content/path.ts";
import type { Region, TitleId } from "../wire/ids.ts";
import { cutOf, isEncoded, lengthOf, refusal } from "./range.ts";
import {
	Connections,
	originFailed,
	PATIENCE,
	type Patience,
} from "./request.ts";

const MAX_HOLDERS: Bytes = 16 * MiB;

export interface OriginOptions {
	/** Where the title files lie: `http(s)://host[:port]/[folder/]`. */
	readonly base: string;
	/** Whose holder tables are read. */
	readonly region: Region;
	/** Waits until the box may take so many more bytes from the origin. */
	readonly pace?: (bytes: Bytes, signal: AbortSignal) => Promise<void>;
	/** Called with the bytes of every chunk received. */
	readonly onBytes?: (bytes: Bytes) => void;
	readonly patience?: Patience;
}

/**
 * The title files of any static HTTP server. Nothing is retried here and nothing is believed:
 * callers check what they get against the title id or a signature.
 */
export class OriginClient implements Origin {
	private readonly base: URL;
	private readonly region: Region;
	private readonly pace: NonNullable<OriginOptions["pace"]>;
	private readonly onBytes: (bytes: Bytes) => void;
	private readonly connections: Connections;

	/** @throws LarderError CONFIG_INVALID when the base is not an address of a web server */
	constructor(options: OriginOptions) {
		const { base, region, pace, onBytes, patience = PATIENCE } = options;
		const url = URL.parse(base.endsWith("/") ? base : `${base}/`);
		const protocol = url?.protocol;
		if (url === null || (protocol !== "http:" && protocol !== "https:"))
			throw new LarderError(
				"CONFIG_INVALID",
				`"${base}" is not an address of an origin (http:// or https://)`,
			);
		this.base = url;
		this.region = region;
		this.pace = pace ?? (() => Promise.resolve());
		this.onBytes = onBytes ?? (() => undefined);
		this.connections = new Connections(protocol, patience);
	}

	/** Sockets in use or kept for the next request. */
	get sockets(): number {
		return this.connections.sockets;
	}

	manifest(id: TitleId, signal: AbortSignal): Promise<Buffer> {
		return this.file(`${id}/manifest`, MAX_MANIFEST, signal);
	}

	holders(id: TitleId, signal: AbortSignal): Promise<Buffer> {
		return this.file(`${id}/holders/${this.region}`, MAX_HOLDERS, signal);
	}

	async file(path: string, limit: Bytes, signal: AbortSignal): Promise<Buffer> {
		const url = this.locate(path);
		const response = await this.connections.get(url, {}, signal);
		const announced = lengthOf(response.headers);
		if (response.statusCode !== 200) this.refuse(url, response);
		if (announced !== undefined && announced > limit)
			this.refuse(url, response, `${announced} bytes, at most ${limit}`);
		const chunks: Buffer[] = [];
		let size = 0;
		for await (const chunk of this.body(url, response, signal)) {
			size += chunk.length;
			if (size > limit) throw originFailed(url, `more than ${limit} bytes`);
			chunks.push(chunk);
		}
		return Buffer.concat(chunks, size);
	}

	async *shard(
		id: TitleId,
		shard: number,
		offset: Bytes,
		length: Bytes,
		signal: AbortSignal,
	): AsyncGenerator<Buffer> {
		if (length === 0) return;
		const url = this.locate(`${id}/${shard}`);
		const range = `bytes=${offset}-${offset + length - 1}`;
		const response = await this.connections.get(url, { range }, signal);
		const cut = cutOf(response, offset, length);
		if (typeof cut === "string") this.refuse(url, response, cut);
		let { skip } = cut;
		let missing = length;
		for await (const chunk of this.body(url, response, signal)) {
			const wanted = chunk.subarray(skip, skip + missing);
			const spare = chunk.length - skip - wanted.length;
			skip = Math.max(0, skip - chunk.length);
			missing -= wanted.length;
			if (cut.exact && spare > 0)
				throw originFailed(url, `more than the ${length} bytes asked for`);
			if (wanted.length > 0) yield wanted;
			// Whoever sends the whole file is stopped here; an exact answer is read to its end to keep the socket.
			if (missing === 0 && !cut.exact) return;
		}
		if (missing > 0)
			throw originFailed(url, `${missing} of ${length} bytes did not come`);
	}

	/** Ends all requests and closes the sockets. */
	close(): void {
		this.connections.close();
	}

	private async *body(
		url: URL,
		response: IncomingMessage,
		signal: AbortSignal,
	): AsyncGenerator<Buffer> {
		if (isEncoded(response.headers))
			this.refuse(url, response, "the server compresses files");
		for await (const chunk of this.connections.body(url, response, signal)) {
			this.onBytes(chunk.length);
			await this.pace(chunk.length, signal);
			yield chunk;
		}
	}

	private refuse(
		url: URL,
		response: IncomingMessage,
		why = refusal(response),
	): never {
		response.destroy();
		throw originFailed(url, why);
	}

	private locate(path: string): URL {
		if (!isInside(path))
			throw new LarderError(
				"ORIGIN_FAILED",
				`"${path}" is not below the origin`,
			);
		return new URL(
			path.split("/").map(encodeURIComponent).join("/"),
			this.base,
		);
	}
}

/** An origin by its address. @throws LarderError CONFIG_INVALID */
export function openOrigin(options: OriginOptions): OriginClient {
	return new OriginClient(options);
}
