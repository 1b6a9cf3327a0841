import { openVisitor } from "../swarm/dht.ts";
import { type Answer, survey } from "../swarm/survey.ts";
import type { Swarm } from "../swarm/swarm.ts";
import type { Check } from "../wire/ipc.ts";
import type { Config } from "./config.ts";
import { failure, finding } from "./finding.ts";

/** So many of the DHT nodes that the agent knows besides are asked. */
const KNOWN = 8;

/** What asks DHT nodes: the running agent's swarm, which may know others than the operator's. */
export type Asker = Pick<Swarm, "nodes" | "survey">;

/**
 * Whether the operator's DHT nodes answer. When none does, the others that a running agent knows keep it online.
 * @param asker undefined when no agent runs
 */
export async function checkBootstrap(
	{ swarm }: { readonly swarm: Pick<Config["swarm"], "bootstrap" | "host"> },
	asker?: Asker,
): Promise<Check> {
	const name = "bootstrap";
	const nodes = swarm.bootstrap.map(({ host, port }) => `${host}:${port}`);
	try {
		const [answers, others] =
			asker === undefined
				? [await visit(swarm.host, nodes), []]
				: await Promise.all([
						asker.survey(nodes),
						asker.survey(asker.nodes.slice(0, KNOWN)),
					]);
		const there = countOf(answers);
		const online = countOf(others);
		const silent = answers.flatMap(({ node, seen }) => {
			if (seen.ok) return [];
			return seen.reason === "silent" ? node : `${node} (${seen.detail})`;
		});
		const text = [`${there || "none"} of ${nodes.length} nodes answered`];
		if (silent.length > 0) text.push(`silent: ${silent.join(", ")}`);
		if (there === 0 && online > 0)
			text.push(`online through ${online} other nodes that the box knows`);
		const level =
			silent.length === 0 ? "ok" : there + online > 0 ? "warn" : "fail";
		return finding(
			name,
			level,
			text.join("; "),
			"Check that `larder bootstrap` runs on the silent nodes, that swarm.bootstrap has their addresses right, and that UDP gets through both ways.",
		);
	} catch (error) {
		return failure(name, error);
	}
}

async function visit(host: string, nodes: readonly string[]) {
	const visitor = await openVisitor(host, nodes);
	try {
		return await survey(visitor, nodes);
	} finally {
		await visitor.destroy({ force: true });
	}
}

function countOf(answers: readonly Answer[]): number {
	return answers.filter(({ seen }) => seen.ok).length;
}
