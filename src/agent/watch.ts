import { once } from "node:events";
import { basename, dirname, join, resolve } from "node:path";
import { watch } from "chokidar";
import { LarderError } from "../base/errors.ts";
import { type Config, loadConfig } from "./config.ts";
import { dropInFolder } from "./toml.ts";

/** How long the files must be quiet: editors write, rename and remove in one go. */
const QUIET = 100;

export interface ConfigChange {
	readonly config: Config;
	/** Keys changed since the last one that take effect while running: log_level, rates, household, and when to fill. Dotted, as in the file. */
	readonly live: readonly string[];
	/** All keys that are other than what the process runs on and take effect at the next start. */
	readonly restart: readonly string[];
}

export interface ConfigWatch {
	close(): Promise<void>;
}

/**
 * Watches the file and its drop-in folder. `onChange` gets every valid configuration that differs from the one before;
 * `onInvalid` gets the error of an invalid one, and the one before stays; when that is mended without other changes,
 * `onChange` says so with no keys. Resolves once changes are seen.
 * @param config what was loaded from `path` and the process runs on
 */
export async function watchConfig(
	path: string,
	config: Config,
	onChange: (change: ConfigChange) => void,
	onInvalid: (error: unknown) => void,
): Promise<ConfigWatch> {
	const file = resolve(path);
	const dropIns = dropInFolder(file);
	let current = config;
	let invalid = false;
	let timer: NodeJS.Timeout | undefined;
	let closed = false;
	/** Goes up with every event: a load that an event overtook does not count. */
	let generation = 0;

	const reload = async () => {
		const mine = generation;
		try {
			const next = await loadConfig(path);
			if (closed || mine !== generation) return;
			const keys = changedKeys(current, next);
			const mended = invalid;
			current = next;
			invalid = false;
			if (mended || keys.length > 0)
				onChange({
					config: next,
					live: keys.filter(isLive),
					restart: changedKeys(config, next).filter((key) => !isLive(key)),
				});
		} catch (error) {
			if (closed || mine !== generation) return;
			invalid = true;
			onInvalid(error);
		}
	};
	const touch = () => {
		generation++;
		clearTimeout(timer);
		if (!closed) timer = setTimeout(() => void reload(), QUIET);
	};

	// The folder is watched, not the file: a file renamed over another is a new file.
	const watcher = watch(dirname(file), {
		depth: 1,
		ignoreInitial: true,
		ignored: (found) =>
			found !== dirname(file) &&
			found !== file &&
			found !== dropIns &&
			found !== join(dropIns, basename(found)),
	});
	watcher.on("all", touch);
	watcher.on("error", (cause) =>
		onInvalid(
			new LarderError("CONFIG_INVALID", `${path} cannot be watched`, { cause }),
		),
	);
	await once(watcher, "ready");
	// The file may have changed between its loading and now.
	touch();
	return {
		close: async () => {
			closed = true;
			clearTimeout(timer);
			await watcher.close();
		},
	};
}

/** Keys whose values differ, dotted as in the file. */
export function changedKeys(before: Config, after: Config): string[] {
	const old = new Map(settings(before));
	return settings(after)
		.filter(([key, value]) => old.get(key) !== value)
		.map(([key]) => key);
}

/** The sections of a Config are exactly one level deep. `store.quota` is one value although it is an object. */
function settings(config: Config): [string, string][] {
	const { data, logLevel, identity, ...sections } = config;
	const flat: [string, unknown][] = Object.entries({
		data,
		logLevel,
		identity,
	});
	for (const [section, keys] of Object.entries(sections))
		for (const [key, value] of Object.entries(keys))
			flat.push([`${section}.${key}`, value]);
	return flat.map(([key, value]) => [
		key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
		JSON.stringify(value) ?? "",
	]);
}

function isLive(key: string): boolean {
	return /^(log_level|rates\..*|household\..*|fill\.(zone|windows))$/.test(key);
}
