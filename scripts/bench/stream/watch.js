/* global Hls */
// Runs on a page with hls.js and one video: plays a film from its beginning, winds once, and says when frames were on the screen.

/** How often and how long the film stands still, from when it is told to look until it is told not to. */
class Stills {
	stalls = 0;
	stalled = 0;
	isWatching = false;
	since;

	constructor(video) {
		video.addEventListener("waiting", () => {
			if (!this.isWatching) return;
			this.stalls++;
			this.since = performance.now();
		});
		video.addEventListener("playing", () => this.end());
	}

	async during(span) {
		this.isWatching = true;
		await new Promise((resolve) => setTimeout(resolve, span));
		this.isWatching = false;
		this.end();
	}

	end() {
		if (this.since !== undefined)
			this.stalled += performance.now() - this.since;
		this.since = undefined;
	}
}

/** Resolves with the first frame of what lies from `time` on. */
function frameFrom(video, time) {
	return new Promise((resolve) => {
		const look = (_, { mediaTime }) => {
			if (mediaTime >= time - 0.1) resolve();
			else video.requestVideoFrameCallback(look);
		};
		video.requestVideoFrameCallback(look);
	});
}

/** See Order and Frames in browser.ts. */
globalThis.watch = async ({ url, level, place, play }) => {
	const video = document.querySelector("video");
	const stills = new Stills(video);
	const engine = new Hls({ startLevel: level, startPosition: 0 });
	const failed = new Promise((_, reject) => {
		engine.on(Hls.Events.ERROR, (_, { fatal, details }) => {
			if (fatal) reject(new Error(details));
		});
	});
	engine.on(Hls.Events.MANIFEST_PARSED, () => {
		engine.loadLevel = level;
	});
	const seen = async (time) => {
		const began = performance.now();
		if (time === 0) {
			engine.loadSource(url);
			engine.attachMedia(video);
			video.play().catch(() => undefined);
		} else video.currentTime = time;
		await Promise.race([frameFrom(video, time), failed]);
		const span = performance.now() - began;
		await Promise.race([stills.during(play), failed]);
		return span;
	};
	const start = await seen(0);
	const seek = await seen(place * video.duration);
	const { stalls, stalled } = stills;
	return { start, seek, stalls, stalled };
};
