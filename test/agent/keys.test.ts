import { existsSync, readFileSync } from "node:fs";
import { readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { type AskForKey, TitleKeys } from "../../src/agent/keys.ts";
import { LarderError } from "../../src/base/errors.ts";
import type { Manifest } from "../../src/content/manifest.ts";
import { generateKeyPair } from "../../src/wire/keys.ts";
import { sealTo } from "../../src/wire/sealed.ts";
import { Happenings, heard } from "../control/operator.ts";
import { makeTitle, until } from "../fixture.ts";

const title = makeTitle(10_000, 1024, 4);
const { id, cipher } = title;
const manifest = Promise.resolve(title.manifest);
const mine = generateKeyPair();
const { signal } = new AbortController();

const seal = (key = cipher.key, to = mine) => sealTo(to.publicKey, key);
const sealed = seal();
const changed = seal();
changed[50]! ^= 1;

/** What the headend answers, in turn: a sealed key or an error; and whoever asks once more is told so. */
function open(
	folder: string,
	answers: readonly (Buffer | LarderError)[] = [],
	keyPair = mine,
) {
	const left = [...answers];
	const lines = new Happenings<string>();
	const ask: AskForKey = async () => {
		const answer = left.shift();
		if (answer === undefined) throw new Error("nobody should have asked");
		if (answer instanceof Error) throw answer;
		return { sealed: answer.toString("base64") };
	};
	const keys = new TitleKeys(folder, keyPair, ask, heard(lines));
	const cipherOf = (found = manifest) => keys.cipher(id, found, signal);
	const path = join(folder, id);
	/** The key that came is on disk, which nobody waits for. */
	const kept = (key = sealed) =>
		until(() => existsSync(path) && readFileSync(path).equals(key));
	return { keys, left, lines, cipherOf, path, kept };
}

t.test("asked for once, and kept as it came: sealed to this box", async (t) => {
	const folder = join(t.testdir(), "keys");
	const { cipherOf, path, kept } = open(folder, [sealed]);
	t.same(await cipherOf(), cipher);
	t.same(await cipherOf(), cipher);
	await kept();
	t.equal((await stat(path)).mode & 0o777, 0o600);
	t.equal((await stat(folder)).mode & 0o777, 0o700);
	t.same(await open(folder).cipherOf(), cipher, "read back after a restart");
	const other = generateKeyPair();
	const theirs = seal(cipher.key, other);
	const thief = open(folder, [theirs], other);
	t.same(await thief.cipherOf(), cipher);
	await thief.kept(theirs);
	t.same(thief.left, [], "what lies there is of no use to another box");
});

t.test("asked for while the manifest is on its way", async (t) => {
	const later = Promise.withResolvers<Manifest>();
	const { left, cipherOf, kept } = open(t.testdir(), [sealed]);
	const asked = cipherOf(later.promise);
	await until(() => left.length === 0);
	later.resolve(title.manifest);
	t.same(await asked, cipher);
	await kept();
	const { promise, reject } = Promise.withResolvers<Manifest>();
	const denied = open(t.testdir(), [sealed]).cipherOf(promise);
	reject(new LarderError("TITLE_UNAVAILABLE", "no manifest"));
	await t.rejects(denied, { code: "TITLE_UNAVAILABLE" });
});

const WRONG: Record<string, Buffer> = {
	"another title's": seal(Buffer.alloc(32, 7)),
	"cut short": seal(cipher.key.subarray(1)),
	"sealed to another box": seal(cipher.key, generateKeyPair()),
	"not sealed": cipher.key,
	"changed on its way": changed,
	nothing: Buffer.alloc(0),
};

for (const [what, wrong] of Object.entries(WRONG)) {
	t.test(`a key that is ${what} is refused`, async (t) => {
		const folder = t.testdir();
		const { cipherOf, kept } = open(folder, [wrong, sealed]);
		await t.rejects(cipherOf(), { code: "TITLE_KEY_UNAVAILABLE" });
		t.same(await readdir(folder), [], "and not kept");
		t.same(await cipherOf(), cipher, "the next one may be right");
		await kept();
	});

	t.test(`a kept key that is ${what} is asked for anew`, async (t) => {
		const folder = t.testdir();
		await writeFile(join(folder, id), wrong);
		const { left, cipherOf, kept } = open(folder, [sealed]);
		t.same(await cipherOf(), cipher);
		t.same(left, []);
		await kept();
	});
}

t.test(
	"what the headend says reaches the player, and is not the last word",
	async (t) => {
		const denied = new LarderError("TITLE_KEY_DENIED", "no contract");
		const silent = new LarderError("TITLE_KEY_UNAVAILABLE", "no answer");
		const { cipherOf, kept } = open(t.testdir(), [denied, silent, sealed]);
		await t.rejects(cipherOf(), denied);
		await t.rejects(cipherOf(), silent);
		t.same(await cipherOf(), cipher);
		await kept();
	},
);

t.test("a title that is taken back takes its key with it", async (t) => {
	const folder = t.testdir({ [id]: sealed });
	const denied = new LarderError("TITLE_KEY_DENIED", "taken back");
	const { keys, cipherOf } = open(folder, [denied]);
	t.same(await cipherOf(), cipher);
	await keys.forget(id);
	t.same(await readdir(folder), []);
	await t.rejects(cipherOf(), denied);
	await t.resolves(keys.forget(id), "nothing is left to forget");
});

t.test("the film plays without the disk", async (t) => {
	const folder = join(t.testdir({ file: "" }), "file");
	const { lines, cipherOf } = open(folder, [sealed]);
	t.same(await cipherOf(), cipher);
	await lines.until((line) => line.startsWith("a key was not kept"));
	t.match(lines.all[0], /^a key was not read/);
});
