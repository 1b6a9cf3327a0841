import { dirname, join } from "node:path";
import { LarderError } from "../../base/errors.ts";
import { above, type Clock } from "../../base/time.ts";
import { type Purpose, trustIn } from "../../wire/envelope.ts";
import type { TitleId } from "../../wire/ids.ts";
import { encodeMessage } from "../../wire/json.ts";
import { type Mandate, signMandate } from "../../wire/mandate.ts";
import { writeIssuer } from "../tls/keys.ts";
import { PUBLIC, SECRET, writeWhole } from "./file.ts";
import {
	issuerOf,
	keyText,
	makeKey,
	type OperatorKey,
	readKey,
	readRoot,
} from "./keyfile.ts";
import { type MandateFile, readMandateFile } from "./keyring.ts";
import { lockOperator } from "./lock.ts";
import type { Operator } from "./operator.ts";
import { finish, stage } from "./staged.ts";

type Whose = Pick<Operator, "dir" | "rootKey">;

/** How many papers are in force that were signed by earlier keys of a purpose. */
export type CountOld = (purpose: Purpose) => Promise<number>;

/**
 * Puts a new key in the place of one; the root grants it, and of the old one only what the root said of it is left. Boxes
 * believe both until the old one is retired. The key for `release` is looked for beside the root.
 * Throws OPERATOR_INVALID, or OPERATOR_BUSY while keys are changed elsewhere.
 */
export async function rotateKey(
	operator: Whose,
	purpose: Purpose,
	rootFile: string,
	now: Clock = Date.now,
): Promise<OperatorKey> {
	return await alone(operator, async (keys) => {
		const folder = purpose === "release" ? dirname(rootFile) : keys;
		const root = await readRoot(rootFile, operator.rootKey);
		await finish(folder);
		const file = `${purpose}.json`;
		const before = await readKey(join(folder, file), purpose);
		const key = makeKey(root, purpose, now(), before);
		await stage(folder, async (draft) => {
			if (purpose === "issuer")
				await writeIssuer(draft, root, issuerOf(key), now());
			await writeWhole(join(draft, file), keyText(key), SECRET);
		});
		return key;
	});
}

/**
 * Has the root say that the keys before the present one count no more. Throws COMMAND_FAILED, nothing done, while papers
 * of theirs are in force, unless it is forced.
 */
export async function retireKeys(
	operator: Whose,
	purpose: Purpose,
	rootFile: string,
	{ force, countOld }: { readonly force: boolean; readonly countOld: CountOld },
	now: Clock = Date.now,
): Promise<Mandate> {
	return await alone(operator, async (keys) => {
		const folder = purpose === "release" ? dirname(rootFile) : keys;
		const key = await readKey(join(folder, `${purpose}.json`), purpose);
		const old = force ? 0 : await countOld(purpose);
		if (old > 0)
			throw new LarderError(
				"COMMAND_FAILED",
				`${old} ${old === 1 ? "paper" : "papers"} in force are signed by earlier keys for ${purpose}: see larder keys list, wait until there are none, or take --force if the key is stolen`,
			);
		return await order(operator, rootFile, now, (last) => ({
			...last,
			minimum: { ...last.minimum, [purpose]: key.granted.serial },
		}));
	});
}

/** Has the root vouch for purges, so that boxes obey them however many there are in a day. */
export async function cosignPurges(
	operator: Whose,
	titles: readonly TitleId[],
	rootFile: string,
	now: Clock = Date.now,
): Promise<Mandate> {
	return await alone(operator, () =>
		order(operator, rootFile, now, (last) => ({
			...last,
			purged: [...new Set([...last.purged, ...titles])],
		})),
	);
}

async function order(
	{ dir, rootKey }: Whose,
	rootFile: string,
	now: Clock,
	change: (last: Mandate) => Mandate,
): Promise<Mandate> {
	const root = await readRoot(rootFile, rootKey);
	const trust = trustIn(rootKey, now);
	const last = (await readMandateFile(join(dir, "keys"), trust))?.said;
	const { network } = trust;
	const { minimum, purged } = change(
		last ?? { network, version: 0, minimum: {}, purged: [] },
	);
	// A version lower: who tells boxes this one must not keep the whole from them.
	const briefly = { version: above(last?.version, now()), minimum, purged: [] };
	const version = briefly.version + 1;
	const brief = signMandate(root, briefly);
	const signed = signMandate(root, { version, minimum, purged });
	const path = join(dir, "keys", "mandate.json");
	const file = { ...signed, brief } satisfies MandateFile;
	await writeWhole(path, encodeMessage(file), PUBLIC);
	return { network, version, minimum, purged };
}

/** Keys are changed by one process at a time, whether or not a headend runs. */
async function alone<T>(
	{ dir }: Whose,
	work: (keys: string) => Promise<T>,
): Promise<T> {
	const keys = join(dir, "keys");
	const lock = await lockOperator(keys);
	try {
		return await work(keys);
	} finally {
		await lock.close();
	}
}
