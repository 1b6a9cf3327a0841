import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { DAY, HOUR, SECOND } from "../../../src/base/time.ts";
import type {
	DeskBox,
	Neighbourhood,
} from "../../../src/desk/neighbourhood.ts";
import type { PurgeView } from "../../../src/headend/fleet/stragglers.ts";
import type { Swarm } from "../../../src/swarm/swarm.ts";
import { head } from "../../../src/wire/head.ts";
import { parseMessage } from "../../../src/wire/json.ts";
import {
	addBoxes,
	addViewer,
	BLOCK,
	counters,
	type Film,
	filled,
	heldOf,
	larder,
	openDesk,
	play,
	poll,
	publishFilm,
} from "../desk.ts";
import { openMember } from "../member.ts";

const SIZE = 12 * 1024 * 1024;
/** Holder tables, and what else is small. */
const SMALL = 64 * 1024;

t.setTimeout(400_000);

async function purge(t: Test, desk: Neighbourhood, ...args: string[]) {
	const { code, said } = await larder(
		"purge",
		...args,
		"-d",
		desk.operator.dir,
	);
	t.equal(code, 0, said);
	return said;
}

/** How far the film is gone, as the operator sees it. */
async function statusOf(t: Test, desk: Neighbourhood): Promise<PurgeView> {
	return JSON.parse(await purge(t, desk, "--status", "film", "--json"));
}

async function isListed(
	desk: Neighbourhood,
	box: DeskBox,
	film: Film,
): Promise<boolean> {
	const answer = await fetch(`${desk.gatewayOf(box)}/titles`);
	const titles = (await answer.json()) as { id: string }[];
	return titles.some(({ id }) => id === film.id);
}

/** A player in the middle of the film; resolves with how many bytes it got in all. */
async function startPlayer(desk: Neighbourhood, box: DeskBox, film: Film) {
	const path = film.manifest.files[0]?.path;
	const url = `${desk.gatewayOf(box)}/titles/${film.id}/${path}`;
	const { body } = await fetch(url);
	const reader = body?.getReader();
	let bytes = (await reader?.read())?.value?.length ?? 0;
	const ended = (async () => {
		try {
			for (;;) {
				const next = await reader?.read();
				if (next?.value === undefined) return bytes;
				bytes += next.value.length;
			}
		} catch {
			return bytes;
		}
	})();
	return { begun: bytes > 0, ended };
}

t.test("a title that is taken back is gone from every box", async (t) => {
	const desk = await openDesk(t, { copies: 2 });
	const film = await publishFilm(desk, SIZE);
	// Less is kept for what nothing was placed of than the film takes: it must not make room.
	const boxes = await addBoxes(desk, 3, {
		quota: "40 MiB",
		streamingShare: 0.05,
	});
	await filled(desk, film.shards * 2);
	const viewer = await addViewer(desk, film, { down: "256 KiB/s" });
	const all = [...boxes, viewer];
	const before = await Promise.all(boxes.map((box) => heldOf(box, film)));
	const spent = async () =>
		await Promise.all(
			boxes.map(async (box) => {
				const { fromNeighbours, fromOrigin } = await counters(desk, box);
				return fromNeighbours + fromOrigin;
			}),
		);
	const spentBefore = await spent();

	await t.test("whoever watches it is cut short", async (t) => {
		const refused = await larder("purge", "film", "-d", desk.operator.dir);
		t.match(refused, { code: 1, said: /--why/ });
		const asked = await larder(
			...["purge", "film", "--why", "x", "-d", desk.operator.dir],
		);
		t.match(asked, { code: 1, said: /--yes/ });
		const player = await startPlayer(desk, viewer, film);
		t.ok(player.begun);
		await purge(t, desk, "film", "--why", "rights ended", "--yes");
		t.ok((await player.ended) < film.manifest.size);
	});

	await t.test("no box shows or plans it any more", async (t) => {
		for (const box of all) {
			await poll(`${box.name} hides it`, async () => {
				const { titles, streams } = await desk.statusOf(box);
				const isThere = [...titles.map(({ id }) => id), ...streams].some(
					(one) => (typeof one === "string" ? one : one.title) === film.id,
				);
				return !isThere && !(await isListed(desk, box, film));
			});
			const answer = await fetch(`${desk.gatewayOf(box)}/titles/${film.id}/`);
			t.equal(answer.status, 404);
			t.notOk(existsSync(join(box.dir, "data", "keys", film.id)));
		}
		t.notOk(existsSync(join(desk.operator.dir, "origin", film.id)));
		const status = await poll("all have said so", async () => {
			const status = await statusOf(t, desk);
			return status.hidden === all.length && status;
		});
		t.match(status, { deleted: 0, waiting: 0, faults: 0 });
	});

	await t.test("given back, it is there without being fetched", async (t) => {
		await purge(t, desk, "film", "--undo", "--why", "a mistake");
		for (const box of all)
			await poll(`${box.name} lists it`, () => isListed(desk, box, film));
		await poll("all hold what is placed", async () => {
			const states = await Promise.all(boxes.map((box) => desk.statusOf(box)));
			const placed = states.map(({ store }) => store.shards.placed);
			const held = states.map(({ store }) => store.shards.held);
			const sum = placed.reduce((a, b) => a + b, 0);
			return sum === film.shards * 2 && held.join() === placed.join();
		});
		for (const [i, box] of boxes.entries())
			t.same(await heldOf(box, film), before[i], `${box.name} kept its shards`);
		for (const [i, bytes] of (await spent()).entries())
			t.ok(bytes - (spentBefore[i] ?? 0) < SMALL, `${bytes} bytes came`);
		t.equal((await play(desk, boxes[0] as DeskBox, film)).mismatches, 0);
	});

	const away = boxes[0] as DeskBox;
	await away.process?.stop();
	await purge(t, desk, "film", "--why", "rights ended", "--yes");

	await t.test("who is away is listed", async (t) => {
		const status = await poll("the others have said so", async () => {
			const status = await statusOf(t, desk);
			return status.hidden === all.length - 1 && status;
		});
		t.match(status, {
			waiting: 1,
			stragglers: [
				...status.stragglers.slice(0, -1),
				{ serial: away.name, state: "waiting", online: false },
			],
		});
		const said = await purge(t, desk, "--status", "film");
		t.match(said, new RegExp(`${away.name} +not yet +last seen .* ago`));
		t.match(await purge(t, desk, "--status"), /film .* 0 +3 +1 +0/);
	});

	await t.test("back, it learns so before it gives anything", async (t) => {
		const file = join(desk.operator.dir, "head.json");
		const read = parseMessage(head, await readFile(file));
		if (!read.ok) throw new Error(read.detail);
		await desk.headend?.stop();
		await desk.broker?.stop();
		for (const box of all) await box.process?.stop();
		await desk.startBox(away);
		const signal = AbortSignal.timeout(60 * SECOND);
		const meet = async (swarm: Swarm) => {
			swarm.watch(film.id);
			await poll("they meet", async () => {
				swarm.dial([away.id]);
				return swarm.neighbours.has(away.id);
			});
		};

		// It would give: that it gives nothing below is not for another reason.
		const { swarm: ignorant } = await openMember(t, desk, "ignorant", {});
		await meet(ignorant);
		await poll("it tells what it holds", async () =>
			[...Array(film.shards).keys()].some(
				(shard) => ignorant.candidates(film.id, shard).length > 0,
			),
		);
		t.ok((await ignorant.manifest(film.id, signal)).length > 0);

		const options = { head: read.value };
		const { swarm: knowing } = await openMember(t, desk, "knowing", options);
		await meet(knowing);
		const link = () => knowing.neighbours.get(away.id);
		await t.rejects(knowing.manifest(film.id, signal));
		await t.rejects(knowing.holders(film.id, signal));
		for (let shard = 0; shard < film.shards; shard += 8) {
			t.same(knowing.candidates(film.id, shard), []);
			const run = { shard, first: 0, count: 1 };
			const request = { title: film.id, run, bytes: BLOCK, blockSize: BLOCK };
			await t.rejects(
				knowing.blocks(
					away.id,
					{ ...request, urgent: true },
					() => t.fail("a block came"),
					signal,
				),
			);
		}
		t.equal(link()?.received, 0);
		await poll("nor does it tell others any more", async () =>
			[...Array(film.shards).keys()].every(
				(shard) => ignorant.candidates(film.id, shard).length === 0,
			),
		);
		t.notOk(await isListed(desk, away, film));
		t.ok((await heldOf(away, film)).size > 0, "it is on the disk for a day");
	});

	await t.test("a day later nothing is left on any disk", async (t) => {
		await away.process?.stop();
		await desk.startBroker();
		await desk.startHeadend();
		const later = all.map(async (box) => {
			const path = join(box.dir, "data", "control", "time.json");
			const record = JSON.parse(await readFile(path, "utf8"));
			record.ran += DAY + HOUR;
			await writeFile(path, JSON.stringify(record));
			await desk.startBox(box);
		});
		await Promise.all(later);
		const status = await poll("all have said so", async () => {
			const status = await statusOf(t, desk);
			return status.deleted === all.length && status;
		});
		t.match(status, { hidden: 0, faults: 0, stragglers: [] });
		for (const box of all)
			for (const folder of ["shards", "holders", "keys"])
				t.notOk(
					existsSync(join(box.dir, "data", folder, film.id)),
					`${box.name} has no ${folder} of it`,
				);
		t.match(await larder("audit", "-d", desk.operator.dir), {
			said: /purge-undo .*a mistake/,
		});
	});
});
