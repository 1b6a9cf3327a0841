import {
	createServer,
	type IncomingMessage,
	type ServerResponse,
} from "node:http";
import { isAbsolute } from "node:path";
import * as z from "zod/mini";
import { LarderError, systemCode } from "../../base/errors.ts";
import { LOG_LEVELS, type Log } from "../../base/log.ts";
import type { CommandBody } from "../../wire/command.ts";
import { type BoxId, boxId } from "../../wire/ids.ts";
import type { Response } from "../../wire/reports.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { Planner, PlanOutcome } from "../fleet/planner.ts";
import { type BoxView, boxes } from "../fleet/views.ts";
import { type Assets, readAssets, sendAsset } from "./assets.ts";
import { apiToken, Door } from "./door.ts";
import { Live } from "./live.ts";
import { Refusal, readBody, SAFETY, sendError, sendJson } from "./reply.ts";
import {
	type OverviewView,
	overview,
	type Sources,
	type TitleView,
	titles,
} from "./show.ts";

export interface ApiOptions extends Sources {
	readonly fleet: Fleet;
	readonly planner: Planner;
	/** Sends a command and gives what the box answers. Rejects with BOX_UNKNOWN, BOX_SILENT or BROKER_FAILED. */
	readonly command: (box: BoxId, body: CommandBody) => Promise<Response>;
	/** Shuts a box out of the network for good. Rejects with BOX_UNKNOWN. */
	readonly revoke: (box: BoxId) => Promise<void>;
	/** Writes a backup to an absolute path. */
	readonly backup: (file: string) => Promise<void>;
	readonly log: Log;
}

const commandRequest = z.union([
	z.object({ box: boxId, kind: z.literal("report") }),
	z.object({
		box: boxId,
		kind: z.literal("log-level"),
		level: z.enum(LOG_LEVELS),
	}),
]);
const revokeRequest = z.object({ box: boxId });
const backupRequest = z.object({
	file: z.string().check(z.refine(isAbsolute, "must be an absolute path")),
});

/** The operator's page and its JSON, on loopback and behind a token. */
export class Api {
	private readonly options: ApiOptions;
	private readonly door: Door;
	private readonly assets: Assets;
	private readonly live: Live;
	private readonly stop: readonly (() => void)[];
	private readonly server = createServer((request, response) => {
		this.answer(request, response).catch((error: unknown) =>
			sendError(response, error, this.options.log),
		);
	});
	private lastPlan: PlanOutcome | undefined;

	private constructor(options: ApiOptions, door: Door, assets: Assets) {
		this.options = options;
		this.door = door;
		this.assets = assets;
		this.live = new Live(
			[
				{ name: "overview", read: async () => [await this.overview()] },
				{ name: "boxes", read: () => this.boxes() },
				{ name: "titles", read: () => this.titles() },
			],
			options.log,
		);
		this.stop = [
			options.fleet.onChange(() => this.live.touch()),
			options.planner.onPlan((outcome) => {
				this.lastPlan = outcome;
				this.live.touch();
			}),
		];
	}

	/** Listens where operator.toml says. Throws PORT_TAKEN. Gives the API and the address that opens the page. */
	static async start(
		options: ApiOptions,
	): Promise<{ readonly api: Api; readonly url: string }> {
		const { operator } = options;
		const { host, port } = operator.config.api;
		const token = await apiToken(operator.dir);
		const door = new Door(token, host, operator.network);
		const api = new Api(options, door, await readAssets());
		const bound = await api.listen(host, port);
		return { api, url: `http://${host}:${bound}/?token=${token}` };
	}

	/** Something that the page shows has changed elsewhere: a title, the broker. */
	touch(): void {
		this.live.touch();
	}

	/** Whether somebody looks at the page. */
	get watched(): boolean {
		return this.live.watched;
	}

	async close(): Promise<void> {
		for (const stop of this.stop) stop();
		await this.live.close();
		const closed = new Promise((resolve) => this.server.close(resolve));
		this.server.closeAllConnections();
		await closed;
	}

	private async listen(host: string, port: number): Promise<number> {
		const { server } = this;
		try {
			await new Promise<void>((resolve, reject) => {
				server.once("error", reject);
				server.listen(port, host, () => {
					server.off("error", reject);
					resolve();
				});
			});
		} catch (cause) {
			if (systemCode(cause) !== "EADDRINUSE") throw cause;
			throw new LarderError("PORT_TAKEN", `api.port ${port} is in use`, {
				cause,
			});
		}
		const address = server.address();
		return typeof address === "object" && address !== null
			? address.port
			: port;
	}

	private async answer(
		request: IncomingMessage,
		response: ServerResponse,
	): Promise<void> {
		for (const [name, value] of Object.entries(SAFETY))
			response.setHeader(name, value);
		if (!this.door.knowsHost(request) || !this.door.isOwn(request))
			throw new Refusal(403, "HOST_REFUSED", "asked for by another site");
		const { pathname, searchParams } = new URL(
			request.url ?? "/",
			"http://localhost",
		);
		const token = searchParams.get("token");
		if (token !== null && this.door.opens(token)) {
			// The token leaves the address bar, and with it histories and screenshots.
			response.writeHead(303, {
				location: pathname,
				"set-cookie": this.door.welcome,
				"cache-control": "no-store",
			});
			response.end();
			return;
		}
		if (!this.door.admits(request))
			throw new Refusal(401, "TOKEN_MISSING", "this is the operator's page");
		switch (`${request.method} ${pathname}`) {
			case "GET /api/overview":
				sendJson(response, await this.overview());
				break;
			case "GET /api/boxes":
				sendJson(response, await this.boxes());
				break;
			case "GET /api/titles":
				sendJson(response, await this.titles());
				break;
			case "GET /api/events":
				this.live.listen(response);
				break;
			case "POST /api/command": {
				const { box, ...body } = await readBody(request, commandRequest);
				const { ok, code, detail } = await this.options.command(box, body);
				sendJson(response, { ok, code, detail });
				break;
			}
			case "POST /api/revoke": {
				const { box } = await readBody(request, revokeRequest);
				await this.options.revoke(box);
				sendJson(response, { ok: true });
				break;
			}
			case "POST /api/plan":
				sendJson(response, await this.options.planner.plan());
				break;
			case "POST /api/backup": {
				const { file } = await readBody(request, backupRequest);
				await this.options.backup(file);
				sendJson(response, { ok: true, file });
				break;
			}
			default:
				sendAsset(this.assets, pathname, request, response);
		}
	}

	private overview(): Promise<OverviewView> {
		return overview(this.options, this.lastPlan?.missing ?? 0);
	}

	private boxes(): Promise<BoxView[]> {
		return boxes(this.options.database);
	}

	private titles(): Promise<TitleView[]> {
		return titles(this.options);
	}
}
