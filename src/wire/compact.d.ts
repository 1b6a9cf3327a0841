declare module "compact-encoding" {
	export interface State {
		start: number;
		end: number;
		buffer: Uint8Array | null;
	}
	export interface Encoding<T> {
		preencode(state: State, value: T): void;
		encode(state: State, value: T): void;
		decode(state: State): T;
	}
	export const uint: Encoding<number>;
	export const uint8: Encoding<number>;
	export const bool: Encoding<boolean>;
	export const buffer: Encoding<Uint8Array>;
	export const raw: Encoding<Uint8Array>;
	export const fixed32: Encoding<Uint8Array>;
	export const json: Encoding<unknown>;
	const codecs: {
		uint: typeof uint;
		uint8: typeof uint8;
		bool: typeof bool;
		buffer: typeof buffer;
		raw: typeof raw;
		fixed32: typeof fixed32;
		json: typeof json;
	};
	export default codecs;
}
