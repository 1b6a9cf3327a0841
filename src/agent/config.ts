import { dirname, resolve } from "node:path";
import { LarderError } from "../base/errors.ts";
import { LOG_LEVELS, type LogLevel } from "../base/log.ts";
import { SECOND } from "../base/time.ts";
import type { Bytes, Limit, Millis, Rate } from "../base/units.ts";
import type { FillWindow } from "../wire/hours.ts";
import {
	type Address,
	addresses,
	budget,
	device,
	figure,
	flag,
	integer,
	limit,
	loopback,
	oneOf,
	type Quota,
	quota,
	type Reader,
	rate,
	reserve,
	sites,
	span,
	text,
	url,
	windows,
	zone,
} from "./reader.ts";
import { suggest } from "./suggest.ts";
import { type Entries, type Fault, readEntries } from "./toml.ts";

/** The configuration of a box, checked and with defaults filled in. Paths are absolute. */
export interface Config {
	/** Folder of the box's titles and state. */
	readonly data: string;
	readonly logLevel: LogLevel;
	/** The identity file. */
	readonly identity: string;
	/** What the factory wrote for a box that has none yet. */
	readonly enrol: string;
	readonly swarm: {
		readonly bootstrap: readonly Address[];
		/** Address to bind, for UDP and TCP. */
		readonly host: string;
		/** Whose address is bound instead. */
		readonly interface: string | undefined;
		/** UDP port of the DHT; 0 takes any. */
		readonly port: number;
		readonly reach: "direct" | "nat";
		readonly maxPeers: number;
		readonly tcp: boolean;
		/** 0 takes any. */
		readonly tcpPort: number;
	};
	readonly broker: {
		readonly url: string;
		readonly username: string | undefined;
		readonly passwordFile: string | undefined;
		/** PEM of the authority that vouches for the broker. */
		readonly ca: string | undefined;
	};
	readonly origin: { readonly url: string };
	readonly store: {
		readonly quota: Quota;
		/** Always left free for others. */
		readonly reserve: Quota;
		/** Part of the quota (0..1) kept for what is watched without being placed; with 1, nothing is placed on the box. */
		readonly streamingShare: number;
	};
	readonly rates: {
		readonly up: Rate;
		/** While the household is active. */
		readonly upActive: Limit;
		readonly down: Rate;
		readonly origin: Rate;
	};
	readonly household: {
		/** Percent of the time in which work waits for the machine before filling does; 0 is never. */
		readonly pressure: number;
	};
	/** How long a box waits per rank before it takes over from the origin. */
	readonly fill: {
		readonly takeover: Millis;
		/** Bytes a day that filling may write; 0 is no limit. */
		readonly writeBudget: Bytes | "auto";
		/** When filling goes on, by the clock of a zone; at any time where there are no windows. */
		readonly zone: string;
		readonly windows: readonly FillWindow[];
	};
	readonly gateway: {
		/** Loopback address to bind. */
		readonly host: string;
		readonly port: number;
		/** Whether players need the token that the agent gives out over IPC. */
		readonly token: boolean;
		/** Origins besides this machine's own whose pages may play. */
		readonly origins: readonly string[];
	};
	readonly ipc: {
		readonly socket: string;
		/** Whose members may speak to the agent. */
		readonly group: string | undefined;
	};
}

const port = integer(0, 65_535);

interface Key<T> {
	readonly read: Reader<T>;
	/** What the key is when it is not set. A key without it must be set. */
	readonly otherwise?: () => T;
}

const must = <T>(read: Reader<T>): Key<T> => ({ read });
const may = <T>(read: Reader<T>, otherwise: NoInfer<T>): Key<T> => ({
	read,
	otherwise: () => otherwise,
});
const free = <T>(read: Reader<T>): Key<T | undefined> => ({
	read,
	otherwise: () => undefined,
});

/** Every key there is, with its section. */
const KEYS = {
	data: must(text),
	log_level: may(oneOf(LOG_LEVELS), "info"),
	identity: may(text, "identity.json"),
	enrol: may(text, "enrol.json"),
	"swarm.bootstrap": must(addresses),
	"swarm.host": may(text, "0.0.0.0"),
	"swarm.interface": free(device),
	"swarm.port": may(port, 49_740),
	"swarm.reach": may(oneOf(["direct", "nat"]), "nat"),
	"swarm.max_peers": may(integer(1, 1024), 64),
	"swarm.tcp": may(flag, true),
	"swarm.tcp_port": may(port, 0),
	"broker.url": must(url("mqtt", "mqtts")),
	"broker.username": free(text),
	"broker.password_file": free(text),
	"broker.ca": free(text),
	"origin.url": must(url("http", "https")),
	"store.quota": may(quota, { kind: "share", share: 0.5 }),
	"store.reserve": may(reserve, { kind: "share", share: 0.05 }),
	"store.streaming_share": may(figure(0, 1), 0.1),
	"rates.up": may(rate, 0),
	"rates.up_active": may(limit, "none"),
	"rates.down": may(rate, 0),
	"rates.origin": may(rate, 0),
	"household.pressure": may(integer(0, 100), 80),
	"fill.takeover": may(span, 10 * SECOND),
	"fill.write_budget": may(budget, "auto"),
	"fill.zone": may(zone, "UTC"),
	"fill.windows": may(windows, []),
	"gateway.host": may(loopback, "127.0.0.1"),
	"gateway.port": may(port, 8090),
	"gateway.token": may(flag, true),
	"gateway.origins": may(sites, []),
	"ipc.socket": may(text, "/run/larder/agent.sock"),
	"ipc.group": free(text),
} as const satisfies Record<string, Key<unknown>>;

type KeyName = keyof typeof KEYS;
type ValueOf<K extends KeyName> =
	(typeof KEYS)[K] extends Key<infer T> ? T : never;
type Get = <K extends KeyName>(name: K) => ValueOf<K>;

const NAMES = Object.keys(KEYS) as KeyName[];
const SECTIONS = new Set(
	NAMES.filter((name) => name.includes(".")).map((name) => name.split(".")[0]),
);

/**
 * Reads the file and the drop-in folder `<path>.d`, whose `*.toml` files override it key by key in the order of their
 * names. Relative paths start at the file's folder. Throws NO_BOOTSTRAP when all that is wrong is a missing or empty
 * bootstrap list, otherwise CONFIG_INVALID with one line for every fault, each naming file and key.
 */
export async function loadConfig(path: string): Promise<Config> {
	const read = await readEntries(path);
	const values = new Map<KeyName, unknown>();
	const faults = [...read.faults, ...unknownKeys(read)];
	for (const name of NAMES) {
		const key: Key<unknown> = KEYS[name];
		const entry = read.entries.get(name);
		if (entry === undefined && key.otherwise !== undefined) {
			values.set(name, key.otherwise());
			continue;
		}
		const value = key.read(entry?.value);
		if (value.ok) values.set(name, value.value);
		// A key that seems to be missing may stand in a file that could not be read.
		else if (entry !== undefined || read.faults.length === 0)
			faults.push({
				where: `${entry?.file ?? path}:${name}`,
				problem: `${entry === undefined ? "is not set; it " : ""}${value.detail}`,
			});
	}
	if (faults.length > 0) throw refusal(faults, read);
	// Every value was read by the reader of its own key.
	const get: Get = (name) => values.get(name) as ValueOf<typeof name>;
	return assemble(get, dirname(resolve(path)));
}

function unknownKeys({ entries }: Entries): Fault[] {
	const faults: Fault[] = [];
	for (const [name, { file }] of entries) {
		if (Object.hasOwn(KEYS, name)) continue;
		const meant = suggest(name, NAMES);
		const problem = SECTIONS.has(name)
			? `is a section; write [${name}] and its keys below`
			: `is no key of Larder${meant === undefined ? "; remove it" : `; did you mean ${meant}?`}`;
		faults.push({ where: `${file}:${name}`, problem });
	}
	return faults;
}

function refusal(faults: readonly Fault[], { entries }: Entries): LarderError {
	const lines = faults.map(({ where, problem }) => `${where}: ${problem}`);
	const list = entries.get("swarm.bootstrap")?.value;
	const empty =
		list === undefined || (Array.isArray(list) && list.length === 0);
	const [only = ""] = lines.length === 1 ? lines : [];
	if (empty && only.includes(":swarm.bootstrap: "))
		return new LarderError("NO_BOOTSTRAP", only);
	return new LarderError("CONFIG_INVALID", lines.join("\n"));
}

function assemble(get: Get, folder: string): Config {
	const place = (path: string) => resolve(folder, path);
	const passwordFile = get("broker.password_file");
	const ca = get("broker.ca");
	return {
		data: place(get("data")),
		logLevel: get("log_level"),
		identity: place(get("identity")),
		enrol: place(get("enrol")),
		swarm: {
			bootstrap: get("swarm.bootstrap"),
			host: get("swarm.host"),
			interface: get("swarm.interface"),
			port: get("swarm.port"),
			reach: get("swarm.reach"),
			maxPeers: get("swarm.max_peers"),
			tcp: get("swarm.tcp"),
			tcpPort: get("swarm.tcp_port"),
		},
		broker: {
			url: get("broker.url"),
			username: get("broker.username"),
			passwordFile: passwordFile && place(passwordFile),
			ca: ca && place(ca),
		},
		origin: { url: get("origin.url") },
		store: {
			quota: get("store.quota"),
			reserve: get("store.reserve"),
			streamingShare: get("store.streaming_share"),
		},
		rates: {
			up: get("rates.up"),
			upActive: get("rates.up_active"),
			down: get("rates.down"),
			origin: get("rates.origin"),
		},
		household: { pressure: get("household.pressure") },
		fill: {
			takeover: get("fill.takeover"),
			writeBudget: get("fill.write_budget"),
			zone: get("fill.zone"),
			windows: get("fill.windows"),
		},
		gateway: {
			host: get("gateway.host"),
			port: get("gateway.port"),
			token: get("gateway.token"),
			origins: get("gateway.origins"),
		},
		ipc: { socket: place(get("ipc.socket")), group: get("ipc.group") },
	};
}
