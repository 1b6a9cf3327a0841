import t from "tap";
import { Recent } from "../../src/base/recent.ts";
import { KiB } from "../../src/base/units.ts";
import { MAX_IPC_FRAME } from "../../src/wire/ipc.ts";

t.test("the last lines are kept, oldest first, in bounded room", (t) => {
	const recent = new Recent(20);
	t.equal(recent.text, "");
	for (const line of ["one\n", "two\n", "three\n", "four\n"]) recent.add(line);
	t.equal(recent.text, "three\nfour\n");
	recent.add("much too long for that\n");
	t.equal(recent.text, "three\nfour\n");
	t.end();
});

t.test("whatever is in them, they fit into an answer over IPC", (t) => {
	for (const text of ['"', "\\", "\u0007", "é", "€", "😀", "\ud800"]) {
		const recent = new Recent();
		const line = `${text.repeat(500)}\n`;
		for (let i = 0; i < 1000; i++) recent.add(line);
		const result = { text: recent.text };
		const answer = JSON.stringify({ id: 1, ok: true, result });
		const bytes = Buffer.byteLength(answer);
		t.ok(bytes < MAX_IPC_FRAME, `${bytes} bytes of ${text}`);
		t.ok(recent.text.length > 16 * KiB, "and are no few");
	}
	t.end();
});
