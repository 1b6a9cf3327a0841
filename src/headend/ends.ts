import { describe } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { DAY } from "../base/time.ts";
import { keyTroubles } from "./operator/keyview.ts";
import type { Operator } from "./operator/operator.ts";
import { serverTroubles } from "./tls/server.ts";

/** Says in the log which keys and certificates end before long, now and once a day. Resolves, when it was said, to what ends it. */
export async function watchEnds(
	operator: Operator,
	log: Log,
): Promise<() => void> {
	const look = async () => {
		for (const trouble of keyTroubles(operator))
			log.warn({}, `${trouble}: larder keys rotate makes a new one`);
		try {
			for (const trouble of await serverTroubles(operator))
				log.warn({}, trouble);
		} catch (error) {
			log.error({}, `the broker's certificate: ${describe(error)}`);
		}
	};
	await look();
	const timer = setInterval(() => void look(), DAY).unref();
	return () => clearInterval(timer);
}
