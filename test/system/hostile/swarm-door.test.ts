import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import t from "tap";
import { silent } from "../../../src/base/log.ts";
import { issuedPath } from "../../../src/headend/operator/issue.ts";
import { admit } from "../../../src/swarm/membership.ts";
import { listenTcp } from "../../../src/swarm/tcp.ts";
import type { BoxId } from "../../../src/wire/ids.ts";
import { generateKeyPair, type KeyPair } from "../../../src/wire/keys.ts";
import { FORGERIES } from "../../swarm/forgeries.ts";
import { grab, knock, membershipOf, sneakIn } from "../../swarm/stranger.ts";
import {
	counters,
	filled,
	larder,
	logOf,
	openDesk,
	poll,
	publishFilm,
} from "../desk.ts";
import { doorOf, groundOf, refusalsOf } from "./swarm-ground.ts";

const SIZE = 1024 * 1024;

t.setTimeout(240_000);

t.test("a box that runs and holds a film", async (t) => {
	const desk = await openDesk(t, { copies: 1 });
	const film = await publishFilm(desk, SIZE);
	const box = await desk.addBox();
	await filled(desk, film.shards);
	const ground = groundOf(desk);
	const door = await doorOf(ground, box);
	const refusals = () => refusalsOf(desk, box);

	for (const [slug, forge] of Object.entries(FORGERIES)) {
		for (const transport of ["udx", "tcp"] as const) {
			await t.test(`gives nothing for ${slug} over ${transport}`, async (t) => {
				const key = generateKeyPair();
				if (slug === "revoked") await revoke(key);
				const before = (await refusals()).get(slug) ?? 0;
				const stranger = await knock(ground, door, key, transport);
				let admitted = false;
				admit(
					stranger.mux,
					transport,
					{
						...membershipOf(ground, forge(ground, key)),
						...(slug === "role" && { tcp: () => ({ port: 1 }) }),
					},
					{
						onProven: () => undefined,
						onMember: () => {
							admitted = true;
						},
						onRefused: () => undefined,
					},
				);
				const got = grab(stranger, film.id);
				await stranger.closed;
				await stranger.end();
				t.notOk(admitted);
				t.equal(got.chunks, 0, "no block came");
				await poll("it is counted", async () => {
					return (await refusals()).get(slug) === before + 1;
				});
				const said = box.process ? await logOf(box.process) : [];
				t.ok(
					said.some(
						(line) =>
							line["slug"] === slug && line.msg === "connection refused",
					),
					"and logged",
				);
			});
		}
	}

	const { toNeighbours, fromNeighbours } = await counters(desk, box);
	t.same(
		{ toNeighbours, fromNeighbours },
		{ toNeighbours: 0, fromNeighbours: 0 },
	);

	/** The operator shuts out a box that it issued, and the box that runs hears of it. */
	async function revoke({ publicKey }: KeyPair): Promise<void> {
		const id = publicKey.toString("hex") as BoxId;
		const { dir, region } = desk.operator;
		const issued = { box: id, serial: id.slice(0, 8), region, issuedAt: 0 };
		await writeFile(issuedPath(dir, id), JSON.stringify(issued));
		const { code, said } = await larder("revoke", id, "-d", dir);
		if (code !== 0) throw new Error(said);
	}
});
