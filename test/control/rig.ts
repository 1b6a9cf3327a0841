import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import type { Order } from "../../src/control/control.ts";
import { Control, type ControlOptions } from "../../src/control/control.ts";
import type { Desired } from "../../src/control/desired.ts";
import type { Levels } from "../../src/control/fills.ts";
import type { Standing } from "../../src/control/heads.ts";
import {
	Dispatch,
	type DispatchHandlers,
	type Retained,
} from "../../src/headend/control/dispatch.ts";
import type { Attested } from "../../src/headend/fleet/attests.ts";
import type { BoxId, NetworkId } from "../../src/wire/ids.ts";
import type { Quality } from "../../src/wire/quality.ts";
import type {
	Fill,
	Reported,
	Request,
	Response,
	State,
} from "../../src/wire/reports.ts";
import {
	Happenings,
	heard,
	newBox,
	type Operator,
	REGION,
} from "./operator.ts";

/** Where nothing depends on whose it is. */
export const NETWORK = "0".repeat(64) as NetworkId;
export const FAST = { base: 20, cap: 100, willDelay: 1000, minInterval: 10 };

interface Kinds {
	state: State;
	reported: Reported;
	fill: Fill;
	request: Request;
	response: Response;
	attested: readonly Attested[];
}

export type Said = {
	readonly [Is in keyof Kinds]: {
		readonly is: Is;
		readonly box: BoxId;
		readonly it: Kinds[Is];
	};
}[keyof Kinds];

/** Waits for what one box says of one kind, from the `from`th thing that was said on. */
export async function hear<Is extends keyof Kinds>(
	desk: Desk,
	box: BoxId,
	is: Is,
	fits: (it: Kinds[Is]) => boolean = () => true,
	from = 0,
): Promise<Kinds[Is]> {
	const said = await desk.said.until(
		(said) => said.is === is && said.box === box && fits(said.it as Kinds[Is]),
		from,
	);
	return said.it as Kinds[Is];
}

/** A headend's dispatch, and all that boxes said to it. */
export interface Desk {
	readonly dispatch: Dispatch;
	readonly said: Happenings<Said>;
	readonly qualities: Happenings<Quality>;
	readonly lines: Happenings<string>;
	readonly retained: Map<string, Buffer>;
}

export async function openDesk(
	t: Test,
	url: string,
	onRequest?: DispatchHandlers["onRequest"],
): Promise<Desk> {
	const said = new Happenings<Said>();
	const qualities = new Happenings<Quality>();
	const lines = new Happenings<string>();
	const retained = new Map<string, Buffer>();
	const dispatch = new Dispatch({
		url,
		name: "test",
		network: NETWORK,
		region: REGION,
		knows: () => true,
		isRevoked: () => false,
		retained: (): Iterable<Retained> => retained,
		log: heard(lines),
		timing: FAST,
		handlers: {
			onState: (box, it) => said.add({ is: "state", box, it }),
			onReported: (box, it) => said.add({ is: "reported", box, it }),
			onFill: (box, it) => said.add({ is: "fill", box, it }),
			onResponse: (box, it) => said.add({ is: "response", box, it }),
			onAttested: (box, it) => said.add({ is: "attested", box, it }),
			onQuality: (it) => qualities.add(it),
			onHead() {},
			onRequest: (box, it) => {
				said.add({ is: "request", box, it });
				return onRequest?.(box, it);
			},
		},
	});
	t.teardown(() => dispatch.close());
	dispatch.start();
	await lines.until(() => dispatch.connected);
	return { dispatch, said, qualities, lines, retained };
}

/** An empty folder that goes with the test. */
export function newFolder(t: Test): string {
	const folder = mkdtempSync(join(tmpdir(), "larder-control-"));
	t.teardown(() => rmSync(folder, { recursive: true }));
	return folder;
}

/** A box's control plane, and all that came of it. */
export interface Rig {
	readonly box: BoxId;
	readonly control: Control;
	readonly placements: Happenings<Desired>;
	readonly heads: Happenings<Standing>;
	readonly orders: Happenings<Order>;
	readonly lines: Happenings<string>;
}

export async function openRig(
	t: Test,
	url: string,
	operator: Operator,
	changes: Partial<ControlOptions> = {},
): Promise<Rig> {
	const box = changes.box ?? newBox();
	const placements = new Happenings<Desired>();
	const heads = new Happenings<Standing>();
	const orders = new Happenings<Order>();
	const lines = new Happenings<string>();
	const control = await Control.start({
		url,
		box,
		region: REGION,
		trust: operator.trust,
		folder: changes.folder ?? newFolder(t),
		version: "test",
		power: "active",
		reach: "direct",
		timing: FAST,
		ran: Date.now,
		fetchRef: () => Promise.reject(new Error("no origin")),
		log: heard(lines),
		...changes,
		handlers: {
			placement: placements.add,
			head: heads.add,
			order: async (order) => {
				orders.add(order);
				return undefined;
			},
		},
	});
	t.teardown(() => control.close());
	return { box, control, placements, heads, orders, lines };
}

export function levels(
	usedSpace: number,
	changes: Partial<Levels> = {},
): Levels {
	return {
		capacity: 1000,
		usedSpace,
		streamingShare: 0,
		transientBytes: 0,
		placedBytes: 0,
		heldBytes: 0,
		shards: { placed: 0, held: 0 },
		titles: [],
		neighbours: 0,
		counters: {
			fromNeighbours: 0,
			fromOrigin: 0,
			toNeighbours: 0,
			toPlayers: 0,
			playedFromDisk: 0,
			playedFromNeighbours: 0,
			playedFromOrigin: 0,
			wrongBlocks: 0,
		},
		...changes,
	};
}
