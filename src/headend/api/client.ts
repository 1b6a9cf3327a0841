import { isIPv6 } from "node:net";
import { resolve } from "node:path";
import { LarderError } from "../../base/errors.ts";
import { SECOND } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import { isLocked } from "../../store/lock.ts";
import type { CommandBody } from "../../wire/command.ts";
import type { BoxId } from "../../wire/ids.ts";
import { parseMessage } from "../../wire/json.ts";
import type { Response as Answer } from "../../wire/reports.ts";
import type { PlanOutcome } from "../fleet/planner.ts";
import type { BoxView } from "../fleet/views.ts";
import { readConfig } from "../operator/config.ts";
import { apiToken } from "./door.ts";
import { errorReply } from "./reply.ts";

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
		const { host, port } = (await readConfig(dir)).api;
		// Asked of the kernel: the token is not to be shown to whoever listens there instead.
		if (!(await isLocked(dir))) return undefined;
		return new HeadendClient(
			`http://${reachable(host)}:${port}`,
			await apiToken(dir),
		);
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

	async revoke(box: BoxId): Promise<void> {
		await this.ask("POST", "revoke", { box }, PATIENCE);
	}

	plan(): Promise<PlanOutcome> {
		return this.ask("POST", "plan", {});
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

/** An address to connect to, for one to listen on. */
function reachable(host: string): string {
	if (host === "0.0.0.0") return "127.0.0.1";
	if (host === "::") return "[::1]";
	return isIPv6(host) ? `[${host}]` : host;
}
