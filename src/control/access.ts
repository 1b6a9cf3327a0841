import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { LarderError } from "../base/errors.ts";
import type { BrokerAccess } from "./connection.ts";
import type { TlsAccess } from "./tls.ts";

/** How a configuration says to get to the broker, with absolute paths. Secrets stay in their files. */
export interface BrokerSettings {
	readonly url: string;
	readonly username?: string | undefined;
	readonly passwordFile?: string | undefined;
	/** PEM of the authority that vouches for the broker; those that the system trusts unless set. */
	readonly ca?: string | undefined;
}

/** The certificates of one that shows its own to a broker of the operator's. */
export interface OwnTls extends Pick<TlsAccess, "time" | "leastIssuer"> {
	/** PEM of the operator's root, which is pinned unless the settings name another authority. */
	readonly ca: string;
	/** Makes or reads certificate and key, in PEM, for a connection with this client id. */
	readonly show: (
		clientId: string,
	) => Promise<Required<Pick<TlsAccess, "cert" | "key">>>;
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

/**
 * Reads what the settings name. Throws CONFIG_INVALID naming the key.
 * @param own shown to an mqtts:// broker for which no user name is set
 */
export async function brokerAccess(
	settings: BrokerSettings,
	own?: OwnTls,
): Promise<BrokerAccess> {
	const { url, username, passwordFile, ca } = settings;
	const password =
		passwordFile && (await read("broker.password_file", passwordFile)).trim();
	if (password !== undefined && username === undefined)
		throw wrong("broker.password_file", "needs broker.username beside it");
	const authority = ca && (await readAuthority(ca, url));
	// Of another authority the operator's root says nothing.
	const pinned =
		authority === undefined && username === undefined ? own : undefined;
	return {
		url,
		...(username !== undefined && { username }),
		...(password !== undefined && { password }),
		...(url.startsWith("mqtts:") && {
			tls: async (clientId) => ({
				ca: authority ?? pinned?.ca,
				time: own?.time,
				leastIssuer: pinned?.leastIssuer,
				...(username === undefined && (await own?.show(clientId))),
			}),
		}),
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
