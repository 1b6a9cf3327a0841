import {
	createServer,
	type IncomingMessage,
	type ServerResponse,
} from "node:http";
import { LarderError, systemCode } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import { DAY, HOUR } from "../../base/time.ts";
import type { Watching } from "../../gateway/watching.ts";
import type { TitleId } from "../../wire/ids.ts";
import { veiled } from "../audit.ts";
import type { Enrolment } from "../enrol/enrolment.ts";
import type { Attests } from "../fleet/attests.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { Planner, PlanOutcome } from "../fleet/planner.ts";
import type { Purges } from "../fleet/purges.ts";
import type { Qualities } from "../fleet/quality.ts";
import { qualityViews } from "../fleet/qualityview.ts";
import { purgeViews } from "../fleet/stragglers.ts";
import { boxes } from "../fleet/views.ts";
import { type Assets, readAssets, sendAsset } from "./assets.ts";
import { Door } from "./door.ts";
import { fleetFigures } from "./figures.ts";
import { Live } from "./live.ts";
import { Refusals } from "./refusals.ts";
import { Refusal, SAFETY, sendError } from "./reply.ts";
import { type Deeds, routesOf } from "./routes.ts";
import type { Routes } from "./routing.ts";
import { keys, overview, type Sources, titles } from "./show.ts";
import { Tokens } from "./tokens.ts";

export interface ApiOptions extends Sources, Deeds {
	readonly enrolment: Enrolment;
	readonly fleet: Fleet;
	readonly purges: Pick<Purges, "onChange">;
	readonly attests: Pick<Attests, "onChange">;
	readonly qualities: Pick<Qualities, "onChange">;
	readonly watching: Watching;
	readonly planner: Planner;
	readonly log: Log;
}

/** Changes that the page shows, and boxes that wait. */
const LATEST = 50;
/** Titles that were taken back, and boxes that still have them, in a list of all; and of one title that is asked for. */
const SOME = { titles: 50, boxes: 20 };
const EVERY = { titles: 1, boxes: 100_000 };
const WAITING = 100;

/** The operator's page and its JSON, on loopback and behind a token. */
export class Api {
	private readonly log: Log;
	private readonly door: Door;
	private readonly assets: Assets;
	private readonly live: Live;
	private readonly routes: Routes;
	private readonly stop: readonly (() => void)[];
	private readonly server = createServer((request, response) => {
		this.answer(request, response).catch((error: unknown) =>
			sendError(response, error, this.log),
		);
	});

	private constructor(
		options: ApiOptions,
		tokens: Tokens,
		refusals: Refusals,
		assets: Assets,
	) {
		const { operator, database, audit, fleet, planner, log } = options;
		const { enrolment, purges, attests, qualities, watching } = options;
		this.log = log;
		this.assets = assets;
		const { host } = operator.config.api;
		this.door = new Door(tokens, refusals, host, operator.network);
		let missing = 0;
		const views = {
			overview: () => overview(options, missing, refusals.total),
			boxes: () => boxes(database),
			titles: () => titles(options),
			keys: () => keys(options),
			purges: (title?: TitleId) =>
				purgeViews(database, title ? EVERY : SOME, title),
			enrol: () => enrolment.view(),
			metrics: () => fleetFigures(database, watching),
			quality: (hours: number) => qualityViews(database, hours, Date.now()),
		};
		this.live = new Live(
			[
				{ name: "overview", read: async () => [await views.overview()] },
				{ name: "boxes", read: views.boxes },
				{ name: "titles", read: views.titles },
				{ name: "quality", read: () => views.quality(DAY / HOUR) },
				{ name: "purges", read: () => views.purges() },
				{ name: "rollouts", read: () => options.rollouts.views() },
				{ name: "enrolments", read: () => waiting(enrolment) },
				// Viewers listen, too.
				{
					name: "changes",
					read: async () => veiled(await audit.entries(LATEST)),
				},
			],
			log,
		);
		this.routes = routesOf(views, options, tokens, this.live);
		this.stop = [
			fleet.onChange(() => this.live.touch()),
			audit.onEntry(() => this.live.touch()),
			purges.onChange(() => this.live.touch()),
			qualities.onChange(() => this.live.touch()),
			attests.onChange(() => this.live.touch()),
			options.rollouts.onChange(() => this.live.touch()),
			enrolment.onChange(() => this.live.touch()),
			planner.onPlan((outcome: PlanOutcome) => {
				missing = outcome.missing;
				this.live.touch();
			}),
		];
	}

	/** Listens where operator.toml says. Throws PORT_TAKEN or OPERATOR_INVALID. Gives the API and the address that opens the page. */
	static async start(
		options: ApiOptions,
	): Promise<{ readonly api: Api; readonly url: string }> {
		const { operator, log } = options;
		const { host, port } = operator.config.api;
		const tokens = await Tokens.open(operator.dir);
		const refusals = new Refusals(log);
		const api = new Api(options, tokens, refusals, await readAssets());
		const bound = await api.listen(host, port);
		return { api, url: `http://${host}:${bound}/?token=${tokens.own}` };
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
		this.door.checkSite(request);
		const url = URL.parse(request.url ?? "/", "http://localhost");
		if (url === null)
			throw new Refusal(400, "REQUEST_INVALID", "this is no address");
		const { pathname: path, searchParams: query } = url;
		const token = query.get("token");
		if (request.method === "GET" && path === "/" && token !== null) {
			const cookie = this.door.welcome(request, token);
			// The token leaves the address bar, and with it histories and screenshots.
			response.writeHead(303, { location: "/", "set-cookie": cookie });
			response.end();
			return;
		}
		const visitor = this.door.admit(request);
		const methods = this.routes[path];
		if (methods === undefined) {
			sendAsset(this.assets, path, request, response);
			return;
		}
		const route = methods[request.method ?? ""];
		if (route === undefined) {
			response.setHeader("allow", Object.keys(methods).join(", "));
			throw new Refusal(405, "METHOD_REFUSED", `not with ${request.method}`);
		}
		this.door.checkRole(visitor, route.role);
		await route.answer({ request, response, path, query, visitor });
	}
}

async function waiting({ registrar }: Pick<Enrolment, "registrar">) {
	const enrolments = await registrar.list(WAITING);
	return enrolments
		.filter(({ state }) => state === "waiting")
		.map((each) => ({ ...each, id: each.box }));
}
