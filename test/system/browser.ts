import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type BrowserContext, chromium, type Page } from "playwright-core";
import type { Test } from "tap";
import { temporary } from "./desk.ts";

const CHROMIUM = "/usr/bin/chromium";

/** Why pages cannot be looked at here, or false. */
export function noChromium(): string | false {
	return existsSync(CHROMIUM) ? false : "chromium is not installed";
}

/** A browser that ends with the test. */
export async function openBrowser(t: Test): Promise<BrowserContext> {
	const browser = await chromium.launch({
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
	t.teardown(() => browser.close());
	return await browser.newContext({ viewport: { width: 1280, height: 900 } });
}

/** What went wrong on a page: its own errors, and requests that failed. Grows while the page is open. */
export function troubles(page: Page): string[] {
	const said: string[] = [];
	page.on("pageerror", (error) => said.push(String(error)));
	page.on("console", (message) => {
		if (message.type() === "error") said.push(message.text());
	});
	return said;
}

/** Takes pictures of a page, on a desk and on a phone, into the folder that LARDER_SHOTS names, if it does. */
export async function shoot(t: Test, page: Page, name: string): Promise<void> {
	const folder = process.env["LARDER_SHOTS"] ?? (await temporary(t));
	await mkdir(folder, { recursive: true });
	const before = page.viewportSize();
	await page.screenshot({ path: join(folder, `${name}.png`) });
	await page.setViewportSize({ width: 390, height: 844 });
	const overflow = await page.evaluate(
		"document.documentElement.scrollWidth - innerWidth",
	);
	t.ok(Number(overflow) <= 0, `${name} fits a phone`);
	const path = join(folder, `${name}-phone.png`);
	await page.screenshot({ path, fullPage: true });
	if (before !== null) await page.setViewportSize(before);
}
