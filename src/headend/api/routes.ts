import type { IncomingMessage, ServerResponse } from "node:http";
import { isAbsolute } from "node:path";
import * as z from "zod/mini";
import { LOG_LEVELS } from "../../base/log.ts";
import type { CommandBody } from "../../wire/command.ts";
import { type BoxId, boxId } from "../../wire/ids.ts";
import type { Response } from "../../wire/reports.ts";
import { type Audit, type Change, reason } from "../audit.ts";
import type { Enrolment } from "../enrol/enrolment.ts";
import { isSerial } from "../enrol/serials.ts";
import type { Planner } from "../fleet/planner.ts";
import type { Visitor } from "./door.ts";
import type { Live } from "./live.ts";
import { Refusal, readBody, sendJson } from "./reply.ts";
import { ROLES, type Role, type Tokens, tokenName } from "./tokens.ts";

/** Entries of the audit log in one answer; older ones are asked for with `before`. */
export const ENTRIES = 500;

/** What changes something. */
export interface Deeds {
	readonly planner: Pick<Planner, "plan">;
	/** Sends a command and gives what the box answers. Rejects with BOX_UNKNOWN, BOX_SILENT or BROKER_FAILED. */
	readonly command: (box: BoxId, body: CommandBody) => Promise<Response>;
	/** Shuts a box out of the network for good. Rejects with BOX_UNKNOWN. */
	readonly revoke: (box: BoxId, why?: string) => Promise<void>;
	/** Lets boxes in, or turns them away. */
	readonly enrolment: Pick<Enrolment, "registrar">;
	/** Writes a backup to an absolute path. */
	readonly backup: (file: string) => Promise<void>;
	readonly audit: Audit;
}

export interface Asked {
	readonly request: IncomingMessage;
	readonly response: ServerResponse;
	readonly path: string;
	readonly query: URLSearchParams;
	readonly visitor: Visitor;
}

export interface Route {
	/** Who may ask. */
	readonly role: Role;
	readonly answer: (asked: Asked) => Promise<void> | void;
}

/** Routes by path and method. */
export type Routes = Readonly<
	Record<string, Partial<Readonly<Record<string, Route>>>>
>;

const commandRequest = z.union([
	z.object({ box: boxId, kind: z.literal("report") }),
	z.object({
		box: boxId,
		kind: z.literal("log-level"),
		level: z.enum(LOG_LEVELS),
	}),
]);
const revokeRequest = z.object({ box: boxId, why: z.optional(reason) });
const rejection = z.union([
	z.object({ box: boxId, why: reason }),
	z.object({ batch: z.string().check(z.maxLength(32)), why: reason }),
]);
/** Without serials, nobody is let in without a person. */
const stock = z.object({
	serials: z.array(z.string().check(z.refine(isSerial, "no serial number"))),
});
/** Room for a million serials. */
const MAX_STOCK = 64 * 1024 * 1024;
/** Enrolments in one answer. */
const ENROLMENTS = 20_000;
const backupRequest = z.object({
	file: z.string().check(z.refine(isAbsolute, "must be an absolute path")),
});
const tokenRequest = z.object({ name: tokenName, role: z.enum(ROLES) });

/** All that can be asked for below /api/. */
export function routesOf(
	views: Readonly<
		Record<"overview" | "boxes" | "titles" | "enrol", () => Promise<unknown>>
	>,
	deeds: Deeds,
	tokens: Tokens,
	live: Live,
): Routes {
	const { audit, planner, command, revoke, enrolment, backup } = deeds;
	const { registrar } = enrolment;
	const changes = changesIn(audit);
	return {
		"/api/overview": { GET: reads(views.overview) },
		"/api/boxes": { GET: reads(views.boxes) },
		"/api/titles": { GET: reads(views.titles) },
		"/api/events": {
			GET: { role: "viewer", answer: ({ response }) => live.listen(response) },
		},
		"/api/me": {
			GET: reads(async ({ visitor: { name, role } }) => ({ name, role })),
		},
		"/api/audit": {
			GET: reads(({ query }) =>
				audit.entries(
					ENTRIES,
					whole(query, "since") ?? 0,
					whole(query, "before")?.toString(),
				),
			),
		},
		"/api/command": {
			POST: changes(
				commandRequest,
				({ box }) => ({ action: "command", subject: box }),
				async ({ box, ...body }) => {
					const { ok, code, detail } = await command(box, body);
					return { ok, code, detail };
				},
				{
					fault: ({ ok, code }) =>
						ok ? undefined : (code ?? "COMMAND_FAILED"),
				},
			),
		},
		"/api/revoke": {
			POST: changes(
				revokeRequest,
				({ box, why }) => ({ action: "revoke", subject: box, why }),
				async ({ box, why }) => {
					await revoke(box, why);
					return { ok: true };
				},
			),
		},
		"/api/enrol": { GET: reads(views.enrol) },
		"/api/enrol/list": { GET: reads(() => registrar.list(ENROLMENTS)) },
		"/api/enrol/approve": {
			POST: changes(
				z.object({ box: boxId }),
				({ box }) => ({ action: "enrol-approve", subject: box }),
				async ({ box }, visitor) => ({
					revoked: await registrar.approve(box, visitor),
				}),
			),
		},
		"/api/enrol/reject": {
			POST: changes(
				rejection,
				({ why, ...which }) => ({
					action: "enrol-reject",
					subject: "box" in which ? which.box : `batch ${which.batch}`,
					why,
				}),
				async ({ why, ...which }) => ({
					rejected: await registrar.reject(which, why),
				}),
			),
		},
		"/api/enrol/auto": {
			POST: changes(
				stock,
				({ serials: { length } }) => ({
					action: "enrol-auto",
					subject: length === 0 ? "off" : `${length} serials`,
				}),
				async ({ serials }) => {
					await registrar.takeStock(serials);
					return { ok: true };
				},
				{ limit: MAX_STOCK },
			),
		},
		"/api/plan": {
			POST: changes(
				z.object({}),
				() => ({ action: "plan" }),
				() => planner.plan(),
			),
		},
		"/api/backup": {
			POST: changes(
				backupRequest,
				({ file }) => ({ action: "backup", subject: file }),
				async ({ file }) => {
					await backup(file);
					return { ok: true, file };
				},
			),
		},
		"/api/token/add": {
			POST: changes(
				tokenRequest,
				({ name, role }) => ({
					action: "token-add",
					subject: `${name} (${role})`,
				}),
				async ({ name, role }) => ({ token: await tokens.add(name, role) }),
			),
		},
		"/api/token/remove": {
			POST: changes(
				z.object({ name: tokenName }),
				({ name }) => ({ action: "token-remove", subject: name }),
				async ({ name }) => {
					await tokens.remove(name);
					// Whoever may still look comes back within seconds.
					live.hangUp();
					return { ok: true };
				},
			),
		},
	};
}

function reads(view: (asked: Asked) => Promise<unknown>): Route {
	return {
		role: "viewer",
		answer: async (asked) => sendJson(asked.response, await view(asked)),
	};
}

interface ChangeOptions<T> {
	/** Why a result is none: a code. */
	readonly fault?: (result: T) => string | undefined;
	/** Of the request, in bytes. */
	readonly limit?: number;
}

/** Makes routes that change something: for operators, and on record before it happens. */
function changesIn(audit: Audit) {
	return <S extends z.ZodMiniType, T>(
		schema: S,
		what: (body: z.output<S>) => Change,
		work: (body: z.output<S>, visitor: Visitor) => Promise<T>,
		{ fault, limit }: ChangeOptions<T> = {},
	): Route => ({
		role: "operator",
		answer: async ({ request, response, path, visitor }) => {
			const body = await readBody(request, schema, limit);
			const change = { ...what(body), request: `${request.method} ${path}` };
			const done = () => work(body, visitor);
			sendJson(response, await audit.carryOut(visitor, change, done, fault));
		},
	});
}

/** Undefined when it is not asked for. Throws a Refusal. */
function whole(query: URLSearchParams, name: string): number | undefined {
	const text = query.get(name);
	if (text === null) return undefined;
	if (/^\d{1,15}$/.test(text)) return Number(text);
	throw new Refusal(400, "REQUEST_INVALID", `${name} must be a whole number`);
}
