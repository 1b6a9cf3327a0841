import { writeSync } from "node:fs";
import { publish } from "../../src/headend/publish/publish.ts";

// A process that publishes up to a share of the title, says so, and then stands still until it is killed.
const [operatorDir = "", source = "", share = "1"] = process.argv.slice(2);
await publish(
	{
		operatorDir,
		source,
		kind: "title",
		blockSize: 1024,
		shardBlocks: 64,
		onProgress({ bytesDone, bytesTotal }) {
			if (bytesTotal === 0 || bytesDone < Number(share) * bytesTotal) return;
			writeSync(1, "there\n");
			Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
		},
	},
	new AbortController().signal,
);
