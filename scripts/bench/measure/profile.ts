import type { Millis } from "../../../src/base/units.ts";

/** The part of V8's .cpuprofile that says where time went. Times are in microseconds. */
export interface Profile {
	readonly nodes: readonly {
		readonly id: number;
		readonly callFrame: {
			readonly functionName: string;
			readonly url: string;
			readonly lineNumber: number;
		};
	}[];
	readonly samples?: readonly number[];
	readonly timeDeltas?: readonly number[];
}

export interface SelfTime {
	/** `name file:line`; lines from 1. */
	readonly name: string;
	readonly self: Millis;
	/** Of all the time in which the thread was not idle. */
	readonly share: number;
}

/** Functions by the time spent in them and in nothing that they call, most first. */
export function selfTimes(profile: Profile): SelfTime[] {
	const names = new Map(
		profile.nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]),
	);
	const times = new Map<string, number>();
	let busy = 0;
	for (const [i, id] of (profile.samples ?? []).entries()) {
		const name = names.get(id) ?? "?";
		if (name === "(idle)" || name === "(root)") continue;
		// A delta lies before its sample: the time until the next one is what was spent here.
		const spent = profile.timeDeltas?.[i + 1] ?? 0;
		times.set(name, (times.get(name) ?? 0) + spent);
		busy += spent;
	}
	return [...times]
		.map(([name, self]) => ({ name, self: self / 1000, share: self / busy }))
		.sort((a, b) => b.self - a.self);
}

function nameOf({
	functionName,
	url,
	lineNumber,
}: Profile["nodes"][number]["callFrame"]): string {
	const name = functionName === "" ? "(anonymous)" : functionName;
	if (url === "") return name;
	// Paths as they are in the project or in a package: never this machine's.
	const place = /(?:node_modules|src|scripts)\/.*$/.exec(url)?.[0] ?? url;
	return `${name} ${place.replace(/^node_modules\//, "")}:${lineNumber + 1}`;
}
