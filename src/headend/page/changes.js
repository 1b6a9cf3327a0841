import { el, keyed, moment } from "./format.js";

/** The changes by their stable names, as a person says them. */
const WORDS = {
	backup: "wrote a backup",
	command: "commanded",
	"enrol-approve": "let in",
	"enrol-auto": "set who is let in at once",
	"enrol-reject": "turned away",
	forget: "erased a box's viewing",
	group: "said where boxes are:",
	"key-allow": "allowed a title",
	"key-deny": "denied a title",
	"key-unset": "let a title follow the rules",
	keys: "changed keys",
	plan: "planned anew",
	purge: "took back",
	"purge-undo": "gave back",
	"revoke-undo": "let in again",
	revoke: "shut out",
	"rollout-abort": "ended the update",
	"rollout-pause": "paused the update",
	"rollout-resume": "had the update go on",
	"rollout-start": "began to update boxes to",
	support: "asked for a support bundle of",
	"token-add": "gave a token to",
	"token-remove": "took the token of",
};

/** The latest changes, newest first. */
export function showChanges(changes, boxes, refused) {
	document.getElementById("changes-none").hidden = changes.length > 0;
	document.getElementById("changes-sum").textContent =
		refused === 0
			? ""
			: `${refused.toLocaleString("en")} ${refused === 1 ? "request was" : "requests were"} turned away since the headend started`;
	keyed(
		document.getElementById("changes"),
		changes
			.toSorted((a, b) => Number(b.id) - Number(a.id))
			.map((change) => ({
				...change,
				serial: boxes.get(change.subject)?.serial,
			})),
		(change) => change.id,
		row,
	);
}

function row(change) {
	const [tone, words] = outcome(change);
	return el(
		`tr.${tone}`,
		{},
		el(
			"td.when",
			{ title: new Date(change.at).toISOString() },
			moment(change.at),
		),
		el(
			"td",
			{},
			el("div.who", {}, change.who),
			el("small.note", {}, change.address ?? ""),
		),
		el(
			"td.what",
			{},
			WORDS[change.action] ?? change.action,
			...subject(change),
		),
		el("td.reason", {}, change.why ?? ""),
		el("td", {}, el(`span.state.${tone}`, {}, words)),
	);
}

function subject({ subject: id, serial }) {
	if (id === null) return [];
	if (serial !== undefined) return [" ", el("b", { title: id }, serial)];
	if (/^[0-9a-f]{64}$/.test(id))
		return [" ", el("span.id", { title: id }, id.slice(0, 8))];
	return [" ", el("b", {}, id)];
}

/** Tone, and words. */
function outcome({ outcome: came, code }) {
	if (came === "done") return ["whole", "done"];
	if (came === "failed") return ["short", `failed: ${code}`];
	return ["away", "not known"];
}
