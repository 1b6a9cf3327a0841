/** Whoever looks may change things, too. */
let acting = false;

/** Asks who looks, and shows the buttons that are theirs to press. */
export async function learnRole() {
	const response = await fetch("api/me");
	if (!response.ok) return;
	const { name, role } = await response.json();
	acting = role === "operator";
	document.getElementById("me").textContent =
		name === role ? name : `${name}, ${role}`;
	document.getElementById("plan").hidden = !acting;
	for (const column of ["boxes-act", "titles-act", "purges-act"])
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
	confirmed("boxes", "shut", (box, why) => act("revoke", { box, why }));
	confirmed("titles", "take", (title, why) => act("purge", { title, why }));
	confirmed("purges", "give", (title, why) =>
		act("purge/undo", { title, why }),
	);
}

/** A button in a table that asks why, in a dialog, before it does something. */
function confirmed(table, name, deed) {
	const dialog = document.getElementById(name);
	const why = dialog.querySelector("input");
	let subject;
	document.getElementById(table).addEventListener("click", (event) => {
		const button = event.target.closest("button.act");
		if (button === null) return;
		subject = button.dataset.subject;
		dialog.querySelector("b").textContent = button.dataset.name;
		why.value = "";
		dialog.returnValue = "";
		dialog.showModal();
	});
	dialog
		.querySelector("button[type=button]")
		.addEventListener("click", () => dialog.close());
	dialog.addEventListener("close", async () => {
		if (dialog.returnValue === "yes") await deed(subject, why.value);
	});
}
