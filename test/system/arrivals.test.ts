import t from "tap";
import { addBatch } from "../../src/headend/enrol/batches.ts";
import { apiRig } from "../headend/apirig.ts";
import { Applicant, OWN, SHARED } from "../headend/enrol/office.ts";
import { fillOf, stateOf } from "../headend/fixture.ts";
import { noChromium, openBrowser, shoot, troubles } from "./browser.ts";

t.setTimeout(120_000);

t.test(
	"an operator lets boxes in on the page",
	{ skip: noChromium() },
	async (t) => {
		const it = await apiRig(t);
		const { operator, fleet } = it;
		const { registrar } = it.options.enrolment;
		await addBatch(operator, OWN, false);
		await addBatch(operator, SHARED, true);
		const live = await it.box();
		fleet.recordState(live, stateOf(live));
		fleet.recordFill(live, fillOf({ placedBytes: 9, heldBytes: 9 }));
		await fleet.flush();
		const browser = await openBrowser(t);
		const page = await browser.newPage();
		const said = troubles(page);
		await page.goto(`http://127.0.0.1:${it.port}/?token=${it.token}`);
		await page.getByText("1 of 1 box online").waitFor();
		const part = page.locator("#arrivals-part");
		t.notOk(
			await part.isVisible(),
			"where no box enrols, nothing is said of it",
		);

		const own = new Applicant(operator, "NEW-0001");
		const common = new Applicant(operator, "NEW-0002", SHARED);
		const copy = new Applicant(operator, "SN-0001");
		for (const box of [own, common, copy])
			await registrar.hear(box.id, box.ask(await box.claim()).message);
		await page.getByText("its claim is one that many know").waitFor();
		t.equal(await page.locator("#arrivals tr").count(), 3);
		await shoot(t, page, "arrivals");

		await page.getByRole("button", { name: "Let in NEW-0001" }).click();
		await page.locator("#boxes").getByText("NEW-0001").waitFor();
		await page.getByRole("button", { name: "Let in SN-0001" }).click();
		await page.getByText("is shut out for good").waitFor();
		t.notOk(await page.getByLabel("Why?").isVisible());
		await shoot(t, page, "replace");
		await page.getByRole("button", { name: "Let in", exact: true }).click();
		await page.locator("#boxes").getByText(copy.id.slice(0, 8)).waitFor();
		t.match(it.revoked, [[live, /^SN-0001 was given/]]);

		await page.getByRole("button", { name: "Turn away NEW-0002" }).click();
		const why = page.getByLabel("Why?");
		await why.press("Enter");
		t.ok(await why.isVisible(), "no reason, no change");
		await why.fill("not one of ours");
		await why.press("Enter");
		await part.waitFor({ state: "hidden" });
		await page.locator("#changes").getByText("not one of ours").waitFor();
		await shoot(t, page, "arrived");

		const viewer = await it.post("/api/token/add", {
			name: "noc",
			role: "viewer",
		});
		const late = new Applicant(operator, "NEW-0003");
		await registrar.hear(late.id, late.ask(await late.claim()).message);
		const token = JSON.parse(viewer.text).token;
		const looking = await browser.newPage();
		await looking.goto(`http://127.0.0.1:${it.port}/?token=${token}`);
		await looking.getByText("NEW-0003").waitFor();
		const button = looking.getByRole("button", { name: /^Let in/ });
		t.equal(await button.count(), 0);
		t.same(said, []);
	},
);
