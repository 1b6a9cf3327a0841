import { join } from "node:path";
import t from "tap";
import { HeadendClient } from "../../../src/headend/api/client.ts";
import type { RolloutView } from "../../../src/headend/rollout/view.ts";
import { noChromium, openBrowser, shoot, troubles } from "../browser.ts";
import { larder, openDesk, poll } from "../desk.ts";
import { addUnit, bundle, release } from "./network.ts";

t.setTimeout(500_000);

t.test("a good release reaches every box, a bad one a few", async (t) => {
	const desk = await openDesk(t, { copies: 2 });
	const { dir } = desk.operator;
	const boxes = [];
	for (const name of ["one", "two", "three"])
		boxes.push(await addUnit(t, desk, name));
	const headend = await HeadendClient.open(dir);
	const until = (what: string, fits: (view: RolloutView) => boolean) =>
		poll(what, async () => {
			const [view] = await headend.rollouts();
			return view !== undefined && fits(view) && view;
		});
	const versions = async () =>
		(await headend.boxes()).map(({ version }) => version);
	const start = async (version: string) => {
		const how = ["--waves", "40%,100%", "--abort-at", "2%", "--soak", "1 s"];
		const args = ["rollout", "start", version, ...how, "-d", dir];
		t.match(await larder(...args), { code: 0, said: /on its way/ });
	};
	t.match(await larder("rollout", "start", "0.2.0", "-d", dir), {
		code: 1,
		said: /no release 0\.2\.0 is published/,
	});

	await release(desk, await bundle(join(desk.dir, "good"), "0.2.0"));
	await poll("the headend has seen it", async () => {
		const titles = await headend.titles();
		return titles.some(({ kind }) => kind === "release");
	});
	await start("0.2.0");
	const done = await until("every box has it", ({ state }) => state === "done");
	t.match(done, { version: "0.2.0", boxes: 3, done: 3, failed: 0 });
	t.same(await versions(), ["0.2.0", "0.2.0", "0.2.0"]);
	const said = await larder("rollout", "status", "-d", dir);
	t.match(said, { code: 0, said: /0\.2\.0: done.*have it 3, failed 0/s });

	const crash = join(import.meta.dirname, "bad/crash.ts");
	await release(desk, await bundle(join(desk.dir, "bad"), "0.3.0", crash));
	await poll("the headend has seen it", async () => {
		const titles = await headend.titles();
		return titles.filter(({ kind }) => kind === "release").length === 2;
	});
	await start("0.3.0");
	const paused = await until("it pauses", ({ state }) => state === "paused");
	t.match(paused, { version: "0.3.0", done: 0 });
	t.match(paused.failures, [{ code: "rolled-back" }]);
	await poll("all are back", async () =>
		(await headend.boxes()).every(
			({ version, online }) => online && version === "0.2.0",
		),
	);
	t.match(await larder("rollout", "status", "-d", dir), {
		said: /0\.3\.0: paused, \d of \d that answered failed/,
	});
	await t.test("the page shows it, and ends it", async (t) => {
		const skip = noChromium();
		if (skip !== false) {
			t.comment(skip);
			return;
		}
		const page = await (await openBrowser(t)).newPage();
		const said = troubles(page);
		await page.goto(await desk.pageUrl);
		const row = page.locator("#rollouts tr").first();
		await row.getByText("paused", { exact: true }).waitFor();
		t.match(await row.innerText(), /0\.3\.0.*that answered failed/s);
		await shoot(t, page, "rollout");
		await row.getByRole("button", { name: /End/ }).click();
		const dialog = page.getByRole("dialog");
		await dialog.getByRole("button", { name: "End the update to" }).click();
		await row.getByText("aborted", { exact: true }).waitFor();
		t.same(said, []);
	});
	const again = await larder("rollout", "abort", "-d", dir);
	t.match(again, noChromium() ? { code: 0 } : { code: 1, said: /is aborted/ });
	const changes = await headend.audit(0);
	t.match(changes[0], { action: "rollout-abort", who: "operator" });
	const pause = changes.find(({ action }) => action === "rollout-pause");
	t.match(pause, { who: "headend", subject: "0.3.0" });
});
