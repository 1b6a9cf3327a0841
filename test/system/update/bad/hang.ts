// A release that begins and is never ready.
process.stderr.write("hanging\n");
setInterval(() => undefined, 1000);
