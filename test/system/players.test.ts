import { join } from "node:path";
import t from "tap";
import { noChromium, openBrowser, shoot, troubles } from "./browser.ts";
import {
	addBoxes,
	addViewer,
	counters,
	type Film,
	filled,
	openDesk,
	publishSource,
	temporary,
} from "./desk.ts";
import { CLIP, framesOf, makeDash, makeMovie, noFfmpeg } from "./media.ts";

t.setTimeout(300_000);

/** Seconds that are watched. */
const WATCHED = 10;

interface Seen {
	readonly events: readonly string[];
	/** Seconds into the film. */
	readonly at: number;
}

/** Resolves when the film has played so long, with what the player told since it began to. The page's policy forbids `waitForFunction`. */
const watching = `new Promise((resolve) => {
	const done = () => resolve({ events, at: video.currentTime });
	video.addEventListener("timeupdate", () => {
		if (video.currentTime >= ${WATCHED}) done();
	});
	video.addEventListener("error", done);
})`;
/** Before anything of the page runs: notes what happens to its film from the first picture on. */
const noting = `events = [];
for (const type of ["playing", "waiting", "stalled", "error", "pause", "ended"]) {
	document.addEventListener(type, () => {
		if (events.length > 0 || type === "playing") events.push(type);
	}, true);
}`;

t.test("players", { skip: noFfmpeg() }, async (t) => {
	const media = await temporary(t);
	const movie = join(media, "film.mp4");
	const dash = join(media, "dash");
	await makeMovie(movie, { indexFirst: true });
	await makeDash(dash, movie);

	const desk = await openDesk(t, { copies: 2 });
	await addBoxes(desk, 4);
	const films: Film[] = [];
	for (const source of [CLIP, movie, dash])
		films.push(await publishSource(desk, source));
	const [hls, mp4, mpd] = films;
	await filled(
		desk,
		films.reduce((sum, { shards }) => sum + 2 * shards, 0),
	);
	const viewer = await addViewer(desk, films.at(-1)!);
	await desk.origin?.stop();
	const gateway = desk.gatewayOf(viewer);

	await t.test("ffmpeg decodes the very frames of the source", async (t) => {
		for (const [film, file, path] of [
			[hls, join(CLIP, "360p/index.m3u8"), "360p/index.m3u8"],
			[mp4, movie, "film.mp4"],
			[mpd, join(dash, "manifest.mpd"), "manifest.mpd"],
		] as const) {
			const played = framesOf(`${gateway}/titles/${film?.id}/${path}`);
			const frames = await framesOf(file);
			t.ok(frames.split("\n").length > 250, `${path} has frames`);
			t.equal(await played, frames, path);
		}
		const { playedFromOrigin, playedFromNeighbours } = await counters(
			desk,
			viewer,
		);
		t.equal(playedFromOrigin, 0);
		t.ok(playedFromNeighbours > 0);
	});

	await t.test(
		"hls.js plays without a stall",
		{
			skip: noChromium(),
		},
		async (t) => {
			// A box that has nothing on its disk.
			const fresh = await addViewer(desk, films.at(-1)!);
			const browser = await openBrowser(t);
			const page = await browser.newPage();
			const said = troubles(page);
			await page.addInitScript(noting);
			await page.goto(`${desk.gatewayOf(fresh)}/#${hls?.id}`);
			const seen = (await page.evaluate(watching)) as Seen;
			t.same(seen.events, ["playing"], "it neither waits nor fails");
			t.ok(seen.at >= WATCHED);
			t.same(said, []);
			const legend = await page.innerText("#legend");
			t.match(legend, /Neighbour 1\s+\d+ %/);
			t.match(legend, /Origin\s+0 %/);
			await shoot(t, page, "player");
			const { playedFromOrigin, playedFromNeighbours } = await counters(
				desk,
				fresh,
			);
			t.equal(playedFromOrigin, 0);
			t.ok(playedFromNeighbours > 0);
		},
	);

	await t.test(
		"the browser plays an MP4 and winds in it",
		{
			skip: noChromium(),
		},
		async (t) => {
			const fresh = await addViewer(desk, films.at(-1)!);
			const browser = await openBrowser(t);
			const page = await browser.newPage();
			const said = troubles(page);
			await page.goto(`${desk.gatewayOf(fresh)}/#${mp4?.id}`);
			await page.evaluate(`new Promise((resolve, reject) => {
			video.onerror = () => reject(new Error(video.error.message));
			video.ontimeupdate = () => video.currentTime > 1 && resolve();
		})`);
			const end = await page.evaluate(`new Promise((resolve, reject) => {
			video.onerror = () => reject(new Error(video.error.message));
			video.onended = () => resolve(video.currentTime);
			video.currentTime = 7;
		})`);
			t.ok(Math.abs(Number(end) - 10) < 0.2, "played to its end");
			t.same(said, []);
		},
	);
});
