import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { LarderError } from "../base/errors.ts";
import type { BrokerAccess } from "./connection.ts";

/** How a configuration says to get to the broker, with absolute paths. Secrets stay in their files. */
export interface BrokerSettings {
	readonly url: string;
	readonly username?: string | undefined;
	readonly passwordFile?: string | undefined;
	/** PEM of the authority that vouches for the broker; those that the system trusts unless set. */
	readonly ca?: string | undefined;
}

/** What a broker's address has to be and is not; undefined when nothing is wrong. Never repeats the address. */
export function faultOfBrokerUrl(url: string): string | undefined {
	// MQTT.js takes what it does not know for `mqtt:`, and nothing at all for localhost.
	if (!/^mqtts?:\/\/[^/]/.test(url) || !URL.canParse(url))
		return "must be an mqtt:// or mqtts:// address";
	const { username, password } = new URL(url);
	// Others than its owner read a configuration, and boxes are told the address.
	return username === "" && password === ""
		? undefined
		: "must have no user name and password in it: set broker.username and broker.password_file";
}

/** Reads what the settings name. Throws CONFIG_INVALID naming the key. */
export async function brokerAccess(
	settings: BrokerSettings,
): Promise<BrokerAccess> {
	const { url, username, passwordFile, ca } = settings;
	const password =
		passwordFile && (await read("broker.password_file", passwordFile)).trim();
	if (password !== undefined && username === undefined)
		throw wrong("broker.password_file", "needs broker.username beside it");
	const authority = ca && (await readAuthority(ca, url));
	return {
		url,
		...(username !== undefined && { username }),
		...(password !== undefined && { password }),
		...(authority !== undefined && { tls: { ca: authority } }),
	};
}

async function readAuthority(path: string, url: string): Promise<string> {
	if (!url.startsWith("mqtts:"))
		throw wrong("broker.ca", "needs an mqtts:// address in broker.url");
	const pem = await read("broker.ca", path);
	try {
		new X509Certificate(pem);
	} catch (cause) {
		throw wrong("broker.ca", `${path} holds no PEM certificate`, cause);
	}
	return pem;
}

async function read(key: string, path: string): Promise<string> {
	try {
		return await readFile(path, "utf8");
	} catch (cause) {
		throw wrong(key, `${path} cannot be read`, cause);
	}
}

function wrong(key: string, what: string, cause?: unknown): LarderError {
	return new LarderError("CONFIG_INVALID", `${key}: ${what}`, { cause });
}
