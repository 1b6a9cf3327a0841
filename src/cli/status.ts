import { type Bytes, formatBytes, type Rate } from "../base/units.ts";
import { short } from "../wire/ids.ts";
import { type Status, status } from "../wire/ipc.ts";
import { ask } from "./ask.ts";
import { householdRows } from "./household.ts";
import { formatSpan, print, printJson, table, tint } from "./output.ts";

/**
 * Prints what the running agent says of itself and gives the exit code, 0 when it answered; judging is the doctor's.
 * Throws IPC_UNREACHABLE when no agent answers.
 */
export async function statusCommand(options: {
	readonly socket: string;
	readonly json: boolean;
}): Promise<number> {
	const { raw, value } = await ask(options.socket, "status", status);
	if (options.json) printJson(raw);
	else print(render(value, Date.now()).join("\n"));
	return 0;
}

/** The status as lines for a person. */
export function render(box: Status, now: number): string[] {
	return [
		...problems(box),
		...table([
			["box", `${short(box.box)} in ${box.region}, ${box.power}`],
			["agent", `${box.version}, up ${formatSpan(box.uptime)}`],
			["membership", membership(box, now)],
			["broker", broker(box, now)],
			["placement", placement(box, now)],
			["store", store(box)],
			...disk(box),
			["shards", `${box.store.shards.held} of ${box.store.shards.placed} held`],
			...writes(box),
			...filling(box, now),
			...inbox(box),
			["rates", rates(box)],
			["limits", limits(box)],
			...(box.household ? householdRows(box.household) : []),
			["received", received(box)],
			["sent", sent(box)],
			["network", network(box)],
		]),
		...neighbours(box, now),
		...streams(box),
		...titles(box),
	];
}

function problems({ problems: all }: Status): string[] {
	return all.map((problem) => `${tint("bad", "problem")}  ${problem}`);
}

function membership({ membership: own }: Status, now: number): string {
	const left = own.notAfter - now;
	const until = new Date(own.notAfter).toISOString().slice(0, 10);
	return left > 0
		? `${own.role} ${own.serial}, valid until ${until}`
		: tint("bad", `${own.role} ${own.serial}, expired on ${until}`);
}

function broker({ control }: Status, now: number): string {
	const since =
		control.since === undefined
			? ""
			: ` for ${formatSpan(now - control.since)}`;
	return control.connected
		? `${control.broker}, connected${since}`
		: `${control.broker}, ${tint("warn", `not connected${since}`)}`;
}

function placement({ control: { lastPlacement: last } }: Status, now: number) {
	if (last === undefined) return "none yet";
	const code = last.code === undefined ? "" : ` (${last.code})`;
	return `${last.epoch}.${last.rev} ${last.phase}${code}, ${formatSpan(now - last.at)} ago`;
}

function store({ store: own }: Status): string {
	const share =
		own.capacity === 0 ? 0 : Math.round((100 * own.usedSpace) / own.capacity);
	const used = `${formatBytes(own.usedSpace)} of ${formatBytes(own.capacity)} used (${share} %)`;
	const held = `${formatBytes(own.heldBytes)} of ${formatBytes(own.placedBytes)} placed`;
	const short = own.missingBytes
		? `, ${tint("warn", `no room for ${formatBytes(own.missingBytes)}`)}`
		: "";
	const watched = `${formatBytes(own.transientBytes)} of ${formatBytes(own.streamingShare)} from watching`;
	const left =
		own.reserve === undefined
			? ""
			: `; ${formatBytes(own.reserve)} of the disk left to others`;
	return `${used}, ${held}${short}, ${watched}${left}`;
}

/** An older agent does not tell. */
function disk({ store: { disk: own } }: Status): [string, string][] {
	if (own === undefined) return [];
	const { state, unreadable, changed, mended, scrubbed } = own;
	const said = state === "good" ? state : tint("bad", state);
	const lost = unreadable + changed + mended;
	const counts = `${unreadable} unreadable, ${changed} changed, ${mended} mended`;
	const read = `${formatBytes(scrubbed)} read through`;
	return [["disk", [said, ...(lost > 0 ? [counts] : []), read].join(", ")]];
}

/** An older agent does not tell. */
function writes({ writes: own }: Status): [string, string][] {
	if (own === undefined) return [];
	const { budget, spent, wear, written } = own;
	const room = `${formatBytes(spent)} of ${formatBytes(budget)} a day`;
	const sum = written
		? `, ${formatBytes(written.boot)} since the boot, ${formatBytes(written.all)} in all`
		: "";
	const age = wear ? `, flash is up to ${wear.used} % worn` : "";
	return [["writes", `${budget === 0 ? "no limit" : room}${sum}${age}`]];
}

/** An older agent does not tell. */
function filling({ fill }: Status, now: number): [string, string][] {
	if (fill === undefined) return [];
	const { closed, trunk, neighbours, until } = fill;
	const limit = (rate: Rate | null) =>
		rate === null ? "nothing" : rate === 0 ? "no limit" : speed(rate);
	const what =
		closed === undefined
			? `${limit(trunk)} over the trunk, ${limit(neighbours)} from neighbours`
			: {
					hours: "not at this hour",
					standby: "not in standby",
					"time-unknown": "the time is not known yet",
				}[closed];
	const whose = fill.hours === "operator" ? " (the operator's hours)" : "";
	const then = until === undefined ? "" : `, for ${formatSpan(until - now)}`;
	return [["filling", `${what}${then}${whose}`]];
}

/** Nothing where nobody brought anything. */
function inbox({ inbox: own }: Status): [string, string][] {
	if (own === undefined || own.taken + own.wrong + own.waiting === 0) return [];
	const { taken, wrong, waiting } = own;
	return [
		["inbox", `${taken} shards taken in, ${waiting} wait, ${wrong} wrong`],
	];
}

function rates({ rates: now }: Status): string {
	return `${speed(now.down)} down, ${speed(now.origin)} of it from the origin, ${speed(now.up)} up`;
}

function limits({ limits: { down, up, origin } }: Status): string {
	const limit = (rate: Rate) => (rate === 0 ? "no limit" : speed(rate));
	return `${limit(down)} down, ${limit(origin)} from the origin, ${limit(up)} up`;
}

function received({ counters: { fromNeighbours, fromOrigin } }: Status) {
	return `${formatBytes(fromNeighbours)} from neighbours, ${formatBytes(fromOrigin)} from the origin`;
}

function sent({ counters: { toNeighbours, toPlayers } }: Status): string {
	return `${formatBytes(toNeighbours)} to neighbours, ${formatBytes(toPlayers)} to players`;
}

function network({ swarm }: Status): string {
	const tcp = swarm.tcpPort === 0 ? "no TCP" : `TCP ${swarm.tcpPort}`;
	return `reach ${swarm.reach}, UDP ${swarm.port}, ${tcp}, ${swarm.neighbours.length} neighbours`;
}

function neighbours({ swarm }: Status, now: number): string[] {
	return section(
		["neighbour", "link", "delay", "speed", "in flight", "from", "to", "since"],
		swarm.neighbours.map((each) => [
			short(each.box),
			each.link,
			measured(each.roundTripMs, (ms) => `${Math.round(ms)} ms`),
			measured(each.throughput, speed),
			formatBytes(each.inFlight),
			formatBytes(each.bytesFrom),
			formatBytes(each.bytesTo),
			formatSpan(now - each.since),
		]),
		[2, 3, 4, 5, 6, 7],
	);
}

function streams({ streams: all }: Status): string[] {
	return section(
		["stream", "title", "played", "speed", "sources"],
		all.map((each) => [
			each.id,
			short(each.title),
			formatBytes(each.bytes),
			speed(each.rate),
			`${each.sources}`,
		]),
		[2, 3, 4],
	);
}

function titles({ titles: all }: Status): string[] {
	return section(
		["title", "held", "placed"],
		all.map(({ id, held, placed }) => [short(id), `${held}`, `${placed}`]),
		[1, 2],
	);
}

function section(
	heads: readonly string[],
	rows: readonly (readonly string[])[],
	right: readonly number[],
): string[] {
	if (rows.length === 0) return [];
	return [
		"",
		...table([heads.map((head) => tint("faint", head)), ...rows], right),
	];
}

function measured(figure: number, show: (figure: number) => string): string {
	return figure === 0 ? "-" : show(figure);
}

function speed(rate: Rate): string {
	const bytes: Bytes = Math.round(rate);
	return `${formatBytes(bytes)}/s`;
}
