import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Twelve segments of two seconds in three renditions: HLS with fMP4. */
export const CLIP = join(import.meta.dirname, "../media/clip");

/** Why films cannot be made and decoded here, or false. */
export function noFfmpeg(): string | false {
	return existsSync("/usr/bin/ffmpeg") ? false : "ffmpeg is not installed";
}

export async function ffmpeg(...args: readonly string[]): Promise<string> {
	const quiet = ["-v", "error", "-nostdin", "-y", "-threads", "1"];
	const { stdout } = await run("ffmpeg", [...quiet, ...args], {
		maxBuffer: 64 * 1024 * 1024,
		timeout: 120_000,
	});
	return stdout;
}

/** Ten seconds of moving picture and sound as an MP4. */
export async function makeMovie(
	path: string,
	{ indexFirst }: { readonly indexFirst: boolean },
): Promise<void> {
	await ffmpeg(
		...["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=10"],
		...["-f", "lavfi", "-i", "sine=frequency=440:duration=10"],
		...["-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-c:a", "aac"],
		...(indexFirst ? ["-movflags", "+faststart"] : []),
		path,
	);
}

/** The movie as DASH: two renditions of the picture, one of the sound. */
export async function makeDash(folder: string, movie: string): Promise<void> {
	await mkdir(folder, { recursive: true });
	await ffmpeg(
		...["-i", movie, "-map", "0:v", "-map", "0:v", "-map", "0:a"],
		...["-c:v", "libx264", "-preset", "ultrafast", "-g", "50"],
		...["-b:v:0", "1M", "-b:v:1", "300k", "-s:v:1", "320x180", "-c:a", "copy"],
		...["-seg_duration", "2", "-adaptation_sets"],
		...["id=0,streams=v id=1,streams=a", "-f", "dash"],
		join(folder, "manifest.mpd"),
	);
}

/** A hash of every decoded frame of the best picture and sound of a file or address. */
export async function framesOf(input: string): Promise<string> {
	return await ffmpeg("-i", input, "-f", "framemd5", "-");
}

/** The same of the picture alone, without when each is shown. */
export async function picturesOf(input: string): Promise<string[]> {
	const text = await ffmpeg(
		...["-i", input, "-map", "0:v:0", "-f", "framemd5", "-"],
	);
	return text
		.split("\n")
		.flatMap((line) => /^0,.* (\w{32})$/.exec(line)?.[1] ?? []);
}

/** A hash of every packet of a file or address as it is, without decoding: of all streams. */
export async function copyOf(input: string): Promise<string> {
	const how = ["-map", "0", "-c", "copy", "-f", "framemd5", "-"];
	return await ffmpeg("-i", input, ...how);
}
