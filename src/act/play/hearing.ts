/**
 * Neighbours hear that a title is played from when something of it is missing here, and no sooner: what lies on the disk is
 * played unheard.
 */
export class Hearing {
	private readonly watch: () => () => void;
	private unwatch: (() => void) | undefined;
	private ended = false;

	/** @param watch tells neighbours; what it gives back ends that */
	constructor(watch: () => () => void) {
		this.watch = watch;
	}

	/** Something is missing. */
	begin(): void {
		if (this.ended) return;
		this.unwatch ??= this.watch();
	}

	end(): void {
		this.ended = true;
		this.unwatch?.();
	}
}
