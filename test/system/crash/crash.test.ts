// kill -9 at points of all that an agent does with its disk: at a few of them here, at many by `npm run test:crash`.
import t from "tap";
import { HOUR, monotonic } from "../../../src/base/time.ts";
import { skip } from "../disk/mounts.ts";
import { choosePoints, describePoint, lastOf } from "./points.ts";
import { type Killed, sumUp, tell } from "./report.ts";
import { Rig } from "./rig.ts";
import { Trial } from "./trial.ts";

const {
	LARDER_CRASH_SEED: seed = "24",
	LARDER_CRASH_POINTS: count = "6",
	/** The number of one point, to be killed at no other. */
	LARDER_CRASH_POINT: only,
} = process.env;

t.setTimeout(2 * HOUR);

t.test(`killed at points of seed ${seed}`, { skip }, async (t) => {
	const began = monotonic();
	const all = choosePoints(Number(seed), Number(only ?? count));
	const points = only === undefined ? all : lastOf(all);
	const rig = await Rig.open(t);
	const trial = new Trial(rig);
	await trial.begin();
	const killed: Killed[] = [];
	for (const [index, point] of points.entries()) {
		const number = all.length - points.length + index + 1;
		const name = `${number} of ${all.length}, ${describePoint(point)}`;
		try {
			const one = await trial.killAt(point);
			killed.push(one);
			t.comment(`point ${name}: ${tell(one, rig.shards)}`);
			// Before anything is said of the disk, a start that is cut short, too.
			if (points[index + 1]?.kind !== "restart") await trial.examine();
			t.pass(name);
		} catch (error) {
			for (const line of await rig.lastWords()) t.comment(line);
			const again = `npm run test:crash -- --seed ${seed}`;
			t.comment(`point ${name}: FAILED. It alone: ${again} --point ${number}`);
			t.comment(`point with all before it: ${again} --points ${number}`);
			const { message } = error as Error;
			throw new Error(`${name}, seed ${seed}: ${message}`, { cause: error });
		}
	}
	await trial.mend();
	t.comment(`point ${sumUp(killed, trial.starts, monotonic() - began)}`);
});
