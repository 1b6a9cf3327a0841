import { bad, good, type Result } from "../base/result.ts";
import { isInside } from "../content/path.ts";

/** What a request line asks for. */
export interface Target {
	/** From an absolute-form target; it overrules the Host header (RFC 9112, section 3.2.2). */
	readonly host: string | undefined;
	/** Still percent-encoded, without the query; starts with `/`, or is `*`: the server as a whole. */
	readonly path: string;
}

/** Reads a request target in origin or absolute form, or `*` for OPTIONS (RFC 9112, section 3.2). Dot segments are kept, to be refused later. */
export function readTarget(
	url: string,
	method: string | undefined,
): Result<Target, "bad-target"> {
	if (url === "*" && method === "OPTIONS")
		return good({ host: undefined, path: url });
	const match = /^(?:http:\/\/([^/?#]*))?(\/[^?#]*)?(?:[?#].*)?$/i.exec(url);
	const [, host, path = "/"] = match ?? [];
	if (match === null || (host === undefined && !url.startsWith("/"))) {
		return bad("bad-target", "the request target is not a path");
	}
	return good({ host, path });
}

/** Decodes the part of a path that names a title's file. */
export function decodePath(encoded: string): Result<string, "bad-path"> {
	let path: string;
	try {
		path = decodeURIComponent(encoded);
	} catch {
		return bad("bad-path", "the path is not valid percent-encoded UTF-8");
	}
	return isInside(path)
		? good(path)
		: bad(
				"bad-path",
				"the path has an empty, `.` or `..` part, a backslash or a NUL",
			);
}

export function encodePath(path: string): string {
	return path.split("/").map(encodeURIComponent).join("/");
}
