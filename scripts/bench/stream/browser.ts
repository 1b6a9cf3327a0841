import { chmod, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";
import type { Millis } from "../../../src/base/units.ts";

const CHROMIUM = "/usr/bin/chromium";
const HLS = createRequire(import.meta.url).resolve("hls.js/dist/hls.min.js");
const WATCH = join(import.meta.dirname, "watch.js");
const OPTIONS = [
	...["--no-sandbox", "--disable-gpu", "--no-first-run", "--mute-audio"],
	...["--disable-background-networking", "--disable-component-update"],
	...["--disable-sync", "--autoplay-policy=no-user-gesture-required"],
];
/** A viewer has long gone when no frame comes for so long. */
const PATIENCE: Millis = 60_000;

/** What the page is asked for: a film played from its beginning, and from a place that is wound to. */
interface Order {
	readonly url: string;
	/** Of the renditions, the one of the lowest rate first. */
	readonly level: number;
	/** Part of the film that is wound to. */
	readonly place: number;
	/** How long is played before and after winding. */
	readonly play: Millis;
}

/** What a viewer saw: from pressing play, and from winding, to the first frame on the screen; and how the film stood still. */
export interface Frames {
	readonly start: Millis;
	readonly seek: Millis;
	readonly stalls: number;
	readonly stalled: Millis;
}

/** hls.js in a Chromium of its own, on the viewer's machine. @param work an existing folder @param through a command that leads there */
export async function watchInBrowser(
	work: string,
	through: readonly string[],
	order: Order,
): Promise<Frames> {
	const there = join(work, "chromium");
	await writeFile(
		there,
		`#!/bin/sh\nexec ${through.join(" ")} ${CHROMIUM} "$@"\n`,
	);
	await chmod(there, 0o755);
	const browser = await chromium.launch({
		executablePath: there,
		args: OPTIONS,
	});
	try {
		const page = await browser.newPage({
			viewport: { width: 640, height: 360 },
		});
		page.setDefaultTimeout(PATIENCE);
		// Of the server's own origin, so that none has to let others in.
		const home = new URL("/bench.html", order.url).href;
		await page.route(home, (route) =>
			route.fulfill({
				contentType: "text/html",
				body: "<!doctype html><video muted></video>",
			}),
		);
		await page.goto(home);
		for (const path of [HLS, WATCH]) await page.addScriptTag({ path });
		const watched = `watch(${JSON.stringify(order)})`;
		return await page.evaluate<Frames>(watched);
	} finally {
		await browser.close();
	}
}
