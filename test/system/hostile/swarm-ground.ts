// What the tests of strangers need of a desk: its operator's pen, and where its boxes can be come to.
import { readFile } from "node:fs/promises";
import type {
	DeskBox,
	Neighbourhood,
} from "../../../src/desk/neighbourhood.ts";
import { admit } from "../../../src/swarm/membership.ts";
import { parseEnvelope, seal } from "../../../src/wire/envelope.ts";
import { generateKeyPair } from "../../../src/wire/keys.ts";
import {
	type Door,
	type Ground,
	knock,
	membershipOf,
} from "../../swarm/stranger.ts";

/** Certificates are as the desk's own issuer signs them. */
export function groundOf({ operator }: Neighbourhood): Ground {
	const { network, region, rootKey, signers } = operator;
	const [address = ""] = operator.config.swarm.bootstrap;
	return {
		address,
		operator: {
			region,
			root: { publicKey: rootKey },
			signer: (purpose) => {
				if (purpose !== "release") return signers[purpose];
				throw new Error("the key for releases is not at a desk");
			},
			certify(key, changes = {}, signer = signers.issuer) {
				const bytes = seal(signer, {
					...{ network, region, role: "box", serial: "test" },
					box: key.publicKey.toString("hex"),
					notBefore: 0,
					notAfter: Date.now() + 1e9,
					...changes,
				});
				const read = parseEnvelope(JSON.parse(bytes.toString()));
				if (!read.ok) throw new Error(read.detail);
				return read.value;
			},
		},
	};
}

/** Where a box of the desk takes TCP connections, as it tells a member. */
export async function doorOf(ground: Ground, { id }: DeskBox): Promise<Door> {
	const key = generateKeyPair();
	const door = { id, swarm: { tcpPort: undefined } };
	const spy = await knock(ground, door, key, "udx");
	const me = membershipOf(ground, ground.operator.certify(key));
	const port = await new Promise<number | undefined>((resolve, reject) => {
		admit(spy.mux, "udx", me, {
			onProven: () => undefined,
			onMember: ({ tcp }) => resolve(tcp?.port),
			onRefused: (slug) => reject(new Error(slug)),
		});
	});
	await spy.end();
	return { id, swarm: { tcpPort: port } };
}

/** How many connections a box says that it refused, by slug. */
export async function refusalsOf(
	desk: Neighbourhood,
	box: DeskBox,
): Promise<ReadonlyMap<string, number>> {
	const answer = await fetch(`${desk.gatewayOf(box)}/metrics`);
	const lines = (await answer.text()).matchAll(
		/^larder_refused_connections_total\{slug="([^"]+)"\} (\d+)$/gm,
	);
	return new Map([...lines].map(([, slug = "", n]) => [slug, Number(n)]));
}

/** Bytes of memory that a process of the desk has. */
export async function memoryOf({
	process,
}: {
	readonly process: DeskBox["process"];
}): Promise<number> {
	const text = await readFile(`/proc/${process?.pid}/status`, "utf8");
	return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1]) * 1024;
}
