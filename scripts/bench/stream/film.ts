import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { run } from "../../run.ts";

/** Bits a second of the picture, best first: what a film in HD takes. */
export const RENDITIONS = [6e6, 5e6, 4e6] as const;
const SEGMENT = 4;

/**
 * HLS in fMP4 as a packager makes it: three renditions of so many seconds, each at a constant rate. The picture is a test picture,
 * filled up to the rate: what is streamed are bytes, and Chromium decodes it all the same.
 */
export async function makeFilm(folder: string, seconds: number): Promise<void> {
	await mkdir(folder, { recursive: true });
	const outputs = RENDITIONS.flatMap((rate, i) => [
		...[`-b:v:${i}`, `${rate}`, `-minrate:v:${i}`, `${rate}`],
		...[`-maxrate:v:${i}`, `${rate}`, `-bufsize:v:${i}`, `${rate / 2}`],
	]);
	await run("ffmpeg", [
		...["-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i"],
		`testsrc2=size=640x360:rate=25:duration=${seconds}`,
		...RENDITIONS.flatMap(() => ["-map", "0:v"]),
		...["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"],
		...["-g", "50", "-keyint_min", "50", "-sc_threshold", "0"],
		...["-x264-params", "nal-hrd=cbr"],
		...outputs,
		...["-f", "hls", "-hls_time", `${SEGMENT}`, "-hls_playlist_type", "vod"],
		...["-hls_flags", "independent_segments", "-hls_segment_type", "fmp4"],
		...["-hls_fmp4_init_filename", "init.mp4", "-master_pl_name"],
		...["master.m3u8", "-hls_segment_filename", join(folder, "%v/%03d.m4s")],
		...["-var_stream_map", RENDITIONS.map((_, i) => `v:${i}`).join(" ")],
		join(folder, "%v/index.m3u8"),
	]);
}
