import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import t from "tap";
import * as z from "zod/mini";
import { Bitfield } from "../../src/content/bitfield.ts";
import { applyCipher } from "../../src/content/cipher.ts";
import {
	commitmentOf,
	leafOf,
	shardHashOf,
	titleIdOf,
} from "../../src/content/hash.ts";
import { encodeManifest, readManifest } from "../../src/content/manifest.ts";
import { survey } from "../../src/headend/package/folder.ts";
import { Report } from "../../src/headend/package/report.ts";
import { SpaceReader } from "../../src/headend/publish/attempt/reader.ts";
import { writeShard } from "../../src/headend/publish/attempt/shards.ts";
import {
	type Envelope,
	grantKey,
	type Purpose,
	seal,
	unseal,
} from "../../src/wire/envelope.ts";
import { type NetworkId, networkOf, type TitleId } from "../../src/wire/ids.ts";
import { keyPairFromSeed } from "../../src/wire/keys.ts";
import { decodeRanges, encodeRanges, ranges } from "../../src/wire/ranges.ts";

const signal = new AbortController().signal;
const hex = (text: string) => Buffer.from(text, "hex");

async function vectors<T>(name: string): Promise<T> {
	const path = join(import.meta.dirname, "../vectors", name);
	return JSON.parse(await readFile(path, "utf8"));
}

t.test("hashes", async (t) => {
	const { leaf, shard, title, keyCommitment, network } = await vectors<{
		leaf: { salt: number; length: number; hash: string }[];
		shard: { leaves: string[]; hash: string }[];
		title: { manifest: string; id: string }[];
		keyCommitment: { key: string; hash: string }[];
		network: { rootKey: string; id: string }[];
	}>("hashes.json");
	for (const { salt, length, hash } of leaf) {
		const block = Buffer.alloc(length).map((_, i) => (7 * i + salt) % 251);
		t.equal(leafOf(block).toString("hex"), hash);
	}
	for (const { leaves, hash } of shard)
		t.equal(shardHashOf(Buffer.concat(leaves.map(hex))), hash);
	for (const { manifest, id } of title)
		t.equal(titleIdOf(Buffer.from(manifest)), id);
	for (const { key, hash } of keyCommitment)
		t.equal(commitmentOf(hex(key)), hash);
	for (const { rootKey, id } of network) t.equal(networkOf(hex(rootKey)), id);
});

t.test("cipher", async (t) => {
	const { key, nonce, cases } = await vectors<{
		key: string;
		nonce: string;
		cases: { offset: number; plaintext: string; ciphertext: string }[];
	}>("cipher.json");
	const cipher = { key: hex(key), nonce: hex(nonce) };
	for (const { offset, plaintext, ciphertext } of cases) {
		const sealed = applyCipher(cipher, offset, hex(plaintext));
		t.equal(sealed.toString("hex"), ciphertext, `at ${offset}`);
		const opened = applyCipher(cipher, offset, sealed);
		t.equal(opened.toString("hex"), plaintext);
	}
});

t.test("a whole title", async (t) => {
	const vector = await vectors<{
		key: string;
		nonce: string;
		blockSize: number;
		shardBlocks: number;
		files: { path: string; type: string; content: string }[];
		manifest: string;
		id: string;
		shardFiles: { length: number; sha256: string; shardHash: string }[];
	}>("title.json");
	const { key, nonce, blockSize, shardBlocks, files, shardFiles } = vector;
	const bytes = Buffer.from(vector.manifest);
	const manifest = readManifest(vector.id as TitleId, bytes);
	if (!manifest.ok) return t.fail(manifest.detail);
	t.ok(encodeManifest(manifest.value).equals(bytes));

	const dir = t.testdir({ source: {}, shards: {} });
	for (const { path, content } of files) {
		const full = join(dir, "source", path);
		await mkdir(dirname(full), { recursive: true });
		await writeFile(full, hex(content));
	}
	const found = await survey(join(dir, "source"), new Report(), signal);
	const ordered = files.map(({ path }) => {
		const file = found.files.get(path);
		if (file === undefined) throw new Error(path);
		return file;
	});
	const reader = new SpaceReader(found.root, ordered);
	const geometry = { size: manifest.value.size, blockSize, shardBlocks };
	const cipher = { key: hex(key), nonce: hex(nonce) };
	for (const [shard, expected] of shardFiles.entries()) {
		const hash = await writeShard(
			join(dir, "shards"),
			geometry,
			shard,
			cipher,
			reader,
			() => {},
			signal,
		);
		t.equal(hash, expected.shardHash);
		t.equal(hash, manifest.value.shards[shard]);
		const file = await readFile(join(dir, "shards", `${shard}`));
		t.equal(file.length, expected.length);
		const digest = createHash("sha256").update(file).digest("hex");
		t.equal(digest, expected.sha256);
	}
	await reader.finish();
	t.equal((await readdir(join(dir, "shards"))).length, shardFiles.length);
});

t.test("envelopes", async (t) => {
	const vector = await vectors<{
		seeds: { root: string; catalog: string };
		rootKey: string;
		network: string;
		sealed: {
			grant: {
				purpose: Purpose;
				key: string;
				serial: number;
				notBefore: number;
				notAfter: number;
			};
			statement: object;
			envelope: string;
		};
		cases: {
			note: string;
			envelope: string;
			purpose: Purpose;
			now: number;
			statement?: object;
			reason?: string;
		}[];
	}>("envelope.json");
	const root = keyPairFromSeed(hex(vector.seeds.root));
	t.equal(root.publicKey.toString("hex"), vector.rootKey);
	t.equal(networkOf(root.publicKey), vector.network);
	const { grant, statement, envelope } = vector.sealed;
	const signer = {
		purpose: grant.purpose,
		pair: keyPairFromSeed(hex(vector.seeds.catalog)),
		grant: grantKey(root, grant),
	};
	// Ed25519 is deterministic: whoever signs the same bytes gets the same envelope.
	t.same(
		JSON.parse(seal(signer, statement).toString()) as Envelope,
		JSON.parse(envelope),
	);
	const schema = z.object({ hello: z.string() });
	for (const {
		note,
		envelope,
		purpose,
		now,
		statement,
		reason,
	} of vector.cases) {
		const read = unseal(Buffer.from(envelope), purpose, schema, {
			rootKey: hex(vector.rootKey),
			network: vector.network as NetworkId,
			now: () => now,
			latest: () => now,
			minimum: new Map(),
		});
		if (read.ok) t.same(read.value, statement, note);
		else t.equal(read.reason, reason, note);
	}
});

t.test("sets", async (t) => {
	const { bitfield, spare, ...text } = await vectors<{
		bitfield: { length: number; members: number[]; bytes: string }[];
		spare: { length: number; bytes: string; members: number[] }[];
		ranges: { members: number[]; text: string }[];
		valid: string[];
		invalid: string[];
	}>("sets.json");
	for (const { length, members, bytes } of bitfield) {
		const set = new Bitfield(length);
		for (const member of members) set.add(member);
		t.equal(Buffer.from(set.bytes).toString("hex"), bytes);
		t.same([...new Bitfield(length, hex(bytes))], members);
	}
	for (const { length, bytes, members } of spare) {
		const set = new Bitfield(length, hex(bytes));
		t.same([...set], members);
		t.equal(set.count, members.length);
	}
	for (const { members, text: encoded } of text.ranges) {
		t.equal(encodeRanges(members), encoded);
		t.equal(encodeRanges([...members, ...members].reverse()), encoded);
		t.same(decodeRanges(encoded, 2_000_000), members);
		t.same(
			decodeRanges(encoded, 7),
			members.filter((member) => member < 7),
		);
	}
	for (const line of text.valid) t.ok(z.safeParse(ranges, line).success, line);
	for (const line of text.invalid)
		t.notOk(z.safeParse(ranges, line).success, line);
});
