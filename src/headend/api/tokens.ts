import {
	createHash,
	createHmac,
	randomBytes,
	timingSafeEqual,
} from "node:crypto";
import { join } from "node:path";
import * as z from "zod/mini";
import { LarderError } from "../../base/errors.ts";
import { type Clock, DAY } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import { hex32, instant } from "../../wire/ids.ts";
import { parseMessage, parseValue } from "../../wire/json.ts";
import { readIfThere, SECRET, writeWhole } from "../operator/file.ts";

/** What the holder of a token may do: look, or change things, too. */
export const ROLES = ["viewer", "operator"] as const;
export type Role = (typeof ROLES)[number];

/** Who goes by the token in keys/api-token, which is there from the first start and cannot be removed. */
const FIRST = "operator";
const TOKEN = /^[0-9a-f]{64}$/;

export const tokenName = z
	.string()
	.check(
		z.regex(
			/^[a-z0-9][a-z0-9-]{0,31}$/,
			"must be lower-case letters, digits and hyphens, at most 32",
		),
	);

const record = z.object({
	name: tokenName,
	role: z.enum(ROLES),
	/** Tokens are 32 random bytes, so a plain hash keeps them as well as a slow one would. */
	sha256: hex32,
	createdAt: instant,
});
type Kept = z.output<typeof record>;
const tokensFile = z.object({ v: z.literal(1), tokens: z.array(record) });

/** Whom a token belongs to, and what it allows. */
export type Holder = Pick<Kept, "name" | "role">;
export type TokenView = Omit<Kept, "sha256">;

/** The operator's own token: made at the first call, kept in keys/api-token. */
export async function apiToken(operatorDir: string): Promise<string> {
	const path = join(operatorDir, "keys", "api-token");
	const kept = (await readIfThere(path))?.toString("utf8").trim();
	if (kept !== undefined && TOKEN.test(kept)) return kept;
	const token = randomBytes(32).toString("hex");
	await writeWhole(path, `${token}\n`, SECRET);
	return token;
}

/**
 * Everybody's tokens: the operator's own, and named ones of which keys/tokens.json keeps only hashes.
 * Invariant: `records` is what the file says. Whoever holds the operator's lock is the only one to write it.
 */
export class Tokens {
	private readonly path: string;
	/** The operator's own. */
	readonly own: string;
	private readonly now: Clock;
	private records: readonly Kept[];
	private writing: Promise<unknown> = Promise.resolve();

	private constructor(
		path: string,
		own: string,
		records: readonly Kept[],
		now: Clock,
	) {
		this.path = path;
		this.own = own;
		this.records = records;
		this.now = now;
	}

	/** Throws OPERATOR_INVALID when the file is damaged. */
	static async open(
		operatorDir: string,
		now: Clock = Date.now,
	): Promise<Tokens> {
		const path = join(operatorDir, "keys", "tokens.json");
		const own = await apiToken(operatorDir);
		const bytes = await readIfThere(path);
		if (bytes === undefined) return new Tokens(path, own, [], now);
		const read = parseMessage(tokensFile, bytes);
		if (!read.ok)
			throw new LarderError("OPERATOR_INVALID", `${path}: ${read.detail}`);
		return new Tokens(path, own, read.value.tokens, now);
	}

	/** Whose token it is. Takes as long for a wrong one as for a right one, however much of it is right. */
	holder(token: string): Holder | undefined {
		const given = hashOf(token);
		let found: Holder | undefined;
		for (const each of this.all())
			if (timingSafeEqual(given, Buffer.from(each.sha256, "hex"))) found = each;
		return found;
	}

	/** A pass that a browser may carry in place of the token, of no use elsewhere nor after a week: `name.expiry.mac`. */
	passOf({ name }: Holder): string {
		const until = this.now() + 7 * DAY;
		return `${name}.${until}.${this.seal(name, until)}`;
	}

	/** Whose pass it is, while it lasts and the token that it was given for is there. */
	bearer(pass: string): Holder | undefined {
		const [, name = "", until = ""] =
			/^([a-z0-9-]+)\.(\d{1,15})\.[0-9a-f]{64}$/.exec(pass) ?? [];
		const genuine = `${name}.${until}.${this.seal(name, Number(until))}`;
		// Hashed only to be of one length.
		if (!timingSafeEqual(hashOf(pass), hashOf(genuine))) return undefined;
		if (Number(until) <= this.now()) return undefined;
		return this.all().find((each) => each.name === name);
	}

	list(): TokenView[] {
		return this.records.map(({ sha256, ...view }) => view);
	}

	/** Makes a token and gives it, this once. Throws REQUEST_INVALID when the name is taken or none. */
	async add(name: string, role: Role): Promise<string> {
		const read = parseValue(tokenName, name);
		if (!read.ok)
			throw new LarderError("REQUEST_INVALID", `${name}: ${read.detail}`);
		const token = randomBytes(32).toString("hex");
		await this.write((records) => {
			if (name === FIRST || records.some((each) => each.name === name))
				throw new LarderError("REQUEST_INVALID", `there is a token ${name}`);
			const sha256 = hashOf(token).toString("hex");
			return [...records, { name, role, sha256, createdAt: this.now() }];
		});
		return token;
	}

	/** Throws REQUEST_INVALID when there is no such token. */
	async remove(name: string): Promise<void> {
		await this.write((records) => {
			const left = records.filter((each) => each.name !== name);
			if (left.length === records.length)
				throw new LarderError("REQUEST_INVALID", `there is no token ${name}`);
			return left;
		});
	}

	private seal(name: string, until: Millis): string {
		const token = this.all().find((each) => each.name === name)?.sha256;
		return createHmac("sha256", this.own)
			.update(`larder/pass/${name}/${until}/${token}`)
			.digest("hex");
	}

	/** The operator's own first. */
	private all(): (Holder & Pick<Kept, "sha256">)[] {
		const sha256 = hashOf(this.own).toString("hex");
		return [{ name: FIRST, role: "operator", sha256 }, ...this.records];
	}

	/** One writer at a time. */
	private async write(
		change: (records: readonly Kept[]) => readonly Kept[],
	): Promise<void> {
		const write = this.writing.then(async () => {
			const tokens = change(this.records);
			const text = JSON.stringify({ v: 1, tokens }, undefined, "\t");
			await writeWhole(this.path, `${text}\n`, SECRET);
			this.records = tokens;
		});
		this.writing = write.catch(() => undefined);
		await write;
	}
}

function hashOf(token: string): Buffer {
	return createHash("sha256").update(token).digest();
}
