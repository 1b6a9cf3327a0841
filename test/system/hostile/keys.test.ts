import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { Bytes } from "../../../src/base/units.ts";
import type {
	DeskBox,
	Neighbourhood,
} from "../../../src/desk/neighbourhood.ts";
import { readTitle } from "../../../src/headend/publish/titles.ts";
import { seeded } from "../../fixture.ts";
import {
	addBoxes,
	addViewer,
	BLOCK,
	type Film,
	filled,
	heldOf,
	larder,
	openDesk,
	play,
	poll,
	publishFilm,
	publishSource,
	writeMovie,
} from "../desk.ts";
import { searchFolder, searchMemory } from "./search.ts";

const SIZE = 2 * 1024 * 1024;

t.setTimeout(600_000);

/** A desk whose headend was started with one key of operator.toml set otherwise. */
async function openWith(t: Test, copies: number, key: string, value: string) {
	const desk = await openDesk(t, { copies });
	const path = join(desk.operator.dir, "operator.toml");
	const toml = await readFile(path, "utf8");
	const line = new RegExp(`^${key} = .*$`, "m");
	await writeFile(path, toml.replace(line, `${key} = "${value}"`));
	await desk.headend?.stop();
	await desk.startHeadend();
	return desk;
}

/** Asks for a few bytes of a film; the status, and the code of what went wrong. */
async function ask(desk: Neighbourhood, box: DeskBox, film: Film) {
	const path = film.manifest.files[0]?.path;
	const url = `${desk.gatewayOf(box)}/titles/${film.id}/${path}`;
	const answer = await fetch(url, { headers: { range: "bytes=0-99" } });
	const body = await answer.text();
	return answer.ok
		? { status: answer.status }
		: { status: answer.status, code: JSON.parse(body).code as string };
}

/** A player in the middle of a film that takes nothing more until it is asked to. */
async function begin(desk: Neighbourhood, box: DeskBox, film: Film) {
	const path = film.manifest.files[0]?.path;
	const url = `${desk.gatewayOf(box)}/titles/${film.id}/${path}`;
	const { body } = await fetch(url);
	const reader = body?.getReader();
	if (reader === undefined) throw new Error("no film plays");
	await reader.read();
	return {
		/** How many bytes come until the film is cut off; undefined when it is whole. */
		async cut(): Promise<number | undefined> {
			let bytes = 0;
			try {
				for (;;) {
					const { done, value } = await reader.read();
					if (done) return undefined;
					bytes += value.length;
				}
			} catch {
				return bytes;
			}
		},
		leave: () => reader.cancel(),
	};
}

/** Publishes a film that shows the same in every block, from a folder of its own: wherever a block lies in the clear, that does. */
async function publishMarked(desk: Neighbourhood, size: Bytes) {
	const shown = seeded("what it shows", 64);
	const media = seeded("the rest of it", size);
	for (let at = 0; at + shown.length <= size; at += BLOCK / 2)
		shown.copy(media, at);
	const folder = join(desk.dir, "films");
	await mkdir(folder);
	const source = join(folder, "film.mp4");
	await writeMovie(source, media);
	return { film: await publishSource(desk, source), folder, shown };
}

/** What must not be found where nobody may play the film: its key, and what it shows. */
async function secretsOf(desk: Neighbourhood, film: Film, shown: Buffer) {
	const { key } = await readTitle(desk.operator.dir, film.id);
	return {
		key: Buffer.from(key, "hex"),
		"key in hex": Buffer.from(key),
		plaintext: shown,
	};
}

async function entitle(
	t: Test,
	desk: Neighbourhood,
	rule: "allow" | "deny",
	film: Film,
	...more: string[]
) {
	const at = ["-d", desk.operator.dir];
	const done = await larder("entitle", rule, film.id, ...more, ...at);
	t.equal(done.code, 0, done.said);
	return done.said;
}

t.test(
	"a box that was never entitled yields neither key nor plaintext",
	async (t) => {
		const desk = await openWith(t, 2, "mode", "list");
		// More than goes into a socket whose player takes nothing.
		const marked = await publishMarked(desk, 8 * SIZE);
		const { film, folder, shown } = marked;
		const [holder] = await addBoxes(desk, 2);
		const viewer = await addViewer(desk, film);
		await filled(desk, 2 * film.shards);
		if (holder === undefined) throw new Error("no box");
		t.equal((await heldOf(holder, film)).size, film.shards);
		await desk.listed(holder, film.id, AbortSignal.timeout(60_000));
		t.same(await ask(desk, holder, film), {
			status: 403,
			code: "TITLE_KEY_DENIED",
		});
		await entitle(t, desk, "allow", film, "--box", viewer.name);
		t.match(await play(desk, viewer, film), { mismatches: 0 });

		const secrets = await secretsOf(desk, film, shown);
		t.same(await searchFolder(holder.dir, secrets), []);
		t.same(await searchMemory(holder.process, secrets), []);
		t.same(await searchFolder(viewer.dir, secrets), [], "at rest it is sealed");
		// The same searches find it where it is.
		const plain = await searchFolder(folder, secrets);
		t.same(plain, [`${film.source}: plaintext`], "the film before it came in");
		const records = join(desk.operator.dir, "titles");
		const kept = await searchFolder(records, secrets);
		t.match(kept, [/: key in hex$/], "its key at the headend");
		const begun = await begin(desk, viewer, film);
		const seen = await searchMemory(viewer.process, secrets);
		for (const secret of ["key", "plaintext"])
			t.ok(seen.includes(secret), `who plays it has its ${secret}: ${seen}`);
		await begun.leave();

		const { said } = await larder(
			...["entitle", "list", "--json", "-d", desk.operator.dir],
		);
		t.match(JSON.parse(said), [
			{ title: film.id, box: viewer.id, rule: "allow" },
		]);
		const at = ["-d", desk.operator.dir];
		t.match((await larder("forget", viewer.name, ...at)).said, /1 erased/);
		t.match((await larder("forget", viewer.name, ...at)).said, /0 erased/);
		const audit = await larder("audit", "--json", ...at);
		const entries: { action: string }[] = JSON.parse(audit.said);
		const forgets = entries.filter(({ action }) => action === "forget");
		t.equal(forgets.length, 2);
		t.notMatch(JSON.stringify(forgets), film.id);

		const name = { title: Buffer.from(film.id.slice(0, 8)) };
		const start = Buffer.from('"ready"');
		const logs = join(desk.dir, "logs");
		const told = await searchFolder(logs, { ...name, start });
		t.same(
			told.filter((found) => found.endsWith(": title")),
			[],
			"no log tells what was watched",
		);
		for (const { process } of [viewer, holder])
			t.ok(
				told.includes(`${process?.logFile}: start`),
				"and each was searched",
			);
		t.match(await searchFolder(records, name), [/: title$/], "as was this");
	},
);

t.test("a box that is cut off plays until its lease ends", async (t) => {
	const desk = await openWith(t, 1, "lease", "30 s");
	const film = await publishFilm(desk, 8 * SIZE);
	const box = await desk.addBox();
	await filled(desk, film.shards);
	await desk.listed(box, film.id, AbortSignal.timeout(60_000));
	t.match(await ask(desk, box, film), { status: 206 });
	const begun = await begin(desk, box, film);
	// Everything that it could ask is gone; all that it needs lies on its disk.
	const { headend, broker, origin } = desk;
	await Promise.all([headend?.stop(), broker?.stop(), origin?.stop()]);
	t.match(await ask(desk, box, film), { status: 206 }, "it plays on");
	const over = await poll("the lease ends", async () => {
		const said = await ask(desk, box, film);
		return said.status === 206 ? undefined : said;
	});
	t.match(over, { status: 503, code: /^TITLE_KEY_(EXPIRED|UNAVAILABLE)$/ });
	const cut = await begun.cut();
	t.type(cut, "number", "the film in progress was cut off");
	t.same(await ask(desk, box, film), {
		status: 503,
		code: "TITLE_KEY_EXPIRED",
	});
	await box.process?.stop();
	await desk.startBox(box);
	t.match(await ask(desk, box, film), { status: 503 }, "a restart is no way");
});

t.test(
	"a key is taken back from a box that plays, and stays away",
	async (t) => {
		const desk = await openDesk(t, { copies: 1 });
		const film = await publishFilm(desk, 8 * SIZE);
		const box = await desk.addBox();
		await filled(desk, film.shards);
		await desk.listed(box, film.id, AbortSignal.timeout(60_000));
		const begun = await begin(desk, box, film);
		const folder = join(box.dir, "data", "keys");
		await poll("the key is kept", async () =>
			(await readdir(folder)).includes(film.id),
		);
		t.match(await entitle(t, desk, "deny", film), /1 to forget the key now/);
		t.type(await begun.cut(), "number", "the film in progress was cut off");
		t.same(await readdir(folder), []);
		t.same(await ask(desk, box, film), {
			status: 403,
			code: "TITLE_KEY_DENIED",
		});
		await entitle(t, desk, "allow", film, "--box", box.name);
		t.match(await ask(desk, box, film), { status: 206 });

		await t.test(
			"a box that was away hears of it when it is back",
			async (t) => {
				await box.process?.stop();
				await entitle(t, desk, "deny", film, "--box", box.name);
				await desk.startBox(box);
				await poll("it has forgotten the key", async () => {
					const { length } = await readdir(folder);
					return length === 0;
				});
				t.match(await ask(desk, box, film), { code: "TITLE_KEY_DENIED" });
			},
		);
	},
);
