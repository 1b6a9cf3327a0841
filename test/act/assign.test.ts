import t from "tap";
import { assign, type Situation } from "../../src/act/fetch/assign.ts";
import { type Flight, Flights } from "../../src/act/fetch/flights.ts";
import { Wants } from "../../src/act/fetch/wants.ts";
import type { Candidate } from "../../src/act/ports.ts";
import { KiB, MiB } from "../../src/base/units.ts";
import { Bitfield } from "../../src/content/bitfield.ts";
import { VIEWER_PATIENCE, viewerOriginIn } from "../../src/plan/source.ts";
import type { BoxId } from "../../src/wire/ids.ts";
import { FAR } from "../../src/wire/near.ts";
import { makeTitle } from "../fixture.ts";

const { id, manifest } = makeTitle(MiB, 64 * KiB, 16);
const NOW = 60_000;
const WHOLE = new Bitfield(16);
for (let block = 0; block < 16; block++) WHOLE.add(block);
const one = "1".repeat(64) as BoxId;
const other = "2".repeat(64) as BoxId;

function holder(box: BoxId, over: Partial<Candidate> = {}): Candidate {
	return {
		...{ box, blocks: WHOLE, inFlight: 0, window: MiB },
		...{ throughput: 625_000, roundTrip: 1, level: FAR, ...over },
	};
}

/** How a shard of which a viewer needs the first blocks in so long stands, and what is asked for then. */
function look(
	slack: number,
	candidates: Candidate[],
	begin: (flights: Flights) => void,
) {
	const flights = new Flights();
	begin(flights);
	const wants = new Wants();
	const originIn = viewerOriginIn.bind(undefined, VIEWER_PATIENCE);
	const onBlock = () => undefined;
	for (let block = 0; block < 4; block++)
		wants.add(
			{ blocks: [block], deadline: NOW + slack, originIn, onBlock },
			NOW - 10_000,
		);
	const asked: Parameters<Situation["ask"]>[] = [];
	assign(
		{
			place: { title: id, shard: 0, manifest },
			...{ wants, flights, candidates },
			...{ isEarly: () => false, turn: () => 0, originFailed: false },
			...{ soughtAt: 0, progressAt: NOW, behind: false },
			patience: VIEWER_PATIENCE,
			ask: (...what) => {
				asked.push(what);
				const [giver, { first, count }, { pressing, takes }] = what;
				const purpose = pressing ? "viewer" : "ahead";
				const miss = undefined;
				flights.begin(
					{ giver, purpose, since: NOW, takes, miss },
					first,
					count,
				);
			},
		},
		NOW,
	);
	return asked;
}

function begun(
	flights: Flights,
	giver: BoxId | "origin",
	purpose: Flight["purpose"],
	age = 8_000,
): Flight {
	const asked = { giver, purpose, since: NOW - age, takes: 500 };
	return flights.begin({ ...asked, miss: undefined }, 0, 4);
}

t.test(
	"what was asked for in good time is asked for anew as what a viewer waits for",
	async (t) => {
		const flights: Flight[] = [];
		const asked = look(3_000, [holder(one, { inFlight: 256 * KiB })], (all) =>
			flights.push(begun(all, one, "ahead"), begun(all, other, "ahead")),
		);
		t.equal(asked.length, 4);
		for (const [giver, { count }, { pressing }] of asked)
			t.match(
				{ giver, count, pressing },
				{ giver: one, count: 1, pressing: true },
			);
		for (const { abort } of flights)
			t.ok(abort.signal.aborted, "nobody sends it twice");
	},
);

t.test("unless it has just been", async (t) => {
	const asked = look(3_000, [holder(one)], (all) =>
		begun(all, one, "ahead", 300),
	);
	t.same(asked, []);
});

t.test(
	"two that do not give what is at risk: the origin is asked",
	async (t) => {
		const asked = look(1_000, [holder(one), holder(other)], (all) => {
			begun(all, one, "viewer");
			begun(all, other, "viewer");
		});
		t.same(
			asked.map(([giver, { first, count }]) => ({ giver, first, count })),
			[0, 1, 2, 3].map((first) => ({ giver: "origin", first, count: 1 })),
		);
	},
);

t.test("yet another is, where the origin was asked as well", async (t) => {
	const asked = look(1_000, [holder(one), holder(other)], (all) => {
		begun(all, one, "viewer");
		begun(all, "origin", "viewer");
	});
	t.same(
		asked.map(([giver, { first, count }]) => ({ giver, first, count })),
		[0, 1, 2, 3].map((first) => ({ giver: other, first, count: 1 })),
	);
});

t.test(
	"no more comes over the trunk than neighbours have no time for",
	async (t) => {
		const busy = holder(one, { inFlight: 8 * MiB });
		const ask = (slack: number) => look(slack, [busy], () => undefined);
		t.same(ask(3_000), [], "they may still have it in time");
		t.same(
			ask(1_500).map(([giver, { count }]) => ({ giver, count })),
			Array.from({ length: 4 }, () => ({ giver: "origin", count: 1 })),
		);
	},
);
