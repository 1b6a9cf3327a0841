const el = (id) => document.getElementById(id);

/** Says something in place of the picture. */
export function say(headline, detail) {
	el("notice").className = "";
	el("headline").textContent = headline;
	el("detail").textContent = detail;
	el("address").hidden = true;
	el("retry").hidden = true;
}

/** Says what went wrong and what to do; `again` is what the button does. */
export function complain({ message, remedy }, again) {
	say(
		"This cannot be played now",
		[sentence(message), remedy].filter(Boolean).join(" "),
	);
	el("retry").hidden = false;
	el("retry").onclick = again;
}

function sentence(text) {
	return `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}

/** Shows an address to be taken elsewhere below what was said. */
export function give(address) {
	el("address").textContent = address;
	el("address").hidden = false;
}

/** Takes the notice off the picture. */
export function hush() {
	el("notice").className = "off";
}

/** Whether nothing covers the picture. */
export function isQuiet() {
	return el("notice").className === "off";
}

/** Says something over the picture, which stays visible. */
export function murmur(headline) {
	say(headline, "");
	el("notice").className = "veil";
}

/** JSON from the gateway; its own words when it refuses. */
export async function ask(path) {
	let answer;
	try {
		answer = await fetch(path);
	} catch (cause) {
		throw new Error("The box does not answer. Is the agent running?", {
			cause,
		});
	}
	const value = await answer.json();
	if (answer.ok) return value;
	throw Object.assign(new Error(value.message), value);
}
