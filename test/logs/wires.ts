import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import SecretStream, { type NoiseStream } from "@hyperswarm/secret-stream";
import type { Test } from "tap";
import { titleIdOf } from "../../src/content/hash.ts";
import type { CatalogReader } from "../../src/logs/reader.ts";
import type { CatalogEntry } from "../../src/wire/catalog.ts";
import { generateKeyPair, secretKey } from "../../src/wire/keys.ts";

interface Replica {
	replicate(stream: NoiseStream): void;
}

/** Both ends of one Noise connection over loopback TCP; the function given back cuts it. */
export async function connection(t: Test) {
	const server = createServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	const accepted = once(server, "connection");
	const dialled = connect((server.address() as AddressInfo).port, "127.0.0.1");
	const [taken] = (await accepted) as [Socket];
	server.close();
	const streams = [noise(true, dialled), noise(false, taken)] as const;
	const cut = async () => {
		const gone = streams.map((stream) =>
			stream.destroyed ? undefined : once(stream, "close"),
		);
		for (const stream of streams) stream.destroy();
		await Promise.all(gone);
	};
	t.teardown(cut);
	return { streams, cut };
}

/** Connects two replicas; the function given back cuts the wire. */
export async function wire(
	t: Test,
	a: Replica,
	b: Replica,
): Promise<() => Promise<void>> {
	const { streams, cut } = await connection(t);
	a.replicate(streams[0]);
	b.replicate(streams[1]);
	return cut;
}

function noise(initiator: boolean, socket: Socket): NoiseStream {
	const pair = generateKeyPair();
	const stream = new SecretStream(initiator, socket, {
		keyPair: { publicKey: pair.publicKey, secretKey: secretKey(pair) },
	});
	// A cut wire is an event here, not a failure.
	stream.on("error", () => undefined);
	return stream;
}

/** Resolves once the reader's entries pass `test`. */
export async function until(
	reader: CatalogReader,
	test: (entries: readonly CatalogEntry[]) => boolean,
): Promise<readonly CatalogEntry[]> {
	for (;;) {
		const changed = new Promise<void>((resolve) => {
			const stop = reader.onChange(() => {
				stop();
				resolve();
			});
		});
		const entries = await reader.list();
		if (test(entries)) return entries;
		await changed;
	}
}

export function entry(
	n: number,
	fields: Partial<CatalogEntry> = {},
): CatalogEntry {
	return {
		id: titleIdOf(Buffer.from(`title ${n}`)),
		kind: "title",
		assetId: `asset-${n}`,
		version: 1,
		name: `The film with the number ${n}`,
		duration: 5400,
		size: 3_000_000_000 + n,
		...fields,
	};
}
