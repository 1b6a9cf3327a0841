import { access, constants, mkdtemp, open, rm, statfs } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { ERRORS, systemCode } from "../base/errors.ts";
import { type Clock, DAY, MINUTE, monotonic, SECOND } from "../base/time.ts";
import { formatBytes, KiB, MiB } from "../base/units.ts";
import type { Time } from "../wire/envelope.ts";
import type { Check } from "../wire/ipc.ts";
import type { Certificate } from "../wire/membership.ts";
import { type Asker, checkBootstrap } from "./bootstrap.ts";
import type { Config } from "./config.ts";
import { failure, finding } from "./finding.ts";
import { readIdentity } from "./identity.ts";

/** How long a check waits for the network. */
const PATIENCE = 5 * SECOND;
const SLOW_SYNC = 500;
const LITTLE_SPACE = 256 * MiB;
/** Leases are renewed when a third is left. */
const SOON = 7 * DAY;
const SKEW = 5 * MINUTE;

/**
 * What can be checked from outside a running agent, in the order in which it would matter at its start.
 * @param asker asks DHT nodes in place of one that is opened for it
 */
export async function checkBox(
	config: Config,
	time: Time,
	asker?: Asker,
): Promise<Check[]> {
	const checks = await Promise.all([
		checkIdentity(config.identity, time),
		checkDisk(config.data),
		checkSpace(config),
		checkBootstrap(config, asker),
		checkBroker(config.broker),
		checkOrigin(config.origin.url, Date.now),
	]);
	return checks.flat();
}

async function checkIdentity(path: string, time: Time): Promise<Check[]> {
	try {
		const { certificate } = await readIdentity(path, time);
		return [
			finding("identity", "ok", `${certificate.region}, ${certificate.serial}`),
			checkExpiry(certificate, time),
		];
	} catch (error) {
		return [failure("identity", error)];
	}
}

/** Whether the membership certificate is valid, and for how long yet. */
export function checkExpiry(certificate: Certificate, time: Time): Check {
	const now = time.now();
	const name = "membership";
	const end = new Date(certificate.notAfter).toISOString().slice(0, 10);
	const renew =
		"It is renewed by itself as soon as broker and headend answer; see what keeps the box from them.";
	if (time.latest() < certificate.notBefore)
		return finding(
			name,
			"fail",
			`not valid before ${new Date(certificate.notBefore).toISOString()}, and it is ${new Date(now).toISOString()}`,
			"The operator's clock was ahead when it was issued.",
		);
	if (now >= certificate.notAfter)
		return finding(name, "fail", `expired on ${end}`, renew);
	if (certificate.notAfter - now < SOON)
		return finding(name, "warn", `expires on ${end}`, renew);
	return finding(name, "ok", `valid until ${end}`);
}

/** Writes and syncs a small file in the data folder. */
export async function checkDisk(data: string): Promise<Check> {
	const name = "disk";
	let folder: string | undefined;
	try {
		folder = await mkdtemp(join(data, ".doctor-"));
		const begin = monotonic();
		await using file = await open(join(folder, "probe"), "w");
		await file.write(Buffer.alloc(64 * KiB));
		await file.sync();
		const took = monotonic() - begin;
		const text = `${data} is writable, 64 KiB synced in ${took.toFixed(1)} ms`;
		if (took <= SLOW_SYNC) return finding(name, "ok", text);
		return finding(name, "warn", text, "Check the health of the disk.");
	} catch (error) {
		if (systemCode(error) === "ENOENT")
			return finding(
				name,
				"warn",
				`${data} does not exist yet`,
				"Start the agent, which makes it, or set data to a folder that exists.",
			);
		return failure(name, error, ERRORS.STORE_UNUSABLE);
	} finally {
		if (folder !== undefined)
			await rm(folder, { recursive: true, force: true });
	}
}

/** Free space, and whether the disk is as large as the quota. */
export async function checkSpace(config: Config): Promise<Check> {
	const name = "space";
	try {
		const { bavail, blocks, bsize } = await statfs(config.data);
		const free = bavail * bsize;
		const size = blocks * bsize;
		const { quota } = config.store;
		const room = quota.kind === "bytes" ? quota.bytes : quota.share * size;
		const text = `${formatBytes(free)} free of ${formatBytes(size)}, quota ${formatBytes(room)}`;
		if (room > size) return finding(name, "warn", text, "Lower store.quota.");
		if (free < LITTLE_SPACE)
			return finding(name, "warn", text, ERRORS.STORE_FULL);
		return finding(name, "ok", text);
	} catch (error) {
		if (systemCode(error) === "ENOENT")
			return finding(name, "warn", "not known: the data folder is missing");
		return failure(name, error, ERRORS.STORE_UNUSABLE);
	}
}

/** Whether the broker's port takes connections, and the password can be read. */
export async function checkBroker(broker: Config["broker"]): Promise<Check> {
	const name = "broker";
	const { protocol, hostname, port } = new URL(broker.url);
	const standard = protocol === "mqtts:" ? 8883 : 1883;
	const host = hostname.replace(/^\[|\]$/g, "");
	try {
		if (broker.passwordFile !== undefined)
			await access(broker.passwordFile, constants.R_OK);
		await reach(host, port === "" ? standard : Number(port));
		return finding(name, "ok", `${broker.url} takes connections`);
	} catch (error) {
		const cannot = new Error(`${broker.url} cannot be used`, { cause: error });
		return failure(name, cannot, ERRORS.BROKER_FAILED);
	}
}

function reach(host: string, port: number): Promise<void> {
	return new Promise((resolve, reject) => {
		const socket = connect({ host, port, timeout: PATIENCE });
		socket.once("error", reject);
		socket.once("timeout", () => socket.destroy(new Error("timed out")));
		socket.once("connect", () => {
			socket.destroy();
			resolve();
		});
	});
}

/** Whether the origin answers HTTP at all, and what it thinks the time is. */
export async function checkOrigin(
	address: string,
	now: Clock,
): Promise<Check[]> {
	try {
		const answer = await fetch(address, {
			method: "HEAD",
			redirect: "manual",
			signal: AbortSignal.timeout(PATIENCE),
		});
		const text = `${address} answers ${answer.status}`;
		return [
			answer.status < 500
				? finding("origin", "ok", text)
				: finding("origin", "fail", text, ERRORS.ORIGIN_FAILED),
			checkClock(answer.headers.get("date"), now()),
		];
	} catch (cause) {
		const silent = new Error(`${address} does not answer`, { cause });
		return [
			failure("origin", silent, ERRORS.ORIGIN_FAILED),
			checkClock(null, now()),
		];
	}
}

/** Compares the clock with the Date header of an HTTP answer. */
export function checkClock(date: string | null, now: number): Check {
	const text = new Date(now).toISOString();
	const theirs = Date.parse(date ?? "");
	if (Number.isNaN(theirs))
		return finding("clock", "ok", `${text}, nothing to compare it with`);
	const apart = Math.round((now - theirs) / SECOND);
	return finding(
		"clock",
		Math.abs(now - theirs) < SKEW ? "ok" : "fail",
		`${text}, ${apart} s from the origin's`,
		"Set the clock: certificates and signatures are judged by it.",
	);
}
