// A release that never says anything.
setInterval(() => undefined, 1000);
