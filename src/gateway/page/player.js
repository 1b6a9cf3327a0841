import {
	enable,
	showControls,
	skip,
	toggle,
	toggleFullscreen,
} from "./controls.js";
import { ask, complain, give, hush, isQuiet, murmur, say } from "./notice.js";
import { onRemote } from "./remote.js";
import { showSources } from "./sources.js";
import { showTitles } from "./titles.js";

const el = (id) => document.getElementById(id);
const video = el("video");
const list = el("titles");
const subtitles = el("subtitles");

/** The HLS engine, while an HLS title is on the stage. */
let engine;
/** Counts picks: what an older one still waits for is dropped. */
let pick = 0;

/** Puts a title on the stage and plays it from `from` seconds on. */
async function play(title, from = 0) {
	const mine = ++pick;
	leave();
	titles.mark(title.id);
	el("now").textContent = title.name;
	document.title = `${title.name} · Larder`;
	history.replaceState(null, "", `#${title.id}`);
	say("Starting…", "");
	try {
		const { url, format } = await ask(`/titles/${title.id}`);
		if (mine !== pick) return;
		if (format === "dash") {
			say(
				"This title needs a DASH player",
				"It is packaged as MPEG-DASH; this page plays HLS and MP4. Give this address to a DASH player on this device:",
			);
			give(new URL(url, location.href).href);
			return;
		}
		const Hls = format === "hls" ? await engineFor() : undefined;
		if (mine !== pick) return;
		const stumble = (reason) => mine === pick && explain(title, url, reason);
		if (Hls === undefined) playFile(url, from, stumble);
		else playHls(Hls, url, from, stumble);
		enable(true);
		await video.play();
	} catch (error) {
		if (mine !== pick || error.name === "AbortError") return;
		// The browser wants a key pressed before it makes a sound.
		if (error.name === "NotAllowedError") say("Press play", "");
		else complain(error, () => play(title, from));
	}
}

/** Undefined where the browser plays HLS by itself. */
async function engineFor() {
	const { default: Hls } = await import("./hls.js");
	return Hls.isSupported() ? Hls : undefined;
}

function playHls(Hls, url, from, stumble) {
	engine = new Hls({
		workerPath: "/page/hls.worker.js",
		capLevelToPlayerSize: true,
		// What it says of its buffer stays on this box: figures without names are made of it.
		cmcd: { includeKeys: ["bl", "br", "bs", "ot", "sid"] },
		startPosition: from > 0 ? from : -1,
	});
	engine.on(Hls.Events.ERROR, (_, { fatal, details }) => {
		if (fatal) stumble(details);
	});
	engine.on(Hls.Events.SUBTITLE_TRACKS_UPDATED, showSubtitles);
	engine.loadSource(url);
	engine.attachMedia(video);
}

function playFile(url, from, stumble) {
	video.onerror = () => stumble(video.error?.message || "unknown format");
	video.src = url;
	video.currentTime = from;
}

/** Ends what plays; nothing of it is loaded any longer. */
function leave() {
	engine?.destroy();
	engine = undefined;
	video.onerror = null;
	video.removeAttribute("src");
	video.load();
	subtitles.hidden = true;
	enable(false);
}

/** Playing broke off: asks the gateway why, since players do not pass its reason on. */
async function explain(title, url, reason) {
	const at = video.currentTime;
	const mine = pick;
	const why = await ask(`/titles/${title.id}`)
		.then(() => fetch(url, { headers: { Range: "bytes=0-0" } }))
		.then(({ ok, status }) =>
			ok
				? new Error(`The player gave up: ${reason}.`)
				: new Error(`The title answers with status ${status}.`),
		)
		.catch((error) => error);
	if (mine === pick) complain(why, () => play(title, at));
}

function showSubtitles() {
	subtitles.hidden = engine.subtitleTracks.length === 0;
	subtitles.ariaPressed = String(engine.subtitleTrack >= 0);
}

subtitles.addEventListener("click", () => {
	engine.subtitleTrack = engine.subtitleTrack >= 0 ? -1 : 0;
	engine.subtitleDisplay = engine.subtitleTrack >= 0;
	showSubtitles();
});
video.addEventListener("playing", hush);
video.addEventListener("waiting", () => isQuiet() && murmur("Loading…"));
// Winding while paused ends without `playing`.
video.addEventListener("seeked", () => el("retry").hidden && hush());
video.addEventListener("ended", () => say("The end", ""));

showControls();
onRemote({
	list,
	stage: el("stage"),
	seek: el("seek"),
	toggle,
	skip,
	toggleFullscreen,
});
showSources(el("chart"), el("legend"), el("rate"), video);
const titles = await showTitles(list, el("count"), play);
const linked = titles.find(location.hash.slice(1));
(linked ?? list.querySelector("button"))?.focus({ preventScroll: true });
linked?.click();
