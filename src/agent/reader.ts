import { bad, good, type Result } from "../base/result.ts";
import { parseSpan } from "../base/time.ts";
import {
	type Bytes,
	type Limit,
	type Millis,
	parseBytes,
	parseRate,
	type Rate,
} from "../base/units.ts";
import { isLoopback } from "../gateway/host.ts";
import { isZone, readWindows } from "../plan/windows.ts";
import type { FillWindow } from "../wire/hours.ts";

/** Reads one value as TOML gives it. `detail` of a fault says what the key takes. */
export type Reader<T> = (value: unknown) => Result<T>;

export interface Address {
	readonly host: string;
	readonly port: number;
}

/** Room on the disk: a number of bytes, or a share (0..1) of the disk that the data folder lies on. */
export type Quota =
	| { readonly kind: "bytes"; readonly bytes: Bytes }
	| { readonly kind: "share"; readonly share: number };

/** Of a disk of so many bytes. */
export function bytesOf(room: Quota, disk: Bytes): Bytes {
	return room.kind === "bytes" ? room.bytes : Math.floor(disk * room.share);
}

const wrong = (takes: string) => bad("bad-value", takes);

export const text: Reader<string> = (value) =>
	typeof value === "string" && value !== ""
		? good(value)
		: wrong("takes a text that is not empty");

/** The name of a network interface, as Linux allows one. */
export const device: Reader<string> = (value) =>
	typeof value === "string" && /^(?!\.{1,2}$)[^\s/:]{1,15}$/.test(value)
		? good(value)
		: wrong('takes the name of a network interface, like "eth0"');

export const flag: Reader<boolean> = (value) =>
	typeof value === "boolean" ? good(value) : wrong("takes true or false");

export function oneOf<const T extends string>(words: readonly T[]): Reader<T> {
	return (value) => {
		const word = words.find((each) => each === value);
		return word === undefined
			? wrong(`takes one of ${words.join(", ")}`)
			: good(word);
	};
}

export function integer(least: number, most: number): Reader<number> {
	return (value) =>
		typeof value === "number" &&
		Number.isInteger(value) &&
		value >= least &&
		value <= most
			? good(value)
			: wrong(`takes a whole number from ${least} to ${most}`);
}

export function figure(least: number, most: number): Reader<number> {
	return (value) =>
		typeof value === "number" && value >= least && value <= most
			? good(value)
			: wrong(`takes a number from ${least} to ${most}`);
}

/** @param schemes without colon; the first one stands in the example */
export function url(
	...schemes: readonly [string, ...string[]]
): Reader<string> {
	const takes = wrong(
		`takes a URL that starts with ${schemes.map((each) => `${each}://`).join(" or ")}`,
	);
	return (value) => {
		if (typeof value !== "string" || !URL.canParse(value)) return takes;
		const parsed = new URL(value);
		if (parsed.hostname === "") return takes;
		if (parsed.username !== "" || parsed.password !== "")
			return wrong("takes a URL without a user name and password in it");
		return schemes.includes(parsed.protocol.slice(0, -1)) ? good(value) : takes;
	};
}

/** At least one `host:port`, IPv4 or a name: the DHT exchanges IPv4 addresses only. */
export const addresses: Reader<readonly Address[]> = (value) => {
	const takes = wrong('takes a list of "host:port"');
	if (!Array.isArray(value)) return takes;
	const read: Address[] = [];
	for (const item of value) {
		const match = /^([A-Za-z0-9_.-]+):(\d{1,5})$/.exec(String(item));
		const [, host, port] = match ?? [];
		if (host === undefined || Number(port) < 1 || Number(port) > 65_535)
			return wrong(`${takes.detail}; ${JSON.stringify(item)} is none`);
		read.push({ host, port: Number(port) });
	}
	return read.length > 0
		? good(read)
		: wrong('takes at least one "host:port" of an operator DHT node');
};

export const loopback: Reader<string> = (value) =>
	typeof value === "string" && isLoopback(value)
		? good(value)
		: wrong("takes a loopback address: 127.0.0.1 or ::1");

/** Origins as browsers send them: scheme, host and port if it is not the scheme's own; `null` is that of pages from files. */
export const sites: Reader<readonly string[]> = (value) => {
	const takes = wrong('takes a list of origins such as "https://tv.example"');
	if (!Array.isArray(value)) return takes;
	const odd = value.find((item) => !isSite(item));
	return odd === undefined
		? good(value)
		: wrong(`${takes.detail}; ${JSON.stringify(odd)} is none`);
};

/** Of schemes other than the web's there is no telling how they are written. */
function isSite(value: unknown): boolean {
	if (typeof value !== "string") return false;
	return /^https?:/i.test(value)
		? URL.canParse(value) && new URL(value).origin === value
		: value === "null" || /^[a-z][\w+.-]*:\/\/[^\s/?#@]+$/.test(value);
}

export const quota: Reader<Quota> = (value) => {
	const size = sizeOf(value);
	return size === undefined || isNothing(size)
		? wrong('takes a size such as "20 GiB", or "80%" of the disk')
		: good(size);
};

/** What is left free: like a quota, and may be nothing. */
export const reserve: Reader<Quota> = (value) => {
	const size = sizeOf(value);
	return size === undefined
		? wrong('takes a size such as "2 GiB", "5%" of the disk, or "0"')
		: good(size);
};

function sizeOf(value: unknown): Quota | undefined {
	if (typeof value !== "string") return undefined;
	const percent = /^\s*(\d+(?:\.\d+)?)\s*%\s*$/.exec(value)?.[1];
	if (percent !== undefined) {
		const share = Number(percent) / 100;
		return share <= 1 ? { kind: "share", share } : undefined;
	}
	const bytes = parseBytes(value);
	return bytes === undefined ? undefined : { kind: "bytes", bytes };
}

function isNothing(size: Quota): boolean {
	return (size.kind === "bytes" ? size.bytes : size.share) === 0;
}

/** Bytes a day; what fits the disk with "auto". */
export const budget: Reader<Bytes | "auto"> = (value) => {
	if (value === "auto") return good(value);
	const bytes = typeof value === "string" ? parseBytes(value) : undefined;
	return bytes === undefined
		? wrong('takes bytes a day such as "4 GiB", "0" for no limit, or "auto"')
		: good(bytes);
};

/** Bytes a second. */
export const rate: Reader<Rate> = (value) => {
	const read = parseRate(value);
	return read === undefined
		? wrong('takes "5 Mbit/s", "600 KiB/s" or the like, or 0 for no limit')
		: good(read);
};

/** An IANA time zone. */
export const zone: Reader<string> = (value) =>
	typeof value === "string" && isZone(value)
		? good(value)
		: wrong('takes a time zone such as "Europe/Berlin" or "UTC"');

export const windows: Reader<readonly FillWindow[]> = readWindows;

/** A rate, or nothing at all. */
export const limit: Reader<Limit> = (value) => {
	if (value === "none") return good(value);
	const read = rate(value);
	return read.ok ? read : wrong(`${read.detail}; or "none"`);
};

export const span: Reader<Millis> = (value) => {
	const ms = parseSpan(String(value));
	return ms === undefined
		? wrong('takes a time such as "10 s", "500 ms" or "2 min"')
		: good(ms);
};
