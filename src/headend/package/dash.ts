import { isElsewhere } from "../../content/path.ts";
import type { Reference } from "./reference.ts";
import { addSegments } from "./segments.ts";
import { secondsOf } from "./template.ts";
import { type Element, readXml } from "./xml.ts";

/** One manifest: what it names, and for how long it plays. */
export interface Presentation {
	/** Seconds; 0 when the manifest does not say. */
	readonly duration: number;
	readonly references: readonly Reference[];
	/** The address of its steering server, as written. */
	readonly steeredBy?: string | undefined;
	/** What is wrong with it: [what, remedy]. */
	readonly faults: readonly (readonly [string, string])[];
}

/** Reads one DASH manifest (ISO/IEC 23009-1). ContentProtection and licence addresses are left alone. */
export function readPresentation(text: string): Presentation {
	const faults: (readonly [string, string])[] = [];
	const references: Reference[] = [];
	const document = readXml(text, "MPD");
	if (!document.ok) {
		faults.push([
			`it is no DASH manifest (${document.detail})`,
			"Package it again.",
		]);
		return { duration: 0, references, faults };
	}
	const mpd = document.value;
	if (mpd.attribute("type") === "dynamic") {
		faults.push([
			'it is the manifest of a live stream (type="dynamic")',
			"Wait until the recording has ended, or package it as video on demand.",
		]);
	}
	const whole = secondsOf(mpd.attribute("mediaPresentationDuration"));
	const periods = mpd.children("Period");
	const fault = (what: string, remedy: string) => faults.push([what, remedy]);
	let duration = 0;
	for (const [index, period] of periods.entries()) {
		const length = lengthOf(period, periods[index + 1], whole, duration);
		duration += length ?? 0;
		const base = baseOf([mpd, period], fault);
		if (base === undefined || isRemote(period, fault)) continue;
		for (const set of period.children("AdaptationSet")) {
			const setBase = baseOf([set], fault, base);
			if (setBase === undefined || isRemote(set, fault)) continue;
			for (const own of set.children("Representation")) {
				const ownBase = baseOf([own], fault, setBase);
				if (ownBase === undefined) continue;
				addSegments({
					levels: [period, set, own],
					base: ownBase,
					duration: length,
					fault,
					add: (uri, role, range) =>
						references.push({
							uri: join(ownBase, uri),
							role,
							range: rangeOf(range),
						}),
					addOptional: (uri, role) =>
						references.push({ uri: join(ownBase, uri), role, optional: true }),
				});
			}
		}
	}
	if (references.length === 0 && faults.length === 0)
		faults.push(["it names no segment", "Package it again."]);
	const [steering] = mpd.children("ContentSteering");
	const steeredBy = steering?.text;
	return { duration: whole ?? duration, references, steeredBy, faults };
}

/** Seconds of a period: its own, or up to the next one's start, or up to the end of the whole. */
function lengthOf(
	period: Element,
	next: Element | undefined,
	whole: number | undefined,
	soFar: number,
): number | undefined {
	const own = secondsOf(period.attribute("duration"));
	if (own !== undefined) return own;
	const start = secondsOf(period.attribute("start")) ?? soFar;
	const end = next === undefined ? whole : secondsOf(next.attribute("start"));
	return end === undefined ? undefined : Math.max(0, end - start);
}

/** The base URL below `outer`. Undefined, with a fault, when players may go to a server instead. */
function baseOf(
	levels: readonly Element[],
	fault: (what: string, remedy: string) => void,
	outer = "",
): string | undefined {
	let base = outer;
	for (const level of levels) {
		const urls = level.children("BaseURL").map(({ text }) => text);
		const away = urls.find(isElsewhere);
		if (away !== undefined) {
			fault(
				`it has its media on another server (BaseURL ${away})`,
				"Put the media into the folder and take that BaseURL out.",
			);
			return undefined;
		}
		base = join(base, urls[0] ?? "");
	}
	return base;
}

function isRemote(
	element: Element,
	fault: (what: string, remedy: string) => void,
): boolean {
	const href = element.attribute("href");
	if (href === undefined || href.startsWith("urn:")) return false;
	fault(
		`it takes a part of itself from elsewhere (xlink:href ${href})`,
		"Package it with all parts in the manifest.",
	);
	return true;
}

/** A reference as seen from the base's folder. */
function join(base: string, uri: string): string {
	if (uri === "") return base;
	if (isElsewhere(uri) || uri.startsWith("/")) return uri;
	return base.slice(0, base.lastIndexOf("/") + 1) + uri;
}

/** `0-779` as in HTTP: first and last byte. */
function rangeOf(range: string | undefined): Reference["range"] {
	const match = /^(\d+)-(\d+)$/.exec(range ?? "");
	if (match === null) return undefined;
	const offset = Number(match[1]);
	return { offset, length: Number(match[2]) - offset + 1 };
}
