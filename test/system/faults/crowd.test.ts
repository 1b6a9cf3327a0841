// Many begin to watch what nobody has. `npm run test:crowd` is as large a crowd as it is to be.
import t from "tap";
import { alone, noNetworks } from "./alone.ts";

const isFull = process.env["LARDER_CROWD"] === "full";
/**
 * Boxes, those of them that watch, how long the film is in seconds, and how often it may come over the trunk. Of a short one the
 * beginning is most, for which nobody waits until neighbours have it.
 */
const CROWD = isFull ? ["20", "15", "120", "2"] : ["8", "6", "30", "3"];

t.setTimeout(600_000);
t.test("a crowd", { skip: noNetworks }, (t) => alone(t, "crowd.ts", ...CROWD));
