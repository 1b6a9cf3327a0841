// Faults that a viewer must not notice, while a film plays.
import t from "tap";
import { alone, noNetworks } from "./alone.ts";

t.setTimeout(600_000);
t.test("a film plays on", { skip: noNetworks }, (t) => alone(t, "evening.ts"));
