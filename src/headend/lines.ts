import { existsSync } from "node:fs";
import { describe, LarderError } from "../base/errors.ts";
import type { ServiceGroup } from "../base/group.ts";
import type { Log } from "../base/log.ts";
import type { Millis } from "../base/units.ts";
import type { Swarm } from "../swarm/swarm.ts";
import { type Head, head } from "../wire/head.ts";
import { type BoxId, short } from "../wire/ids.ts";
import { parseMessage } from "../wire/json.ts";
import { downTopic, headTopic } from "../wire/topics.ts";
import { Allotment } from "./control/allotment.ts";
import { Announcer } from "./control/announcer.ts";
import { Answers, answerAsked } from "./control/answers.ts";
import { Commands } from "./control/commands.ts";
import { Dispatch, type Retained } from "./control/dispatch.ts";
import { Expulsion } from "./control/expulsion.ts";
import { Forgeries } from "./control/forgeries.ts";
import { Recall } from "./control/recall.ts";
import { Recalls } from "./control/recalls.ts";
import { Enrolment } from "./enrol/enrolment.ts";
import { heardBelow } from "./fleet/bans.ts";
import { fillingIn } from "./fleet/filling.ts";
import { OwnLease } from "./lease.ts";
import { openNode } from "./node.ts";
import { reloadTrouble } from "./operator/config.ts";
import { issuedPath } from "./operator/issue.ts";
import { Limbo } from "./publish/limbo.ts";
import { entryOf } from "./publish/titles.ts";
import type { Stores } from "./stores.ts";
import { enrolAccess, headendAccess } from "./tls/access.ts";
import { refuseRevoked } from "./tls/broker.ts";
import { Withdrawal } from "./withdrawal.ts";

/** The headend's lines to its region: the broker, the swarm, and what goes over both. */
export interface Lines {
	readonly dispatch: Dispatch;
	readonly commands: Commands;
	readonly announcer: Announcer;
	readonly allotment: Allotment;
	readonly withdrawal: Withdrawal;
	readonly recall: Recall;
	/** Shuts a box out. Rejects with BOX_UNKNOWN. */
	shutOut(box: BoxId, why?: string): Promise<void>;
	/** Lets it in again. Rejects with REQUEST_INVALID when it is not shut out, or another box has its serial. */
	readmit(box: BoxId): Promise<void>;
	readonly forgeries: Forgeries;
	readonly recalls: Recalls;
	readonly enrolment: Enrolment;
	readonly lease: OwnLease;
	/** Whether a box is the operator's. */
	knows(box: BoxId): boolean;
}

/** Opens the lines; nothing is said or heard at the broker before `dispatch.start()`. Throws NO_BOOTSTRAP, PORT_TAKEN or CONFIG_INVALID. */
export async function openLines(
	stores: Stores,
	parts: ServiceGroup,
	log: Log,
): Promise<Lines> {
	const { operator, entitlement, fleet, heads, catalog, shelf } = stores;
	const { purges, attests, audit, database } = stores;
	const { dir, region, config } = operator;
	const { enrol } = config;
	const access = await headendAccess(operator);
	const knows = (box: BoxId) => existsSync(issuedPath(dir, box));
	const isRevoked = (box: BoxId) => announcer.isRevoked(box);
	const commands: Commands = new Commands(operator, (box, envelope, expiry) =>
		dispatch.command(box, envelope, expiry),
	);
	const answers = new Answers({
		...{ operator, entitlement, commands, isRevoked, log },
	});
	const recalls = new Recalls(entitlement, commands, log);
	const dispatch: Dispatch = new Dispatch({
		...access,
		name: operator.network.slice(0, 16),
		network: operator.network,
		region,
		knows,
		isRevoked,
		retained: () => retained(stores),
		handlers: {
			onState: (box, state) => {
				fleet.recordState(box, state);
				if (state.online) void recalls.remind(box);
			},
			onReported: (box, reported) => fleet.recordReported(box, reported),
			onFill: (box, fill) => fleet.recordFill(box, fill),
			onRequest: async (box, request) => {
				if (request.kind === "key") await answers.take(box, request);
				else
					await answerAsked(
						{ registrar: enrolment.registrar, commands, log },
						box,
						request,
					);
			},
			onResponse: (box, response) => {
				if (!commands.answered(box, response))
					log.debug({ box: short(box) }, "an answer that nobody waits for");
			},
			onAttested: async (box, attested) => {
				if (!(await attests.keep(box, attested))) return;
				const at = Math.max(0, ...attested.map(({ said }) => said.at));
				await acknowledge(commands, box, at, log);
			},
			onQuality: (quality) => stores.qualities.note(quality),
			onHead: async (payload) => {
				const read = parseMessage(head, payload);
				if (read.ok) await hear(read.value);
			},
		},
		log,
	});
	/** Until the shelf has seen that its record is gone, a title that is taken back is still on it. */
	const titles = () => shelf.titles.filter(({ id }) => !purges.has(id));
	const allotment = new Allotment({
		budget: config.policy.origin_budget,
		filling: () => fillingIn(database, region),
		onChange: () => announcer.announce(),
		log,
	});
	parts.add("allotment", allotment);
	parts.onClose(
		"allotment news",
		fleet.onChange(() => allotment.heard()),
	);
	const announcer: Announcer = await Announcer.open({
		catalog,
		heads,
		entries: () => titles().map(entryOf),
		shutOut: () => fleet.shutOut(),
		revoked: () => fleet.revoked(),
		purged: () => purges.list,
		policy: () => ({
			shareTransient: config.policy.share_transient,
			...(config.policy.fill && { fill: config.policy.fill }),
			...(allotment.rate !== undefined && { originRate: allotment.rate }),
		}),
		tellMembers: () => node.headChanged(),
		tellBroker: (head) => dispatch.head(region, head),
		log,
	});
	const withdrawal = new Withdrawal({
		...{ purges, log },
		limbo: new Limbo(dir),
		titles: () => shelf.titles,
		bannedAt: () => heads.banned?.version,
		announce: () => announcer.announce(),
	});
	const expulsion = new Expulsion({
		...{ dispatch, access, log },
		trouble: reloadTrouble(config),
		refuse: async () => {
			// Elsewhere the broker knows nobody by certificate.
			if (access.tls !== undefined)
				await refuseRevoked(operator, await fleet.revoked());
		},
	});
	const forgeries = new Forgeries({
		...{ operator, log },
		contradict: () => announcer.announce(),
	});
	const recall = new Recall({
		...{ operator, heads, fleet, purges, audit, knows, log },
		heardBelow: (serial) => heardBelow(database, serial),
		rivals: (box) => enrolment.registrar.rivals(box),
		onRecalled: async (boxes) => {
			await withdrawal.settled();
			await announcer.announce();
			await expulsion.expel(boxes);
		},
		onDropped: async (boxes) => {
			await withdrawal.settled();
			await expulsion.spare(boxes);
		},
		onForged: (said, serial) => forgeries.note(said, serial),
	});
	const hear = (said: Head) => {
		heads.heed(said);
		return recall.hear(said);
	};
	const lease = parts.add("lease", await OwnLease.open(operator, log));
	const node: Swarm = await openNode({
		operator,
		lease,
		catalog,
		currentHead: () => heads.head,
		isRevoked,
		offerHead: (offered) => void hear(offered),
		log,
	});
	const shutOut = async (box: BoxId, why?: string) => {
		if (!(await fleet.revoke(box, why)))
			throw new LarderError("BOX_UNKNOWN", `${short(box)} was not issued here`);
		await announcer.announce();
		await expulsion.expel([box]);
	};
	const readmit = async (box: BoxId) => {
		const [rival] = await enrolment.registrar.rivals(box);
		if (rival !== undefined)
			throw new LarderError(
				"REQUEST_INVALID",
				`the serial of ${short(box)} was given to ${short(rival)}`,
			);
		if (!(await fleet.readmit(box)))
			throw new LarderError("REQUEST_INVALID", `${short(box)} is not shut out`);
		await announcer.announce();
		await expulsion.spare([box]);
	};
	const enrolment: Enrolment = new Enrolment({
		...stores,
		access: enrol && (await enrolAccess(operator, enrol.headend_url)),
		isRevoked,
		revoke: shutOut,
		log,
	});
	lease.onRenewed(() => node.renewed());
	parts.add("announcer", announcer);
	parts.add("withdrawal", withdrawal);
	parts.add("recall", recall);
	parts.add("forgeries", forgeries);
	parts.add("swarm", node);
	parts.add("dispatch", dispatch);
	parts.add("commands", commands);
	parts.add("expulsion", expulsion);
	parts.add("enrolment", enrolment);
	return {
		...{ dispatch, commands, announcer, withdrawal, recall, recalls },
		...{ allotment, forgeries, enrolment, lease, shutOut, readmit, knows },
	};
}

/** A box whose word was kept need not repeat it. Never rejects: it does until it hears this. */
async function acknowledge(
	commands: Commands,
	box: BoxId,
	at: Millis,
	log: Log,
): Promise<void> {
	try {
		await commands.send(box, { kind: "attested", at });
	} catch (error) {
		log.debug({ box: short(box) }, `not acknowledged: ${describe(error)}`);
	}
}

/** All that is to stand at the broker, and what is not to stand there any more. */
async function* retained({
	operator,
	heads,
	wishes,
	fleet,
}: Stores): AsyncGenerator<Retained> {
	for (const box of await fleet.revoked())
		yield [downTopic(box, "desired"), Buffer.alloc(0)];
	if (heads.bytes) yield [headTopic(operator.region), heads.bytes];
	for await (const [box, envelope] of wishes.envelopes(operator.epoch))
		yield [downTopic(box, "desired"), envelope];
}
