import { type BoxId, isBoxId, isRegion, type Region } from "./ids.ts";

const DOWN = ["desired", "command"] as const;
const UP = [
	"state",
	"reported",
	"fill",
	"request",
	"response",
	"attest",
] as const;
export type Down = (typeof DOWN)[number];
export type Up = (typeof UP)[number];

/** What arrives at the headend from boxes. */
export const ALL_UP = "larder/v1/box/+/up/#";

export function downTopic(box: BoxId, kind: Down): string {
	return `larder/v1/box/${box}/down/${kind}`;
}

export function upTopic(box: BoxId, kind: Up): string {
	return `larder/v1/box/${box}/up/${kind}`;
}

export function headTopic(region: Region): string {
	return `larder/v1/region/${region}/down/head`;
}

/** What boxes say of what was watched: all of a region under one name, for nobody is to know whose evening it was. */
export function qualityTopic(region: Region): string {
	return `larder/v1/region/${region}/up/quality`;
}

/** Where boxes without a certificate ask, and are answered; a listener of its own. */
export const ALL_ENROLMENTS = "larder/v1/enrol/+/up/request";

export function enrolTopic(box: BoxId, way: "request" | "answer"): string {
	return `larder/v1/enrol/${box}/${way === "request" ? "up" : "down"}/${way}`;
}

export type Topic =
	| {
			readonly to: "enrolment";
			readonly box: BoxId;
			readonly kind: "request" | "answer";
	  }
	| { readonly to: "box"; readonly box: BoxId; readonly kind: Down }
	| { readonly to: "headend"; readonly box: BoxId; readonly kind: Up }
	| {
			readonly to: "region";
			readonly region: Region;
			readonly kind: "head" | "quality";
	  };

/** Undefined for a topic that is not Larder's. */
export function parseTopic(topic: string): Topic | undefined {
	const [root, version, scope, name = "", direction, kind = "", ...rest] =
		topic.split("/");
	if (root !== "larder" || version !== "v1" || rest.length > 0)
		return undefined;
	if (scope === "region" && isRegion(name)) {
		const way = `${direction}/${kind}`;
		if (way === "down/head")
			return { to: "region", region: name, kind: "head" };
		if (way === "up/quality")
			return { to: "region", region: name, kind: "quality" };
	}
	if (scope === "enrol" && isBoxId(name)) {
		const way = `${direction}/${kind}`;
		if (way === "up/request")
			return { to: "enrolment", box: name, kind: "request" };
		if (way === "down/answer")
			return { to: "enrolment", box: name, kind: "answer" };
	}
	if (scope !== "box" || !isBoxId(name)) return undefined;
	if (direction === "down" && isOneOf(DOWN, kind))
		return { to: "box", box: name, kind };
	if (direction === "up" && isOneOf(UP, kind))
		return { to: "headend", box: name, kind };
	return undefined;
}

function isOneOf<T extends string>(
	words: readonly T[],
	word: string,
): word is T {
	return (words as readonly string[]).includes(word);
}
