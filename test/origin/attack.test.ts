import t, { type Test } from "tap";
import { type OriginOptions, openOrigin } from "../../src/origin/client.ts";
import { collect, NORTH, TITLE } from "./table.ts";
import { type Caller, wildServer } from "./wild.ts";

/** For servers that answer: however slow this machine is, they are not too slow. */
const PATIENT = { connect: 60_000, idle: 60_000 };
/** For servers that hang. */
const IMPATIENT = { connect: 300, idle: 300 };
const RANGE = "content-range: bytes 100-199/1000";
const HUNDRED = "x".repeat(100);

async function meet(
	t: Test,
	treat: (caller: Caller) => Promise<void>,
	options: Partial<OriginOptions> = {},
) {
	const server = await wildServer(t, treat);
	const origin = openOrigin({
		base: `http://127.0.0.1:${server.port}/folder`,
		region: NORTH,
		patience: PATIENT,
		...options,
	});
	t.teardown(() => origin.close());
	const read = (signal = new AbortController().signal) =>
		collect(origin.shard(TITLE, 0, 100, 100, signal));
	return { server, origin, read };
}

interface Case {
	readonly what: string;
	readonly head?: readonly string[];
	readonly body?: string;
	readonly end?: "close" | "reset" | "hang";
	readonly message: RegExp;
	readonly kept?: boolean;
}

const PART = ["HTTP/1.1 206 Partial Content", RANGE];
const WHOLE = "HTTP/1.1 200 OK";
const CHUNKED = "transfer-encoding: chunked";

const CASES: readonly Case[] = [
	{ what: "closes at once", end: "close", message: /no answer/ },
	{ what: "resets at once", end: "reset", message: /no answer/ },
	{ what: "never answers", end: "hang", message: /no answer/ },
	{
		what: "speaks no HTTP",
		head: ["220 mail.example ESMTP"],
		end: "hang",
		message: /no answer/,
	},
	{
		what: "hangs after the head",
		head: [...PART, "content-length: 100"],
		end: "hang",
		message: /the answer broke off/,
	},
	{
		what: "hangs in the middle",
		head: [...PART, "content-length: 100"],
		body: "x".repeat(60),
		end: "hang",
		message: /the answer broke off/,
	},
	{
		what: "sends too few bytes and closes",
		head: [...PART, "content-length: 100"],
		body: "x".repeat(60),
		end: "close",
		message: /the answer broke off/,
	},
	{
		what: "resets in the middle",
		head: [...PART, "content-length: 100"],
		body: "x".repeat(60),
		end: "reset",
		message: /the answer broke off/,
	},
	{
		what: "sends too few bytes in whole chunks",
		head: [...PART, CHUNKED],
		body: "3c\r\n".concat("x".repeat(60), "\r\n0\r\n\r\n"),
		message: /40 of 100 bytes did not come/,
		kept: true,
	},
	{
		what: "breaks off inside a chunk",
		head: [...PART, CHUNKED],
		body: "64\r\n".concat("x".repeat(60)),
		end: "close",
		message: /the answer broke off/,
	},
	{
		what: "announces too many bytes",
		head: [...PART, "content-length: 101"],
		body: `${HUNDRED}x`,
		message: /101 bytes announced, 100 asked for/,
	},
	{
		what: "sends too many bytes in chunks",
		head: [...PART, CHUNKED],
		body: `65\r\n${HUNDRED}x\r\n0\r\n\r\n`,
		message: /more than the 100 bytes/,
	},
	{
		what: "sends too many bytes until it closes",
		head: [...PART, "connection: close"],
		body: "x".repeat(101),
		end: "close",
		message: /more than the 100 bytes/,
	},
	{
		what: "sends another range",
		head: [
			"HTTP/1.1 206 Partial Content",
			"content-range: bytes 0-99/1000",
			"content-length: 100",
		],
		body: HUNDRED,
		message: /asked for bytes 100-199, got "bytes 0-99\/1000"/,
	},
	{
		what: "names no range",
		head: ["HTTP/1.1 206 Partial Content", "content-length: 100"],
		body: HUNDRED,
		message: /got ""/,
	},
	{
		what: "redirects",
		head: [
			"HTTP/1.1 302 Found",
			"location: http://127.0.0.1:9/",
			"content-length: 0",
		],
		message: /302, and redirects are not followed/,
	},
	{
		what: "is overloaded",
		head: ["HTTP/1.1 503 Service Unavailable", "content-length: 0"],
		message: /status 503/,
	},
	{
		what: "says that nothing is there to send",
		head: ["HTTP/1.1 204 No Content"],
		message: /status 204/,
	},
	{
		what: "compresses",
		head: [...PART, "content-length: 100", "content-encoding: gzip"],
		body: HUNDRED,
		message: /compresses/,
	},
	{
		what: "has a file that is too short",
		head: [WHOLE, "content-length: 150"],
		body: "x".repeat(150),
		message: /the file has 150 bytes, 200 are needed/,
	},
	{
		what: "sends too little of a whole file",
		head: [WHOLE, "connection: close"],
		body: "x".repeat(150),
		end: "close",
		message: /50 of 100 bytes did not come/,
	},
];

for (const { what, head, body, end, message, kept } of CASES)
	t.test(`a server that ${what}`, async (t) => {
		const treat = async (caller: Caller) => {
			await caller.request();
			if (head !== undefined) caller.answer(head, body);
			if (end === "close") caller.socket.end();
			if (end === "reset") caller.socket.resetAndDestroy();
		};
		const options = end === "hang" ? { patience: IMPATIENT } : {};
		const { server, origin, read } = await meet(t, treat, options);
		const error: unknown = await read().then(
			() => undefined,
			(reason: unknown) => reason,
		);
		t.match(error, { code: "ORIGIN_FAILED", message });
		t.match((error as Error).message, /^127\.0\.0\.1:\d+\/folder\/abab/);
		// A lie told in well-formed HTTP leaves the socket fit for the next request.
		if (kept) {
			t.equal(origin.sockets, 1);
			origin.close();
		}
		await server.quiet();
		t.equal(server.connections, 1);
	});

t.test(
	"a server that ignores Range is skipped through when cheap",
	async (t) => {
		const file = Buffer.from(Array.from({ length: 1000 }, (_, n) => n % 251));
		const { server, origin, read } = await meet(
			t,
			async ({ request, answer }) => {
				await request();
				answer([WHOLE, `content-length: ${file.length}`], file);
			},
		);
		t.ok(file.subarray(100, 200).equals(await read()));
		await server.quiet();
		const far = origin.shard(
			TITLE,
			0,
			2 ** 20 + 1,
			10,
			new AbortController().signal,
		);
		await t.rejects(collect(far), {
			code: "ORIGIN_FAILED",
			message: /ignores Range/,
		});
		await server.quiet();
	},
);

t.test("a manifest without end is cut at the limit", async (t) => {
	const { server, origin } = await meet(
		t,
		async ({ socket, request, answer }) => {
			await request();
			answer([WHOLE, "connection: close"]);
			const more = () => {
				while (!socket.destroyed && socket.write(Buffer.alloc(65_536)));
			};
			socket.on("drain", more);
			more();
		},
	);
	const { signal } = new AbortController();
	await t.rejects(origin.manifest(TITLE, signal), {
		code: "ORIGIN_FAILED",
		message: /more than 16777216 bytes/,
	});
	await server.quiet();
});

t.test("a server that drips is left", async (t) => {
	const { server, read } = await meet(
		t,
		async ({ socket, request, answer }) => {
			await request();
			answer([...PART, "content-length: 100"]);
			const drip = setInterval(() => socket.write("x"), 50);
			socket.on("close", () => clearInterval(drip));
		},
		{ patience: IMPATIENT },
	);
	await t.rejects(read(), {
		code: "ORIGIN_FAILED",
		cause: { message: /too slow/ },
	});
	await server.quiet();
});

t.test("bytes behind an answer harm nobody", async (t) => {
	const { server, read } = await meet(t, async ({ request, answer }) => {
		for (;;) {
			await request();
			answer([...PART, "content-length: 100"], `${HUNDRED}and more`);
		}
	});
	t.equal((await read()).length, 100);
	await server.quiet();
	t.equal((await read()).length, 100);
	t.equal(server.connections, 2);
});

t.test("a kept socket that the server closes is replaced", async (t) => {
	const { server, read } = await meet(
		t,
		async ({ socket, request, answer }) => {
			await request();
			answer([...PART, "content-length: 100"], HUNDRED);
			await request();
			socket.resetAndDestroy();
		},
	);
	t.equal((await read()).length, 100);
	t.equal((await read()).length, 100, "the second connection answers");
	t.equal(server.connections, 2);
});

t.test("an abort ends a read at once, wherever it is", async (t) => {
	for (const answered of [false, true]) {
		const reached = Promise.withResolvers<void>();
		const { server, read } = await meet(
			t,
			async ({ request, answer }) => {
				await request();
				if (answered) answer([...PART, "content-length: 100"], "x");
				reached.resolve();
			},
			{ patience: PATIENT },
		);
		const control = new AbortController();
		const reading = read(control.signal);
		await reached.promise;
		control.abort(new Error("not needed"));
		await t.rejects(reading, { message: "not needed" });
		await server.quiet();
		await t.rejects(read(control.signal), { message: "not needed" });
		t.equal(server.connections, 1, "an aborted read does not even connect");
	}
});

t.test("the pace is kept, and waiting for it is not idleness", async (t) => {
	const paced: number[] = [];
	const control = new AbortController();
	const { server, read } = await meet(
		t,
		async ({ request, answer }) => {
			await request();
			answer([...PART, "content-length: 100"], HUNDRED);
		},
		{
			patience: { connect: 60_000, idle: 1000 },
			pace: async (bytes, signal) => {
				paced.push(bytes);
				t.equal(signal, control.signal);
				// Longer than the idle limit, by the same clock.
				await new Promise((resolve) => setTimeout(resolve, 1500));
			},
		},
	);
	t.equal((await read(control.signal)).length, 100);
	t.equal(
		paced.reduce((sum, bytes) => sum + bytes, 0),
		100,
	);
	t.equal(server.connections, 1);
});

t.test("a TLS handshake that does not come is given up", async (t) => {
	const server = await wildServer(t, async () => undefined);
	const origin = openOrigin({
		base: `https://127.0.0.1:${server.port}`,
		region: NORTH,
		patience: { connect: 100, idle: 60_000 },
	});
	const { signal } = new AbortController();
	const error: unknown = await origin
		.manifest(TITLE, signal)
		.catch((reason: unknown) => reason);
	t.match(error, {
		code: "ORIGIN_FAILED",
		cause: { message: /not connected for 0.1 s/ },
	});
	await server.quiet();
});

t.test("hanging readers give their sockets to those who wait", async (t) => {
	const { read, server } = await meet(
		t,
		async ({ number, request, answer }) => {
			await request();
			if (number > 8) answer([...PART, "content-length: 100"], HUNDRED);
		},
		// Long enough that whoever is answered reads it in time.
		{ patience: { connect: 60_000, idle: 3000 } },
	);
	const reads = await Promise.allSettled(
		Array.from({ length: 16 }, () => read()),
	);
	t.same(
		reads.map(({ status }) => status),
		[...Array(8).fill("rejected"), ...Array(8).fill("fulfilled")],
	);
	t.ok(server.connections > 8);
});

t.test("only addresses of web servers", async (t) => {
	for (const base of ["", "ftp://host/", "host:80", "/folder"])
		t.throws(() => openOrigin({ base, region: NORTH }), {
			code: "CONFIG_INVALID",
		});
});
