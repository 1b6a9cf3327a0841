import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { Registry } from "prom-client";
import t from "tap";
import { LarderError } from "../../src/base/errors.ts";
import { silent } from "../../src/base/log.ts";
import { startGateway } from "../../src/gateway/server.ts";
import { timeOf } from "../../src/wire/envelope.ts";
import { box, idOf, pattern, Shelf } from "./shelf.ts";

const CHROMIUM = "/usr/bin/chromium";
const CLIP = join(import.meta.dirname, "../media/clip");

/** The files of the clip, what a player starts with first. */
async function clip(): Promise<Record<string, Buffer>> {
	const files: Record<string, Buffer> = {
		"master.m3u8": await readFile(join(CLIP, "master.m3u8")),
	};
	for (const entry of await readdir(CLIP, {
		recursive: true,
		withFileTypes: true,
	})) {
		const path = join(entry.parentPath, entry.name);
		if (entry.isFile()) files[relative(CLIP, path)] = await readFile(path);
	}
	return files;
}

/** The clip's smallest rendition as one fragmented MP4 file. */
function film(files: Record<string, Buffer>): Buffer {
	const names = Object.keys(files)
		.filter((path) => path.startsWith("144p/"))
		.toSorted((a, b) => (a < b ? -1 : 1));
	const init = names.find((path) => path.endsWith(".mp4"));
	const segments = names.filter((path) => path.endsWith(".m4s"));
	return Buffer.concat([init ?? "", ...segments].map((path) => files[path]!));
}

async function launch(): Promise<Browser> {
	return await chromium.launch({
		executablePath: CHROMIUM,
		args: [
			"--no-sandbox",
			"--disable-gpu",
			"--no-first-run",
			"--disable-background-networking",
			"--disable-component-update",
			"--disable-sync",
			"--autoplay-policy=no-user-gesture-required",
		],
	});
}

/** Resolves when the page has played its film up to `seconds`. The page's policy forbids what `waitForFunction` does. */
function played(page: Page, seconds: number): Promise<void> {
	return page.evaluate(`new Promise((resolve) => {
		video.addEventListener("timeupdate", () => {
			if (video.currentTime > ${seconds}) resolve();
		});
	})`);
}

t.test("the player page", { skip: !existsSync(CHROMIUM) }, async (t) => {
	const files = await clip();
	const shelf = new Shelf();
	shelf.chunk = 64 * 1024;
	shelf.add(idOf("a"), "<b>First</b> & foremost", files);
	shelf.add(idOf("b"), "Second", { "film.mp4": film(files) });
	shelf.add(idOf("c"), "Third", { "a b.mpd": pattern(10) });
	shelf.addFailing(
		idOf("d"),
		"Fourth",
		() => new LarderError("TITLE_KEY_DENIED", "it is not in your plan"),
	);
	shelf.add(idOf("e"), "Fifth", { "master.m3u8": files["master.m3u8"]! });
	shelf.recent = () => {
		const at = Math.floor(Date.now() / 1000);
		return [{ at, disk: 500_000, origin: 0, neighbours: [0, 0, 1_500_000] }];
	};
	const gateway = await startGateway({
		host: "127.0.0.1",
		port: 0,
		library: shelf,
		time: timeOf(Date.now),
		registry: new Registry(),
		ready: () => ({ ready: true, why: "" }),
		box,
		log: silent,
	});
	t.teardown(() => gateway.close());
	const browser = await launch();
	t.teardown(() => browser.close());
	const page = await browser.newPage({
		viewport: { width: 1920, height: 1080 },
	});
	const asked: string[] = [];
	const faults: string[] = [];
	page.on("request", (request) => asked.push(request.url()));
	page.on("pageerror", ({ message }) => faults.push(message));
	page.on("console", (message) => {
		if (message.type() === "error") faults.push(message.text());
	});
	const home = `http://127.0.0.1:${gateway.port}`;
	await page.goto(`${home}/`);
	const focused = () =>
		page.evaluate<string>("document.activeElement.textContent");

	await page.waitForSelector("#titles button:focus");
	t.match(await focused(), "<b>First</b> & foremost", "names are text");

	t.test("HLS plays by remote control", async (t) => {
		await page.keyboard.press("Enter");
		await played(page, 0.5);
		t.ok(await page.isHidden("#notice"), "nothing covers the picture");
		await page.keyboard.press("ArrowLeft");
		t.equal(await page.evaluate("document.activeElement.id"), "seek");
		await page.keyboard.press("ArrowRight");
		await played(page, 10);
		await page.keyboard.press("Enter");
		await page.getByRole("button", { name: "Play", exact: true }).waitFor();
		t.equal(await page.evaluate("video.paused"), true);
		t.ok(asked.includes(`${home}/page/hls.worker.js`), "in a worker");
		await page.keyboard.press("ArrowUp");
		t.match(await focused(), "First", "back in the list");
	});

	t.test("the sources of the last minute are shown", async (t) => {
		const legend = page.locator("#legend");
		await legend.getByText("Neighbour 2").waitFor();
		const told = await legend.locator("li").allTextContents();
		t.strictSame(told.slice(0, 3), [
			"Disk 25 %",
			"Neighbour 2 75 %",
			"Origin 0 %",
		]);
		t.match(told.slice(3), [/^Ahead of the picture [1-9]\d* s$/]);
		const drawn = await page.evaluate(`(() => {
			const { width, height } = chart;
			const { data } = chart.getContext("2d").getImageData(0, 0, width, height);
			return new Set(new Uint32Array(data.buffer)).size;
		})()`);
		t.ok(Number(drawn) >= 3, "in their colours");
	});

	t.test("MP4 plays", async (t) => {
		await page.keyboard.press("ArrowDown");
		await page.keyboard.press("Enter");
		await page.locator("#now", { hasText: "Second" }).waitFor();
		await played(page, 0.5);
		t.match(await page.evaluate("video.src"), /\/film\.mp4$/);
	});

	t.test("DASH is explained", async (t) => {
		await page.keyboard.press("ArrowDown");
		await page.keyboard.press("Enter");
		await page.getByText("needs a DASH player").waitFor();
		t.equal(
			await page.textContent("#address"),
			`${home}/titles/${idOf("c")}/a%20b.mpd`,
		);
		t.equal(await page.evaluate("video.src"), "", "the film has ended");
	});

	t.strictSame(faults, [], "nothing went wrong and nothing broke the policy");

	t.test("a refusal is told in the gateway's words", async (t) => {
		await page.keyboard.press("ArrowDown");
		await page.keyboard.press("Enter");
		await page.getByText("It is not in your plan.").waitFor();
		await page.keyboard.press("ArrowLeft");
		t.equal(await focused(), "Try again");
	});

	t.test("a title that breaks off can be tried again", async () => {
		const retry = page.getByRole("button", { name: "Try again" });
		await page.getByText("Fifth").click();
		await page.getByText("The player gave up: levelLoadError").waitFor();
		shelf.add(idOf("e"), "Fifth", files);
		await retry.click();
		await played(page, 0.5);
		await retry.waitFor({ state: "hidden" });
	});

	t.test("an address names a title to play", async () => {
		await page.goto("about:blank");
		await page.goto(`${home}/#${idOf("b")}`);
		await played(page, 0.2);
	});

	t.test("a phone needs no sideways scrolling", async (t) => {
		await page.setViewportSize({ width: 390, height: 844 });
		t.ok(
			await page.evaluate("document.documentElement.scrollWidth <= innerWidth"),
		);
	});

	t.strictSame(
		asked.filter(
			(url) => !url.startsWith(`${home}/`) && !/^(blob|about):/.test(url),
		),
		[],
		"nothing comes from elsewhere",
	);
});
