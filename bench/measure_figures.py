# SPDX-License-Identifier: Apache-2.0
"""From rounds to figures: medians and spreads, the bars and whether they are met, whether the peers ran as they can."""
import statistics

# What the raw client cost, and what the peers did beside it, when they were first measured: another machine, so both are
# scaled by what the raw client costs in the run itself.
RAW_CPU_US = 4.6
PEERS_THEN = {
    "bullmq_http_drain": ("BullMQ, deliveries from a backlog", 7477),
    "registry_http_one": ("docker-registry, events while one client pushes", 420),
    "registry_http_drain": ("docker-registry, events from a backlog", 2768),
}


def spread(values):
    return {"median": statistics.median(values), "least": min(values), "greatest": max(values)}


def gather(rounds, once):
    """name -> {median, least, greatest, n} of all that was measured."""
    figures = {name: {**spread([one[name] for one in rounds]), "n": len(rounds)} for name in rounds[0]}
    figures.update({name: {**spread([value]), "n": 1} for name, value in once.items()})
    return figures


class Values:
    """Medians by name; `scale` is how much dearer the raw client is here than where the bars were set."""

    def __init__(self, figures):
        self.figures = figures
        self.scale = self["raw_http_cpu"] / RAW_CPU_US

    def __getitem__(self, name):
        return self.figures[name]["median"]

    def __contains__(self, name):
        return name in self.figures


class Bar:
    """One line of the table of promises. `value` and `limit` are functions of Values."""

    def __init__(self, label, unit, value, limit, at_least=False):
        self.label, self.unit, self.value, self.limit = label, unit, value, limit
        self.at_least = at_least


def at_most(label, unit, name, limit, scaled=False):
    return Bar(label, unit, lambda v: v[name], lambda v: limit * (v.scale if scaled else 1))


BARS = [
    at_most("CPU per delivered event, HTTP", "us", "harbinger_http_cpu", 40, scaled=True),
    at_most("CPU per delivered event, HTTPS with reuse", "us", "harbinger_https_cpu", 45, scaled=True),
    Bar("deliveries/s against BullMQ, while ingesting, HTTP", "x",
        lambda v: v["harbinger_http_flow"] / v["bullmq_http_flow"], lambda v: 3, True),
    Bar("deliveries/s against BullMQ, while ingesting, HTTPS", "x",
        lambda v: v["harbinger_https_flow"] / v["bullmq_https_flow"], lambda v: 3, True),
    Bar("deliveries/s against BullMQ, from a backlog, HTTP", "x",
        lambda v: v["harbinger_http_drain"] / v["bullmq_http_drain"], lambda v: 3, True),
    at_most("commit to receiver at 100 events/s, p99, HTTP", "ms", "harbinger_http_commit_p99", 5, scaled=True),
    at_most("commit to receiver at 100 events/s, p99, HTTPS", "ms", "harbinger_https_commit_p99", 5, scaled=True),
    Bar("acknowledgement at 100 events/s, p99, against fdatasync p50 at the same pace", "x",
        lambda v: v["harbinger_http_ack_p99"] / v["disk_paced_p50"], lambda v: 4),
    at_most("a new TLS connection, resumed, CPU", "ms", "resumed_cpu", 0.3, scaled=True),
    at_most("RSS, idle", "MiB", "rss_idle", 20),
    at_most("RSS, {backlog} waiting over {targets} targets, half of them down", "MiB", "backlog_rss", 64),
    at_most("ready after start with that backlog", "s", "backlog_ready", 1, scaled=True),
    at_most("CPU per delivery with {history} rows of history, against an empty store", "x", "history_ratio", 1.2),
    at_most("p99.9 of commit while trimming, against without", "x", "trim_ratio", 1.5),
    at_most("longest housekeeping transaction", "ms", "sweep_longest", 5),
    at_most("after an outage of all targets: longest pause between arrivals", "ms", "recovery_gap", 100),
    at_most("after an outage of all targets: RSS, greatest", "MiB", "recovery_rss", 64),
    at_most("after an outage of all targets: p99 of new events' first tries, against idle", "x", "recovery_new_ratio", 5),
]


def judge(figures, sizes):
    """[{label, unit, bar, value, met}] of all bars whose figures were measured."""
    values, rows = Values(figures), []
    for bar in BARS:
        try:
            value, limit = bar.value(values), bar.limit(values)
        except KeyError:  # its phase was not run
            continue
        rows.append({"figure": bar.label.format(**sizes), "unit": bar.unit, "bar": limit, "at_least": bar.at_least,
                     "value": value, "met": value >= limit if bar.at_least else value <= limit})
    return rows


def check_peers(figures, quick):
    """[{peer, expected, value, well}]; expected: what was measured before, at the speed of this run's machine. well:
    None in a quick run, whose few events are over before a peer runs as fast as it can."""
    values = Values(figures)
    return [{"peer": label, "expected": then / values.scale, "value": values[name],
             "well": None if quick else values[name] >= then / values.scale}
            for name, (label, then) in PEERS_THEN.items() if name in values]
