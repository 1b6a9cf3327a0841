// What a viewer waits for does not come in time: whether who was asked is silent, or has much to do.
import { mock } from "node:test";
import t, { type Test } from "tap";
import { SECOND } from "../../src/base/time.ts";
import { KiB } from "../../src/base/units.ts";
import { Download } from "../../src/swarm/download.ts";
import type { TitleId } from "../../src/wire/ids.ts";

const BLOCK = 64 * KiB;
const title = "a".repeat(64) as TitleId;

function scene(t: Test) {
	mock.timers.enable({ apis: ["setTimeout"] });
	t.teardown(() => mock.timers.reset());
	const sent: { id: number }[] = [];
	const cancelled: number[] = [];
	const download = new Download(
		{ send: (request) => sent.push(request) > 0 },
		{ send: (id) => cancelled.push(id) > 0 },
		{ onReceived: () => undefined, onOffence: (slug) => t.fail(slug) },
	);
	const { signal } = new AbortController();
	const ask = (first: number) => {
		const place = { wanted: "blocks", title, shard: 0, first } as const;
		const request = { ...place, count: 1, urgent: true };
		const sizes = { exact: BLOCK, limit: BLOCK };
		return download.ask(
			{ request, ...sizes, onBytes: () => undefined },
			signal,
		);
	};
	const bytes = Buffer.alloc(BLOCK);
	const give = (id: number) =>
		download.onChunk({ id, offset: 0, total: BLOCK, bytes });
	return { download, sent, cancelled, ask, give };
}

t.test("who gave others meanwhile was not silent", async (t) => {
	const { download, sent, cancelled, ask, give } = scene(t);
	const late = ask(0);
	const other = ask(1);
	mock.timers.tick(SECOND);
	give(sent[1]?.id ?? 0);
	await other;
	mock.timers.tick(3 * SECOND);
	await t.rejects(late, { message: "the neighbour failed: timeout" });
	t.same(cancelled, [sent[0]?.id]);
	t.notOk(download.isResting);
	t.ok(download.window > 0, "it is asked for more");
});

t.test("who gave nothing was", async (t) => {
	const { download, ask } = scene(t);
	const late = ask(0);
	mock.timers.tick(4 * SECOND);
	await t.rejects(late, { message: "the neighbour failed: timeout" });
	t.equal(download.resting, "timeout");
	t.equal(download.window, 0);
});
