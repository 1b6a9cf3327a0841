import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, readFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { noChromium, openBrowser, troubles } from "./browser.ts";
import {
	addBoxes,
	addViewer,
	counters,
	filled,
	openDesk,
	publishSource,
	temporary,
} from "./desk.ts";
import { copyOf, noFfmpeg, picturesOf } from "./media.ts";
import {
	CONTENT_PROTECTION,
	CUES,
	FRAMES,
	makeProtected,
	makeTitle,
	PLAYS,
	PROTECTION,
} from "./showcase.ts";
import {
	openStage,
	type Piece,
	playFile,
	playHls,
	playShaka,
	type Shown,
	strangers,
} from "./stage.ts";

t.setTimeout(300_000);

/** Why VLC cannot be run here, or false. */
const noVlc = existsSync("/usr/bin/cvlc") ? false : "vlc is not installed";
/** Frames of so many that a browser shows at three times the speed on a machine that has more to do. */
const MOST = FRAMES / 2;

/** Has VLC write what it reads of an address into a file, untouched. It refuses to be root. */
async function record(t: Test, url: string): Promise<string> {
	const home = await temporary(t);
	await chmod(home, 0o777);
	const file = join(home, "film.mkv");
	const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
	const sout = `#std{access=file,mux=mkv,dst=${file}}`;
	const child = spawn(
		"cvlc",
		[
			...["-q", "--no-lua", "--play-and-exit", "--adaptive-logic=highest"],
			...["--sout", sout, url],
		],
		{
			...{ cwd: home, env: { ...process.env, HOME: home }, ...nobody },
			...{ stdio: "ignore", timeout: 60_000, killSignal: "SIGKILL" },
		},
	);
	const [code] = await once(child, "exit");
	t.equal(code, 0, "VLC came to the end");
	return file;
}

const filesOf = (pieces: readonly Piece[]) =>
	[...new Set(pieces.map(({ url }) => new URL(url).pathname))]
		.map((path) => path.split("/").at(-1))
		.toSorted((a = "", b = "") => a.localeCompare(b));

t.test("one title, every player", { skip: noFfmpeg() }, async (t) => {
	const media = await temporary(t);
	const [source, secret] = [join(media, "title"), join(media, "protected")];
	await makeTitle(source);
	await makeProtected(secret, source);
	const desk = await openDesk(t, { copies: 2 });
	await addBoxes(desk, 3);
	const film = await publishSource(desk, source);
	const locked = await publishSource(desk, secret);
	await filled(desk, 2 * (film.shards + locked.shards));
	const viewer = await addViewer(desk, locked);
	await desk.origin?.stop();
	const gateway = desk.gatewayOf(viewer);
	const at = (path: string) => `${gateway}/titles/${film.id}/${path}`;
	const own = (file: string) => join(source, file);

	await t.test("ffmpeg copies every packet of every track", async (t) => {
		for (const track of ["high", "low", "english", "deutsch", "text"]) {
			const file = track === "text" ? "text.vtt" : `${track}.m3u8`;
			const packets = await copyOf(own(file));
			t.ok(packets.split("\n").length > CUES.length, `${track} has packets`);
			t.equal(await copyOf(at(file)), packets, track);
		}
	});

	await t.test("VLC reads the very frames", { skip: noVlc }, async (t) => {
		const recorded = await record(t, at("master.m3u8"));
		const frames = await picturesOf(own("high.mp4"));
		t.equal(frames.length, FRAMES);
		t.same(await picturesOf(recorded), frames);
	});

	await t.test("in a browser", { skip: noChromium() }, async (t) => {
		const stage = await openStage(t, PROTECTION.key);
		const browser = await openBrowser(t);
		const open = async () => {
			const page = await browser.newPage();
			const said = troubles(page);
			await page.goto(stage.url);
			return { page, said };
		};
		const isWhole = (t: Test, { frames, at }: Shown) => {
			t.ok(frames >= MOST, `${frames} frames were decoded`);
			t.ok(Math.abs(at - PLAYS) < 0.2, `it ended at ${at} s`);
		};

		await t.test("hls.js, steered by the box", async (t) => {
			const { page, said } = await open();
			const shown = (await page.evaluate(playHls(at("master.m3u8")))) as Shown;
			isWhole(t, shown);
			t.match(shown, {
				offered: { levels: 2, audio: ["en", "de"], text: ["en"] },
				steeringManifest: { VERSION: 1, "PATHWAY-PRIORITY": ["near", "far"] },
				pathways: ["near"],
			});
			t.same(shown.cues, CUES);
			t.same(filesOf(shown.pieces), [
				"deutsch.mp4",
				"english.mp4",
				"high.mp4",
				"low.mp4",
				"text.vtt",
			]);
			t.same(await strangers(shown.pieces, own), []);
			t.same(said, []);
			await page.close();
		});

		for (const path of ["manifest.mpd", "master.m3u8"]) {
			await t.test(`Shaka, ${path}`, async (t) => {
				const { page, said } = await open();
				const shown = (await page.evaluate(playShaka(at(path)))) as Shown;
				isWhole(t, shown);
				const offered = {
					heights: [180, 360],
					audio: ["de", "en"],
					text: ["en"],
				};
				t.match(shown, { offered });
				t.same(filesOf(shown.pieces), [
					"deutsch.mp4",
					"english.mp4",
					"high.mp4",
					"low.mp4",
					"text.vtt",
				]);
				t.same(await strangers(shown.pieces, own), []);
				t.same(said, []);
				await page.close();
			});
		}

		await t.test("the browser by itself, a rendition's file", async (t) => {
			const { page, said } = await open();
			const shown = (await page.evaluate(playFile(at("high.mp4")))) as Shown;
			isWhole(t, shown);
			t.same(said, []);
			await page.close();
		});

		await t.test("Shaka, encrypted, with ClearKey", async (t) => {
			const { page, said } = await open();
			const url = `${gateway}/titles/${locked.id}/manifest.mpd`;
			const shown = (await page.evaluate(
				playShaka(url, stage.url),
			)) as Shown & {
				readonly manifest: string;
				readonly inits: readonly (readonly [string, number[]])[];
				readonly keySystem: string;
			};
			isWhole(t, shown);
			t.equal(shown.keySystem, "org.w3.clearkey");
			const kids = [PROTECTION.keyId.toString("base64url")];
			t.match(stage.asked, [{ kids }], "what the box gave names the key");
			t.ok(shown.manifest.includes(CONTENT_PROTECTION), "byte for byte");
			const mpd = await readFile(join(secret, "manifest.mpd"), "utf8");
			t.equal(shown.manifest, mpd);
			t.ok(shown.inits.length > 0);
			for (const [type, bytes] of shown.inits) {
				t.equal(type, "cenc");
				t.ok(
					Buffer.from(bytes).equals(Buffer.concat(PROTECTION.psshs)),
					"PSSH",
				);
			}
			t.same(filesOf(shown.pieces), ["english.mp4", "high.mp4"]);
			t.same(await strangers(shown.pieces, (file) => join(secret, file)), []);
			t.same(said, []);
			await page.close();
		});
	});

	await t.test("all of it came from neighbours", async (t) => {
		const played = await counters(desk, viewer);
		t.equal(played.playedFromOrigin, 0);
		t.ok(played.playedFromNeighbours > 0);
	});
});
