import { silent } from "../../src/base/log.ts";
import { Control } from "../../src/control/control.ts";
import { trustIn } from "../../src/wire/envelope.ts";
import type { BoxId } from "../../src/wire/ids.ts";
import { REGION } from "./operator.ts";

/** A box in a process of its own, to be killed: `child.ts <url> <box> <root key> <folder>`. */
const [url = "", box = "", rootKey = "", folder = ""] = process.argv.slice(2);
await Control.start({
	url,
	box: box as BoxId,
	region: REGION,
	trust: trustIn(Buffer.from(rootKey, "hex"), Date.now),
	folder,
	ran: Date.now,
	version: "test",
	power: "active",
	reach: "direct",
	log: silent,
	timing: { willDelay: 1000 },
	fetchRef: () => Promise.reject(new Error("no origin")),
	handlers: { placement() {}, head() {}, order: async () => undefined },
});
