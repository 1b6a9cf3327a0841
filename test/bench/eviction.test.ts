import t from "tap";
import {
	type Cache,
	Larder,
	Lfu,
	Lru,
	Sieve,
} from "../../scripts/bench/eviction/caches.ts";
import {
	farsightedHit,
	mostHit,
} from "../../scripts/bench/eviction/optimum.ts";
import { replay } from "../../scripts/bench/eviction/replay.ts";
import {
	makeTrace,
	type Request,
	SHARD,
} from "../../scripts/bench/eviction/trace.ts";

/** Requests for one shard of each title: `abca`. */
function requests(names: string): Request[] {
	return [...names].map((name, at) => {
		const key = name.charCodeAt(0);
		return { at, box: 0, title: key, shard: 0, key, bytes: 1 };
	});
}

/** What is left of all that was asked for, in the order of names. */
function left(cache: Cache, names: string): string {
	for (const request of requests(names))
		if (cache.has(request.key)) cache.hit(request);
		else cache.keep(request);
	const all = [...new Set(names)].sort();
	return all.filter((name) => cache.has(name.charCodeAt(0))).join("");
}

t.test("the contestants are what they are called", async (t) => {
	t.equal(left(new Lru(3), "abcad"), "acd");
	t.equal(left(new Lfu(3), "aabbcd"), "abd");
	t.equal(left(new Lfu(2), "aabcb"), "ab");
	t.equal(left(new Sieve(3), "abcad"), "acd");
	t.equal(left(new Sieve(3), "abcadbe"), "abe", "the hand goes on");
	t.equal(left(new Sieve(2), "abaabcb"), "bc", "all were read: it comes round");
});

t.test("the optimum knows what comes", async (t) => {
	const week = requests("abcabdab");
	t.equal(farsightedHit(week, 2), 4, "a and b stay");
	t.equal(farsightedHit(week, 1), 2, "one at a time");
	t.equal(farsightedHit(week, 9), 4);
	for (const limit of [1, 2, 3])
		t.ok(mostHit(week, limit) >= farsightedHit(week, limit));
	t.equal(mostHit(requests("aaaa"), 1), 3);
	t.equal(mostHit(requests("abcd"), 9), 0);
});

const settings = { titles: 40, plays: 250, seed: 7 };

t.test("a week is the same each time, and has its evenings", async (t) => {
	const week = () => makeTrace({ ...settings, popularity: 1, boxes: 3 });
	const { requests, asked } = week();
	t.equal(JSON.stringify(week().requests), JSON.stringify(requests));
	t.equal(
		asked,
		requests.reduce((sum, { bytes }) => sum + bytes, 0),
	);
	const hour = ({ at }: Request) => Math.floor(at / 3600_000) % 24;
	const at = (from: number, to: number) =>
		requests.filter((one) => hour(one) >= from && hour(one) < to).length;
	t.ok(at(19, 23) > 4 * at(2, 6));
	const begun = requests.filter(({ shard }) => shard === 0).length;
	t.equal(begun, settings.plays);
	t.ok(requests.filter(({ shard }) => shard === 40).length < begun / 2);
	t.ok(requests.every(({ bytes }) => bytes > 0 && bytes <= SHARD));
});

for (const popularity of [0.6, 0.8, 1, "stretched"] as const)
	for (const boxes of [1, 10])
		t.test(`better than LRU: ${popularity}, ${boxes} boxes`, async (t) => {
			const trace = makeTrace({ ...settings, popularity, boxes });
			for (const share of [0.03, 0.2]) {
				const limit = Math.round((share * trace.catalog) / boxes);
				const origin = (make: (box: number) => Cache, restarts = false) => {
					const caches = Array.from({ length: boxes }, (_, box) => make(box));
					const served = replay(trace, caches, 1, restarts);
					const { own, neighbours, origin } = served;
					t.equal(own + neighbours + origin, trace.asked);
					return origin;
				};
				const larder = origin((box) => new Larder(limit, box));
				const lru = origin(() => new Lru(limit));
				t.ok(larder < lru, `${larder / lru} of LRU`);
				const least = trace.asked - mostHit(trace.requests, boxes * limit);
				t.ok(least <= larder, "and not better than possible");
				const anew = origin((box) => new Larder(limit, box), true);
				t.not(anew, larder, "a box that begins anew has forgotten");
			}
		});
