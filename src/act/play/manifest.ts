import { LarderError } from "../../base/errors.ts";
import { SECOND, sleep, within } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import { type Manifest, readManifest } from "../../content/manifest.ts";
import type { TitleId } from "../../wire/ids.ts";
import type { Neighbours, Origin, Store } from "../ports.ts";

export interface ManifestPorts {
	readonly store: Store;
	readonly neighbours: Neighbours;
	readonly origin: Origin;
}

/** Neighbours are asked first; from then on the origin, too. */
const HEAD_START: Millis = 200;
/** A viewer waits so long for the disk to keep one. */
const KEEP_LIMIT: Millis = SECOND;

/**
 * A title's manifest from disk, a neighbour or the origin, whichever is first, and kept.
 * Throws TITLE_UNAVAILABLE when neither has it, or the disk does not keep it.
 */
export async function findManifest(
	id: TitleId,
	{ store, neighbours, origin }: ManifestPorts,
	signal: AbortSignal,
): Promise<Manifest> {
	const there = await store.manifest(id);
	const keep = (bytes: Buffer) => store.putManifest(id, bytes);
	return there ?? (await seek(id, { neighbours, origin, keep }, signal));
}

/** The same for a viewer: a disk that fails, is full or hangs stops no film. `onMissing` is called when it is not on disk. */
export async function findToPlay(
	id: TitleId,
	{ store, neighbours, origin }: ManifestPorts,
	signal: AbortSignal,
	onMissing: () => void,
): Promise<Manifest> {
	const there = await store.manifest(id).catch(() => undefined);
	if (there !== undefined) return there;
	onMissing();
	const keep = async (bytes: Buffer) => {
		const keeping = store.takesWrites
			? store.putManifest(id, bytes).catch(() => undefined)
			: Promise.resolve(undefined);
		const kept = await within(KEEP_LIMIT, keeping, undefined);
		if (kept !== undefined) return kept;
		const read = readManifest(id, bytes);
		if (read.ok) return read.value;
		const why = `${read.reason} ${read.detail}`;
		throw new LarderError("MANIFEST_INVALID", why);
	};
	return await seek(id, { neighbours, origin, keep }, signal);
}

interface SeekPorts extends Omit<ManifestPorts, "store"> {
	readonly keep: (bytes: Buffer) => Promise<Manifest>;
}

async function seek(
	id: TitleId,
	{ neighbours, origin, keep }: SeekPorts,
	signal: AbortSignal,
): Promise<Manifest> {
	const settled = new AbortController();
	const either = AbortSignal.any([signal, settled.signal]);
	const near = neighbours.manifest(id, either).then(keep);
	const far = startLate(near, either)
		.then(() => origin.manifest(id, either))
		.then(keep);
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
