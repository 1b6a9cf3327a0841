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
