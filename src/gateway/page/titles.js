import { ask, complain, say } from "./notice.js";

const REFRESH = 30_000;

/** Keeps the list of titles up to date. Gives back what finds a title's card and what marks the one that plays. */
export async function showTitles(list, count, pick) {
	let shown = "";
	let current;

	const find = (id) =>
		[...list.querySelectorAll("button")].find((card) => card.dataset.id === id);
	const mark = (id) => {
		current = id;
		for (const card of list.querySelectorAll("button"))
			card.ariaCurrent = String(card.dataset.id === id);
	};
	const refresh = async () => {
		try {
			const titles = await ask("/titles");
			if (current === undefined) invite(titles.length);
			if (JSON.stringify(titles) === shown) return;
			shown = JSON.stringify(titles);
			count.textContent = titles.length === 0 ? "" : titles.length;
			const focused = document.activeElement?.dataset?.id;
			list.replaceChildren(...titles.map((title) => cardOf(title, pick)));
			mark(current);
			find(focused)?.focus({ preventScroll: true });
		} catch (error) {
			if (current === undefined) complain(error, refresh);
		}
	};

	await refresh();
	setInterval(refresh, REFRESH);
	return { find, mark };
}

function invite(count) {
	const touch = matchMedia("(pointer: coarse)").matches;
	if (count > 0)
		say("Pick a title", touch ? "" : "Arrow keys choose, OK plays.");
	else
		say(
			"No titles yet",
			"They appear here when the operator has published some.",
		);
}

function cardOf(title, pick) {
	const card = document.createElement("button");
	card.type = "button";
	card.dataset.id = title.id;
	card.classList.toggle("barred", !title.playable);
	const part = (name, text) => {
		const span = document.createElement("span");
		span.className = name;
		span.textContent = text;
		return span;
	};
	const tile = part("tile", [...title.name.trim()][0] ?? "");
	tile.ariaHidden = "true";
	tile.style.setProperty(
		"--hue",
		String(Number.parseInt(title.id.slice(0, 4), 16) % 360),
	);
	card.append(tile, part("name", title.name), part("facts", factsOf(title)));
	card.addEventListener("click", () => pick(title));
	const item = document.createElement("li");
	item.append(card);
	return item;
}

function factsOf({ playable, why, duration, size }) {
	if (!playable) {
		const text = why.replace(/\d{4}-\S+Z/, (date) =>
			new Date(date).toLocaleString(undefined, {
				dateStyle: "medium",
				timeStyle: "short",
			}),
		);
		return text[0].toUpperCase() + text.slice(1);
	}
	return [
		duration === 0 ? "" : lengthOf(duration),
		size < 1e9
			? `${Math.max(1, Math.round(size / 1e6))} MB`
			: `${(size / 1e9).toFixed(1)} GB`,
	]
		.filter(Boolean)
		.join(" · ");
}

function lengthOf(seconds) {
	return seconds < 60
		? `${Math.ceil(seconds)} s`
		: `${Math.round(seconds / 60)} min`;
}
