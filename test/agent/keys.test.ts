import { existsSync, readFileSync } from "node:fs";
import { readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { TitleKey } from "../../src/act/ports.ts";
import { KeyFolder } from "../../src/agent/keyfolder.ts";
import { type AskForKey, TitleKeys } from "../../src/agent/keys.ts";
import { fileVault, type Vault } from "../../src/agent/vault.ts";
import { LarderError } from "../../src/base/errors.ts";
import { silent } from "../../src/base/log.ts";
import { HOUR } from "../../src/base/time.ts";
import type { Manifest } from "../../src/content/manifest.ts";
import type { BoxId, TitleId } from "../../src/wire/ids.ts";
import { generateKeyPair } from "../../src/wire/keys.ts";
import { sealTo } from "../../src/wire/sealed.ts";
import { Happenings, heard, Operator, REGION } from "../control/operator.ts";
import { makeTitle, until } from "../fixture.ts";

const title = makeTitle(10_000, 1024, 4);
const { id, plaintext } = title;
const ciphertext = title.shardFiles[0]?.subarray(0, 1024) ?? Buffer.alloc(0);
const manifest = Promise.resolve(title.manifest);
const mine = generateKeyPair();
const operator = new Operator();
const { signal } = new AbortController();

const idOf = (pair = mine) => pair.publicKey.toString("hex") as BoxId;
const seal = (key = title.cipher.key, to = mine) => sealTo(to.publicKey, key);

/** A signed command that carries a key; everything about it is right unless something else is said. */
function lease(
	over: {
		sealed?: Buffer;
		title?: TitleId;
		to?: BoxId;
		lasts?: number;
		by?: Operator;
	} = {},
): Buffer {
	const { sealed = seal(), to = idOf(), lasts = HOUR, by = operator } = over;
	return by.command(to, {
		kind: "key",
		request: "0".repeat(32),
		title: over.title ?? id,
		sealed: sealed.toString("base64"),
		until: Date.now() + lasts,
	});
}

/** A lease as it is kept. */
function record(command: Buffer): string {
	return JSON.stringify({ envelope: JSON.parse(`${command}`), elapsed: 0 });
}

/** Whether a file keeps exactly the command that came. */
function holds(file: Buffer, command: Buffer): boolean {
	return file.includes(command);
}

type Answer = Buffer | LarderError | Promise<Buffer>;

/** What the headend answers, in turn: a lease or an error; and whoever asks once more is told so. */
function box(
	t: Test,
	folder: string,
	answers: readonly Answer[] = [],
	pair = mine,
) {
	const left = [...answers];
	const lines = new Happenings<string>();
	const ask: AskForKey = async () => {
		const answer = left.shift();
		if (answer === undefined)
			throw new LarderError("TITLE_KEY_UNAVAILABLE", "no answer");
		if (answer instanceof Error) throw answer;
		return answer;
	};
	const opened: Buffer[] = [];
	const file = fileVault(pair);
	const vault: Vault = {
		open(sealed) {
			const key = file.open(sealed);
			if (key !== undefined) opened.push(key);
			return key;
		},
	};
	const time = { ahead: 0, isKnown: true };
	const now = () => (time.isKnown ? Date.now() + time.ahead : 0);
	const trust = { ...operator.trust, now, latest: now };
	const keys = new TitleKeys({
		folder,
		identity: { box: idOf(pair), region: REGION, trust },
		vault,
		ask,
		log: heard(lines),
	});
	t.teardown(() => keys.close());
	const open = (found = manifest) => keys.open(id, found, signal);
	const path = join(folder, id);
	/** The lease that came is on disk, which nobody waits for. */
	const kept = (bytes: Buffer) =>
		until(() => existsSync(path) && holds(readFileSync(path), bytes));
	return { keys, left, lines, open, path, kept, opened, time, trust };
}

function plays(t: Test, key: TitleKey, what = "it plays"): void {
	t.ok(key.decipher(0, ciphertext).equals(plaintext.subarray(0, 1024)), what);
}

t.test("asked for once, and kept as it came: signed and sealed", async (t) => {
	const folder = join(t.testdir(), "keys");
	const came = lease();
	const { open, path, kept } = box(t, folder, [came]);
	plays(t, await open());
	await kept(came);
	plays(t, await open());
	t.equal((await stat(path)).mode & 0o777, 0o600);
	t.equal((await stat(folder)).mode & 0o777, 0o700);
	plays(t, await box(t, folder).open(), "read back after a restart");
	const other = generateKeyPair();
	const theirs = lease({ to: idOf(other), sealed: seal(undefined, other) });
	const thief = box(t, folder, [theirs], other);
	plays(t, await thief.open());
	t.same(thief.left, [], "what lies there is of no use to another box");
	await thief.kept(theirs);
});

t.test("asked for while the manifest is on its way", async (t) => {
	const later = Promise.withResolvers<Manifest>();
	const came = lease();
	const { left, open, kept } = box(t, t.testdir(), [came]);
	const asked = open(later.promise);
	await until(() => left.length === 0);
	later.resolve(title.manifest);
	plays(t, await asked);
	await kept(came);
	const { promise, reject } = Promise.withResolvers<Manifest>();
	const denied = box(t, t.testdir({}), [came]).open(promise);
	reject(new LarderError("TITLE_UNAVAILABLE", "no manifest"));
	await t.rejects(denied, { code: "TITLE_UNAVAILABLE" });
});

const changed = lease();
const letter = changed.indexOf("payload") + 40;
changed.write(changed[letter] === 0x41 ? "B" : "A", letter);
const sealed = seal();
sealed[50]! ^= 1;

const WRONG: Record<string, () => Buffer> = {
	"another title's key": () => lease({ sealed: seal(Buffer.alloc(32, 7)) }),
	"cut short": () => lease({ sealed: seal(title.cipher.key.subarray(1)) }),
	"sealed to another box": () =>
		lease({ sealed: seal(undefined, generateKeyPair()) }),
	"changed where it is sealed": () => lease({ sealed }),
	"changed where it is signed": () => changed,
	"for another box": () => lease({ to: idOf(generateKeyPair()) }),
	"for another title": () => lease({ title: "a".repeat(64) as TitleId }),
	"another operator's": () => lease({ by: new Operator() }),
	over: () => lease({ lasts: -1 }),
	"not signed at all": () => seal(),
	nothing: () => Buffer.alloc(0),
};

/** What was damaged so far that it is no command any more is written as it is. */
function recordIfAny(command: Buffer): string | Buffer {
	try {
		return record(command);
	} catch {
		return command;
	}
}

for (const [what, wrong] of Object.entries(WRONG)) {
	t.test(`a lease that is ${what} is refused`, async (t) => {
		const folder = t.testdir();
		const right = lease();
		const { open, kept } = box(t, folder, [wrong(), right]);
		await t.rejects(open(), { code: "TITLE_KEY_UNAVAILABLE" });
		t.same(await readdir(folder), [], "and not kept");
		plays(t, await open(), "the next one may be right");
		await kept(right);
	});

	t.test(`a kept lease that is ${what} is asked for anew`, async (t) => {
		const folder = t.testdir();
		await writeFile(join(folder, id), recordIfAny(wrong()));
		const right = lease();
		const { left, open, kept } = box(t, folder, [right]);
		plays(t, await open());
		t.same(left, []);
		await kept(right);
	});
}

t.test("a kept lease by a key that was retired since", async (t) => {
	const folder = t.testdir();
	await writeFile(join(folder, id), record(lease()));
	const { open, trust } = box(t, folder);
	plays(t, await open());
	trust.minimum.set("placement", 2);
	t.teardown(() => trust.minimum.clear());
	await t.rejects(open(), { code: "TITLE_KEY_UNAVAILABLE" });
});

t.test(
	"what the headend says reaches the player, and is not the last word",
	async (t) => {
		const denied = new LarderError("TITLE_KEY_DENIED", "no contract");
		const silent = new LarderError("TITLE_KEY_UNAVAILABLE", "no answer");
		const came = lease();
		const { open, kept } = box(t, t.testdir(), [denied, silent, came]);
		await t.rejects(open(), denied);
		await t.rejects(open(), silent);
		plays(t, await open());
		await kept(came);
	},
);

t.test("a title that is taken back takes its key with it", async (t) => {
	// The power went while another one was written.
	const folder = t.testdir({
		...{ [id]: record(lease()), [`${id}.part`]: record(lease()) },
	});
	const denied = new LarderError("TITLE_KEY_DENIED", "taken back");
	const late = Promise.withResolvers<Buffer>();
	const { keys, open, opened } = box(t, folder, [denied, late.promise]);
	const [one, two] = [await open(), await open()];
	await keys.forget(id);
	for (const key of [one, two]) {
		t.match(key.ended.reason, { code: "TITLE_KEY_DENIED" });
		t.throws(() => key.decipher(0, ciphertext), { code: "TITLE_KEY_DENIED" });
	}
	t.ok(
		opened.every((key) => key.equals(Buffer.alloc(32))),
		"nothing of it stays in memory",
	);
	t.same(await readdir(folder), []);
	await t.rejects(open(), denied);
	await t.resolves(keys.forget(id), "nothing is left to forget");
	const asked = open();
	await new Promise(setImmediate);
	await keys.forget(id);
	late.resolve(lease());
	await t.rejects(asked, { code: "TITLE_KEY_DENIED" }, "not one on its way");
	t.same(await readdir(folder), []);
});

t.test(
	"what is not worth keeping goes, and what a power cut left",
	async (t) => {
		const other = "ab".repeat(32);
		const text = record(lease());
		const folder = t.testdir({
			...{ [id]: text, [`${id}.part`]: text, [other]: text, notes: "mine" },
			[`${other}.part`]: text,
		});
		await new KeyFolder(folder, silent).sweep((one) => one === id);
		t.same((await readdir(folder)).toSorted(), [id, "notes"].toSorted());
	},
);

t.test("a key is in memory while its title is open", async (t) => {
	const folder = t.testdir({ [id]: record(lease()) });
	const { open, opened } = box(t, folder);
	const key = await open();
	t.same(opened, [title.cipher.key]);
	key.close();
	t.same(opened, [Buffer.alloc(32)]);
});

t.test("a lease that ends ends the film", async (t) => {
	const folder = t.testdir({ [id]: record(lease({ lasts: HOUR / 2 })) });
	const { open, time, opened } = box(t, folder);
	const key = await open();
	plays(t, key);
	time.ahead = HOUR / 2;
	t.throws(() => key.decipher(0, ciphertext), { code: "TITLE_KEY_EXPIRED" });
	t.ok(key.ended.aborted);
	t.same(opened, [Buffer.alloc(32)]);
	await t.rejects(open(), { code: "TITLE_KEY_EXPIRED" });
});

t.test("a film that stands still hears of it, too", async (t) => {
	const { open } = box(t, t.testdir({ [id]: record(lease({ lasts: 300 })) }));
	const { ended } = await open();
	await until(() => ended.aborted);
	t.match(ended.reason, { code: "TITLE_KEY_EXPIRED" });
});

t.test("a box that does not know the time cannot begin anew", async (t) => {
	const folder = t.testdir();
	const came = lease({ lasts: 300 });
	const { keys, open, kept, time } = box(t, folder, [came]);
	time.isKnown = false;
	const { ended } = await open();
	await kept(came);
	await until(() => ended.aborted);
	await t.rejects(open(), { code: "TITLE_KEY_EXPIRED" });
	await keys.close();
	const next = box(t, folder);
	next.time.isKnown = false;
	await t.rejects(next.open(), { code: "TITLE_KEY_EXPIRED" }, "nor a restart");
});

t.test("with less than a third left, the film starts at once", async (t) => {
	const folder = t.testdir({ [id]: record(lease()) });
	const renewal = Promise.withResolvers<Buffer>();
	const { open, time, left, kept } = box(t, folder, [renewal.promise]);
	time.ahead = 0.9 * HOUR;
	const key = await open();
	plays(t, key, "while it is renewed in the background");
	await until(() => left.length === 0);
	const next = lease({ lasts: 2 * HOUR });
	renewal.resolve(next);
	await kept(next);
	time.ahead = 1.1 * HOUR;
	plays(t, key, "and goes on with the new lease");
});

t.test("a renewal that is denied ends the film", async (t) => {
	const folder = t.testdir({ [id]: record(lease()) });
	const denied = new LarderError("TITLE_KEY_DENIED", "contract over");
	const { open, time } = box(t, folder, [denied]);
	time.ahead = 0.9 * HOUR;
	const { ended } = await open();
	await until(() => ended.aborted);
	t.equal(ended.reason, denied);
	await until(() => !existsSync(join(folder, id)));
});

t.test("a renewal that fails ends nothing", async (t) => {
	const folder = t.testdir({ [id]: record(lease()) });
	const { open, time, lines } = box(t, folder);
	time.ahead = 0.9 * HOUR;
	const key = await open();
	await lines.until((line) => line.startsWith("a key was not renewed"));
	plays(t, key);
});

t.test("the film plays without the disk", async (t) => {
	const folder = join(t.testdir({ file: "" }), "file");
	const { lines, open } = box(t, folder, [lease()]);
	plays(t, await open());
	await lines.until((line) => line.startsWith("a key was not kept"));
	t.match(lines.all[0], /^a key was not read/);
});
