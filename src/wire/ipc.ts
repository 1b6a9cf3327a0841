import * as z from "zod/mini";
import { boxId, count, instant, region, titleId } from "./ids.ts";
import { ROLES } from "./membership.ts";
import { counters, fill, PARTS, reported, state } from "./reports.ts";

/** One frame is one line of JSON. Longer ones end the connection. */
export const MAX_IPC_FRAME = 256 * 1024;

const rate = z.number().check(z.nonnegative());
const millis = z.number().check(z.nonnegative());
const port = count.check(z.maximum(65_535));

/** Bytes a second: 0 is no limit, "none" is nothing at all. */
export const limit = z.union([z.literal("none"), rate]);

/** What the household does, as the receiver's user interface knows it. */
export const ACTIVITIES = ["live", "recording", "idle"] as const;
export type Activity = (typeof ACTIVITIES)[number];

/** A pause of a week is one until further notice. */
const minutes = z.number().check(z.positive(), z.maximum(7 * 24 * 60));
const nothing = z.unknown();

/**
 * All that an agent can be asked, and told, and with what: how the receiver's power stands, what the household does and wishes, and
 * to do the reset that who may write its folder has ordered there.
 */
export const IPC_PARAMS = {
	status: nothing,
	doctor: nothing,
	metrics: nothing,
	"player-token": nothing,
	log: nothing,
	"power-active": nothing,
	"power-standby": nothing,
	"power-off": nothing,
	"activity-live": nothing,
	"activity-recording": nothing,
	"activity-idle": nothing,
	/** A player had nothing to play. */
	underrun: nothing,
	/** Without minutes until it is resumed. */
	pause: z.optional(z.object({ minutes: z.optional(minutes) })),
	resume: nothing,
	/** What is left out stays as it is. */
	limits: z.optional(
		z.object({ up: z.optional(limit), upActive: z.optional(limit) }),
	),
	"opt-in": nothing,
	"opt-out": nothing,
	drain: nothing,
	"factory-reset": nothing,
} as const;
export type IpcMethod = keyof typeof IPC_PARAMS;
export const IPC_METHODS = Object.keys(IPC_PARAMS) as IpcMethod[];
export type IpcParams<M extends IpcMethod> = z.output<(typeof IPC_PARAMS)[M]>;

export function isIpcMethod(method: string): method is IpcMethod {
	return Object.hasOwn(IPC_PARAMS, method);
}

/** `method` is any text, so that a method that is not known is told apart from what is no request. */
export const ipcRequest = z.object({
	id: z.number().check(z.int(), z.nonnegative()),
	method: z.string(),
	params: z.optional(z.unknown()),
});
export type IpcRequest = z.output<typeof ipcRequest>;

export const ipcReply = z.union([
	z.object({ id: z.number(), ok: z.literal(true), result: z.unknown() }),
	z.object({
		id: z.nullable(z.number()),
		ok: z.literal(false),
		code: z.string(),
		message: z.string(),
	}),
]);
export type IpcReply = z.output<typeof ipcReply>;

/** The most titles that `status` lists: they must fit into one frame. */
export const MAX_STATUS_TITLES = 1000;

/** Bytes. */
export const moved = z.object({
	/** To neighbours. */
	given: count,
	/** From neighbours and over the trunk. */
	fetched: count,
	/** The part of `fetched` that came over the trunk. */
	fromOrigin: count,
	/** To players on this box. */
	played: count,
});
export type Moved = z.output<typeof moved>;

/** What the household has said and does, and what that leaves for neighbours and for filling. */
export const household = z.object({
	part: z.enum(PARTS),
	activity: z.enum(ACTIVITIES),
	/** Milliseconds that a pause still lasts; null until it is resumed. */
	paused: z.optional(z.nullable(millis)),
	/** What neighbours are given at most, in all. */
	give: limit,
	/** Why that is less than the limit, and why nothing is filled: slugs of src/plan/household.ts. */
	why: z.optional(z.string()),
	waits: z.optional(z.string()),
	/** The operator's limits, or the household's where those are stricter. */
	limits: z.object({ up: limit, upActive: limit }),
	/** How long packets wait at the uplink, while that is known. */
	delay: z.optional(millis),
});
export type HouseholdStatus = z.output<typeof household>;

const neighbour = z.object({
	box: boxId,
	link: z.enum(["udx", "tcp"]),
	/** 0 when not measured yet, like the throughput. */
	roundTripMs: millis,
	/** Bytes a second. */
	throughput: rate,
	/** Bytes asked for and not yet arrived. */
	inFlight: count,
	bytesFrom: count,
	bytesTo: count,
	since: instant,
});

/** What `status` answers: the box at this moment. Sizes in bytes, rates in bytes a second. */
export const status = z.object({
	version: z.string(),
	box: boxId,
	region,
	session: state.shape.session,
	/** Milliseconds since the agent started. */
	uptime: millis,
	power: state.shape.power,
	/** An older agent does not tell. */
	household: z.optional(household),
	membership: z.object({
		role: z.enum(ROLES),
		serial: z.string(),
		notAfter: instant,
	}),
	swarm: z.object({
		reach: state.shape.reach,
		/** UDP port of the DHT. */
		port,
		/** Port of the TCP listener; 0 when there is none. */
		tcpPort: port,
		neighbours: z.array(neighbour),
	}),
	control: z.object({
		/** URL of the broker, without credentials. */
		broker: z.string(),
		connected: z.boolean(),
		/** When that last changed. */
		since: z.optional(instant),
		lastPlacement: z.optional(
			z.object({
				epoch: count,
				rev: count,
				phase: reported.shape.phase,
				at: instant,
				code: z.optional(z.string()),
			}),
		),
	}),
	store: z.object({
		capacity: fill.shape.capacity,
		usedSpace: fill.shape.usedSpace,
		reservedSpace: fill.shape.reservedSpace,
		reserve: fill.shape.reserve,
		streamingShare: fill.shape.streamingShare,
		transientBytes: fill.shape.transientBytes,
		placedBytes: fill.shape.placedBytes,
		heldBytes: fill.shape.heldBytes,
		missingBytes: fill.shape.missingBytes,
		shards: fill.shape.shards,
		disk: fill.shape.disk,
	}),
	/** Bytes that titles may wear the disk in a day (0: as many as they like), those written and not yet forgiven, and its age. */
	writes: z.optional(
		z.object({
			...{ budget: count, spent: count },
			wear: fill.shape.wear,
			written: fill.shape.written,
		}),
	),
	/** What filling may do at this hour; from a rate of null nothing comes. */
	fill: z.optional(
		z.object({
			hours: z.enum(["any", "box", "operator"]),
			closed: z.optional(z.enum(["hours", "standby", "time-unknown"])),
			until: z.optional(instant),
			trunk: z.nullable(rate),
			neighbours: z.nullable(rate),
			up: rate,
		}),
	),
	/** Shards of the inbox: taken in since the start, no shards at all, and those that wait for room or for somebody to know them. */
	inbox: z.optional(z.object({ taken: count, wrong: count, waiting: count })),
	/** Shards placed and held of each title. */
	titles: z
		.array(z.object({ id: titleId, placed: count, held: count }))
		.check(z.maxLength(MAX_STATUS_TITLES)),
	streams: z.array(
		z.object({
			/** Lives as long as the stream: it must not tie two viewings together. */
			id: z.string(),
			title: titleId,
			bytes: count,
			rate,
			/** How many neighbours serve it. */
			sources: count,
		}),
	),
	/** What moves now, over the last seconds: `down` is all that comes in, `origin` the part of it from there. */
	rates: z.object({ down: rate, up: rate, origin: rate }),
	/** What may move at most, as configured now; 0 is no limit. */
	limits: z.object({ down: rate, up: rate, origin: rate }),
	counters,
	/** Since midnight. An older agent does not tell. */
	today: z.optional(moved),
	/** What is wrong now, in words for a person. */
	problems: z.array(z.string()),
});
export type Status = z.output<typeof status>;

/** One finding of the doctor; `remedy` says what to do when the level is not `ok`. */
export const check = z.object({
	name: z.string(),
	level: z.enum(["ok", "warn", "fail"]),
	finding: z.string(),
	remedy: z.optional(z.string()),
});
export type Check = z.output<typeof check>;

/** What `doctor` answers. */
export const diagnosis = z.object({ checks: z.array(check) });
export type Diagnosis = z.output<typeof diagnosis>;

/** What `metrics` answers: the figures in Prometheus' text format. */
export const metrics = z.object({ text: z.string() });
export type Metrics = z.output<typeof metrics>;

/** What `log` answers: the last lines of this run, titles veiled. */
export const recentLog = z.object({ text: z.string() });
export type RecentLog = z.output<typeof recentLog>;

/** What `power-…` answers: how it stands now. */
export const power = z.object({ power: state.shape.power });
export type PowerState = z.output<typeof power>;

/** What `player-token` answers. */
export const playerToken = z.object({
	/** What stands before `/titles` in a player's address: `http://127.0.0.1:8090/t/…`. */
	base: z.string(),
	/** Good until the next boot; null when the gateway asks for none. */
	token: z.nullable(z.string()),
});
export type PlayerToken = z.output<typeof playerToken>;
