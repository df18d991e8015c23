# SPDX-License-Identifier: Apache-2.0
"""The benchmark's tools as objects: the load generator, the receiver, the disk; and what the system says of a process."""
import array
import json
import os
import re
import subprocess
import sys
import threading
import time

TOKEN = "token-of-the-benchmark"
BOUND_S = 900
WITH_US = ["setpriv", "--pdeathsig", "KILL"]  # however this ends, nothing is left running


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def wait_until(condition, what, bound_s=BOUND_S, pace_s=0.05):
    pace, end = threading.Event(), time.monotonic() + bound_s
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"bench: {what} did not come within {bound_s} s")
        pace.wait(pace_s)


def cpu_s(pids):
    """User and system time of all threads; the kernel's clock of a process, as clock_getcpuclockid(3) makes it."""
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def memory_mib(pid, field="VmRSS"):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(rf"{field}:\s+(\d+)", file.read()).group(1)) / 1024


def percentile(values, share):
    values = sorted(values)
    return values[min(int(len(values) * share), len(values) - 1)]


def read_triples(path):
    """Three columns of 64-bit numbers."""
    numbers = array.array("q")
    with open(path, "rb") as file:
        numbers.frombytes(file.read())
    return numbers[0::3], numbers[1::3], numbers[2::3]


class Sent:
    """What a load has said: the JSON's members, and per request when it was due, sent and answered."""

    def __init__(self, first, outcome, log):
        self.first = first
        self.count, self.failed, self.resumed = outcome["count"], outcome["failed"], outcome["resumed"]
        self.start_us, self.seconds, self.per_second = outcome["start_us"], outcome["seconds"], outcome["per_second"]
        self.p50_ms, self.p99_ms, self.cpu_us = outcome["p50_us"] / 1e3, outcome["p99_us"] / 1e3, outcome["cpu_us_each"]
        self.due_us, self.sent_us, self.answered_us = read_triples(log)

    def due_of(self, number):
        return self.due_us[number - self.first]

    def has(self, number):
        return self.first <= number < self.first + self.count


class Arrivals:
    """What a receiver has answered with 200: in their order number, seq, time."""

    def __init__(self, log):
        self.numbers, self.seqs, self.at_us = read_triples(log)

    def __len__(self):
        return len(self.numbers)

    def first_times(self, sent):
        """number -> time of its first arrival, for the requests of a load."""
        times = {}
        for number, at_us in zip(self.numbers, self.at_us):
            if sent.has(number):
                times.setdefault(number, at_us)
        return times

    def delays_ms(self, sent):
        """From when each request was due to its arrival: what waits in front of a busy client counts, too."""
        times = self.first_times(sent)
        if len(times) != sent.count:
            sys.exit(f"bench: {sent.count - len(times)} of {sent.count} events have not arrived")
        return [(at_us - sent.due_of(number)) / 1e3 for number, at_us in times.items()]

    def per_second(self, sent, share=1.0):
        """From the first to the last of the first `share` of arrivals."""
        times = sorted(self.first_times(sent).values())
        last = int((len(times) - 1) * share)
        return last * 1e6 / max(times[last] - times[0], 1)


class Tools:
    def __init__(self, folder, pki):
        self.folder, self.pki, self.logs, self.next_number = folder, pki, 0, 0

    def new_log(self, folder):
        self.logs += 1
        return f"{folder}/log-{self.logs}"

    def start_load(self, folder, port, path, count, rate=0, connections=32, projects=1, base=0, tls=False, close=False,
                   manifest=None):
        """Begins a load; end_load waits for it. The numbers of its requests are nobody else's."""
        first, log = self.next_number + -self.next_number % projects, self.new_log(folder)
        self.next_number = first + count
        command = [*WITH_US, f"{self.folder}/load", "--to", port, "--path", path, "--token", TOKEN, "--count", count,
                   "--rate", rate, "--connections", connections, "--projects", projects, "--base", base, "--first", first,
                   "--log", log]
        command += ["--ca", f"{self.pki}/ca.pem"] if tls else []
        command += ["--close"] if close else []
        command += ["--manifest", manifest] if manifest else []
        process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)
        return process, first, log

    @staticmethod
    def end_load(started):
        process, first, log = started
        try:
            outcome, _ = process.communicate(timeout=BOUND_S)
        except subprocess.TimeoutExpired:
            sys.exit(f"bench: a load was not answered within {BOUND_S} s")
        if process.returncode != 0:
            sys.exit(f"bench: a load failed: {outcome or process.returncode}")
        return Sent(first, json.loads(outcome), log)

    def load(self, folder, port, path, count, **options):
        return self.end_load(self.start_load(folder, port, path, count, **options))

    def disk(self, folder, size, seconds=1, rate=0):
        command = [f"{self.folder}/disk", f"{folder}/disk", str(size), str(seconds), str(rate)]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


class Receiver:
    def __init__(self, tools, folder, tls=False, close=False, state="ok"):
        self.log, self.tls = tools.new_log(folder), tls
        command = [*WITH_US, f"{tools.folder}/receiver", self.log, "--state", state]
        command += ["--cert", f"{tools.pki}/server.pem", "--key", f"{tools.pki}/server.key"] if tls else []
        command += ["--close"] if close else []
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[1])
        self.address = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/"

    def say(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return [int(word) for word in self.process.stdout.readline().split()]

    def count(self):
        return self.say("count")[0]

    def resumed(self):
        return self.say("count")[1]

    def wait_count(self, count, bound_s=BOUND_S):
        wait_until(lambda: self.count() >= count, f"delivery {count} at the receiver", bound_s)

    def stop(self):
        self.process.stdin.close()
        if self.process.wait() != 0:
            sys.exit("bench: a receiver did not end well")
        return Arrivals(self.log)


def make_pki(folder):
    """An authority and a certificate of it for 127.0.0.1, on P-256."""
    os.makedirs(folder, exist_ok=True)
    if os.path.exists(f"{folder}/done"):
        return folder
    with open(f"{folder}/extensions", "w", encoding="ascii") as file:
        file.write("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    for command in (
            ["req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=bench authority", "-days", "3650"],
            ["req", "-new", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=bench"],
            ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "3650",
             "-extfile", "extensions", "-out", "server.pem"]):
        subprocess.run(["openssl", *command], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(f"{folder}/done", "w", encoding="ascii"):
        pass
    return folder
