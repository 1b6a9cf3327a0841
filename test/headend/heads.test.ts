import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { silent } from "../../src/base/log.ts";
import { HeadWriter } from "../../src/headend/control/heads.ts";
import { initOperator } from "../../src/headend/operator/operator.ts";
import { unseal } from "../../src/wire/envelope.ts";
import { type Head, head, isNewerHead } from "../../src/wire/head.ts";
import type { BoxId } from "../../src/wire/ids.ts";
import { region } from "./fixture.ts";

t.test("the region's head only ever rises", async (t) => {
	const operator = await initOperator(join(t.testdir(), "operator"), {
		region,
	});
	const file = join(operator.dir, "head.json");
	const content = (length: number, revoked: BoxId[] = []) => ({
		catalog: { key: "a".repeat(64), length },
		revoked,
		purged: [],
		policy: { shareTransient: "now" as const },
	});
	const read = (bytes: Buffer | undefined): Head => {
		const head_ = unseal(
			bytes ?? Buffer.alloc(0),
			"catalog",
			head,
			operator.trust,
		);
		if (!head_.ok) throw new Error(head_.detail);
		return head_.value;
	};
	const first = await HeadWriter.open(operator, silent);
	t.equal(first.envelope, undefined);
	const one = read(await first.write(content(1)));
	t.match(one, { network: operator.network, region, epoch: 1 });

	t.equal(await first.write(content(1)), undefined, "the same is not news");
	const two = read(await first.write(content(1, ["b".repeat(64) as BoxId])));
	t.ok(isNewerHead(two, one), "news within the same moment is newer");

	const again = await HeadWriter.open(operator, silent);
	t.same(again.bytes, first.bytes, "a restart goes on");
	t.same(again.envelope, first.envelope);
	t.equal(await again.write(content(1, ["b".repeat(64) as BoxId])), undefined);

	for (const lose of [
		() => rm(file),
		() => writeFile(file, "{"),
		() => writeFile(file, (first.bytes ?? Buffer.alloc(0)).subarray(1)),
	]) {
		const last = read(again.bytes);
		await lose();
		const lost = await HeadWriter.open(operator, silent);
		t.equal(lost.bytes, undefined);
		t.ok(isNewerHead(read(await lost.write(content(1))), last), "newer still");
	}

	const restored = { ...operator, epoch: 2 };
	const next = await HeadWriter.open(restored, silent);
	t.equal(next.bytes, undefined, "nothing of an earlier epoch");
	const three = read(await next.write(content(0)));
	t.equal(three.epoch, 2);
	t.ok(isNewerHead(three, two));
});
