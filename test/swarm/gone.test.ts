// DHT nodes that were killed and are not forgotten yet, as after a power cut in the street.
import HyperDHT from "hyperdht";
import t from "tap";
import { monotonic, SECOND } from "../../src/base/time.ts";
import { makeTitle } from "../fixture.ts";
import { makeRegion, meet } from "./region.ts";

t.setTimeout(60_000);

t.test("nodes that are gone hold up no start", async (t) => {
	const film = makeTitle(100_000);
	const region = await makeRegion(t, film);
	const bootstrap = [region.address];
	const gone = Array.from({ length: 5 }, () => {
		const direct = { firewalled: false, ephemeral: false };
		return new HyperDHT({ bootstrap, host: "127.0.0.1", port: 0, ...direct });
	});
	await Promise.all(gone.map((node) => node.fullyBootstrapped()));
	await Promise.all(gone.map((node) => node.destroy({ force: true })));
	const began = monotonic();
	const a = await region.box("a");
	const took = monotonic() - began;
	t.ok(took <= 2 * SECOND, `it took ${took} ms`);
	const b = await region.box("b");
	await meet(b, a);
	t.pass("and they find each other");
});
