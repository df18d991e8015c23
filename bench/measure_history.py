# SPDX-License-Identifier: Apache-2.0
"""What history costs: deliveries with ten million rows of it against none, and commits while it is trimmed.

The history is not delivered, it is written: a thousand events are delivered for real, then the store is copied over and
over by SQL while the server is down, each copy with its own ids and times, spread over the last 29 days; bodies for the
youngest quarter, as their shorter retention leaves them. Rows are those of event, delivery, attempt and body together.
Settings that differ from the defaults: retention.max_bytes is 1 TiB, so that the history is not trimmed for its size.
"""
import sqlite3
import statistics
import time

import measure_tools
from measure_server import Histogram, INGEST, Server
from measure_tools import Receiver, say

TEMPLATES = 1000
SPAN_US = 29 * 86400 * 1_000_000
KEEP = ("retention.max_bytes=1099511627776",)
TRIM = (*KEEP, "retention.events_s=86400", "retention.attempts_s=86400", "retention.failed_attempts_s=86400",
        "retention.bodies_s=86400", "retention.failed_bodies_s=86400")
TABLES = {  # what a copy has of its own; :count events, :step us between them, the first at :begin
    "event": {"id": "i", "uuid": "CAST(char(1) || printf('%015d', i) AS BLOB)", "seq": "i",
              "occurred_us": ":begin + i * :step", "recorded_us": ":begin + i * :step",
              "first_delivery": "i"},
    "delivery": {"id": "i", "event_rowid": "i", "due_us": ":begin + i * :step", "created_us": ":begin + i * :step",
                 "started_us": ":begin + i * :step", "ended_us": ":begin + i * :step + 1000"},
    "attempt": {"id": "i * 1024 + 1", "started_us": ":begin + i * :step", "ended_us": ":begin + i * :step + 1000"},
    "body": {"id": "4398046511104 + i * 1024 + model.id % 1024", "event_rowid": "i"},
}


def fill(path, rows):
    """Replaces what the store's one project has seen by `rows` rows of history; the number of events."""
    count = rows * 4 // 13  # three rows each and a body for the youngest quarter
    store = sqlite3.connect(path, isolation_level=None)
    for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=OFF", "synchronous=OFF", "cache_size=-262144"):
        store.execute(f"PRAGMA {pragma}").fetchall()
    values = {"count": count, "step": SPAN_US // count, "begin": time.time_ns() // 1000 - SPAN_US}
    store.execute("BEGIN")
    for table, own in TABLES.items():
        store.execute(f"CREATE TEMP TABLE model AS SELECT * FROM main.{table} ORDER BY id")
        models = store.execute("SELECT count(*) FROM model").fetchone()[0]
        columns = [row[1] for row in store.execute(f"PRAGMA main.table_info({table})")]
        cells = ", ".join(own.get(column, f"model.{column}") for column in columns)
        first = count - count // 4 + 1 if table == "body" else 1
        store.execute(f"DELETE FROM main.{table}")
        store.execute(f"WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < :count) "
                      f"INSERT INTO main.{table} ({', '.join(columns)}) SELECT {cells} FROM n CROSS JOIN model "
                      f"ON model.rowid = 1 + i % {models}", {**values})
        store.execute("DROP TABLE model")
    store.execute("UPDATE project SET seq = ?", (count,))
    store.execute("COMMIT")
    store.execute("PRAGMA journal_mode=WAL").fetchall()
    store.close()
    return count


def make_store(tools, folder, receiver, name, rows):
    """A server on a store with that history; it has delivered something since its start."""
    server = Server(tools, f"{folder}/{name}", KEEP)
    server.add_webhooks([receiver.address])
    tools.load(folder, server.port, INGEST, TEMPLATES)
    server.wait_succeeded(TEMPLATES)
    if rows == 0:
        return server
    server.stop()
    fill(f"{folder}/{name}/harbinger.db", rows)
    return Server(tools, f"{folder}/{name}", KEEP)


def deliver(tools, folder, server, events):
    done, cpu_s = server.succeeded(), measure_tools.cpu_s(server.pids())
    tools.load(folder, server.port, INGEST, events)
    server.wait_succeeded(done + events)
    return (measure_tools.cpu_s(server.pids()) - cpu_s) * 1e6 / events


def commits(tools, folder, server, scale):
    """Histograms of a steady load: commits, checkpoints, housekeeping, and the rows that were swept."""
    tools.load(folder, server.port, INGEST, scale.trim_rate, rate=scale.trim_rate)
    before = server.metrics()
    sent = tools.load(folder, server.port, INGEST, int(scale.trim_rate * scale.trim_s), rate=scale.trim_rate)
    after = server.metrics()
    names = ("commit", "checkpoint", "sweep")
    swept = sum(value - before.get(key, 0) for key, value in after.items() if "swept_rows" in key)
    return {name: Histogram(before, after, f"harbinger_store_{name}_seconds") for name in names}, swept, sent


def take_commits(prefix, measured, out):
    histograms, swept, sent = measured
    out[f"{prefix}_p999"], out[f"{prefix}_p50"] = (histograms["commit"].quantile_ms(0.999),
                                                   histograms["commit"].quantile_ms(0.5))
    out[f"{prefix}_checkpoint_p99"] = histograms["checkpoint"].quantile_ms(0.99)
    out[f"{prefix}_swept"], out[f"{prefix}_ack_p99"] = swept, sent.p99_ms


def measure_history(tools, folder, scale, out, _plots):
    receiver = Receiver(tools, folder)
    empty = make_store(tools, folder, receiver, "empty", 0)
    say(f"writing {scale.history:,} rows of history")
    began = time.monotonic()
    full = make_store(tools, folder, receiver, "full", scale.history)
    out["history_made_s"] = time.monotonic() - began
    pairs = [(deliver(tools, folder, empty, scale.history_events), deliver(tools, folder, full, scale.history_events))
             for _ in range(scale.history_pairs)]
    out["history_empty_cpu"] = statistics.median(pair[0] for pair in pairs)
    out["history_cpu"] = statistics.median(pair[1] for pair in pairs)
    out["history_ratio"] = statistics.median(pair[1] / pair[0] for pair in pairs)
    out["history_rss"] = full.memory_mib()
    empty.stop()
    say("commits without trimming, then while it trims")
    take_commits("calm", commits(tools, folder, full, scale), out)
    full.stop()
    full = Server(tools, f"{folder}/full", TRIM)
    trimming = commits(tools, folder, full, scale)
    take_commits("trim", trimming, out)
    out["trim_ratio"] = out["trim_p999"] / max(out["calm_p999"], 0.001)
    out["sweep_longest"], out["sweep_over"] = trimming[0]["sweep"].greatest_ms(), trimming[0]["sweep"].over(0.005)
    full.stop()
    receiver.stop()
