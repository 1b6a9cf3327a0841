import type { IncomingMessage, ServerResponse } from "node:http";
import type { Registry } from "prom-client";
import type { Library } from "../act/ports.ts";
import { LarderError } from "../base/errors.ts";
import type { Millis } from "../base/units.ts";
import type { PlayerWord } from "../plan/session.ts";
import { isTitleId, type TitleId } from "../wire/ids.ts";
import type { BoxView } from "./box.ts";
import { sendJson } from "./failure.ts";
import { type Progress, sendFile } from "./file.ts";
import { isBoxFile, isPageFile, sendPage } from "./page.ts";
import { sendSources } from "./sources.ts";
import { decodePath } from "./target.ts";
import type { Titles } from "./titles.ts";
import { behindToken } from "./token.ts";

/** What the gateway answers from. */
export interface Backing {
	readonly library: Library;
	readonly titles: Titles;
	readonly registry: Registry;
	readonly ready: () => { readonly ready: boolean; readonly why: string };
	readonly box: () => Promise<BoxView>;
}

/** One request that is being answered. */
export interface Exchange {
	readonly req: IncomingMessage;
	readonly res: ServerResponse;
	readonly progress: Progress;
	/** When it came, by the monotonic clock, and what the player says of itself. */
	readonly began: Millis;
	readonly word: PlayerWord | undefined;
	/** Aborted when the player goes away or the gateway closes. */
	readonly signal: AbortSignal;
}

/**
 * Whom a route is for. `player`: also pages of other origins that may play. `household`: what there is and what is being
 * watched, for other origins only when they hold the token. Both are behind the token where there is one. `service`: whoever
 * looks after the box, without a token. `desk`: only where there is no token.
 */
type Door = "player" | "household" | "service" | "desk";

/** A row of the gateway's interface. `name` is the label in the metrics. */
export interface Route {
	readonly name: string;
	readonly pattern: RegExp;
	readonly door: Door;
	/** The groups of `pattern` follow the exchange. */
	readonly answer: (
		backing: Backing,
		exchange: Exchange,
		...groups: string[]
	) => Promise<void> | void;
}

export const ROUTES: readonly Route[] = [
	{
		name: "page",
		pattern: /^\/(?:page\/([^/]+))?$/,
		door: "desk",
		answer: (_, { req, res }, name = "index.html") => {
			if (!isPageFile(name)) throw nothing();
			return sendPage(req, res, name);
		},
	},
	{
		name: "titles",
		pattern: /^\/titles$/,
		door: "household",
		answer: async ({ titles }, { res }) =>
			sendJson(res, 200, await titles.list()),
	},
	{
		name: "title",
		pattern: /^\/titles\/([^/]+)$/,
		door: "household",
		answer: async ({ titles }, { res, signal }, id = "") =>
			sendJson(res, 200, await titles.detail(known(id), signal)),
	},
	{
		name: "entry",
		pattern: /^\/titles\/([^/]+)\/$/,
		door: "player",
		answer: async ({ titles }, { res, signal }, id = "") => {
			const location = await titles.entryUrl(known(id), signal);
			res.writeHead(307, {
				Location: location,
				"Content-Length": 0,
				"Cache-Control": "no-store",
			});
			res.end();
		},
	},
	{
		name: "file",
		pattern: /^\/titles\/([^/]+)\/(.+)$/,
		door: "player",
		answer: async ({ titles }, exchange, id = "", encoded = "") => {
			const path = decodePath(encoded);
			if (!path.ok) throw new LarderError("REQUEST_INVALID", path.detail);
			const title = await titles.open(known(id), exchange.signal);
			await sendFile(title, path.value, exchange);
		},
	},
	{
		name: "sources",
		pattern: /^\/sources$/,
		door: "household",
		answer: ({ library }, { req, res, signal }) =>
			sendSources(req, res, library, signal),
	},
	{
		name: "box-status",
		pattern: /^\/box\/status$/,
		door: "household",
		answer: async ({ box }, { res }) => sendJson(res, 200, await box()),
	},
	{
		name: "box",
		pattern: /^\/box\/([^/]*)$/,
		door: "household",
		answer: (_, { req, res }, name = "") => {
			const file = name === "" ? "box.html" : name;
			if (!isBoxFile(file)) throw nothing();
			return sendPage(req, res, file);
		},
	},
	{
		name: "livez",
		pattern: /^\/livez$/,
		door: "service",
		answer: (_, { res }) => sendJson(res, 200, { live: true }),
	},
	{
		name: "readyz",
		pattern: /^\/readyz$/,
		door: "service",
		answer: ({ ready }, { res }) => {
			const state = ready();
			sendJson(res, state.ready ? 200 : 503, state);
		},
	},
	{
		name: "metrics",
		pattern: /^\/metrics$/,
		door: "desk",
		answer: async ({ registry }, { res }) => {
			const text = await registry.metrics();
			res.writeHead(200, {
				"Content-Type": registry.contentType,
				"Cache-Control": "no-store",
			});
			res.end(text);
		},
	},
];

/** A route with the groups of its pattern. */
export interface Found {
	readonly route: Route;
	readonly groups: readonly string[];
}

/** Where a path leads. Throws FILE_UNKNOWN, and for a wrong token the same as for a path that there is not. */
export function find(path: string, token: string | undefined): Found {
	const behind = token === undefined ? path : behindToken(path, token);
	for (const route of ROUTES) {
		const seen = pathFor(route.door, path, behind, token !== undefined);
		const match = seen === undefined ? null : route.pattern.exec(seen);
		if (match !== null) return { route, groups: match.slice(1) };
	}
	throw nothing(token !== undefined);
}

function pathFor(
	door: Door,
	path: string,
	behind: string | undefined,
	guarded: boolean,
): string | undefined {
	if (door === "service") return path;
	return door === "desk" && guarded ? undefined : behind;
}

function known(id: string): TitleId {
	if (isTitleId(id)) return id;
	throw new LarderError("TITLE_UNKNOWN", "a title id has 64 hex digits");
}

function nothing(guarded = false): LarderError {
	return new LarderError(
		"FILE_UNKNOWN",
		guarded
			? "there is nothing at this path; a player's begin as `larder player-token` says"
			: "there is nothing at this path",
	);
}
