import t from "tap";
import { Wishes } from "../../src/agent/wishes.ts";
import { silent } from "../../src/base/log.ts";
import type { Standing } from "../../src/control/heads.ts";
import type { Announcement } from "../../src/wire/head.ts";
import type { NetworkId, Region, TitleId } from "../../src/wire/ids.ts";

type Policy = Announcement["policy"]["shareTransient"];

const film = "f".repeat(64) as TitleId;

function standing(shareTransient: Policy, ...purged: TitleId[]): Standing {
	const announcement: Announcement = {
		network: "0".repeat(64) as NetworkId,
		region: "north-1" as Region,
		epoch: 1,
		version: 1,
		issuedAt: 0,
		catalog: { key: "0".repeat(64), length: 0 },
		policy: { shareTransient },
	};
	return {
		announcement,
		revoked: new Set(),
		purged: new Map(purged.map((title) => [title, { at: 0, since: 0 }])),
		bans: undefined,
	};
}

t.test("neighbours are told anew when what is shared may differ", async (t) => {
	const wishes = new Wishes(Date.now);
	const done: string[] = [];
	const note = (what: string) => () => void done.push(what);
	wishes.begin(
		{
			catalog: { follow: async () => undefined },
			trunk: { rate: 0 },
			swarm: {
				headChanged: note("head"),
				retell: note("retell"),
				renewed: note("renewed"),
			},
			reporter: { accepted() {} },
			reconciler: { place: note("place"), purge: note("purge") },
			household: { replaced: () => undefined },
			intake: { reconsider: () => undefined },
			library: { shut() {} },
			keys: { forget: async () => undefined },
			lease: { look() {}, async renew() {} },
			updater: { order: async () => undefined },
			attests: { look: async () => {}, acknowledged: async () => {} },
			log: silent,
		},
		{
			placement: undefined,
			standing: { ...standing("now"), announcement: undefined },
		},
	);
	const desired = { epoch: 1, rev: 1, titles: [], near: [] };
	const near = ["ab".repeat(16)];
	const steps: [string, step: () => void, said: string[]][] = [
		[
			"nothing is known: only what is placed is shared",
			() => wishes.placement(desired),
			["place", "retell"],
		],
		["all", () => wishes.head(standing("now")), ["retell", "head"]],
		["still all", () => wishes.placement(desired), ["place"]],
		["the same", () => wishes.head(standing("now")), ["head"]],
		[
			"it is told where it is",
			() => wishes.placement({ ...desired, near }),
			["place", "renewed"],
		],
		[
			"and once more",
			() => wishes.placement({ ...desired, near: [...near] }),
			["place"],
		],
		[
			"it is nowhere any more",
			() => wishes.placement(desired),
			["place", "renewed"],
		],
		["no longer", () => wishes.head(standing("never")), ["retell", "head"]],
		["placed", () => wishes.placement(desired), ["place", "retell"]],
		[
			"purged",
			() => wishes.head(standing("never", film)),
			["head", "purge", "retell"],
		],
		[
			"given back",
			() => wishes.head(standing("never")),
			["head", "purge", "retell"],
		],
	];
	for (const [what, step, said] of steps) {
		done.length = 0;
		step();
		// Wishes are carried out when all parts are open.
		await new Promise(setImmediate);
		t.same(done, said, what);
	}
});
