import { learnRole, listen } from "./acts.js";
import { showArrivals } from "./arrivals.js";
import { showAttention } from "./attention.js";
import { onChoice, showBoxes } from "./boxes.js";
import { showChanges } from "./changes.js";
import { showFigures } from "./figures.js";
import { plural } from "./format.js";
import { showPurges } from "./purges.js";
import { showQuality } from "./quality.js";
import { showRollouts } from "./rollouts.js";
import { showTitles } from "./titles.js";

/** What the headend last said, by kind of news and id. */
const news = {
	overview: new Map(),
	boxes: new Map(),
	titles: new Map(),
	quality: new Map(),
	purges: new Map(),
	rollouts: new Map(),
	enrolments: new Map(),
	changes: new Map(),
};
let drawing = false;

function take(kind, { whole, changed, gone }) {
	const rows = news[kind];
	if (whole) rows.clear();
	for (const id of gone) rows.delete(id);
	for (const row of changed) rows.set(row.id, row);
	draw();
}

/** Once a frame, however much news came in it. */
function draw() {
	if (drawing) return;
	drawing = true;
	requestAnimationFrame(() => {
		drawing = false;
		const [overview] = news.overview.values();
		if (overview === undefined) return;
		const titles = [...news.titles.values()];
		document.title = `Larder ${overview.region}`;
		document.getElementById("place").textContent =
			`${overview.region} · epoch ${overview.epoch} · ${plural(overview.copies, "copy", "copies")} of each shard`;
		showAlarm(overview);
		showFigures(document.getElementById("figures"), overview, titles);
		showArrivals([...news.enrolments.values()], overview.enrol);
		showTitles(titles, overview.copies);
		showQuality([...news.quality.values()], titles);
		showPurges([...news.purges.values()]);
		showRollouts([...news.rollouts.values()]);
		const boxes = [...news.boxes.values()].toSorted(
			(a, b) =>
				a.serial.localeCompare(b.serial, "en", { numeric: true }) ||
				(a.id < b.id ? -1 : 1),
		);
		showAttention(boxes);
		showBoxes(boxes);
		showChanges([...news.changes.values()], news.boxes, overview.refused);
	});
}

function showAlarm({ broker, missing, enrol, forgery }) {
	const lines = [];
	if (forgery !== null)
		lines.push(
			`Somebody else signs with revoke key ${forgery.serial}: replace it with larder keys rotate revoke, then larder keys retire revoke.`,
		);
	if (!broker.connected)
		lines.push(
			`The broker is away${broker.trouble ? `: ${broker.trouble}` : ""}. Boxes keep playing; what they report and are told waits.`,
		);
	if (missing > 0)
		lines.push(
			`${plural(missing, "copy", "copies")} of shards found no box: the boxes are too few or too full.`,
		);
	if (enrol.listener?.connected === false)
		lines.push(
			`New boxes are not heard${enrol.listener.trouble ? `: ${enrol.listener.trouble}` : ""}.`,
		);
	const alarm = document.getElementById("alarm");
	alarm.hidden = lines.length === 0;
	alarm.textContent = lines.join(" ");
}

function link(state, words) {
	const place = document.getElementById("link");
	place.className = state;
	place.querySelector("span").textContent = words;
}

const events = new EventSource("api/events");
events.addEventListener("open", () => link("live", "live"));
events.addEventListener("error", () =>
	link(
		"lost",
		events.readyState === EventSource.CLOSED
			? "not let in any more: open the page by its link again"
			: "the headend does not answer; trying again",
	),
);
for (const kind of Object.keys(news))
	events.addEventListener(kind, (event) => take(kind, JSON.parse(event.data)));
onChoice(draw);
listen();
await learnRole();
draw();
