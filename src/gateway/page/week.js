const DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const HOURS = 24;

/** Which window covers each hour of the week, the later of two. */
function cellsOf({ windows }) {
	const cells = Array(DAYS.length * HOURS).fill(undefined);
	for (const window of windows) {
		const { days, from, to } = window;
		const hours = to > from ? to - from : to + HOURS - from;
		for (const day of days)
			for (let i = 0; i < hours; i++)
				cells[(day * HOURS + from + i) % cells.length] = window;
	}
	return cells;
}

function kindOf(window) {
	if (window === undefined) return "";
	const { trunk, neighbours, standby } = window;
	if (trunk === null && neighbours === null) return "";
	if (trunk === null || neighbours === null) return "some";
	return standby ? "standby" : "open";
}

let drawn = "";

/** Draws a week of hours: a row for each day. @param hour the present one, if it is known */
export function drawWeek(place, hours, hour) {
	const wanted = JSON.stringify([hours, hour]);
	if (wanted === drawn) return;
	drawn = wanted;
	place.hidden = hours === undefined;
	if (hours === undefined) return;
	const cells = cellsOf(hours);
	const made = (text, kind) => {
		const cell = document.createElement("span");
		cell.textContent = text;
		cell.className = kind;
		return cell;
	};
	const head = [made("", "")];
	for (let i = 0; i < HOURS; i++)
		head.push(made(i % 6 === 0 ? `${i}` : "", "hour"));
	const rows = DAYS.flatMap((name, day) => [
		made(name, "day"),
		...cells.slice(day * HOURS, (day + 1) * HOURS).map((window, i) => {
			const now = day * HOURS + i === hour ? " now" : "";
			return made("", `cell ${kindOf(window)}${now}`);
		}),
	]);
	place.replaceChildren(...head, ...rows);
	const open = cells.filter((window) => kindOf(window) !== "").length;
	place.ariaLabel = `${open} of the week's ${cells.length} hours`;
}
