import t from "tap";
import { noChromium, openBrowser, shoot, troubles } from "./browser.ts";
import { addBoxes, filled, openDesk, poll, publishSource } from "./desk.ts";
import { CLIP } from "./media.ts";

t.setTimeout(240_000);

const BOXES = 4;
const COPIES = 2;

/** What the page says, as numbers: percent of the region, percent of each box, and words for the title. */
interface Shown {
	readonly region: string;
	readonly boxes: readonly string[];
	readonly title: string;
}

/** Notes what the page shows whenever it changes. */
const noting = `shown = [];
new MutationObserver(() => {
	const text = (place) => place?.innerText.replaceAll("\\u00a0", " ") ?? "";
	const figures = [...document.querySelectorAll("#figures article")];
	const now = {
		region: text(figures.find((each) => /fill level/i.test(text(each)))?.querySelector("strong")),
		boxes: [...document.querySelectorAll("#boxes .level span")].map(text),
		title: text(document.querySelector("#titles tr")),
	};
	if (JSON.stringify(now) !== JSON.stringify(shown.at(-1))) shown.push(now);
}).observe(document.body, { subtree: true, childList: true, characterData: true });`;

t.test(
	"the operator's page shows the boxes filling",
	{
		skip: noChromium(),
	},
	async (t) => {
		const desk = await openDesk(t, { copies: COPIES });
		// Slow enough to be watched: a second for each of the trunk's 256 KiB.
		await addBoxes(desk, BOXES, { originRate: "200 KiB/s", up: "400 KiB/s" });
		const browser = await openBrowser(t);
		const page = await browser.newPage();
		const said = troubles(page);
		await page.goto(await desk.pageUrl);
		t.notMatch(page.url(), /token/, "the token leaves the address bar");
		await page.getByText(`${BOXES} of ${BOXES} boxes online`).waitFor();
		await page.evaluate(noting);

		const film = await publishSource(desk, CLIP);
		const shown = () => page.evaluate("shown") as Promise<Shown[]>;
		const percent = ({ region }: Shown) => Number.parseFloat(region);
		await poll("a fill level on the page between none and all", async () =>
			(await shown()).some((now) => percent(now) > 0 && percent(now) < 100),
		);
		await shoot(t, page, "filling");
		await filled(desk, COPIES * film.shards);
		await poll("every fill level on the page at 100 %", async () => {
			const last = (await shown()).at(-1);
			return (
				last?.region === "100 %" &&
				last.boxes.length === BOXES &&
				last.boxes.every((level) => level === "100 %")
			);
		});
		const levels = (await shown()).map(percent).filter((level) => level >= 0);
		t.ok(new Set(levels).size >= 3, `levels were shown: ${levels.join(", ")}`);
		t.same(
			levels,
			levels.toSorted((a, b) => a - b),
			"they only rise",
		);
		await page.getByText("in place", { exact: true }).waitFor();
		await shoot(t, page, "filled");

		const [box] = desk.boxes;
		await box?.process?.stop();
		await page.getByText(`${BOXES - 1} of ${BOXES} boxes online`).waitFor();
		t.same(said, []);
	},
);
