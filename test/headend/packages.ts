/** Hand-written packages, small enough to read. */

export interface Tree {
	readonly [name: string]: string | Buffer | Tree;
}

function media(...uris: string[]): string {
	const segments = uris.map((uri) => `#EXTINF:2.0,Ein Stück\n${uri}\n`);
	return `#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n${segments.join("")}#EXT-X-ENDLIST\n`;
}

function master(...uris: string[]): string {
	const variants = uris.map(
		(uri, index) =>
			`#EXT-X-STREAM-INF:BANDWIDTH=${index + 1}00000,CODECS="avc1.4d401e,mp4a.40.2"\n${uri}\n`,
	);
	return `#EXTM3U\n${variants.join("")}`;
}

const init = '#EXT-X-MAP:URI="init.mp4"\n#EXTINF';

export const HLS = {
	media,
	master,
	plain: { "i.m3u8": media("1.ts", "2.ts"), "1.ts": "x", "2.ts": "x" },
	ranges: {
		"i.m3u8": media("all.mp4", "all.mp4")
			.replace(
				"#EXTINF",
				'#EXT-X-MAP:URI="all.mp4",BYTERANGE="4@0"\n#EXT-X-BYTERANGE:3@4\n#EXTINF',
			)
			.replace(/(all\.mp4\n)(#EXTINF)/, "$1#EXT-X-BYTERANGE:3\n$2"),
		"all.mp4": "0123456789",
	},
	full: {
		"master.m3u8": master("v1/i.m3u8?token=1", "v2/i.m3u8").replace(
			"#EXTM3U\n",
			'#EXTM3U\n#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd://asset-7",KEYFORMAT="com.apple.streamingkeydelivery"\n' +
				'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="Deutsch, laut",URI="a/i.m3u8"\n' +
				'#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="English",URI="s/i.m3u8"\n',
		),
		v1: {
			"i.m3u8": media("1.m4s", "2%25.m4s")
				.replace("#EXTINF", init)
				.replace(
					"#EXTINF",
					'#EXT-X-KEY:METHOD=SAMPLE-AES,URI="data:text/plain;base64,AAAA",KEYFORMAT="urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"\n' +
						'#EXT-X-KEY:METHOD=AES-128,URI="https://keys.example/1"\n#EXTINF',
				),
			"init.mp4": "init",
			"1.m4s": "11",
			"2%.m4s": "12",
		},
		v2: {
			"i.m3u8": media("1.m4s", "2.m4s")
				.replace("#EXTINF", init)
				.replace(
					"#EXTINF",
					'#EXT-X-KEY:METHOD=AES-128,URI="../keys/k.bin"\n#EXTINF',
				),
			"init.mp4": "init",
			"1.m4s": "21",
			"2.m4s": "22",
		},
		a: { "i.m3u8": media("1.aac"), "1.aac": "a" },
		s: { "i.m3u8": media("1.vtt"), "1.vtt": "WEBVTT" },
		keys: { "k.bin": "0123456789abcdef" },
		"poster.jpg": "x",
	},
};

function mpd(attributes: string, ...periods: string[]): string {
	return `<?xml version="1.0" encoding="utf-8"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" ${attributes}>
${periods.join("\n")}
</MPD>`;
}

const set = (inner: string, more = "") =>
	`<Period><AdaptationSet mimeType="video/mp4">${more}${inner}</AdaptationSet></Period>`;

export const DASH = {
	over: (...names: string[]) =>
		mpd(
			'mediaPresentationDuration="PT4S"',
			set(
				`<Representation id="v"><SegmentList duration="2">${names
					.map((name) => `<SegmentURL media="${name}"/>`)
					.join("")}</SegmentList></Representation>`,
			),
		),
	number: {
		"m.mpd": mpd(
			'mediaPresentationDuration="PT5S"',
			`<Period>
				<SegmentTemplate initialization="$RepresentationID$-i.mp4" media="$RepresentationID$-$Number%03d$.m4s" timescale="10" duration="20"/>
				<AdaptationSet><Representation id="v" bandwidth="1"/></AdaptationSet>
				<AdaptationSet><Representation id="a" bandwidth="1"/></AdaptationSet>
			</Period>`,
		),
		"v-i.mp4": "x",
		"v-001.m4s": "x",
		"v-002.m4s": "x",
		"v-003.m4s": "x",
		"a-i.mp4": "x",
		"a-001.m4s": "x",
		"a-002.m4s": "x",
	},
	time: {
		"m.mpd": mpd(
			'mediaPresentationDuration="PT6S"',
			set(
				`<SegmentTemplate initialization="i.mp4" media="$Time$.m4s" timescale="10" presentationTimeOffset="30000000000000000">
					<SegmentTimeline><S t="30000000000000000" d="20" r="-1"/></SegmentTimeline>
				</SegmentTemplate><Representation id="v"/>`,
				"<BaseURL>d/</BaseURL>",
			),
		),
		d: {
			"i.mp4": "x",
			"30000000000000000.m4s": "x",
			"30000000000000020.m4s": "x",
			"30000000000000040.m4s": "x",
		},
	},
	list: {
		"m.mpd": mpd(
			"",
			`<Period duration="PT4S"><BaseURL>l/</BaseURL><AdaptationSet><Representation id="v">
				<SegmentList duration="2"><Initialization sourceURL="i.mp4"/><SegmentURL media="1.m4s" mediaRange="0-0"/><SegmentURL media="2.m4s"/></SegmentList>
			</Representation></AdaptationSet></Period>`,
		),
		l: { "i.mp4": "x", "1.m4s": "x", "2.m4s": "x" },
	},
	single: {
		"m.mpd": mpd(
			'mediaPresentationDuration="PT1H2M3.5S"',
			`<Period>
				<AdaptationSet>
					<ContentProtection xmlns:cenc="urn:mpeg:cenc:2013" schemeIdUri="urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"><cenc:pssh>AAAA</cenc:pssh><dashif:laurl xmlns:dashif="x">https://licence.example/</dashif:laurl></ContentProtection>
					<Representation id="v"><BaseURL>v.mp4</BaseURL><SegmentBase indexRange="2-3"><Initialization range="0-1"/></SegmentBase></Representation>
				</AdaptationSet>
				<AdaptationSet mimeType="text/vtt"><Representation id="s"><BaseURL>s.vtt</BaseURL></Representation></AdaptationSet>
			</Period>`,
		),
		"v.mp4": "0123456789",
		"s.vtt": "WEBVTT",
	},
	periods: {
		"m.mpd": mpd(
			'mediaPresentationDuration="PT4S"',
			...["p1", "p2"].map(
				(name, index) =>
					`<Period start="PT${index * 2}S"><AdaptationSet><SegmentTemplate media="${name}/$Number$.m4s" duration="2"/><Representation id="v"/></AdaptationSet></Period>`,
			),
		),
		p1: { "1.m4s": "x" },
		p2: { "1.m4s": "x" },
	},
};

function box(type: string, content: Buffer | string, wide = false): Buffer {
	const body = Buffer.from(content);
	const header = Buffer.alloc(wide ? 16 : 8);
	header.writeUInt32BE(wide ? 1 : 8 + body.length, 0);
	header.write(type, 4, "latin1");
	if (wide) header.writeBigUInt64BE(BigInt(16 + body.length), 8);
	return Buffer.concat([header, body]);
}

function times(version: number, at: number, ticks: number): Buffer {
	const body = Buffer.alloc(at + 8);
	body.writeUInt8(version, 0);
	if (version === 1) body.writeBigUInt64BE(BigInt(ticks), at);
	else body.writeUInt32BE(ticks, at);
	return body;
}

const ftyp = box("ftyp", "isom\0\0\0\0");

/** Boxes of an MP4 with no pictures in it. `duration` and `fragments` in seconds. */
export const boxes = {
	box,
	ftyp,
	movie({ duration = 0, wide = false, indexLast = false, fragments = 0 }) {
		const header = times(wide ? 1 : 0, wide ? 24 : 16, duration * 600);
		header.writeUInt32BE(600, wide ? 20 : 12);
		const moov = box(
			"moov",
			Buffer.concat([
				box("mvhd", header),
				box("trak", "anything"),
				...(fragments > 0
					? [box("mvex", box("mehd", times(1, 4, fragments * 600)))]
					: []),
			]),
		);
		const mdat = box("mdat", "pictures and sound", wide);
		return Buffer.concat(indexLast ? [ftyp, mdat, moov] : [ftyp, moov, mdat]);
	},
};
