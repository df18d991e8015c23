# SPDX-License-Identifier: Apache-2.0
"""The same work for all: events of 1 KB, one a request, over 32 connections, to one target.

paced   100 events a second: how long from when an event was due to its arrival at the receiver, and to its answer
flow    as fast as they are answered, delivered meanwhile: deliveries a second, processor time of each
drain   from a backlog: deliveries a second
"""
import os
import sqlite3

import measure_tools
from measure_peers import BullMq, Registry
from measure_server import INGEST, Server
from measure_tools import Receiver, percentile

PACED_RATE = 100
RESUMED_RATE = 1000  # below what either way of connecting can do


class Harbinger(Server):
    """The server with one webhook, under the interface of the peers."""
    name, path, manifest = "harbinger", INGEST, None

    def __init__(self, tools, folder, receiver):
        super().__init__(tools, f"{folder}/data")
        self.add_webhooks([receiver.address])

    def wait_done(self, count):
        self.wait_succeeded(count)

    def recorded(self):
        """seq -> microseconds at which the writer put the event into its transaction."""
        with sqlite3.connect(f"file:{self.data}/harbinger.db?mode=ro", uri=True) as store:
            return dict(store.execute("SELECT seq, recorded_us FROM event"))


def paced(tools, folder, subject, receiver, seconds, rate=PACED_RATE):
    return tools.load(folder, subject.port, subject.path, max(int(rate * seconds), 20), rate=rate, manifest=subject.manifest)


def flow(tools, folder, subject, receiver, events, connections=32):
    """(what was sent, CPU in us of each)."""
    before, cpu_s = receiver.count(), measure_tools.cpu_s(subject.pids())
    done = subject.succeeded() if isinstance(subject, Harbinger) else 0
    sent = tools.load(folder, subject.port, subject.path, events, connections=connections, manifest=subject.manifest)
    receiver.wait_count(before + events)
    subject.wait_done(done + events)
    return sent, (measure_tools.cpu_s(subject.pids()) - cpu_s) * 1e6 / events


def measure_harbinger(tools, folder, scale, out, tls):
    key = "harbinger_https" if tls else "harbinger_http"
    receiver = Receiver(tools, folder, tls=tls)
    server = Harbinger(tools, folder, receiver)
    warm = flow(tools, folder, server, receiver, 100)[0]
    if not tls:
        out["rss_idle"] = server.memory_mib()
    slow = paced(tools, folder, server, receiver, scale.paced_s)
    receiver.wait_count(warm.count + slow.count)
    fast, out[f"{key}_cpu"] = flow(tools, folder, server, receiver, scale.events)
    recorded = server.recorded()
    if tls:
        measure_resumed(tools, folder, server, receiver, scale, out)
    else:
        out["harbinger_http_ack_rush"] = slow.p99_ms / out["disk_1k_p50"]
    server.stop()
    arrivals = receiver.stop()
    take_paced(key, slow, arrivals, out)
    out[f"{key}_ack_p50"], out[f"{key}_ack_p99"] = slow.p50_ms, slow.p99_ms
    commits = [(at_us - recorded[seq]) / 1e3 for number, seq, at_us in
               zip(arrivals.numbers, arrivals.seqs, arrivals.at_us) if slow.has(number)]
    out[f"{key}_commit_p50"], out[f"{key}_commit_p99"] = percentile(commits, 0.5), percentile(commits, 0.99)
    out[f"{key}_flow"], out[f"{key}_ingest"] = arrivals.per_second(fast), fast.per_second
    out[f"{key}_twice"] = len(arrivals) - len(set(arrivals.numbers))


def cpu_of_each(tools, folder, server, receiver, events, project):
    """Microseconds of an event at a pace that leaves nothing waiting, in which all have the same company."""
    arrived, done, cpu_s = receiver.count(), server.succeeded(), measure_tools.cpu_s(server.pids())
    tools.load(folder, server.port, INGEST, events, rate=RESUMED_RATE, base=project)
    receiver.wait_count(arrived + events)
    server.wait_succeeded(done + events)
    return (measure_tools.cpu_s(server.pids()) - cpu_s) * 1e6 / events


def measure_resumed(tools, folder, server, receiver, scale, out):
    """What a delivery costs over a new, resumed connection each, less what it costs over one that is kept, both at one
    pace: how many events share a commit depends on it, and that is no cost of a connection."""
    closing = Receiver(tools, folder, tls=True, close=True)
    server.add_webhooks([closing.address], first=1)
    kept_us = cpu_of_each(tools, folder, server, receiver, scale.resumed_events, 0)
    new_us = cpu_of_each(tools, folder, server, closing, scale.resumed_events, 1)
    out["resumed_share"] = closing.resumed() / scale.resumed_events
    out["resumed_cpu"] = (new_us - kept_us) / 1e3
    closing.stop()


def measure_waiting(tools, folder, scale, out):
    """One target answers 503 while the events come, then 200."""
    receiver = Receiver(tools, folder, state="busy")
    server = Harbinger(tools, folder, receiver)
    sent = tools.load(folder, server.port, INGEST, scale.waiting)
    out["ingest_alone"], out["ingest_alone_p99"] = sent.per_second, sent.p99_ms
    out["rss_waiting"] = server.memory_mib()
    receiver.say("ok")
    server.wait_succeeded(scale.waiting)
    server.stop()
    # The few that were answered 503 wait for their next try, which may lie after all others: no matter of speed.
    out["harbinger_http_drain"] = receiver.stop().per_second(sent, 0.99)


def take_paced(key, sent, arrivals, out):
    delays = arrivals.delays_ms(sent)
    out[f"{key}_p50"], out[f"{key}_p99"] = percentile(delays, 0.5), percentile(delays, 0.99)


def measure_bullmq(tools, folder, scale, out, tls):
    key = "bullmq_https" if tls else "bullmq_http"
    os.makedirs(f"{folder}/peer")
    receiver = Receiver(tools, folder, tls=tls)
    peer = BullMq(tools, f"{folder}/peer", receiver)
    flow(tools, folder, peer, receiver, scale.peer_events // 10)  # its compiler wants to be warm
    before = receiver.count()
    slow = paced(tools, folder, peer, receiver, scale.paced_s)
    receiver.wait_count(before + slow.count)
    fast, out[f"{key}_cpu"] = flow(tools, folder, peer, receiver, scale.peer_events)
    out[f"{key}_rss"] = peer.memory_mib()
    backlog = None
    if not tls:
        peer.stop_worker()
        backlog = tools.load(folder, peer.port, peer.path, scale.peer_events)
        peer.start_worker()
        receiver.wait_count(before + slow.count + fast.count + backlog.count)
    peer.stop()
    arrivals = receiver.stop()
    take_paced(key, slow, arrivals, out)
    out[f"{key}_ack_p99"], out[f"{key}_flow"] = slow.p99_ms, arrivals.per_second(fast)
    if backlog:
        out[f"{key}_drain"] = arrivals.per_second(backlog)


def measure_registry(tools, folder, scale, out, tls):
    key = "registry_https" if tls else "registry_http"
    receiver = Receiver(tools, folder, tls=tls)
    peer = Registry(tools, f"{folder}/peer", receiver)
    flow(tools, folder, peer, receiver, 50, connections=1)
    before = receiver.count()
    slow = paced(tools, folder, peer, receiver, scale.paced_s)
    receiver.wait_count(before + slow.count)
    alone = None if tls else flow(tools, folder, peer, receiver, scale.registry_events // 3, connections=1)[0]
    fast, out[f"{key}_cpu"] = flow(tools, folder, peer, receiver, scale.registry_events)
    out[f"{key}_rss"] = peer.memory_mib()
    backlog = None
    if not tls:
        before = receiver.count()
        receiver.say("down")
        backlog = tools.load(folder, peer.port, peer.path, scale.registry_events, manifest=peer.manifest)
        receiver.say("ok")
        receiver.wait_count(before + backlog.count)
    peer.stop()
    arrivals = receiver.stop()
    take_paced(key, slow, arrivals, out)
    out[f"{key}_ack_p99"], out[f"{key}_flow"] = slow.p99_ms, arrivals.per_second(fast)
    if backlog:
        out[f"{key}_one"], out[f"{key}_drain"] = arrivals.per_second(alone), arrivals.per_second(backlog)


def measure_limit(tools, folder, scale, out):
    """The raw client against the receiver with nothing between them, and the disk with nothing on it but appends."""
    for key, tls, close, count in (("raw_http", False, False, scale.raw), ("raw_https", True, False, scale.raw),
                                   ("raw_resumed", True, True, scale.resumed_events)):
        receiver = Receiver(tools, folder, tls=tls, close=close)
        tools.load(folder, receiver.port, "/", max(count // 10, 64), tls=tls, close=close)
        sent = tools.load(folder, receiver.port, "/", count, tls=tls, close=close)
        out[f"{key}_flow"], out[f"{key}_cpu"] = sent.per_second, sent.cpu_us
        if not close:
            slow = tools.load(folder, receiver.port, "/", int(PACED_RATE * scale.raw_paced_s), tls=tls, rate=PACED_RATE)
        arrivals = receiver.stop()
        if not close:
            take_paced(key, slow, arrivals, out)
    for key, size, rate in (("disk_1k", 1024, 0), ("disk_32k", 32 * 1024, 0), ("disk_paced", 1024, PACED_RATE)):
        result = tools.disk(folder, size, int(scale.paced_s) if rate else scale.disk_s, rate)
        out[f"{key}_rate"], out[f"{key}_p50"], out[f"{key}_p99"] = (result["per_second"], result["p50_us"] / 1e3,
                                                                  result["p99_us"] / 1e3)
    out["disk_paced_rush"] = out["disk_paced_p99"] / out["disk_1k_p50"]
