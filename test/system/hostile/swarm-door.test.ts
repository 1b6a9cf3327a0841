import { join } from "node:path";
import t from "tap";
import { readIdentity } from "../../../src/agent/identity.ts";
import { silent } from "../../../src/base/log.ts";
import { admit, type Member } from "../../../src/swarm/membership.ts";
import { listenTcp } from "../../../src/swarm/tcp.ts";
import { timeOf } from "../../../src/wire/envelope.ts";
import { generateKeyPair, type KeyPair } from "../../../src/wire/keys.ts";
import { FORGERIES } from "../../swarm/forgeries.ts";
import { grab, knock, membershipOf } from "../../swarm/stranger.ts";
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
	const desk = await openDesk(t, { copies: 2 });
	const film = await publishFilm(desk, SIZE);
	const box = await desk.addBox();
	const stolen = await desk.addBox();
	await filled(desk, film.shards * 2);
	await stolen.process?.stop();
	const path = join(stolen.dir, "identity.json");
	const { keyPair: stolenKey } = await readIdentity(path, timeOf(Date.now));
	const { dir } = desk.operator;
	const { code, said } = await larder(
		"revoke",
		stolen.name,
		...["--why", "stolen", "-d", dir],
	);
	t.equal(code, 0, said);
	const ground = groundOf(desk);
	const door = await doorOf(ground, box);
	const refusals = () => refusalsOf(desk, box);
	const traffic = async () => {
		const { toNeighbours, fromNeighbours } = await counters(desk, box);
		return { toNeighbours, fromNeighbours };
	};
	const before = await traffic();

	/** Comes with a certificate, and asks for a block at once; `chunks` are those that it got, `isMember` whether it was let in. */
	async function come(
		slug: string,
		forge: (typeof FORGERIES)[string],
		transport: "udx" | "tcp",
	) {
		const key = slug === "revoked" ? stolenKey : generateKeyPair();
		const stranger = await knock(ground, door, key, transport);
		const me = {
			...membershipOf(ground, forge(ground, key)),
			// A headend has no such port, nor does it come over TCP.
			...(slug === "role" && { tcp: () => ({ port: 1 }) }),
		};
		let isMember = false;
		admit(stranger.mux, transport, me, {
			onProven: () => undefined,
			onMember: () => {
				isMember = true;
			},
			onRefused: () => undefined,
		});
		const got = grab(stranger, film.id);
		await stranger.closed;
		await stranger.end();
		return { chunks: got.chunks, isMember };
	}

	for (const [slug, forge] of Object.entries(FORGERIES))
		for (const transport of ["udx", "tcp"] as const)
			await t.test(`gives nothing for ${slug} over ${transport}`, async (t) => {
				const counted = (await refusals()).get(slug) ?? 0;
				const got = await come(slug, forge, transport);
				t.same(got, { chunks: 0, isMember: false });
				await poll("it is counted", async () => {
					return (await refusals()).get(slug) === counted + 1;
				});
			});

	t.same(await traffic(), before, "no block went either way");
	const lines = box.process ? await logOf(box.process) : [];
	const refused = lines.filter(({ msg }) => msg === "connection refused");
	const slugs = new Set(refused.map((line) => line["slug"]));
	for (const slug of Object.keys(FORGERIES))
		t.ok(slugs.has(slug), `${slug} is in the log`);

	await t.test(
		"takes no impostor for the neighbour that it dials",
		async (t) => {
			const came: string[] = [];
			const strayed = Promise.withResolvers<void>();
			const impostor = await listenTcp("127.0.0.1", 0, generateKeyPair(), {
				onSocket: () => came.push("a call"),
				onStranger: () => strayed.resolve(),
				onStream: () => came.push("a connection"),
				log: silent,
			});
			t.teardown(() => impostor.close());
			const key = lowerThan(box.id);
			const friend = await knock(ground, door, key, "udx");
			t.teardown(() => friend.end());
			const me = membershipOf(ground, ground.operator.certify(key));
			await new Promise<Member>((resolve, reject) => {
				admit(
					friend.mux,
					"udx",
					{ ...me, tcp: () => ({ port: impostor.port }) },
					{
						onProven: () => undefined,
						onMember: resolve,
						onRefused: (slug) => reject(new Error(slug)),
					},
				);
			});
			await strayed.promise;
			t.same(came, ["a call"]);
		},
	);
});

/** Of two neighbours the one with the higher key dials. */
function lowerThan(box: string): KeyPair {
	for (;;) {
		const key = generateKeyPair();
		if (key.publicKey.toString("hex") < box) return key;
	}
}
