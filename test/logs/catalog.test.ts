import { existsSync } from "node:fs";
import { cp, readdir } from "node:fs/promises";
import { join } from "node:path";
import { buffer } from "compact-encoding";
import Protomux from "protomux";
import t, { type Test } from "tap";
import { silent } from "../../src/base/log.ts";
import { type CatalogFault, openCatalogReader } from "../../src/logs/reader.ts";
import {
	type CatalogWriter,
	openCatalogWriter,
} from "../../src/logs/writer.ts";
import { connection, entry, until, wire } from "./wires.ts";

async function writerIn(t: Test, dir: string, epoch = 1) {
	const writer = await openCatalogWriter(dir, { epoch });
	t.teardown(() => writer.close());
	return writer;
}

async function readerIn(t: Test, dir: string) {
	const faults: CatalogFault[] = [];
	const reader = await openCatalogReader(dir, silent, (f) => faults.push(f));
	t.teardown(() => reader.close());
	return { reader, faults };
}

function ids(entries: readonly { id: string }[]): string[] {
	return entries.map(({ id }) => id).sort();
}

async function fill(writer: CatalogWriter, count: number) {
	for (let n = 0; n < count; n++) await writer.put(entry(n));
}

t.test("two readers follow what the writer does", async (t) => {
	const writer = await writerIn(t, join(t.testdir(), "writer"));
	await fill(writer, 3);
	const first = await readerIn(t, join(t.testdirName, "first"));
	const second = await readerIn(t, join(t.testdirName, "second"));
	t.same(await first.reader.list(), [], "nothing before the first head");
	await wire(t, writer, first.reader);
	await wire(t, first.reader, second.reader);
	await first.reader.follow(writer.key, writer.length);
	await second.reader.follow(writer.key, writer.length);
	const want = [entry(0), entry(1), entry(2)];
	t.same(
		ids(await until(second.reader, (all) => all.length === 3)),
		ids(want),
		"a neighbour passes the log on",
	);
	t.same(await second.reader.get(entry(1).id), entry(1));

	await writer.put(entry(7));
	await writer.put(entry(0, { name: "Renamed" }));
	await writer.remove(entry(1).id);
	for (const { reader } of [first, second])
		await until(
			reader,
			(all) =>
				ids(all).join() === ids([entry(0), entry(2), entry(7)]).join() &&
				all.some(({ name }) => name === "Renamed"),
		);
	t.same(ids(await writer.list()), ids([entry(0), entry(2), entry(7)]));
	t.same(second.reader.progress.have, writer.length);
	t.same([...first.faults, ...second.faults], []);
});

t.test(
	"the log shares its connection, and starts when both let it",
	async (t) => {
		const dir = t.testdir();
		const writer = await writerIn(t, join(dir, "writer"));
		await fill(writer, 3);
		const { reader } = await readerIn(t, join(dir, "reader"));
		await reader.follow(writer.key, writer.length);
		const { streams } = await connection(t);
		const heard = streams.map(() => Promise.withResolvers<Uint8Array>());
		const messages = streams.map((stream, n) => {
			const channel = Protomux.from(stream).createChannel({
				protocol: "other",
			});
			const message = channel?.addMessage({
				encoding: buffer,
				onmessage: (bytes: Uint8Array) => heard[n]?.resolve(bytes),
			});
			channel?.open();
			return message;
		});
		// The writer is done with admission first; its channel finds nobody yet.
		writer.replicate(streams[0]);
		messages[0]?.send(Buffer.from("admitted"));
		await heard[1]?.promise;
		t.same(await reader.list(), []);
		reader.replicate(streams[1]);
		reader.replicate(streams[1]);
		await until(reader, (all) => all.length === 3);
		messages[1]?.send(Buffer.from("still here"));
		t.same(await heard[0]?.promise, Buffer.from("still here"));
	},
);

t.test("what is there already adds nothing to the log", async (t) => {
	const writer = await writerIn(t, t.testdir());
	await writer.put(entry(1));
	const { length } = writer;
	await writer.put(entry(1));
	await writer.remove(entry(2).id);
	t.equal(writer.length, length);
	await writer.put(entry(1, { version: 2 }));
	t.equal(writer.length, length + 1);
});

t.test("a writer goes on with its log after a restart", async (t) => {
	const dir = t.testdir();
	const before = await openCatalogWriter(join(dir, "writer"), { epoch: 1 });
	await fill(before, 5);
	const { key, length } = before;
	await before.close();
	const after = await writerIn(t, join(dir, "writer"));
	t.equal(after.key, key);
	t.equal(after.length, length);
	await after.put(entry(5));
	const { reader } = await readerIn(t, join(dir, "reader"));
	await wire(t, after, reader);
	await reader.follow(key, after.length);
	await until(reader, (all) => all.length === 6);
});

t.test("a copied writer refuses to open: it would fork its log", async (t) => {
	const dir = t.testdir();
	const writer = await openCatalogWriter(join(dir, "writer"), { epoch: 1 });
	await writer.put(entry(1));
	await writer.close();
	await cp(join(dir, "writer"), join(dir, "copy"), { recursive: true });
	await t.rejects(openCatalogWriter(join(dir, "copy"), { epoch: 1 }), {
		code: "STORE_UNUSABLE",
	});
	const next = await writerIn(t, join(dir, "copy"), 2);
	t.not(next.key, writer.key, "a new epoch opens, with another key");
	t.same(await readdir(join(dir, "copy")), ["2"], "the old log is gone");
	await t.rejects(openCatalogWriter(join(dir, "copy"), { epoch: 1 }), {
		code: "STORE_UNUSABLE",
		message: /epoch 2/,
	});
});

t.test("a reader opens without any network, also as a copy", async (t) => {
	const dir = t.testdir();
	const writer = await writerIn(t, join(dir, "writer"));
	await fill(writer, 20);
	const online = await openCatalogReader(join(dir, "reader"), silent);
	const cut = await wire(t, writer, online);
	await online.follow(writer.key, writer.length);
	await until(online, (all) => all.length === 20);
	await cut();
	await online.close();
	await cp(join(dir, "reader"), join(dir, "copy"), { recursive: true });
	for (const folder of ["reader", "copy"]) {
		const { reader, faults } = await readerIn(t, join(dir, folder));
		t.equal((await reader.list()).length, 20);
		t.same(await reader.get(entry(3).id), entry(3));
		t.same(faults, []);
	}
});

t.test("a new epoch replaces the old log once it is here", async (t) => {
	const dir = t.testdir();
	const old = await writerIn(t, join(dir, "old"));
	await fill(old, 10);
	const { reader, faults } = await readerIn(t, join(dir, "reader"));
	const far = await readerIn(t, join(dir, "far"));
	await wire(t, reader, far.reader);
	await wire(t, old, reader);
	for (const one of [reader, far.reader]) {
		await one.follow(old.key, old.length);
		await until(one, (all) => all.length === 10);
	}

	const young = await writerIn(t, join(dir, "young"), 2);
	await fill(young, 4);
	await reader.follow(young.key, young.length);
	await far.reader.follow(young.key, young.length);
	t.equal((await reader.list()).length, 10, "the old entries stay meanwhile");
	t.same(reader.progress, { have: 0, expected: young.length });
	await wire(t, young, reader);
	for (const one of [reader, far.reader])
		await until(one, (all) => all.length === 4);
	await reader.follow(young.key, young.length);
	t.notOk(existsSync(join(dir, "reader", old.key)), "the room is given back");
	await young.put(entry(9));
	await until(far.reader, (all) => all.length === 5);
	t.same([...faults, ...far.faults], []);

	await reader.close();
	const again = await readerIn(t, join(dir, "reader"));
	t.equal((await again.reader.list()).length, 5);
});

t.test("a restart in the middle of a change shows the old log", async (t) => {
	const dir = t.testdir();
	const old = await writerIn(t, join(dir, "old"));
	await fill(old, 3);
	const before = await openCatalogReader(join(dir, "reader"), silent);
	await wire(t, old, before);
	await before.follow(old.key, old.length);
	await until(before, (all) => all.length === 3);
	await before.follow("ab".repeat(32), 10);
	await before.close();
	const { reader } = await readerIn(t, join(dir, "reader"));
	t.equal((await reader.list()).length, 3);
	t.same(
		(await readdir(join(dir, "reader"))).sort((a, b) => a.localeCompare(b)),
		[old.key, "current"].sort((a, b) => a.localeCompare(b)),
	);
});

t.test("a head that names a shorter log is told, not obeyed", async (t) => {
	const dir = t.testdir();
	const writer = await writerIn(t, join(dir, "writer"));
	await fill(writer, 3);
	const { reader, faults } = await readerIn(t, join(dir, "reader"));
	await wire(t, writer, reader);
	await reader.follow(writer.key, writer.length);
	await until(reader, (all) => all.length === 3);
	await reader.follow(writer.key, 1);
	t.same(faults, ["catalog-shrunk"]);
	t.equal((await reader.list()).length, 3);
});

t.test("5,000 titles in one log", async (t) => {
	const dir = t.testdir();
	const writer = await writerIn(t, join(dir, "writer"));
	await fill(writer, 5000);
	const { reader, faults } = await readerIn(t, join(dir, "reader"));
	let changes = 0;
	reader.onChange(() => changes++);
	await wire(t, writer, reader);
	await reader.follow(writer.key, writer.length);
	await until(reader, (all) => all.length === 5000);
	t.ok(changes < 500, `told ${changes} times, not once for each block`);
	t.same(faults, []);
	await reader.close();
	const before = process.memoryUsage().rss;
	const again = await readerIn(t, join(dir, "reader"));
	t.equal((await again.reader.list()).length, 5000);
	const mebibytes = (process.memoryUsage().rss - before) / 2 ** 20;
	t.comment(`opening it again took ${mebibytes.toFixed(1)} MiB more`);
});

t.test("a long log is replayed in order, however it is read", async (t) => {
	const writer = await writerIn(t, join(t.testdir(), "writer"));
	const count = 700;
	await fill(writer, count);
	for (const n of [0, 31, 32, 511, 512, 699])
		await writer.put(entry(n, { name: `Renamed ${n}` }));
	await writer.remove(entry(600).id);
	await writer.put(entry(32, { name: "Renamed again" }));
	const dir = join(t.testdirName, "reader");
	const { reader } = await readerIn(t, dir);
	await wire(t, writer, reader);
	await reader.follow(writer.key, writer.length);
	const isThere = () => reader.progress.have === writer.length;
	await until(reader, isThere);
	await reader.close();
	const again = await readerIn(t, dir);
	t.equal(again.reader.progress.have, writer.length);
	const byId = (one: { id: string }, other: { id: string }) =>
		one.id < other.id ? -1 : 1;
	t.same(
		[...(await again.reader.list())].sort(byId),
		[...(await writer.list())].sort(byId),
	);
	t.equal((await again.reader.get(entry(32).id))?.name, "Renamed again");
	t.equal(await again.reader.get(entry(600).id), undefined);
	t.same(again.faults, []);
});
