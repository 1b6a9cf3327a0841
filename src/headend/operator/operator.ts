import { randomBytes } from "node:crypto";
import { chmod, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import * as z from "zod/mini";
import { LarderError } from "../../base/errors.ts";
import { type Clock, DAY } from "../../base/time.ts";
import {
	grantKey,
	PURPOSES,
	type Purpose,
	type Signed,
	type Signer,
	type Trust,
	trustIn,
} from "../../wire/envelope.ts";
import {
	hex32,
	instant,
	type NetworkId,
	networkId,
	networkOf,
	type Region,
	region,
} from "../../wire/ids.ts";
import { parseMessage } from "../../wire/json.ts";
import { generateKeyPair, keyPairFromSeed } from "../../wire/keys.ts";
import { writeIssuer, writeRoot } from "../tls/keys.ts";
import {
	configText,
	type OperatorConfig,
	type OperatorSettings,
	readConfig,
} from "./config.ts";
import {
	isVacant,
	PUBLIC,
	readIfThere,
	SECRET,
	syncFolder,
	writeWhole,
} from "./file.ts";

const GRANT_LIFE = 3653 * DAY;
/** Grants begin a little in the past: a box whose clock runs late must not refuse its first placement. */
const GRANT_LEAD = DAY;

const networkFile = z.object({
	network: networkId,
	region,
	rootKey: hex32,
	createdAt: instant,
});
const base64 = z.string().check(z.maxLength(4096));
const keyFile = z.object({
	purpose: z.enum(PURPOSES),
	publicKey: hex32,
	seed: hex32,
	grant: z.object({ payload: base64, signature: base64 }),
});

/** An operator's folder, opened: everything the headend signs and decides with. The root's seed stays on disk. */
export interface Operator {
	readonly dir: string;
	readonly network: NetworkId;
	readonly region: Region;
	/** The root's public key. */
	readonly rootKey: Buffer;
	readonly createdAt: number;
	/** 32 bytes that keep strangers from finding the network; no security boundary. */
	readonly networkSecret: Buffer;
	readonly signers: Readonly<Record<Purpose, Signer>>;
	/** The headend's incarnation: raised by every restore, never lowered. */
	readonly epoch: number;
	readonly config: OperatorConfig;
	readonly trust: Trust;
	/** What the root itself has said last, as it travels. */
	readonly mandate: Signed | undefined;
}

/**
 * Makes an operator: root key, a key per purpose granted by it for ten years, network secret, operator.toml.
 * It is built beside `dir` and renamed, so that it is there whole or not at all.
 * Throws OPERATOR_EXISTS when `dir` is anything but absent or empty.
 */
export async function initOperator(
	dir: string,
	settings: OperatorSettings,
	now: Clock = Date.now,
): Promise<Operator> {
	const target = resolve(dir);
	if (!(await isVacant(target))) {
		throw new LarderError("OPERATOR_EXISTS", `${target} is not empty`);
	}
	await mkdir(dirname(target), { recursive: true });
	const draft = await mkdtemp(
		join(dirname(target), `.${basename(target)}-init-`),
	);
	try {
		await fillFolder(draft, settings, now());
		// Read back before anything rests on it: a setting that is wrong leaves nothing behind.
		await openOperator(draft, now);
		// Any web server may serve origin/ from here; keys and titles have folders of their own that it cannot enter.
		await chmod(draft, 0o755);
		// Replaces an empty folder; fails on one that has been filled meanwhile.
		await rename(draft, target);
		await syncFolder(dirname(target));
	} finally {
		await rm(draft, { recursive: true, force: true });
	}
	return await openOperator(target, now);
}

async function fillFolder(
	dir: string,
	settings: OperatorSettings,
	createdAt: number,
): Promise<void> {
	const root = generateKeyPair();
	const keys = join(dir, "keys");
	await mkdir(keys, { mode: 0o700 });
	await writeRoot(keys, root, createdAt);
	for (const [serial, purpose] of PURPOSES.entries()) {
		const pair = generateKeyPair();
		if (purpose === "issuer")
			await writeIssuer(keys, root, pair.publicKey, createdAt);
		const grant = grantKey(root, {
			purpose,
			key: pair.publicKey.toString("hex"),
			serial: serial + 1,
			notBefore: Math.max(0, createdAt - GRANT_LEAD),
			notAfter: createdAt + GRANT_LIFE,
		});
		await writeJson(join(keys, `${purpose}.json`), SECRET, {
			purpose,
			publicKey: pair.publicKey.toString("hex"),
			seed: pair.seed.toString("hex"),
			grant,
		} satisfies z.output<typeof keyFile>);
	}
	await writeJson(join(keys, "root.json"), SECRET, {
		publicKey: root.publicKey.toString("hex"),
		seed: root.seed.toString("hex"),
	});
	await writeWhole(
		join(keys, "network-secret"),
		`${randomBytes(32).toString("hex")}\n`,
		SECRET,
	);
	await writeJson(join(dir, "network.json"), PUBLIC, {
		network: networkOf(root.publicKey),
		region: settings.region,
		rootKey: root.publicKey.toString("hex"),
		createdAt,
	});
	await writeEpoch(dir, 1);
	await writeWhole(join(dir, "operator.toml"), configText(settings), PUBLIC);
	await mkdir(join(dir, "titles"), { mode: 0o700 });
	for (const folder of ["origin", "ingest", "issued"])
		await mkdir(join(dir, folder));
}

/** Throws OPERATOR_MISSING, CONFIG_INVALID, or OPERATOR_INVALID naming the file that is damaged. */
export async function openOperator(
	dir: string,
	now: Clock = Date.now,
): Promise<Operator> {
	const config = await readConfig(dir);
	const facts = await readJson(join(dir, "network.json"), networkFile);
	const rootKey = Buffer.from(facts.rootKey, "hex");
	if (networkOf(rootKey) !== facts.network) {
		throw damaged(
			join(dir, "network.json"),
			"the network is not the root key's",
		);
	}
	if (config.region !== facts.region) {
		throw new LarderError(
			"CONFIG_INVALID",
			`${join(dir, "operator.toml")}: region is ${config.region}, but boxes were issued for ${facts.region}`,
		);
	}
	const secretPath = join(dir, "keys", "network-secret");
	const secret = z.safeParse(hex32, await readText(secretPath));
	if (!secret.success) throw damaged(secretPath, "not 64 hex digits");
	const signers = {
		release: await readSigner(dir, "release"),
		issuer: await readSigner(dir, "issuer"),
		catalog: await readSigner(dir, "catalog"),
		placement: await readSigner(dir, "placement"),
		revoke: await readSigner(dir, "revoke"),
	} satisfies Record<Purpose, Signer>;
	return {
		...facts,
		dir: resolve(dir),
		rootKey,
		networkSecret: Buffer.from(secret.data, "hex"),
		signers,
		epoch: await readEpoch(dir),
		config,
		trust: trustIn(rootKey, now),
		mandate: undefined,
	};
}

/** The incarnation that a folder is at. Throws OPERATOR_INVALID. */
export async function readEpoch(dir: string): Promise<number> {
	const path = join(dir, "epoch");
	const text = await readText(path);
	if (!/^[1-9]\d{0,14}$/.test(text)) throw damaged(path, "not a number");
	return Number(text);
}

export async function writeEpoch(dir: string, epoch: number): Promise<void> {
	await writeWhole(join(dir, "epoch"), `${epoch}\n`, PUBLIC);
}

async function readSigner(dir: string, purpose: Purpose): Promise<Signer> {
	const path = join(dir, "keys", `${purpose}.json`);
	const file = await readJson(path, keyFile);
	const pair = keyPairFromSeed(Buffer.from(file.seed, "hex"));
	if (
		file.purpose !== purpose ||
		pair.publicKey.toString("hex") !== file.publicKey
	) {
		throw damaged(path, `not the key for ${purpose}`);
	}
	return { purpose, pair, grant: file.grant };
}

async function readJson<T extends z.ZodMiniType>(
	path: string,
	schema: T,
): Promise<z.output<T>> {
	const read = parseMessage(schema, Buffer.from(await readText(path)));
	if (!read.ok) throw damaged(path, read.detail);
	return read.value;
}

async function readText(path: string): Promise<string> {
	const bytes = await readIfThere(path);
	if (bytes === undefined) throw damaged(path, "missing");
	return bytes.toString("utf8").trim();
}

async function writeJson(
	path: string,
	mode: number,
	value: object,
): Promise<void> {
	await writeWhole(path, `${JSON.stringify(value, undefined, "\t")}\n`, mode);
}

function damaged(path: string, why: string): LarderError {
	return new LarderError("OPERATOR_INVALID", `${path}: ${why}`);
}
