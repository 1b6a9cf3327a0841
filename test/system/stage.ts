import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { Test } from "tap";

const SCRIPTS: Readonly<Record<string, string>> = {
	"/hls.js": "hls.js/dist/hls.min.js",
	"/shaka.js": "shaka-player/dist/shaka-player.compiled-es2021.js",
};
const PAGE = `<!doctype html><title>An operator's app</title>
<video id="video" muted playsinline></video>
<script src="/hls.js"></script><script src="/shaka.js"></script>`;

/** Bytes that a player was given, as it says: which of which address, and their SHA-256. */
export interface Piece {
	readonly url: string;
	readonly start: number;
	readonly hash: string;
	readonly length: number;
}

/** What a player tells when the film has ended. */
export interface Shown {
	readonly pieces: readonly Piece[];
	readonly frames: number;
	readonly at: number;
	readonly cues: readonly string[];
}

/** An operator's app, on this machine beside the box: a page with its players, and a server of licences that keeps what is asked of it. */
export async function openStage(t: Test, key: Buffer) {
	const asked: unknown[] = [];
	const base64 = (bytes: Buffer) => bytes.toString("base64url");
	const server = createServer(async (req, res) => {
		const script = SCRIPTS[req.url ?? ""];
		if (req.method === "POST") {
			const wanted = JSON.parse(await text(req)) as { kids: string[] };
			asked.push(wanted);
			const keys = wanted.kids.map((kid) => ({
				...{ kty: "oct", kid, k: base64(key) },
			}));
			res.end(JSON.stringify({ keys, type: "temporary" }));
		} else if (script !== undefined) {
			res.setHeader("Content-Type", "text/javascript");
			res.end(await readFile(new URL(import.meta.resolve(script))));
		} else res.setHeader("Content-Type", "text/html").end(PAGE);
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	t.teardown(() => {
		server.closeAllConnections();
		server.close();
	});
	const { port } = server.address() as AddressInfo;
	return { url: `http://127.0.0.1:${port}/`, asked };
}

/** Of these players' own making: in the page. `watch` resolves with what was shown when the film has ended. */
const COMMON = `
const pieces = [];
const note = async (url, start, data) => {
	const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
	return { url, start, length: data.byteLength, hash: [...hash].map((b) => b.toString(16).padStart(2, "0")).join("") };
};
const watch = (cues) => new Promise((resolve, reject) => {
	video.onerror = () => reject(new Error(video.error.message));
	video.onended = async () => resolve({
		pieces: await Promise.all(pieces),
		frames: video.getVideoPlaybackQuality().totalVideoFrames,
		at: video.currentTime,
		cues: cues(),
	});
	video.playbackRate = 3;
	video.play().catch(reject);
});`;

/** hls.js: begins low and with the second sound, goes on high and with the first. */
export const playHls = (url: string) => `(async () => {${COMMON}
	const hls = new Hls({ startLevel: 1, maxBufferLength: 3, maxMaxBufferLength: 3, enableWorker: false });
	const steered = new Promise((resolve) => hls.on(Hls.Events.STEERING_MANIFEST_LOADED, (_, data) => resolve(data)));
	const failed = new Promise((_, reject) => hls.on(Hls.Events.ERROR, (_, { fatal, details }) => fatal && reject(new Error(details))));
	hls.on(Hls.Events.FRAG_LOADED, (_, { frag, payload }) => {
		if (payload instanceof ArrayBuffer) pieces.push(note(frag.url, frag.byteRangeStartOffset ?? 0, payload.slice(0)));
	});
	const parsed = new Promise((resolve) => hls.once(Hls.Events.MANIFEST_PARSED, resolve));
	hls.loadSource(${JSON.stringify(url)});
	hls.attachMedia(video);
	await parsed;
	const { steeringManifest } = await steered;
	const offered = { levels: hls.levels.length, audio: hls.audioTracks.map(({ lang }) => lang), text: hls.subtitleTracks.map(({ lang }) => lang) };
	hls.currentLevel = hls.levels.findIndex(({ height }) => height === 180);
	hls.audioTrack = 1;
	hls.subtitleTrack = 0;
	hls.subtitleDisplay = true;
	video.addEventListener("timeupdate", function change() {
		if (video.currentTime < 1) return;
		video.removeEventListener("timeupdate", change);
		hls.nextLevel = hls.levels.findIndex(({ height }) => height === 360);
		hls.audioTrack = 0;
	});
	const cues = () => [...video.textTracks].flatMap((track) => [...(track.cues ?? [])].map(({ text }) => text));
	const shown = await Promise.race([watch(cues), failed]);
	const pathways = [...new Set(performance.getEntriesByType("resource").map(({ name }) => /\\.m3u8\\?(\\w+)$/.exec(name)?.[1]).filter(Boolean))];
	hls.destroy();
	return { ...shown, offered, steeringManifest, pathways };
})()`;

/** Shaka: begins with the second sound where there is one, goes on with the first. \`licences\`: where keys are to be had. */
export const playShaka = (
	url: string,
	licences?: string,
) => `(async () => {${COMMON}
	shaka.polyfill.installAll();
	const player = new shaka.Player();
	await player.attach(video);
	const inits = [];
	video.addEventListener("encrypted", ({ initDataType, initData }) => inits.push([initDataType, [...new Uint8Array(initData)]]));
	player.configure({ streaming: { bufferingGoal: 3 }, abr: { enabled: false }, preferredAudioLanguage: "de" });
	const licences = ${JSON.stringify(licences ?? null)};
	if (licences !== null) player.configure({ drm: { servers: { "org.w3.clearkey": licences } } });
	let manifest = "";
	const { RequestType } = shaka.net.NetworkingEngine;
	player.getNetworkingEngine().registerResponseFilter((type, response) => {
		if (type === RequestType.MANIFEST && response.uri.endsWith(".mpd")) manifest = new TextDecoder().decode(response.data);
		if (type !== RequestType.SEGMENT) return;
		const start = /bytes=(\\d+)-/.exec(response.originalRequest?.headers?.Range ?? "")?.[1];
		pieces.push(note(response.uri, Number(start ?? 0), response.data.slice(0)));
	});
	const failed = new Promise((_, reject) => player.addEventListener("error", ({ detail }) => reject(new Error("shaka " + detail.code))));
	await Promise.race([player.load(${JSON.stringify(url)}), failed]);
	const tracks = player.getVariantTracks();
	const texts = player.getTextTracks();
	const offered = { heights: [...new Set(tracks.map(({ height }) => height))].sort(), audio: [...new Set(tracks.map(({ language }) => language))].sort(), text: texts.map(({ language }) => language) };
	if (texts.length > 0) player.selectTextTrack(texts[0]);
	const low = tracks.find(({ height, language }) => height === 180 && language === "de");
	if (low) player.selectVariantTrack(low, true);
	video.addEventListener("timeupdate", function change() {
		if (video.currentTime < 1) return;
		video.removeEventListener("timeupdate", change);
		const high = tracks.find(({ height, language }) => height === 360 && language === "en");
		if (low && high) player.selectVariantTrack(high, false);
	});
	const cues = () => [...video.textTracks].flatMap((track) => [...(track.cues ?? [])].map(({ text }) => text));
	const shown = await Promise.race([watch(cues), failed]);
	const keySystem = player.keySystem();
	await player.destroy();
	return { ...shown, offered, manifest, inits, keySystem };
})()`;

/** The browser alone: to the end, after a jump there and back. */
export const playFile = (url: string) => `(async () => {${COMMON}
	video.crossOrigin = "anonymous";
	video.src = ${JSON.stringify(url)};
	const seek = (to) => new Promise((resolve) => { video.onseeked = resolve; video.currentTime = to; });
	await seek(6);
	await seek(0);
	return await watch(() => []);
})()`;

/** Pieces that are not what the file of the source has there. */
export async function strangers(
	pieces: readonly Piece[],
	source: (file: string) => string,
): Promise<Piece[]> {
	const wrong: Piece[] = [];
	for (const piece of pieces) {
		const { pathname } = new URL(piece.url);
		const bytes = await readFile(source(pathname.split("/").at(-1) ?? ""));
		const own = bytes.subarray(piece.start, piece.start + piece.length);
		const hash = createHash("sha256").update(own).digest("hex");
		if (hash !== piece.hash) wrong.push(piece);
	}
	return wrong;
}
