import { ago, el, keyed, plural } from "./format.js";

/** More than these are listed by larder attention. */
const MOST_ROWS = 20;

/** Boxes that need a person: why, since when and what to do; nothing, where none does. */
export function showAttention(boxes) {
	const rows = boxes.flatMap(({ id, serial, concerns }) =>
		concerns.map((concern) => ({
			...{ ...concern, id, serial },
			since: concern.since === null ? "–" : ago(concern.since),
		})),
	);
	document.getElementById("attention-part").hidden = rows.length === 0;
	const troubled = new Set(rows.map(({ id }) => id)).size;
	const more = rows.length - MOST_ROWS;
	document.getElementById("attention-sum").textContent =
		more > 0
			? `the first ${MOST_ROWS} of ${rows.length}; all: larder attention`
			: plural(troubled, "box", "boxes");
	keyed(
		document.getElementById("attention"),
		rows.slice(0, MOST_ROWS),
		({ id, kind }) => `${id} ${kind}`,
		row,
	);
}

function row({ id, serial, text, since, remedy, kind }) {
	const tone = kind === "short" ? "short" : "out";
	return el(
		`tr.${tone}`,
		{},
		el(
			"td",
			{},
			el("div.name", {}, serial),
			el("small.note.id", { title: id }, id.slice(0, 8)),
		),
		el("td", {}, el(`span.state.loose.${tone}`, {}, text)),
		el("td.when", {}, since),
		el("td.reason", {}, remedy),
	);
}
