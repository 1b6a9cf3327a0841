import { randomBytes, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import type { NetworkId } from "../../wire/ids.ts";
import { readIfThere, SECRET, writeWhole } from "../operator/file.ts";

const TOKEN = /^[0-9a-f]{64}$/;

/** The secret that opens the operator's page and API: made at the first call, kept in keys/api-token. */
export async function apiToken(operatorDir: string): Promise<string> {
	const path = join(operatorDir, "keys", "api-token");
	const kept = (await readIfThere(path))?.toString("utf8").trim();
	if (kept !== undefined && TOKEN.test(kept)) return kept;
	const token = randomBytes(32).toString("hex");
	await writeWhole(path, `${token}\n`, SECRET);
	return token;
}

/** Decides who comes in. Browsers carry a cookie, programs `Authorization: Bearer <token>`. */
export class Door {
	private readonly token: Buffer;
	private readonly hosts: ReadonlySet<string>;
	/** Cookies are shared between the ports of a host: the name tells one operator from another. */
	private readonly cookie: string;

	/** @param host where the API listens; a request must name it, or loopback, or it comes from a page that tricked the browser */
	constructor(token: string, host: string, network: NetworkId) {
		this.token = Buffer.from(token);
		this.hosts = new Set([host, "127.0.0.1", "localhost", "[::1]"]);
		this.cookie = `larder-${network.slice(0, 8)}`;
	}

	knowsHost(request: IncomingMessage): boolean {
		const host = request.headers.host?.replace(/:\d+$/, "");
		return host !== undefined && this.hosts.has(host);
	}

	/** Whether the request was made by the page itself or by a program, not by another site in the same browser. */
	isOwn(request: IncomingMessage): boolean {
		const { origin, host } = request.headers;
		return origin === undefined || origin === `http://${host}`;
	}

	admits(request: IncomingMessage): boolean {
		const bearer = /^Bearer (.+)$/.exec(request.headers.authorization ?? "");
		if (bearer?.[1] !== undefined) return this.opens(bearer[1]);
		const cookies = request.headers.cookie?.split(/;\s*/) ?? [];
		return cookies.some((pair) => {
			const [name, value = ""] = pair.split("=", 2);
			return name === this.cookie && this.opens(value);
		});
	}

	opens(token: string): boolean {
		const given = Buffer.from(token);
		return (
			given.byteLength === this.token.byteLength &&
			timingSafeEqual(given, this.token)
		);
	}

	/** The Set-Cookie that keeps a browser admitted until it is closed. */
	get welcome(): string {
		return `${this.cookie}=${this.token}; HttpOnly; SameSite=Strict; Path=/`;
	}
}
