import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { loadConfig } from "../../src/agent/config.ts";
import { type ConfigChange, watchConfig } from "../../src/agent/watch.ts";

const LEAST = `
data = "data"
[swarm]
bootstrap = ["10.0.0.1:49737"]
[broker]
url = "mqtts://broker.example"
[origin]
url = "http://origin.example/titles"
`;

type News = ConfigChange | { readonly error: unknown };

/** Watches a fresh configuration; `news` gives what is told, in order. */
async function watching(test: Test) {
	const folder = test.testdir({ "larder.toml": LEAST });
	const path = join(folder, "larder.toml");
	const told: News[] = [];
	let wake = () => {};
	const tell = (item: News) => {
		told.push(item);
		wake();
	};
	const watch = await watchConfig(path, await loadConfig(path), tell, (error) =>
		tell({ error }),
	);
	test.teardown(() => watch.close());
	const news = async (): Promise<News> => {
		for (;;) {
			const item = told.shift();
			if (item !== undefined) return item;
			await new Promise<void>((resolve) => {
				wake = resolve;
			});
		}
	};
	return { path, dropIns: `${path}.d`, news, told };
}

t.test("tells live changes from those that need a restart", async (t) => {
	const { path, news } = await watching(t);
	await writeFile(
		path,
		`log_level = "debug"\n${LEAST}\n[rates]\nup = "1 Mbit/s"\n[store]\nquota = "60%"\n`,
	);
	t.match(await news(), {
		config: { logLevel: "debug", rates: { up: 125_000 } },
		live: ["log_level", "rates.up"],
		restart: ["store.quota"],
	});
});

t.test("what is changed back waits for no restart", async (t) => {
	const { path, news } = await watching(t);
	const quota = '[store]\nquota = "60%"\n';
	await writeFile(path, `${LEAST}\n${quota}`);
	t.match(await news(), { live: [], restart: ["store.quota"] });
	await writeFile(path, `log_level = "debug"\n${LEAST}\n${quota}`);
	t.match(await news(), { live: ["log_level"], restart: ["store.quota"] });
	await writeFile(path, `log_level = "debug"\n${LEAST}`);
	t.match(await news(), { live: [], restart: [] });
});

t.test("keeps the old one when the new one is invalid", async (t) => {
	const { path, news } = await watching(t);
	await writeFile(path, `log_level = "loud"\n${LEAST}`);
	t.match(await news(), { error: { code: "CONFIG_INVALID" } });
	await writeFile(path, LEAST);
	t.match(await news(), {
		config: { logLevel: "info" },
		live: [],
		restart: [],
	});
	await writeFile(path, `log_level = "warn"\n${LEAST}`);
	t.match(await news(), { live: ["log_level"], restart: [] });
});

t.test(
	"a file renamed over it, twice, and removed and made anew",
	async (t) => {
		const { path, news } = await watching(t);
		for (const level of ["debug", "warn"]) {
			await writeFile(`${path}~`, `log_level = "${level}"\n${LEAST}`);
			await rename(`${path}~`, path);
			t.match(await news(), { config: { logLevel: level } });
		}
		await rm(path);
		t.match(await news(), { error: { code: "CONFIG_INVALID" } });
		await writeFile(path, `log_level = "error"\n${LEAST}`);
		t.match(await news(), { config: { logLevel: "error" } });
	},
);

t.test("a drop-in folder that comes later, changes and goes", async (t) => {
	const { dropIns, news, told } = await watching(t);
	await mkdir(dropIns);
	await writeFile(join(dropIns, "a.toml"), '[rates]\ndown = "1 MB/s"');
	t.match(await news(), { config: { rates: { down: 1e6 } } });
	await writeFile(join(dropIns, "a.toml"), '[rates]\ndown = "2 MB/s"');
	t.match(await news(), { config: { rates: { down: 2e6 } } });
	await rm(dropIns, { recursive: true });
	t.match(await news(), { config: { rates: { down: 0 } } });
	t.same(told, []);
});

t.test("other files, and edits that change nothing, are no news", async (t) => {
	const { path, news } = await watching(t);
	await writeFile(join(path, "..", "other.toml"), "x = 1");
	await writeFile(path, `# a comment\n${LEAST}`);
	await writeFile(path, `log_level = "debug"\n${LEAST}`);
	t.match(await news(), { live: ["log_level"], restart: [] });
});
