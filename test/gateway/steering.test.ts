import t from "tap";
import { open, TITLE } from "./scene.ts";
import { pattern, Shelf } from "./shelf.ts";
import { exchange } from "./wire.ts";

/** Of a playlist in the folder hls, and an MPD. */
const hls = (tag: string, ...variants: readonly string[]) =>
	[
		...["#EXTM3U", `#EXT-X-CONTENT-STEERING:${tag}`],
		...variants.flatMap((more, i) => [
			`#EXT-X-STREAM-INF:BANDWIDTH=${i + 1}${more}`,
			`${i}.m3u8`,
		]),
	].join("\n");
const dash = (element: string) =>
	`<MPD>${element}<BaseURL serviceLocation="x">./</BaseURL><BaseURL serviceLocation="y">./</BaseURL></MPD>`;
const A = ',PATHWAY-ID="a"';
const B = ',PATHWAY-ID="b"';

const steered: Record<string, readonly [string, string, readonly string[]]> = {
	"one way": [hls('SERVER-URI="s"', A, A), "hls/s", ["a"]],
	"ways in the order of the playlist": [
		...([hls('SERVER-URI="s"', B, A, B), "hls/s"] as const),
		["b", "a"],
	],
	"the way to begin with": [
		...([hls('SERVER-URI="s",PATHWAY-ID="a"', B, A), "hls/s"] as const),
		["a", "b"],
	],
	"a way to begin with that is none": [
		...([hls('PATHWAY-ID="c",SERVER-URI="s"', A, B), "hls/s"] as const),
		["a", "b"],
	],
	"ways without a name": [hls('SERVER-URI="s"', "", ""), "hls/s", ["."]],
	"an address above the playlist, with a query": [
		...([hls('SERVER-URI="../x/s.json?a=1"', A), "x/s.json"] as const),
		["a"],
	],
	"an MPD": [
		dash('<ContentSteering defaultServiceLocation="y x">s</ContentSteering>'),
		...(["s", ["y", "x"]] as const),
	],
};
for (const [name, [text, path, pathways]] of Object.entries(steered)) {
	t.test(name, async (t) => {
		const shelf = new Shelf();
		const entry = text.startsWith("#") ? "hls/master.m3u8" : "m.mpd";
		const files = { [entry]: Buffer.from(text), "a.mp4": pattern(10) };
		shelf.add(TITLE, "Film", files);
		const { port } = await open(t, shelf);
		const url = `/titles/${TITLE}/${path}?_HLS_pathway=a&_HLS_throughput=1`;
		const answer = await exchange(port, "GET", url, {
			origin: "http://localhost:3000",
		});
		t.equal(answer.status, 200);
		t.match(answer.headers, {
			"content-type": "application/vnd.apple.steering-list",
			"cache-control": "no-store",
			"access-control-allow-origin": "http://localhost:3000",
		});
		t.same(JSON.parse(answer.body.toString()), {
			...{ VERSION: 1, TTL: 300, "PATHWAY-PRIORITY": pathways },
		});
		const beside = await exchange(port, "GET", `/titles/${TITLE}/s2`);
		t.equal(beside.status, 404, "nothing else is steered");
	});
}

t.test("what steers elsewhere is not for a box to answer", async (t) => {
	for (const tag of [
		...['SERVER-URI="https://steer.example/s"', 'SERVER-URI="/s"'],
		...['SERVER-URI="../../s"', 'PATHWAY-ID="s"'],
	]) {
		const shelf = new Shelf();
		shelf.add(TITLE, "Film", { "hls/master.m3u8": Buffer.from(hls(tag, A)) });
		const { port } = await open(t, shelf);
		for (const path of ["s", "hls/s", "hls/https:/steer.example/s"]) {
			const answer = await exchange(port, "GET", `/titles/${TITLE}/${path}`);
			t.equal(answer.status, 404, `${tag} ${path}`);
		}
	}
});

t.test("a file of that name is the title's own word", async (t) => {
	const shelf = new Shelf();
	const own = Buffer.from('{"VERSION":1}');
	const files = { "m.m3u8": Buffer.from(hls('SERVER-URI="s"', A)), s: own };
	shelf.add(TITLE, "Film", files);
	const { port } = await open(t, shelf);
	const answer = await exchange(port, "GET", `/titles/${TITLE}/s`);
	t.ok(answer.body.equals(own));
});
