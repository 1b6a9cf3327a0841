import { existsSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { monotonic, SECOND, sleep } from "../src/base/time.ts";
import type { Millis } from "../src/base/units.ts";

/** A terminal takes no longer line. */
const LONGEST = 3500;
/** No echo of what is sent, no prompt before what is printed. */
const QUIET =
	"stty -echo -onlcr; PS1= PS2=; bind 'set enable-bracketed-paste off'";

/** A shell at the other end of a socket of QEMU's. One command at a time. */
export class Shell {
	private readonly path: string;
	private socket: Socket | undefined;
	private heard = "";
	private count = 0;
	private wake: () => void = () => undefined;

	constructor(path: string) {
		this.path = path;
	}

	/** Waits until it answers; again after a restart of the machine. */
	async open(patience: Millis): Promise<void> {
		const end = monotonic() + patience;
		while (this.socket === undefined && !existsSync(this.path)) {
			if (monotonic() > end) throw new Error("QEMU has opened no shell");
			await sleep(0.1 * SECOND);
		}
		this.socket ??= this.connect();
		while (monotonic() < end) {
			// Until the machine is up, nobody reads it.
			this.socket.write("\n");
			const answer = await this.answer(QUIET, 5 * SECOND);
			if (answer !== undefined) return;
		}
		throw new Error(`no shell: ${this.heard.slice(-500)}`);
	}

	/** What a command prints. Rejects when it fails or takes too long. */
	async run(command: string, patience: Millis): Promise<string> {
		const coded = Buffer.from(command).toString("base64");
		if (coded.length > LONGEST) throw new Error("the command is too long");
		const line = `echo ${coded} | base64 -d | bash -s 2>&1`;
		const answer = await this.answer(line, patience);
		if (answer === undefined)
			throw new Error(`no answer to \`${command}\`: ${this.heard.slice(-500)}`);
		const { printed, code } = answer;
		if (code === 0) return printed;
		throw new Error(`\`${command}\` ended with ${code}\n${printed}`);
	}

	close(): void {
		this.socket?.destroy();
	}

	private connect(): Socket {
		const socket = createConnection(this.path);
		socket.setEncoding("utf8").on("data", (text: string) => {
			this.heard += text;
			this.wake();
		});
		// It ends with its machine, of which `ended` tells.
		socket.on("error", () => this.wake());
		return socket;
	}

	/** What a line prints, and how it ends. Undefined when nothing comes in time. */
	async answer(line: string, patience: Millis) {
		const mark = `done-${++this.count}`;
		this.heard = "";
		// In two parts, so that an echo of it is not taken for its end.
		this.socket?.write(`${line}; printf '\\ndone-%d %d\\n' ${this.count} $?\n`);
		const end = new RegExp(`\r?\n${mark} (\\d+)\r?\n`);
		const until = monotonic() + patience;
		for (;;) {
			const found = end.exec(this.heard);
			if (found !== null) {
				const printed = this.heard.slice(0, found.index);
				return {
					printed: printed.replaceAll("\r", ""),
					code: Number(found[1]),
				};
			}
			const left = until - monotonic();
			if (left <= 0) return undefined;
			await this.more(left);
		}
	}

	private more(patience: Millis): Promise<void> {
		return new Promise((resolve) => {
			const timer = setTimeout(resolve, patience);
			this.wake = () => {
				clearTimeout(timer);
				resolve();
			};
		});
	}
}
