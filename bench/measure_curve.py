# SPDX-License-Identifier: Apache-2.0
"""Latency over load: from when an event was due to its arrival, at rising rates, until a system cannot keep up."""
import os

from measure_peers import BullMq, Registry
from measure_tools import Receiver, percentile, say
from measure_work import Harbinger

RATES = (100, 200, 400, 800, 1500, 2500, 4000, 6000, 8000, 11000, 15000)
TOO_LATE_MS = 250  # p99 above this: it does not keep up, higher rates say nothing new


def climb(tools, folder, make, scale):
    """[(rate, p50 ms, p99 ms)]"""
    os.makedirs(folder)
    receiver = Receiver(tools, folder)
    subject = make(tools, f"{folder}/subject", receiver) if make is not BullMq else make(tools, folder, receiver)
    points, loads = [], []
    for rate in RATES[:scale.curve_points]:
        loads.append((rate, tools.load(folder, subject.port, subject.path, int(rate * scale.curve_s), rate=rate,
                                       manifest=subject.manifest)))
        receiver.wait_count(sum(sent.count for _, sent in loads))
        if loads[-1][1].p99_ms > TOO_LATE_MS:
            break
    subject.stop()
    arrivals = receiver.stop()
    for rate, sent in loads:
        delays = arrivals.delays_ms(sent)
        points.append((rate, percentile(delays, 0.5), percentile(delays, 0.99)))
        if points[-1][2] > TOO_LATE_MS:
            break
    return points


def measure_curve(tools, folder, scale, _out, plots):
    for name, make in (("Harbinger", Harbinger), ("BullMQ", BullMq), ("docker-registry", Registry)):
        say(f"latency over load: {name}")
        plots[f"curve {name}"] = climb(tools, f"{folder}/{name}", make, scale)
