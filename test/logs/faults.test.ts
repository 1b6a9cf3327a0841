import { cp, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { NoiseStream } from "@hyperswarm/secret-stream";
import type Corestore from "corestore";
import Hyperbee from "hyperbee";
import t, { type Test } from "tap";
import { silent } from "../../src/base/log.ts";
import { BEE, encodeEntry } from "../../src/logs/entry.ts";
import { type CatalogFault, openCatalogReader } from "../../src/logs/reader.ts";
import { openStorage } from "../../src/logs/storage.ts";
import { openCatalogWriter } from "../../src/logs/writer.ts";
import { entry, until, wire } from "./wires.ts";

/** A writer that may do what ours never does. */
async function wildWriter(t: Test, folder: string) {
	// Opened as a reader, so that a copy of it opens too.
	const store: Corestore = await openStorage(folder, "reader");
	const core = store.get({ name: "catalog" });
	const bee = new Hyperbee(core, BEE);
	await bee.ready();
	t.teardown(() => store.close());
	return {
		store,
		core,
		put: (key: string, value: string) =>
			bee.put(key, value, { cas: () => true }),
		add: (n: number) =>
			bee.put(entry(n).id, encodeEntry(entry(n)), { cas: () => true }),
		get key() {
			return core.key.toString("hex");
		},
		replicate(stream: NoiseStream) {
			store.replicate(stream);
		},
	};
}

async function readerIn(t: Test, dir: string) {
	const faults: CatalogFault[] = [];
	const heard: (() => void)[] = [];
	const reader = await openCatalogReader(dir, silent, (fault) => {
		faults.push(fault);
		for (const tell of heard.splice(0)) tell();
	});
	t.teardown(() => reader.close());
	const fault = async (name: CatalogFault) => {
		while (!faults.includes(name))
			await new Promise<void>((resolve) => heard.push(resolve));
	};
	return { reader, faults, fault };
}

t.test("entries that are none are left out", async (t) => {
	const dir = t.testdir();
	const writer = await wildWriter(t, join(dir, "writer"));
	await writer.add(1);
	await writer.put(entry(2).id, "{");
	await writer.put("no title id", encodeEntry(entry(3)));
	await writer.add(4);
	await writer.put(entry(4).id, "[]");
	await writer.add(5);
	const { reader, faults } = await readerIn(t, join(dir, "reader"));
	await wire(t, writer, reader);
	await reader.follow(writer.key, writer.core.length);
	await until(reader, (all) => all.some(({ id }) => id === entry(5).id));
	t.same(
		(await reader.list()).map(({ id }) => id),
		[entry(1).id, entry(5).id],
	);
	t.same(faults, Array(3).fill("catalog-bad-entry"));
});

t.test("a writer that takes entries back is followed and told", async (t) => {
	const dir = t.testdir();
	const writer = await wildWriter(t, join(dir, "writer"));
	for (let n = 0; n < 40; n++) await writer.add(n);
	const { reader, faults } = await readerIn(t, join(dir, "reader"));
	await wire(t, writer, reader);
	await reader.follow(writer.key, writer.core.length);
	await until(reader, (all) => all.length === 40);
	await writer.core.truncate(11);
	await writer.add(99);
	const left = await until(reader, (all) => all.length === 11);
	t.ok(left.some(({ id }) => id === entry(99).id));
	t.ok(faults.includes("catalog-forked"));
});

t.test("two logs with one key: told, and what was read stays", async (t) => {
	const dir = t.testdir();
	const first = await wildWriter(t, join(dir, "first"));
	await first.add(1);
	await first.store.close();
	await cp(join(dir, "first"), join(dir, "second"), { recursive: true });
	const one = await wildWriter(t, join(dir, "first"));
	const other = await wildWriter(t, join(dir, "second"));
	for (let n = 2; n < 6; n++) await one.add(n);
	for (let n = 20; n < 30; n++) await other.add(n);
	t.equal(one.key, other.key);

	const met = await readerIn(t, join(dir, "reader"));
	await wire(t, one, met.reader);
	await met.reader.follow(one.key, one.core.length);
	const before = await until(met.reader, (all) => all.length === 5);
	await wire(t, other, met.reader);
	await met.fault("catalog-conflict");
	t.same(await met.reader.list(), before);
	await met.reader.close();

	const { reader } = await readerIn(t, join(dir, "reader"));
	await reader.follow(one.key, one.core.length);
	t.same(await reader.list(), before, "also after a restart");

	const writer = await openCatalogWriter(join(dir, "writer"), { epoch: 2 });
	t.teardown(() => writer.close());
	await writer.put(entry(50));
	await wire(t, writer, reader);
	await reader.follow(writer.key, writer.length);
	await until(reader, (all) => all.length === 1);
});

t.test("a log that is damaged on disk is fetched again", async (t) => {
	const dir = t.testdir();
	const writer = await wildWriter(t, join(dir, "writer"));
	for (let n = 0; n < 30; n++) await writer.add(n);
	const before = await openCatalogReader(join(dir, "reader"), silent);
	await wire(t, writer, before);
	await before.follow(writer.key, writer.core.length);
	await until(before, (all) => all.length === 30);
	await before.close();
	const db = join(dir, "reader", writer.key, "db");
	for (const name of await readdir(db))
		await writeFile(join(db, name), "not a database");

	const { reader, faults } = await readerIn(t, join(dir, "reader"));
	t.same(faults, ["catalog-damaged"]);
	t.same(await reader.list(), []);
	await wire(t, writer, reader);
	await reader.follow(writer.key, writer.core.length);
	await until(reader, (all) => all.length === 30);
});

t.test("a folder that another process reads is left alone", async (t) => {
	const dir = t.testdir();
	const writer = await wildWriter(t, join(dir, "writer"));
	await writer.add(1);
	const { reader } = await readerIn(t, join(dir, "reader"));
	await wire(t, writer, reader);
	await reader.follow(writer.key, writer.core.length);
	await until(reader, (all) => all.length === 1);
	await t.rejects(openCatalogReader(join(dir, "reader"), silent), {
		code: "STORE_UNUSABLE",
	});
	await writer.add(2);
	await until(reader, (all) => all.length === 2);
});
