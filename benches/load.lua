-- For wrk: sends the GraphQL request in the file of the first argument, with the second as its token if there is one, and
-- ends with what came of it as a line of JSON.
function init(arguments)
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/json"
    wrk.body = io.open(arguments[1]):read("*a")
    if arguments[2] then
        wrk.headers["Authorization"] = "Bearer " .. arguments[2]
    end
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '{"answers": %d, "seconds": %f, "p50": %f, "p99": %f, "errors": %d}\n',
        summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
