import { once } from "node:events";
import { watch } from "node:fs";
import {
	cp,
	mkdir,
	readdir,
	readFile,
	rename,
	rm,
	writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import t, { type Test } from "tap";
import { silent } from "../../src/base/log.ts";
import {
	Ingest,
	type IngestOptions,
} from "../../src/headend/publish/ingest.ts";
import { listTitles } from "../../src/headend/publish/titles.ts";
import { boxes, HLS } from "./packages.ts";

const clip = join(import.meta.dirname, "../media/clip");

/** What an ingest tells, in order, to be waited for. */
class Events {
	private readonly told: string[] = [];
	private wake: (() => void) | undefined;

	tell(event: string): void {
		this.told.push(event);
		this.wake?.();
	}

	async next(): Promise<string> {
		for (;;) {
			const event = this.told.shift();
			if (event !== undefined) return event;
			await new Promise<void>((resolve) => {
				this.wake = resolve;
			});
		}
	}
}

interface Rig {
	readonly dir: string;
	readonly inbox: string;
	readonly events: Events;
	start(more?: Partial<IngestOptions>): Promise<Ingest>;
}

async function rig(t: Test): Promise<Rig> {
	const dir = t.testdir({ titles: {}, origin: {}, ingest: {}, aside: {} });
	const events = new Events();
	return {
		dir,
		inbox: join(dir, "ingest"),
		events,
		async start(more) {
			const ingest = await Ingest.start({
				operatorDir: dir,
				log: silent,
				quiet: 40,
				onPublished: (entry, { title }) =>
					events.tell(`${entry} published ${title.version}`),
				onFaults: (entry) => events.tell(`${entry} faulty`),
				...more,
			});
			t.teardown(() => ingest.close());
			return ingest;
		},
	};
}

t.test(
	"folders and films are published, once, also after a restart",
	async (t) => {
		const { dir, inbox, events, start } = await rig(t);
		await cp(clip, join(inbox, "clip"), { recursive: true });
		const first = await start();
		t.equal(await events.next(), "clip published 1");
		await writeFile(join(inbox, "notes.txt"), "not a title");
		await writeFile(join(inbox, ".half.mp4"), "x");
		await writeFile(join(dir, "aside/b.mp4"), boxes.movie({ duration: 3 }));
		await rename(join(dir, "aside/b.mp4"), join(inbox, "b.mp4"));
		t.equal(await events.next(), "b.mp4 published 1");
		await first.close();

		const second = await start();
		await writeFile(join(inbox, "c.mp4"), boxes.movie({ duration: 4 }));
		// Had the others been taken again, they would have been told first.
		t.equal(await events.next(), "c.mp4 published 1");
		await second.close();
		const { titles } = await listTitles(dir);
		t.same(
			titles.map(({ assetId }) => assetId),
			["clip", "b", "c"],
		);
		t.same(await readdir(inbox), [
			".half.mp4",
			"b.mp4",
			"c.mp4",
			"clip",
			"notes.txt",
		]);
	},
);

t.test("closed while it looks at an entry it finds no fault", async (t) => {
	const { inbox, start } = await rig(t);
	await cp(clip, join(inbox, "clip"), { recursive: true });
	for (let turns = 0; turns < 30; turns++) {
		const ingest = await start();
		for (let turn = 0; turn < turns; turn++) await setImmediate();
		await ingest.close();
		t.same(await readdir(inbox), ["clip"], `after ${turns} turns`);
	}
});

t.test("faults are written beside the entry until it is mended", async (t) => {
	const { inbox, events, start } = await rig(t);
	await mkdir(join(inbox, "show/v"), { recursive: true });
	await writeFile(join(inbox, "show/i.m3u8"), HLS.media("v/1.ts", "v/2.ts"));
	await start();
	t.equal(await events.next(), "show faulty");
	const report = await readFile(join(inbox, "show.faults.txt"), "utf8");
	t.match(report, /v\/1\.ts: .*\nv\/2\.ts: /);
	t.match(report, /tried again when it changes/);
	// Deep below, where nothing is watched.
	await writeFile(join(inbox, "show/v/1.ts"), "x");
	t.equal(await events.next(), "show faulty");
	t.notMatch(
		await readFile(join(inbox, "show.faults.txt"), "utf8"),
		/v\/1\.ts/,
	);
	await writeFile(join(inbox, "show/v/2.ts"), "x");
	t.equal(await events.next(), "show published 1");
	await writeFile(join(inbox, "show/v/2.ts"), "xx");
	t.equal(await events.next(), "show published 2");
	t.same(await readdir(inbox), ["show"]);
});

t.test("an entry that is taken away takes its report along", async (t) => {
	const { dir, inbox, events, start } = await rig(t);
	await writeFile(join(inbox, "a.mp4"), "no film");
	await start();
	t.equal(await events.next(), "a.mp4 faulty");
	const watcher = watch(inbox);
	t.teardown(() => watcher.close());
	await rm(join(inbox, "a.mp4"));
	while ((await readdir(inbox)).length > 0) await once(watcher, "change");
	t.same((await listTitles(dir)).titles, []);
});

t.test(
	"an entry is taken only after it was still for long enough",
	async (t) => {
		const { inbox, events, start } = await rig(t);
		await mkdir(join(inbox, "clip"));
		const quiet = 150;
		let written = performance.now();
		const still: number[] = [];
		await start({
			quiet,
			onProgress: (_entry, { phase }) => {
				if (phase === "inspecting") still.push(performance.now() - written);
			},
		});
		const names = await readdir(clip, { recursive: true, withFileTypes: true });
		for (const entry of names.filter((name) => name.isFile())) {
			const from = join(entry.parentPath, entry.name);
			written = performance.now();
			await cp(from, join(inbox, "clip", from.slice(clip.length)));
			await setImmediate();
		}
		// A slow disk may make a pause that is long enough, and the clip is not whole then.
		let event = await events.next();
		while (event === "clip faulty") event = await events.next();
		t.equal(event, "clip published 1");
		t.same(
			still.filter((gap) => gap < quiet),
			[],
		);
	},
);

t.test("closed in the middle, it goes on at the next start", async (t) => {
	const { dir, inbox, events, start } = await rig(t);
	await cp(clip, join(inbox, "clip"), { recursive: true });
	const small = { blockSize: 1024, shardBlocks: 64 };
	const ingest = await start({
		...small,
		onProgress: (_entry, { bytesDone, bytesTotal }) => {
			if (bytesDone > bytesTotal / 2) events.tell("half");
		},
	});
	t.equal(await events.next(), "half");
	await ingest.close();
	const [attempt = ""] = await readdir(join(dir, "origin"));
	const done = await readdir(join(dir, "origin", attempt));
	t.match(attempt, /^\.publishing-/);
	t.ok(done.length > 20);
	let resumed = false;
	const fresh = new Events();
	await start({
		...small,
		onPublished: (_entry, published) => {
			resumed = published.resumed;
			fresh.tell("published");
		},
	});
	t.equal(await fresh.next(), "published");
	t.ok(resumed);
});
