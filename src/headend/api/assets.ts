import { readdir, readFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Refusal } from "./reply.ts";

const FOLDER = new URL("../page/", import.meta.url);
const TYPES: Readonly<Record<string, string>> = {
	html: "text/html; charset=utf-8",
	css: "text/css; charset=utf-8",
	js: "text/javascript; charset=utf-8",
	svg: "image/svg+xml",
};

/** The operator's page: a handful of files, in memory by their paths. Nothing else can be asked for. */
export type Assets = ReadonlyMap<string, Buffer>;

export async function readAssets(): Promise<Assets> {
	const assets = new Map<string, Buffer>();
	for (const name of await readdir(FOLDER))
		assets.set(`/${name}`, await readFile(new URL(name, FOLDER)));
	return assets;
}

/** Throws a Refusal. */
export function sendAsset(
	assets: Assets,
	path: string,
	request: IncomingMessage,
	response: ServerResponse,
): void {
	const name = path === "/" ? "/index.html" : path;
	const bytes = assets.get(name);
	if (bytes === undefined)
		throw new Refusal(404, "REQUEST_INVALID", `no ${path} here`);
	if (request.method !== "GET" && request.method !== "HEAD") {
		response.setHeader("allow", "GET, HEAD");
		throw new Refusal(405, "METHOD_REFUSED", "only to be read");
	}
	response.writeHead(200, {
		"content-type":
			TYPES[name.slice(name.lastIndexOf(".") + 1)] ?? "text/plain",
		"content-length": bytes.byteLength,
	});
	response.end(request.method === "HEAD" ? undefined : bytes);
}
