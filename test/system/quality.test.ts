import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { MINUTE } from "../../src/base/time.ts";
import type { QualityView } from "../../src/headend/fleet/qualityview.ts";
import { noChromium, openBrowser, shoot, troubles } from "./browser.ts";
import {
	addBoxes,
	addViewer,
	filled,
	larder,
	openDesk,
	publishSource,
} from "./desk.ts";
import { CLIP } from "./media.ts";

// What was watched is told minutes after it ended, lest it says whose it is.
t.setTimeout(8 * MINUTE);

/** Seconds that are watched. */
const WATCHED = 10;

/** Resolves when the film has played so long, with how often it stood still. The page's policy forbids `waitForFunction`. */
const watching = `new Promise((resolve, reject) => {
	let waited = 0;
	let plays = !video.paused && video.readyState > 2;
	video.addEventListener("playing", () => { plays = true; });
	video.addEventListener("waiting", () => { if (plays) waited++; });
	video.addEventListener("error", () => reject(new Error("it does not play")));
	video.addEventListener("timeupdate", () => {
		if (video.currentTime >= ${WATCHED}) resolve(waited);
	});
})`;

t.test(
	"an evening in a browser is told to the operator, without a name",
	{ skip: noChromium() },
	async (t) => {
		const desk = await openDesk(t, { copies: 2 });
		await addBoxes(desk, 3);
		const film = await publishSource(desk, CLIP);
		await filled(desk, 2 * film.shards);
		const viewer = await addViewer(desk, film);
		const file = join(desk.dir, "places.csv");
		const names = desk.boxes.map(({ name }) => `${name},street7`);
		await writeFile(file, names.join("\n"));
		await larder("boxes", "group", "--file", file, "-d", desk.operator.dir);

		const browser = await openBrowser(t);
		const operator = await browser.newPage();
		const said = troubles(operator);
		await operator.goto(await desk.pageUrl);
		await operator.getByText("Nothing was watched in 24 hours").waitFor();

		const page = await browser.newPage();
		const asked: string[] = [];
		page.on("request", (request) => asked.push(request.url()));
		await page.goto(`${desk.gatewayOf(viewer)}/#${film.id}`);
		t.equal(await page.evaluate(watching), 0, "it did not stand still");
		await page.close();
		const segments = asked.filter((url) => /\.(m4s|ts)\b/.test(url));
		t.ok(segments.length > 0);
		t.ok(segments.every((url) => /CMCD=[^&]*bl%3D\d/.test(url)));

		// Within two minutes of when nothing was read for one.
		const row = operator.locator("#quality tr");
		await row.first().waitFor({ timeout: 5 * MINUTE });
		t.equal(await row.count(), 1);
		await shoot(t, operator, "quality");
		t.same(said, []);

		const shown = await larder("quality", "--json", "-d", desk.operator.dir);
		const [view, ...more] = JSON.parse(shown.said) as QualityView[];
		t.same(more, []);
		t.match(view, { title: film.id, region: desk.operator.region, starts: 1 });
		t.match(view, { stalls: 0, stalled: 0, seeks: 0, origin: 0, misses: {} });
		t.ok(view?.startP50 && view.startP50 < 20, `${view?.startP50} s to start`);
		const [street = 0, ...beyond] = view?.near ?? [];
		t.ok(street > 0 && street <= (view?.neighbours ?? 0), "by level");
		t.same(beyond, [0, 0, 0]);
		t.ok(view && view.neighbours > 0 && view.bitrate > 100_000);
		t.ok(view && view.played >= WATCHED * 1000, `${view?.played} ms`);

		const answer = await fetch(`${desk.gatewayOf(viewer)}/metrics`);
		const text = await answer.text();
		t.match(text, /^larder_video_startup_seconds_count 1$/m);
		t.match(text, /^larder_gateway_cmcd_ignored_total 0$/m);
		t.notMatch(text, film.id);
	},
);
