import { mayAct } from "./acts.js";
import {
	ago,
	byLevel,
	bytes,
	el,
	keyed,
	meter,
	percent,
	plural,
} from "./format.js";

/** More rows than these are asked for by searching. */
const MOST_ROWS = 100;
const CHOICES = [
	["all", "All"],
	["filling", "Filling"],
	["short", "Needs a look"],
	["away", "Away"],
	["out", "Shut out"],
];
/** Why a box needs a person, in a word. */
const CONCERNS = {
	"disk-failing": "disk is failing",
	"disk-read-only": "disk is read-only",
	"disk-full": "disk is full",
	"disk-slow": "disk is slow",
	"disk-loses": "disk loses blocks",
	worn: "flash is worn",
	short: "no room for long",
};
const choice = { tone: "all", words: "" };

/** The map of all boxes, and the table of those chosen. */
export function showBoxes(boxes) {
	const rows = boxes.filter((box) => !box.revoked);
	const wanted = boxes.filter(chosen);
	document.getElementById("boxes-sum").textContent =
		rows.length === 0 ? "" : summary(rows);
	showMap(rows);
	showChoices(boxes);
	keyed(
		document.getElementById("boxes"),
		wanted.slice(0, MOST_ROWS).map((box) => ({ ...box, acts: mayAct() })),
		(box) => box.id,
		row,
	);
	const none = document.getElementById("boxes-none");
	const more = wanted.length - MOST_ROWS;
	none.hidden = boxes.length > 0 && wanted.length > 0 && more <= 0;
	none.textContent =
		boxes.length === 0
			? "No box has reported yet. larder issue makes one, and larder enrol lets many in."
			: wanted.length === 0
				? "No box is like that."
				: `${plural(more, "more box", "more boxes")}: search, or pick one on the map.`;
}

/** Calls back whenever the person chooses other boxes. */
export function onChoice(changed) {
	const find = document.getElementById("find");
	find.addEventListener("input", () => {
		choice.words = find.value.trim().toLowerCase();
		changed();
	});
	document.getElementById("choose").addEventListener("click", (event) => {
		const tone = event.target.closest("button")?.dataset.tone;
		if (tone === undefined) return;
		choice.tone = tone;
		changed();
	});
	document.getElementById("map").addEventListener("click", (event) => {
		const name = event.target.closest("button")?.dataset.serial;
		if (name === undefined) return;
		find.value = find.value === name ? "" : name;
		choice.words = find.value.toLowerCase();
		choice.tone = "all";
		changed();
	});
}

function chosen(box) {
	if (box.revoked !== (choice.tone === "out")) return false;
	if (!box.revoked && choice.tone !== "all" && standing(box)[0] !== choice.tone)
		return false;
	return (
		choice.words === "" ||
		box.serial.toLowerCase().includes(choice.words) ||
		box.id.startsWith(choice.words)
	);
}

/** Tone, and words. */
function standing(box) {
	if (box.revoked) return ["out", `shut out, ${ago(box.revokedAt)}`];
	if (!box.online) return ["away", `away, ${ago(box.turnedAt)}`];
	if (box.capacity === null) return ["away", "has not reported its room"];
	if (box.part === "out") return ["short", "household opted out"];
	if (box.part === "draining") return ["short", "hands on what it has"];
	if (box.reach === "none") return ["short", "cannot be reached"];
	const [concern] = box.concerns;
	if (concern !== undefined) return ["short", CONCERNS[concern.kind]];
	if (box.phase === "short")
		return ["short", `short: ${box.code ?? "no room"}`];
	if (box.phase === "failed" || box.phase === "refused")
		return ["short", `${box.phase}: ${box.code ?? "no reason given"}`];
	if (box.held < box.placed || (box.rev ?? 0) > (box.saidRev ?? 0))
		return ["filling", "filling"];
	const words = box.power === "standby" ? "in standby" : "online";
	return ["whole", box.placed > 0 ? words : `${words}, nothing placed`];
}

function summary(rows) {
	const online = rows.filter((box) => box.online).length;
	return `${online.toLocaleString("en")} of ${plural(rows.length, "box", "boxes")} online`;
}

function showChoices(boxes) {
	const counts = { all: 0, filling: 0, short: 0, away: 0, whole: 0, out: 0 };
	for (const box of boxes) {
		counts[standing(box)[0]]++;
		if (!box.revoked) counts.all++;
	}
	keyed(
		document.getElementById("choose"),
		CHOICES.map(([tone, name]) => ({
			tone,
			text: `${name} ${counts[tone].toLocaleString("en")}`,
			pressed: choice.tone === tone,
		})).filter(
			({ tone, pressed }) => tone !== "out" || counts.out > 0 || pressed,
		),
		({ tone }) => tone,
		({ tone, text, pressed }) =>
			el(
				"button.field.choice",
				{ type: "button", "data-tone": tone, "aria-pressed": String(pressed) },
				text,
			),
	);
	const used = choice.words !== "" || choice.tone !== "all";
	document.querySelector(".tools").classList.toggle("used", used);
}

function showMap(rows) {
	const map = document.getElementById("map");
	const large = rows.length <= 24;
	const [tile, tall, gap] = large
		? ["12rem", "4.6rem", "10px"]
		: rows.length <= 150
			? ["2.2rem", "2.2rem", "5px"]
			: ["1.15rem", "1.15rem", "3px"];
	map.classList.toggle("large", large);
	map.style.setProperty("--tile", tile);
	map.style.setProperty("--tall", tall);
	map.style.setProperty("--gap", gap);
	keyed(
		map,
		rows.map((box) => ({
			id: box.id,
			serial: box.serial,
			standing: standing(box),
			level: box.placed > 0 ? percent(box.held, box.placed) : "",
			height: box.placed > 0 ? Math.round((100 * box.held) / box.placed) : 0,
			dim: !chosen(box),
		})),
		({ id }) => id,
		({ serial, standing: [tone, words], level, height, dim }) => {
			const fill = el("i.water");
			fill.style.height = `${Math.min(100, height)}%`;
			const label = level
				? `${serial}: ${words}, ${level} of what is placed`
				: `${serial}: ${words}`;
			return el(
				`button.tile.${tone}${dim ? ".dim" : ""}`,
				{
					type: "button",
					title: label,
					"aria-label": label,
					"data-name": serial,
				},
				fill,
				el(
					"span.words",
					{},
					serial,
					el("small.detail", {}, level === "" ? words : `${level} · ${words}`),
				),
			);
		},
	);
}

function row(box) {
	const [tone, words] = standing(box);
	const known = box.capacity !== null;
	const count = (value) => el("td.n", {}, known ? bytes(value) : "–");
	return el(
		`tr.${tone}`,
		{},
		el(
			"td",
			{ title: box.levels?.join(", ") },
			el("div.name", {}, box.serial),
			el("small.note.id", {}, box.id.slice(0, 8)),
		),
		el(
			"td",
			{ title: box.version === null ? undefined : `version ${box.version}` },
			el(`span.state.${tone}`, {}, words),
			...(box.revokedWhy ? [el("small.note.reason", {}, box.revokedWhy)] : []),
		),
		el(
			"td",
			{},
			known && box.placed > 0 && !box.revoked
				? el(
						"div.level",
						{ title: room(box) },
						meter([[box.held / box.placed]], "held of placed"),
						el("span", {}, percent(box.held, box.placed)),
					)
				: "–",
			...(box.missing > 0
				? [el("small.note.reason", {}, `no room for ${bytes(box.missing)}`)]
				: []),
		),
		count(box.placed),
		el(
			"td.n",
			{
				title: byLevel(box.near, box.fromNeighbours) || undefined,
			},
			known ? bytes(box.fromNeighbours) : "–",
		),
		count(box.fromOrigin),
		count(box.toNeighbours),
		el("td.n", {}, box.neighbours === null ? "–" : String(box.neighbours)),
		disk(box),
		...(box.acts ? [el("td.n", {}, ...shutter(box))] : []),
	);
}

function room({ used, capacity, reserved, reserve }) {
	const all = [`${bytes(used)} used of ${bytes(capacity)}`];
	if (reserved !== null) all.push(`${bytes(reserved)} with what is begun`);
	if (reserve !== null) all.push(`${bytes(reserve)} left to others`);
	return all.join(", ");
}

/** How its disk does, what was written to it, and what it lost. An older box does not tell. */
function disk({ disk, written, wear }) {
	if (disk === null) return el("td", {}, "–");
	const { state, unreadable, changed, mended, scrubbed } = disk;
	const all = [
		`${unreadable} unreadable, ${changed} changed and ${mended} mended since the agent started`,
		`${bytes(scrubbed)} read through`,
	];
	if (written !== null)
		all.push(
			`${bytes(written.boot)} written since the boot, ${bytes(written.all)} in all`,
		);
	if (wear !== null) all.push(`flash is up to ${wear.used}\u00a0% worn`);
	const lost = unreadable + changed;
	const notes = [
		...(lost > 0 ? [`${plural(lost, "block")} lost`] : []),
		...(written !== null ? [`${bytes(written.all)} written`] : []),
	];
	return el(
		"td",
		{ title: all.join("; ") },
		state,
		...notes.map((note) => el("small.note.line", {}, note)),
	);
}

/** The button that shuts a box out. */
function shutter({ id, serial, revoked }) {
	if (revoked) return [];
	const attributes = {
		type: "button",
		"data-act": "revoke",
		"data-subject": id,
		"data-name": serial,
		"aria-label": `Shut out ${serial}`,
	};
	return [el("button.field.act", attributes, "Shut out…")];
}
