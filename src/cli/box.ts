import { addBoxCommands } from "./boxcommands.ts";
import { createProgram, runProgram } from "./program.ts";

const program = createProgram("Larder on a box: keeps and serves titles.");
addBoxCommands(program);
await runProgram(program);
