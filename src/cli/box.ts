import { addBoxCommands } from "./boxcommands.ts";
import { addImageCommands } from "./imagecommands.ts";
import { createProgram, runProgram } from "./program.ts";

const program = createProgram("Larder on a box: keeps and serves titles.");
addBoxCommands(program);
addImageCommands(program);
await runProgram(program);
