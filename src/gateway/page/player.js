import { onRemote } from "./remote.js";
import { showSources } from "./sources.js";

const el = (id) => document.getElementById(id);
const stage = el("stage");
const video = el("video");
const seek = el("seek");
const list = el("titles");

/** The title on the stage, and the HLS engine that plays it, if it is HLS. */
let current;
let engine;
/** Counts picks: what an older one still waits for is dropped. */
let pick = 0;

// Titles

let shown = "";

async function refresh() {
	try {
		const titles = await read("/titles");
		if (current === undefined) invite(titles.length);
		if (JSON.stringify(titles) === shown) return;
		shown = JSON.stringify(titles);
		el("count").textContent = titles.length === 0 ? "" : titles.length;
		const focused = document.activeElement?.dataset?.id;
		list.replaceChildren(...titles.map(cardOf));
		cardFor(focused)?.focus({ preventScroll: true });
	} catch (error) {
		if (current === undefined) complain(error, refresh);
	}
}

function invite(count) {
	if (count === 0) {
		say(
			"No titles yet",
			"They appear here when the operator has published some.",
		);
		return;
	}
	const touch = matchMedia("(pointer: coarse)").matches;
	say("Pick a title", touch ? "" : "Arrow keys choose, OK plays.");
}

function cardFor(id) {
	return [...list.querySelectorAll("button")].find(
		(card) => card.dataset.id === id,
	);
}

function cardOf(title) {
	const card = document.createElement("button");
	card.type = "button";
	card.dataset.id = title.id;
	card.classList.toggle("barred", !title.playable);
	card.ariaCurrent = String(title.id === current?.id);
	const part = (name, text) => {
		const span = document.createElement("span");
		span.className = name;
		span.textContent = text;
		return span;
	};
	const tile = part("tile", [...title.name.trim()][0] ?? "");
	tile.ariaHidden = "true";
	tile.style.setProperty(
		"--hue",
		String(Number.parseInt(title.id.slice(0, 4), 16) % 360),
	);
	card.append(tile, part("name", title.name), part("facts", factsOf(title)));
	card.addEventListener("click", () => play(title));
	const item = document.createElement("li");
	item.append(card);
	return item;
}

function factsOf({ playable, why, duration, size }) {
	if (!playable) {
		const text = why.replace(/\d{4}-\S+Z/, (date) =>
			new Date(date).toLocaleString(undefined, {
				dateStyle: "medium",
				timeStyle: "short",
			}),
		);
		return text[0].toUpperCase() + text.slice(1);
	}
	return [
		duration === 0 ? "" : lengthOf(duration),
		size < 1e9
			? `${Math.max(1, Math.round(size / 1e6))} MB`
			: `${(size / 1e9).toFixed(1)} GB`,
	]
		.filter(Boolean)
		.join(" · ");
}

function lengthOf(seconds) {
	return seconds < 60
		? `${Math.ceil(seconds)} s`
		: `${Math.round(seconds / 60)} min`;
}

// Playing

async function play(title) {
	const mine = ++pick;
	leave();
	current = title;
	el("now").textContent = title.name;
	history.replaceState(null, "", `#${title.id}`);
	for (const card of list.querySelectorAll("button")) {
		card.ariaCurrent = String(card.dataset.id === title.id);
	}
	say("Starting…", "");
	try {
		const { url, format, name } = await read(`/titles/${title.id}`);
		if (mine !== pick) return;
		el("now").textContent = name;
		document.title = `${name} · Larder`;
		if (format === "dash") return explainDash(url);
		await start(url, format, mine);
		if (mine !== pick) return;
		for (const control of [el("toggle"), seek, el("fullscreen")])
			control.disabled = false;
		await video.play();
	} catch (error) {
		if (mine !== pick || error.name === "AbortError") return;
		// The browser wants a key pressed before it makes a sound.
		if (error.name === "NotAllowedError") say("Press play", "");
		else complain(error, () => play(title));
	}
}

async function start(url, format, mine) {
	if (format === "hls") {
		const { default: Hls } = await import("/page/hls.js");
		if (mine !== pick) return;
		if (Hls.isSupported()) {
			engine = new Hls({
				workerPath: "/page/hls.worker.js",
				capLevelToPlayerSize: true,
			});
			engine.on(Hls.Events.ERROR, (_, data) => {
				if (data.fatal) void stumble(url, data.details);
			});
			engine.on(Hls.Events.SUBTITLE_TRACKS_UPDATED, showSubtitles);
			engine.loadSource(url);
			engine.attachMedia(video);
			return;
		}
	}
	video.src = url;
}

/** Ends what plays; nothing of it is loaded any longer. */
function leave() {
	engine?.destroy();
	engine = undefined;
	current = undefined;
	document.title = "Larder";
	seek.value = 0;
	seek.style.setProperty("--played", "0%");
	seek.style.setProperty("--loaded", "0%");
	el("subtitles").hidden = true;
	for (const control of [el("toggle"), seek, el("fullscreen")])
		control.disabled = true;
	video.removeAttribute("src");
	video.load();
}

function explainDash(url) {
	say(
		"This title needs a DASH player",
		"It is packaged as MPEG-DASH; this page plays HLS and MP4. Give this address to a DASH player on this device:",
	);
	el("address").textContent = new URL(url, location.href).href;
	el("address").hidden = false;
}

/** Playing broke off: asks the gateway why, since players do not pass its reason on. */
async function stumble(url, details) {
	const title = current;
	try {
		await read(`/titles/${title.id}`);
		const answer = await fetch(url, { method: "HEAD" });
		if (!answer.ok)
			throw new Error(`The title answers with status ${answer.status}.`);
		throw new Error(`The player gave up (${details}).`);
	} catch (error) {
		if (title === current) complain(error, () => play(title));
	}
}

/** JSON from the gateway; its own words when it refuses. */
async function read(path) {
	let answer;
	try {
		answer = await fetch(path);
	} catch (cause) {
		throw new Error("The box does not answer. Is the agent running?", {
			cause,
		});
	}
	const value = await answer.json();
	if (answer.ok) return value;
	throw Object.assign(new Error(value.message), value);
}

function say(headline, detail) {
	el("notice").className = "";
	el("headline").textContent = headline;
	el("detail").textContent = detail;
	el("address").hidden = true;
	el("retry").hidden = true;
}

function complain({ message, remedy }, again) {
	say(
		"This cannot be played now",
		[sentence(message), remedy].filter(Boolean).join(" "),
	);
	el("retry").hidden = false;
	el("retry").onclick = again;
}

function sentence(text) {
	return `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}

// Controls

function toggle() {
	if (el("toggle").disabled) return;
	if (video.paused)
		video
			.play()
			.catch((error) => error.name === "AbortError" || complain(error, toggle));
	else video.pause();
}

function skip(seconds) {
	if (Number.isFinite(video.duration)) {
		video.currentTime = Math.min(
			Math.max(0, video.currentTime + seconds),
			video.duration,
		);
	}
	wake();
}

function toggleFullscreen() {
	if (document.fullscreenElement) document.exitFullscreen();
	else if (stage.requestFullscreen) stage.requestFullscreen();
	// iPhones let only the video itself fill the screen.
	else video.webkitEnterFullscreen?.();
}

function showSubtitles() {
	el("subtitles").hidden = (engine?.subtitleTracks.length ?? 0) === 0;
	el("subtitles").ariaPressed = String((engine?.subtitleTrack ?? -1) >= 0);
}

function toggleSubtitles() {
	engine.subtitleTrack = engine.subtitleTrack >= 0 ? -1 : 0;
	engine.subtitleDisplay = engine.subtitleTrack >= 0;
	showSubtitles();
}

function draw() {
	const { currentTime, duration, buffered, paused } = video;
	stage.classList.toggle("playing", !paused);
	el("toggle").ariaLabel = paused ? "Play" : "Pause";
	const known = Number.isFinite(duration) && duration > 0;
	el("clock").textContent = known
		? `${clock(currentTime)} / ${clock(duration)}`
		: "";
	if (!known) return;
	let loaded = currentTime;
	for (let i = 0; i < buffered.length; i++) {
		if (buffered.start(i) <= currentTime + 0.5)
			loaded = Math.max(loaded, buffered.end(i));
	}
	seek.value = (currentTime / duration) * 1000;
	seek.style.setProperty("--played", `${(currentTime / duration) * 100}%`);
	seek.style.setProperty("--loaded", `${(loaded / duration) * 100}%`);
	seek.ariaValueText = clock(currentTime);
}

function clock(seconds) {
	const parts = [
		Math.floor(seconds / 3600),
		Math.floor(seconds / 60) % 60,
		Math.floor(seconds % 60),
	];
	const [first, ...rest] = parts[0] > 0 ? parts : parts.slice(1);
	return [first, ...rest.map((part) => String(part).padStart(2, "0"))].join(
		":",
	);
}

let resting;
/** Shows the controls over a full screen for a while. */
function wake() {
	stage.classList.remove("idle");
	clearTimeout(resting);
	resting = setTimeout(
		() => stage.classList.toggle("idle", !video.paused),
		3000,
	);
}

for (const event of [
	"timeupdate",
	"durationchange",
	"progress",
	"play",
	"pause",
	"seeking",
	"emptied",
]) {
	video.addEventListener(event, draw);
}
video.addEventListener("playing", () => el("notice").classList.add("off"));
video.addEventListener("waiting", () => {
	if (el("notice").classList.contains("off")) {
		say("Loading…", "");
		el("notice").className = "veil";
	}
});
// Winding while paused ends without `playing`.
video.addEventListener("canplay", () => {
	if (el("retry").hidden && video.currentTime > 0)
		el("notice").classList.add("off");
});
video.addEventListener("ended", () => say("The end", ""));
video.addEventListener("error", () => {
	if (
		current !== undefined &&
		engine === undefined &&
		video.getAttribute("src")
	)
		void stumble(
			video.getAttribute("src"),
			video.error?.message || "unsupported format",
		);
});
el("screen").addEventListener("click", ({ target }) => {
	if (!target.closest("#retry, #address")) toggle();
});
el("toggle").addEventListener("click", toggle);
el("fullscreen").addEventListener("click", toggleFullscreen);
el("subtitles").addEventListener("click", toggleSubtitles);
seek.addEventListener("input", () => {
	video.currentTime = (seek.value / 1000) * video.duration;
});
for (const event of ["pointermove", "keydown"])
	stage.addEventListener(event, wake);

onRemote({ list, stage, seek, toggle, skip, toggleFullscreen });
showSources(el("chart"), el("legend"), el("rate"));
await refresh();
setInterval(refresh, 30_000);
const linked = cardFor(location.hash.slice(1));
(linked ?? list.querySelector("button"))?.focus({ preventScroll: true });
linked?.click();
