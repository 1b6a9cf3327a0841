import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

/** A player token: 256 random bits that fit into a path. */
export function freshToken(): string {
	return randomBytes(32).toString("base64url");
}

/** What stands before every path of a player. As a part of the path, it is in each relative address of HLS and DASH, too. */
export function prefixOf(token: string | undefined): string {
	return token === undefined ? "" : `/t/${token}`;
}

/** The path behind the right token; undefined behind any other, found out in the same time however much of it is right. */
export function behindToken(path: string, token: string): string | undefined {
	const [, given = "", rest = ""] = /^\/t\/([^/]*)(\/.*)?$/.exec(path) ?? [];
	return timingSafeEqual(digest(given), digest(token)) ? rest : undefined;
}

function digest(token: string): Buffer {
	return createHash("sha256").update(token).digest();
}
