import { isIPv6 } from "node:net";
import { resolve } from "node:path";
import { LarderError } from "../../base/errors.ts";
import { SECOND } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import { isLocked } from "../../store/lock.ts";
import type { CommandBody } from "../../wire/command.ts";
import type { BoxId, TitleId } from "../../wire/ids.ts";
import { parseMessage } from "../../wire/json.ts";
import type { Response as Answer } from "../../wire/reports.ts";
import type { Entry } from "../audit.ts";
import type { EnrolmentView } from "../enrol/enrolment.ts";
import type { Enrolment } from "../enrol/requests.ts";
import type { Rule } from "../entitlement/policy.ts";
import type { RuleView } from "../entitlement/rules.ts";
import type { Place } from "../fleet/groups.ts";
import type { PlanOutcome } from "../fleet/planner.ts";
import type { QualityView } from "../fleet/qualityview.ts";
import type { PurgeView } from "../fleet/stragglers.ts";
import type { BoxView } from "../fleet/views.ts";
import { type OperatorConfig, readConfig } from "../operator/config.ts";
import type { Wanted } from "../rollout/rollouts.ts";
import type { RolloutView } from "../rollout/view.ts";
import { errorReply } from "./reply.ts";
import type { KeysView, TitleView } from "./show.ts";
import { apiToken, type Role } from "./tokens.ts";

/** Longer than the headend waits for a box. */
const PATIENCE: Millis = 30 * SECOND;

/** Asks the headend that runs on an operator's folder, from the same machine. What it refuses is thrown as it says. */
export class HeadendClient {
	private readonly base: string;
	private readonly token: string;

	private constructor(base: string, token: string) {
		this.base = base;
		this.token = token;
	}

	/** Undefined when no headend runs on that folder. Throws OPERATOR_MISSING or CONFIG_INVALID. */
	static async find(dir: string): Promise<HeadendClient | undefined> {
		const address = apiAddress(await readConfig(dir));
		// Asked of the kernel: the token is not to be shown to whoever listens there instead.
		if (!(await isLocked(dir))) return undefined;
		return new HeadendClient(address, await apiToken(dir));
	}

	/** As `find`. Throws HEADEND_UNREACHABLE when no headend runs there. */
	static async open(dir: string): Promise<HeadendClient> {
		const client = await HeadendClient.find(dir);
		if (client !== undefined) return client;
		throw new LarderError(
			"HEADEND_UNREACHABLE",
			`no headend runs on ${resolve(dir)}`,
		);
	}

	boxes(): Promise<BoxView[]> {
		return this.ask("GET", "boxes", undefined, PATIENCE);
	}

	/** What the box answers. */
	command(
		box: BoxId,
		body: CommandBody,
	): Promise<Pick<Answer, "ok" | "code" | "detail">> {
		return this.ask("POST", "command", { box, ...body }, PATIENCE);
	}

	/** A support bundle, a .tar.gz. */
	async support(box: BoxId): Promise<Buffer> {
		type Done = { readonly bundle: string };
		const done = this.ask<Done>("POST", "support", { box }, PATIENCE);
		return Buffer.from((await done).bundle, "base64");
	}

	async revoke(box: BoxId, why: string): Promise<void> {
		await this.ask("POST", "revoke", { box, why }, PATIENCE);
	}

	/** Lets in again who was shut out. */
	async readmit(box: BoxId, why: string): Promise<void> {
		await this.ask("POST", "revoke/undo", { box, why }, PATIENCE);
	}

	/** Titles as the API lists them. */
	titles(): Promise<TitleView[]> {
		return this.ask("GET", "titles", undefined, PATIENCE);
	}

	/** How titles were to watch in the last hours, by title and region. */
	quality(hours: number): Promise<QualityView[]> {
		return this.ask("GET", `quality?hours=${hours}`, undefined, PATIENCE);
	}

	/** Titles that are taken back, newest first; of one title with every box that still has it. */
	purges(title?: TitleId): Promise<PurgeView[]> {
		const query = title === undefined ? "" : `?title=${title}`;
		return this.ask("GET", `purges${query}`, undefined, PATIENCE);
	}

	async purge(title: TitleId, why: string): Promise<void> {
		await this.ask("POST", "purge", { title, why }, PATIENCE);
	}

	async giveBack(title: TitleId, why: string): Promise<void> {
		await this.ask("POST", "purge/undo", { title, why }, PATIENCE);
	}

	/** Makes or takes away a rule about who may play a title; gives how many boxes are told to forget its key. */
	async entitle(
		rule: Rule | "unset",
		title: TitleId,
		box: BoxId | undefined,
		why: string | undefined,
	): Promise<number> {
		const body = { rule, title, box, why };
		const done = await this.ask<{ readonly told: number }>(
			"POST",
			"entitle",
			body,
			PATIENCE,
		);
		return done.told;
	}

	rules(): Promise<RuleView[]> {
		return this.ask("GET", "entitlements", undefined, PATIENCE);
	}

	/** Erases what a box was given keys for; gives how many records there were. */
	async forget(box: BoxId, why: string | undefined): Promise<number> {
		const done = await this.ask<{ readonly erased: number }>(
			"POST",
			"forget",
			{ box, why },
			PATIENCE,
		);
		return done.erased;
	}

	/** How it stands with enrolment. */
	enrolment(): Promise<EnrolmentView> {
		return this.ask("GET", "enrol", undefined, PATIENCE);
	}

	/** Those that wait, longest first, then those decided, last first. */
	enrolments(): Promise<Enrolment[]> {
		return this.ask("GET", "enrol/list", undefined, PATIENCE);
	}

	/** Gives the boxes that were shut out because they had its serial. */
	async approve(box: BoxId): Promise<readonly BoxId[]> {
		type Done = { readonly revoked: readonly BoxId[] };
		const done = this.ask<Done>("POST", "enrol/approve", { box }, PATIENCE);
		return (await done).revoked;
	}

	/** Turns away a box that waits, or all of a batch that do. Gives how many. */
	async reject(
		which: { readonly box: BoxId } | { readonly batch: string },
		why: string,
	): Promise<number> {
		type Done = { readonly rejected: number };
		const body = { ...which, why };
		const done = this.ask<Done>("POST", "enrol/reject", body, PATIENCE);
		return (await done).rejected;
	}

	/** Who is let in without a person; nobody, without any serials. */
	async takeStock(serials: readonly string[]): Promise<void> {
		await this.ask("POST", "enrol/auto", { serials });
	}

	/** Newest first. */
	rollouts(): Promise<RolloutView[]> {
		return this.ask("GET", "rollouts", undefined, PATIENCE);
	}

	async startRollout(wanted: Wanted): Promise<void> {
		await this.ask("POST", "rollout/start", wanted, PATIENCE);
	}

	/** @param what to do with the one that is on its way */
	async changeRollout(
		what: "pause" | "resume" | "abort",
		why: string | undefined,
	): Promise<void> {
		await this.ask("POST", `rollout/${what}`, { why }, PATIENCE);
	}

	/** Says where receivers are; gives how many boxes are told something new. */
	async group(places: readonly Place[]): Promise<number> {
		type Done = { readonly told: number };
		return (await this.ask<Done>("POST", "group", { places })).told;
	}

	plan(): Promise<PlanOutcome> {
		return this.ask("POST", "plan", {});
	}

	keys(): Promise<KeysView> {
		return this.ask("GET", "keys", undefined, PATIENCE);
	}

	/** Has the headend take up what was changed in keys/; gives what is left to do. @param what for the audit log: "rotate issuer" */
	async takeKeys(what: string): Promise<readonly string[]> {
		type Done = { readonly todo: readonly string[] };
		return (await this.ask<Done>("POST", "keys", { what }, PATIENCE)).todo;
	}

	/** Changes since then, newest first. */
	async audit(since: Millis): Promise<Entry[]> {
		const all: Entry[] = [];
		let query = `since=${since}`;
		for (;;) {
			const some = await this.ask<Entry[]>(
				"GET",
				`audit?${query}`,
				undefined,
				PATIENCE,
			);
			const last = some.at(-1);
			if (last === undefined) return all;
			all.push(...some);
			query = `since=${since}&before=${last.id}`;
		}
	}

	/** A new token, which is told only now. */
	async addToken(name: string, role: Role): Promise<string> {
		const made = await this.ask<{ readonly token: string }>(
			"POST",
			"token/add",
			{ name, role },
			PATIENCE,
		);
		return made.token;
	}

	async removeToken(name: string): Promise<void> {
		await this.ask("POST", "token/remove", { name }, PATIENCE);
	}

	/** The headend writes the file, with its own rights. */
	async backup(file: string): Promise<void> {
		await this.ask("POST", "backup", { file: resolve(file) });
	}

	/** What comes back is of the same version's making: its type is what the API sends. */
	private async ask<T>(
		method: "GET" | "POST",
		name: string,
		body?: object,
		limit?: Millis,
	): Promise<T> {
		let response: Response;
		try {
			response = await fetch(`${this.base}/api/${name}`, {
				method,
				headers: {
					authorization: `Bearer ${this.token}`,
					...(body !== undefined && { "content-type": "application/json" }),
				},
				...(body !== undefined && { body: JSON.stringify(body) }),
				...(limit !== undefined && { signal: AbortSignal.timeout(limit) }),
			});
		} catch (cause) {
			throw new LarderError(
				"HEADEND_UNREACHABLE",
				`the headend does not answer at ${this.base}`,
				{ cause },
			);
		}
		if (response.ok) return (await response.json()) as T;
		const said = parseMessage(errorReply, await response.bytes());
		if (said.ok) throw new LarderError(said.value.code, said.value.message);
		throw new LarderError(
			"HEADEND_UNREACHABLE",
			`what answers at ${this.base} is no headend (HTTP ${response.status})`,
		);
	}
}

/** Where a headend on this machine answers: "http://127.0.0.1:8490". */
export function apiAddress({ api }: Pick<OperatorConfig, "api">): string {
	return `http://${reachable(api.host)}:${api.port}`;
}

/** An address to connect to, for one to listen on. */
function reachable(host: string): string {
	if (host === "0.0.0.0") return "127.0.0.1";
	if (host === "::") return "[::1]";
	return isIPv6(host) ? `[${host}]` : host;
}
