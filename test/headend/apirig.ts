import { request } from "node:http";
import { LarderError } from "../../src/base/errors.ts";
import { type Log, silent } from "../../src/base/log.ts";
import { Watching } from "../../src/gateway/watching.ts";
import { Api, type ApiOptions } from "../../src/headend/api/api.ts";
import { Audit } from "../../src/headend/audit.ts";
import { Enrolment } from "../../src/headend/enrol/enrolment.ts";
import { Attests } from "../../src/headend/fleet/attests.ts";
import { Planner } from "../../src/headend/fleet/planner.ts";
import { Purges } from "../../src/headend/fleet/purges.ts";
import { Qualities } from "../../src/headend/fleet/quality.ts";
import { Wishes } from "../../src/headend/fleet/wishes.ts";
import { readIssued } from "../../src/headend/operator/issue.ts";
import { geometryOf } from "../../src/headend/publish/titles.ts";
import type { CommandBody } from "../../src/wire/command.ts";
import type { BoxId, TitleId } from "../../src/wire/ids.ts";
import { type Bench, bench, recordOf, region } from "./fixture.ts";

export interface Answer {
	readonly status: number;
	readonly headers: Record<string, string | string[] | undefined>;
	readonly text: string;
}

/** A real API over a real fleet. What it would do to boxes and disks is only noted down. */
export async function apiRig(
	t: Parameters<typeof bench>[0],
	log: Log = silent,
): Promise<
	Bench & {
		readonly qualities: Qualities;
		readonly options: ApiOptions;
		readonly port: number;
		/** The operator's own. */
		readonly token: string;
		readonly commands: [BoxId, CommandBody][];
		readonly backups: string[];
		readonly revoked: [BoxId, string | undefined][];
		readonly entitled: Parameters<ApiOptions["entitle"]>[];
		readonly forgotten: BoxId[];
		/** What was asked of rollouts. */
		readonly rolled: string[];
		/** With the operator's token unless other headers are given. */
		ask(
			method: string,
			path: string,
			headers?: Record<string, string>,
			body?: string,
		): Promise<Answer>;
		post(
			path: string,
			body: unknown,
			headers?: Record<string, string>,
		): Promise<Answer>;
	}
> {
	const it = await bench(t);
	const audit = await Audit.open(it.database, silent);
	const title = recordOf("f".repeat(64) as TitleId);
	const planner = new Planner({
		operator: it.operator,
		fleet: it.fleet,
		wishes: new Wishes(it.database, region),
		titles: async () => [{ id: title.id, geometry: geometryOf(title) }],
		publishDesired: async () => undefined,
		log: silent,
	});
	const commands: [BoxId, CommandBody][] = [];
	const backups: string[] = [];
	const revoked: [BoxId, string | undefined][] = [];
	const purges = await Purges.open({
		database: it.database,
		vouched: () => new Set(),
	});
	const entitled: Parameters<ApiOptions["entitle"]>[] = [];
	const forgotten: BoxId[] = [];
	const rolled: string[] = [];
	const revoke = async (box: BoxId, why?: string) => {
		revoked.push([box, why]);
		await it.fleet.revoke(box, why);
	};
	const { operator, database, fleet } = it;
	const enrolment = new Enrolment({
		...{ operator, database, fleet, audit, revoke, log },
		access: undefined,
		isRevoked: (box) => revoked.some(([each]) => each === box),
	});
	const watching = new Watching();
	const qualities = new Qualities({
		...{ database, region: operator.region, log: silent },
		isTitle: () => true,
		onEntry: (figures) => watching.note(figures),
	});
	const options: ApiOptions = {
		operator: {
			...it.operator,
			config: { ...it.operator.config, api: { host: "127.0.0.1", port: 0 } },
		},
		database: it.database,
		audit,
		fleet: it.fleet,
		purges,
		qualities,
		watching,
		attests: new Attests({
			database: it.database,
			issued: (box) => readIssued(it.operator.dir, box),
		}),
		planner,
		titles: () => [title],
		broker: () => ({ connected: true }),
		origin: { bytesSent: 7, bytesByTitle: new Map([[title.id, 5]]) },
		command: async (box, body) => {
			if (body.kind === "report")
				throw new LarderError("BOX_SILENT", "it did not answer");
			commands.push([box, body]);
			if (body.kind === "support")
				return { id: "1", session: "2", ok: true, bundle: "H4sI" };
			return { id: "1", session: "2", ok: false, code: "COMMAND_FAILED" };
		},
		takeKeys: async () => {
			await it.operator.keyring.reread();
			return ["send every broker a SIGHUP"];
		},
		purge: (id, why) => purges.order(id, title, why, 0),
		giveBack: (id) => purges.countermand(id),
		entitle: async (...rule) => {
			entitled.push(rule);
			return 2;
		},
		rules: async () => [],
		forget: async (box) => {
			forgotten.push(box);
			return 3;
		},
		revoke,
		readmit: async (box) => void (await it.fleet.readmit(box)),
		forgery: () => undefined,
		enrolment,
		rollouts: {
			start: async ({ version }) => void rolled.push(`start ${version}`),
			pause: async (why) => void rolled.push(`pause ${why}`),
			resume: async () => void rolled.push("resume"),
			abort: async (why) => void rolled.push(`abort ${why}`),
			views: async () => [],
			onChange: () => () => undefined,
		},
		backup: async (file) => void backups.push(file),
		log,
	};
	const { api, url } = await Api.start(options);
	t.teardown(async () => {
		await api.close();
		await enrolment.close();
		audit.close();
	});
	const port = Number(new URL(url).port);
	const token = new URL(url).searchParams.get("token") ?? "";
	const authorization = `Bearer ${token}`;
	const ask = (
		method: string,
		path: string,
		headers: Record<string, string> = { authorization },
		body?: string,
	): Promise<Answer> =>
		new Promise((resolve, reject) => {
			const call = request(
				{ port, host: "127.0.0.1", method, path, headers },
				(response) => {
					// A stream of news has no end to wait for.
					const type = response.headers["content-type"];
					const endless = type === "text/event-stream";
					const chunks: Buffer[] = [];
					response.on("data", (chunk: Buffer) => chunks.push(chunk));
					response.on(endless ? "data" : "end", () => {
						resolve({
							status: response.statusCode ?? 0,
							headers: response.headers,
							text: Buffer.concat(chunks).toString(),
						});
						if (endless) call.destroy();
					});
				},
			);
			call.on("error", reject);
			call.end(body);
		});
	return {
		qualities,
		...it,
		options,
		port,
		token,
		commands,
		backups,
		revoked,
		entitled,
		forgotten,
		rolled,
		ask,
		post: (path, body, headers = {}) =>
			ask(
				"POST",
				path,
				{ authorization, "content-type": "application/json", ...headers },
				JSON.stringify(body),
			),
	};
}
