-- One message a request, texts in turn, no ids: each is new.
local texts, at = {}, 0
for line in io.lines(os.getenv("TEXTS")) do texts[#texts + 1] = line end
local bad = 0
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer " .. os.getenv("KEY")

function request()
  at = at % #texts + 1
  return wrk.format(nil, nil, nil, '{"text":' .. texts[at] .. "}")
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"seconds":%f,"p50":%f,"p95":%f,"p99":%f,"max":%f,"errors":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(95) / 1000,
    latency:percentile(99) / 1000, latency.max / 1000, e.connect + e.read + e.write + e.status + e.timeout))
end
