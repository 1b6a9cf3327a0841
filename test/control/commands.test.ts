import { join } from "node:path";
import t, { type Test } from "tap";
import { silent } from "../../src/base/log.ts";
import { Commands } from "../../src/control/commands.ts";
import type { CommandBody } from "../../src/wire/command.ts";
import { newBox, Operator, REGION } from "./operator.ts";

const LOUD: CommandBody = { kind: "log-level", level: "debug" };

/** A box's commands, each run with what the one before has left on the disk. */
function rig(t: Test) {
	const operator = new Operator();
	const box = newBox();
	const path = join(t.testdir(), "commands.json");
	const identity = { box, region: REGION, trust: operator.trust };
	const open = async () => {
		const commands = new Commands(path, identity, silent);
		await commands.load();
		return commands;
	};
	const order = (body: CommandBody, lifetime?: number) =>
		operator.command(box, body, lifetime);
	return { open, order };
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
	const report = order({ kind: "report" });
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
