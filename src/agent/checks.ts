import { access, constants, mkdtemp, open, rm, statfs } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { ERRORS, systemCode } from "../base/errors.ts";
import { DAY, MINUTE, monotonic, SECOND } from "../base/time.ts";
import { formatBytes, KiB, MiB, type Millis } from "../base/units.ts";
import type { Time } from "../wire/envelope.ts";
import type { Check } from "../wire/ipc.ts";
import type { Certificate } from "../wire/membership.ts";
import type { DiskReport } from "../wire/reports.ts";
import { type Asker, checkBootstrap } from "./bootstrap.ts";
import type { Config } from "./config.ts";
import { failure, finding } from "./finding.ts";
import { checkFlash } from "./flash.ts";
import { readIdentity } from "./identity.ts";
import { addressOf, checkInterface } from "./interface.ts";
import { bytesOf } from "./reader.ts";

/** How long a check waits for the network. */
const PATIENCE = 5 * SECOND;
const SLOW_SYNC = 500;
const LITTLE_SPACE = 256 * MiB;
/** Leases are renewed when a third is left. */
const SOON = 7 * DAY;
const SKEW = 5 * MINUTE;

/**
 * What can be checked from outside a running agent, in the order in which it would matter at its start.
 * @param time what the agent knows of it; where none runs, the system's clock has to do
 * @param asker the running agent's, which asks DHT nodes in place of one that is opened for it
 */
export async function checkBox(
	config: Config,
	time: Time,
	asker?: Asker,
): Promise<Check[]> {
	const { swarm } = config;
	const host = (swarm.interface && addressOf(swarm.interface)) ?? swarm.host;
	const checks = await Promise.all([
		checkIdentity(config.identity, time),
		checkDisk(config.data),
		checkSpace(config),
		checkFlash(config.data),
		checkInterface(swarm),
		checkBootstrap({ swarm: { ...swarm, host } }, asker),
		checkBroker(config.broker),
		checkOrigin(config.origin.url, asker && time),
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
	const end = iso(certificate.notAfter).slice(0, 10);
	const renew =
		"It is renewed by itself as soon as broker and headend answer; see what keeps the box from them.";
	if (time.latest() < certificate.notBefore)
		return finding(
			name,
			"fail",
			`not valid before ${iso(certificate.notBefore)}, and it is ${iso(now)}`,
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

/** Free space, and whether the disk has room for quota and reserve. */
export async function checkSpace(config: Config): Promise<Check> {
	const name = "space";
	try {
		const { bavail, blocks, bsize } = await statfs(config.data);
		const free = bavail * bsize;
		const size = blocks * bsize;
		const quota = bytesOf(config.store.quota, size);
		const reserve = bytesOf(config.store.reserve, size);
		const text = `${formatBytes(free)} free of ${formatBytes(size)}, quota ${formatBytes(quota)}, ${formatBytes(reserve)} left to others`;
		if (quota + reserve > size)
			return finding(name, "warn", text, "Lower store.quota or store.reserve.");
		if (free < LITTLE_SPACE)
			return finding(name, "warn", text, ERRORS.STORE_FULL);
		return finding(name, "ok", text);
	} catch (error) {
		if (systemCode(error) === "ENOENT")
			return finding(name, "warn", "not known: the data folder is missing");
		return failure(name, error, ERRORS.STORE_UNUSABLE);
	}
}

/** How the disk does below a running agent. */
export function checkStore(disk: DiskReport): Check {
	const { state, unreadable, changed, mended } = disk;
	const seen = `${unreadable} unreadable, ${changed} changed, ${mended} mended since the start`;
	const well = unreadable + changed + mended === 0;
	const name = "store";
	if (state === "good")
		return finding(
			name,
			well ? "ok" : "warn",
			`the disk is good; ${seen}`,
			"What was lost is fetched again. If it goes on, plan to replace the disk.",
		);
	return finding(
		name,
		"fail",
		`the disk is ${state}: nothing is written to it, what lies there is served; ${seen}`,
		state === "full" ? ERRORS.STORE_FULL : ERRORS.STORE_UNUSABLE,
	);
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

/** Whether the origin answers HTTP at all, and how this box's clocks stand beside its. */
async function checkOrigin(
	address: string,
	time: Time | undefined,
): Promise<Check[]> {
	const [check, date] = await askOrigin(address);
	const clock = checkClock(date, Date.now());
	return [check, clock, ...(time ? [checkTime(date, time)] : [])];
}

/** Gives what the origin thinks the time is, too. */
async function askOrigin(address: string): Promise<[Check, Millis?]> {
	try {
		const answer = await fetch(address, {
			method: "HEAD",
			redirect: "manual",
			signal: AbortSignal.timeout(PATIENCE),
		});
		const text = `${address} answers ${answer.status}`;
		const check =
			answer.status < 500
				? finding("origin", "ok", text)
				: finding("origin", "fail", text, ERRORS.ORIGIN_FAILED);
		const date = Date.parse(answer.headers.get("date") ?? "");
		return Number.isNaN(date) ? [check] : [check, date];
	} catch (cause) {
		const silent = new Error(`${address} does not answer`, { cause });
		return [failure("origin", silent, ERRORS.ORIGIN_FAILED)];
	}
}

/** The system's clock, by which the log is dated and nothing else. */
export function checkClock(date: Millis | undefined, now: Millis): Check {
	return finding(
		"clock",
		isApart(date, now) ? "warn" : "ok",
		beside(date, now),
		"Set the clock, so that the log's dates are right. Certificates and signatures are judged by what the headend says the time is.",
	);
}

/** What the box knows of the time, by which certificates and signatures are judged. */
export function checkTime(date: Millis | undefined, time: Time): Check {
	const now = time.now();
	if (!Number.isFinite(time.latest()))
		return finding(
			"time",
			"warn",
			`${iso(now)} at least: the headend has not said it since the start`,
			"It comes over the broker; see what keeps the box from it. Until then nothing is refused for being of the future.",
		);
	return finding(
		"time",
		isApart(date, now) ? "warn" : "ok",
		beside(date, now),
		"Compare the headend's clock with the origin's: the box goes by what the headend says.",
	);
}

function isApart(date: Millis | undefined, now: Millis): boolean {
	return date !== undefined && Math.abs(now - date) >= SKEW;
}

function beside(date: Millis | undefined, now: Millis): string {
	if (date === undefined) return `${iso(now)}, nothing to compare it with`;
	const apart = Math.round((now - date) / SECOND);
	return `${iso(now)}, ${apart} s from the origin's`;
}

function iso(at: Millis): string {
	return new Date(at).toISOString();
}
