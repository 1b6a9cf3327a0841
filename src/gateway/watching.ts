import { Counter, Histogram, type Registry } from "prom-client";
import { SECOND } from "../base/time.ts";
import { START_BOUNDS } from "../plan/histogram.ts";
import type { Figures } from "../plan/session.ts";
import { labelled } from "../wire/near.ts";
import { MISSES } from "../wire/quality.ts";

/** Megabits a second, in bits. */
const RATES = [0.5, 1, 2, 3, 4, 6, 8, 12, 20].map((rate) => rate * 1e6);

/** How films were to watch, for Prometheus, in the words of CTA-2066. No label names a title. */
export class Watching {
	private readonly starts = new Histogram({
		name: "larder_video_startup_seconds",
		help: "From a player's first request to when it had enough to show.",
		buckets: [...START_BOUNDS],
		registers: [],
	});
	private readonly bitrate = new Histogram({
		name: "larder_video_bitrate_bits_per_second",
		help: "Of what was shown, on average of each report.",
		buckets: RATES,
		registers: [],
	});
	private readonly stalls = new Histogram({
		name: "larder_video_stalled_seconds",
		help: "Time in which a player waited for data, of each report in which something was shown.",
		buckets: [0, 0.5, 1, 2, 5, 10, 30, 60],
		registers: [],
	});
	private readonly played = counter(
		"larder_video_played_seconds_total",
		"Playing time that was shown.",
	);
	private readonly stallCount = counter(
		"larder_video_stalls_total",
		"Rebuffering events.",
	);
	private readonly seeks = counter("larder_video_seeks_total", "Seeks.");
	private readonly switches = counter(
		"larder_video_switches_total",
		"Switches of rendition.",
	);
	private readonly near = new Counter({
		name: "larder_video_neighbour_bytes_total",
		help: "Bytes watched that came from neighbours, by how near they are: 0 is nearest.",
		labelNames: ["level"],
		registers: [],
	});
	private readonly misses = new Counter({
		name: "larder_missed_blocks_total",
		help: "Blocks that came over the trunk for a viewer or not at all, by cause.",
		labelNames: ["cause"],
		registers: [],
	});

	register(registry: Registry): void {
		registry.registerMetric(this.starts);
		registry.registerMetric(this.bitrate);
		registry.registerMetric(this.stalls);
		registry.registerMetric(this.misses);
		registry.registerMetric(this.near);
		for (const each of [
			this.played,
			this.stallCount,
			this.seeks,
			this.switches,
		])
			registry.registerMetric(each);
	}

	note(figures: Figures): void {
		for (const start of figures.starts) this.starts.observe(start / SECOND);
		if (figures.played > 0) {
			this.bitrate.observe(figures.bitrate);
			this.stalls.observe(figures.stalled / SECOND);
		}
		this.played.inc(figures.played / SECOND);
		this.stallCount.inc(figures.stalls);
		this.seeks.inc(figures.seeks);
		this.switches.inc(figures.switches);
		const { near = [], neighbours } = figures;
		for (const [level, bytes] of labelled(near, neighbours))
			this.near.inc({ level }, bytes);
		for (const cause of MISSES)
			this.misses.inc({ cause }, figures.misses[cause] ?? 0);
	}
}

function counter(name: string, help: string): Counter {
	return new Counter({ name, help, registers: [] });
}
