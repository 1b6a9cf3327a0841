// An origin in the wrong hands: whatever it serves, nothing but what was published is stored, played or passed on.
import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { silent } from "../../../src/base/log.ts";
import { MiB } from "../../../src/base/units.ts";
import { MqttSession } from "../../../src/control/client.ts";
import type { DeskBox } from "../../../src/desk/neighbourhood.ts";
import { freeTcpPort } from "../../../src/desk/ports.ts";
import { HEADEND } from "../../../src/headend/control/broker.ts";
import { seal } from "../../../src/wire/envelope.ts";
import { downTopic } from "../../../src/wire/topics.ts";
import {
	addBoxes,
	BLOCK,
	type Film,
	filled,
	logOf,
	openDesk,
	PATIENCE,
	play,
	poll,
	publishFilm,
	SHARD_BLOCKS,
} from "../desk.ts";
import {
	BOMB,
	type HostileOrigin,
	hostileOrigin,
	liesOf,
	pourInto,
} from "./origin.ts";
import { statement, strangeIn, watch } from "./strange.ts";
import { memoryOf } from "./swarm-ground.ts";

/** Two shards, the second short. */
const SIZE = 400_000;
/** What eight answers under way may hold, garbage included. */
const SLACK = 96 * MiB;

/** Answers in the place of a placement's titles, and how they are reported. */
const BODIES: Readonly<Record<string, Body>> = {
	"other titles": {
		slug: "wrong-hash",
		answer: (bytes, response) =>
			response.end(Buffer.from(`${bytes}`.replace(/"rank":\d/, '"rank":9'))),
	},
	nothing: { slug: "wrong-hash", answer: (_, response) => response.end() },
	"half of them": {
		slug: "wrong-hash",
		answer: (bytes, response) =>
			response.end(bytes.subarray(0, bytes.length / 2)),
	},
	"more than they are": {
		slug: "ref-unavailable",
		answer: (bytes, response) =>
			response.end(Buffer.concat([bytes, Buffer.alloc(MiB)])),
	},
	"no end": {
		slug: "ref-unavailable",
		answer: (_, response) => pourInto(response),
	},
	"a bomb": {
		slug: "ref-unavailable",
		answer: (_, response) => {
			response.writeHead(200, { "content-encoding": "gzip" });
			response.end(BOMB);
		},
	},
	"a way elsewhere": {
		slug: "ref-unavailable",
		answer: (_, response) => {
			response.writeHead(307, { location: "http://127.0.0.1:9/" }).end();
		},
	},
};

interface Body {
	readonly slug: string;
	readonly answer: NonNullable<HostileOrigin["body"]>;
}

t.setTimeout(300_000);

const originPort = await freeTcpPort();
const desk = await openDesk(t, { copies: 2, origin: false, originPort });
const folder = join(desk.operator.dir, "origin");
let decoy: Film | undefined;
const origin = await hostileOrigin(
	t,
	originPort,
	() => folder,
	() => decoy?.id ?? ("" as Film["id"]),
);
const lies = liesOf(BLOCK * SHARD_BLOCKS, origin.elsewhere);
const [box, other] = (await addBoxes(desk, 2)) as [DeskBox, DeskBox];
decoy = await publishFilm(desk, SIZE, "decoy");
await filled(desk, decoy.shards * 2);

t.test("nothing of a lie is stored, played or passed on", async (t) => {
	const before = await memoryOf(box);
	let peak = before;
	const films = new Map<string, Film>();
	for (const [what, lie] of Object.entries(lies)) {
		// Nobody knows of it before it is published, and then of the lie at once.
		const film = await publishFilm(desk, SIZE, `film ${films.size}`);
		origin.lies.set(film.id, lie);
		films.set(what, film);
	}
	for (const [what, { id }] of films)
		await poll(`${what} is told`, async () => {
			peak = Math.max(peak, await memoryOf(box), await memoryOf(other));
			return (origin.told.get(id) ?? 0) > 0;
		});
	const looked = [...films].map(async ([what, film]) => {
		const bytes = await watch(desk, box, film);
		const source = await readFile(film.source);
		t.ok(
			source.subarray(0, bytes.length).equals(bytes),
			`${what}: played ${bytes.length} bytes`,
		);
	});
	await Promise.all(looked);
	for (const each of [box, other])
		for (const [what, film] of films)
			t.same(
				await strangeIn(desk, each, film),
				[],
				`${what}: on the disk of ${each.name}`,
			);
	peak = Math.max(peak, await memoryOf(box), await memoryOf(other));
	t.equal(origin.strays(), 0, "nobody was led elsewhere");
	t.ok(peak < before + SLACK, `${(peak - before) / MiB} MiB more than before`);
	const { counters } = await desk.statusOf(box);
	t.ok(counters.wrongBlocks > 0, `${counters.wrongBlocks} wrong blocks`);
	for (const { process } of [box, other])
		if (process === undefined) t.fail("it ended");
		else
			t.same(
				(await logOf(process)).filter(({ level }) => Number(level) >= 50),
				[],
			);
	t.comment(
		`${films.size} lies, told ${[...origin.told.values()].join(", ")} times, ${peak / MiB} MiB at most`,
	);
	origin.lies.clear();
	await filled(
		desk,
		[decoy, ...films.values()].reduce(
			(sum, film) => sum + (film?.shards ?? 0) * 2,
			0,
		),
	);
	for (const [what, film] of films) {
		const { mismatches, bytes } = await play(desk, other, film);
		t.same(
			{ mismatches, bytes },
			{ mismatches: 0, bytes: film.manifest.size },
			`${what}: over`,
		);
	}
});

t.test("a placement is what the operator signed", async (t) => {
	const { network, region, signers } = desk.operator;
	const mouth = new MqttSession({
		...{ url: desk.brokerUrl, clientId: `${HEADEND}mouth`, log: silent },
	});
	mouth.start();
	t.teardown(() => mouth.close());
	await poll("the broker is there", async () => mouth.connected);
	const { lastPlacement } = (await desk.statusOf(box)).control;
	const { epoch = 0, rev = 0 } = lastPlacement ?? {};
	const record = join(box.dir, "data", "control", "desired.json");
	const before = await readFile(record, "utf8");
	const { body } = statement(JSON.stringify(JSON.parse(before).envelope));
	let last = rev;
	/** Places the same as before, by a reference to a file whose bytes are like no other's. */
	const place = async () => {
		const bytes = Buffer.from(JSON.stringify({ ...body, rev: ++last }));
		const sha256 = createHash("sha256").update(bytes).digest("hex");
		const ref = `placement/${sha256}`;
		await mkdir(join(folder, "placement"), { recursive: true });
		await writeFile(join(folder, ref), bytes);
		const said = {
			...{ network, region, box: box.id, epoch, rev: last },
			body: { ref, sha256, size: bytes.length },
		};
		const payload = seal(signers.placement, said);
		await mouth.publish(downTopic(box.id, "desired"), payload);
		return sha256;
	};
	const { observer } = desk;
	for (const [what, { slug, answer }] of Object.entries(BODIES)) {
		origin.body = answer;
		const sha256 = await place();
		await observer.until(() => {
			const { code, detail } = observer.reports.get(box.id) ?? {};
			return code === slug && detail?.includes(sha256) === true;
		}, AbortSignal.timeout(PATIENCE));
		t.equal(await readFile(record, "utf8"), before, what);
		const now = (await desk.statusOf(box)).control.lastPlacement;
		t.same(now, lastPlacement, `${what}: what was in force is`);
	}
	origin.body = undefined;
	await observer.until(() => {
		const said = observer.reports.get(box.id);
		return said?.rev === last && said.phase === "applied";
	}, AbortSignal.timeout(PATIENCE));
	t.pass("and the last is when the origin is honest");
});
