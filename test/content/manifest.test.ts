import t from "tap";
import { titleIdOf } from "../../src/content/hash.ts";
import {
	encodeManifest,
	MAX_MANIFEST,
	readManifest,
} from "../../src/content/manifest.ts";
import { isInside, mediaType } from "../../src/content/path.ts";
import type { TitleId } from "../../src/wire/ids.ts";

const hash = "a".repeat(64);
const sound = {
	v: 1 as const,
	files: [
		{ path: "a", offset: 0, length: 5000, type: "video/mp4" },
		{ path: "b/c", offset: 5000, length: 0, type: "video/mp4" },
		{ path: "b/d", offset: 5000, length: 7, type: "video/mp4" },
	],
	size: 5007,
	blockSize: 1024,
	shardBlocks: 2,
	shards: [hash, hash, hash],
	cipher: {
		name: "chacha20" as const,
		nonce: "0".repeat(24),
		keyCommitment: hash,
	},
};
const file = { path: "a", offset: 0, length: 5007, type: "" };

t.test("a sound manifest is read back", async (t) => {
	const bytes = encodeManifest(sound);
	t.same(readManifest(titleIdOf(bytes), bytes), { ok: true, value: sound });
	t.match(readManifest(hash as TitleId, bytes), { reason: "wrong-hash" });
	const later = Buffer.from(JSON.stringify({ ...sound, later: 1 }));
	t.same(readManifest(titleIdOf(later), later), { ok: true, value: sound });
});

const faults: Record<string, [object, string]> = {
	"no file": [{ files: [] }, "bad-schema"],
	"no size": [{ size: 0 }, "bad-schema"],
	"too large": [{ size: 2 ** 38 + 1 }, "bad-schema"],
	"a block that is no power of two": [{ blockSize: 1000 }, "bad-schema"],
	"a tiny block": [{ blockSize: 512 }, "bad-schema"],
	"a huge block": [{ blockSize: 2 ** 21 }, "bad-schema"],
	"a huge shard": [{ shardBlocks: 8192 }, "bad-schema"],
	"half a block": [{ shardBlocks: 0.5 }, "bad-schema"],
	"another cipher": [
		{ cipher: { ...sound.cipher, name: "none" } },
		"bad-schema",
	],
	"a short nonce": [{ cipher: { ...sound.cipher, nonce: "00" } }, "bad-schema"],
	"another version": [{ v: 2 }, "bad-schema"],
	"a hash too few": [{ shards: [hash, hash] }, "inconsistent"],
	"a hash too many": [{ shards: [hash, hash, hash, hash] }, "inconsistent"],
	"a gap": [{ files: [{ ...file, offset: 1, length: 5006 }] }, "inconsistent"],
	"files that end early": [
		{ files: [{ ...file, length: 5006 }] },
		"inconsistent",
	],
	"files that end late": [
		{ files: [{ ...file, length: 5008 }] },
		"inconsistent",
	],
	"one path twice": [
		{ files: [file, { ...file, offset: 5007, length: 0 }] },
		"inconsistent",
	],
	"a path out of the title": [
		{ files: [{ ...file, path: "../a" }] },
		"inconsistent",
	],
};
for (const [name, [change, reason]] of Object.entries(faults)) {
	t.test(`refused: ${name}`, async (t) => {
		const bytes = Buffer.from(JSON.stringify({ ...sound, ...change }));
		t.match(readManifest(titleIdOf(bytes), bytes), { ok: false, reason });
	});
}

t.test("what is no manifest at all is refused", async (t) => {
	const text = Buffer.from("manifest");
	t.match(readManifest(titleIdOf(text), text), { reason: "not-json" });
	const large = Buffer.alloc(MAX_MANIFEST + 1);
	t.match(readManifest(titleIdOf(large), large), { reason: "too-large" });
});

t.test("paths", async (t) => {
	for (const path of ["a", "a/b.c", "ü/…", "a..b", "...", ".a"])
		t.ok(isInside(path), path);
	for (const path of [
		"",
		"/",
		"/a",
		"a/",
		"a//b",
		".",
		"a/./b",
		"..",
		"../a",
		"a/../b",
		"a\\b",
		"a\0b",
	])
		t.notOk(isInside(path), JSON.stringify(path));
});

t.test("media types", async (t) => {
	t.equal(mediaType("a/b.M3U8"), "application/vnd.apple.mpegurl");
	t.equal(mediaType("a.b/c.mpd"), "application/dash+xml");
	t.equal(mediaType("x.m4s"), "video/mp4");
	t.equal(mediaType("x.ts"), "video/mp2t");
	for (const path of ["x", "x.unknown", "a.ts/x", "constructor"])
		t.equal(mediaType(path), "application/octet-stream", path);
});
