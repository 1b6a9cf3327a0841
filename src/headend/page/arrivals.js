import { mayAct } from "./acts.js";
import { ago, el, keyed, plural } from "./format.js";

/** Why a box waits, by stable names: tone, and words. */
const WHY = {
	"serial-live": ["out", "another box with this serial number is in"],
	contested: ["out", "another box asks for the same serial number"],
	"shared-claim": ["short", "its claim is one that many know"],
	manual: ["filling", "nobody is let in without you"],
	"not-in-inventory": ["short", "the inventory has no such serial number"],
};

/** What letting one in does, where something is asked before. */
const LET_IN = {
	"serial-live": ["replace", true],
	contested: ["choose", true],
};

/** Boxes that ask to be let in; nothing, where none ever does. */
export function showArrivals(waiting, { listener, waiting: count, inventory }) {
	document.getElementById("arrivals-part").hidden =
		listener === null && count === 0;
	document.getElementById("arrivals-sum").textContent =
		count > waiting.length
			? `the first ${waiting.length} of ${plural(count, "that waits", "that wait")}`
			: "";
	document.getElementById("arrivals-act").hidden = !mayAct();
	document.querySelector("#arrivals-part .scroll").hidden = count === 0;
	const none = document.getElementById("arrivals-none");
	none.hidden = count > 0;
	none.textContent =
		inventory === 0
			? "Nobody waits. Every new box will wait for you here."
			: `Nobody waits. Boxes with one of ${plural(inventory, "serial number")} come in by themselves.`;
	keyed(
		document.getElementById("arrivals"),
		waiting
			.toSorted((a, b) => a.askedAt - b.askedAt || (a.id < b.id ? -1 : 1))
			.map((each) => ({ ...each, acts: mayAct(), since: ago(each.askedAt) })),
		(each) => each.id,
		row,
	);
}

function row({ id, serial, batch, why, since, acts }) {
	const [tone, words] = WHY[why] ?? ["short", why];
	return el(
		`tr.${tone}`,
		{},
		el(
			"td",
			{},
			el("div.name", {}, serial),
			el("small.note.id", { title: id }, id.slice(0, 8)),
		),
		el("td", {}, batch),
		el("td", {}, since),
		el("td", {}, el(`span.state.${tone}`, {}, words)),
		...(acts ? [el("td.n", {}, ...buttons(id, serial, why))] : []),
	);
}

function buttons(id, serial, why) {
	const button = (act, words, dots) =>
		el(
			"button.field.act",
			{
				type: "button",
				"data-act": act,
				"data-subject": id,
				"data-name": serial,
				"aria-label": `${words} ${serial}`,
			},
			dots ? `${words}…` : words,
		);
	const [act, asks] = LET_IN[why] ?? ["approve", false];
	return [button(act, "Let in", asks), button("reject", "Turn away", true)];
}
