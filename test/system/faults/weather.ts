// What becomes of cables and packets. All of it happens at the router between the boxes.
import type { Node } from "../../../scripts/bench/network/network.ts";
import { run } from "../../../scripts/run.ts";

const TABLE = "inet weather";

async function rules(...lines: readonly string[]): Promise<void> {
	await run("nft", [
		`add table ${TABLE};` +
			`add chain ${TABLE} in { type filter hook prerouting priority 0; };` +
			`add chain ${TABLE} out { type filter hook postrouting priority 0; };` +
			`${lines.map((line) => `add rule ${TABLE} ${line};`).join("")}`,
	]);
}

/** Nothing goes to these any more or comes from them, and nobody is told. */
export async function unplug(...nodes: readonly Node[]): Promise<void> {
	await rules(
		...nodes.flatMap(({ port }) => [
			`in iifname ${port} drop`,
			`out oifname ${port} drop`,
		]),
	);
}

/** Each packet that a node sends is lost with this probability, in per cent, whatever became of others. */
export async function lose(percent: number): Promise<void> {
	await rules(`in iifname "port*" numgen random mod 100 < ${percent} drop`);
}

/** All is as it was before. */
export async function calm(): Promise<void> {
	await run("nft", ["delete", "table", ...TABLE.split(" ")]);
}

/** From now on a node's uplink takes so many bits a second. */
export async function throttle({ through }: Node, rate: number): Promise<void> {
	const [enter = "", ...words] = through;
	const tbf = ["tbf", "rate", `${rate}bit`, "burst", "4kb", "latency", "400ms"];
	const replace = ["tc", "qdisc", "replace", "dev", "eth0", "root", ...tbf];
	await run(enter, [...words, ...replace]);
}
