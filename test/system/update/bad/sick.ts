// A release that says that it is ready, and serves nothing.
process.stderr.write('{"gateway":9,"msg":"ready"}\n');
setInterval(() => undefined, 1000);
