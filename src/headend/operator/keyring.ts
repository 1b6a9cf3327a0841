import { join } from "node:path";
import * as z from "zod/mini";
import { LarderError } from "../../base/errors.ts";
import {
	PURPOSES,
	type Signed,
	signed,
	type Trust,
} from "../../wire/envelope.ts";
import { parseMessage } from "../../wire/json.ts";
import { type Mandate, readMandate } from "../../wire/mandate.ts";
import { checkSecretFolder, readIfThere } from "./file.ts";
import { type OperatorKey, readKey } from "./keyfile.ts";
import { finish } from "./staged.ts";

/** The purposes whose keys the headend signs with. The root and `release` stay away from it. */
export const ONLINE = ["issuer", "catalog", "placement", "revoke"] as const;
export type OnlinePurpose = (typeof ONLINE)[number];

export type Signers = {
	readonly [P in OnlinePurpose]: OperatorKey<P>;
};

/** Which keys these are. */
export type Serials = Readonly<Record<OnlinePurpose, number>>;

export function serialsOf(signers: Signers): Serials {
	const { issuer, catalog, placement, revoke } = signers;
	return {
		issuer: issuer.granted.serial,
		catalog: catalog.granted.serial,
		placement: placement.granted.serial,
		revoke: revoke.granted.serial,
	};
}

const mandateFile = z.object({ ...signed.shape, brief: z.optional(signed) });
/** What is in keys/mandate.json. */
export type MandateFile = z.output<typeof mandateFile>;

/** What the root has said last: as it travels, and what it says. */
export interface SignedMandate {
	readonly signed: Signed;
	/** The same but for purges: where boxes enrol there is no room for those. */
	readonly brief: Signed | undefined;
	readonly said: Mandate;
}

/** All that is in keys/ at one time. */
interface Content {
	readonly signers: Signers;
	readonly mandate: SignedMandate | undefined;
}

/**
 * The keys that the headend signs with, and the root's mandate. Whoever holds the ring gets the newest that was read.
 * Invariant: `trust` counts the keys as the mandate says.
 */
export class Keyring {
	private readonly dir: string;
	private readonly trust: Trust;
	private content: Content;

	private constructor(dir: string, trust: Trust, content: Content) {
		this.dir = dir;
		this.trust = trust;
		this.content = content;
		this.obey();
	}

	/**
	 * Reads keys/ of an operator's folder; a rotation that was interrupted is brought to its end.
	 * Throws OPERATOR_INVALID naming what is missing, damaged or open to others.
	 */
	static async open(operatorDir: string, trust: Trust): Promise<Keyring> {
		const dir = join(operatorDir, "keys");
		return new Keyring(dir, trust, await readContent(dir, trust));
	}

	get signers(): Signers {
		return this.content.signers;
	}

	get mandate(): SignedMandate | undefined {
		return this.content.mandate;
	}

	/** Takes up what `larder keys` has changed. Throws as `open` does, and then nothing changes. */
	async reread(): Promise<void> {
		this.content = await readContent(this.dir, this.trust);
		this.obey();
	}

	private obey(): void {
		for (const purpose of PURPOSES) {
			const least = this.mandate?.said.minimum[purpose];
			if (least !== undefined) this.trust.minimum.set(purpose, least);
		}
	}
}

async function readContent(dir: string, trust: Trust): Promise<Content> {
	await checkSecretFolder(dir);
	await finish(dir);
	const key = <P extends OnlinePurpose>(purpose: P) =>
		readKey(join(dir, `${purpose}.json`), purpose);
	return {
		signers: {
			issuer: await key("issuer"),
			catalog: await key("catalog"),
			placement: await key("placement"),
			revoke: await key("revoke"),
		},
		mandate: await readMandateFile(dir, trust),
	};
}

/** The mandate in a folder of keys, if the root has ever given one. Throws OPERATOR_INVALID. */
export async function readMandateFile(
	dir: string,
	trust: Pick<Trust, "rootKey" | "network">,
): Promise<SignedMandate | undefined> {
	const path = join(dir, "mandate.json");
	const bytes = await readIfThere(path);
	if (bytes === undefined) return undefined;
	const outer = parseMessage(mandateFile, bytes);
	const said = outer.ok ? readMandate(outer.value, trust) : outer;
	if (outer.ok && said.ok) {
		const { brief, ...signed } = outer.value;
		return { signed, brief, said: said.value };
	}
	throw new LarderError(
		"OPERATOR_INVALID",
		`${path}: ${said.ok ? "damaged" : said.detail}`,
	);
}
