import { LarderError } from "../../base/errors.ts";
import type { Release, Target } from "../../wire/release.ts";
import type { Operator } from "../operator/operator.ts";
import {
	type Published,
	type PublishOptions,
	publish,
} from "../publish/publish.ts";
import { listTitles, type TitleRecord } from "../publish/titles.ts";
import { readReleaseFile, type SignedRelease } from "./file.ts";

/**
 * Publishes a release file as a title of kind `release`: boxes fetch it from one another as they do films.
 * Throws RELEASE_INVALID, REQUEST_INVALID when that version is published already, or as `publish` does.
 */
export async function publishRelease(
	{ dir, trust }: Pick<Operator, "dir" | "trust">,
	path: string,
	signal: AbortSignal,
	onProgress: NonNullable<PublishOptions["onProgress"]> = () => undefined,
): Promise<Published & { readonly said: Release }> {
	const { statement, said } = await readReleaseFile(path, trust);
	const { version, target } = said;
	const { titles } = await listTitles(dir);
	if (releasesOf(titles, version).has(target))
		throw new LarderError(
			"REQUEST_INVALID",
			`${version} for ${target} is published already`,
		);
	const published = await publish(
		{
			operatorDir: dir,
			source: path,
			kind: "release",
			name: `Larder ${version} for ${target}`,
			assetId: `larder-${target}`,
			release: { statement, said },
			onProgress,
		},
		signal,
	);
	return { ...published, said };
}

/** The published releases of a version, by what they are for. */
export function releasesOf(
	titles: readonly TitleRecord[],
	version: string,
): ReadonlyMap<Target, SignedRelease & Pick<TitleRecord, "id">> {
	return new Map(
		titles.flatMap(({ id, release }) =>
			release?.said.version === version
				? [[release.said.target, { id, ...release }] as const]
				: [],
		),
	);
}
