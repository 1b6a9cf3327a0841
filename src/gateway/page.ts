import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { asset } from "./asset.ts";
import { settle } from "./condition.ts";

const SCRIPT = "text/javascript; charset=utf-8";

/** The files of the pages and their media types; nothing else is served. */
const FILES: Readonly<Record<string, string>> = {
	"index.html": "text/html; charset=utf-8",
	"style.css": "text/css; charset=utf-8",
	"player.js": SCRIPT,
	"controls.js": SCRIPT,
	"notice.js": SCRIPT,
	"remote.js": SCRIPT,
	"sources.js": SCRIPT,
	"titles.js": SCRIPT,
	"box.html": "text/html; charset=utf-8",
	"box.css": "text/css; charset=utf-8",
	"box.js": SCRIPT,
	"week.js": SCRIPT,
	"icon.svg": "image/svg+xml",
	"hls.js": SCRIPT,
	"hls.worker.js": SCRIPT,
};

// Media Source Extensions play from blob: addresses; everything else comes from this server.
const POLICY = [
	"default-src 'none'",
	"script-src 'self'",
	"worker-src 'self'",
	"style-src 'self'",
	"img-src 'self'",
	"connect-src 'self'",
	"media-src 'self' blob:",
	"base-uri 'none'",
	"form-action 'none'",
	"frame-ancestors 'self'",
].join("; ");

/** What the household's page is made of. */
const OF_THE_BOX = ["box.html", "box.css", "box.js", "week.js", "icon.svg"];

export function isPageFile(name: string): boolean {
	return Object.hasOwn(FILES, name);
}

export function isBoxFile(name: string): boolean {
	return OF_THE_BOX.includes(name);
}

/** Answers with a file of a page, for which `isPageFile` holds. */
export async function sendPage(
	req: IncomingMessage,
	res: ServerResponse,
	name: string,
): Promise<void> {
	const body = await readFile(asset(name));
	const digest = createHash("sha256").update(body).digest("base64url");
	const etag = `"${digest.slice(0, 22)}"`;
	const fields = {
		"Cache-Control": "no-cache",
		"Content-Security-Policy": POLICY,
	};
	if (settle(req, res, etag, fields)) return;
	res.writeHead(200, {
		...fields,
		ETag: etag,
		"Content-Type": FILES[name],
		"Content-Length": body.byteLength,
	});
	res.end(body);
}
