import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { boxesIn, encrypt, type Protection, pssh } from "./cenc.ts";
import { ffmpeg } from "./media.ts";

/** Seconds that it plays. */
export const PLAYS = 8;
export const FRAMES = PLAYS * 25;

interface Track {
	readonly name: string;
	readonly kind: "video" | "audio";
	readonly codecs: string;
	/** Attributes of the track in an MPD. */
	readonly more: string;
}

const TRACKS: readonly Track[] = [
	{
		...{ name: "high", kind: "video", codecs: "avc1.42c01e" },
		more: 'bandwidth="950400" width="640" height="360"',
	},
	{
		...{ name: "low", kind: "video", codecs: "avc1.42c00d" },
		more: 'bandwidth="290400" width="320" height="180"',
	},
	{
		...{ name: "english", kind: "audio", codecs: "mp4a.40.2" },
		more: 'bandwidth="66000" audioSamplingRate="44100"',
	},
	{
		...{ name: "deutsch", kind: "audio", codecs: "mp4a.40.2" },
		more: 'bandwidth="66000" audioSamplingRate="44100"',
	},
];
const LANGUAGES: Readonly<Record<string, string>> = {
	...{ english: "en", deutsch: "de" },
};

/** What subtitles say, second by second. */
export const CUES = Array.from({ length: PLAYS }, (_, i) => `Second ${i}`);

/**
 * A title with all that players may be asked for: two renditions, sound in two languages and subtitles, each in one file by byte ranges; HLS
 * and DASH over the same files; and two ways to the renditions that the box steers.
 */
export async function makeTitle(folder: string): Promise<void> {
	await mkdir(folder, { recursive: true });
	const sine = (frequency: number) =>
		[
			"-f",
			"lavfi",
			"-i",
			`sine=frequency=${frequency}:duration=${PLAYS}`,
		] as const;
	await ffmpeg(
		...["-f", "lavfi", "-i", `testsrc2=size=640x360:rate=25:duration=${PLAYS}`],
		...[...sine(440), ...sine(660)],
		...["-map", "0:v", "-map", "0:v", "-map", "1:a", "-map", "2:a"],
		...["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"],
		...["-g", "50", "-keyint_min", "50", "-sc_threshold", "0"],
		...["-b:v:0", "800k", "-b:v:1", "200k", "-s:v:1", "320x180"],
		...["-c:a", "aac", "-b:a", "64k", "-f", "hls", "-hls_time", "2"],
		...["-hls_playlist_type", "vod", "-hls_segment_type", "fmp4"],
		...["-hls_flags", "single_file+independent_segments", "-var_stream_map"],
		"v:0,name:high v:1,name:low a:0,name:english a:1,name:deutsch",
		...["-hls_segment_filename", join(folder, "%v.mp4")],
		join(folder, "%v.m3u8"),
	);
	const cues = CUES.map(
		(text, i) => `00:00:0${i}.000 --> 00:00:0${i + 1}.000\n${text}\n`,
	);
	await writeFile(join(folder, "text.vtt"), ["WEBVTT\n", ...cues].join("\n"));
	await writeFile(
		join(folder, "text.m3u8"),
		`#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:${PLAYS}\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:${PLAYS},\ntext.vtt\n#EXT-X-ENDLIST\n`,
	);
	await writeFile(join(folder, "master.m3u8"), master());
	const sets = await adaptationSets(folder);
	await writeFile(join(folder, "manifest.mpd"), mpd([...sets, TEXT]));
}

function master(): string {
	const media = (type: string, name: string, language: string, more: string) =>
		`#EXT-X-MEDIA:TYPE=${type},GROUP-ID="${type}",NAME="${name}",LANGUAGE="${language}",${more},URI="${name}.m3u8"`;
	const variants = ["near", "far"].flatMap((way) =>
		TRACKS.filter(({ kind }) => kind === "video").flatMap((track) => [
			`#EXT-X-STREAM-INF:BANDWIDTH=${track.name === "high" ? 950400 : 290400},RESOLUTION=${track.name === "high" ? "640x360" : "320x180"},CODECS="${track.codecs},mp4a.40.2",AUDIO="AUDIO",SUBTITLES="SUBTITLES",PATHWAY-ID="${way}"`,
			`${track.name}.m3u8?${way}`,
		]),
	);
	return `${[
		...["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"],
		'#EXT-X-CONTENT-STEERING:SERVER-URI="steering.json?title=7",PATHWAY-ID="near"',
		media("AUDIO", "english", "en", "DEFAULT=YES,AUTOSELECT=YES"),
		media("AUDIO", "deutsch", "de", "DEFAULT=NO,AUTOSELECT=YES"),
		media("SUBTITLES", "text", "en", "DEFAULT=NO,AUTOSELECT=YES"),
		...variants,
	].join("\n")}\n`;
}

const TEXT = `<AdaptationSet contentType="text" mimeType="text/vtt" lang="en"><Representation id="text" bandwidth="100"><BaseURL>text.vtt</BaseURL></Representation></AdaptationSet>`;

function mpd(sets: readonly string[]): string {
	return `<?xml version="1.0" encoding="utf-8"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" xmlns:cenc="urn:mpeg:cenc:2013" type="static" profiles="urn:mpeg:dash:profile:isoff-main:2011" minBufferTime="PT2S" mediaPresentationDuration="PT${PLAYS}S"><Period>
${sets.join("\n")}
</Period></MPD>
`;
}

/** One for the picture and one for the sound in each language, by the lengths in their playlists and the fragments in their files. */
async function adaptationSets(
	folder: string,
	only: readonly string[] = TRACKS.map(({ name }) => name),
	source = folder,
	protection = "",
): Promise<string[]> {
	const sets = new Map<string, string[]>();
	for (const { name, kind, codecs, more } of TRACKS) {
		if (!only.includes(name)) continue;
		const lang =
			LANGUAGES[name] === undefined ? "" : ` lang="${LANGUAGES[name]}"`;
		const head = `<AdaptationSet contentType="${kind}" mimeType="${kind}/mp4" segmentAlignment="true"${lang}>${protection}`;
		const list = await segmentList(folder, name, source);
		sets.set(head, [
			...(sets.get(head) ?? []),
			`<Representation id="${name}" codecs="${codecs}" ${more}><BaseURL>${name}.mp4</BaseURL>${list}</Representation>`,
		]);
	}
	return [...sets].map(
		([head, own]) => `${head}${own.join("")}</AdaptationSet>`,
	);
}

async function segmentList(folder: string, name: string, source: string) {
	const text = await readFile(join(source, `${name}.m3u8`), "utf8");
	const lasts = [...text.matchAll(/#EXTINF:([\d.]+)/g)].map(([, each]) =>
		Math.round(Number(each) * 1e6),
	);
	const starts: number[] = [];
	let at = 0;
	const boxes = boxesIn(await readFile(join(folder, `${name}.mp4`)));
	for (const { type, bytes } of boxes) {
		if (type === "moof") starts.push(at);
		at += bytes.length;
	}
	const ranges = starts.map(
		(start, i) => `${start}-${(starts[i + 1] ?? at) - 1}`,
	);
	// What indexes a fragment stands before it, and belongs to none here.
	const init = boxes.findIndex(({ type }) => type === "moov") + 1;
	const end = boxes
		.slice(0, init)
		.reduce((sum, { bytes }) => sum + bytes.length, 0);
	return [
		`<SegmentList timescale="1000000"><Initialization range="0-${end - 1}"/><SegmentTimeline>`,
		...lasts.map((d, i) => `<S ${i === 0 ? 't="0" ' : ""}d="${d}"/>`),
		"</SegmentTimeline>",
		...ranges.map((range) => `<SegmentURL mediaRange="${range}"/>`),
		"</SegmentList>",
	].join("");
}

const COMMON = Buffer.from("1077efecc0b24d02ace33c1e52e2fb4b", "hex");
const WIDEVINE = Buffer.from("edef8ba979d64acea3c827dcd51d21ed", "hex");

/** Key, id and boxes of the protected title; what is in Widevine's is made up. */
const keyId = Buffer.from("a7e61c373e219033c21091fa607bf3b8", "hex");
export const PROTECTION: Protection & { readonly psshs: readonly Buffer[] } = {
	keyId,
	key: Buffer.from("76a6c65c5ea762046bd749a2e632ccbb", "hex"),
	psshs: [
		pssh(COMMON, [keyId], Buffer.alloc(0)),
		pssh(WIDEVINE, [keyId], Buffer.from("nobody's")),
	],
};

/** How the MPD tells of it, byte for byte. */
export const CONTENT_PROTECTION = contentProtection();

function contentProtection(): string {
	const hex = keyId.toString("hex");
	const uuid = hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
	const [common, widevine] = PROTECTION.psshs.map((box) =>
		box.toString("base64"),
	);
	return [
		`<ContentProtection schemeIdUri="urn:mpeg:dash:mp4protection:2011" value="cenc" cenc:default_KID="${uuid}"/>`,
		`<ContentProtection schemeIdUri="urn:uuid:1077efec-c0b2-4d02-ace3-3c1e52e2fb4b" value="ClearKey"><cenc:pssh>${common}</cenc:pssh></ContentProtection>`,
		`<ContentProtection  schemeIdUri="urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"><cenc:pssh>${widevine}</cenc:pssh></ContentProtection>`,
	].join("");
}

/** The best picture and the English sound of the title, encrypted: DASH with Common Encryption. */
export async function makeProtected(
	folder: string,
	title: string,
): Promise<void> {
	await mkdir(folder, { recursive: true });
	for (const name of ["high", "english"]) {
		const plain = await readFile(join(title, `${name}.mp4`));
		await writeFile(join(folder, `${name}.mp4`), encrypt(plain, PROTECTION));
	}
	const only = ["high", "english"];
	const sets = await adaptationSets(folder, only, title, CONTENT_PROTECTION);
	await writeFile(join(folder, "manifest.mpd"), mpd(sets));
}
