import t from "tap";
import { Bitfield } from "../../src/content/bitfield.ts";
import {
	applyCipher,
	freshCipher,
	MAX_TITLE_SIZE,
} from "../../src/content/cipher.ts";

/** The same numbers in every run (mulberry32). */
function* draws(seed: number): Generator<number> {
	for (let a = seed; ; ) {
		a = (a + 0x6d2b79f5) | 0;
		let x = Math.imul(a ^ (a >>> 15), 1 | a);
		x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
		yield (x ^ (x >>> 14)) >>> 0;
	}
}

t.test("a bit field does what a set does", async (t) => {
	const random = draws(7);
	const draw = (below: number) => (random.next().value ?? 0) % below;
	for (let round = 0; round < 50; round++) {
		const length = draw(70);
		const field = new Bitfield(length);
		const set = new Set<number>();
		for (let step = 0; step < 200; step++) {
			const index = draw(80) - 5;
			if (draw(3) > 0) {
				field.add(index);
				if (index >= 0 && index < length) set.add(index);
			} else {
				field.delete(index);
				set.delete(index);
			}
		}
		t.equal(field.count, set.size);
		t.equal(field.full, set.size === length);
		t.same(
			[...field],
			[...set].sort((a, b) => a - b),
		);
		const copy = new Bitfield(length, field.bytes);
		t.same([...copy], [...field]);
		t.equal(copy.count, field.count);
		copy.clear();
		t.equal(copy.count, 0);
		t.equal(field.count, set.size);
	}
});

t.test("indices outside are no members and cannot be made any", async (t) => {
	const field = new Bitfield(4, Uint8Array.of(0xff));
	for (const index of [-1, 4, 7, 8, 2 ** 32, -(2 ** 32)]) {
		field.add(index);
		t.notOk(field.has(index), `${index}`);
	}
	t.ok(field.full);
});

t.test("any cut of the byte space decrypts the same", async (t) => {
	const cipher = freshCipher();
	const plain = Buffer.alloc(1000).map((_, i) => i);
	const sealed = applyCipher(cipher, 0, plain);
	for (let from = 0; from < 200; from += 7) {
		for (const to of [from, from + 1, from + 64, from + 333]) {
			const part = applyCipher(cipher, from, sealed.subarray(from, to));
			if (!part.equals(plain.subarray(from, to))) t.fail(`${from}-${to}`);
		}
	}
	t.ok(applyCipher(cipher, 5, applyCipher(cipher, 5, plain)).equals(plain));
	t.notOk(applyCipher(freshCipher(), 0, plain).equals(sealed));
});

t.test("the key stream does not come round within a title", async (t) => {
	const cipher = freshCipher();
	const zeros = Buffer.alloc(64);
	const first = applyCipher(cipher, 0, zeros);
	const last = applyCipher(cipher, MAX_TITLE_SIZE - 64, zeros);
	t.notOk(first.equals(last));
	t.throws(() => applyCipher(cipher, MAX_TITLE_SIZE, zeros));
});
