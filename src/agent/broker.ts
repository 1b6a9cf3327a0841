import { readFile } from "node:fs/promises";
import { LarderError } from "../base/errors.ts";
import type { BrokerAccess } from "../control/connection.ts";
import type { Config } from "./config.ts";

/** How to get to the broker. Throws CONFIG_INVALID when the password cannot be read. */
export async function brokerAccess({ broker }: Config): Promise<BrokerAccess> {
	const { url, username, passwordFile } = broker;
	if (username === undefined) return { url };
	if (passwordFile === undefined) return { url, username };
	try {
		const password = (await readFile(passwordFile, "utf8")).trim();
		return { url, username, password };
	} catch (cause) {
		const what = `broker.password_file: ${passwordFile} cannot be read`;
		throw new LarderError("CONFIG_INVALID", what, { cause });
	}
}
