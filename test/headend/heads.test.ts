import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { silent } from "../../src/base/log.ts";
import { DAY, HOUR } from "../../src/base/time.ts";
import { Heads } from "../../src/control/heads.ts";
import { HeadWriter } from "../../src/headend/control/heads.ts";
import {
	initOperator,
	type Operator,
} from "../../src/headend/operator/operator.ts";
import { cosignPurges } from "../../src/headend/operator/rotate.ts";
import {
	type Envelope,
	seal,
	trustIn,
	unsealParsed,
} from "../../src/wire/envelope.ts";
import { announcement, bans, isNewer } from "../../src/wire/head.ts";
import type { BoxId } from "../../src/wire/ids.ts";
import { Happenings, heard, newBox } from "../control/operator.ts";
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

t.test("a headend is heard again though its clock is behind", async (t) => {
	const time = { now: Date.now() };
	const dir = t.testdir({ restored: {} });
	const clock = () => time.now;
	const operator = await initOperator(join(dir, "operator"), { region }, clock);
	const content = {
		announcement: {
			catalog: { key: "a".repeat(64), length: 1 },
			policy: { shareTransient: "now" as const },
		},
		bans: { revoked: [], purged: [] },
	};
	const lost = await HeadWriter.open(operator, silent);
	await lost.write(content);
	const trust = trustIn(operator.rootKey, clock);
	const identity = { box: newBox(), region, trust };
	const box = new Heads(join(dir, "box.json"), identity, clock, silent);
	const refused = ({ head }: HeadWriter) =>
		box.take(head ?? {}).refused.map(({ slug }) => slug);
	t.same(refused(lost), []);

	time.now -= HOUR;
	const lines = new Happenings<string>();
	const restored = { ...operator, dir: join(dir, "restored"), epoch: 2 };
	const next = await HeadWriter.open(restored, heard(lines));
	await next.write(content);
	t.same(refused(next), ["rollback", "rollback"]);
	next.heed(lost.head ?? {});
	t.ok(await next.write(content), "signed anew above what the region has");
	t.same(refused(next), []);
	t.equal(box.standing.announcement?.epoch, 2);
	next.heed(next.head ?? {});
	t.notOk(await next.write(content), "its own says nothing new");

	await t.test("what one key signed moves no other's", async (t) => {
		const before = next.banned?.version;
		const ahead = { ...content.announcement, version: time.now + 5 * HOUR };
		next.heed({ announcement: forged(restored, "catalog", ahead) });
		await next.write(content);
		t.same(refused(next), []);
		t.equal(box.standing.announcement?.version, ahead.version + 1);
		t.equal(next.banned?.version, before);
		next.heed({ bans: forged(restored, "catalog", ahead) });
		t.notOk(await next.write(content));
	});

	await t.test("what no box would take is not passed, but told", async (t) => {
		const far = { ...content.bans, version: time.now + DAY + 1 };
		next.heed({ bans: forged(restored, "revoke", far) });
		t.notOk(await next.write(content));
		t.match(lines.all, [/ahead of this machine/]);
	});
	await box.close();
});

/** Said by who has one of the operator's keys. */
function forged(
	{ network, signers }: Pick<Operator, "network" | "signers">,
	purpose: "catalog" | "revoke",
	said: object,
): Envelope {
	const dated = { network, region, epoch: 9, issuedAt: 0, ...said };
	return JSON.parse(seal(signers[purpose], dated).toString());
}
