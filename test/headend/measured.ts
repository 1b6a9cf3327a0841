import { publish } from "../../src/headend/publish/publish.ts";

// A process that publishes a film and says how much memory it had at most, in KiB.
const [operatorDir = "", source = ""] = process.argv.slice(2);
await publish(
	{ operatorDir, source, kind: "title" },
	new AbortController().signal,
);
console.log(process.resourceUsage().maxRSS);
