const VENDORED: Readonly<Record<string, string>> = {
	"hls.js": "hls.js/dist/hls.min.mjs",
	"hls.worker.js": "hls.js/dist/hls.worker.js",
};

/** Where a file of the player page lies. */
export function asset(name: string): URL {
	const vendored = VENDORED[name];
	return vendored === undefined
		? new URL(`./page/${name}`, import.meta.url)
		: new URL(import.meta.resolve(vendored));
}
