import { X509Certificate } from "node:crypto";
import { chown, stat } from "node:fs/promises";
import { join } from "node:path";
import { systemCode } from "../../base/errors.ts";
import { type Clock, DAY } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import { generateKeyPair, privateKeyPem } from "../../wire/keys.ts";
import { readIfThere, SECRET, writeWhole } from "../operator/file.ts";
import type { Operator } from "../operator/operator.ts";
import { certifyServer, LEAD } from "./authority.ts";
import { type Papers, readPapers } from "./keys.ts";

const SERVER_LIFE = 365 * DAY;
/** How long before its end the broker's certificate is spoken of. */
const NOTICE = 30 * DAY;
const REMEDY = "run larder broker config, then send every broker a SIGHUP";

/** What a broker shows, as it lies in a folder. */
interface Server {
	/** In PEM, the issuer's certificate behind its own. */
	readonly text: string;
	/** What it was made for. */
	readonly hosts: readonly string[];
	readonly notAfter: Millis;
}

/** Where `larder broker config` puts things unless it is told otherwise. */
export function brokerDir(operatorDir: string): string {
	return join(operatorDir, "broker");
}

/** The broker's certificate and key, among its other files. */
export function serverPath(dir: string): string {
	return join(dir, "server.pem");
}

/** A certificate for a broker with its key, in PEM. @param hosts names and addresses by which boxes reach it */
export async function makeServer(
	{ authority }: Papers,
	hosts: readonly [string, ...string[]],
	now: Millis,
) {
	const pair = generateKeyPair();
	const { publicKey } = pair;
	const dates = { notBefore: now - LEAD, notAfter: now + SERVER_LIFE };
	const cert = await certifyServer(authority, { hosts, publicKey, ...dates });
	return { cert, key: privateKeyPem(pair), notAfter: dates.notAfter };
}

/** Undefined when there is none. @param dir the broker's files */
export async function readServer(dir: string): Promise<Server | undefined> {
	const bytes = await readIfThere(serverPath(dir));
	if (bytes === undefined) return undefined;
	const { subjectAltName = "", validToDate } = new X509Certificate(bytes);
	const names = subjectAltName.matchAll(/(?:DNS|IP Address):([^,\s]+)/g);
	return {
		text: bytes.toString("utf8"),
		hosts: [...names].flatMap(([, name]) => name ?? []),
		notAfter: validToDate.getTime(),
	};
}

/** Whether the broker's certificate is of an issuer whose key was replaced. */
export async function isServerOld(operator: Operator): Promise<boolean> {
	const server = await look(operator);
	return typeof server === "object" && (await isOld(operator, server));
}

/**
 * Makes the broker's certificate anew if an earlier issuer has signed it; the broker has to read it then. Says how that went: `kept`
 * when it is as it should be, `away` when it lies elsewhere, `foreign` when it is another user's, who alone can.
 */
export async function renewServer(
	operator: Operator,
	now: Clock = Date.now,
): Promise<"renewed" | "kept" | "away" | "foreign"> {
	const server = await look(operator);
	if (typeof server === "string") return server;
	if (!(await isOld(operator, server))) return "kept";
	const path = serverPath(brokerDir(operator.dir));
	const { uid, gid } = await stat(path);
	const self = process.getuid?.();
	// The broker could not read what is this user's.
	if (self !== 0 && self !== uid) return "foreign";
	const [first, ...others] = server.hosts;
	if (first === undefined) return "away";
	const papers = await readPapers(operator);
	const { cert, key } = await makeServer(papers, [first, ...others], now());
	await writeWhole(path, cert + key, SECRET);
	if (self === 0) await chown(path, uid, gid);
	return "renewed";
}

/** What is wrong with the broker's certificate, or will be soon, a line each: boxes would find out at their next connection. */
export async function serverTroubles(operator: Operator): Promise<string[]> {
	const server = await look(operator);
	if (server === "away") return [];
	if (server === "foreign") return ["cannot be read: nobody says when it ends"];
	const troubles: string[] = [];
	if (await isOld(operator, server))
		troubles.push(`is of an issuer that was replaced: ${REMEDY}`);
	const { notAfter } = server;
	const left = notAfter - operator.trust.now();
	const day = new Date(notAfter).toISOString().slice(0, 10);
	if (left < NOTICE)
		troubles.push(
			`${left > 0 ? `ends on ${day}, and then` : `ended on ${day}, and`} no box connects: ${REMEDY}`,
		);
	return troubles.map((trouble) => `the broker's certificate ${trouble}`);
}

async function look(operator: Operator): Promise<Server | "away" | "foreign"> {
	try {
		return (await readServer(brokerDir(operator.dir))) ?? "away";
	} catch (error) {
		if (systemCode(error) === "EACCES") return "foreign";
		throw error;
	}
}

async function isOld(operator: Operator, { text }: Server): Promise<boolean> {
	const { authority } = await readPapers(operator);
	return !text.includes(authority.intermediate);
}
