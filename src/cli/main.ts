import { addBoxCommands } from "./boxcommands.ts";
import { addDemoCommand } from "./demo.ts";
import { askBox } from "./fleetcommands.ts";
import { addHeadendCommands } from "./headendcommands.ts";
import { createProgram, runProgram } from "./program.ts";

const program = createProgram(
	"Larder: a TV operator's receivers as the operator's on-demand store.",
);
addHeadendCommands(program);
addBoxCommands(program, askBox);
addDemoCommand(program);
await runProgram(program);
