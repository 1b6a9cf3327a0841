import type { IncomingMessage, ServerResponse } from "node:http";
import type { Registry } from "prom-client";
import type { Library } from "../act/ports.ts";
import { LarderError } from "../base/errors.ts";
import { isTitleId, type TitleId } from "../wire/ids.ts";
import { sendJson } from "./failure.ts";
import { type Progress, sendFile } from "./file.ts";
import { isPageFile, sendPage } from "./page.ts";
import { sendSources } from "./sources.ts";
import { decodePath } from "./target.ts";
import type { Titles } from "./titles.ts";

/** What the gateway answers from. */
export interface Backing {
	readonly library: Library;
	readonly titles: Titles;
	readonly registry: Registry;
	readonly ready: () => { readonly ready: boolean; readonly why: string };
}

/** One request that is being answered. */
export interface Exchange {
	readonly req: IncomingMessage;
	readonly res: ServerResponse;
	readonly progress: Progress;
	/** Aborted when the player goes away or the gateway closes. */
	readonly signal: AbortSignal;
}

/** A row of the gateway's interface. `name` is the label in the metrics. */
export interface Route {
	readonly name: string;
	readonly pattern: RegExp;
	/** Whether pages of other sites may read the answers. */
	readonly open: boolean;
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
		open: false,
		answer: (_, { req, res }, name = "index.html") => {
			if (!isPageFile(name)) throw nothing();
			return sendPage(req, res, name);
		},
	},
	{
		name: "titles",
		pattern: /^\/titles$/,
		open: false,
		answer: async ({ titles }, { res }) =>
			sendJson(res, 200, await titles.list(Date.now())),
	},
	{
		name: "title",
		pattern: /^\/titles\/([^/]+)$/,
		open: false,
		answer: async ({ titles }, { res, signal }, id = "") =>
			sendJson(res, 200, await titles.detail(known(id), Date.now(), signal)),
	},
	{
		name: "entry",
		pattern: /^\/titles\/([^/]+)\/$/,
		open: true,
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
		open: true,
		answer: async ({ titles }, exchange, id = "", encoded = "") => {
			const { req, res, progress, signal } = exchange;
			const path = decodePath(encoded);
			if (!path.ok) throw new LarderError("REQUEST_INVALID", path.detail);
			const title = await titles.open(known(id), signal);
			await sendFile(req, res, title, path.value, progress, signal);
		},
	},
	{
		name: "sources",
		pattern: /^\/sources$/,
		open: false,
		answer: ({ library }, { req, res, signal }) =>
			sendSources(req, res, library, signal),
	},
	{
		name: "livez",
		pattern: /^\/livez$/,
		open: false,
		answer: (_, { res }) => sendJson(res, 200, { live: true }),
	},
	{
		name: "readyz",
		pattern: /^\/readyz$/,
		open: false,
		answer: ({ ready }, { res }) => {
			const state = ready();
			sendJson(res, state.ready ? 200 : 503, state);
		},
	},
	{
		name: "metrics",
		pattern: /^\/metrics$/,
		open: false,
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

function known(id: string): TitleId {
	if (isTitleId(id)) return id;
	throw new LarderError("TITLE_UNKNOWN", "a title id has 64 hex digits");
}

/** The error for a path that is none of the routes'. */
export function nothing(): LarderError {
	return new LarderError("FILE_UNKNOWN", "there is nothing at this path");
}
