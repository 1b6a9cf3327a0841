// Many begin to watch what nobody has. `npm run test:crowd` is as large a crowd as it is to be.
import t from "tap";
import { alone, noNetworks } from "./alone.ts";

const isFull = process.env["LARDER_CROWD"] === "full";
/** Boxes, those of them that watch, and how long the film is in seconds. */
const CROWD = isFull ? ["20", "15", "120"] : ["8", "6", "30"];

t.setTimeout(600_000);
t.test("a crowd", { skip: noNetworks }, (t) => alone(t, "crowd.ts", ...CROWD));
