import { posix } from "node:path";

/** Whether a relative path of a title stays inside it: no `..`, no root, no backslash, no NUL, no empty part. */
export function isInside(path: string): boolean {
	if (path === "" || path.includes("\\") || path.includes("\0")) return false;
	return path
		.split("/")
		.every((part) => part !== "" && part !== "." && part !== "..");
}

const TYPES: Readonly<Record<string, string>> = {
	m3u8: "application/vnd.apple.mpegurl",
	mpd: "application/dash+xml",
	m4s: "video/mp4",
	m4v: "video/mp4",
	m4a: "audio/mp4",
	mp4: "video/mp4",
	cmfv: "video/mp4",
	cmfa: "audio/mp4",
	init: "video/mp4",
	ts: "video/mp2t",
	aac: "audio/aac",
	vtt: "text/vtt",
	ttml: "application/ttml+xml",
	webm: "video/webm",
	jpg: "image/jpeg",
	png: "image/png",
};

/** The media type that players expect for a file of this name. */
export function mediaType(path: string): string {
	const extension = path.slice(path.lastIndexOf(".") + 1).toLowerCase();
	// A file may be called `constructor`.
	const type = Object.hasOwn(TYPES, extension) ? TYPES[extension] : undefined;
	return type ?? "application/octet-stream";
}

/** Whether a reference leads to a server, a key system or inline data rather than to a file of the title. */
export function isElsewhere(uri: string): boolean {
	return /^([a-z][a-z0-9+.-]*:|\/\/)/i.test(uri);
}

/** The path that a relative reference in file `from` means (RFC 3986, section 5); undefined when it leaves the title. */
export function resolve(from: string, uri: string): string | undefined {
	const [named = ""] = uri.split(/[?#]/, 1);
	if (named === "" || named.startsWith("/")) return undefined;
	try {
		const path = posix.join(posix.dirname(from), decodeURIComponent(named));
		return path === ".." || path.startsWith("../") ? undefined : path;
	} catch {
		// A malformed escape names no file.
		return undefined;
	}
}
