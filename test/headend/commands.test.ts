import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { Answers } from "../../src/headend/control/answers.ts";
import { Commands } from "../../src/headend/control/commands.ts";
import type { Verdict } from "../../src/headend/entitlement/policy.ts";
import { issueBox } from "../../src/headend/operator/issue.ts";
import { initOperator } from "../../src/headend/operator/operator.ts";
import { titlesDir, writeTitle } from "../../src/headend/publish/titles.ts";
import { type Command, command } from "../../src/wire/command.ts";
import { unseal } from "../../src/wire/envelope.ts";
import type { BoxId, TitleId } from "../../src/wire/ids.ts";
import { keyPairFromSeed } from "../../src/wire/keys.ts";
import { openSealed } from "../../src/wire/sealed.ts";
import { Happenings, heard } from "../control/operator.ts";
import { recordOf, region } from "./fixture.ts";

const session = "0".repeat(16);

/** An operator, a box of it, and all that is sent to boxes. */
async function post(t: Test, patience?: number) {
	const dir = t.testdir();
	const operator = await initOperator(join(dir, "operator"), { region });
	const box = await issueBox(operator, { serial: "1", dir: join(dir, "box") });
	const sent = new Happenings<Command>();
	const deliver = async (to: BoxId, envelope: Buffer) => {
		const read = unseal(envelope, "placement", command, operator.trust);
		if (!read.ok || read.value.box !== to) throw new Error("not for that box");
		sent.add(read.value);
	};
	const commands = new Commands(operator, deliver, patience);
	return { dir, operator, box, sent, commands };
}

t.test("the answer finds whoever asked, even when it is fast", async (t) => {
	const { box, sent, commands } = await post(t);
	const other = "f".repeat(64) as BoxId;
	const asked = commands.ask(box, { kind: "report" });
	const { id, body, issuedAt, expires } = await sent.until(() => true);
	t.same(body, { kind: "report" });
	t.ok(expires > issuedAt);
	const answer = { id, session, ok: false, code: "X", detail: "because" };
	t.notOk(commands.answered(other, { ...answer, ok: true }), "another box");
	t.notOk(commands.answered(box, { ...answer, id: "0" }), "another command");
	t.ok(commands.answered(box, answer));
	t.same(await asked, answer);
	t.notOk(commands.answered(box, answer), "nobody waits any more");
});

t.test("silence has an end, and so has a broker that is away", async (t) => {
	const { operator, box, commands } = await post(t, 1);
	await t.rejects(commands.ask(box, { kind: "report" }), {
		code: "BOX_SILENT",
		message: /did not answer/,
	});
	const away = new Commands(operator, async () => {
		throw new Error("away");
	});
	await t.rejects(away.ask(box, { kind: "report" }), { message: "away" });
});

t.test("closing ends the waiting", async (t) => {
	const { box, sent, commands } = await post(t);
	const asked = commands.ask(box, { kind: "report" });
	await sent.until(() => true);
	commands.close();
	await t.rejects(asked, { code: "COMMAND_FAILED" });
});

t.test("who asks for a title's key", async (t) => {
	const { dir, operator, box, sent, commands } = await post(t);
	const lines = new Happenings<string>();
	const log = heard(lines);
	const title = "a".repeat(64) as TitleId;
	const key = "7".repeat(64);
	const until = Date.now() + 1000;
	type Asked = { title?: TitleId; revoked?: boolean; verdict?: Verdict };
	const ask = async (over: Asked = {}) => {
		const id = String(sent.all.length).padStart(32, "0");
		const answers = new Answers({
			operator,
			commands,
			entitlement: {
				decide: async () => over.verdict ?? { kind: "lease", until },
			},
			isRevoked: () => over.revoked ?? false,
			log,
		});
		const asked = { id, session, title: over.title ?? title };
		await answers.answer(box, { kind: "key", ...asked });
		return sent.all.at(-1)?.body;
	};

	await t.test("is told that there is no such title", async (t) => {
		t.match(await ask(), { kind: "key-denied", reason: "unknown-title" });
	});

	await t.test(
		"gets it, sealed so that only that box can open it",
		async (t) => {
			await writeTitle(operator.dir, recordOf(title, { key }));
			const body = await ask();
			if (body?.kind !== "key") return t.fail(JSON.stringify(body));
			t.equal(body.until, until);
			const identity = await readFile(join(dir, "box/identity.json"), "utf8");
			const seed = Buffer.from(JSON.parse(identity).seed, "hex");
			const sealed = Buffer.from(body.sealed, "base64");
			t.equal(openSealed(keyPairFromSeed(seed), sealed)?.toString("hex"), key);
			const stranger = keyPairFromSeed(Buffer.alloc(32));
			t.equal(openSealed(stranger, sealed), undefined);
			t.notMatch(JSON.stringify(body), key);
			t.same(
				lines.all.filter((line) => line.includes(key)),
				[],
				"nor in the log",
			);
		},
	);

	await t.test("gets none when that is the verdict", async (t) => {
		for (const [kind, answer] of [
			["denied", "key-denied"],
			["undecided", "key-undecided"],
		] as const) {
			const verdict = { kind, reason: "because" };
			t.match(await ask({ verdict }), { kind: answer, reason: "because" });
		}
	});

	await t.test("gets none when it is shut out", async (t) => {
		t.match(await ask({ revoked: true }), {
			kind: "key-denied",
			reason: "revoked",
		});
	});

	await t.test(
		"gets nothing when the record is damaged, and the log tells",
		async (t) => {
			const damaged = "b".repeat(64) as TitleId;
			await writeFile(join(titlesDir(operator.dir), `${damaged}.json`), "{");
			const before = sent.all.length;
			await ask({ title: damaged });
			t.equal(sent.all.length, before);
			t.match(lines.all.at(-1), /an answer was lost.*OPERATOR_INVALID/);
		},
	);
});

t.test("a verdict that takes its time holds up nobody else", async (t) => {
	const { operator, box, sent, commands } = await post(t);
	const title = "a".repeat(64) as TitleId;
	await writeTitle(operator.dir, recordOf(title));
	const slow = Promise.withResolvers<Verdict>();
	const answers = new Answers({
		operator,
		commands,
		entitlement: { decide: () => slow.promise },
		isRevoked: () => false,
		log: heard(new Happenings()),
	});
	const ask = (id: number) =>
		answers.take(box, {
			...{ id: String(id).padStart(32, "0"), session, kind: "key", title },
		});
	let taken = 0;
	const all = Array.from({ length: 256 }, (_, id) =>
		ask(id).then(() => taken++),
	);
	await Promise.all(all.slice(0, -1));
	t.equal(taken, 255, "the last one waits: there is an end to what waits");
	slow.resolve({ kind: "denied", reason: "late" });
	await Promise.all(all);
	await sent.until(() => sent.all.length === 256);
});
