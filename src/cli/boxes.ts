import { type Bytes, formatBytes } from "../base/units.ts";
import type { BoxView } from "../headend/fleet/views.ts";
import { short } from "../wire/ids.ts";
import { formatSpan, table, tint } from "./output.ts";

/** All boxes, a line each. */
export function boxTable(boxes: readonly BoxView[], now: number): string[] {
	const names = [
		...["box", "serial", "state", "fill", "held", "placed", "used", "room"],
		...["neighbours", "version", "disk", "said"],
	];
	const head = names.map((name) => tint("faint", name));
	return table(
		[head, ...boxes.map((box) => row(box, now))],
		[3, 4, 5, 6, 7, 8],
	);
}

function row(box: BoxView, now: number): string[] {
	return [
		short(box.id),
		box.serial,
		stateOf(box, now),
		fillOf(box),
		size(box.held),
		size(box.placed),
		size(box.used),
		size(box.capacity),
		box.neighbours === null ? "–" : String(box.neighbours),
		box.version ?? "–",
		diskOf(box),
		box.revoked ? (box.revokedWhy ?? "") : saidOf(box),
	];
}

/** All that is known of one, for a person. */
export function boxRows(box: BoxView, now: number): [string, string][] {
	const { placed, held, missing, used, capacity, reserved, reserve } = box;
	const room = missing
		? `, ${tint("warn", `no room for ${size(missing)}`)}`
		: "";
	const begun =
		reserved === null ? "" : `, ${size(reserved)} with what is begun`;
	const left =
		reserve === null ? "" : `; ${size(reserve)} of the disk left to others`;
	return [
		...box.concerns.map(({ text, since, remedy }): [string, string] => [
			tint("bad", "look"),
			`${text}${ago(since, now)}. ${remedy}`,
		]),
		["box", `${short(box.id)}, ${box.serial} in ${box.region}`],
		...(box.levels === null
			? []
			: [["groups", box.levels.join(", ")] as [string, string]]),
		["state", `${stateOf(box, now)}, version ${box.version ?? "–"}`],
		["placement", `${size(held)} of ${size(placed)} held${room}`],
		["said", saidOf(box) || "nothing yet"],
		["store", `${size(used)} of ${size(capacity)} used${begun}${left}`],
		["disk", [diskOf(box), ...countsOf(box)].join(", ")],
		["writes", writesOf(box)],
		[
			"received",
			`${size(box.fromNeighbours)} from neighbours${nearOf(box)}, ${size(box.fromOrigin)} from the origin`,
		],
		[
			"sent",
			`${size(box.toNeighbours)} to ${box.neighbours ?? "–"} neighbours`,
		],
		[
			"told",
			box.toldAt === null ? "never" : `${formatSpan(now - box.toldAt)} ago`,
		],
	];
}

/** What came from near, by level; nothing when nothing did. */
function nearOf({ near }: BoxView): string {
	if (near.every((bytes) => bytes === 0)) return "";
	return ` (${near.map(size).join(" + ")} from near)`;
}

/** Why boxes need a person, a line for each reason. */
export function concernTable(boxes: readonly BoxView[], now: number): string[] {
	const head = ["box", "serial", "region", "why", "since", "what to do"];
	const rows = boxes.flatMap((box) =>
		box.concerns.map(({ text, since, remedy }) => [
			...[short(box.id), box.serial, box.region, tint("bad", text)],
			...[since === null ? "–" : formatSpan(now - since), remedy],
		]),
	);
	return table([head.map((name) => tint("faint", name)), ...rows]);
}

function ago(since: number | null, now: number): string {
	return since === null ? "" : `, since ${formatSpan(now - since)}`;
}

function stateOf(box: BoxView, now: number): string {
	if (box.revoked) return tint("bad", "revoked");
	if (!box.online)
		return tint("warn", `away ${formatSpan(now - box.turnedAt)}`);
	if (box.part === "out") return tint("warn", "opted out");
	if (box.part === "draining") return tint("warn", "draining");
	if (box.reach === "none") return tint("warn", "cannot be reached");
	return tint("good", box.power === "standby" ? "standby" : "online");
}

/** Never 100 unless it is. */
function fillOf({ held, placed }: BoxView): string {
	if (held === null || placed === null || placed === 0) return "–";
	return `${Math.floor((100 * held) / placed)} %`;
}

function saidOf({ phase, code, missing }: BoxView): string {
	const room = phase === "short" && missing ? `: ${size(missing)}` : "";
	return `${[phase ?? "", code ?? ""].join(" ").trim()}${room}`;
}

/** An older box does not tell. */
function diskOf({ disk }: BoxView): string {
	if (disk === null) return "–";
	return disk.state === "good" ? disk.state : tint("bad", disk.state);
}

function countsOf({ disk }: BoxView): string[] {
	if (disk === null) return [];
	const { unreadable, changed, mended, scrubbed } = disk;
	return [
		`${unreadable} unreadable, ${changed} changed, ${mended} mended`,
		`${size(scrubbed)} read through`,
	];
}

function writesOf({ written, wear }: BoxView): string {
	const sum = written
		? `${size(written.boot)} since the boot, ${size(written.all)} in all`
		: "–";
	return wear ? `${sum}, flash is up to ${wear.used} % worn` : sum;
}

function size(bytes: Bytes | null): string {
	return bytes === null ? "–" : formatBytes(bytes);
}
