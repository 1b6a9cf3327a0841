// kill -9 at points of all that an agent does with its disk: at a few of them here, at many by `npm run test:crash`.
import t from "tap";
import { HOUR } from "../../../src/base/time.ts";
import { skip } from "../disk/mounts.ts";
import { choosePoints, describePoint } from "./points.ts";
import { Rig } from "./rig.ts";
import { Trial } from "./trial.ts";
import { tell } from "./truth.ts";

const { LARDER_CRASH_SEED = "24", LARDER_CRASH_POINTS = "6" } = process.env;
const seed = Number(LARDER_CRASH_SEED);
const count = Number(LARDER_CRASH_POINTS);

t.setTimeout(2 * HOUR);

t.test(`killed at ${count} points of seed ${seed}`, { skip }, async (t) => {
	const rig = await Rig.open(t);
	const trial = new Trial(rig);
	await trial.begin();
	const points = choosePoints(seed, count);
	for (const [index, point] of points.entries()) {
		const name = `${index + 1} of ${count}, ${describePoint(point)}`;
		try {
			const killed = await trial.killAt(point);
			t.comment(`point ${name}: ${tell(killed, rig.shards)}`);
			// Before anything is said of the disk, a start that is cut short, too.
			if (points[index + 1]?.kind !== "restart") await trial.examine();
			t.pass(name);
		} catch (error) {
			for (const line of await rig.lastWords()) t.comment(line);
			const { message } = error as Error;
			throw new Error(`${name}, seed ${seed}: ${message}`, { cause: error });
		}
	}
	await trial.mend();
	const { starts } = trial;
	const slowest = Math.round(Math.max(...starts));
	t.comment(`point all: ${starts.length} starts, the slowest ${slowest} ms`);
});
