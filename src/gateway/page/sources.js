const SECONDS = 60;
/** Neighbours with a line of their own below the chart. */
const NAMED = 5;
const HUES = ["#4cc9b0", "#6fd08c", "#3fa7d6", "#a5d65a", "#2f9e8f", "#7bb8f0"];

/** Seconds ahead of the picture that reach to the top: what players keep there. */
const FULL = 30;

/** Draws, second by second, where the bytes that the player got came from, and how much of the film it had ahead. */
export function showSources(canvas, legend, rate, video) {
	const style = getComputedStyle(document.documentElement);
	const disk = style.getPropertyValue("--disk");
	const origin = style.getPropertyValue("--origin");
	const line = style.getPropertyValue("--text");
	let latest = { now: 0, seconds: [] };
	/** Seconds ahead, by the second at which they were. */
	const levels = new Map();

	const bars = ({ disk: own, neighbours, origin: far }) => [
		{ name: "Disk", colour: disk, bytes: own },
		...neighbours.slice(1).map((bytes, i) => ({
			name: `Neighbour ${i + 1}`,
			colour: HUES[i % HUES.length],
			bytes: bytes ?? 0,
		})),
		{ name: "Origin", colour: origin, bytes: far },
	];

	const draw = () => {
		const { now, seconds } = latest;
		const ratio = devicePixelRatio;
		const width = Math.round(canvas.clientWidth * ratio);
		const height = Math.round(canvas.clientHeight * ratio);
		if (width === 0 || height === 0) return;
		canvas.width = width;
		canvas.height = height;
		const context = canvas.getContext("2d");
		const most = Math.max(1, ...seconds.map(sum));
		const pitch = width / SECONDS;
		const gap = Math.max(1, pitch * 0.18);
		for (let i = 0; i < SECONDS; i++) {
			const x = i * pitch;
			context.fillStyle = "#2a313a";
			context.fillRect(x, height - 2 * ratio, pitch - gap, 2 * ratio);
			const second = seconds.find(({ at }) => at === now - SECONDS + 1 + i);
			let y = height;
			for (const { colour, bytes } of second === undefined
				? []
				: bars(second)) {
				if (bytes === 0) continue;
				const tall = Math.max(2 * ratio, (bytes / most) * height);
				context.fillStyle = colour;
				context.fillRect(x, y - tall, pitch - gap, tall);
				y -= tall;
			}
		}
		drawLevels(context, width, height);
	};

	const drawLevels = (context, width, height) => {
		const places = [...levels].map(([at, ahead]) => [
			(at - latest.now + SECONDS - 0.5) * (width / SECONDS),
			height * (1 - Math.min(1, ahead / FULL) * 0.96),
		]);
		context.strokeStyle = line;
		context.lineWidth = Math.max(1, height / 60);
		context.beginPath();
		for (const [x, y] of places) context.lineTo(x, y);
		context.stroke();
	};

	const tell = () => {
		const totals = new Map();
		for (const { name, colour, bytes } of latest.seconds.flatMap(bars)) {
			const before = totals.get(name)?.bytes ?? 0;
			totals.set(name, { name, colour, bytes: before + bytes });
		}
		const all = latest.seconds.reduce(
			(total, second) => total + sum(second),
			0,
		);
		rate.textContent = `${all === 0 ? "nothing" : bytesText(all)} in the last minute`;
		const [own, far] = bars({ disk: 0, neighbours: [], origin: 0 }).map(
			(bar) => totals.get(bar.name) ?? bar,
		);
		totals.delete(own.name);
		totals.delete(far.name);
		const near = [...totals.values()].filter(({ bytes }) => bytes > 0);
		const named = near.slice(0, near.length > NAMED ? NAMED - 1 : NAMED);
		const others = near.slice(named.length);
		if (others.length > 0) {
			named.push({
				name: `${others.length} more neighbours`,
				colour: others[0].colour,
				bytes: others.reduce((total, { bytes }) => total + bytes, 0),
			});
		}
		legend.replaceChildren(
			...[own, ...named, far].map(({ name, colour, bytes }) => {
				const item = document.createElement("li");
				const share = document.createElement("b");
				item.style.setProperty("--colour", colour);
				item.classList.toggle("none", bytes === 0);
				share.textContent =
					all === 0 ? "" : `${Math.round((bytes / all) * 100)} %`;
				item.append(name, " ", share);
				return item;
			}),
			...(levels.has(latest.now) ? [levelItem(levels.get(latest.now))] : []),
		);
	};

	const events = new EventSource("/sources");
	events.addEventListener("message", ({ data }) => {
		latest = JSON.parse(data);
		const ahead = aheadOf(video);
		if (ahead !== undefined) levels.set(latest.now, ahead);
		for (const at of levels.keys())
			if (at <= latest.now - SECONDS) levels.delete(at);
		draw();
		tell();
	});
	events.addEventListener("error", () => {
		rate.textContent = "the box does not answer";
	});
	new ResizeObserver(draw).observe(canvas);
	tell();
}

/** Seconds of the film that are there from the picture on; undefined while nothing is on the stage. */
function aheadOf({ buffered, currentTime, readyState }) {
	if (readyState === HTMLMediaElement.HAVE_NOTHING) return undefined;
	for (let i = 0; i < buffered.length; i++)
		if (buffered.start(i) <= currentTime + 0.1 && buffered.end(i) > currentTime)
			return buffered.end(i) - currentTime;
	return 0;
}

function levelItem(ahead) {
	const item = document.createElement("li");
	const seconds = document.createElement("b");
	item.className = "level";
	seconds.textContent = `${Math.round(ahead)} s`;
	item.append("Ahead of the picture ", seconds);
	return item;
}

function sum({ disk, neighbours, origin }) {
	return neighbours.reduce(
		(total, bytes) => total + (bytes ?? 0),
		disk + origin,
	);
}

function bytesText(bytes) {
	if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(1)} GB`;
	return bytes >= 1e6
		? `${(bytes / 1e6).toFixed(1)} MB`
		: `${Math.ceil(bytes / 1e3)} kB`;
}
