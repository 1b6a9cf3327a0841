import { LarderError } from "../../base/errors.ts";
import { sleep } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import type { Manifest } from "../../content/manifest.ts";
import type { TitleId } from "../../wire/ids.ts";
import type { Neighbours, Origin, Store } from "../ports.ts";

export interface ManifestPorts {
	readonly store: Store;
	readonly neighbours: Neighbours;
	readonly origin: Origin;
}

/** Neighbours are asked first; from then on the origin, too. */
const HEAD_START: Millis = 200;

/**
 * A title's manifest from disk, a neighbour or the origin, whichever is first, and kept.
 * Throws TITLE_UNAVAILABLE when neither has it, and what the disk says.
 */
export async function findManifest(
	id: TitleId,
	{ store, neighbours, origin }: ManifestPorts,
	signal: AbortSignal,
	onMissing?: () => void,
): Promise<Manifest> {
	const there = await store.manifest(id);
	if (there !== undefined) return there;
	onMissing?.();
	const settled = new AbortController();
	const either = AbortSignal.any([signal, settled.signal]);
	const near = neighbours
		.manifest(id, either)
		.then((bytes) => store.putManifest(id, bytes));
	const far = startLate(near, either)
		.then(() => origin.manifest(id, either))
		.then((bytes) => store.putManifest(id, bytes));
	try {
		return await Promise.any([near, far]);
	} catch (cause) {
		signal.throwIfAborted();
		const what = "no neighbour and no origin has the manifest";
		throw new LarderError("TITLE_UNAVAILABLE", what, { cause });
	} finally {
		settled.abort(new DOMException("found elsewhere", "AbortError"));
	}
}

/** Resolves after the head start, or as soon as `first` has failed. */
async function startLate(
	first: Promise<unknown>,
	signal: AbortSignal,
): Promise<void> {
	const failed = first.then(
		() => new Promise<never>(() => undefined),
		() => undefined,
	);
	await Promise.race([sleep(HEAD_START, signal), failed]);
}
