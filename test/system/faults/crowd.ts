// Run in a network of its own by faults.test.ts: `crowd.ts BOXES VIEWERS SECONDS COPIES`. So many viewers press play on a film that is
// placed nowhere, within ten seconds: the trunk brings it so many times at most, and not for each of them.
import t from "tap";
import { SECOND, sleep } from "../../../src/base/time.ts";
import { MiB, type Millis, type Rate } from "../../../src/base/units.ts";
import { counters, type Film } from "../desk.ts";
import { openRegion } from "./region.ts";
import { mustBeSmooth, press } from "./viewer.ts";

/** Within what time all of them press play. */
const RUSH: Millis = 10 * SECOND;
/** Bits a second. */
const RATE: Rate = 3e6;
const SHARD = 16;
t.setTimeout(600_000);
const [boxes = 0, crowd = 0, seconds = 0, copies = 0] = process.argv
	.slice(2)
	.map(Number);
const region = await openRegion(t, { holders: 0, viewers: boxes, copies: 1 });
const { desk, viewers, network } = region;
const films = await region.publish(1, seconds * SECOND, RATE, SHARD);
const [film] = films as [Film];
await region.narrow();

t.test(`${crowd} of ${boxes} boxes begin the same film`, async (t) => {
	const [before = 0] = network.sent();
	const watching = viewers.slice(0, crowd).map(async (box, i) => {
		await sleep((RUSH / crowd) * i);
		const viewer = press(t, desk, box, film, { play: seconds * SECOND });
		await mustBeSmooth(t, desk, viewer, box.name);
	});
	await Promise.all(watching);
	const [after = 0] = network.sent();
	const { size } = film.manifest;
	let played = 0;
	for (const box of viewers)
		played += (await counters(desk, box)).playedFromOrigin;
	t.comment(
		`of ${(size / MiB).toFixed(0)} MiB: the trunk carried ${inCopies(after - before)}, of which viewers were shown ${inCopies(played)}`,
	);
	t.ok(after - before <= copies * size, `${copies} copies at most`);

	function inCopies(bytes: number): string {
		return `${(bytes / size).toFixed(2)} copies`;
	}
});
