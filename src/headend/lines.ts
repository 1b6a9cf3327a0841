import { existsSync } from "node:fs";
import type { ServiceGroup } from "../base/group.ts";
import type { Log } from "../base/log.ts";
import type { Swarm } from "../swarm/swarm.ts";
import { type BoxId, short } from "../wire/ids.ts";
import { downTopic, headTopic } from "../wire/topics.ts";
import { Announcer } from "./control/announcer.ts";
import { answerAsked, answerRequest } from "./control/answers.ts";
import { Commands } from "./control/commands.ts";
import { Dispatch, type Retained } from "./control/dispatch.ts";
import { Enrolment } from "./enrol/enrolment.ts";
import { OwnLease } from "./lease.ts";
import { openNode } from "./node.ts";
import { issuedPath } from "./operator/issue.ts";
import { entryOf } from "./publish/titles.ts";
import type { Stores } from "./stores.ts";
import { enrolAccess, headendAccess } from "./tls/access.ts";

/** The headend's lines to its region: the broker, the swarm, and what goes over both. */
export interface Lines {
	readonly dispatch: Dispatch;
	readonly commands: Commands;
	readonly announcer: Announcer;
	readonly enrolment: Enrolment;
	/** Shuts a box out for good. False when it was never issued here. */
	revoke(box: BoxId, why?: string): Promise<boolean>;
	/** Whether a box is the operator's. */
	knows(box: BoxId): boolean;
}

/** Opens the lines; nothing is said or heard at the broker before `dispatch.start()`. Throws NO_BOOTSTRAP, PORT_TAKEN or CONFIG_INVALID. */
export async function openLines(
	stores: Stores,
	parts: ServiceGroup,
	log: Log,
): Promise<Lines> {
	const { operator, fleet, heads, catalog, shelf } = stores;
	const { dir, region, config } = operator;
	const { enrol } = config;
	const access = await headendAccess(operator);
	const knows = (box: BoxId) => existsSync(issuedPath(dir, box));
	const isRevoked = (box: BoxId) => announcer.isRevoked(box);
	const commands: Commands = new Commands(operator, (box, envelope, expiry) =>
		dispatch.command(box, envelope, expiry),
	);
	const dispatch: Dispatch = new Dispatch({
		...access,
		name: operator.network.slice(0, 16),
		knows,
		retained: () => retained(stores),
		handlers: {
			onState: (box, state) => fleet.recordState(box, state),
			onReported: (box, reported) => fleet.recordReported(box, reported),
			onFill: (box, fill) => fleet.recordFill(box, fill),
			onRequest: async (box, request) => {
				if (request.kind === "key")
					await answerRequest(
						{ operator, commands, isRevoked, log },
						box,
						request,
					);
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
		},
		log,
	});
	const announcer: Announcer = await Announcer.open({
		catalog,
		heads,
		entries: () => shelf.titles.map(entryOf),
		revoked: () => fleet.revoked(),
		purged: async () => [],
		policy: { shareTransient: config.policy.share_transient },
		tellMembers: () => node.headChanged(),
		tellBroker: (head) => dispatch.head(region, head),
		log,
	});
	const lease = parts.add("lease", await OwnLease.open(operator, log));
	const node: Swarm = await openNode({
		operator,
		lease,
		catalog,
		currentHead: () => heads.head,
		isRevoked,
		log,
	});
	const revoke = async (box: BoxId, why?: string) => {
		const known = await fleet.revoke(box, why);
		if (known) await announcer.announce();
		return known;
	};
	const enrolment: Enrolment = new Enrolment({
		...stores,
		access: enrol && (await enrolAccess(operator, enrol.headend_url)),
		isRevoked,
		revoke: async (box, why) => void (await revoke(box, why)),
		log,
	});
	parts.add("swarm", node);
	parts.add("announcer", announcer);
	parts.add("dispatch", dispatch);
	parts.add("commands", commands);
	parts.add("enrolment", enrolment);
	return { dispatch, commands, announcer, enrolment, revoke, knows };
}

/** All that is to stand at the broker. */
async function* retained({
	operator,
	heads,
	wishes,
}: Stores): AsyncGenerator<Retained> {
	if (heads.bytes) yield [headTopic(operator.region), heads.bytes];
	for await (const [box, envelope] of wishes.envelopes(operator.epoch))
		yield [downTopic(box, "desired"), envelope];
}
