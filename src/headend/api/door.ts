import type { IncomingMessage } from "node:http";
import type { NetworkId } from "../../wire/ids.ts";
import type { Refusals } from "./refusals.ts";
import { Refusal } from "./reply.ts";
import type { Holder, Role, Tokens } from "./tokens.ts";

/** Somebody who was let in, and from where. */
export interface Visitor extends Holder {
	readonly address: string;
}

/** Decides who comes in. Browsers carry a pass in a cookie, programs `Authorization: Bearer <token>`. */
export class Door {
	private readonly tokens: Tokens;
	private readonly refusals: Refusals;
	private readonly hosts: ReadonlySet<string>;
	/** Cookies are shared between the ports of a host: the name tells one operator from another. */
	private readonly cookie: string;

	/** @param host where the API listens; a request must name it, or loopback, or it comes from a page that tricked the browser */
	constructor(
		tokens: Tokens,
		refusals: Refusals,
		host: string,
		network: NetworkId,
	) {
		this.tokens = tokens;
		this.refusals = refusals;
		this.hosts = new Set([host, "127.0.0.1", "localhost", "[::1]"]);
		this.cookie = `larder-${network.slice(0, 8)}`;
	}

	/** Throws a Refusal when another site is behind the request, by its name or in the same browser. */
	checkSite(request: IncomingMessage): void {
		if (this.knowsHost(request) && isOwn(request)) return;
		this.refusals.add("foreign", addressOf(request));
		throw new Refusal(403, "HOST_REFUSED", "asked for by another site");
	}

	/** Throws a Refusal without a right token or pass. */
	admit(request: IncomingMessage): Visitor {
		const { authorization } = request.headers;
		const bearer = /^Bearer (.+)$/i.exec(authorization ?? "")?.[1];
		if (bearer !== undefined)
			return this.visitor(request, this.tokens.holder(bearer));
		const passes = this.passes(request);
		if (passes.length === 0) {
			this.refusals.add("no-token", addressOf(request));
			throw new Refusal(401, "TOKEN_MISSING", "this is the operator's page");
		}
		const holder = passes
			.map((pass) => this.tokens.bearer(pass))
			.find((each) => each !== undefined);
		// Browsers say where a change comes from; one that does not is not to be trusted with a cookie.
		if (changes(request) && request.headers.origin === undefined) {
			this.refusals.add("foreign", addressOf(request));
			throw new Refusal(403, "HOST_REFUSED", "no page asked for this");
		}
		return this.visitor(request, holder);
	}

	/** Throws a Refusal when the visitor may only look. */
	checkRole(visitor: Visitor, role: Role): void {
		if (role === "viewer" || visitor.role === "operator") return;
		this.refusals.add("role", visitor.address, visitor.name);
		throw new Refusal(
			403,
			"ROLE_REFUSED",
			`${visitor.name} may look and not change anything`,
		);
	}

	/** The Set-Cookie that keeps a browser admitted until it is closed, for a week at most. Throws a Refusal for a wrong token. */
	welcome(request: IncomingMessage, token: string): string {
		const visitor = this.visitor(request, this.tokens.holder(token));
		return `${this.cookie}=${this.tokens.passOf(visitor)}; HttpOnly; SameSite=Strict; Path=/`;
	}

	private visitor(
		request: IncomingMessage,
		holder: Holder | undefined,
	): Visitor {
		const address = addressOf(request);
		if (holder !== undefined)
			return { name: holder.name, role: holder.role, address };
		const tooMany = this.refusals.add("wrong-token", address);
		throw tooMany
			? new Refusal(429, "TOKEN_MISSING", "too many wrong tokens")
			: new Refusal(401, "TOKEN_MISSING", "this token opens nothing");
	}

	private knowsHost(request: IncomingMessage): boolean {
		const host = request.headers.host?.replace(/:\d+$/, "");
		return host !== undefined && this.hosts.has(host);
	}

	private passes(request: IncomingMessage): string[] {
		const pairs = request.headers.cookie?.split(/;\s*/) ?? [];
		return pairs
			.map((pair) => pair.split("=", 2))
			.filter(([name]) => name === this.cookie)
			.map(([, pass = ""]) => pass);
	}
}

/** Whether the page itself or a program asked, not another site in the same browser. */
function isOwn(request: IncomingMessage): boolean {
	const { origin, host } = request.headers;
	if (origin !== undefined && origin !== `http://${host}`) return false;
	const site = request.headers["sec-fetch-site"];
	if (site === undefined || site === "same-origin" || site === "none")
		return true;
	// A link that opens the page shows nothing to where the link was.
	return request.headers["sec-fetch-mode"] === "navigate" && !changes(request);
}

function changes({ method }: IncomingMessage): boolean {
	return method !== "GET" && method !== "HEAD";
}

function addressOf({ socket }: IncomingMessage): string {
	return (socket.remoteAddress ?? "").replace(/^::ffff:/, "");
}
