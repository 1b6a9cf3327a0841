import { connectAsync } from "mqtt";
import t, { type Test } from "tap";
import { monotonic, SECOND } from "../../../src/base/time.ts";
import type {
	DeskBox,
	Neighbourhood,
} from "../../../src/desk/neighbourhood.ts";
import { downTopic, headTopic } from "../../../src/wire/topics.ts";
import {
	addBoxes,
	addViewer,
	counters,
	type Film,
	filled,
	larder,
	logOf,
	openDesk,
	poll,
	publishFilm,
} from "../desk.ts";
import { openSecureDesk } from "./secure.ts";

const SIZE = 12 * 1024 * 1024;
/** From the operator's word, the command's own start included, until the box is out. */
const LIMIT = 5 * SECOND;

t.setTimeout(400_000);

/** Reads a film at its box's pace until it is told to stop. */
async function startPlayer(desk: Neighbourhood, box: DeskBox, film: Film) {
	const path = film.manifest.files[0]?.path;
	const url = `${desk.gatewayOf(box)}/titles/${film.id}/${path}`;
	const player = new AbortController();
	const { body, ok } = await fetch(url, { signal: player.signal });
	if (!ok) throw new Error("it does not play");
	const reader = body?.getReader();
	await reader?.read();
	const ended = (async () => {
		try {
			while ((await reader?.read())?.done === false);
		} catch (error) {
			if (!player.signal.aborted) throw error;
		}
	})();
	return async () => {
		player.abort();
		await ended;
	};
}

async function links(desk: Neighbourhood, box: DeskBox, to: DeskBox) {
	const { neighbours } = (await desk.statusOf(box)).swarm;
	return neighbours.filter(({ box }) => box === to.id);
}

interface ShutOutOptions {
	/** What happens once it plays. */
	readonly meanwhile?: () => Promise<unknown>;
	/** Whether the broker lets it in no more. */
	readonly session?: boolean;
}

/** Shuts a box out while it plays from its neighbours. */
async function shutOut(
	t: Test,
	desk: Neighbourhood,
	film: Film,
	boxes: readonly DeskBox[],
	thief: DeskBox,
	link: "tcp" | "udx",
	{ meanwhile, session = false }: ShutOutOptions = {},
): Promise<void> {
	await poll("all are its neighbours", async () => {
		const found = await Promise.all(
			boxes.map((box) => links(desk, box, thief)),
		);
		return found.every(([one]) => one?.link === link);
	});
	const stop = await startPlayer(desk, thief, film);
	await poll("its neighbours serve it", async () => {
		return (await counters(desk, thief)).fromNeighbours > 0;
	});
	await meanwhile?.();
	if (session) t.ok((await desk.statusOf(thief)).control.connected);
	const began = monotonic();
	const revoking = larder(
		...["revoke", thief.name, "--why", "stolen", "-d", desk.operator.dir],
	);
	await poll("it has no neighbour, and no session", async () => {
		const found = await Promise.all(
			boxes.map((box) => links(desk, box, thief)),
		);
		if (found.flat().length > 0) return false;
		return !session || !(await desk.statusOf(thief)).control.connected;
	});
	const took = Math.round(monotonic() - began);
	t.ok(took < LIMIT, `it took ${took} ms`);
	const { code, said } = await revoking;
	t.equal(code, 0, said);
	const { fromNeighbours, fromOrigin } = await counters(desk, thief);
	await poll("it goes on from the origin", async () => {
		return (await counters(desk, thief)).fromOrigin > fromOrigin;
	});
	t.equal((await counters(desk, thief)).fromNeighbours, fromNeighbours);
	await stop();
	for (const box of boxes) {
		if (box.process === undefined) throw new Error("it does not run");
		const cuts = (await logOf(box.process)).filter(
			({ msg, box, slug }) =>
				msg === "neighbour cut off" &&
				box === thief.id.slice(0, 8) &&
				slug === "revoked",
		);
		t.equal(cuts.length, 1, `${box.name} cut it off`);
	}
}

t.test("a box that is shut out in the middle of a film", async (t) => {
	const desk = await openDesk(t, { copies: 2 });
	const film = await publishFilm(desk, SIZE);
	const boxes = await addBoxes(desk, 3);
	await filled(desk, film.shards * 2);
	const slow = { down: "512 KiB/s" };
	const url = desk.brokerUrl;
	const thieves = [
		await addViewer(desk, film, slow),
		await addViewer(desk, film, { ...slow, tcp: false }),
		await addViewer(desk, film, slow),
	] as const;
	const raw = await connectAsync(url, { clientId: "headend-raw" });
	t.teardown(() => raw.endAsync(true));

	await t.test("over TCP", (t) =>
		shutOut(t, desk, film, boxes, thieves[0], "tcp"),
	);
	await t.test("over UDX", (t) =>
		shutOut(t, desk, film, boxes, thieves[1], "udx"),
	);

	await t.test("the headend hears and tells it nothing more", async (t) => {
		await poll("its messages are dropped", async () => {
			const log = desk.headend ? await logOf(desk.headend) : [];
			return log.some(
				({ msg, slug, detail }) =>
					msg === "message dropped" &&
					slug === "revoked" &&
					String(detail).includes(thieves[0].id),
			);
		});
		const dropped = (await logOf(desk.headend!)).filter(
			({ msg }) => msg === "put off the broker",
		);
		t.equal(dropped.length, 2);
		const kept: string[] = [];
		const { promise, resolve } = Promise.withResolvers<void>();
		raw.on("message", (topic, payload) => {
			if (payload.length > 0) kept.push(topic);
			if (topic === headTopic(desk.operator.region)) resolve();
		});
		// The head stands there for certain, and comes last.
		const topics = [
			...thieves.map(({ id }) => downTopic(id, "desired")),
			...boxes.map(({ id }) => downTopic(id, "desired")),
			headTopic(desk.operator.region),
		];
		for (const topic of topics) await raw.subscribeAsync(topic);
		await promise;
		t.same(
			kept.filter((topic) => topic.includes("/box/")),
			boxes.map(({ id }) => downTopic(id, "desired")),
		);
		await raw.endAsync(true);
	});

	await t.test("while the broker is down", (t) =>
		shutOut(t, desk, film, boxes, thieves[2], "tcp", {
			meanwhile: async () => desk.broker?.stop(),
		}),
	);
});

t.test("over TLS its session at the broker ends, too", async (t) => {
	const { desk, main } = await openSecureDesk(t, 2, ["SN-1"]);
	const film = await publishFilm(desk, SIZE);
	const boxes = await addBoxes(desk, 3);
	await filled(desk, film.shards * 2);
	const thief = await addViewer(desk, film, { down: "512 KiB/s" });
	const from = main.lines.all.length;
	await shutOut(t, desk, film, boxes, thief, "tcp", { session: true });
	const isRefusal = (line: string) => /certificate verify failed/.test(line);
	await main.lines.until(isRefusal, from);
	t.notOk((await desk.statusOf(thief)).control.connected, "it knocks in vain");
	for (const box of boxes)
		t.ok((await desk.statusOf(box)).control.connected, `${box.name} stays`);
});
