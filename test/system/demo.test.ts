import { randomBytes } from "node:crypto";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { boxes as mp4 } from "../headend/packages.ts";
import { Demo, readVerdict, type Verdict } from "./demo.ts";
import { temporary } from "./desk.ts";
import { makeDash, makeMovie, noFfmpeg } from "./media.ts";

t.setTimeout(300_000);

/** Runs the demo to its end and reads what it says. Holds for every run: all that is placed is held, all that is played is right. */
async function perform(t: Test, args: readonly string[]): Promise<Verdict> {
	const demo = await Demo.start(t, [...args, "--exit"]);
	const code = await demo.exit;
	t.equal(code, 0, demo.stderr);
	const verdict = readVerdict(demo.stdout);
	const { ok, placedBytes, heldBytes, played } = verdict;
	t.equal(ok, true);
	t.ok(placedBytes > 0);
	t.equal(heldBytes, placedBytes);
	t.equal(played.mismatches, 0);
	t.equal(
		played.fromDisk + played.fromNeighbours + played.fromOrigin,
		played.bytes,
		"every byte came from somewhere",
	);
	t.ok(
		played.fromNeighbours > played.bytes / 2,
		"a box with no placement plays from its neighbours",
	);
	t.same(await readdir(demo.temp), [], "nothing is left behind");
	return verdict;
}

t.test("the clip, six boxes", async (t) => {
	const verdict = await perform(t, []);
	const { shards, placedBytes, played, originBytesDuringFill } = verdict;
	t.match(verdict, { boxes: 6, titles: 1 });
	t.ok(shards > 6, "striped over every box");
	t.ok(placedBytes > 3 * played.bytes, "three copies, and leaves");
	t.ok(verdict.fillReports >= 6);
	t.ok(originBytesDuringFill >= played.bytes);
	t.ok(originBytesDuringFill < 1.2 * played.bytes, "about once over the trunk");
});

t.test("the origin stops after the fill; one box is enough", async (t) => {
	const args = ["--boxes", "1", "--copies", "10", "--stop-origin"];
	const { boxes, played } = await perform(t, args);
	t.equal(boxes, 1);
	t.equal(played.fromOrigin, 0);
});

t.test(
	"an MP4 whose index lies behind the media",
	{
		skip: noFfmpeg(),
	},
	async (t) => {
		const movie = join(await temporary(t), "film.mp4");
		await makeMovie(movie, { indexFirst: false });
		const { played } = await perform(t, ["--boxes", "3", "--source", movie]);
		t.equal(played.fromOrigin, 0);
	},
);

t.test("a DASH package", { skip: noFfmpeg() }, async (t) => {
	const dir = await temporary(t);
	const movie = join(dir, "film.mp4");
	await makeMovie(movie, { indexFirst: true });
	await makeDash(join(dir, "dash"), movie);
	// A package of an operator comes with other things, too.
	await writeFile(join(dir, "dash", "Über uns & mehr.txt"), "100 %");
	const source = join(dir, "dash");
	const args = ["--boxes", "3", "--copies", "2", "--source", source];
	await perform(t, [...args, "--stop-origin"]);
});

t.test("a title of 300 MB, in shards of 16 MiB", async (t) => {
	const movie = join(await temporary(t), "film.mp4");
	const media = mp4.box("mdat", randomBytes(300e6));
	await writeFile(movie, Buffer.concat([mp4.movie({ duration: 60 }), media]));
	const { shards, played } = await perform(t, [
		...["--boxes", "3", "--copies", "2", "--stop-origin", "--source", movie],
	]);
	t.equal(shards, 18);
	t.ok(played.bytes > 300e6);
	t.equal(played.fromOrigin, 0);
});
