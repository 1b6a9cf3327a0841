import { mayAct } from "./acts.js";
import { ago, el, keyed, moment, plural } from "./format.js";

/** So many boxes that still have a title are named. */
const NAMED = 5;

/** Titles that are taken back, newest first, and how far they are gone. */
export function showPurges(purges) {
	document.getElementById("purges-part").hidden = purges.length === 0;
	const late = purges.filter(({ stragglers }) => stragglers.length > 0);
	document.getElementById("purges-sum").textContent =
		late.length === 0
			? "gone from every box"
			: `${late.length} of ${purges.length} not gone from every box`;
	keyed(
		document.getElementById("purges"),
		purges
			.toSorted((a, b) => b.at - a.at)
			.map((purge) => ({
				...purge,
				acts: mayAct(),
				open: purge.removedAt === null && purge.final > Date.now(),
			})),
		(purge) => purge.id,
		row,
	);
}

function row(purge) {
	const [tone, words] = standing(purge);
	return el(
		`tr.${tone}`,
		{},
		el(
			"td",
			{},
			el("div.name", {}, purge.name ?? "not published here"),
			el("small.note.id", {}, purge.id.slice(0, 8)),
		),
		el(
			"td.when",
			{ title: new Date(purge.at).toISOString() },
			moment(purge.at),
		),
		el("td.reason", {}, purge.why ?? ""),
		...["deleted", "hidden", "waiting"].map((state) =>
			el("td.n", {}, purge[state].toLocaleString("en")),
		),
		el(
			"td",
			{},
			el(`span.state.${tone}`, {}, words),
			...purge.stragglers.slice(0, NAMED).map(straggler),
			...more(purge),
		),
		...(purge.acts ? [el("td.n", {}, ...giver(purge))] : []),
	);
}

/** Tone, and words. */
function standing({ deleted, hidden, waiting, faults }) {
	if (faults > 0)
		return ["short", `${plural(faults, "box", "boxes")} at fault`];
	if (waiting > 0) return ["away", "some boxes do not know yet"];
	if (hidden > 0) return ["filling", "hidden everywhere"];
	return deleted > 0 ? ["whole", "gone from every box"] : ["away", "no boxes"];
}

const STATES = {
	fault: "has it again",
	hidden: "hidden",
	waiting: "not yet",
};

function straggler({ serial, state, online, turnedAt }) {
	const seen = online ? "" : `, last seen ${ago(turnedAt)} ago`;
	return el("small.note.reason", {}, `${serial}: ${STATES[state]}${seen}`);
}

function more({ hidden, waiting, faults, stragglers }) {
	const others = hidden + waiting + faults - Math.min(NAMED, stragglers.length);
	if (others <= 0) return [];
	const words = `and ${others.toLocaleString("en")} more: larder purge --status`;
	return [el("small.note.reason", {}, words)];
}

/** The button that gives a title back while that is possible. */
function giver({ id, name, open }) {
	if (!open) return [];
	const words = name ?? id.slice(0, 8);
	const attributes = {
		type: "button",
		"data-act": "undo",
		"data-subject": id,
		"data-name": words,
		"aria-label": `Give back ${words}`,
	};
	return [el("button.field.act", attributes, "Give back…")];
}
