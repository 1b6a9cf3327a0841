import { randomBytes } from "node:crypto";
import { chmod, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import * as z from "zod/mini";
import { LarderError } from "../../base/errors.ts";
import type { Clock } from "../../base/time.ts";
import { type Signed, type Trust, trustIn } from "../../wire/envelope.ts";
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
import { generateKeyPair, type KeyPair } from "../../wire/keys.ts";
import { writeIssuer, writeRoot } from "../tls/keys.ts";
import {
	type OperatorConfig,
	type OperatorSettings,
	readConfig,
} from "./config.ts";
import { configText } from "./configtext.ts";
import {
	isVacant,
	PUBLIC,
	readIfThere,
	readSecret,
	SECRET,
	syncFolder,
	writeWhole,
} from "./file.ts";
import { issuerOf, keyText, makeKey, readRoot, rootText } from "./keyfile.ts";
import { Keyring, ONLINE, type Signers } from "./keyring.ts";

const networkFile = z.object({
	network: networkId,
	region,
	rootKey: hex32,
	createdAt: instant,
});

/** An operator's folder, opened: everything the headend signs and decides with. */
export interface Operator {
	readonly dir: string;
	readonly network: NetworkId;
	readonly region: Region;
	/** The root's public key. */
	readonly rootKey: Buffer;
	readonly createdAt: number;
	/** 32 bytes that keep strangers from finding the network; no security boundary. */
	readonly networkSecret: Buffer;
	/** The newest keys that were read; the root and the key for `release` are not the headend's. */
	readonly signers: Signers;
	/** The headend's incarnation: raised by every restore, never lowered. */
	readonly epoch: number;
	readonly config: OperatorConfig;
	readonly trust: Trust;
	/** What the root itself has said last, as it travels. */
	readonly mandate: Signed | undefined;
	/** Where signers and mandate come from. */
	readonly keyring: Keyring;
}

/** What `larder init` may choose. */
export interface InitSettings extends OperatorSettings {
	/** Where the root's key is put, and the key for `release` beside it; keys/root.json in the folder unless set. */
	readonly root?: string;
}

/** Where the keys lie that the headend does without. */
interface Offline {
	readonly root: string;
	readonly release: string;
}

/**
 * Makes an operator: root key, a key per purpose granted by it for ten years, network secret, operator.toml.
 * It is built beside `dir` and renamed, so that it is there whole or not at all.
 * Throws OPERATOR_EXISTS when `dir` is anything but absent or empty, or there are keys where the root is to go.
 */
export async function initOperator(
	dir: string,
	settings: InitSettings,
	now: Clock = Date.now,
): Promise<Operator> {
	const target = resolve(dir);
	if (!(await isVacant(target))) {
		throw new LarderError("OPERATOR_EXISTS", `${target} is not empty`);
	}
	const away = settings.root && offlineAt(resolve(settings.root));
	if (away) await leaveAlone(away);
	await mkdir(dirname(target), { recursive: true });
	const draft = await mkdtemp(
		join(dirname(target), `.${basename(target)}-init-`),
	);
	const offline = away || offlineAt(join(draft, "keys", "root.json"));
	let made = false;
	try {
		await fillFolder(draft, settings, offline, now());
		// Read back before anything rests on it: a setting that is wrong leaves nothing behind.
		await openOperator(draft, now);
		// Any web server may serve origin/ from here; keys and titles have folders of their own that it cannot enter.
		await chmod(draft, 0o755);
		// Replaces an empty folder; fails on one that has been filled meanwhile.
		await rename(draft, target);
		made = true;
		await syncFolder(dirname(target));
	} finally {
		await rm(draft, { recursive: true, force: true });
		// Keys of a network that there is not.
		if (!made)
			for (const path of [offline.root, offline.release])
				await rm(path, { force: true });
	}
	return await openOperator(target, now);
}

async function leaveAlone({ root, release }: Offline): Promise<void> {
	for (const path of [root, release])
		if (!(await isVacant(path)))
			throw new LarderError("OPERATOR_EXISTS", `${path} is there already`);
}

function offlineAt(root: string): Offline {
	return { root, release: join(dirname(root), "release.json") };
}

async function fillFolder(
	dir: string,
	settings: OperatorSettings,
	offline: Offline,
	createdAt: number,
): Promise<void> {
	const root = generateKeyPair();
	const keys = join(dir, "keys");
	await mkdir(keys, { mode: 0o700 });
	await writeKeys(keys, root, offline, createdAt);
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

async function writeKeys(
	keys: string,
	root: KeyPair,
	offline: Offline,
	createdAt: number,
): Promise<void> {
	await writeRoot(keys, root, createdAt);
	for (const purpose of ONLINE) {
		const key = makeKey(root, purpose, createdAt);
		if (purpose === "issuer")
			await writeIssuer(keys, root, issuerOf(key), createdAt);
		await writeWhole(join(keys, `${purpose}.json`), keyText(key), SECRET);
	}
	const release = keyText(makeKey(root, "release", createdAt));
	await writeWhole(offline.release, release, SECRET);
	await writeWhole(offline.root, rootText(root), SECRET);
	// A stick may have modes of its own, and open it to everybody.
	await readRoot(offline.root, root.publicKey);
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
	const secret = z.safeParse(hex32, await readText(secretPath, readSecret));
	if (!secret.success) throw damaged(secretPath, "not 64 hex digits");
	const trust = trustIn(rootKey, now);
	const keyring = await Keyring.open(dir, trust);
	return {
		...facts,
		dir: resolve(dir),
		rootKey,
		networkSecret: Buffer.from(secret.data, "hex"),
		get signers() {
			return keyring.signers;
		},
		epoch: await readEpoch(dir),
		config,
		trust,
		get mandate() {
			return keyring.mandate?.signed;
		},
		keyring,
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

async function readJson<T extends z.ZodMiniType>(
	path: string,
	schema: T,
): Promise<z.output<T>> {
	const read = parseMessage(schema, Buffer.from(await readText(path)));
	if (!read.ok) throw damaged(path, read.detail);
	return read.value;
}

async function readText(
	path: string,
	read: typeof readIfThere = readIfThere,
): Promise<string> {
	const bytes = await read(path);
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
