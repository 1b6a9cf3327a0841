import { drawWeek } from "./week.js";

/** Milliseconds between two looks. */
const EVERY = 2000;

const at = (id) => document.getElementById(id);

function say(id, text) {
	const place = at(id);
	if (place.textContent !== text) place.textContent = text;
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

function bytes(count) {
	let figure = count;
	let unit = 0;
	while (figure >= 1024 && unit < UNITS.length - 1) {
		figure /= 1024;
		unit++;
	}
	const digits = unit === 0 || figure >= 100 ? 0 : 1;
	return `${figure.toFixed(digits)} ${UNITS[unit]}`;
}

function speed(rate) {
	if (rate === "none" || rate === null) return "nothing";
	if (rate === 0) return "no limit";
	const bits = rate * 8;
	return bits < 1e6
		? `${Math.max(1, Math.round(bits / 1e3))} kbit/s`
		: `${(bits / 1e6).toFixed(bits < 1e7 ? 1 : 0)} Mbit/s`;
}

function span(ms) {
	const minutes = Math.max(1, Math.ceil(ms / 60_000));
	const hours = Math.floor(minutes / 60);
	if (hours === 0) return `${minutes} min`;
	return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
}

/** Why it gives nothing or less, for somebody on a sofa. */
const REASONS = {
	"opted-out": "This household takes no part.",
	draining: "What it holds goes to neighbours, then it takes no part.",
	live: "You watch TV.",
	recording: "It records.",
	underrun: "A player here ran dry: the line is yours.",
	uplink: "Your line is in use.",
	stream: "You watch something that comes from afar.",
	pressure: "The receiver is busy.",
	returning: "It has just begun again.",
};

function pause({ paused }) {
	if (paused === null) return "Until it is resumed.";
	return `For ${span(paused)} more.`;
}

function showState({ power, household, rates, neighbours }) {
	if (power !== "active") {
		say("state", "Asleep");
		say("why", "Nothing is given while the receiver sleeps.");
		return;
	}
	const { give, why } = household ?? {};
	const rests = give === "none";
	const gives = rates.up > 0;
	if (why === "paused") say("state", "Paused");
	else if (rests) say("state", "At rest");
	else say("state", gives ? "Giving to neighbours" : "Ready to give");
	const reason = why === "paused" ? pause(household) : (REASONS[why] ?? "");
	const now = gives && !rests ? `${speed(rates.up)} now.` : "";
	const near = neighbours === 1 ? "1 neighbour." : `${neighbours} neighbours.`;
	say("why", [reason, now, near].filter(Boolean).join(" "));
}

function showToday({ today }) {
	if (today === undefined) return;
	say("given", bytes(today.given));
	say("fetched", bytes(today.fetched));
	say("trunk", `(${bytes(today.fromOrigin)} from afar)`);
	say("played", bytes(today.played));
}

function showStore({ store }) {
	const { capacity, heldBytes, transientBytes, usedSpace, reserve } = store;
	const share = (part) => `${capacity > 0 ? (100 * part) / capacity : 0}%`;
	const bar = at("bar");
	bar.children[0].style.width = share(heldBytes);
	bar.children[1].style.width = share(Math.max(0, usedSpace - heldBytes));
	bar.ariaLabel = `${bytes(usedSpace)} of ${bytes(capacity)} used`;
	const parts = [
		["held", `${bytes(heldBytes)} for the neighbourhood`],
		["kept", `${bytes(transientBytes)} of what was watched`],
		[
			"free",
			`${bytes(Math.max(0, capacity - usedSpace))} free, of ${bytes(capacity)} that Larder may use`,
		],
	];
	if (reserve > 0)
		parts.push(["", `${bytes(reserve)} always left to your recordings`]);
	list(at("parts"), parts);
}

function showLimits({ household, limits }) {
	const { up, upActive } = household?.limits ?? { up: limits.up };
	const rows = [
		["Given at most", speed(up)],
		...(upActive === undefined
			? []
			: [["While you watch TV or record", speed(upActive)]]),
		["Brought here at most", speed(limits.down)],
		["From afar at most", speed(limits.origin)],
	];
	const place = at("rows");
	place.replaceChildren(
		...rows.flatMap(([name, value]) => [
			element("dt", name),
			element("dd", value),
		]),
	);
}

function showHours({ fill, hours, hour }) {
	const whose =
		fill?.hours === "operator" ? "The operator's hours" : "This box's hours";
	const closed = {
		hours: "It does not fill at this hour",
		standby: "It does not fill in standby",
		"time-unknown": "It waits until it knows the time",
	}[fill?.closed];
	const now = closed ?? "It fills now";
	const then =
		fill?.until === undefined ? "" : `, for ${span(fill.until - Date.now())}`;
	const by =
		hours === undefined
			? "Whenever the receiver is on."
			: `${whose}, ${hours.zone}.`;
	say("whose", `${by} ${now}${then}.`);
	at("key").hidden = hours === undefined;
	drawWeek(at("week"), hours, hour);
}

function list(place, parts) {
	place.replaceChildren(
		...parts.map(([kind, text]) => {
			const item = element("li", text);
			item.className = kind;
			return item;
		}),
	);
}

function element(name, text) {
	const made = document.createElement(name);
	made.textContent = text;
	return made;
}

async function look() {
	try {
		const answer = await fetch("status", { cache: "no-store" });
		if (!answer.ok) throw new Error(answer.statusText);
		const box = await answer.json();
		showState(box);
		showToday(box);
		showStore(box);
		showLimits(box);
		showHours(box);
		document.body.classList.remove("lost");
	} catch {
		say("state", "No answer");
		say("why", "The receiver's agent is not running; it is tried again.");
		document.body.classList.add("lost");
	}
	setTimeout(look, EVERY);
}

void look();
