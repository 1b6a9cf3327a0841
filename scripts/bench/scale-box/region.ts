import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { silent } from "../../../src/base/log.ts";
import { DAY, monotonic } from "../../../src/base/time.ts";
import type { Millis } from "../../../src/base/units.ts";
import { MqttSession } from "../../../src/control/client.ts";
import { freeUdpPort } from "../../../src/desk/ports.ts";
import { freeSettings, LOOPBACK } from "../../../src/desk/settings.ts";
import { HEADEND, startBroker } from "../../../src/headend/control/broker.ts";
import { Commands } from "../../../src/headend/control/commands.ts";
import { HeadWriter } from "../../../src/headend/control/heads.ts";
import { sha256 } from "../../../src/headend/fleet/wishes.ts";
import { OwnLease } from "../../../src/headend/lease.ts";
import { openNode } from "../../../src/headend/node.ts";
import { issueBox } from "../../../src/headend/operator/issue.ts";
import {
	initOperator,
	type Operator,
} from "../../../src/headend/operator/operator.ts";
import { startOrigin } from "../../../src/headend/origin.ts";
import {
	type CatalogWriter,
	openCatalogWriter,
} from "../../../src/logs/writer.ts";
import { openBootstrapNode } from "../../../src/swarm/dht.ts";
import { seal } from "../../../src/wire/envelope.ts";
import type { BoxId, TitleId } from "../../../src/wire/ids.ts";
import { encodeMessage, parseMessage } from "../../../src/wire/json.ts";
import type { PlacedTitle, Placement } from "../../../src/wire/placement.ts";
import {
	type Fill,
	fill,
	type Reported,
	reported,
	request,
} from "../../../src/wire/reports.ts";
import { sealTo } from "../../../src/wire/sealed.ts";
import {
	ALL_UP,
	downTopic,
	headTopic,
	parseTopic,
} from "../../../src/wire/topics.ts";
import type { Hoarded, Real } from "./hoard.ts";

/** What a box said, and when it was heard here. */
export interface Heard<T> {
	readonly said: T;
	readonly bytes: number;
	readonly at: Millis;
}

/** What a region has besides boxes, in this process: broker, DHT node, origin, catalog, and who signs placements and gives keys. */
export class Region {
	readonly operator: Operator;
	readonly reports: Heard<Reported>[] = [];
	readonly fills: Heard<Fill>[] = [];
	private readonly parts: { close(): Promise<unknown> }[] = [];
	private readonly listeners = new Set<() => void>();
	private readonly session: MqttSession;
	private readonly commands: Commands;
	private readonly keys = new Map<TitleId, Buffer>();
	private rev = 0;

	private constructor(operator: Operator, broker: string) {
		this.operator = operator;
		const connected = Promise.withResolvers<void>();
		this.connected = connected.promise;
		this.session = new MqttSession({
			url: broker,
			clientId: `${HEADEND}scale`,
			subscriptions: [ALL_UP],
			onUp: () => connected.resolve(),
			onMessage: async (topic, payload) => this.take(topic, payload),
			log: silent,
		});
		this.commands = new Commands(operator, (box, envelope, expiry) =>
			this.session.publish(downTopic(box, "command"), envelope, { expiry }),
		);
	}

	private readonly connected: Promise<void>;

	static async open(dir: string): Promise<Region> {
		const broker = await startBroker({ host: LOOPBACK, port: 0, log: silent });
		const brokerUrl = `mqtt://${LOOPBACK}:${broker.port}`;
		const settings = await freeSettings({ copies: 3 });
		const operator = await initOperator(join(dir, "operator"), {
			...settings,
			brokerUrl,
		});
		const region = new Region(operator, brokerUrl);
		region.parts.push(broker);
		try {
			await region.begin();
			return region;
		} catch (error) {
			await region.close();
			throw error;
		}
	}

	/** Issues a box whose folder is `dir`. */
	async issue(dir: string, quota: string, socket: string): Promise<BoxId> {
		return await issueBox(this.operator, {
			...{ serial: "box", dir, quota, socket },
			swarmHost: LOOPBACK,
			swarmPort: await freeUdpPort(),
			reach: "direct",
			reserve: "1 GiB",
			// The rest is full of what is placed.
			streamingShare: 0.02,
			// This machine is short of processor throughout.
			pressure: 0,
			gatewayPort: 0,
			playerToken: false,
		});
	}

	/** Puts titles into the catalog, and tells the region. */
	async publish(
		titles: readonly Hoarded[],
		keys: readonly Real[],
	): Promise<void> {
		for (const { id, key } of keys) this.keys.set(id, key);
		const catalog = await openCatalogWriter(
			join(this.operator.dir, "catalog"),
			{
				epoch: this.operator.epoch,
			},
		);
		this.parts.push(catalog);
		for (const [n, { id, size }] of titles.entries())
			await catalog.put({
				...{ id, kind: "title", assetId: `asset-${n}`, version: 1 },
				...{ name: `Title ${n} of a large catalog`, duration: 6000, size },
			});
		const heads = await HeadWriter.open(this.operator, silent);
		await heads.write({
			announcement: {
				catalog: { key: catalog.key, length: catalog.length },
				policy: { shareTransient: "now" },
			},
			bans: { revoked: [], purged: [] },
		});
		await this.openNode(catalog, heads);
		const { bytes } = heads;
		if (bytes === undefined) throw new Error("no head was written");
		const topic = headTopic(this.operator.region);
		await this.session.publish(topic, bytes, { retain: true });
	}

	/** Tells a box what to hold; by reference, for it is long. Gives the bytes of the body, and when it was told. */
	async place(box: BoxId, titles: readonly PlacedTitle[]) {
		const { network, region, epoch, signers, dir } = this.operator;
		const bytes = encodeMessage({ titles });
		const digest = sha256(bytes);
		const ref = `placement/${digest}`;
		await writeFile(join(dir, "origin", ref), bytes);
		this.rev = Math.max(this.rev + 1, Math.floor(Date.now() / 1000));
		const body = { ref, sha256: digest, size: bytes.byteLength };
		const said = { network, box, region, epoch, rev: this.rev, body };
		const sealed = seal(signers.placement, said satisfies Placement);
		const at = monotonic();
		const topic = downTopic(box, "desired");
		await this.session.publish(topic, sealed, { retain: true });
		return { rev: this.rev, bytes: bytes.byteLength, at };
	}

	/** The first that fits of what was or will be said. */
	async until<T>(find: () => T | undefined, signal: AbortSignal): Promise<T> {
		for (;;) {
			const found = find();
			if (found !== undefined) return found;
			signal.throwIfAborted();
			await new Promise<void>((resolve, reject) => {
				const abort = () => end(() => reject(signal.reason as Error));
				const news = () => end(resolve);
				const end = (how: () => void) => {
					this.listeners.delete(news);
					signal.removeEventListener("abort", abort);
					how();
				};
				this.listeners.add(news);
				signal.addEventListener("abort", abort);
			});
		}
	}

	async close(): Promise<void> {
		await this.session.close();
		for (const part of this.parts.reverse()) await part.close();
	}

	private async begin(): Promise<void> {
		const { config, dir } = this.operator;
		const joined: string[] = [];
		for (const node of config.swarm.bootstrap) {
			const [host = "", port = ""] = node.split(":");
			const opened = await openBootstrapNode(host, Number(port), joined);
			this.parts.push({ close: () => opened.destroy({ force: true }) });
			joined.push(node);
		}
		const origin = join(dir, "origin");
		await mkdir(join(origin, "placement"), { recursive: true });
		const { host, port } = config.origin;
		this.parts.push(
			await startOrigin({ host, port, dir: origin, log: silent }),
		);
		this.session.start();
		await this.connected;
	}

	private async openNode(
		catalog: CatalogWriter,
		heads: HeadWriter,
	): Promise<void> {
		const { operator } = this;
		const lease = await OwnLease.open(operator, silent);
		this.parts.push({ close: async () => lease.close() });
		this.parts.push(
			await openNode({
				...{ operator, lease, catalog, log: silent },
				currentHead: () => heads.head,
				isRevoked: () => false,
				offerHead: () => undefined,
			}),
		);
	}

	private take(name: string, payload: Buffer): void {
		const topic = parseTopic(name);
		if (topic?.to !== "headend") return;
		const at = monotonic();
		const bytes = payload.byteLength;
		if (topic.kind === "fill") {
			const read = parseMessage(fill, payload);
			if (!read.ok) throw new Error(`a fill report: ${read.detail}`);
			this.fills.push({ said: read.value, bytes, at });
		} else if (topic.kind === "reported") {
			const read = parseMessage(reported, payload);
			if (!read.ok) throw new Error(`a report: ${read.detail}`);
			this.reports.push({ said: read.value, bytes, at });
		} else if (topic.kind === "request") void this.answer(topic.box, payload);
		for (const listener of this.listeners) listener();
	}

	/** Whoever asks may play. */
	private async answer(box: BoxId, payload: Buffer): Promise<void> {
		const read = parseMessage(request, payload);
		if (!read.ok || read.value.kind !== "key") return;
		const { id, title } = read.value;
		const key = this.keys.get(title);
		if (key === undefined) return;
		const sealed = sealTo(Buffer.from(box, "hex"), key).toString("base64");
		const until = Date.now() + DAY;
		await this.commands.send(box, {
			kind: "key",
			request: id,
			title,
			sealed,
			until,
		});
	}
}
