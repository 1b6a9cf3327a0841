import { complain } from "./notice.js";

const el = (id) => document.getElementById(id);
const stage = el("stage");
const video = el("video");
const seek = el("seek");

/** Wires the buttons below the picture and shows where in the film it is. */
export function showControls() {
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
	for (const event of ["pointermove", "keydown"])
		stage.addEventListener(event, wake);
	el("screen").addEventListener("click", ({ target }) => {
		if (!target.closest("#retry, #address")) toggle();
	});
	el("toggle").addEventListener("click", toggle);
	el("fullscreen").addEventListener("click", toggleFullscreen);
	seek.addEventListener("input", () => {
		video.currentTime = (seek.value / 1000) * video.duration;
	});
}

/** Whether there is something to control. */
export function enable(on) {
	for (const control of [el("toggle"), seek, el("fullscreen")])
		control.disabled = !on;
}

export function toggle() {
	if (el("toggle").disabled) return;
	if (video.paused)
		video
			.play()
			.catch((error) => error.name === "AbortError" || complain(error, toggle));
	else video.pause();
}

/** Winds by seconds, back when they are negative. */
export function skip(seconds) {
	if (Number.isFinite(video.duration)) {
		video.currentTime = Math.min(
			Math.max(0, video.currentTime + seconds),
			video.duration,
		);
	}
	wake();
}

export function toggleFullscreen() {
	if (document.fullscreenElement) document.exitFullscreen();
	else if (stage.requestFullscreen) stage.requestFullscreen();
	// iPhones let only the video itself fill the screen.
	else video.webkitEnterFullscreen?.();
}

function draw() {
	const { currentTime, duration, buffered, paused } = video;
	stage.classList.toggle("playing", !paused);
	el("toggle").ariaLabel = paused ? "Play" : "Pause";
	const known = Number.isFinite(duration) && duration > 0;
	el("clock").textContent = known
		? `${clock(currentTime)} / ${clock(duration)}`
		: "";
	if (!known) {
		place(0, 0);
		return;
	}
	let loaded = currentTime;
	for (let i = 0; i < buffered.length; i++) {
		if (buffered.start(i) <= currentTime + 0.5)
			loaded = Math.max(loaded, buffered.end(i));
	}
	place(currentTime / duration, loaded / duration);
	seek.ariaValueText = clock(currentTime);
}

function place(played, loaded) {
	seek.value = played * 1000;
	seek.style.setProperty("--played", `${played * 100}%`);
	seek.style.setProperty("--loaded", `${loaded * 100}%`);
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
