// What the bundle tests bundle beside the box's own entry: it puts every native addon to work and prints which are loaded.
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import Corestore from "corestore";
import HypercoreStorage from "hypercore-storage";
import HyperDHT from "hyperdht";

const folder = await mkdtemp(join(tmpdir(), "larder-addons-"));
const storage = new HypercoreStorage(folder, {});
const store = new Corestore(storage);
const core = store.get({ name: "one" });
await core.ready();
await core.append(Buffer.from("block"));
const { length } = core;
await store.close();
await rm(folder, { recursive: true });

const dht = new HyperDHT({
	bootstrap: [{ host: "127.0.0.1", port: 1 }],
	host: "127.0.0.1",
	port: 0,
});
await new Promise((resolve) => dht.once("listening", resolve));
await dht.destroy({ force: true });

const addons = Object.keys(createRequire(import.meta.url).cache)
	.filter((file) => file.endsWith(".node"))
	.map((file) => basename(file));
console.log(
	JSON.stringify({
		target: `${process.platform}-${process.arch}`,
		length,
		addons,
	}),
);
