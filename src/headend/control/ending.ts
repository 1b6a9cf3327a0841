import { LarderError } from "../../base/errors.ts";
import { SECOND, within } from "../../base/time.ts";
import {
	type BrokerAccess,
	connect,
	isWrongVersion,
} from "../../control/connection.ts";
import { type BoxId, short } from "../../wire/ids.ts";
import { upTopic } from "../../wire/topics.ts";

/**
 * Ends a box's session at the broker, live or not, with all that waits in it and all that it said last: comes in under its name,
 * wanting a clean start, clears what is retained of it and leaves. Have the broker refuse the box first, or it is back at once. Throws BROKER_FAILED when the broker does not let us in.
 * @param access how the headend gets in; its certificates may be in any name
 */
export async function endSession(
	access: BrokerAccess,
	box: BoxId,
): Promise<void> {
	try {
		await visit(access, box, 5).catch((error: Error) => {
			if (!isWrongVersion(error)) throw error;
			return visit(access, box, 4);
		});
	} catch (cause) {
		const what = `the session of ${short(box)} was not ended`;
		throw new LarderError("BROKER_FAILED", what, { cause });
	}
}

async function visit(
	access: BrokerAccess,
	box: BoxId,
	protocol: 4 | 5,
): Promise<void> {
	const client = connect({
		...access,
		tls: await access.tls?.(box),
		clientId: box,
		protocol,
		will: undefined,
		willDelay: 0,
		fleeting: true,
	});
	const { promise: came, resolve, reject } = Promise.withResolvers<void>();
	client.once("connect", () => resolve());
	client.on("error", reject);
	client.once("close", () => reject(new Error("the broker hung up")));
	try {
		await came;
		const cleared = (["state", "reported"] as const).map((kind) =>
			client.publishAsync(upTopic(box, kind), Buffer.alloc(0), {
				qos: 1,
				retain: true,
			}),
		);
		// Where the broker does not let us, what it said last stays there: nobody listens to it.
		await within(SECOND, Promise.allSettled(cleared), undefined);
		await within(SECOND, client.endAsync(), undefined);
	} finally {
		client.stream.destroy();
	}
}
