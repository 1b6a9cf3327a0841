import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { readFile } from "node:fs/promises";

/** What the kernel calls this boot. */
export async function bootId(): Promise<string> {
	return (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
}

/**
 * The player token of one boot: 256 bits that fit into a path. A player that asked for it goes on with it when the agent
 * is restarted.
 * @param secret of this box, of which nothing can be learned from the token
 */
export function playerToken(secret: Uint8Array, boot: string): string {
	return createHmac("sha256", secret)
		.update(`larder/player-token/1\0${boot}`)
		.digest("base64url");
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
