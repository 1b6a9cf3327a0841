/** Whoever looks may change things, too. */
let acting = false;

/** What buttons have the headend do: by which name, and what is asked before. */
const ACTS = {
	revoke: {
		name: "revoke",
		asks: "It loses its neighbours, its keys and what is placed on it, for good.",
		verb: "Shut out",
		why: true,
	},
	purge: {
		name: "purge",
		key: "title",
		asks: "It is hidden on every box at once, and deleted everywhere after a day. Until then it can be given back.",
		verb: "Take back",
		why: true,
	},
	undo: {
		name: "purge/undo",
		key: "title",
		asks: "It is shown on every box again; what lies there need not be fetched.",
		verb: "Give back",
		why: true,
	},
	pause: { name: "rollout/pause", key: null },
	resume: {
		name: "rollout/resume",
		key: null,
		asks: "What has failed is forgiven, and more boxes are told.",
		verb: "Go on with",
	},
	abort: {
		name: "rollout/abort",
		key: null,
		asks: "No more boxes are told; those that have it keep it.",
		verb: "End the update to",
	},
	approve: { name: "enrol/approve" },
	replace: {
		name: "enrol/approve",
		asks: "The box that has its serial number now is shut out for good.",
		verb: "Let in",
	},
	choose: {
		name: "enrol/approve",
		asks: "Another box asks for this serial number: be sure that this is the one.",
		verb: "Let in",
	},
	reject: {
		name: "enrol/reject",
		asks: "It may not come again with the key that it has.",
		verb: "Turn away",
		why: true,
	},
};

/** Asks who looks, and shows the buttons that are theirs to press. */
export async function learnRole() {
	const response = await fetch("api/me");
	if (!response.ok) return;
	const { name, role } = await response.json();
	acting = role === "operator";
	document.getElementById("me").textContent =
		name === role ? name : `${name}, ${role}`;
	document.getElementById("plan").hidden = !acting;
	for (const column of [
		"boxes-act",
		"titles-act",
		"purges-act",
		"rollouts-act",
	])
		document.getElementById(column).hidden = !acting;
}

export function mayAct() {
	return acting;
}

/** Has the headend change something; what it refuses is shown. */
async function act(name, body) {
	let words;
	try {
		const response = await fetch(`api/${name}`, {
			method: "POST",
			headers: { "content-type": "application/json" },
			body: JSON.stringify(body),
		});
		if (response.ok) words = "";
		else {
			const { message, remedy } = await response.json();
			words = `That did not work: ${message}. ${remedy}`;
		}
	} catch {
		words = "That did not work: the headend does not answer.";
	}
	const said = document.getElementById("said");
	said.textContent = words;
	said.hidden = words === "";
}

/** Listens to the buttons that change something. */
export function listen() {
	document
		.getElementById("plan")
		.addEventListener("click", () => act("plan", {}));
	const dialog = document.getElementById("ask");
	const why = dialog.querySelector("input");
	const submit = dialog.querySelector("button[type=submit]");
	let asked;
	for (const place of ["boxes", "titles", "purges", "rollouts", "arrivals"])
		document.getElementById(place).addEventListener("click", (event) => {
			const button = event.target.closest("button.act");
			if (button === null) return;
			const { act: which, subject, name: words } = button.dataset;
			const { name, key = "box", asks, verb, why: wants = false } = ACTS[which];
			const body = key === null ? {} : { [key]: subject };
			asked = { name, body, wants };
			if (asks === undefined) return act(name, body);
			dialog.querySelector("h2").firstChild.data = `${verb} `;
			dialog.querySelector("b").textContent = words;
			dialog.querySelector("p").textContent = asks;
			submit.textContent = verb;
			why.value = "";
			why.required = wants;
			why.parentElement.hidden = !wants;
			dialog.returnValue = "";
			dialog.showModal();
		});
	dialog
		.querySelector("button[type=button]")
		.addEventListener("click", () => dialog.close());
	dialog.addEventListener("close", async () => {
		const { name, body, wants } = asked;
		if (dialog.returnValue === "yes")
			await act(name, { ...body, ...(wants && { why: why.value }) });
	});
}
