import t from "tap";
import { MINUTE, SECOND } from "../../src/base/time.ts";
import type { TitleFile } from "../../src/content/manifest.ts";
import { Timeline } from "../../src/content/timeline.ts";

/** A title of these files, end to end: path and length. */
function filesOf(...files: readonly (readonly [string, number])[]) {
	let offset = 0;
	return files.map(([path, length]): TitleFile => {
		const type = /m3u8$/.test(path)
			? "application/vnd.apple.mpegurl"
			: /m4a$/.test(path)
				? "audio/mp4"
				: "video/mp4";
		const file = { path, offset, length, type };
		offset += length;
		return file;
	});
}

t.test("segments in files of their own", async (t) => {
	const files = filesOf(
		["master.m3u8", 100],
		["0/init.mp4", 900],
		["0/000.m4s", 5000],
		["0/001.m4s", 1000],
		["0/002.m4s", 3000],
		["1/init.mp4", 900],
		["1/000.m4s", 500],
		["1/001.m4s", 500],
		["1/002.m4s", 500],
	);
	const line = new Timeline({ files }, 12 * SECOND);
	const offset = (path: string) =>
		files.find((file) => file.path === path)?.offset ?? Number.NaN;
	t.equal(line.at(0), 0, "a playlist is needed at once");
	t.equal(line.at(offset("0/000.m4s")), 0);
	t.equal(line.at(offset("0/000.m4s") + 4999), 0, "and all of a segment");
	t.equal(line.until(offset("0/001.m4s")), 4 * SECOND);
	t.equal(line.at(offset("0/001.m4s")), 4 * SECOND, "however long it is");
	t.equal(line.at(offset("0/002.m4s")), 8 * SECOND);
	t.equal(line.at(offset("1/002.m4s")), 8 * SECOND, "in each rendition");
	t.equal(line.until(offset("1/init.mp4")), 12 * SECOND);
});

t.test(
	"what plays is of a track, what only belongs to it is of none",
	async (t) => {
		const files = filesOf(
			["master.m3u8", 100],
			["0/init.mp4", 900],
			["0/000.m4s", 500_000],
			["0/001.m4s", 100_000],
			["1/init.mp4", 900],
			["1/000.m4s", 50_000],
			["1/001.m4s", 50_000],
			["sound.m4a", 60_000],
		);
		const line = new Timeline({ files }, 12 * SECOND);
		const tracks = files.map(({ offset }) => line.track(offset));
		const [, , picture, same, , other, , sound] = tracks;
		t.same(tracks.slice(0, 2), [undefined, undefined]);
		t.equal(tracks[4], undefined);
		t.equal(picture, same);
		t.equal(new Set([picture, other, sound]).size, 3);
		t.notOk([picture, other, sound].includes(undefined));
		const unknown = new Timeline({ files }, 0);
		t.equal(unknown.track(files[2]?.offset ?? 0), undefined);
	},
);

t.test("tracks of which each is one file", async (t) => {
	const files = filesOf(["film.mp4", 6_000_000], ["sound.m4a", 600_000]);
	const line = new Timeline({ files }, MINUTE);
	t.equal(line.at(3_000_000), MINUTE / 2);
	t.equal(line.until(3_000_000), MINUTE / 2);
	t.equal(line.at(6_000_000), 0);
	t.equal(line.at(6_300_000), MINUTE / 2);
	const tiny = new Timeline({ files: filesOf(["init.mp4", 800]) }, MINUTE);
	t.ok(tiny.at(799) < SECOND / 4, "what is small does not last long");
});

t.test("a title of which nothing is known is needed at once", async (t) => {
	const files = filesOf(["film.mp4", 6_000_000]);
	t.equal(new Timeline({ files }, 0).at(5_000_000), 0);
});
