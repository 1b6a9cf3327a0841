import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { silent } from "../../src/base/log.ts";
import { DAY } from "../../src/base/time.ts";
import { HeadWriter } from "../../src/headend/control/heads.ts";
import { initOperator } from "../../src/headend/operator/operator.ts";
import { cosignPurges } from "../../src/headend/operator/rotate.ts";
import { unsealParsed } from "../../src/wire/envelope.ts";
import { announcement, bans, isNewer } from "../../src/wire/head.ts";
import type { BoxId } from "../../src/wire/ids.ts";
import { region } from "./fixture.ts";

t.test("the region's head only ever rises", async (t) => {
	const time = { now: Date.now() };
	const operator = await initOperator(
		join(t.testdir(), "operator"),
		{ region },
		() => time.now,
	);
	const file = join(operator.dir, "head.json");
	const content = (length: number, revoked: BoxId[] = []) => ({
		announcement: {
			catalog: { key: "a".repeat(64), length },
			policy: { shareTransient: "now" as const },
		},
		bans: { revoked, purged: [] },
	});
	const read = ({ head }: HeadWriter) => {
		const { trust } = operator;
		const told = unsealParsed(
			head!.announcement!,
			"catalog",
			announcement,
			trust,
		);
		const banned = unsealParsed(head!.bans!, "revoke", bans, trust);
		if (!told.ok || !banned.ok) throw new Error("not read");
		return { told: told.value, banned: banned.value };
	};
	const first = await HeadWriter.open(operator, silent);
	t.equal(first.head, undefined);
	t.ok(await first.write(content(1)));
	const one = read(first);
	t.match(one.told, { network: operator.network, region, epoch: 1 });
	t.match(one.banned, { network: operator.network, region, epoch: 1 });

	t.notOk(await first.write(content(1)), "the same is not news");
	const shut = ["b".repeat(64) as BoxId];
	t.ok(await first.write(content(1, shut)));
	const two = read(first);
	t.ok(isNewer(two.banned, one.banned), "news within a moment is newer");
	t.same(two.told, one.told, "what did not change is not signed again");

	const again = await HeadWriter.open(operator, silent);
	t.same(again.bytes, first.bytes, "a restart goes on");
	t.notOk(await again.write(content(1, shut)));

	time.now += DAY;
	t.ok(await again.write(content(1, shut)), "a day later it is signed anew");
	t.ok(isNewer(read(again).banned, two.banned));

	const root = join(operator.dir, "keys/root.json");
	await cosignPurges(operator, [], root);
	await operator.keyring.reread();
	t.equal(again.head?.mandate, undefined);
	t.ok(await again.write(content(1, shut)), "the root's word is news");
	t.same(again.head?.mandate, operator.mandate);
	t.notOk(await again.write(content(1, shut)));
	const aware = await HeadWriter.open(operator, silent);
	t.same(aware.bytes, again.bytes);

	for (const lose of [
		() => rm(file),
		() => writeFile(file, "{"),
		() => writeFile(file, (first.bytes ?? Buffer.alloc(0)).subarray(1)),
	]) {
		const last = read(again);
		await lose();
		time.now += 1;
		const lost = await HeadWriter.open(operator, silent);
		t.equal(lost.bytes, undefined);
		await lost.write(content(1));
		t.ok(isNewer(read(lost).banned, last.banned), "newer still");
	}

	const restored = { ...operator, epoch: 2 };
	const next = await HeadWriter.open(restored, silent);
	t.equal(next.bytes, undefined, "nothing of an earlier epoch");
	await next.write(content(0));
	t.equal(read(next).told.epoch, 2);
	t.ok(isNewer(read(next).told, two.told));
});
