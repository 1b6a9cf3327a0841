import type { Millis } from "../base/units.ts";

/** Put in by build.mjs. */
declare const LARDER_BUILT: Millis | undefined;

/** When this software was made, in Unix milliseconds: it cannot be earlier now. 0 where it was not built. */
export const BUILT: Millis =
	typeof LARDER_BUILT === "undefined" ? 0 : LARDER_BUILT;
