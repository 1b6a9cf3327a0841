import t from "tap";
import { decodeEntry, encodeEntry } from "../../src/logs/entry.ts";
import { entry } from "./wires.ts";

t.test("an entry comes back as it went in", async (t) => {
	const film = entry(1, { availableFrom: 1_700_000_000_000 });
	t.same(decodeEntry(film.id, encodeEntry(film)), { ok: true, value: film });
});

t.test(
	"the display name gives way to 300 bytes, by whole letters",
	async (t) => {
		const long = entry(1, { name: "🎬".repeat(40), assetId: "a".repeat(40) });
		const text = encodeEntry(long);
		t.ok(Buffer.byteLength(text) <= 300, `${Buffer.byteLength(text)} bytes`);
		const back = decodeEntry(long.id, text);
		t.match(back.ok && back.value.name, /^(🎬)+…$/u);
		t.equal(back.ok && back.value.assetId, long.assetId, "nothing else does");
	},
);

t.test("an entry that is too long without its name is refused", async (t) => {
	const wide = entry(1, { name: "Any", assetId: "字".repeat(64) });
	t.throws(() => encodeEntry(wide), {
		code: "PACKAGE_INVALID",
		message: /shorten the asset id/,
	});
	const full = entry(1, { assetId: "x".repeat(64), name: "N".repeat(80) });
	t.ok(Buffer.byteLength(encodeEntry(full)) <= 300);
});

t.test("what is no entry is told apart", async (t) => {
	const film = entry(1);
	t.match(decodeEntry(film.id, "{"), { ok: false, reason: "not-json" });
	t.match(decodeEntry(film.id, "{}"), { ok: false, reason: "bad-schema" });
	t.match(decodeEntry(entry(2).id, encodeEntry(film)), {
		ok: false,
		reason: "wrong-key",
	});
	t.match(decodeEntry(film.id, " ".repeat(301)), {
		ok: false,
		reason: "too-large",
	});
});
