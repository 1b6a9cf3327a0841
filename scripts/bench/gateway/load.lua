-- For wrk: asks for the paths that are its arguments, one after the other, and ends with a line of JSON. Times are in microseconds.
local paths = {}
local at = 0

function init(args)
	paths = args
end

function request()
	at = at % #paths + 1
	return wrk.format("GET", paths[at])
end

function done(summary, latency)
	local errors = summary.errors
	io.write(string.format(
		'{"bytes":%.0f,"span":%.0f,"requests":%.0f,"errors":%.0f,"median":%.0f,"p99":%.0f}\n',
		summary.bytes, summary.duration, summary.requests,
		errors.connect + errors.read + errors.write + errors.status + errors.timeout,
		latency:percentile(50), latency:percentile(99)))
end
