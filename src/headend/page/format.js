const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** `1.52 GiB`: three figures. */
export function bytes(count) {
	let unit = 0;
	let figure = count;
	while (figure >= 999.5 && unit < UNITS.length - 1) {
		figure /= 1024;
		unit++;
	}
	const digits = unit === 0 || figure >= 100 ? 0 : figure >= 10 ? 1 : 2;
	return `${figure.toFixed(digits)}\u00a0${UNITS[unit]}`;
}

/** `98.4\u00a0%`; never 100 unless it is, never 0 unless it is. */
export function percent(part, whole) {
	if (whole <= 0) return "–";
	const share = (100 * part) / whole;
	if (share >= 100) return "100\u00a0%";
	if (share >= 99.5)
		return `${(Math.floor(share * 10) / 10).toFixed(1)}\u00a0%`;
	if (share > 0 && share < 0.1) return "0.1\u00a0%";
	return `${share.toFixed(share >= 10 || share === 0 ? 0 : 1)}\u00a0%`;
}

/** `61\u00a0% level 0, 20\u00a0% level 1`: how near neighbours were; empty where it is not known. */
export function byLevel(near, all) {
	return near
		.flatMap((part, level) =>
			part > 0 ? [`${percent(part, all)} level ${level}`] : [],
		)
		.join(", ");
}

export function ago(then) {
	const seconds = Math.max(0, (Date.now() - then) / 1000);
	if (seconds < 90) return "just now";
	if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
	if (seconds < 129_600) return `${Math.round(seconds / 3600)} h`;
	return `${Math.round(seconds / 86_400)} days`;
}

/** `27 Nov, 14:32`, by the clock of whoever looks. */
export function moment(at) {
	return new Date(at).toLocaleString("en-GB", {
		day: "numeric",
		month: "short",
		hour: "2-digit",
		minute: "2-digit",
	});
}

export function plural(count, one, many = `${one}s`) {
	return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

/** An element: `el("td.n", {title}, "text", child)`. */
export function el(kind, attributes = {}, ...children) {
	const [name, ...classes] = kind.split(".");
	const element = document.createElement(name);
	if (classes.length > 0) element.className = classes.join(" ");
	for (const [key, value] of Object.entries(attributes))
		if (value !== undefined) element.setAttribute(key, value);
	element.append(...children);
	return element;
}

/** A bar in parts: `[[0.4, "near"], [0.1, "origin"]]`, fractions of the whole. */
export function meter(parts, label) {
	const bar = el("div.meter", { role: "img", "aria-label": label });
	for (const [fraction, tone] of parts) {
		const part = el(tone ? `i.part.${tone}` : "i.part");
		part.style.width = `${100 * Math.min(1, Math.max(0, fraction || 0))}%`;
		bar.append(part);
	}
	return bar;
}

/** Puts keyed rows into a parent in this order, making anew only those whose text changed. */
export function keyed(parent, rows, keyOf, make) {
	const old = new Map(
		[...parent.children].map((row) => [row.dataset.key, row]),
	);
	let at = parent.firstElementChild;
	for (const row of rows) {
		const key = keyOf(row);
		const stamp = JSON.stringify(row);
		let element = old.get(key);
		old.delete(key);
		if (element?.dataset.stamp !== stamp) {
			const fresh = make(row);
			fresh.dataset.key = key;
			fresh.dataset.stamp = stamp;
			if (element !== undefined) {
				const focused = element === document.activeElement;
				if (element === at) at = fresh;
				element.replaceWith(fresh);
				if (focused) fresh.focus();
			}
			element = fresh;
		}
		if (element === at) at = at.nextElementSibling;
		else parent.insertBefore(element, at);
	}
	for (const element of old.values()) element.remove();
}
