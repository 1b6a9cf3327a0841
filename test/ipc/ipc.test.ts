import { spawnSync } from "node:child_process";
import { once } from "node:events";
import {
	chmod,
	lstat,
	mkdir,
	mkdtemp,
	readFile,
	rm,
	stat,
	writeFile,
} from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Counter, Registry } from "prom-client";
import t, { type Test } from "tap";
import { LarderError } from "../../src/base/errors.ts";
import { silent } from "../../src/base/log.ts";
import { callIpc } from "../../src/ipc/client.ts";
import {
	type IpcOptions,
	MAX_IPC_CLIENTS,
	startIpc,
} from "../../src/ipc/server.ts";
import type { IpcHandlers } from "../../src/ipc/session.ts";
import { MAX_IPC_FRAME } from "../../src/wire/ipc.ts";
import { silentAgent } from "./silent.ts";

const handlers: IpcHandlers = {
	...silentAgent,
	status: async () => ({ all: "well" }),
	doctor: async () => {
		throw new LarderError("STORE_FULL", "no room");
	},
};

async function place(test: Test): Promise<string> {
	// Not test.testdir(): a socket path has at most 107 bytes.
	const folder = await mkdtemp(join(tmpdir(), "larder-ipc-"));
	test.teardown(() => rm(folder, { recursive: true }));
	return join(folder, "run", "agent.sock");
}

async function agent(
	test: Test,
	own: Partial<IpcHandlers> = {},
	more: Partial<IpcOptions> = {},
) {
	const socket = await place(test);
	const registry = new Registry();
	const server = await startIpc({
		socket,
		handlers: { ...handlers, ...own },
		registry,
		log: silent,
		...more,
	});
	test.teardown(() => server.close());
	return { socket, server, registry };
}

async function dial(test: Test, path: string): Promise<Socket> {
	const socket = connect(path);
	test.teardown(() => socket.destroy());
	socket.on("error", () => undefined);
	await once(socket, "connect");
	return socket;
}

/** Everything the server sends until it hangs up. */
async function untilClosed(socket: Socket): Promise<string> {
	const parts: Buffer[] = [];
	socket.on("data", (part: Buffer) => parts.push(part));
	if (!socket.closed)
		await new Promise<void>((resolve) => socket.once("close", () => resolve()));
	return Buffer.concat(parts).toString();
}

async function oneLine(socket: Socket): Promise<unknown> {
	let text = "";
	while (!text.includes("\n")) text += String((await once(socket, "data"))[0]);
	return JSON.parse(text);
}

t.test("answers, and hands errors over with their code", async (t) => {
	const { socket } = await agent(t);
	t.same(await callIpc(socket, "status", 5000), { all: "well" });
	await t.rejects(callIpc(socket, "doctor", 5000), {
		code: "STORE_FULL",
		message: "no room",
	});
});

t.test(
	"socket is 0660 in a new folder of 0750, gone after close",
	async (t) => {
		const { socket, server } = await agent(t);
		t.equal((await stat(socket)).mode & 0o777, 0o660);
		t.equal((await stat(join(socket, ".."))).mode & 0o777, 0o750);
		await server.close();
		await t.rejects(lstat(socket), { code: "ENOENT" });
	},
);

t.test("leaves the mode of a folder that was there", async (t) => {
	const socket = await place(t);
	await mkdir(join(socket, ".."));
	await chmod(join(socket, ".."), 0o701);
	const server = await startIpc({ socket, handlers, log: silent });
	t.equal((await stat(join(socket, ".."))).mode & 0o777, 0o701);
	await server.close();
});

t.test("refuses a folder where others could replace the socket", async (t) => {
	const socket = await place(t);
	await mkdir(join(socket, ".."));
	await chmod(join(socket, ".."), 0o777);
	await t.rejects(startIpc({ socket, handlers, log: silent }), {
		code: "CONFIG_INVALID",
		message: /anybody may write/,
	});
	// As /tmp is: each may remove only what is theirs.
	await chmod(join(socket, ".."), 0o1777);
	const server = await startIpc({ socket, handlers, log: silent });
	await server.close();
});

t.test("a method takes what its schema says, and nothing else", async (t) => {
	const taken: unknown[] = [];
	const pause = async (params: unknown) => {
		taken.push(params);
		return "paused";
	};
	const { socket } = await agent(t, { pause });
	const ask = (params?: unknown) => callIpc(socket, "pause", 5000, params);
	t.equal(await ask(), "paused");
	t.equal(await ask({ minutes: 5, later: "added" }), "paused");
	for (const wrong of [{ minutes: 0 }, { minutes: "5" }, 5, { minutes: 1e9 }])
		await t.rejects(ask(wrong), { code: "REQUEST_INVALID" });
	t.same(taken, [undefined, { minutes: 5 }]);
});

t.test("takes over a stale socket, never a live one", async (t) => {
	const { socket, server } = await agent(t);
	await t.rejects(startIpc({ socket, handlers, log: silent }), {
		code: "PORT_TAKEN",
	});
	t.same(await callIpc(socket, "status", 5000), { all: "well" });
	await server.close();

	// A process that is killed leaves its socket behind.
	spawnSync(process.execPath, [
		"-e",
		`require("net").createServer().listen(${JSON.stringify(socket)}, () => process.kill(process.pid, "SIGKILL"))`,
	]);
	t.ok((await lstat(socket)).isSocket());
	await t.rejects(callIpc(socket, "status", 5000), {
		code: "IPC_UNREACHABLE",
		cause: { code: "ECONNREFUSED" },
	});
	const next = await startIpc({ socket, handlers, log: silent });
	t.same(await callIpc(socket, "status", 5000), { all: "well" });
	await next.close();
});

t.test(
	"spares a file that is no socket; says where it cannot listen",
	async (t) => {
		const socket = await place(t);
		await mkdir(join(socket, ".."));
		await writeFile(socket, "precious");
		const start = (path: string) =>
			startIpc({ socket: path, handlers, log: silent });
		await t.rejects(start(socket), { code: "CONFIG_INVALID" });
		t.ok((await lstat(socket)).isFile());
		await t.rejects(start(join(socket, "below")), { code: "CONFIG_INVALID" });
		const long = join(socket, "..", "x".repeat(120));
		await t.rejects(start(long), { code: "CONFIG_INVALID" });
	},
);

t.test(
	"no agent, a silent one, one that hangs up, one that babbles",
	async (t) => {
		const socket = await place(t);
		await t.rejects(callIpc(socket, "status", 5000), {
			code: "IPC_UNREACHABLE",
			cause: { code: "ENOENT" },
		});
		await mkdir(join(socket, ".."));
		let greet: (client: Socket) => void = () => undefined;
		const other = createServer((client) => {
			client.on("error", () => undefined);
			greet(client);
		});
		other.listen(socket);
		await once(other, "listening");
		t.teardown(() => other.close());
		await t.rejects(callIpc(socket, "status", 50), {
			code: "IPC_UNREACHABLE",
			message: /50 ms/,
		});
		greet = (client) => client.end();
		await t.rejects(callIpc(socket, "status", 5000), { message: /hung up/ });
		greet = (client) => client.end("what?\n");
		await t.rejects(callIpc(socket, "status", 5000), {
			message: /not-json, 5 bytes/,
		});
		greet = (client) => client.write(Buffer.alloc(MAX_IPC_FRAME * 2, "x"));
		await t.rejects(callIpc(socket, "status", 5000), { message: /too long/ });
	},
);

t.test(
	"garbage, bad schema and long frames get one reply and the end",
	async (t) => {
		const { socket, registry } = await agent(t);
		const refusals = registry.getSingleMetric(
			"larder_ipc_refusals_total",
		) as Counter<"reason">;
		for (const [bytes, reason] of [
			["GET / HTTP/1.1\r\n\r\n", "not-json"],
			[
				'{"id":1,"method":"format"}\n{"id":2,"method":"status"}\n',
				"unknown-method",
			],
			['{"id":1,"method":"__proto__"}\n', "unknown-method"],
			['{"id":1,"method":["status"]}\n', "bad-schema"],
			['{"id":-1,"method":"status"}\n', "bad-schema"],
			[`${"[".repeat(100_000)}\n`, "not-json"],
			[`${"[".repeat(100_000)}${"]".repeat(100_000)}\n`, "bad-schema"],
			[`${"x".repeat(MAX_IPC_FRAME + 1)}\n`, "too-large"],
			[Buffer.from([0xff, 0xfe, 0x00, 0x0a]), "not-json"],
		] as const) {
			const client = await dial(t, socket);
			client.write(bytes);
			const lines = (await untilClosed(client)).trim().split("\n");
			t.equal(lines.length, 1);
			const reply = JSON.parse(lines[0]!);
			t.match(reply, { id: null, ok: false, code: "REQUEST_INVALID" });
			t.ok(reply.message.startsWith(reason), reply.message);
		}
		const { values } = await refusals.get();
		t.same(
			Object.fromEntries(
				values.map(({ labels, value }) => [labels.reason, value]),
			),
			{ "bad-schema": 3, "not-json": 3, "too-large": 1, "unknown-method": 2 },
		);
	},
);

t.test("half a frame waits; the rest, in pieces, is answered", async (t) => {
	const { socket } = await agent(t);
	const client = await dial(t, socket);
	client.write('{"id":7,"meth');
	t.same(await callIpc(socket, "status", 5000), { all: "well" });
	client.write('od":"stat');
	client.write('us"}\n');
	t.match(await oneLine(client), { id: 7, ok: true });
	client.write('{"id":8,"method":"status"}\n');
	t.match(await oneLine(client), { id: 8 }, "the connection stays open");
});

t.test(
	"a client that shuts its sending side still gets its answer",
	async (t) => {
		const { promise, resolve } = Promise.withResolvers<void>();
		const { socket } = await agent(t, { status: () => promise });
		const client = await dial(t, socket);
		client.end('{"id":1,"method":"status"}\n');
		await once(client, "finish");
		setImmediate(resolve);
		t.match(JSON.parse(await untilClosed(client)), { id: 1, ok: true });
	},
);

t.test("a gigabyte without a newline costs no memory", async (t) => {
	const { socket } = await agent(t);
	const client = await dial(t, socket);
	const told = untilClosed(client);
	const before = process.memoryUsage.rss();
	const part = Buffer.alloc(1 << 20, "x");
	let sent = 0;
	for (; sent < 1024 && client.writable; sent++) {
		if (client.write(part)) continue;
		await Promise.race([told, once(client, "drain").catch(() => undefined)]);
	}
	t.ok(sent < 1024, `hung up after ${sent} MiB`);
	t.ok(process.memoryUsage.rss() - before < 64 << 20);
	t.match(await told, "too-large");
	t.same(await callIpc(socket, "status", 5000), { all: "well" });
});

t.test("requests by the thousand are answered one by one", async (t) => {
	let running = 0;
	let most = 0;
	const status = async () => {
		most = Math.max(most, ++running);
		await new Promise(setImmediate);
		running--;
		return "x".repeat(1000);
	};
	const { socket } = await agent(t, { status }, { rate: Infinity });
	const client = await dial(t, socket);
	const request = '{"id":1,"method":"status"}\n';
	client.write(request.repeat(3000));
	let lines = 0;
	for await (const part of client) {
		lines += String(part).split("\n").length - 1;
		if (lines === 3000) break;
	}
	t.equal(lines, 3000);
	t.equal(most, 1);
});

t.test("nothing more is read from a client that waits", async (t) => {
	const never = Promise.withResolvers<void>();
	t.teardown(never.resolve);
	let asked = 0;
	const { socket } = await agent(t, {
		status: () => (asked++ === 0 ? never.promise : Promise.resolve("now")),
	});
	const client = await dial(t, socket);
	client.write('{"id":1,"method":"status"}\n'.repeat(100_000));
	for (let i = 0; i < 20; i++) await callIpc(socket, "status", 5000);
	t.equal(asked, 21);
	t.ok(client.writableLength > 0);
});

t.test("200 clients: the cap holds, and room comes back", async (t) => {
	const { socket } = await agent(t);
	const clients = await Promise.all(
		Array.from({ length: 200 }, () => dial(t, socket)),
	);
	const open = () => clients.filter((client) => !client.closed);
	await new Promise<void>((resolve) => {
		const settled = () => open().length <= MAX_IPC_CLIENTS && resolve();
		for (const client of clients) client.resume().once("close", settled);
		settled();
	});
	t.equal(open().length, MAX_IPC_CLIENTS);
	await t.rejects(callIpc(socket, "status", 5000), { code: "IPC_UNREACHABLE" });
	// Idle clients are served when they speak.
	const [idle] = open();
	idle!.write('{"id":1,"method":"status"}\n');
	t.match(await oneLine(idle!), { id: 1, ok: true });
	idle!.destroy();
	const ask = () => callIpc(socket, "status", 5000).catch(() => undefined);
	while ((await ask()) === undefined);
});

t.test("a client killed in the middle of a reply harms nobody", async (t) => {
	const asked = Promise.withResolvers<void>();
	const go = Promise.withResolvers<void>();
	let slow = true;
	const { socket } = await agent(t, {
		status: async () => {
			if (!slow) return "quick";
			asked.resolve();
			await go.promise;
			return "x".repeat(200_000);
		},
	});
	const client = await dial(t, socket);
	client.write('{"id":1,"method":"status"}\n');
	await asked.promise;
	client.destroy();
	await once(client, "close");
	slow = false;
	go.resolve();
	t.equal(await callIpc(socket, "status", 5000), "quick");
});

t.test(
	"a handler that hangs is answered for; a client that never reads is dropped",
	async (t) => {
		const socket = await place(t);
		const server = await startIpc({
			socket,
			handlers: {
				...handlers,
				status: () => new Promise(() => undefined),
				doctor: async () => "x".repeat(200_000),
			},
			log: silent,
			patience: 50,
		});
		t.teardown(() => server.close());
		await t.rejects(callIpc(socket, "status", 5000), {
			code: "COMMAND_FAILED",
			message: /too long/,
		});
		const client = await dial(t, socket);
		// More than the socket's buffers hold, and nobody reads it: what is over is gone when the server hangs up.
		client.write('{"id":1,"method":"doctor"}\n'.repeat(100));
		// Three more hung handlers take three times the patience.
		for (let i = 0; i < 3; i++)
			await callIpc(socket, "status", 5000).catch(() => undefined);
		const heard = await untilClosed(client);
		t.ok(heard.split("\n").length < 100);
	},
);

t.test("an answer larger than a frame becomes an error", async (t) => {
	const { socket } = await agent(t, {
		status: async () => "x".repeat(MAX_IPC_FRAME),
	});
	await t.rejects(callIpc(socket, "status", 5000), {
		code: "COMMAND_FAILED",
		message: /does not fit/,
	});
});

t.test("close ends open connections", async (t) => {
	const { socket, server } = await agent(t);
	const client = await dial(t, socket);
	client.write('{"id":1,"method":"status"}\n');
	await oneLine(client);
	client.resume();
	await Promise.all([server.close(), once(client, "close")]);
	await server.close();
	t.ok(client.closed);
});

t.test("a client over its rate waits, and nobody else", async (t) => {
	// One, and the next in an hour.
	const { socket } = await agent(t, {}, { rate: 1 / 3600 });
	const client = await dial(t, socket);
	let heard = "";
	client.on("data", (part) => {
		heard += part;
	});
	client.write('{"id":1,"method":"status"}\n'.repeat(5));
	for (let i = 0; i < 20; i++) {
		const other = callIpc(socket, "status", 5000);
		t.same(await other, { all: "well" });
	}
	t.equal(heard.split("\n").length - 1, 1);
});

t.test("silent clients go, and those who speak by drops", async (t) => {
	const { socket, registry } = await agent(t, {}, { silence: 100 });
	const silentOne = await dial(t, socket);
	const slow = await dial(t, socket);
	const drip = setInterval(() => slow.write("x"), 10);
	const busy = await dial(t, socket);
	const gone = Promise.all([untilClosed(silentOne), untilClosed(slow)]);
	let over = false;
	void gone.then(() => {
		over = true;
	});
	while (!over) {
		busy.write('{"id":1,"method":"status"}\n');
		t.match(await oneLine(busy), { ok: true });
		await new Promise((resolve) => setTimeout(resolve, 10));
	}
	clearInterval(drip);
	t.same(await gone, ["", ""]);
	t.notOk(busy.closed);
	t.match(
		await registry.metrics(),
		'larder_ipc_refusals_total{reason="silent"} 2',
	);
});

t.test("the socket and a new folder are the group's", async (t) => {
	const { gid } = await stat(tmpdir());
	const [own = gid] = process.getgroups?.() ?? [];
	const named = (await readFile("/etc/group", "utf8"))
		.split("\n")
		.find((line) => line.split(":")[2] === `${own}`)
		?.split(":")[0];
	for (const group of [`${own}`, named ?? `${own}`]) {
		const { socket } = await agent(t, {}, { group });
		t.equal((await stat(socket)).gid, own);
		t.equal((await stat(join(socket, ".."))).gid, own);
		t.equal((await stat(socket)).mode & 0o777, 0o660);
		t.same(await callIpc(socket, "status", 5000), { all: "well" });
	}
	const socket = await place(t);
	const group = "no-such-group";
	await t.rejects(startIpc({ socket, group, handlers, log: silent }), {
		code: "CONFIG_INVALID",
		message: /no group no-such-group/,
	});
	await t.rejects(lstat(socket), { code: "ENOENT" }, "nobody listens");
});

t.test("a socket has its rights from the first moment", async (t) => {
	const before = process.umask(0);
	t.teardown(() => process.umask(before));
	const socket = await place(t);
	await mkdir(join(socket, ".."), { mode: 0o700 });
	const server = await startIpc({ socket, handlers, log: silent });
	t.equal(process.umask(), 0, "the process has its own again");
	t.equal((await stat(socket)).mode & 0o777, 0o660);
	await server.close();
});
