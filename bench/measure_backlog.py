# SPDX-License-Identifier: Apache-2.0
"""A million events waiting over 1,000 targets, half of which refuse connections while the others answer 503: memory while
they gather, the start with them, and their delivery when all targets come back at once.

A tenth more targets, that always work and owe nothing, show whether anybody waits for anybody: events for them in turn,
100 a second in all, before the outage and during the recovery. So many new events of the targets that have a backlog are
sent as well; these wait behind what their own target owes.

Settings that differ from the defaults: retry.schedule_ms is a second and two, and from the start with the backlog on
breaker.probe_min_ms and probe_max_ms are the same, so that all targets are found up at once; with the defaults the backlog
would be delivered over a quarter of an hour, a lane at a time. While it gathers the breakers probe as they do by default:
a thousand probes a second would be most of the work.
"""
import threading
import time

from measure_server import INGEST, Server
from measure_tools import Receiver, percentile, say

GATHERING = ("retry.schedule_ms=1000,2000",)
RECOVERING = (*GATHERING, "breaker.probe_min_ms=1000", "breaker.probe_max_ms=2000")
RATE = 100
SHARE = 0.99  # heads that were tried in vain wait for their next try, which may lie after all others


class Watch:
    """Samples (seconds, waiting, MiB) of a server until it is stopped."""

    def __init__(self, server):
        self.server, self.samples, self.ended, self.began = server, [], threading.Event(), time.monotonic()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.ended.wait(0.5):
            metrics = self.server.metrics()
            self.samples.append((time.monotonic() - self.began, metrics["harbinger_deliveries_waiting"],
                                 self.server.memory_mib()))

    def stop(self):
        self.ended.set()
        self.thread.join()
        return self.samples


def fresh(scale):
    return max(scale.targets // 10, 1)


def load_fresh(tools, folder, server, scale, seconds):
    return tools.start_load(folder, server.port, INGEST, int(RATE * seconds), rate=RATE, projects=fresh(scale),
                            base=scale.targets)


def gather(tools, folder, server, scale, out, plots):
    watch = Watch(server)
    sent = tools.load(folder, server.port, INGEST, scale.backlog, projects=scale.targets)
    plots["memory"] = watch.stop()
    out["backlog_waiting"] = server.metrics()["harbinger_deliveries_waiting"]
    out["backlog_ingest"] = sent.per_second
    out["backlog_rss"] = server.memory_mib("VmHWM")
    server.stop()


def recover(tools, folder, server, receivers, well, scale, out, plots):
    """All come back; (the loads of new events, when they came back)."""
    owed = server.metrics()["harbinger_deliveries_waiting"]
    watch, done, seen = Watch(server), server.succeeded(), well.count()
    seconds = max(3, min(30, scale.backlog / 30000))  # of new events: well inside of the recovery
    back_us = time.time_ns() // 1000
    for receiver in receivers:
        receiver.say("ok")
    idle = load_fresh(tools, folder, server, scale, seconds)
    owing = tools.start_load(folder, server.port, INGEST, int(RATE * seconds), rate=RATE, projects=scale.targets)
    loads = tools.end_load(idle), tools.end_load(owing)
    well.wait_count(seen + loads[0].count)
    server.wait_succeeded(done + int((owed + 2 * RATE * seconds) * SHARE))
    plots["recovery_memory"] = watch.stop()
    out["recovery_rss"] = server.memory_mib("VmHWM")
    return loads, back_us


def longest_gap_ms(times, back_us):
    """Between the first delivery after the outage and the SHARE of them."""
    times = sorted(at_us for at_us in times if at_us >= back_us)
    times = times[:int(len(times) * SHARE)]
    return max(later - earlier for earlier, later in zip(times, times[1:])) / 1e3, times


def rate_over_time(times, back_us, bin_us=500_000):
    bins = {}
    for at_us in times:
        bins[(at_us - back_us) // bin_us] = bins.get((at_us - back_us) // bin_us, 0) + 1
    return [(number * bin_us / 1e6, bins.get(number, 0) * 1e6 / bin_us) for number in range(int(max(bins)) + 1)]


def measure_backlog(tools, folder, scale, out, plots):
    busy, down = Receiver(tools, folder, state="busy"), Receiver(tools, folder, state="down")
    well = Receiver(tools, folder)
    server = Server(tools, f"{folder}/data", GATHERING)
    half = scale.targets // 2
    server.add_webhooks([f"{(busy if number < half else down).address}t/{number}" for number in range(scale.targets)])
    server.add_webhooks([f"{well.address}t/{number}" for number in range(fresh(scale))], first=scale.targets)
    before = tools.end_load(load_fresh(tools, folder, server, scale, scale.paced_s))
    say(f"{scale.backlog:,} events for {scale.targets:,} targets that do not answer")
    gather(tools, folder, server, scale, out, plots)
    server = Server(tools, f"{folder}/data", RECOVERING)
    out["backlog_ready"] = server.ready_s
    say("all targets are back")
    (idle, owing), back_us = recover(tools, folder, server, (busy, down), well, scale, out, plots)
    server.stop()
    arrivals = well.stop()
    out["idle_p99"] = percentile(arrivals.delays_ms(before), 0.99)
    out["recovery_new_p99"] = percentile(arrivals.delays_ms(idle), 0.99)
    out["recovery_ack_p99"] = idle.p99_ms
    out["recovery_new_ratio"] = out["recovery_new_p99"] / out["idle_p99"]
    plots["recovery_new"] = over_time(idle, arrivals.first_times(idle), back_us)
    take_recovery(owing, (busy.stop(), down.stop()), back_us, out, plots)


def over_time(sent, times, back_us):
    """(seconds since the outage, ms from due to arrival) of each event."""
    return [((sent.due_of(number) - back_us) / 1e6, (at_us - sent.due_of(number)) / 1e3)
            for number, at_us in sorted(times.items())]


def take_recovery(owing, arrived, back_us, out, plots):
    times = [at_us for arrivals in arrived for at_us in arrivals.at_us]
    out["recovery_gap"], taken = longest_gap_ms(times, back_us)
    out["recovery_rate"] = len(taken) * 1e6 / max(taken[-1] - taken[0], 1)
    plots["recovery"] = rate_over_time(taken, back_us)
    late = [ms for arrivals in arrived for _, ms in over_time(owing, arrivals.first_times(owing), back_us)]
    out["recovery_owing_p99"] = percentile(late, 0.99) if late else 0.0
