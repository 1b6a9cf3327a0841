// What the bundle tests bundle beside the box's own entry: it prints when it thinks that it was made.
import { BUILT } from "../../src/agent/built.ts";

console.log(BUILT);
