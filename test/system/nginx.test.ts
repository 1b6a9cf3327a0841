import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import t from "tap";
import { silent } from "../../src/base/log.ts";
import { startOrigin } from "../../src/headend/origin.ts";
import { openOrigin } from "../../src/origin/client.ts";
import { NORTH, originFolder, originTable, TITLE } from "../origin/table.ts";
import { missing, startNginx } from "./nginx.ts";

t.test(
	"any static HTTP server is an origin",
	{ skip: missing() },
	async (t) => {
		const dir = t.testdir({ work: {}, folder: {} });
		const folder = join(dir, "folder");
		const files = await originFolder(folder);
		const nginx = await startNginx(t, join(dir, "work"), folder);
		const embedded = await startOrigin({
			host: "127.0.0.1",
			port: 0,
			dir: folder,
			log: silent,
		});
		t.teardown(() => embedded.close());

		await t.test("nginx", (t) =>
			originTable(t, `http://127.0.0.1:${nginx.plain}`, files),
		);
		await t.test("the embedded server", (t) =>
			originTable(t, `http://127.0.0.1:${embedded.port}`, files),
		);
		await t.test("nginx with TLS", async (t) => {
			const base = `https://127.0.0.1:${nginx.tls}/`;
			const stranger = openOrigin({ base, region: NORTH });
			t.teardown(() => stranger.close());
			await t.rejects(stranger.manifest(TITLE, new AbortController().signal), {
				code: "ORIGIN_FAILED",
				cause: { code: "DEPTH_ZERO_SELF_SIGNED_CERT" },
			});
			const trusted = getCACertificates("default");
			setDefaultCACertificates([
				...trusted,
				await readFile(nginx.certificate, "utf8"),
			]);
			t.teardown(() => setDefaultCACertificates(trusted));
			await originTable(t, base, files);
		});
		await t.test("both say the same of ranges", async (t) => {
			for (const range of [
				"bytes=0-0",
				"bytes=-9",
				"bytes=9-",
				"bytes=999999999-",
			]) {
				const [a, b] = await Promise.all(
					[nginx.plain, embedded.port].map(async (port) => {
						const answer = await fetch(`http://127.0.0.1:${port}/${TITLE}/0`, {
							headers: { range },
						});
						const body = await answer.arrayBuffer();
						return {
							status: answer.status,
							range: answer.headers.get("content-range"),
							bytes: answer.ok ? Buffer.from(body).toString("base64") : "",
						};
					}),
				);
				t.same(a, b, range);
			}
		});
	},
);
