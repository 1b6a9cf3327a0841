import type { Role } from "./reference.ts";
import {
	expand,
	MAX_SEGMENTS,
	type TemplateValues,
	type TimelineRun,
	timesOf,
} from "./template.ts";
import type { Element } from "./xml.ts";

/** What a representation is made of: elements from the outermost (the period's) to its own, and where its names start from. */
export interface Representation {
	/** Period, adaptation set, representation. */
	readonly levels: readonly Element[];
	/** The base URL, relative to the manifest; empty when it is the manifest's own folder. */
	readonly base: string;
	/** Seconds of its period; undefined when not known. */
	readonly duration: number | undefined;
	add(uri: string, role: Role, range?: string): void;
	addOptional(uri: string, role: Role): void;
	fault(what: string, remedy: string): void;
}

/** Adds every file of one representation: by SegmentTemplate, SegmentList, SegmentBase or BaseURL alone. */
export function addSegments(representation: Representation): void {
	const { levels, base } = representation;
	const templates = inherited(levels, "SegmentTemplate");
	const lists = inherited(levels, "SegmentList");
	const bases = inherited(levels, "SegmentBase");
	if (templates.length > 0) addTemplate(representation, templates);
	else if (lists.length > 0) addList(representation, lists);
	else if (base !== "" && !base.endsWith("/")) {
		addInitialization(representation, bases);
		representation.add("", "media", nearest(bases, "indexRange"));
	} else {
		representation.fault(
			`representation ${levels.at(-1)?.attribute("id") ?? "?"} names no media`,
			"Package it again.",
		);
	}
}

function addTemplate(
	representation: Representation,
	templates: readonly Element[],
): void {
	const { levels, fault } = representation;
	const values: TemplateValues = {
		RepresentationID: levels.at(-1)?.attribute("id") ?? "",
		Bandwidth: levels.at(-1)?.attribute("bandwidth") ?? "",
	};
	const initialization = nearest(templates, "initialization");
	if (initialization === undefined)
		addInitialization(representation, templates);
	else addExpanded(representation, initialization, values, "init");
	const media = nearest(templates, "media");
	if (media === undefined) {
		fault("a SegmentTemplate has no media attribute", "Package it again.");
		return;
	}
	const segments = numbered(representation, templates);
	if (segments === undefined) return;
	for (const { number, time, last } of segments) {
		const name = expand(media, { ...values, Number: number, Time: time });
		if (name === undefined) {
			fault(
				`its template ${media} has an identifier that is not supported`,
				"Package it with $Number$ or $Time$.",
			);
			return;
		}
		// A last segment that only rounding up makes is often not there.
		if (last) representation.addOptional(name, "media");
		else representation.add(name, "media");
	}
}

interface Numbered {
	readonly number: string;
	readonly time: string;
	/** The last of several that were counted by dividing durations. */
	readonly last: boolean;
}

/** The segments of a template, by its timeline or by dividing durations. Undefined, with a fault, when they cannot be told. */
function numbered(
	{ duration, fault }: Representation,
	templates: readonly Element[],
): Numbered[] | undefined {
	const timescale = whole(nearest(templates, "timescale")) ?? 1n;
	const start = whole(nearest(templates, "startNumber")) ?? 1n;
	const offset = whole(nearest(templates, "presentationTimeOffset")) ?? 0n;
	const timeline = templates.findLast(
		(template) => template.children("SegmentTimeline").length > 0,
	);
	if (timeline !== undefined) {
		const runs = timeline
			.children("SegmentTimeline")
			.flatMap((element) => element.children("S"))
			.map(runOf);
		const end =
			duration === undefined
				? undefined
				: offset + BigInt(Math.round(duration * Number(timescale)));
		const times = timesOf(runs, end);
		if (times === undefined || times.length === 0) {
			fault("a SegmentTimeline makes no sense", "Package it again.");
			return undefined;
		}
		return times.map((time, index) => ({
			number: `${start + BigInt(index)}`,
			time: `${time}`,
			last: false,
		}));
	}
	const each = Number(nearest(templates, "duration") ?? 0) / Number(timescale);
	const endNumber = whole(nearest(templates, "endNumber"));
	const count =
		endNumber !== undefined
			? Number(endNumber - start) + 1
			: Math.ceil((duration ?? 0) / each - 1e-6);
	if (!(count > 0 && count <= MAX_SEGMENTS)) {
		fault(
			"the number of segments cannot be told from its durations",
			"Package it with mediaPresentationDuration and a segment duration, or with a SegmentTimeline.",
		);
		return undefined;
	}
	return Array.from({ length: count }, (_, index) => ({
		number: `${start + BigInt(index)}`,
		time: `${Math.round(index * each * Number(timescale))}`,
		last: endNumber === undefined && index > 0 && index === count - 1,
	}));
}

function addList(
	representation: Representation,
	lists: readonly Element[],
): void {
	addInitialization(representation, lists);
	const list = lists.findLast(
		(element) => element.children("SegmentURL").length > 0,
	);
	if (list === undefined) {
		representation.fault("a SegmentList is empty", "Package it again.");
		return;
	}
	for (const segment of list.children("SegmentURL")) {
		const media = segment.attribute("media") ?? "";
		representation.add(media, "media", segment.attribute("mediaRange"));
		const index = segment.attribute("index");
		if (index !== undefined)
			representation.add(index, "init", segment.attribute("indexRange"));
	}
}

function addInitialization(
	representation: Representation,
	holders: readonly Element[],
): void {
	for (const name of ["Initialization", "RepresentationIndex"]) {
		const element = holders.flatMap((holder) => holder.children(name)).at(-1);
		if (element === undefined) continue;
		const source = element.attribute("sourceURL") ?? "";
		if (!source.startsWith("data:"))
			representation.add(source, "init", element.attribute("range"));
	}
}

function addExpanded(
	representation: Representation,
	template: string,
	values: TemplateValues,
	role: "init",
): void {
	const name = expand(template, values);
	if (name === undefined) {
		representation.fault(
			`its template ${template} has an identifier that is not supported`,
			"Package it again.",
		);
	} else representation.add(name, role);
}

/** The elements of this name from the outermost level to the innermost. */
function inherited(levels: readonly Element[], name: string): Element[] {
	return levels.flatMap((level) => level.children(name).slice(0, 1));
}

/** An attribute of the innermost element that has it. */
function nearest(
	elements: readonly Element[],
	name: string,
): string | undefined {
	return elements
		.findLast((element) => element.attribute(name) !== undefined)
		?.attribute(name);
}

function runOf(element: Element): TimelineRun {
	return {
		t: whole(element.attribute("t")),
		d: whole(element.attribute("d")) ?? 0n,
		r: Number(element.attribute("r") ?? 0),
	};
}

function whole(text: string | undefined): bigint | undefined {
	return text !== undefined && /^\d{1,20}$/.test(text)
		? BigInt(text)
		: undefined;
}
