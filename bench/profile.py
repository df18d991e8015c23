# SPDX-License-Identifier: Apache-2.0
"""bench/profile: samples of perf, by thread and by the outermost function of ours that tells what was being done."""
import argparse
import collections
import subprocess
import tempfile

import measure_report
from measure_server import INGEST, Server
from measure_tools import Receiver, Tools, cpu_s, make_pki

# The first row of a thread whose name is in a sample's call chain, from the top, takes the sample.
PARTS = {
    "writer": (
        ("the log: write and fsync", ("fdatasync", "fsync", "wal_sync")),
        ("checkpoint", ("writer_checkpoint", "mover_main")),
        ("COMMIT: pages and their checksums", ("sqlite3PagerCommitPhaseOne", "sqlite3WalFrames", "commit", "known_flush")),
        ("the catalogue", ("catalogue_push", "catalogue_place")),
        ("keys of duplicates", ("seen_find", "seen_add", "seen_key")),
        ("attempts recorded (delivery, attempt, body)", ("delivery_record", "apply_record")),
        ("JSON of the event", ("event_write_json",)),
        ("the rows of event and delivery", ("event_commit",)),
        ("telling the others", ("publish", "tell")),
    ),
    "serve": (
        ("JSON of the notification", ("distribution_read",)),
        ("answers written", ("http_respond", "conn_write")),
        ("reading the sockets", ("conn_read",)),
    ),
    "send": (
        ("the body (JSON)", ("format_render",)),
        ("requests written", ("call_write_head",)),
        ("answers read and judged", ("call_exchange_ready",)),
        ("lanes and starts", ("on_pump", "sender_start")),
        ("after the commit", ("loop_run_tasks",)),
    ),
}
REST = "waiting, waking, the rest"


def part_of(thread, chain):
    for name, functions in PARTS.get(thread, ()):
        if any(function in functions for function in chain):
            return name
    return REST


def samples(data):
    """(thread, functions from the top, whether in the kernel) of each."""
    text = subprocess.run(["perf", "script", "--no-inline", "-i", data, "-F", "comm,ip,sym,dso"], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=True).stdout
    for block in text.split("\n\n"):
        lines = block.strip().splitlines()
        if len(lines) < 2:
            continue
        frames = [line.split(None, 1)[1] if " " in line.strip() else "" for line in map(str.strip, lines[1:])]
        yield lines[0].strip(), [frame.rsplit(" (", 1)[0].split(".")[0] for frame in frames], "kernel" in frames[0]


def table(data, each_us):
    """A line per part; microseconds a delivery, of them in the kernel."""
    all_of, kernel_of, count = collections.Counter(), collections.Counter(), 0
    for thread, chain, kernel in samples(data):
        key = (thread, part_of(thread, chain))
        all_of[key] += 1
        kernel_of[key] += kernel
        count += 1
    lines = ["| thread | part | us | of them in the kernel |", "| --- | --- | ---: | ---: |"]
    threads = collections.Counter()
    for (thread, _), number in all_of.items():
        threads[thread] += number
    for thread, total in threads.most_common():
        lines.append(f"| **{thread}** | | **{total / count * each_us:.1f}** | |")
        for (of, part), number in all_of.most_common():
            if of == thread and number * 500 >= count:
                lines.append(f"| | {part} | {number / count * each_us:.1f} | {kernel_of[of, part] / count * each_us:.1f} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tools", required=True)
    parser.add_argument("--events", type=int, default=40000)
    parser.add_argument("--docs", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="harbinger-profile-") as folder:
        tools = Tools(arguments.tools, make_pki(f"{arguments.tools}/pki"))
        receiver = Receiver(tools, folder)
        raw_us = tools.load(folder, receiver.port, "/", arguments.events, connections=8).cpu_us
        server = Server(tools, f"{folder}/data")
        server.add_webhooks([f"http://127.0.0.1:{receiver.port}/"])
        began = cpu_s(server.pids())
        perf = subprocess.Popen(["perf", "record", "-q", "-F", "499", "--call-graph", "dwarf,8192", "-p", str(server.process.pid), "-o",
                                 f"{folder}/perf.data"])
        tools.load(folder, server.port, INGEST, arguments.events)
        server.wait_succeeded(arguments.events)
        each_us = (cpu_s(server.pids()) - began) / arguments.events * 1e6
        perf.terminate()
        perf.wait()
        text = (f"{arguments.events:,} events over HTTP: {each_us:.1f} us a delivery, the sampling included; the raw client "
                f"{raw_us:.2f} us.\n\n{table(f'{folder}/perf.data', each_us)}\n")
        server.stop()
        receiver.stop()
    print(text)
    if arguments.docs:
        measure_report.replace_block("docs/performance.md", "profile", text)


if __name__ == "__main__":
    main()
