import { existsSync } from "node:fs";
import { readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { Neighbourhood } from "../../../src/desk/neighbourhood.ts";
import { initOperator } from "../../../src/headend/operator/operator.ts";
import { signRelease } from "../../../src/headend/release/sign.ts";
import { filled, openDesk, publishFilm } from "../desk.ts";
import {
	addUnit,
	bundle,
	keepPlaying,
	Line,
	orderOf,
	release,
	settled,
	type UnitBox,
} from "./network.ts";
import type { Happening } from "./unit.ts";

t.setTimeout(400_000);

/** One box of the package's agent that holds a film, and a line to it. */
async function open(t: Test) {
	const desk = await openDesk(t, { copies: 1 });
	const film = await publishFilm(desk, 1024 * 1024);
	const box = await addUnit(t, desk, "one");
	const line = await Line.open(t, desk, box.id);
	await filled(desk, film.shards);
	const build = (version: string) => bundle(join(desk.dir, version), version);
	return { desk, film, box, line, build };
}

t.test("a release over the swarm, while a film plays", async (t) => {
	const { desk, film, box, line, build } = await open(t);
	const { id, dir, unit } = box;
	const next = await release(desk, await build("0.2.0"));

	const done = unit.happenings.until(isEnd).then(() => settled(line, "0.2.0"));
	const playing = keepPlaying(box, film, done);
	t.match(await line.ask(id, next.order), { ok: true });
	await line.states.until(({ update }) => update?.phase === "fetching");
	await line.states.until(
		({ version, update }) => version === "0.2.0" && update?.phase === "trial",
	);
	await done;
	const { longest, mismatches } = await playing;
	t.equal(mismatches, 0);
	t.comment(`the player waited ${longest} ms at most`);
	t.match(
		unit.happenings.all.filter(({ what }) => what === "ended"),
		[{ how: 75 }],
	);
	const releases = join(dir, "state/releases");
	t.equal(await readlink(join(releases, "current")), "0.2.0");
	t.notOk(existsSync(join(releases, "trial")));
	t.same((await readdir(releases)).toSorted(), ["0.2.0", "current"]);
	t.match(await line.ask(id, next.order), {
		ok: false,
		code: "UPDATE_REFUSED",
		detail: /not newer/,
	});
	const listed = await fetch(`${unit.gateway}/readyz`);
	t.ok(listed.ok);
});

function isEnd({ what }: Happening): boolean {
	return what === "ended";
}

const BAD = {
	crash: "it ends before it is ready",
	hang: "it is never ready",
	sick: "it is ready, and serves nothing",
};

/** Has the box become this, and waits until it is back at what it was. */
async function tryBad(
	t: Test,
	desk: Neighbourhood,
	{ id, unit }: UnitBox,
	line: Line,
	folder: string,
	runs: string,
): Promise<void> {
	const bad = await release(desk, folder);
	const from = line.states.all.length;
	const begun = unit.happenings.all.length;
	t.match(await line.ask(id, bad.order), { ok: true });
	const left = await unit.happenings.until(isEnd, begun);
	t.match(left, { how: 75 });
	if (folder.includes("hang")) {
		await unit.happenings.until(({ what }) => what === "hangs", begun);
		unit.timeOut();
	}
	const state = await line.states.until(
		({ online, update }) =>
			online && update?.version === bad.version && update.phase === "failed",
		from,
	);
	t.match(state, { version: runs, update: { code: "rolled-back" } });
	await unit.happenings.until(({ what }) => what === "ready");
	t.match(await line.ask(id, bad.order), {
		ok: false,
		code: "UPDATE_REFUSED",
		detail: /did not hold/,
	});
}

t.test("bad releases go back by themselves, for good", async (t) => {
	const { desk, film, box, line, build } = await open(t);
	let minor = 2;
	const next = () => `0.${minor++}.0`;
	const bad = async (kind: string, runs: string) => {
		const program = join(import.meta.dirname, `bad/${kind}.ts`);
		box.unit.proof = kind === "sick" ? "2 s" : "60 s";
		const out = join(desk.dir, kind, runs);
		const folder = await bundle(out, next(), program);
		await tryBad(t, desk, box, line, folder, runs);
		box.unit.proof = "60 s";
	};
	await t.test("to the package's agent", () => bad("crash", "0.1.0"));
	const good = next();
	const sent = await release(desk, await build(good));
	t.match(await line.ask(box.id, sent.order), { ok: true });
	await settled(line, good);
	for (const [kind, what] of Object.entries(BAD))
		await t.test(`to the release before: ${what}`, () => bad(kind, good));
	const last = next();
	const better = await release(desk, await build(last));
	t.match(await line.ask(box.id, better.order), { ok: true });
	await settled(line, last);
	const { mismatches } = await keepPlaying(box, film, Promise.resolve());
	t.equal(mismatches, 0);
});

t.test("one that another operator signed is refused", async (t) => {
	const { desk, box, line, build } = await open(t);
	const folder = await build("0.2.0");
	const dir = join(desk.dir, "stranger");
	const stranger = await initOperator(dir, { region: desk.operator.region });
	const key = join(dir, "keys/release.json");
	const { path } = await signRelease(stranger, {
		...{ bundle: folder, key, out: dir },
	});
	const { id } = await release(desk, folder);
	const order = await orderOf(stranger, path, id);
	t.match(await line.ask(box.id, order), {
		ok: false,
		code: "RELEASE_INVALID",
	});
	t.notOk(line.states.all.some(({ update }) => update !== undefined));
});
