import t from "tap";
import { Wishes } from "../../src/agent/wishes.ts";
import { silent } from "../../src/base/log.ts";
import type { Head } from "../../src/wire/head.ts";
import type { NetworkId, Region, TitleId } from "../../src/wire/ids.ts";

type Policy = Head["policy"]["shareTransient"];

const film = "f".repeat(64) as TitleId;

function signedHead(shareTransient: Policy, ...purged: TitleId[]) {
	const head: Head = {
		network: "0".repeat(64) as NetworkId,
		region: "north-1" as Region,
		epoch: 1,
		version: 1,
		issuedAt: 0,
		catalog: { key: "0".repeat(64), length: 0 },
		revoked: [],
		purged,
		policy: { shareTransient },
	};
	return { head, bytes: Buffer.alloc(0) };
}

t.test("neighbours are told anew when what is shared may differ", async (t) => {
	const wishes = new Wishes();
	const done: string[] = [];
	const note = (what: string) => () => void done.push(what);
	wishes.begin(
		{
			catalog: { follow: async () => undefined },
			swarm: { headChanged: note("head"), retell: note("retell") },
			reporter: { accepted() {} },
			reconciler: { place: note("place"), purge: note("purge") },
			library: { shut() {} },
			keys: { forget: async () => undefined },
			log: silent,
		},
		{},
	);
	const desired = { epoch: 1, rev: 1, titles: [] };
	const steps: [string, step: () => void, said: string[]][] = [
		[
			"nothing is known: only what is placed is shared",
			() => wishes.placement(desired),
			["place", "retell"],
		],
		["all", () => wishes.head(signedHead("now")), ["head", "retell"]],
		["still all", () => wishes.placement(desired), ["place"]],
		["the same", () => wishes.head(signedHead("now")), ["head"]],
		["no longer", () => wishes.head(signedHead("never")), ["head", "retell"]],
		["placed", () => wishes.placement(desired), ["place", "retell"]],
		[
			"purged",
			() => wishes.head(signedHead("never", film)),
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
