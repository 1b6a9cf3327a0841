// What a household uploads by itself, as a browser does over several connections: node upload.ts <host> <port>, until standard input ends.
import { connect } from "node:net";

const CONNECTIONS = 4;
const [, , host = "", port = ""] = process.argv;
const chunk = Buffer.alloc(64 * 1024);
for (let i = 0; i < CONNECTIONS; i++) {
	const socket = connect(Number(port), host);
	const send = () => {
		while (socket.write(chunk));
	};
	socket.on("connect", send).on("drain", send);
}
process.stdin.on("end", () => process.exit()).resume();
