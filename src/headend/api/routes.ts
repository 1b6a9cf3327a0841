import { isAbsolute } from "node:path";
import * as z from "zod/mini";
import { LarderError } from "../../base/errors.ts";
import { LOG_LEVELS } from "../../base/log.ts";
import type { CommandBody } from "../../wire/command.ts";
import { type BoxId, boxId, type TitleId, titleId } from "../../wire/ids.ts";
import type { Response } from "../../wire/reports.ts";
import { type Audit, reason, veiled } from "../audit.ts";
import type { Enrolment } from "../enrol/enrolment.ts";
import type { Rule } from "../entitlement/policy.ts";
import type { RuleView } from "../entitlement/rules.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { Planner } from "../fleet/planner.ts";
import type { RolloutDeeds } from "../rollout/rollouts.ts";
import { enrolRoutes } from "./enrolroutes.ts";
import { groupRoutes } from "./grouproutes.ts";
import type { Live } from "./live.ts";
import { backIn, titleIn, whole } from "./query.ts";
import { sendJson, type Text } from "./reply.ts";
import { rolloutRoutes } from "./rolloutroutes.ts";
import { changesIn, type Routes, reads, tells } from "./routing.ts";
import { ROLES, type Tokens, tokenName } from "./tokens.ts";

/** Entries of the audit log in one answer; older ones are asked for with `before`. */
export const ENTRIES = 500;

/** What changes something. */
export interface Deeds {
	readonly planner: Pick<Planner, "plan">;
	/** Says where receivers are. */
	readonly fleet: Pick<Fleet, "place">;
	/** Sends a command and gives what the box answers. Rejects with BOX_UNKNOWN, BOX_SILENT or BROKER_FAILED. */
	readonly command: (box: BoxId, body: CommandBody) => Promise<Response>;
	/** Shuts a box out of the network. Rejects with BOX_UNKNOWN. */
	readonly revoke: (box: BoxId, why?: string) => Promise<void>;
	/** Lets it in again. Rejects with BOX_UNKNOWN, or REQUEST_INVALID when it is not shut out or its serial is another's by now. */
	readonly readmit: (box: BoxId) => Promise<void>;
	/** Takes up what was changed in keys/; gives what is left for a person to do. Rejects with OPERATOR_INVALID, and then nothing changes. */
	readonly takeKeys: () => Promise<readonly string[]>;
	/** Takes a title back. Rejects with REQUEST_INVALID when it is already, PURGE_LIMIT when no box would obey. */
	readonly purge: (title: TitleId, why: string) => Promise<void>;
	/** Gives it back. Rejects with TITLE_UNKNOWN, or REQUEST_INVALID when it is too late. */
	readonly giveBack: (title: TitleId) => Promise<void>;
	/** Makes a rule or takes it away; gives how many boxes are told to forget a key. Rejects with BOX_UNKNOWN. */
	readonly entitle: (
		title: TitleId,
		box: BoxId | undefined,
		rule: Rule | undefined,
	) => Promise<number>;
	/** Who may play what, where it differs from the mode. */
	readonly rules: () => Promise<RuleView[]>;
	/** Erases what a box was given keys for; gives how many records there were. Rejects with BOX_UNKNOWN. */
	readonly forget: (box: BoxId) => Promise<number>;
	/** Lets boxes in, or turns them away. */
	readonly enrolment: Pick<Enrolment, "registrar">;
	/** Writes a backup to an absolute path. */
	readonly backup: (file: string) => Promise<void>;
	/** Brings releases to boxes. */
	readonly rollouts: RolloutDeeds;
	readonly audit: Audit;
}

const commandRequest = z.union([
	z.object({ box: boxId, kind: z.literal("report") }),
	z.object({
		box: boxId,
		kind: z.literal("log-level"),
		level: z.enum(LOG_LEVELS),
	}),
]);
const revokeRequest = z.object({ box: boxId, why: z.optional(reason) });
const readmitRequest = z.object({ box: boxId, why: reason });
const purgeRequest = z.object({ title: titleId, why: reason });
const entitleRequest = z.object({
	title: titleId,
	box: z.optional(boxId),
	rule: z.enum(["allow", "deny", "unset"]),
	why: z.optional(reason),
});
const backupRequest = z.object({
	file: z.string().check(z.refine(isAbsolute, "must be an absolute path")),
});
const keysRequest = z.object({
	what: z.string().check(z.regex(/^[a-z0-9 ]{1,64}$/)),
});
const tokenRequest = z.object({ name: tokenName, role: z.enum(ROLES) });

/** All that can be asked for below /api/. */
export function routesOf(
	views: Readonly<
		Record<
			"overview" | "boxes" | "titles" | "keys" | "enrol",
			() => Promise<unknown>
		>
	> & {
		readonly purges: (title?: TitleId) => Promise<unknown>;
		readonly metrics: () => Promise<Text>;
		/** @param hours how far back */
		readonly quality: (hours: number) => Promise<unknown>;
	},
	deeds: Deeds,
	tokens: Tokens,
	live: Live,
): Routes {
	const { audit, planner, command, revoke, purge, giveBack } = deeds;
	const { takeKeys, entitle, forget, enrolment, backup } = deeds;
	const changes = changesIn(audit);
	return {
		"/api/overview": { GET: reads(views.overview) },
		"/api/boxes": { GET: reads(views.boxes) },
		"/api/metrics": { GET: tells(views.metrics) },
		"/api/quality": {
			GET: reads(({ query }) => views.quality(backIn(query))),
		},
		"/api/titles": { GET: reads(views.titles) },
		"/api/events": {
			GET: { role: "viewer", answer: ({ response }) => live.listen(response) },
		},
		"/api/me": {
			GET: reads(async ({ visitor: { name, role } }) => ({ name, role })),
		},
		"/api/audit": {
			GET: reads(async ({ query, visitor }) => {
				const entries = await audit.entries(
					ENTRIES,
					whole(query, "since") ?? 0,
					whole(query, "before")?.toString(),
				);
				return visitor.role === "operator" ? entries : veiled(entries);
			}),
		},
		"/api/command": {
			POST: changes(
				commandRequest,
				({ box, ...body }) => ({
					...{ action: "command", subject: box },
					how:
						body.kind === "log-level"
							? `${body.kind} ${body.level}`
							: body.kind,
				}),
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
		"/api/support": {
			POST: changes(
				revokeRequest,
				({ box, why }) => ({ action: "support", subject: box, why }),
				async ({ box }) => {
					const { ok, code, detail, bundle } = await command(box, {
						kind: "support",
					});
					if (ok && bundle !== undefined) return { bundle };
					const why = detail ?? code ?? "it sent none";
					throw new LarderError("COMMAND_FAILED", `no bundle: ${why}`);
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
		"/api/revoke/undo": {
			POST: changes(
				readmitRequest,
				({ box, why }) => ({ action: "revoke-undo", subject: box, why }),
				async ({ box }) => {
					await deeds.readmit(box);
					return { ok: true };
				},
			),
		},
		"/api/keys": {
			GET: reads(views.keys),
			POST: changes(
				keysRequest,
				({ what }) => ({ action: "keys", subject: what }),
				async () => ({ todo: await takeKeys() }),
			),
		},
		"/api/purges": {
			GET: reads(({ query }) => views.purges(titleIn(query))),
		},
		"/api/purge": {
			POST: changes(
				purgeRequest,
				({ title, why }) => ({ action: "purge", subject: title, why }),
				async ({ title, why }) => {
					await purge(title, why);
					return { ok: true };
				},
			),
		},
		"/api/purge/undo": {
			POST: changes(
				purgeRequest,
				({ title, why }) => ({ action: "purge-undo", subject: title, why }),
				async ({ title }) => {
					await giveBack(title);
					return { ok: true };
				},
			),
		},
		"/api/entitle": {
			POST: changes(
				entitleRequest,
				({ title, box, rule, why }) => ({
					action: `key-${rule}`,
					subject: box === undefined ? title : `${title} on ${box}`,
					why,
				}),
				async ({ title, box, rule }) => ({
					told: await entitle(title, box, rule === "unset" ? undefined : rule),
				}),
			),
		},
		"/api/entitlements": {
			GET: {
				// What a household may play is nothing for those who only look.
				role: "operator",
				answer: async ({ response }) => sendJson(response, await deeds.rules()),
			},
		},
		"/api/forget": {
			POST: changes(
				revokeRequest,
				({ box, why }) => ({ action: "forget", subject: box, why }),
				async ({ box }) => ({ erased: await forget(box) }),
			),
		},
		...enrolRoutes(views.enrol, enrolment, changes),
		...groupRoutes(deeds.fleet, planner, changes),
		...rolloutRoutes(deeds.rollouts, changes),
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
