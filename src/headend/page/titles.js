import { mayAct } from "./acts.js";
import { bytes, el, keyed, meter, percent, plural } from "./format.js";

/** One row for each title: how far it has spread. */
export function showTitles(titles, copies) {
	const rows = titles.toSorted((a, b) => b.publishedAt - a.publishedAt);
	const whole = rows.filter((title) => standing(title, copies)[0] === "whole");
	document.getElementById("titles-origin").hidden = rows.every(
		({ sentByOrigin }) => sentByOrigin === null,
	);
	document.getElementById("titles-none").hidden = rows.length > 0;
	document.getElementById("titles-sum").textContent =
		rows.length === 0 ? "" : `${whole.length} of ${rows.length} in place`;
	keyed(
		document.getElementById("titles"),
		rows.map((title) => ({ ...title, copies, acts: mayAct() })),
		(title) => title.id,
		row,
	);
}

/** Tone, and words. */
function standing(title, copies) {
	if (title.placed === 0) return ["away", "waiting for boxes"];
	if (title.fewest === 0) return ["short", "some shards find no box"];
	if (title.held < title.placed)
		return ["filling", `spreading to ${plural(title.boxes, "box", "boxes")}`];
	if (title.fewest < copies) return ["short", "in place, short of copies"];
	return ["whole", "in place"];
}

function row(title) {
	const [tone, words] = standing(title, title.copies);
	const wanted = title.shards * title.copies;
	const held = title.held / title.shards;
	return el(
		`tr.${tone}`,
		{},
		el(
			"td",
			{},
			el("div.name", {}, title.name),
			el("small.note", {}, details(title)),
		),
		el("td.n", {}, bytes(title.size)),
		el(
			"td",
			{},
			el(
				"div.level",
				{ title: `${title.held} of ${wanted} copies of shards` },
				meter([[title.held / wanted]], "held"),
				el("span", {}, percent(title.held, wanted)),
			),
		),
		el(
			"td.n",
			{ title: "held on average, of those asked for" },
			held.toFixed(1),
			el("small.note", {}, ` of ${title.copies}`),
		),
		el("td.n", {}, String(title.boxes)),
		...(title.sentByOrigin === null
			? []
			: [
					el(
						"td.n",
						{
							title: `${(title.sentByOrigin / title.size).toFixed(2)} × the title`,
						},
						bytes(title.sentByOrigin),
					),
				]),
		el(
			"td",
			{},
			el(`span.state.${tone}`, {}, words),
			...(title.short > 0
				? [
						el(
							"small.note.reason",
							{},
							`no room on ${plural(title.short, "box", "boxes")}`,
						),
					]
				: []),
		),
		...(title.acts ? [el("td.n", {}, taker(title))] : []),
	);
}

/** The button that takes a title back. */
function taker({ id, name }) {
	const attributes = {
		type: "button",
		"data-act": "purge",
		"data-subject": id,
		"data-name": name,
		"aria-label": `Take back ${name}`,
	};
	return el("button.field.act", attributes, "Take back…");
}

function details(title) {
	const parts = [el("span.id", {}, title.id.slice(0, 8))];
	if (title.kind === "release") parts.push(" release");
	if (title.duration > 0) parts.push(`, ${length(title.duration)}`);
	parts.push(`, ${plural(title.shards, "shard")}`);
	return parts.reduce((all, part) => {
		all.append(part);
		return all;
	}, document.createDocumentFragment());
}

function length(seconds) {
	return seconds < 90
		? `${Math.round(seconds)} s`
		: `${Math.round(seconds / 60)} min`;
}
