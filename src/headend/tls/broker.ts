import { execFile } from "node:child_process";
import { mkdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { LarderError } from "../../base/errors.ts";
import { type Clock, DAY, SECOND } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import type { BoxId } from "../../wire/ids.ts";
import type { BrokerTls } from "../control/broker.ts";
import { PUBLIC, readIfThere, SECRET, writeWhole } from "../operator/file.ts";
import type { Operator } from "../operator/operator.ts";
import { revokeBoxes } from "./authority.ts";
import { type Papers, readPapers } from "./keys.ts";
import { type MosquittoSettings, mosquittoFiles } from "./mosquitto.ts";
import { brokerDir, makeServer, readServer, serverPath } from "./server.ts";
import { listsOfOthers, splitLists } from "./x509.ts";

const run = promisify(execFile);
const LISTS = "crl.pem";
const EVERYWHERE = ["0.0.0.0", "::"];
/** A certificate of an issuer that was replaced so long ago has ended, and so has the use of its list. */
const LEASE = 30 * DAY;

export interface BrokerSettings
	extends Omit<MosquittoSettings, "dir" | "network" | "port"> {
	/** Where boxes and headend connect; as in operator.toml unless set. */
	readonly port?: number | undefined;
	/** Where to put it; broker/ in the operator's folder unless set. */
	readonly out?: string | undefined;
	/** By which names and addresses boxes reach it; those of last time, or the one in operator.toml, unless given. */
	readonly hosts: readonly string[];
}

export interface BrokerFolder {
	readonly dir: string;
	readonly hosts: readonly string[];
	/** When the server's certificate ends, in Unix milliseconds. */
	readonly notAfter: Millis;
}

/**
 * Writes all that Mosquitto needs. What is there already stays, but for the certificates.
 * Throws OPERATOR_INVALID when there is no authority in keys/, COMMAND_FAILED when the key cannot be given to Mosquitto's user.
 */
export async function writeBroker(
	operator: Operator,
	settings: BrokerSettings,
	now: Clock = Date.now,
): Promise<BrokerFolder> {
	const dir = resolve(settings.out ?? brokerDir(operator.dir));
	const papers = await readPapers(operator);
	const data = join(dir, "data");
	const server = serverPath(dir);
	// Of two steps: Mosquitto's user has to come through the first.
	await mkdir(dir, { recursive: true });
	await mkdir(data, { recursive: true, mode: 0o700 });
	await writeWhole(join(dir, "ca.pem"), papers.ca, PUBLIC);
	const more = settings.hosts;
	const hosts = hostsOf(
		operator,
		more.length > 0 ? more : ((await readServer(dir))?.hosts ?? []),
	);
	const { cert, key, notAfter } = await makeServer(papers, hosts, now());
	await writeWhole(server, cert + key, SECRET);
	const lists = join(dir, LISTS);
	if ((await readIfThere(lists)) === undefined)
		await writeLists(papers, lists, [], now());
	const { network } = operator;
	const port = settings.port ?? portOf(operator);
	const files = mosquittoFiles({ ...settings, port, dir, network });
	for (const [name, text] of Object.entries(files)) {
		const path = join(dir, name);
		if ((await readIfThere(path)) === undefined)
			await writeWhole(path, text, PUBLIC);
	}
	if (process.getuid?.() === 0) await give(settings.user, [server, data]);
	return { dir, hosts, notAfter };
}

/** What `larder broker --tls` takes, made for this one run. @param host where it listens */
export async function embeddedTls(
	operator: Operator,
	host: string,
): Promise<BrokerTls> {
	const papers = await readPapers(operator);
	const path = join(brokerDir(operator.dir), LISTS);
	if ((await readIfThere(path)) === undefined)
		await writeLists(papers, path, [], Date.now());
	const hosts = hostsOf(operator, EVERYWHERE.includes(host) ? [] : [host]);
	const { cert, key } = await makeServer(papers, hosts, Date.now());
	const crl = splitLists(await readFile(path, "utf8"));
	return { ca: papers.ca, cert, key, crl };
}

/**
 * Has the broker refuse revoked boxes: writes crl.pem in the operator's broker/ and runs the command that [broker] names for having
 * it read. Sessions that live are not ended by it. Throws COMMAND_FAILED when the command does.
 * @param revoked all revoked boxes
 */
export async function refuseRevoked(
	operator: Operator,
	revoked: readonly BoxId[],
	now: Clock = Date.now,
): Promise<void> {
	const path = join(brokerDir(operator.dir), LISTS);
	await writeLists(await readPapers(operator), path, revoked, now());
	const [command, ...args] = operator.config.broker.reload ?? [];
	if (command === undefined) return;
	try {
		await run(command, args, { timeout: 10 * SECOND });
	} catch (cause) {
		throw new LarderError("COMMAND_FAILED", "broker.reload failed", { cause });
	}
}

/**
 * Lets in who has a certificate of this issuer, or of one that was replaced within a lease's time: there is no entry without the
 * issuer's list. Where an issuer's key was stolen, crl.pem is removed first.
 */
async function writeLists(
	{ authority, rootList }: Papers,
	path: string,
	revoked: readonly BoxId[],
	now: Millis,
): Promise<void> {
	const kept = (await readIfThere(path))?.toString("utf8") ?? "";
	const own = rootList + (await revokeBoxes(authority, revoked, now));
	await writeWhole(path, own + listsOfOthers(kept, own, now - LEASE), PUBLIC);
}

/** The host that operator.toml names, and others. */
function hostsOf(
	{ config }: Operator,
	others: readonly string[],
): [string, ...string[]] {
	const { hostname } = new URL(config.broker.url);
	const named = hostname.replace(/^\[(.*)\]$/, "$1");
	return [named, ...others.filter((it) => it !== named)];
}

function portOf({ config }: Operator): number {
	const { protocol, port } = new URL(config.broker.url);
	return (protocol === "mqtts:" && Number(port)) || 8883;
}

async function give(user: string, paths: readonly string[]): Promise<void> {
	try {
		await run("chown", [user, ...paths]);
	} catch (cause) {
		throw new LarderError(
			"COMMAND_FAILED",
			`${user} is to run the broker, but cannot be given ${paths.join(", ")}: choose with --user`,
			{ cause },
		);
	}
}
