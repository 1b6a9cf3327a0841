// Preloaded into every process of the desk: ends it when the process that started it is gone, however that one ended.
import { kill, pid, stdin } from "node:process";

// The desk holds the other end of this pipe for as long as it lives, and writes nothing into it.
stdin.on("error", () => stdin.destroy());
stdin.once("close", () => kill(pid, "SIGTERM"));
stdin.resume();
stdin.unref();
