// Somebody who reaches a box's door over either transport and then does as it likes.
import { once } from "node:events";
import type { NoiseStream } from "@hyperswarm/secret-stream";
import HyperDHT from "hyperdht";
import Protomux from "protomux";
import { dialTcp } from "../../src/swarm/tcp.ts";
import { type KeyPair, secretKey } from "../../src/wire/keys.ts";
import type { TestBox } from "../fixture.ts";
import type { TestRegion } from "./region.ts";

export interface Stranger {
	readonly stream: NoiseStream;
	readonly mux: Protomux;
	/** Settles when the connection is closed, whoever closed it. */
	readonly closed: Promise<void>;
	end(): Promise<void>;
}

/** Connects to a box as far as anybody can: keys are agreed on, nobody is admitted. */
export async function knock(
	region: TestRegion,
	box: TestBox,
	key: KeyPair,
	transport: "udx" | "tcp",
): Promise<Stranger> {
	const boxKey = Buffer.from(box.id, "hex");
	const dht = new HyperDHT({
		bootstrap: [region.address],
		firewalled: false,
		host: "127.0.0.1",
		port: 0,
		anyPort: true,
	});
	const keyPair = { publicKey: key.publicKey, secretKey: secretKey(key) };
	const stream: NoiseStream =
		transport === "udx"
			? dht.connect(boxKey, { keyPair })
			: await dialTcp("127.0.0.1", box.swarm.tcpPort!, key, boxKey);
	stream.on("error", () => undefined);
	const closed = new Promise<void>((resolve) => {
		stream.on("close", () => resolve());
	});
	if (transport === "udx") await once(stream, "open");
	return {
		stream,
		// Not before it is used: what comes for channels that are not there yet is refused.
		get mux() {
			return Protomux.from(stream);
		},
		closed,
		async end() {
			stream.destroy();
			await dht.destroy({ force: true });
		},
	};
}
