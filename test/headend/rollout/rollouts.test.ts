import { EventEmitter, once } from "node:events";
import t, { type Test } from "tap";
import { LarderError } from "../../../src/base/errors.ts";
import { silent } from "../../../src/base/log.ts";
import { Audit } from "../../../src/headend/audit.ts";
import type { TitleRecord } from "../../../src/headend/publish/titles.ts";
import { Rollouts } from "../../../src/headend/rollout/rollouts.ts";
import type { CommandBody } from "../../../src/wire/command.ts";
import { parseEnvelope, seal } from "../../../src/wire/envelope.ts";
import type { BoxId } from "../../../src/wire/ids.ts";
import type { Release } from "../../../src/wire/release.ts";
import type { State, Update } from "../../../src/wire/reports.ts";
import { newTitle, Operator } from "../../control/operator.ts";
import { bench, recordOf, region } from "../fixture.ts";

const operator = new Operator();
const said: Release = {
	network: operator.trust.network,
	version: "0.2.0",
	target: "linux-x64",
	minimum: "0.0.0",
	size: 1,
	sha256: "0".repeat(64),
};

function titleOf(version: string): TitleRecord {
	const is = { ...said, version };
	const read = parseEnvelope(
		JSON.parse(`${seal(operator.signer("release"), is)}`),
	);
	if (!read.ok) throw new Error(read.detail);
	return {
		...recordOf(newTitle()),
		kind: "release" as const,
		release: { statement: read.value, said: is },
	};
}

/** A headend with boxes that say what the test has them say. */
async function open(t: Test, boxes: number) {
	const it = await bench(t);
	const audit = await Audit.open(it.database, silent);
	t.teardown(async () => audit.close());
	const news = new EventEmitter();
	const orders: [BoxId, CommandBody][] = [];
	let answer: () => { ok: boolean; code?: string } = () => ({ ok: true });
	const titles = [titleOf("0.2.0"), titleOf("0.3.0")];
	const make = () => {
		const rollouts = new Rollouts({
			...{ database: it.database, audit, titles: () => titles, log: silent },
			commands: {
				ask: async (box, body) => {
					orders.push([box, body]);
					news.emit("order");
					return { id: "1", session: "2", ...answer() };
				},
			},
		});
		rollouts.onChange(() => news.emit("change"));
		t.teardown(() => rollouts.close());
		return rollouts;
	};
	const say = async (
		box: BoxId,
		version: string,
		update?: Update,
		online = true,
	) => {
		const state: State = {
			...{ session: "0".repeat(16), online, since: Date.now(), box, region },
			...{ version, power: "active", reach: "direct", target: "linux-x64" },
			...(update && { update }),
		};
		it.fleet.recordState(box, state);
		await it.fleet.flush();
	};
	const ids: BoxId[] = [];
	for (let n = 0; n < boxes; n++) {
		const id = await it.box();
		await say(id, "0.1.0");
		ids.push(id);
	}
	const rollouts = make();
	/** Waits until the newest is as it should be. */
	const until = async (
		fits: (view: Awaited<ReturnType<Rollouts["views"]>>[number]) => boolean,
		of = rollouts,
	) => {
		const alive = setInterval(() => news.emit("change"), 100);
		try {
			for (;;) {
				const [view] = await of.views();
				if (view !== undefined && fits(view)) return view;
				await once(news, "change");
			}
		} finally {
			clearInterval(alive);
		}
	};
	const answers = (give: typeof answer) => {
		answer = give;
	};
	return {
		...{ ...it, audit, rollouts, make, orders, ids, say, until, answers },
		titles,
	};
}

const all = { version: "0.2.0", waves: [1], abortAt: 0.3, soak: 0 };

t.test("every box is told once, and done when all have it", async (t) => {
	const { rollouts, orders, ids, say, until } = await open(t, 3);
	await rollouts.start(all);
	await until(() => orders.length === 3);
	t.same(new Set(orders.map(([box]) => box)), new Set(ids));
	t.match(orders[0]?.[1], { kind: "update" });
	for (const id of ids)
		await say(id, "0.2.0", { version: "0.2.0", phase: "trial" });
	t.match(await until(({ trial }) => trial === 3), { state: "running" });
	for (const id of ids) await say(id, "0.2.0");
	t.match(await until(({ state }) => state === "done"), {
		done: 3,
		members: 3,
	});
	t.equal(orders.length, 3);
});

t.test("too many failures pause it, on record; it can go on", async (t) => {
	const { rollouts, orders, ids, say, until, audit } = await open(t, 2);
	const [first, second] = ids as [BoxId, BoxId];
	await rollouts.start(all);
	await until(() => orders.length === 2);
	await say(first, "0.1.0", {
		...{ version: "0.2.0", phase: "failed", code: "rolled-back" },
	});
	const paused = await until(({ state }) => state === "paused");
	t.match(paused, { why: "1 of 1 that answered failed", failed: 1 });
	t.match(paused.failures, [{ code: "rolled-back", boxes: 1 }]);
	t.match(await audit.entries(9), [
		{ action: "rollout-pause", who: "headend", subject: "0.2.0" },
	]);
	await t.rejects(rollouts.start({ ...all, version: "0.3.0" }), {
		code: "REQUEST_INVALID",
	});
	await rollouts.resume();
	await say(second, "0.2.0");
	t.match(await until(({ state }) => state === "done"), { done: 1, failed: 1 });
	t.equal(orders.length, 2, "the one that went back is not told again");
});

t.test(
	"a box that refuses has failed; one that is silent has not",
	async (t) => {
		const { rollouts, orders, until, answers } = await open(t, 1);
		answers(() => {
			throw new LarderError("BOX_SILENT", "it does not answer");
		});
		await rollouts.start(all);
		await until(() => orders.length === 1);
		t.match(await until(() => true), { state: "running", failed: 0 });
		await rollouts.abort("another try");
		const detail = "it is for another machine";
		answers(() => ({ ok: false, code: "UPDATE_REFUSED", detail }));
		await rollouts.start(all);
		t.match(await until(({ state }) => state === "paused"), {
			failures: [{ code: "UPDATE_REFUSED", detail, boxes: 1 }],
		});
		answers(() => ({ ok: true }));
		await rollouts.resume();
		await until(() => orders.length === 3);
		t.pass("and is told again when it goes on");
	},
);

t.test("a release that is taken back is brought to nobody", async (t) => {
	const { rollouts, orders, until, titles } = await open(t, 2);
	await rollouts.start({ ...all, waves: [0.000001, 1], soak: 60_000 });
	await until(({ wave }) => wave === 1);
	await until(() => orders.length === 2);
	titles.splice(0);
	t.match(await until(({ state }) => state === "paused"), {
		why: "the release was taken back",
	});
});

t.test("another headend on the same database goes on", async (t) => {
	const { rollouts, make, orders, ids, say, until } = await open(t, 2);
	await rollouts.start({ ...all, soak: 1 });
	await until(() => orders.length === 2);
	await rollouts.close();
	const next = make();
	next.begin();
	for (const id of ids) await say(id, "0.2.0");
	await until(({ state }) => state === "done", next);
	t.equal(orders.length, 2);
	await rollouts.close();
});

t.test(
	"waves are told one after the other, and nobody when it is paused",
	async (t) => {
		const { rollouts, orders, ids, say, until } = await open(t, 8);
		await rollouts.start({ ...all, waves: [0.4, 1] });
		const { members } = await until((view) => view.members === orders.length);
		t.ok(members < 8);
		await rollouts.pause("calls come in");
		t.match(await until(() => true), { state: "paused", why: "calls come in" });
		for (const [box] of [...orders]) await say(box, "0.2.0");
		await rollouts.resume();
		await until(() => orders.length === 8);
		t.equal(new Set(orders.map(([box]) => box)).size, 8);
		for (const id of ids) await say(id, "0.2.0");
		await until(({ state }) => state === "done");
		await t.rejects(rollouts.resume(), { code: "REQUEST_INVALID" });
		await t.rejects(rollouts.start({ ...all, version: "0.9.0" }), {
			message: /no release 0\.9\.0/,
		});
		await rollouts.start({ ...all, version: "0.3.0" });
		await until(({ version }) => version === "0.3.0");
		await until(() => orders.length === 16);
	},
);
