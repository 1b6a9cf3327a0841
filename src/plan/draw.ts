/** Mixes two numbers into 32 even bits. Source: the finalizer of MurmurHash3 (A. Appleby, public domain). */
export function mix(a: number, b: number): number {
	let h = (a ^ Math.imul(b, 0x9e3779b1)) >>> 0;
	h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
	h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
	return (h ^ (h >>> 16)) >>> 0;
}

/** Draws boxes by number, each as often as its weight says; the same seed draws the same box. */
export class Urn {
	/** Boxes with a weight, and the sums of the weights up to each. */
	readonly boxes: readonly number[];
	private readonly sums: Float64Array;

	constructor(weights: Float64Array) {
		this.boxes = Array.from(weights.keys()).filter(
			(i) => (weights[i] ?? 0) > 0,
		);
		this.sums = new Float64Array(this.boxes.length);
		let sum = 0;
		for (const [i, box] of this.boxes.entries()) {
			sum += weights[box] ?? 0;
			this.sums[i] = sum;
		}
	}

	/** @param seed 32 bits; the urn must not be empty */
	draw(seed: number): number {
		const point = ((this.sums.at(-1) ?? 0) * seed) / 2 ** 32;
		let low = 0;
		let high = this.sums.length - 1;
		while (low < high) {
			const middle = (low + high) >> 1;
			if ((this.sums[middle] ?? 0) > point) high = middle;
			else low = middle + 1;
		}
		return this.boxes[low] ?? 0;
	}
}

/** Every number in [0, n) once, far apart from one to the next: a walk in steps of about the golden section. */
export function* scattered(n: number): Generator<number> {
	let step = Math.max(1, Math.round(n * 0.618));
	while (gcd(step, n) !== 1) step++;
	for (let i = 0, at = 0; i < n; i++, at = (at + step) % n) yield at;
}

function gcd(a: number, b: number): number {
	return b === 0 ? a : gcd(b, a % b);
}
