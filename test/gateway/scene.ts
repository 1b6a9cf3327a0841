import { Registry } from "prom-client";
import type { Test } from "tap";
import type { OpenTitle } from "../../src/act/ports.ts";
import { silent } from "../../src/base/log.ts";
import { type GatewayOptions, startGateway } from "../../src/gateway/server.ts";
import { timeOf } from "../../src/wire/envelope.ts";
import { box, idOf, Shelf } from "./shelf.ts";

export const TITLE = idOf("a");
export const PATH = `/titles/${TITLE}/film.mp4`;

/** A gateway over a shelf, which ends with the test. */
export async function open(
	t: Test,
	shelf: Shelf,
	own: Partial<GatewayOptions> = {},
) {
	const registry = new Registry();
	const gateway = await startGateway({
		host: "127.0.0.1",
		port: 0,
		library: shelf,
		time: timeOf(Date.now),
		registry,
		ready: () => ({ ready: true, why: "" }),
		box,
		log: silent,
		...own,
	});
	t.teardown(() => gateway.close());
	const count = async (name: string, labels: object = {}) => {
		const metric = await registry.getSingleMetric(name)?.get();
		const wanted = JSON.stringify(labels);
		return metric?.values.find((v) => JSON.stringify(v.labels) === wanted)
			?.value;
	};
	return { gateway, port: gateway.port, count };
}

/** A title of one large file `film.mp4`, read by `read`. */
export function film(read: OpenTitle["read"], size = 1000): Shelf {
	const shelf = new Shelf();
	shelf.addRead(TITLE, "Film", { "film.mp4": size }, read);
	return shelf;
}
