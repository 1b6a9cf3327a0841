import { mayAct } from "./acts.js";
import { el, keyed, meter, moment, plural } from "./format.js";

/** So many boxes that failed for one reason are named. */
const NAMED = 5;

/** Releases on their way to the boxes, newest first, and how far they have come. */
export function showRollouts(rollouts) {
	document.getElementById("rollouts-part").hidden = rollouts.length === 0;
	const sorted = rollouts.toSorted((a, b) => Number(b.id) - Number(a.id));
	const [newest] = sorted;
	document.getElementById("rollouts-sum").textContent =
		newest === undefined ? "" : wordsFor(newest);
	keyed(
		document.getElementById("rollouts"),
		sorted.map((rollout, index) => ({
			...rollout,
			acts: mayAct(),
			newest: index === 0,
		})),
		(rollout) => rollout.id,
		row,
	);
}

const TONES = {
	running: "filling",
	paused: "short",
	aborted: "away",
	done: "whole",
};

function wordsFor({ version, state, done, boxes }) {
	const words = {
		running: "on its way",
		paused: "paused",
		aborted: "ended",
		done: "rolled out",
	};
	return `${version} is ${words[state]}: ${done} of ${plural(boxes, "box", "boxes")}`;
}

function row(rollout) {
	const { version, startedAt, wave, waves, state, why } = rollout;
	const { members, done, failed, waiting, fetching, trial, away } = rollout;
	const tone = TONES[state];
	const share = members === 0 ? 0 : done / members;
	const count = (figure) => el("td.n", {}, figure.toLocaleString("en"));
	return el(
		`tr.${tone}`,
		{},
		el("td", {}, el("div.name", {}, version)),
		el(
			"td.when",
			{ title: new Date(startedAt).toISOString() },
			moment(startedAt),
		),
		el(
			"td",
			{},
			`${wave + 1}\u00a0of\u00a0${waves.length}`,
			el("small.note.reason", {}, percent(waves[wave])),
		),
		el(
			"td",
			{},
			meter(
				[
					[share, "near"],
					[members === 0 ? 0 : failed / members, "origin"],
				],
				`${done} of ${members} boxes have ${version}`,
			),
			el("small.note", {}, `${done} of ${members.toLocaleString("en")}`),
			...rollout.failures.map((failure) =>
				el("small.note.reason", {}, inWords(failure)),
			),
		),
		count(done),
		count(failed),
		count(waiting + fetching + trial),
		count(away),
		el(
			"td",
			{},
			el(`span.state.${tone}`, {}, state),
			...(why === null ? [] : [el("small.note.reason", {}, why)]),
		),
		...(rollout.acts ? [el("td.n", {}, ...buttons(rollout))] : []),
	);
}

function inWords({ code, detail, boxes, serials }) {
	const named = serials.slice(0, NAMED).join(", ");
	const more = boxes > NAMED ? ` and ${boxes - NAMED} more` : "";
	return `${named}${more}: ${[code ?? "failed", detail].filter(Boolean).join(", ")}`;
}

function percent(share = 0) {
	return `${Math.round(share * 10_000) / 100}\u00a0%`;
}

/** What may be done with the newest. */
function buttons({ newest, state, version }) {
	if (!newest) return [];
	const acts = {
		running: [["pause", "Pause"]],
		paused: [
			["resume", "Go on…"],
			["abort", "End…"],
		],
		done: [],
		aborted: [],
	};
	return acts[state].map(([act, words]) =>
		el(
			"button.field.act",
			{
				type: "button",
				"data-act": act,
				"data-subject": version,
				"data-name": version,
				"aria-label": `${words} ${version}`,
			},
			words,
		),
	);
}
