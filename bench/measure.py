#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures a release build of Harbinger beside its limit and its peers; bench/run builds what this needs and calls it.

Phases of a round, measured so often that medians mean something: limit, harbinger over HTTP and HTTPS, waiting (a
backlog of one target), bullmq, registry. Phases that are measured once: curve, history, backlog. Each has a module
measure_*.py that says what it does.
"""
import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass

from measure_backlog import measure_backlog
from measure_curve import measure_curve
from measure_figures import Values, check_peers, gather, judge
from measure_history import measure_history
from measure_plots import draw_all
from measure_report import replace_block, whole
from measure_tools import Tools, make_pki, say
from measure_work import measure_bullmq, measure_harbinger, measure_limit, measure_registry, measure_waiting


@dataclass
class Scale:
    """How much of everything; the defaults are the full run."""
    rounds: int = 5
    events: int = 100_000
    waiting: int = 50_000
    raw: int = 200_000
    resumed_events: int = 5_000
    peer_events: int = 20_000
    registry_events: int = 1_200
    paced_s: float = 7
    raw_paced_s: float = 3
    disk_s: int = 1
    curve_points: int = 11
    curve_s: float = 3
    history: int = 10_000_000
    history_events: int = 30_000
    history_pairs: int = 3
    trim_rate: int = 1000
    trim_s: float = 20
    backlog: int = 1_000_000
    targets: int = 1000


QUICK = {"rounds": 1, "events": 5000, "waiting": 5000, "raw": 20_000, "resumed_events": 500, "peer_events": 2000,
         "registry_events": 300, "paced_s": 3, "raw_paced_s": 1, "curve_points": 5, "curve_s": 1, "history": 130_000,
         "history_events": 3000, "history_pairs": 1, "trim_s": 3, "backlog": 20_000, "targets": 100}
ROUND_PHASES = {
    "limit": measure_limit,
    "http": lambda *given: measure_harbinger(*given, False),
    "https": lambda *given: measure_harbinger(*given, True),
    "waiting": measure_waiting,
    "bullmq": lambda *given: measure_bullmq(*given, False),
    "bullmq-https": lambda *given: measure_bullmq(*given, True),
    "registry": lambda *given: measure_registry(*given, False),
    "registry-https": lambda *given: measure_registry(*given, True),
}
ONCE_PHASES = {"curve": measure_curve, "history": measure_history, "backlog": measure_backlog}
INVALID = 3  # the exit code of a run whose peers were below what they can


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(re.search(r"MemTotal:\s+(\d+)", file.read()).group(1)) // 1024
    version = subprocess.run([os.environ["HARBINGER_BINARY"], "version"], stdout=subprocess.PIPE, text=True, check=True)
    return {"processor": model.group(1) if model else platform.machine(), "cores": os.cpu_count(), "memory_mib": memory,
            "kernel": platform.release(), "load_before": os.getloadavg()[0], "harbinger": version.stdout.split()[1]}


def run_phase(tools, base, name, phase, *given):
    """In a folder of its own, which goes with it: the logs of a million events are large."""
    folder = f"{base}/{name}"
    os.mkdir(folder)
    began = time.monotonic()
    phase(tools, folder, *given)
    shutil.rmtree(folder)
    say(f"{name}: {time.monotonic() - began:.0f} s")


def run_all(tools, base, scale, only):
    """(figures of each round, figures measured once, points for the plots)"""
    rounds, once, plots = [], {}, {}
    for number in range(scale.rounds):
        say(f"round {number + 1} of {scale.rounds}")
        rounds.append({})
        for name, phase in ROUND_PHASES.items():
            if not only or name in only or name == "limit":  # the limit scales the bars
                run_phase(tools, base, name, phase, scale, rounds[-1])
    for name, phase in ONCE_PHASES.items():
        if not only or name in only:
            run_phase(tools, base, name, phase, scale, once, plots)
    return rounds, once, plots


def parse():
    names = ", ".join([*ROUND_PHASES, *ONCE_PHASES])
    parser = argparse.ArgumentParser(prog="bench/run", description="Measures the release binary beside its peers.")
    parser.add_argument("--tools", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="one small round, to see that everything works")
    parser.add_argument("--rounds", type=int, help="figures are medians over so many (default 5)")
    parser.add_argument("--only", action="append", default=[], metavar="PHASE",
                        help=f"only this phase (again for more): {names}")
    parser.add_argument("--json", help="file for the figures (default build-bench/figures.json)")
    parser.add_argument("--plots", nargs="?", const="docs/images", metavar="FOLDER",
                        help="draw the plots (default docs/images)")
    parser.add_argument("--docs", action="store_true", help="put tables and plots into docs/performance.md")
    parser.add_argument("--scale", action="append", default=[], metavar="NAME=NUMBER",
                        help=f"another size: {', '.join(asdict(Scale()))}")
    return parser.parse_args()


def scale_of(arguments):
    chosen = dict(QUICK) if arguments.quick else {}
    if arguments.rounds:
        chosen["rounds"] = arguments.rounds
    for pair in arguments.scale:
        name, value = pair.split("=")
        chosen[name] = type(getattr(Scale, name))(float(value))
    return Scale(**chosen)


def expected(arguments):
    return "about 2 minutes" if arguments.quick else "about 16 minutes; let nothing else run meanwhile"


def main():
    arguments, began = parse(), time.monotonic()
    scale, host = scale_of(arguments), machine()
    arguments.tools = os.path.abspath(arguments.tools)  # Redis and others go to folders of their own
    tools = Tools(arguments.tools, make_pki(f"{arguments.tools}/pki"))
    say(f"this takes {'less than the whole' if arguments.only else expected(arguments)}")
    # Not /tmp, which may be memory: the disk is what durable means.
    base = tempfile.mkdtemp(prefix="run-", dir=arguments.tools)
    rounds, once, plots = run_all(tools, base, scale, arguments.only)
    figures = gather(rounds, once)
    sizes = {name: f"{value:,}" for name, value in asdict(scale).items()}
    result = {"machine": host, "quick": arguments.quick, "rounds": scale.rounds, "sizes": sizes,
              "seconds": time.monotonic() - began, "scale": Values(figures).scale, "figures": figures,
              "bars": judge(figures, sizes), "peers": check_peers(figures, arguments.quick), "plots": plots}
    with open(arguments.json or f"{arguments.tools}/figures.json", "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
    if arguments.plots or arguments.docs:
        draw_all(base, arguments.plots or "docs/images", plots)
    if arguments.docs:
        replace_block("docs/performance.md", "figures", whole(result))
    shutil.rmtree(base)
    print(whole(result))
    if any(row["well"] is False for row in result["peers"]):
        sys.exit(INVALID)


main()
