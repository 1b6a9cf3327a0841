import pkg from "../../package.json" with { type: "json" };
import type { Millis } from "../base/units.ts";

/** Put in by build.mjs. */
declare const LARDER_BUILT: Millis | undefined;
declare const LARDER_VERSION: string | undefined;

/** When this software was made, in Unix milliseconds: it cannot be earlier now. 0 where it was not built. */
export const BUILT: Millis =
	typeof LARDER_BUILT === "undefined" ? 0 : LARDER_BUILT;

/** What it runs on, as releases are named. */
export const TARGET = `${process.platform}-${process.arch}`;

/** Which version this is: three numbers, as in src/wire/release.ts. */
export const VERSION: string =
	typeof LARDER_VERSION === "undefined" ? pkg.version : LARDER_VERSION;
