import { symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { inspect } from "../../src/headend/package/inspect.ts";
import { boxes, DASH, HLS, type Tree } from "./packages.ts";

const signal = new AbortController().signal;
const clip = join(import.meta.dirname, "../media/clip");

interface Good {
	readonly tree: Tree;
	readonly kind: string;
	readonly duration: number;
	readonly files: string;
	readonly warns?: RegExp;
}

const STEERED_FILES = "master.m3u8 i.m3u8 1.ts 2.ts";

/** HLS with such a steering tag. */
function steered(attributes: string): Tree {
	const lines = [
		...["#EXTM3U", `#EXT-X-CONTENT-STEERING:${attributes}`],
		...['#EXT-X-STREAM-INF:BANDWIDTH=1,PATHWAY-ID="a"', "i.m3u8", ""],
	];
	return { ...HLS.plain, "master.m3u8": lines.join("\n") };
}

const good: Record<string, Good> = {
	"HLS with renditions, audio, subtitles and keys": {
		tree: HLS.full,
		kind: "hls",
		duration: 4,
		files:
			"master.m3u8 v1/i.m3u8 v2/i.m3u8 a/i.m3u8 s/i.m3u8 " +
			"v1/init.mp4 v2/init.mp4 keys/k.bin v1/1.m4s v1/2%.m4s v2/1.m4s v2/2.m4s a/1.aac s/1.vtt poster.jpg",
	},
	"HLS in one file by byte ranges": {
		tree: HLS.ranges,
		kind: "hls",
		duration: 4,
		files: "i.m3u8 all.mp4",
	},
	"HLS beside DASH over the same segments": {
		tree: { ...HLS.plain, "m.mpd": DASH.over("1.ts", "2.ts") },
		kind: "hls",
		duration: 4,
		files: "i.m3u8 m.mpd 1.ts 2.ts",
	},
	"HLS with a leftover playlist": {
		tree: { ...HLS.full, "old.m3u8": "#EXTM3U\n#EXTINF:2,\nno.ts\n" },
		kind: "hls",
		duration: 4,
		files:
			"master.m3u8 v1/i.m3u8 v2/i.m3u8 a/i.m3u8 s/i.m3u8 " +
			"v1/init.mp4 v2/init.mp4 keys/k.bin v1/1.m4s v1/2%.m4s v2/1.m4s v2/2.m4s a/1.aac s/1.vtt old.m3u8 poster.jpg",
		warns: /old\.m3u8.*no other playlist names it/,
	},
	"HLS that boxes steer": {
		tree: steered('SERVER-URI="steering?asset=7",PATHWAY-ID="a"'),
		kind: "hls",
		duration: 4,
		files: STEERED_FILES,
	},
	"HLS that a server elsewhere steers": {
		tree: steered('PATHWAY-ID="a",SERVER-URI="https://steer.example/7"'),
		kind: "hls",
		duration: 4,
		files: STEERED_FILES,
		warns: /master\.m3u8: .*steer\.example.*away from their box/,
	},
	"HLS that a server beside its folder steers": {
		tree: steered('SERVER-URI="/steering"'),
		kind: "hls",
		duration: 4,
		files: STEERED_FILES,
		warns: /master\.m3u8: .* \/steering,/,
	},
	"DASH that a server elsewhere steers": {
		tree: {
			...HLS.plain,
			"m.mpd": DASH.over("1.ts", "2.ts").replace(
				"</MPD>",
				"<ContentSteering>https://steer.example/7</ContentSteering></MPD>",
			),
		},
		kind: "hls",
		duration: 4,
		files: "i.m3u8 m.mpd 1.ts 2.ts",
		warns: /m\.mpd: .*steer\.example/,
	},
	"HLS with what does not belong to it": {
		tree: {
			...HLS.plain,
			".hidden": "x",
			"3.ts.part": "x",
			__MACOSX: { a: "x" },
			done: "",
		},
		kind: "hls",
		duration: 4,
		files: "i.m3u8 1.ts 2.ts",
		warns: /done.*empty/,
	},
	"DASH by number": {
		tree: DASH.number,
		kind: "dash",
		duration: 5,
		files:
			"m.mpd v-i.mp4 a-i.mp4 v-001.m4s v-002.m4s v-003.m4s a-001.m4s a-002.m4s",
	},
	"DASH by time": {
		tree: DASH.time,
		kind: "dash",
		duration: 6,
		files:
			"m.mpd d/i.mp4 d/30000000000000000.m4s d/30000000000000020.m4s d/30000000000000040.m4s",
	},
	"DASH by list": {
		tree: DASH.list,
		kind: "dash",
		duration: 4,
		files: "m.mpd l/i.mp4 l/1.m4s l/2.m4s",
	},
	"DASH in one file with ContentProtection": {
		tree: DASH.single,
		kind: "dash",
		duration: 3723.5,
		files: "m.mpd v.mp4 s.vtt",
	},
	"DASH in several periods": {
		tree: DASH.periods,
		kind: "dash",
		duration: 4,
		files: "m.mpd p1/1.m4s p2/1.m4s",
	},
	"an MP4": {
		tree: { "a film.mp4": boxes.movie({ duration: 90 }), "a.srt": "1" },
		kind: "mp4",
		duration: 90,
		files: "a film.mp4 a.srt",
	},
	"an MP4 with 64-bit times and sizes": {
		tree: { "a.m4v": boxes.movie({ duration: 90, wide: true }) },
		kind: "mp4",
		duration: 90,
		files: "a.m4v",
	},
	"an MP4 with its index last": {
		tree: { "a.mp4": boxes.movie({ duration: 90, indexLast: true }) },
		kind: "mp4",
		duration: 90,
		files: "a.mp4",
		warns: /faststart/,
	},
	"a fragmented MP4": {
		tree: { "a.mp4": boxes.movie({ duration: 0, fragments: 12 }) },
		kind: "mp4",
		duration: 12,
		files: "a.mp4",
	},
};

for (const [name, expected] of Object.entries(good)) {
	t.test(name, async (t) => {
		const dir = t.testdir(expected.tree);
		const found = await inspect(dir, signal);
		if (!found.ok) return t.same(found.faults, []);
		const { kind, duration, files, warnings, size } = found.value;
		t.equal(kind, expected.kind);
		t.equal(duration, expected.duration);
		t.equal(files.map(({ path }) => path).join(" "), expected.files);
		t.equal(
			size,
			files.reduce((sum, file) => sum + file.size, 0),
		);
		const told = warnings.map((w) => `${w.file}: ${w.what}. ${w.remedy}`);
		if (expected.warns) t.match(told.join("\n"), expected.warns);
		else t.same(told, []);
	});
}

const bad: Record<string, { tree: Tree; faults: Record<string, RegExp> }> = {
	"an empty folder": { tree: {}, faults: { ".": /nothing/ } },
	"no media": {
		tree: { "readme.txt": "x" },
		faults: { ".": /no HLS playlist, DASH manifest or MP4/ },
	},
	"several MP4": {
		tree: { "a.mp4": "x", "b.mp4": "x" },
		faults: { ".": /2 MP4 files/ },
	},
	"all faults at once": {
		tree: {
			"master.m3u8": HLS.master(
				"v/i.m3u8",
				"gone/i.m3u8",
				"../out.m3u8",
				"/root.m3u8",
				"live.m3u8",
				"empty.m3u8",
				"text.m3u8",
				"%zz.m3u8",
			),
			"live.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n1.ts\n",
			"empty.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-ENDLIST\n",
			"text.m3u8": "<html>",
			"1.ts": "",
			v: {
				"i.m3u8": HLS.media("../../x.ts", "no.ts", "https://cdn.example/y.ts"),
			},
		},
		faults: {
			"master.m3u8": /\.\.\/out\.m3u8|\/root\.m3u8|%zz/,
			"gone/i.m3u8": /named by master\.m3u8 but is not there/,
			"live.m3u8": /live/,
			"empty.m3u8": /no segment/,
			"text.m3u8": /#EXTM3U/,
			"1.ts": /empty/,
			"v/i.m3u8": /x\.ts|y\.ts/,
			"v/no.ts": /not there/,
		},
	},
	"several playlists without a multivariant one": {
		tree: {
			"a.m3u8": HLS.media("1.ts"),
			"b.m3u8": HLS.media("1.ts"),
			"1.ts": "x",
		},
		faults: { ".": /none that names them all/ },
	},
	"a byte range beyond the end": {
		tree: { ...HLS.ranges, "all.mp4": "short" },
		faults: { "all.mp4": /has 5 bytes/ },
	},
	"a key that is not there": {
		tree: {
			"i.m3u8": HLS.media("1.ts").replace(
				"#EXTINF",
				'#EXT-X-KEY:METHOD=AES-128,URI="k.bin"\n#EXTINF',
			),
			"1.ts": "x",
		},
		faults: { "k.bin": /not there/ },
	},
	"variables in a playlist": {
		tree: {
			"i.m3u8": HLS.media("{$a}.ts").replace(
				"#EXTINF",
				'#EXT-X-DEFINE:NAME="a",VALUE="1"\n#EXTINF',
			),
			"1.ts": "x",
		},
		faults: { "i.m3u8": /EXT-X-DEFINE/ },
	},
	"a line after the end": {
		tree: { ...HLS.plain, "i.m3u8": `${HLS.media("1.ts")}2.ts\n` },
		faults: { "i.m3u8": /a line stands where HLS allows none/ },
	},
	"a live manifest": {
		tree: {
			...DASH.list,
			"m.mpd": DASH.list["m.mpd"].replace("static", "dynamic"),
		},
		faults: { "m.mpd": /live/ },
	},
	"a manifest that is no XML": {
		tree: { "m.mpd": "<MPD><Period></MPD>" },
		faults: { "m.mpd": /no DASH manifest/ },
	},
	"a manifest of nothing": {
		tree: { "m.mpd": '<MPD type="static"/>' },
		faults: { "m.mpd": /no segment/ },
	},
	"DASH segments that are missing": {
		tree: { "m.mpd": DASH.number["m.mpd"], "v-i.mp4": "x", "a-i.mp4": "x" },
		faults: {
			"v-001.m4s": /not there/,
			"v-002.m4s": /not there/,
			"a-001.m4s": /not there/,
			"a-002.m4s": /not there/,
		},
	},
	"DASH media on a server": {
		tree: {
			"m.mpd": DASH.list["m.mpd"].replace(">l/<", ">https://cdn.example/<"),
		},
		faults: { "m.mpd": /another server/ },
	},
	"an endless timeline": {
		tree: {
			"m.mpd": DASH.time["m.mpd"].replace('r="-1"', 'r="99999999999"'),
			d: { "i.mp4": "x" },
		},
		faults: { "m.mpd": /SegmentTimeline/ },
	},
	"an MP4 that is cut short": {
		tree: { "a.mp4": boxes.movie({ duration: 9 }).subarray(0, -1) },
		faults: { "a.mp4": /cut short/ },
	},
	"an MP4 without index": {
		tree: { "a.mp4": Buffer.concat([boxes.ftyp, boxes.box("mdat", "x")]) },
		faults: { "a.mp4": /no index/ },
	},
	"an MP4 that is none": {
		tree: { "a.mp4": "<html>not found</html>" },
		faults: { "a.mp4": /not an MP4/ },
	},
};

for (const [name, { tree, faults }] of Object.entries(bad)) {
	t.test(name, async (t) => {
		const found = await inspect(t.testdir(tree), signal);
		if (found.ok) return t.fail("taken for a sound package");
		const files = new Set(found.faults.map(({ file }) => file));
		t.same(files, new Set(Object.keys(faults)));
		for (const { file, what, remedy } of found.faults) {
			t.match(what, faults[file]);
			t.not(remedy, "");
		}
	});
}

t.test("every fault of one playlist is told", async (t) => {
	const found = await inspect(
		t.testdir({ "i.m3u8": HLS.media("../a.ts", "b.ts", "c.ts") }),
		signal,
	);
	t.equal(found.ok ? 0 : found.faults.length, 3);
});

t.test("links", async (t) => {
	const dir = t.testdir({
		in: { "i.m3u8": HLS.media("1.ts", "2.ts"), "real.ts": "x" },
		"out.ts": "x",
		folder: { a: "x" },
	});
	await symlink("real.ts", join(dir, "in/1.ts"));
	await symlink("../out.ts", join(dir, "in/2.ts"));
	await symlink("../folder", join(dir, "in/more"));
	await symlink("nowhere", join(dir, "in/lost"));
	const found = await inspect(join(dir, "in"), signal);
	if (found.ok) return t.fail("a link led out");
	t.match(Object.fromEntries(found.faults.map((f) => [f.file, f.what])), {
		"2.ts": /named by i\.m3u8|leads out/,
		more: /leads out/,
		lost: /cannot be found/,
	});
	t.notOk(found.faults.some(({ file }) => file === "1.ts"));
});

t.test("the demo title", async (t) => {
	const found = await inspect(clip, signal);
	if (!found.ok) return t.same(found.faults, []);
	t.match(found.value, { kind: "hls", name: "clip", duration: 24 });
	t.equal(found.value.files[0]?.path, "master.m3u8");
	t.equal(found.value.files.length, 43);
});

t.test("sources that are no title", async (t) => {
	const dir = t.testdir({ "notes.txt": "x" });
	t.match(await inspect(join(dir, "nothing"), signal), { ok: false });
	t.match(await inspect(join(dir, "notes.txt"), signal), {
		ok: false,
		faults: [{ what: /neither a folder nor an MP4/ }],
	});
	await writeFile(join(dir, "a.mp4"), boxes.movie({ duration: 1 }));
	t.match(await inspect(join(dir, "a.mp4"), signal), {
		ok: true,
		value: { name: "a", files: [{ path: "a.mp4" }] },
	});
});
