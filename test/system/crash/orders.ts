import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Test } from "tap";
import { silent } from "../../../src/base/log.ts";
import { SECOND, within } from "../../../src/base/time.ts";
import { MqttSession } from "../../../src/control/client.ts";
import type { Neighbourhood } from "../../../src/desk/neighbourhood.ts";
import { HEADEND } from "../../../src/headend/control/broker.ts";
import { unseal, unsealParsed } from "../../../src/wire/envelope.ts";
import type { BoxId } from "../../../src/wire/ids.ts";
import { type Placement, placement } from "../../../src/wire/placement.ts";
import { decodeRanges } from "../../../src/wire/ranges.ts";
import { downTopic } from "../../../src/wire/topics.ts";
import { type Film, poll } from "../desk.ts";

/** A placement of the box. */
export interface Order {
	readonly epoch: number;
	readonly rev: number;
	/** What it is to hold: `<title id>/<shard>`. */
	readonly placed: ReadonlySet<string>;
}

/**
 * Hears every placement that goes out to the box. Which of them it took is for the box to say, in its log and by what it keeps on
 * its disk: a placement that the operator changes and changes back shows in neither what is kept before nor what is kept after.
 */
export class Orders {
	private readonly desk: Neighbourhood;
	private readonly films: readonly Film[];
	private readonly sent = new Map<number, Order>();

	private constructor(desk: Neighbourhood, films: readonly Film[]) {
		this.desk = desk;
		this.films = films;
	}

	/** Listens at the broker, as the box does. */
	static async open(
		t: Test,
		desk: Neighbourhood,
		box: BoxId,
		films: readonly Film[],
	): Promise<Orders> {
		const orders = new Orders(desk, films);
		const up = Promise.withResolvers<true>();
		const session = new MqttSession({
			url: desk.brokerUrl,
			clientId: `${HEADEND}orders-${process.pid}`,
			subscriptions: [downTopic(box, "desired")],
			onUp: () => up.resolve(true),
			onMessage: async (_, payload) => orders.hear(payload),
			log: silent,
			timing: { base: 100, cap: SECOND },
		});
		t.teardown(() => session.close());
		session.start();
		if (!(await within(10 * SECOND, up.promise, false)))
			throw new Error(`no way into the broker: ${session.trouble}`);
		return orders;
	}

	/** The one that the box keeps while it does not run. Undefined before the first. */
	async keptIn(data: string): Promise<Order | undefined> {
		const path = join(data, "control", "desired.json");
		const text = await readFile(path, "utf8").catch(() => undefined);
		if (text === undefined) return undefined;
		const { trust } = this.desk.operator;
		const { envelope } = JSON.parse(text);
		const read = unsealParsed(envelope, "placement", placement, trust);
		if (!read.ok) throw new Error(read.detail);
		return this.orderOf(read.value);
	}

	/**
	 * Those that were in force during a life, in order: the one kept before, those that the box says it accepted, and the one kept
	 * after, which it may have had no time to tell of. Throws when it went back to an earlier one.
	 */
	async during(
		before: Order | undefined,
		log: readonly Record<string, unknown>[],
		after: Order | undefined,
	): Promise<Order[]> {
		const accepted: Order[] = [];
		for (const { msg, rev } of log) {
			if (msg !== "placement accepted") continue;
			const heard = async () => this.sent.get(Number(rev));
			accepted.push(await poll(`placement ${rev} is heard of`, heard));
		}
		const all = [before, ...accepted, after].filter(
			(each) => each !== undefined,
		);
		const orders = all.filter(({ rev }, at) => rev !== all[at - 1]?.rev);
		const isRising = orders.every(({ rev }, at) => {
			const last = orders[at - 1];
			return last === undefined || last.rev < rev;
		});
		if (!isRising) throw new Error(`it went back: ${tellOrders(orders)}`);
		return orders;
	}

	private hear(payload: Buffer): void {
		// A desk that closes takes back what its broker keeps.
		if (payload.length === 0) return;
		const { trust } = this.desk.operator;
		const read = unseal(payload, "placement", placement, trust);
		if (!read.ok) throw new Error(read.detail);
		this.sent.set(read.value.rev, this.orderOf(read.value));
	}

	private orderOf({ epoch, rev, body }: Placement): Order {
		if (!("titles" in body)) throw new Error("a placement by reference");
		const placed = body.titles.flatMap(({ id, ranks }) => {
			const { shards = 0 } = this.films.find((film) => film.id === id) ?? {};
			return ranks.flatMap((rank) =>
				decodeRanges(rank.shards, shards).map((shard) => `${id}/${shard}`),
			);
		});
		return { epoch, rev, placed: new Set(placed) };
	}
}

/** For a person. */
export function tellOrders(orders: readonly Order[]): string {
	const said = orders.map(
		({ rev, placed }) => `${rev} (${placed.size} shards)`,
	);
	return said.length === 0 ? "none" : said.join(", then ");
}
