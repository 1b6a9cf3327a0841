// A receiver among its neighbours, from its first boot on: `npm run test:image`. Each part goes on where the last one left it.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { monotonic, SECOND } from "../../src/base/time.ts";
import { formatBytes, GiB, MiB } from "../../src/base/units.ts";
import { initOperator } from "../../src/headend/operator/operator.ts";
import { signRelease } from "../../src/headend/release/sign.ts";
import type { RolloutView } from "../../src/headend/rollout/view.ts";
import { play, poll, publishSource } from "../system/desk.ts";
import { CLIP } from "../system/media.ts";
import { bundle, Line, orderOf } from "../system/update/network.ts";
import { boxOf, note } from "./receiver.ts";
import { hashOf, openStage, SERIAL } from "./stage.ts";

const SOAK = process.env["LARDER_SOAK"] !== undefined;
const CUTS = SOAK ? 20 : 5;

t.setTimeout(3_600_000);

t.test("a receiver among its neighbours", async (t) => {
	const stage = await openStage(t);
	const { desk, operator, at, larder, speaker, neighbour, receiver } = stage;
	const { publish, held, gives } = stage;

	await t.test("1: all of it comes up, and nothing has failed", async (t) => {
		t.equal(await receiver.on(), "running");
		t.equal(await receiver.run("systemctl --failed --plain --no-legend"), "");
		t.match(
			await receiver.run(
				"systemctl show larder-agent -P SubState -P StatusText",
			),
			/running/,
		);
		t.equal((await receiver.run("hostname")).trim(), "larder-sn-0002");
	});

	const id = await boxOf(desk, SERIAL, larder);
	desk.observer.follow(id);
	const line = await Line.open(t, desk, id, speaker);
	const clip = await publishSource(desk, CLIP);
	const film = await publish(8 * MiB);

	await t.test(
		"2: it is let in, fills, and serves what was published",
		async (t) => {
			await held(clip);
			await held(film);
			const fill = desk.observer.fills.get(id);
			t.equal(fill?.heldBytes, fill?.placedBytes);
			note(`it holds ${formatBytes(fill?.heldBytes ?? 0)}`);
			const paths = clip.manifest.files.map(({ path }) => path);
			const wanted = paths.map(async (path) =>
				hashOf(await readFile(join(CLIP, path))),
			);
			t.same(await receiver.hashes(clip, paths), await Promise.all(wanted));
			t.ok(await gives(film));
			t.match(await play(desk, neighbour, film), { mismatches: 0 });
			const { counters, store } = await receiver.status();
			t.equal(store.capacity, 2 * GiB, "what a small disk gives");
			t.ok(counters.fromNeighbours + counters.fromOrigin > 0);
			note(
				`from the neighbour ${formatBytes(counters.fromNeighbours)}, from the origin ${formatBytes(counters.fromOrigin)}`,
			);
		},
	);

	await t.test("3: an agent that hangs is started again", async (t) => {
		const before = await receiver.run(
			"systemctl show larder-agent -P NRestarts; kill -STOP $(systemctl show larder-agent -P MainPID)",
		);
		await receiver.until(
			"systemctl show larder-agent -P NRestarts -P ActiveState",
			new RegExp(`^${Number(before) + 1}\\nactive`),
		);
		t.match(
			await receiver.run("journalctl -u larder-agent -o cat"),
			/[Ww]atchdog timeout/,
		);
		t.ok(await gives(film));
	});

	await t.test(`4: the power goes ${CUTS} times while it fills`, async (t) => {
		for (let cut = 1; cut <= CUTS; cut++) {
			const next = await publish(8 * MiB);
			await poll("it has begun to fill", async () => {
				const shards = await receiver.shards(next);
				return shards.size > 0;
			});
			await new Promise((resolve) => setTimeout(resolve, Math.random() * 3000));
			const before = await receiver.shards(next);
			await receiver.cut();
			note(`the power went with ${before.size} of ${next.shards} shards held`);
			t.equal(await receiver.on(), "running");
			t.match(
				await receiver.run(
					"cat /sys/fs/ext4/*/errors_count; findmnt -n -o FSTYPE,OPTIONS /data",
				),
				/^0\next4 +rw/,
				"the file system is clean",
			);
			const after = await receiver.shards(next);
			const published = new Map<string, string>();
			for (const shard of after.keys()) {
				const origin = join(operator.dir, "origin", next.id, shard);
				published.set(shard, hashOf(await readFile(origin)));
			}
			t.same(after, published, "each is whole");
			t.same(
				[...before.keys()].filter((shard) => !after.has(shard)),
				[],
				"none that was whole is lost",
			);
			await held(next);
			t.ok(await gives(next));
		}
	});

	await t.test("5: releases over the swarm", async (t) => {
		const target = "linux-arm64";
		const sign = async (version: string, program?: string) => {
			const out = join(desk.dir, version);
			const folder = await bundle(out, version, program, target);
			const key = join(operator.dir, "keys/release.json");
			await larder(
				"release",
				"sign",
				folder,
				"--key",
				key,
				"--out",
				desk.dir,
				...at,
			);
			await larder(
				...[
					"release",
					"publish",
					join(desk.dir, `larder-${version}-${target}.release`),
					...at,
				],
			);
			return folder;
		};
		const roll = async (version: string): Promise<RolloutView> => {
			const waves = ["--waves", "100%", "--soak", "1 s"];
			await larder("rollout", "start", version, ...waves, ...at);
			const began = monotonic();
			for (;;) {
				const [view] = JSON.parse(
					await larder("rollout", "status", "--json", ...at),
				) as RolloutView[];
				if (view === undefined) throw new Error("no rollout");
				if (view.done + view.failed > 0) {
					const seconds = Math.round((monotonic() - began) / SECOND);
					note(
						`${version}: ${view.failed > 0 ? "went back" : "done"} after ${seconds} s`,
					);
					return view;
				}
				if (monotonic() - began > 400 * SECOND)
					throw new Error(JSON.stringify(view));
				await new Promise((resolve) => setTimeout(resolve, SECOND));
			}
		};
		await t.test("a good one", async (t) => {
			await sign("0.2.0");
			t.match(await roll("0.2.0"), { done: 1, failed: 0 });
			t.match(await receiver.status(), { version: "0.2.0" });
			t.ok(await gives(film));
		});
		const bad = (kind: string) =>
			join(import.meta.dirname, `../system/update/bad/${kind}.ts`);
		// As shipped a release has 120 s to say READY, which one that never does would make this test wait for, twice.
		const folder = "/run/systemd/system/larder-agent.service.d";
		await receiver.run(
			`mkdir -p ${folder} && printf '[Service]\\nTimeoutStartSec=60\\n' > ${folder}/soon.conf && systemctl daemon-reload`,
		);
		for (const [index, kind] of ["crash", "hang", "sick"].entries())
			await t.test(`one that is bad: ${kind}`, async (t) => {
				const version = `0.3.${index}`;
				await sign(version, bad(kind));
				t.match(await roll(version), { failures: [{ code: "rolled-back" }] });
				await larder("rollout", "abort", "--why", "bad", ...at);
				t.match(await receiver.status(), { version: "0.2.0" });
				t.ok(await gives(film));
			});
		await t.test("one that another operator signed", async (t) => {
			const folder = await sign("0.4.0");
			const dir = join(desk.dir, "stranger");
			const { region } = operator;
			const stranger = await initOperator(dir, { region });
			const key = join(dir, "keys/release.json");
			const signed = { bundle: folder, key, out: dir };
			const { path } = await signRelease(stranger, signed);
			const ordered = await orderOf(stranger, path, film.id);
			t.match(await line.ask(id, ordered), {
				ok: false,
				code: "RELEASE_INVALID",
			});
		});
	});

	await t.test("10: figures", async () => {
		const began = monotonic();
		await held(await publish(32 * MiB));
		const seconds = (monotonic() - began) / SECOND;
		note(`a film of 32 MiB is held after ${seconds.toFixed(1)} s, emulated`);
		const said = await receiver.run(
			"pid=$(systemctl show larder-agent -P MainPID); awk '/^Pss:/ {print $2}' /proc/$pid/smaps_rollup; systemd-analyze time; head -3 /proc/meminfo",
		);
		note(`of the agent, PSS in KiB, emulated:\n${said}`);
	});
});
