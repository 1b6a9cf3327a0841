import { join } from "node:path";
import { LarderError } from "../../base/errors.ts";
import type { Millis } from "../../base/units.ts";
import type { KeyPair } from "../../wire/keys.ts";
import { readIfThere, SECRET, writeWhole } from "../operator/file.ts";
import {
	type Authority,
	certifyIssuer,
	certifyRoot,
	type IssuerKey,
} from "./authority.ts";

const CA = "ca.pem";
const INTERMEDIATE = "issuer.pem";
const ROOT_LIST = "ca-crl.pem";

/** An operator's authority for TLS, as it lies in keys/ beside the issuer's key. */
export interface Papers {
	/** PEM of the root's own certificate. */
	readonly ca: string;
	readonly authority: Authority;
	/** PEM of the root's list of revoked issuers. */
	readonly rootList: string;
}

/** What of an operator it takes to read them. */
interface Folder {
	readonly dir: string;
	readonly signers: { readonly issuer: { readonly pair: KeyPair } };
}

/** Makes the root's certificate: once, when the operator is made. @param keys the operator's folder of keys */
export async function writeRoot(
	keys: string,
	root: KeyPair,
	now: Millis,
): Promise<void> {
	await writeWhole(join(keys, CA), await certifyRoot(root, now), SECRET);
}

/** Makes an issuer's certificate: when the operator is made, and whenever the issuer's key is replaced. */
export async function writeIssuer(
	keys: string,
	root: KeyPair,
	issuer: IssuerKey,
	now: Millis,
): Promise<void> {
	const { intermediate, crl } = await certifyIssuer(root, issuer, now);
	await writeWhole(join(keys, INTERMEDIATE), intermediate, SECRET);
	await writeWhole(join(keys, ROOT_LIST), crl, SECRET);
}

/** Reads the papers from an operator's folder. Throws OPERATOR_INVALID naming what is missing. */
export async function readPapers({ dir, signers }: Folder): Promise<Papers> {
	const read = async (name: string) => {
		const path = join(dir, "keys", name);
		const bytes = await readIfThere(path);
		if (bytes !== undefined) return bytes.toString("utf8");
		throw new LarderError("OPERATOR_INVALID", `${path}: missing`);
	};
	const intermediate = await read(INTERMEDIATE);
	return {
		ca: await read(CA),
		authority: { pair: signers.issuer.pair, intermediate },
		rootList: await read(ROOT_LIST),
	};
}
