import type { Page } from "playwright-core";
import t from "tap";
import { apiRig } from "../headend/apirig.ts";
import { fillOf, stateOf } from "../headend/fixture.ts";
import { noChromium, openBrowser, shoot, troubles } from "./browser.ts";

t.setTimeout(120_000);

t.test(
	"an operator changes things on the page, a viewer sees them changed",
	{ skip: noChromium() },
	async (t) => {
		const it = await apiRig(t);
		const boxes = [await it.box(), await it.box(), await it.box()];
		for (const box of boxes) {
			it.fleet.recordState(box, stateOf(box));
			it.fleet.recordFill(box, fillOf({ placedBytes: 9, heldBytes: 9 }));
		}
		await it.fleet.flush();
		const made = await it.post("/api/token/add", {
			name: "noc",
			role: "viewer",
		});
		const viewer = String(JSON.parse(made.text).token);
		const base = `http://127.0.0.1:${it.port}`;
		const browser = await openBrowser(t);
		const said: string[] = [];
		const open = async (token: string): Promise<Page> => {
			const page = await browser.newPage();
			const troubled = troubles(page);
			page.on("close", () => said.push(...troubled));
			await page.goto(`${base}/?token=${token}`);
			t.equal(page.url(), `${base}/`, "the token leaves the address bar");
			return page;
		};

		const page = await open(it.token);
		await page.locator("#me", { hasText: "operator" }).waitFor();
		await page.getByText("3 of 3 boxes online").waitFor();
		t.equal(await page.evaluate("document.cookie"), "");
		await page.getByRole("button", { name: "Plan anew" }).click();
		await page.locator("#changes").getByText("planned anew").waitFor();
		const shut = page.getByRole("button", { name: "Shut out SN-0002" });
		await shut.click();
		await shoot(t, page, "shut-out");
		await page.getByRole("button", { name: "Cancel" }).click();
		await shut.click();
		const why = page.locator("dialog[open]").getByLabel("Why?");
		await why.press("Enter");
		t.ok(await why.isVisible(), "no reason, no change");
		await why.fill("stolen from the van");
		await why.press("Enter");
		await page.getByText("2 of 2 boxes online").waitFor();
		const change = page.locator("#changes tr", { hasText: "shut out SN-0002" });
		await change.getByText("stolen from the van").waitFor();
		t.same(it.revoked, [[boxes[1], "stolen from the van"]]);
		await page.getByRole("button", { name: "Shut out 1" }).click();
		await page.locator("#boxes").getByText("stolen from the van").waitFor();
		await shoot(t, page, "operator");
		await page.getByRole("button", { name: "Take back Film" }).click();
		await page.locator("dialog[open]").getByLabel("Why?").fill("rights ended");
		await page.locator("dialog[open]").getByLabel("Why?").press("Enter");
		const taken = page.locator("#purges tr", { hasText: "Film" });
		await taken.getByText("rights ended").waitFor();
		await taken.getByText("SN-0001: not yet").waitFor();
		await shoot(t, page, "taken-back");
		await page.getByRole("button", { name: "Give back Film" }).click();
		await page.locator("dialog[open]").getByLabel("Why?").fill("a mistake");
		await page.locator("dialog[open]").getByLabel("Why?").press("Enter");
		await taken.waitFor({ state: "detached" });
		await page.locator("#changes").getByText("gave back").waitFor();
		await it.database.query("ALTER TABLE audit RENAME TO lost");
		await page.getByRole("button", { name: "Plan anew" }).click();
		await page.getByText("That did not work").waitFor();
		await it.database.query("ALTER TABLE lost RENAME TO audit");
		await page.close();

		// In the same browser: the newer cookie replaces the older.
		const looking = await open(viewer);
		await looking.getByText("noc, viewer").waitFor();
		await looking.getByText("2 of 2 boxes online").waitFor();
		await looking.getByText("stolen from the van").first().waitFor();
		for (const name of [/Plan anew/, /Shut out SN/, /Take back/])
			t.equal(await looking.getByRole("button", { name }).count(), 0);
		await shoot(t, looking, "viewer");
		const refused = await looking.evaluate(
			`fetch("api/plan", { method: "POST", headers: { "content-type": "application/json" }, body: "{}" }).then((r) => r.status)`,
		);
		t.equal(refused, 403, "and could not press them");
		await it.post("/api/token/remove", { name: "noc" });
		await looking.getByText("not let in any more").waitFor();
		await looking.close();
		const refusals = /status of (401|403|503) /;
		t.same(
			said.filter((words) => !refusals.test(words)),
			[],
			"nothing but what was refused on purpose",
		);
	},
);
