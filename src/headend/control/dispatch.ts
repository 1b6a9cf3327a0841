import type * as z from "zod/mini";
import { describe } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import { bad, good, type Result } from "../../base/result.ts";
import { Seldom } from "../../base/seldom.ts";
import type { Millis } from "../../base/units.ts";
import { MqttSession } from "../../control/client.ts";
import type { BrokerAccess, Timing } from "../../control/connection.ts";
import { attest, readAttestation } from "../../wire/attest.ts";
import type { BoxId, NetworkId, Region } from "../../wire/ids.ts";
import { parseMessage } from "../../wire/json.ts";
import { MAX_QUALITY, type Quality, quality } from "../../wire/quality.ts";
import {
	type Fill,
	fill,
	type Reported,
	type Request,
	type Response,
	reported,
	request,
	response,
	type State,
	state,
} from "../../wire/reports.ts";
import {
	ALL_UP,
	downTopic,
	headTopic,
	parseTopic,
	qualityTopic,
	type Up,
} from "../../wire/topics.ts";
import type { Attested } from "../fleet/attests.ts";
import { HEADEND } from "./broker.ts";

/** What boxes say, read and checked. A box is only known to be the one that the broker lets write under its name. */
export interface DispatchHandlers {
	onState(box: BoxId, state: State): Promise<void> | void;
	onReported(box: BoxId, reported: Reported): Promise<void> | void;
	onFill(box: BoxId, fill: Fill): Promise<void> | void;
	onRequest(box: BoxId, request: Request): Promise<void> | void;
	onResponse(box: BoxId, response: Response): Promise<void> | void;
	/** Statements that the box itself signed, whoever brought them. */
	onAttested(box: BoxId, attested: readonly Attested[]): Promise<void> | void;
	/** How films were to watch, on some box of the region. */
	onQuality(quality: Quality): void;
	/** A head that stands at the broker, unchecked. */
	onHead(payload: Buffer): Promise<void> | void;
}

export type Retained = readonly [topic: string, payload: Buffer];

export interface DispatchOptions extends BrokerAccess {
	/** Tells headends at one broker apart. */
	readonly name: string;
	readonly network: NetworkId;
	/** The region whose boxes are listened to, and whose head is. */
	readonly region: Region;
	/** Whether a box is the operator's; what others say is dropped. */
	readonly knows: (box: BoxId) => boolean;
	/** Whether a box is shut out; what it says is dropped. */
	readonly isRevoked: (box: BoxId) => boolean;
	/** All that is to stand at the broker, from the fleet database; asked for at every connection. */
	readonly retained: () => Iterable<Retained> | AsyncIterable<Retained>;
	readonly handlers: DispatchHandlers;
	readonly log: Log;
	readonly timing?: Partial<Timing>;
}

/** Lines in the log about dropped messages of one reason in a minute; all are counted. */
const LISTED = 100;

/**
 * The headend's end of the control plane. It listens and speaks on two connections: what is heard is read no faster
 * than handlers cope, and a handler may wait for what it sends; on one connection the two would wait for each other.
 */
export class Dispatch {
	private readonly options: DispatchOptions;
	private readonly ear: MqttSession;
	private readonly mouth: MqttSession;
	private readonly counts = new Map<string, number>();
	private readonly listed = new Seldom(LISTED);
	/** The newest birth of each box, while it lasts: a will is measured against it. */
	private readonly live = new Map<BoxId, State>();
	/** While topics are restored: those written meanwhile, which what the database gave may be older than. */
	private fresh: Set<string> | undefined;

	constructor(options: DispatchOptions) {
		this.options = options;
		const { region } = options;
		const regionals = [headTopic(region), qualityTopic(region)];
		const name = `${HEADEND}${options.name}`;
		this.ear = new MqttSession({
			...options,
			clientId: `${name}-up`,
			subscriptions: [ALL_UP, ...regionals],
			onMessage: (topic, payload) => this.receive(topic, payload),
		});
		this.mouth = new MqttSession({
			...options,
			clientId: `${name}-down`,
			onUp: () => void this.restore(),
		});
	}

	start(): void {
		this.ear.start();
		this.mouth.start();
	}

	get connected(): boolean {
		return this.ear.connected && this.mouth.connected;
	}

	/** Since when nothing that boxes say is missed, in Unix milliseconds; undefined while the broker is away. */
	get hearingSince(): Millis | undefined {
		return this.ear.upSince;
	}

	/** Why the broker is away, as far as it is known. */
	get trouble(): string | undefined {
		return this.ear.trouble ?? this.mouth.trouble;
	}

	/** How many messages were dropped, by slug. */
	get dropped(): ReadonlyMap<string, number> {
		return this.counts;
	}

	/** Puts a signed placement at the broker, or leaves it to `retained` while the broker is away. Rejects when refused. */
	desired(box: BoxId, envelope: Buffer): Promise<void> {
		return this.retain(downTopic(box, "desired"), envelope);
	}

	/** Puts a signed head at the broker, or leaves it to `retained` while the broker is away. Rejects when refused. */
	head(region: Region, envelope: Buffer): Promise<void> {
		return this.retain(headTopic(region), envelope);
	}

	/** Leaves nothing at the broker of what was told to a box. Rejects when refused. */
	async forget(box: BoxId): Promise<void> {
		this.live.delete(box);
		await this.retain(downTopic(box, "desired"), Buffer.alloc(0));
	}

	/**
	 * Sends a signed command. Rejects with BROKER_FAILED when the broker is away or refuses.
	 * @param expiry how long it may wait for the box
	 */
	command(box: BoxId, envelope: Buffer, expiry: Millis): Promise<void> {
		return this.mouth.publish(downTopic(box, "command"), envelope, { expiry });
	}

	async close(): Promise<void> {
		await Promise.all([this.ear.close(), this.mouth.close()]);
	}

	private async retain(topic: string, payload: Buffer): Promise<void> {
		this.fresh?.add(topic);
		if (!this.mouth.connected) return;
		try {
			await this.mouth.publish(topic, payload, { retain: true });
		} catch (error) {
			if (this.mouth.connected) throw error;
			this.options.log.debug({ topic }, describe(error));
		}
	}

	/** The broker may have forgotten everything. */
	private async restore(): Promise<void> {
		const fresh = new Set<string>();
		this.fresh = fresh;
		try {
			for await (const [topic, payload] of this.options.retained()) {
				if (this.fresh !== fresh || !this.mouth.connected) return;
				if (!fresh.has(topic))
					await this.mouth.publish(topic, payload, { retain: true });
			}
		} catch (error) {
			this.options.log.warn({}, `not all restored: ${describe(error)}`);
		} finally {
			if (this.fresh === fresh) this.fresh = undefined;
		}
	}

	private async receive(topic: string, payload: Buffer): Promise<void> {
		const address = parseTopic(topic);
		// Somebody cleared the topic.
		if (payload.length === 0) return;
		if (address?.to === "region") return this.takeRegional(topic, payload);
		if (address?.to !== "headend") return this.drop("wrong-topic", topic);
		const { box, kind } = address;
		const taken = await this.takeFrom(box, kind, payload);
		if (!taken.ok) this.drop(taken.reason, `${topic} ${taken.detail}`);
	}

	private async takeRegional(topic: string, payload: Buffer): Promise<void> {
		const { handlers, region } = this.options;
		if (topic !== qualityTopic(region)) return await handlers.onHead(payload);
		const taken = parseMessage(quality, payload, MAX_QUALITY);
		if (taken.ok) handlers.onQuality(taken.value);
		else this.drop(taken.reason, `${topic} ${taken.detail}`);
	}

	/** The guards, one after the other. */
	private async takeFrom(
		box: BoxId,
		kind: Up,
		payload: Buffer,
	): Promise<Result<unknown>> {
		const { knows, isRevoked } = this.options;
		if (!knows(box)) return bad("unknown-box");
		if (isRevoked(box)) return bad("revoked");
		return await this.take(box, kind, payload);
	}

	private async take(
		box: BoxId,
		kind: Up,
		payload: Buffer,
	): Promise<Result<unknown>> {
		const { handlers } = this.options;
		switch (kind) {
			case "state":
				return this.takeState(box, payload);
			case "reported":
				return read(reported, payload, (it) => handlers.onReported(box, it));
			case "fill":
				return read(fill, payload, (it) => handlers.onFill(box, it));
			case "request":
				return read(request, payload, (it) => handlers.onRequest(box, it));
			case "response":
				return read(response, payload, (it) => handlers.onResponse(box, it));
			case "attest":
				return this.takeAttested(box, payload);
			default:
				return kind satisfies never;
		}
	}

	private async takeState(
		box: BoxId,
		payload: Buffer,
	): Promise<Result<unknown>> {
		const parsed = parseMessage(state, payload);
		if (!parsed.ok) return parsed;
		const said = parsed.value;
		if (said.box !== box) return bad("wrong-box", said.box);
		if (said.region !== this.options.region)
			return bad("wrong-region", said.region);
		const live = this.live.get(box);
		if (said.online) this.live.set(box, said);
		else if (live !== undefined && !endsIt(said, live))
			return bad("late-will", `session ${said.session}`);
		else this.live.delete(box);
		await this.options.handlers.onState(box, said);
		return good(true);
	}

	private async takeAttested(
		box: BoxId,
		payload: Buffer,
	): Promise<Result<unknown>> {
		const parsed = parseMessage(attest, payload);
		if (!parsed.ok) return parsed;
		const attested: Attested[] = [];
		for (const signed of parsed.value) {
			const read = readAttestation(signed, this.options.network, box);
			if (!read.ok) return read;
			attested.push({ ...signed, said: read.value });
		}
		await this.options.handlers.onAttested(box, attested);
		return good(true);
	}

	private drop(slug: string, detail: string): void {
		this.counts.set(slug, (this.counts.get(slug) ?? 0) + 1);
		const unlisted = this.listed.pass(slug);
		if (unlisted === undefined) return;
		const said = detail.slice(0, 500);
		this.options.log.warn({ slug, detail: said, unlisted }, "message dropped");
	}
}

/** Whether a will or goodbye is of the connection that `live` was the birth of; a box's clock orders its own session only. */
function endsIt(gone: State, live: State): boolean {
	return gone.session === live.session && gone.since >= live.since;
}

async function read<T extends z.ZodMiniType>(
	schema: T,
	payload: Buffer,
	use: (value: z.output<T>) => Promise<void> | void,
): Promise<Result<unknown>> {
	const parsed = parseMessage(schema, payload);
	if (parsed.ok) await use(parsed.value);
	return parsed;
}
