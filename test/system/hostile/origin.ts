// An origin that belongs to somebody else: it serves the operator's folder, and lies about titles as it is told.
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import {
	createServer,
	type IncomingMessage,
	type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Test } from "tap";
import type { TitleId } from "../../../src/wire/ids.ts";

/** One request: what an honest origin would answer, and the file that it comes from. */
export interface Asked {
	readonly title: TitleId;
	/** `manifest`, `holders/<region>` or the number of a shard. */
	readonly name: string;
	readonly file: Buffer;
	/** The part asked for; the whole file when none was. */
	readonly first: number;
	readonly last: number;
	readonly ranged: boolean;
	/** The same file of another title. */
	readonly other: () => Promise<Buffer>;
	readonly response: ServerResponse;
}

/** Answers; false leaves it to the honest one. */
export type Lie = (asked: Asked) => Promise<boolean> | boolean;

export interface HostileOrigin {
	/** By title. */
	readonly lies: Map<string, Lie>;
	/** How often each title was lied about. */
	readonly told: Map<string, number>;
	/** What files below `placement/` are made of; undefined for what is there. */
	body: ((bytes: Buffer, response: ServerResponse) => void) | undefined;
	/** Where its redirects lead. */
	readonly elsewhere: string;
	/** How many were led there. */
	readonly strays: () => number;
}

/** @param other a title whose files are passed off as others' */
export async function hostileOrigin(
	t: Test,
	port: number,
	folder: () => string,
	other: () => TitleId,
): Promise<HostileOrigin> {
	const origin: HostileOrigin = {
		lies: new Map(),
		told: new Map(),
		body: undefined,
		elsewhere: "",
		strays: () => strays,
	};
	let strays = 0;
	const serve = async (request: IncomingMessage, response: ServerResponse) => {
		const path = decodeURI(request.url ?? "").slice(1);
		const [title = "", ...rest] = path.split("/");
		const name = rest.join("/");
		const file = await readFile(join(folder(), path));
		if (title === "placement" && origin.body !== undefined) {
			origin.body(file, response);
			return;
		}
		const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
		const asked: Asked = {
			title: title as TitleId,
			...{ name, file, response, ranged: range !== null },
			first: Number(range?.[1] ?? 0),
			last: Number(range?.[2] ?? file.length - 1),
			other: () => readFile(join(folder(), other(), name)),
		};
		if ((await origin.lies.get(title)?.(asked)) === true)
			origin.told.set(title, (origin.told.get(title) ?? 0) + 1);
		else give(asked, file);
	};
	const listen = async (
		handle: (request: IncomingMessage, response: ServerResponse) => void,
		at: number,
	) => {
		const server = createServer(handle);
		server.listen(at, "127.0.0.1");
		await once(server, "listening");
		t.teardown(() => {
			server.closeAllConnections();
			server.close();
		});
		return server;
	};
	await listen((request, response) => {
		serve(request, response).catch(() => response.writeHead(404).end());
	}, port);
	const away = await listen((_, response) => {
		strays++;
		response.end("elsewhere");
	}, 0);
	const { port: there } = away.address() as AddressInfo;
	return Object.assign(origin, { elsewhere: `http://127.0.0.1:${there}/` });
}

/** Answers as an honest origin does, with these bytes for the file's. */
export function give(asked: Asked, file: Buffer, headers: object = {}): true {
	const { first, last, ranged, response } = asked;
	const part = file.subarray(first, last + 1);
	response.writeHead(ranged ? 206 : 200, {
		"content-length": part.length,
		...(ranged && { "content-range": rangeOf(asked) }),
		...headers,
	});
	response.end(part);
	return true;
}

function rangeOf({ first, last, file }: Asked): string {
	return `bytes ${first}-${last}/${file.length}`;
}

/** The file with one bit of each 100 bytes turned, from some byte on. */
function spoilt(file: Buffer, from = 0): Buffer {
	const wrong = Buffer.from(file);
	for (let at = from; at < wrong.length; at += 100)
		wrong[at] = (wrong[at] ?? 0) ^ 4;
	return wrong;
}

/** A quarter of a gigabyte, once it is unpacked. */
export const BOMB = gzipSync(Buffer.alloc(256 * 2 ** 20));

function pour(
	{ response }: Asked,
	headers: Record<string, string | number>,
	status: number,
): true {
	response.writeHead(status, headers);
	pourInto(response);
	return true;
}

/** Writes without end, as fast as it is read. */
export function pourInto(response: ServerResponse): void {
	const more = () => {
		while (!response.destroyed && response.write(Buffer.alloc(65_536, 7)));
	};
	response.on("drain", more);
	more();
}

const onShards =
	(lie: (asked: Asked) => boolean | Promise<boolean>): Lie =>
	(asked) =>
		/^\d+$/.test(asked.name) ? lie(asked) : false;
const on =
	(name: string, lie: (asked: Asked) => boolean | Promise<boolean>): Lie =>
	(asked) =>
		asked.name.startsWith(name) ? lie(asked) : false;

/** @param blocks bytes of a shard before its leaves, in whole shards */
export function liesOf(blocks: number, elsewhere: string) {
	const redirect = ({ response }: Asked): true => {
		response.writeHead(302, { location: elsewhere }).end();
		return true;
	};
	return {
		"other bytes": onShards((it) => give(it, spoilt(it.file))),
		"good leaves on other blocks": onShards((it) =>
			give(
				it,
				Buffer.concat([
					spoilt(it.file.subarray(0, -512)),
					it.file.subarray(-512),
				]),
			),
		),
		"other leaves": onShards((it) =>
			give(it, spoilt(it.file, Math.min(blocks, it.file.length - 64))),
		),
		"another title's shards": onShards(async (it) =>
			give(it, await it.other()),
		),
		"another title's manifest": on("manifest", async (it) =>
			give(it, await it.other()),
		),
		"a manifest of its own": on("manifest", (it) =>
			give(it, Buffer.from(`${it.file}`.replace(/"size":\d/, '"size":1'))),
		),
		"manifests without end": on("manifest", (it) => pour(it, {}, 200)),
		"shards without end": onShards((it) =>
			pour(it, { "content-range": rangeOf(it) }, 206),
		),
		"a huge length": onShards((it) =>
			pour(
				it,
				{ "content-length": 2 ** 40, "content-range": rangeOf(it) },
				206,
			),
		),
		"a length beyond what comes": onShards((it) => {
			const { response, first, last, file } = it;
			response.writeHead(206, {
				"content-length": last - first + 1,
				"content-range": rangeOf(it),
			});
			response.write(file.subarray(first, first + (last - first) / 2));
			response.socket?.end();
			return true;
		}),
		"a drip": onShards((it) => {
			const { response, first, file } = it;
			response.writeHead(206, { "content-range": rangeOf(it) });
			let at = first;
			const timer = setInterval(
				() => response.write(file.subarray(at, ++at)),
				100,
			);
			response.on("close", () => clearInterval(timer));
			return true;
		}),
		"a way elsewhere": onShards(redirect),
		"a way elsewhere for manifests": on("manifest", redirect),
		"a bomb of gzip": onShards(({ response, ...it }) => {
			response.writeHead(206, {
				...{ "content-encoding": "gzip", "content-length": BOMB.length },
				"content-range": rangeOf({ response, ...it }),
			});
			response.end(BOMB);
			return true;
		}),
		"a manifest of gzip": on("manifest", ({ response }) => {
			response.writeHead(200, { "content-encoding": "gzip" }).end(BOMB);
			return true;
		}),
		"another range, and says so": onShards((it) => {
			const first = it.first + 1;
			return give({ ...it, first, last: it.last + 1 }, it.file);
		}),
		"another range under the name of this": onShards((it) =>
			give(
				{ ...it, first: it.first + 16, last: it.last + 16 },
				Buffer.concat([it.file, it.file]),
				{
					"content-range": rangeOf(it),
				},
			),
		),
		"another title's holder table": on("holders", async (it) =>
			give(it, await it.other()),
		),
		"an edited holder table": on("holders", (it) =>
			give(
				it,
				Buffer.from(`${it.file}`.replace('"payload":"', '"payload":"AAAA')),
			),
		),
		"holder tables without end": on("holders", (it) => pour(it, {}, 200)),
	} as const satisfies Readonly<Record<string, Lie>>;
}
