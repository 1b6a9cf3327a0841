import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import t, { type Test } from "tap";
import {
	Callback,
	type CallbackOptions,
	openCallback,
} from "../../../src/headend/entitlement/callback.ts";
import { readConfig } from "../../../src/headend/operator/config.ts";
import { initOperator } from "../../../src/headend/operator/operator.ts";
import type { BoxId, TitleId } from "../../../src/wire/ids.ts";
import { until } from "../../fixture.ts";
import { region } from "../fixture.ts";

const question = {
	box: "b".repeat(64) as BoxId,
	serial: "SN-1",
	title: "a".repeat(64) as TitleId,
	asset: "film",
	region,
	at: 1,
};

/** The operator's own system, and a callback that asks it. */
async function subscribers(
	t: Test,
	listener: RequestListener,
	over: Partial<CallbackOptions> = {},
) {
	const server = createServer(listener);
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	t.teardown(() => {
		server.closeAllConnections();
		server.close();
	});
	const address = server.address();
	const port = typeof address === "object" ? address?.port : undefined;
	const url = `http://127.0.0.1:${port}/entitled`;
	const options = { url, secret: "s3cret", timeout: 60_000, concurrency: 2 };
	return new Callback({ ...options, ...over });
}

t.test("it is asked as JSON, with the secret", async (t) => {
	const heard: unknown[] = [];
	const callback = await subscribers(t, async (request, response) => {
		const { method, url, headers } = request;
		heard.push([method, url, headers.authorization, await json(request)]);
		response.end('{"allow":true,"until":5}');
	});
	t.same(await callback.ask(question), {
		ok: true,
		value: { allow: true, until: 5 },
	});
	t.same(heard, [["POST", "/entitled", "Bearer s3cret", question]]);
});

const FAILURES: Record<string, RequestListener> = {
	"an error": (_, response) => response.writeHead(500).end('{"allow":true}'),
	"a redirect": (_, response) =>
		response.writeHead(302, { location: "/other" }).end(),
	"no JSON": (_, response) => response.end("yes"),
	"nothing of what was asked": (_, response) => response.end('{"ok":true}'),
	"a reason that is none": (_, response) =>
		response.end('{"allow":false,"reason":"\\u001b[2J"}'),
	"a flood": (_, response) =>
		response.end(`{"allow":true,"x":"${"x".repeat(5000)}"}`),
	"a flood without end": (_, response) => {
		const more = () => {
			while (!response.destroyed && response.write(Buffer.alloc(65_536)));
		};
		response.on("drain", more);
		more();
	},
	"a cut connection": (request) => request.destroy(),
};

for (const [what, listener] of Object.entries(FAILURES))
	t.test(`it answers with ${what}`, async (t) => {
		const callback = await subscribers(t, listener);
		t.match(await callback.ask(question), {
			ok: false,
			reason: "callback-failed",
		});
	});

t.test("a few questions at a time, the others in line", async (t) => {
	const waiting: (() => void)[] = [];
	const callback = await subscribers(t, (_, response) => {
		waiting.push(() => response.end('{"allow":true}'));
	});
	const asked = [1, 2, 3].map(() => callback.ask(question));
	await until(() => waiting.length === 2);
	waiting.shift()?.();
	await until(() => waiting.length === 2);
	for (const answer of waiting) answer();
	for (const answer of await Promise.all(asked)) t.ok(answer.ok);
});

t.test("silence has an end, in line, too", async (t) => {
	let heard = 0;
	const callback = await subscribers(t, () => void heard++, {
		timeout: 100,
		concurrency: 1,
	});
	const answers = await Promise.all([1, 2].map(() => callback.ask(question)));
	for (const answer of answers) t.match(answer, { reason: "callback-failed" });
	const before = heard;
	t.match(await callback.ask(question), { reason: "callback-failed" });
	t.equal(heard, before + 1, "the next has its turn");
});

t.test("as operator.toml says", async (t) => {
	const { dir, config } = await initOperator(join(t.testdir(), "operator"), {
		region,
	});
	t.equal(await openCallback(dir, config), undefined);
	const { entitlement } = await readConfig(dir);
	await t.rejects(
		openCallback(dir, {
			entitlement: {
				...entitlement,
				mode: "callback",
				url: "http://127.0.0.1:1/",
				secret_file: "keys/none",
			},
		}),
		{ code: "CONFIG_INVALID", message: /^entitlement\.secret_file: .*none/ },
	);
});
