import { join } from "node:path";
import t, { type Test } from "tap";
import { silent } from "../../src/base/log.ts";
import { HOUR, MINUTE } from "../../src/base/time.ts";
import { Commands } from "../../src/control/commands.ts";
import { Inbox } from "../../src/control/inbox.ts";
import type { CommandBody } from "../../src/wire/command.ts";
import { downTopic } from "../../src/wire/topics.ts";
import { Happenings, newBox, newTitle, Operator, REGION } from "./operator.ts";

const LOUD: CommandBody = { kind: "log-level", level: "debug" };

const REPORT: CommandBody = { kind: "report" };

/** A box's commands, each run with what the one before has left on the disk. */
function rig(t: Test) {
	const operator = new Operator();
	const box = newBox();
	const path = join(t.testdir(), "commands.json");
	const time = { ahead: 0 };
	const now = () => Date.now() + time.ahead;
	const trust = { ...operator.trust, now, latest: now };
	const identity = { box, region: REGION, trust };
	const open = async (most?: number) => {
		const commands = new Commands(path, identity, silent, most);
		await commands.load();
		return commands;
	};
	const order = (body: CommandBody, lifetime?: number, serial?: number) =>
		operator.command(box, body, lifetime, serial);
	return { open, order, trust, time };
}

t.test("a command is obeyed once, and said again it is refused", async (t) => {
	const { open, order } = rig(t);
	const commands = await open();
	const loud = order(LOUD);
	t.match(await commands.take(loud), { ok: true, value: { body: LOUD } });
	t.match(await commands.take(loud), { ok: false, reason: "repeated" });
	const both = order(LOUD);
	t.same(
		(await Promise.all([commands.take(both), commands.take(both)])).map(
			({ ok }) => ok,
		),
		[true, false],
	);
	t.match(await commands.take(order(LOUD, -1)), { reason: "expired" });
});

t.test("a restart does not make it forget what it did", async (t) => {
	const { open, order } = rig(t);
	const loud = order(LOUD);
	const report = order(REPORT);
	const first = await open();
	for (const each of [loud, report]) t.ok((await first.take(each)).ok);
	const second = await open();
	t.match(await second.take(loud), { ok: false, reason: "repeated" });
	t.ok(
		(await second.take(report)).ok,
		"which harms nobody, nor wears the disk",
	);
	t.ok((await second.take(order(LOUD))).ok);
	t.match(await (await open()).take(loud), { ok: false, reason: "repeated" });
});

t.test("none is forgotten while it could be obeyed again", async (t) => {
	const { open, order, time, trust } = rig(t);
	const most = 4;
	const commands = await open(most);
	const said = async (bytes: Buffer, to = commands) => {
		const taken = await to.take(bytes);
		return taken.ok ? "taken" : taken.reason;
	};
	const loud = order(LOUD);
	t.equal(await said(loud), "taken");
	for (let i = 0; i < 2 * most; i++)
		t.equal(await said(order(REPORT)), "taken");
	t.equal(await said(loud), "repeated", "what harms nobody goes first");

	for (let i = 1; i < most; i++)
		t.equal(await said(order(LOUD, HOUR)), "taken");
	t.equal(await said(order(LOUD)), "too-many-commands");
	t.equal(await said(order(REPORT)), "taken", "this needs no room");
	t.equal(await said(loud), "repeated");
	t.equal(await said(order(LOUD), await open(most)), "too-many-commands");

	await t.test("room is made by time", async (t) => {
		time.ahead = HOUR;
		t.equal(await said(order(LOUD, 2 * HOUR)), "taken");
		t.equal(await said(order(LOUD, 25 * HOUR)), "taken");
		t.equal(await said(order(LOUD, 25 * HOUR + MINUTE)), "too-far-ahead");
		t.equal(await said(loud), "expired", "though it is forgotten");
	});

	await t.test("and made when the key is retired", async (t) => {
		for (let i = 2; i < most; i++)
			t.equal(await said(order(LOUD, 2 * HOUR)), "taken");
		t.equal(await said(order(LOUD, 2 * HOUR)), "too-many-commands");
		trust.minimum.set("placement", 2);
		t.equal(await said(order(LOUD, 2 * HOUR)), "retired-key");
		const again = await open(most);
		for (let i = 0; i < most; i++)
			t.equal(await said(order(LOUD, 2 * HOUR, 2), again), "taken");
	});
});

t.test("an update waits until it is known whether it is over", async (t) => {
	const operator = new Operator();
	const box = newBox();
	const time = { ahead: 0, known: false };
	const now = () => Date.now() + time.ahead;
	const latest = () => (time.known ? now() : Number.POSITIVE_INFINITY);
	const happened = new Happenings<string>();
	const inbox = new Inbox({
		...{ box, region: REGION, trust: { ...operator.trust, now, latest } },
		...{ folder: t.testdir(), ran: Date.now, log: silent },
		fetchRef: () => Promise.reject(new Error("no origin")),
		events: {
			placement: () => undefined,
			head: () => undefined,
			command: ({ body }) => happened.add(body.kind),
			refused: ({ slug }) => happened.add(slug),
		},
	});
	t.teardown(() => inbox.close());
	const statement = operator.parts(1).bans;
	if (statement === undefined) throw new Error();
	const update = { kind: "update", title: newTitle(), statement } as const;
	const say = (bytes: Buffer) =>
		inbox.receive(downTopic(box, "command"), bytes);
	const order = operator.command(box, update);
	await say(order);
	await say(operator.command(box, LOUD));
	t.same(happened.all, ["log-level"], "of nothing else is that asked");
	time.known = true;
	inbox.reconsider();
	await happened.until((what) => what === "update");
	await say(order);
	t.same(happened.all.splice(0), ["log-level", "update", "repeated"]);

	time.known = false;
	await say(operator.command(box, update));
	// It was held back for long, and the box was off meanwhile.
	Object.assign(time, { ahead: HOUR, known: true });
	inbox.reconsider();
	await happened.until((what) => what === "expired");
	t.same(happened.all, ["expired"]);
});
