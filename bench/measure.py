#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures a release build of Harbinger; bench/run builds what this needs and calls it.

One round:
  raw       our load generator against our receiver, with nothing between them; appends with fdatasync
  idle      resident memory of a server that has delivered 100 events
  latency   100 events a second for 20 seconds
  flow      N events over 32 connections, delivered meanwhile: events and deliveries a second, processor time each
  waiting   N events while the receiver answers 503: commits a second, resident memory with all of them waiting
  drain     the receiver answers 200 again: deliveries a second
A figure is the median over the rounds; beside it stand the least and the greatest.
"""
import argparse
import base64
import http.client
import json
import os
import platform
import re
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time

CONNECTIONS = 32
LATENCY_RATE, LATENCY_EVENTS = 100, 2000
PASSWORD, TOKEN = "Bench-12345", "token-of-the-benchmark"
BOUND_S = 600
WITH_US = ["setpriv", "--pdeathsig", "KILL"]  # however this ends, nothing is left running
TICKS = os.sysconf("SC_CLK_TCK")


class Tools:
    def __init__(self, folder):
        self.folder = folder

    def load(self, port, path, connections, count, rate=0, log=None):
        command = [f"{self.folder}/load", "127.0.0.1", str(port), path, TOKEN, "bench", str(connections), str(count),
                   str(rate)] + ([log] if log else [])
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)

    def disk(self, file, size):
        command = [f"{self.folder}/disk", file, str(size), "2"]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


class Receiver:
    def __init__(self, tools, log):
        self.log = log
        self.process = subprocess.Popen([*WITH_US, f"{tools.folder}/receiver", log], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[1])

    def busy(self, busy):
        self.process.send_signal(signal.SIGUSR1 if busy else signal.SIGUSR2)

    def stop(self):
        """Ends it; its (seq, number, arrived_us)."""
        self.process.terminate()
        self.process.wait()
        with open(self.log, encoding="ascii") as file:
            return [tuple(map(int, line.split())) for line in file]


class Server:
    def __init__(self, folder):
        self.data = f"{folder}/data"
        env = {**{key: value for key, value in os.environ.items() if not key.startswith("HARBINGER_")},
               "HARBINGER_ADMIN_PASSWORD": PASSWORD}
        command = [*WITH_US, os.environ["HARBINGER_BINARY"], "serve", "--data", self.data, "--listen", "127.0.0.1:0",
                   "--egress-allow", "127.0.0.0/8", "--set", f"ingest.token={TOKEN}", "--set", "metrics.open=true",
                   "--set", "log.level=warn", "--set", "breaker.failures=10000"]
        with open(f"{folder}/server.log", "wb") as log:
            self.process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("harbinger ready "):
            sys.exit(f"measure: the server did not start; its words are in {folder}/server.log")
        self.port = int(line.rsplit(":", 1)[1])

    def request(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        credentials = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
        connection.request(method, path, body=json.dumps(body) if body else None,
                           headers={"Authorization": f"Basic {credentials}", "Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        if answer.status >= 300:
            sys.exit(f"measure: {method} {path} was answered {answer.status}: {text}")
        return text

    def set_up(self, receiver):
        self.request("POST", "/api/v2.0/projects", {"project_name": "bench"})
        self.request("POST", "/api/v2.0/projects/bench/webhook/policies", {
            "name": "bench", "enabled": True, "event_types": ["PUSH_ARTIFACT"],
            "targets": [{"type": "http", "address": f"http://127.0.0.1:{receiver.port}/"}]})

    def succeeded(self):
        text = self.request("GET", "/metrics")
        found = re.search(r'^harbinger_deliveries_total\{outcome="succeeded"\} (\d+)', text, re.MULTILINE)
        return int(found.group(1)) if found else 0

    def wait_succeeded(self, count):
        pace, end = threading.Event(), time.monotonic() + BOUND_S
        while self.succeeded() < count:
            if time.monotonic() > end or self.process.poll() is not None:
                sys.exit(f"measure: {self.succeeded()} deliveries after {BOUND_S} s, not {count}")
            pace.wait(0.1)

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_mib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) / 1024

    def recorded(self):
        """seq -> microseconds at which the writer put the event into its transaction."""
        with sqlite3.connect(f"file:{self.data}/harbinger.db?mode=ro", uri=True) as store:
            return dict(store.execute("SELECT seq, recorded_us FROM event"))

    def stop(self):
        self.process.terminate()
        if self.process.wait() != 0:
            sys.exit("measure: the server did not end well")


def percentiles(values):
    values = sorted(values)
    return values[len(values) // 2], values[len(values) * 99 // 100]


def per_second(arrivals, share=1.0):
    """Over the first `share` of them."""
    times = sorted(at for _, _, at in arrivals)
    last = int((len(times) - 1) * share)
    return last * 1e6 / (times[last] - times[0])


def measure_raw(tools, folder, events, out):
    receiver = Receiver(tools, f"{folder}/raw.log")
    for connections in (CONNECTIONS, 8):
        result = tools.load(receiver.port, "/", connections, events)
        out[f"raw HTTP, {connections} connections (requests/s)"] = result["per_second"]
        out[f"raw HTTP, {connections} connections: client's CPU (us/request)"] = result["cpu_us_each"]
    receiver.stop()
    for size in (1024, 32 * 1024):
        result = tools.disk(f"{folder}/disk", size)
        out[f"raw append of {size // 1024} KiB + fdatasync (/s)"] = result["per_second"]


def measure_latency(tools, folder, out):
    receiver = Receiver(tools, f"{folder}/latency.log")
    server = Server(folder)
    server.set_up(receiver)
    tools.load(server.port, "/ingest/distribution", CONNECTIONS, 100)
    server.wait_succeeded(100)
    out["RSS idle (MiB)"] = server.resident_mib()
    log = f"{folder}/load.log"
    answer = tools.load(server.port, "/ingest/distribution", CONNECTIONS, LATENCY_EVENTS, LATENCY_RATE, log)
    server.wait_succeeded(100 + LATENCY_EVENTS)
    arrivals = receiver.stop()[100:]
    recorded = server.recorded()
    server.stop()
    with open(log, encoding="ascii") as file:
        sent = {int(number): int(at) for number, at, _ in map(str.split, file)}
    assert len(arrivals) == LATENCY_EVENTS
    p50, p99 = percentiles([at - recorded[seq] for seq, _, at in arrivals])
    out["commit to receiver at 100/s, p50 (ms)"], out["commit to receiver at 100/s, p99 (ms)"] = p50 / 1e3, p99 / 1e3
    p50, p99 = percentiles([at - sent[number] for _, number, at in arrivals])
    out["request to receiver at 100/s, p50 (ms)"], out["request to receiver at 100/s, p99 (ms)"] = p50 / 1e3, p99 / 1e3
    out["ingest answer at 100/s, p50 (ms)"], out["ingest answer at 100/s, p99 (ms)"] = (answer["p50_us"] / 1e3,
                                                                                       answer["p99_us"] / 1e3)


def measure_flow(tools, folder, events, out):
    receiver = Receiver(tools, f"{folder}/flow.log")
    server = Server(folder)
    server.set_up(receiver)
    cpu_s = server.cpu_s()
    result = tools.load(server.port, "/ingest/distribution", CONNECTIONS, events)
    server.wait_succeeded(events)
    # The counter moves when the attempt is committed: nothing is left to be done for these events.
    out["CPU per delivery, ingest byte to committed attempt (us)"] = (server.cpu_s() - cpu_s) * 1e6 / events
    out["durable ingest while delivering (events/s)"] = result["per_second"]
    server.stop()
    arrivals = receiver.stop()
    assert len({seq for seq, _, _ in arrivals}) == events
    out["deliveries while ingesting, start to end (/s)"] = per_second(arrivals)
    out["delivered more than once"] = len(arrivals) - events


def measure_waiting(tools, folder, events, out):
    receiver = Receiver(tools, f"{folder}/waiting.log")
    receiver.busy(True)
    server = Server(folder)
    server.set_up(receiver)
    result = tools.load(server.port, "/ingest/distribution", CONNECTIONS, events)
    out["durable ingest alone (events/s)"] = result["per_second"]
    out["ingest answer, 32 at once, p99 (ms)"] = result["p99_us"] / 1e3
    out[f"RSS with {events} waiting (MiB)"] = server.resident_mib()
    receiver.busy(False)
    server.wait_succeeded(events)
    server.stop()
    arrivals = receiver.stop()
    assert len({seq for seq, _, _ in arrivals}) == events
    # The few that were answered 503 wait for their next try, which may lie after all others: they are no matter of speed.
    out["deliveries alone, one target (/s)"] = per_second(arrivals, 0.99)


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(re.search(r"MemTotal:\s+(\d+)", file.read()).group(1)) // 1024
    return {"processor": model.group(1) if model else platform.machine(), "cores": os.cpu_count(), "memory_mib": memory,
            "kernel": platform.release(), "load_before": os.getloadavg()[0],
            "harbinger": subprocess.run([os.environ["HARBINGER_BINARY"], "version"], stdout=subprocess.PIPE, text=True,
                                        check=True).stdout.split()[1]}


def main():
    parser = argparse.ArgumentParser(prog="bench/run", description="Measures the release binary.")
    parser.add_argument("--tools", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--events", type=int, default=100_000, help="per phase (default 100000)")
    parser.add_argument("--rounds", type=int, default=3, help="figures are medians over so many (default 3)")
    parser.add_argument("--json", default=None, help="file for the figures (default build-bench/figures.json)")
    arguments = parser.parse_args()
    tools, rounds, began = Tools(arguments.tools), [], time.monotonic()
    host = machine()
    # Not /tmp, which may be memory: the disk is what durable means.
    for number in range(arguments.rounds):
        out = {}
        base = tempfile.mkdtemp(prefix="round-", dir=arguments.tools)
        for name, phase in (("raw", measure_raw), ("flow", measure_flow), ("waiting", measure_waiting)):
            os.mkdir(f"{base}/{name}")
            print(f"round {number + 1} of {arguments.rounds}: {name}", file=sys.stderr, flush=True)
            phase(tools, f"{base}/{name}", arguments.events, out)
        os.mkdir(f"{base}/latency")
        print(f"round {number + 1} of {arguments.rounds}: latency", file=sys.stderr, flush=True)
        measure_latency(tools, f"{base}/latency", out)
        shutil.rmtree(base)
        rounds.append(out)
    seconds = time.monotonic() - began
    figures = {name: {"median": statistics.median(one[name] for one in rounds), "least": min(one[name] for one in rounds),
                      "greatest": max(one[name] for one in rounds)} for name in rounds[0]}
    with open(arguments.json or f"{arguments.tools}/figures.json", "w", encoding="utf-8") as file:
        json.dump({"machine": host, "events": arguments.events, "rounds": arguments.rounds, "seconds": round(seconds),
                   "figures": figures}, file, indent=1)
    print(f"{host['processor']}, {host['cores']} cores, {host['memory_mib']} MiB, Linux {host['kernel']}, "
          f"Harbinger {host['harbinger']}; {arguments.rounds} rounds of {arguments.events} events in {seconds:.0f} s; "
          f"load average before {host['load_before']:.1f}\n")
    print("| figure | median | least | greatest |\n| --- | ---: | ---: | ---: |")
    for name, values in figures.items():
        cells = " | ".join(f"{values[key]:,.0f}" if abs(values[key]) >= 100 or values[key] == int(values[key])
                           else f"{values[key]:.2f}" for key in ("median", "least", "greatest"))
        print(f"| {name} | {cells} |")


main()
