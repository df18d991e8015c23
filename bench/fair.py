#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Does a healthy target wait for those that are not? bench/fair builds what this needs and calls it.

Each target has a project and a webhook of its own; events come to all of them in turn on a fixed schedule, and the time
from when an event was due to its arrival counts. A pair is a run with the healthy targets alone and one in which the
others are there as well and get their events on top, on a schedule of their own; each run begins with the same store and
a new server. Pairs are interleaved, the order changes from pair to pair, and medians of the p99s are compared.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from measure_report import replace_block
from measure_server import INGEST, Server
from measure_tools import Receiver, Tools, WITH_US, make_pki, percentile, say

WARM_S = 1
BAD = ("unreachable", "silent", "trickle", "reset", "limited", "name")
DEAD = ("unreachable", "refused", "silent", "name")


class Trouble:
    """Receivers as they should not be, and a name server that does not answer."""

    def __init__(self, tools, folder):
        self.process = subprocess.Popen([*WITH_US, f"{tools.folder}/trouble"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.ports = dict(word.split("=") for word in self.process.stdout.readline().split()[1:])
        self.refused = Receiver(tools, folder, state="down")

    def address(self, kind, number):
        if kind == "name":
            return f"http://dead-{number}.example.com/"
        port = self.refused.port if kind == "refused" else self.ports[kind]
        return f"http://127.0.0.1:{port}/t/{number}"

    def stop(self):
        self.process.stdin.close()
        self.process.wait()
        self.refused.stop()


class Ground:
    """A store with all targets, copied for each run, and the receiver of the healthy ones."""

    def __init__(self, tools, folder, targets, share, kinds):
        self.tools, self.folder, self.runs = tools, folder, 0
        os.mkdir(folder)
        self.bad = max(int(targets * share), 1)
        self.well = targets - self.bad
        self.share = share
        self.receiver, self.trouble = Receiver(tools, folder), Trouble(tools, folder)
        self.settings = (f"resolver.servers=127.0.0.1:{self.trouble.ports['names']}",)
        server = Server(tools, f"{folder}/ground", self.settings)
        server.add_webhooks([f"{self.receiver.address}t/{number}" for number in range(self.well)])
        server.add_webhooks([self.trouble.address(kinds[number % len(kinds)], number) for number in range(self.bad)],
                            first=self.well)
        server.stop()

    def new_server(self):
        self.runs += 1
        data = f"{self.folder}/run-{self.runs}"
        shutil.copytree(f"{self.folder}/ground", data, ignore=shutil.ignore_patterns("*.sock"))
        return Server(self.tools, data, self.settings)

    def end(self, server):
        """At once: a server that stops by itself would first wait for those who do not answer."""
        server.connection.close()
        server.process.kill()
        server.process.wait()
        shutil.rmtree(server.data)

    def greatest_rate(self, events):
        """Deliveries a second of the healthy alone, as fast as events are taken."""
        server = self.new_server()
        self.tools.load(self.folder, server.port, INGEST, self.well, projects=self.well)
        before, began = self.receiver.count(), time.monotonic()
        self.tools.load(self.folder, server.port, INGEST, events, projects=self.well)
        self.receiver.wait_count(before + events)
        rate = events / (time.monotonic() - began)
        self.end(server)
        return rate

    def run(self, rate, seconds, with_bad):
        """What was sent to the healthy."""
        server, tools = self.new_server(), self.tools
        before, well_rate = self.receiver.count(), max(int(rate * (1 - self.share)), 1)
        bad_rate = max(int(rate * self.share), 1)
        others = tools.start_load(self.folder, server.port, INGEST, int(bad_rate * (seconds + WARM_S)), rate=bad_rate,
                                  projects=self.bad, base=self.well) if with_bad else None
        warm = tools.load(self.folder, server.port, INGEST, max(int(well_rate * WARM_S), 1), rate=well_rate,
                          projects=self.well)
        sent = tools.load(self.folder, server.port, INGEST, int(well_rate * seconds), rate=well_rate, projects=self.well)
        self.receiver.wait_count(before + warm.count + sent.count, 120)
        if others:
            tools.end_load(others)
        self.end(server)
        return sent

    def stop(self):
        self.trouble.stop()
        return self.receiver.stop()


def measure(tools, base, name, targets, share, kinds, options):
    """One row for each rate."""
    say(f"{name}: making {targets:,} webhooks")
    ground = Ground(tools, f"{base}/{name}", targets, share, kinds)
    greatest = ground.greatest_rate(options.events)
    say(f"{name}: {greatest:,.0f} deliveries a second at most")
    runs = []
    for part in (2, 10):
        for pair in range(options.pairs):
            order = (False, True) if pair % 2 == 0 else (True, False)
            sent = {with_bad: ground.run(greatest / part, options.seconds, with_bad) for with_bad in order}
            runs.append((part, sent))
        say(f"{name}: {options.pairs} pairs at 1/{part} of that rate")
    arrivals = ground.stop()
    return [judge(name, targets, share, greatest, part, arrivals,
                  [sent for at, sent in runs if at == part], options) for part in (2, 10)]


def judge(name, targets, share, greatest, part, arrivals, pairs, options):
    p99 = {with_bad: [percentile(arrivals.delays_ms(sent[with_bad]), 0.99) for sent in pairs] for with_bad in (False, True)}
    without, with_bad = statistics.median(p99[False]), statistics.median(p99[True])
    limit = max(2 * without, without + 1) if options.guard else max(1.1 * without, without + 1)
    return {"name": name, "targets": targets, "bad": share, "rate": greatest / part, "part": part, "without_ms": without,
            "with_ms": with_bad, "limit_ms": limit, "met": with_bad <= limit, "p99_without_ms": p99[False],
            "p99_with_ms": p99[True]}


def table(rows):
    lines = ["| targets | not healthy | events/s | p99 of the healthy without (ms) | with (ms) | at most | |",
             "| ---: | ---: | ---: | ---: | ---: | ---: | --- |"]
    for row in rows:
        lines.append(f"| {row['targets']:,} | {row['bad']:.0%} | {row['rate']:,.0f} (1/{row['part']} of the greatest) | "
                     f"{row['without_ms']:.2f} | {row['with_ms']:.2f} | {row['limit_ms']:.2f} | "
                     f"{'met' if row['met'] else '**missed**'} |")
    return "\n".join(lines)


def parse():
    parser = argparse.ArgumentParser(prog="bench/fair", description="Measures whether healthy targets wait for others.")
    parser.add_argument("--tools", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="small, to see that everything works")
    parser.add_argument("--guard", action="store_true", help="the coarse bar: no more than twice the p99, or 1 ms")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8, help="of each run (default 8)")
    parser.add_argument("--events", type=int, default=50_000, help="to find the greatest rate (default 50000)")
    parser.add_argument("--targets", type=int, action="append", help="only this many, a tenth of them bad")
    parser.add_argument("--docs", action="store_true", help="put the table into docs/performance.md")
    parser.add_argument("--json", help="file for the figures (default build-bench/fair.json)")
    options = parser.parse_args()
    if options.quick:
        options.pairs, options.seconds, options.events = 1, 3, 3000
    return options


def main():
    options = parse()
    tools = Tools(os.path.abspath(options.tools), make_pki(os.path.abspath(f"{options.tools}/pki")))
    cases = [("bad", 100 if options.quick else 1000, 0.1, BAD), ("dead", 300 if options.quick else 10_000, 0.01, DEAD)]
    if options.targets:
        cases = [(f"bad-{targets}", targets, 0.1, BAD) for targets in options.targets]
    seconds = len(cases) * 2 * options.pairs * 2 * (options.seconds + WARM_S + 2) + sum(case[1] for case in cases) * 0.006
    say(f"this takes about {max(seconds / 60, 1):.0f} minutes; let nothing else run meanwhile")
    base = tempfile.mkdtemp(prefix="fair-", dir=tools.folder)
    rows = [row for case in cases for row in measure(tools, base, *case, options)]
    shutil.rmtree(base)
    with open(options.json or f"{tools.folder}/fair.json", "w", encoding="utf-8") as file:
        json.dump(rows, file, indent=1)
    print(table(rows))
    if options.docs:
        note = "A **quick** run, only to show that everything works: its figures mean nothing.\n\n" if options.quick else ""
        replace_block("docs/performance.md", "fairness", note + table(rows))
    if not all(row["met"] for row in rows):
        sys.exit(1)


main()
