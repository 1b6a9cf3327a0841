/** A set of small integers in [0, length): one bit each, lowest bit of the first byte first. */
export class Bitfield {
	readonly length: number;
	readonly bytes: Uint8Array;
	private members = 0;

	constructor(length: number, bytes?: Uint8Array) {
		this.length = length;
		this.bytes = new Uint8Array(Math.ceil(length / 8));
		if (bytes === undefined) return;
		this.bytes.set(bytes.subarray(0, this.bytes.length));
		const spare = this.bytes.length * 8 - length;
		const last = this.bytes.length - 1;
		if (spare > 0) this.bytes[last] = (this.bytes[last] ?? 0) & (0xff >> spare);
		for (let i = 0; i < length; i++) if (this.has(i)) this.members++;
	}

	/** How many are in the set. */
	get count(): number {
		return this.members;
	}

	get full(): boolean {
		return this.members === this.length;
	}

	has(index: number): boolean {
		// Bit operators wrap at 2^32, and indices come from neighbours.
		if (index < 0 || index >= this.length) return false;
		return ((this.bytes[index >> 3] ?? 0) & (1 << (index & 7))) !== 0;
	}

	add(index: number): void {
		if (index < 0 || index >= this.length || this.has(index)) return;
		this.bytes[index >> 3] = (this.bytes[index >> 3] ?? 0) | (1 << (index & 7));
		this.members++;
	}

	delete(index: number): void {
		if (!this.has(index)) return;
		this.bytes[index >> 3] =
			(this.bytes[index >> 3] ?? 0) & ~(1 << (index & 7));
		this.members--;
	}

	clear(): void {
		this.bytes.fill(0);
		this.members = 0;
	}

	*[Symbol.iterator](): Generator<number> {
		for (let i = 0; i < this.length; i++) if (this.has(i)) yield i;
	}
}
