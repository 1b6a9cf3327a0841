import { existsSync } from "node:fs";
import { chromium } from "playwright-core";
import { Registry } from "prom-client";
import t from "tap";
import { silent } from "../../src/base/log.ts";
import type { BoxView } from "../../src/gateway/box.ts";
import { startGateway } from "../../src/gateway/server.ts";
import { timeOf } from "../../src/wire/envelope.ts";
import { box, Shelf } from "./shelf.ts";

const CHROMIUM = "/usr/bin/chromium";
const SIZES = {
	TV: { width: 1920, height: 1080 },
	"large TV": { width: 3840, height: 2160 },
	phone: { width: 390, height: 844 },
};

const view = await box();
let shown: BoxView | undefined = view;
const gateway = await startGateway({
	...{ host: "127.0.0.1", port: 0, library: new Shelf(), log: silent },
	...{ time: timeOf(Date.now), registry: new Registry(), token: "secret" },
	ready: () => ({ ready: true, why: "" }),
	box: async () => {
		if (shown === undefined) throw new Error("it is off");
		return shown;
	},
});
t.teardown(() => gateway.close());

t.test("the household's page is behind the token", async (t) => {
	const outside = gateway.base.replace("/t/secret", "");
	for (const path of ["/box/", "/box/status", "/box/box.js", "/page/box.js"])
		t.equal((await fetch(`${outside}${path}`)).status, 404, path);
	for (const path of ["/box/", "/box/box.css", "/box/week.js", "/box/icon.svg"])
		t.equal((await fetch(`${gateway.base}${path}`)).status, 200, path);
	for (const path of ["/box/index.html", "/box/player.js", "/box/x"])
		t.equal((await fetch(`${gateway.base}${path}`)).status, 404, path);
	const answer = await fetch(`${gateway.base}/box/status`);
	t.same(await answer.json(), JSON.parse(JSON.stringify(view)));
	t.equal(answer.headers.get("access-control-allow-origin"), null);
});

t.test(
	"what the household sees",
	{ skip: !existsSync(CHROMIUM) && "there is no chromium" },
	async (t) => {
		const browser = await chromium.launch({
			executablePath: CHROMIUM,
			args: ["--no-sandbox", "--disable-gpu"],
		});
		t.teardown(() => browser.close());
		for (const [name, viewport] of Object.entries(SIZES)) {
			const page = await browser.newPage({ viewport });
			const faults: string[] = [];
			page.on("pageerror", ({ message }) => faults.push(message));
			shown = view;
			await page.goto(`${gateway.base}/box/`);
			await page.getByText("Giving to neighbours").waitFor();
			const text = (await page.innerText("main")).replaceAll(/\s+/g, " ");
			for (const part of [
				"3.3 Mbit/s now. 12 neighbours.",
				"7.3 GiB given to neighbours",
				"25.0 GiB always left to your recordings",
				"While you watch TV or record nothing",
				"The operator's hours, Europe/Berlin.",
				"It does not fill at this hour",
			])
				t.ok(text.includes(part), `${name}: ${part}`);
			t.equal(await page.locator("#week .cell").count(), 168);
			t.equal(await page.locator("#week .standby").count(), 35);
			t.equal(await page.locator("#week .some").count(), 35);
			t.equal(await page.locator("#week .now").count(), 1);
			const [wide, high] = (await page.evaluate(
				"[document.documentElement.scrollWidth, document.documentElement.scrollHeight]",
			)) as [number, number];
			t.equal(wide, viewport.width, `${name}: nothing stands out`);
			if (name !== "phone") t.equal(high, viewport.height, "all at once");

			const { household, ...rest } = view;
			if (household === undefined) throw new Error();
			const told = (more: Partial<typeof household>): BoxView => ({
				...rest,
				household: { ...household, give: "none", ...more },
			});
			shown = told({ why: "live", activity: "live" });
			await page.getByText("At rest").waitFor();
			await page.getByText("You watch TV.").waitFor();
			shown = told({ why: "paused", paused: 90 * 60_000 });
			await page.getByText("For 1 h 30 min more.").waitFor();
			shown = { ...view, hours: undefined, hour: undefined };
			await page.getByText("Whenever the receiver is on.").waitFor();
			t.equal(await page.locator("#week").isVisible(), false);
			t.equal(await page.locator("#key").isVisible(), false);
			shown = undefined;
			await page.getByText("No answer").waitFor();
			t.same(faults, [], name);
			await page.close();
		}
	},
);
