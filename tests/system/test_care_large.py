# SPDX-License-Identifier: Apache-2.0
"""Care of a store with 1,000,000 events: how long each takes, and what it costs those who use the server meanwhile. Run by
./test --long; prints the figures that docs/architecture.md and docs/performance.md quote."""
import gzip
import pathlib
import shutil
import sqlite3
import statistics
import threading
import time

import pytest

from support.waiting import wait_until
from test_care import PROJECT, Load, command, is_whole, number, own

pytestmark = pytest.mark.long

EVENTS = 1_000_000
LONG_S = 1200
STORES = pathlib.Path(__file__).resolve().parent.parent / "upgrade"
# From an event with its delivery, attempt and body, as many again, in one statement each.
FILL = (
    "CREATE TEMP TABLE n AS WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {count}) SELECT i FROM c",
    "CREATE TEMP TABLE base AS SELECT (SELECT max(id) FROM event) e, (SELECT max(id) FROM delivery) d, (SELECT max(seq) FROM "
    "event WHERE project_id = (SELECT project_id FROM event ORDER BY id DESC LIMIT 1)) s, (SELECT max(id) FROM body) b",
    "INSERT INTO event (id, uuid, project_id, seq, type, occurred_us, recorded_us, repository, json) SELECT base.e + n.i, "
    "CAST(substr(x.uuid, 1, 6) || printf('~%09d', n.i) AS BLOB), x.project_id, base.s + n.i, x.type, x.occurred_us, x.recorded_us, x.repository, "
    "x.json || printf('%400s', '') FROM n, base, event x WHERE x.id = base.e",
    "INSERT INTO delivery ({columns}) SELECT {values} FROM n, base, delivery x WHERE x.id = (SELECT max(id) FROM delivery "
    "WHERE state > 2)",
    "INSERT INTO attempt ({attempt}) SELECT (base.d + n.i) * 1024 + 1, {attempt_rest} FROM n, base, (SELECT * FROM attempt "
    "LIMIT 1) x",
    "INSERT INTO body (id, event_rowid, format_key, data) SELECT CASE WHEN base.b < 4398046511104 THEN base.b + n.i ELSE "
    "4398046511104 + (base.e + n.i) * 1024 + x.id % 1024 END, base.e + n.i, x.format_key, x.data FROM n, "
    "base, (SELECT * FROM body LIMIT 1) x",
    "UPDATE project SET seq = (SELECT max(seq) FROM event WHERE project_id = project.id) WHERE id = (SELECT project_id FROM "
    "event ORDER BY id DESC LIMIT 1)",
)


def fill(store, count=EVENTS):
    connection = sqlite3.connect(store)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -262144")
    names = [row[1] for row in connection.execute("PRAGMA table_info(delivery)")]
    values = [{"id": "base.d + n.i", "event_rowid": "base.e + n.i", "apart": "1"}.get(name, f"x.{name}") for name in names]
    attempt = [row[1] for row in connection.execute("PRAGMA table_info(attempt)")]
    for statement in FILL:
        connection.execute(statement.format(count=count, columns=", ".join(names), values=", ".join(values),
                                            attempt=", ".join(attempt),
                                            attempt_rest=", ".join(f"x.{name}" for name in attempt if name != "id")))
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


class Pace:
    """One event every 10 ms, the time of each acknowledgement taken from when it was due."""

    def __init__(self, server):
        self.load, self.times_ms, self._end = Load(server, threads=1), [], threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        due = time.monotonic()
        number_ = 0
        while not self._end.is_set():
            due += 0.01
            self._end.wait(max(0, due - time.monotonic()))
            number_ += 1
            assert self.load.one(7, number_)
            self.times_ms.append((time.monotonic() - due) * 1000)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()

    def words(self):
        ordered = sorted(self.times_ms)
        return (f"n {len(ordered)}, p50 {statistics.median(ordered):.1f} ms, p99 {ordered[int(len(ordered) * .99) - 1]:.1f} ms, "
                f"longest {ordered[-1]:.0f} ms")


def timed(*arguments):
    began = time.monotonic()
    out, _ = own(*arguments, bound_s=LONG_S)
    return time.monotonic() - began, out


def test_with_a_million_events(new_server, api_of, receiver, tmp_path, capsys):
    server = new_server(settings={"log.level": "warn", "retention.max_bytes": 64 << 30})
    api = api_of(server)
    api.project(PROJECT)
    api.webhook(PROJECT, receiver.url, events=["DELETE_ARTIFACT", "PUSH_ARTIFACT"])
    api.submit(PROJECT)
    receiver.next()
    store = server.data / "harbinger.db"
    wait_until(lambda: number(store, "SELECT count(*) FROM delivery WHERE state > 2") == 1, "the first one ended")
    policy = api.get(f"/projects/{PROJECT}/webhook/policies").json[0]
    policy["event_types"] = ["DELETE_ARTIFACT"]  # the load below is about the store alone
    api.put(f"/projects/{PROJECT}/webhook/policies/{policy['id']}", policy)
    server.stop()
    fill(store)
    lines = [f"store of {EVENTS} events: {store.stat().st_size >> 20} MiB"]
    server.start()
    with Pace(server) as pace:
        threading.Event().wait(10)
    lines.append(f"acknowledgement at 100 events/s, nothing else: {pace.words()}")
    with Pace(server) as pace:
        took, _ = timed("backup", tmp_path / "paced", "--data", server.data)
    lines.append(f"backup at 100 events/s: {took:.1f} s; acknowledgement: {pace.words()}")
    with Load(server, threads=8) as load:
        began, before = time.monotonic(), len(load.acknowledged)
        process = command("backup", tmp_path / "loaded", "--data", server.data)
        longest = 0
        while process.poll() is None:
            longest = max(longest, (server.data / "harbinger.db-wal").stat().st_size)
            threading.Event().wait(0.05)
        took, during = time.monotonic() - began, len(load.acknowledged) - before
    assert process.returncode == 0, process.communicate()
    assert load.failures == []
    lines.append(f"backup at full load: {took:.1f} s, {during / took:.0f} events/s meanwhile, log up to {longest >> 20} MiB")
    assert is_whole(tmp_path / "loaded")["counts"]["events"] > EVENTS
    assert longest < 4 << 30
    with Pace(server) as pace:
        took, out = timed("check", "--data", server.data)
    assert "sound" in out
    lines.append(f"check at 100 events/s: {took:.1f} s; acknowledgement: {pace.words()}")
    server.stop()
    for words in (["backup", tmp_path / "stopped"], ["check"], ["compact"], ["restore", tmp_path / "stopped", "--force"]):
        lines.append(f"{words[0]}, stopped: {timed(*words, '--data', server.data)[0]:.1f} s")
    with capsys.disabled():
        print("\n" + "\n".join(lines))
    for path in [server.data, *tmp_path.glob("*/manifest.json")]:
        shutil.rmtree(path if path.is_dir() else path.parent)  # nobody needs gigabytes of it


def test_an_upgrade_of_a_million_events(new_server, tmp_path, capsys):
    # Without an address that it may send to: the one in this store is that of a test of test_upgrade.py.
    server = new_server(start=False, folder=tmp_path / "server", egress_allow=(),
                        settings={"retention.max_bytes": 64 << 30, "delivery.suspend_after_s": 0,
                                  **{f"retention.{name}_s": 100 * 366 * 86400 for name in
                                     ("events", "attempts", "failed_attempts", "bodies", "failed_bodies", "audit")}})
    server.data.mkdir(parents=True, mode=0o700)
    oldest = STORES / "schema-001"
    (server.data / "harbinger.db").write_bytes(gzip.decompress((oldest / "harbinger.db.gz").read_bytes()))
    for name in ("secret.key", "token.key"):
        shutil.copyfile(oldest / name, server.data / name)
        (server.data / name).chmod(0o600)
    fill(server.data / "harbinger.db")
    size = (server.data / "harbinger.db").stat().st_size >> 20
    # Killed in the middle of it first: the next start does it all the same.
    process = command("user", "passwd", "nobody", "--data", server.data)
    wait_until(lambda: (server.data / "backups").exists(), "the upgrade began")
    threading.Event().wait(1.5)
    process.kill()
    process.communicate()
    began, began_at = time.monotonic(), time.time()
    own("user", "passwd", "nobody", "--data", server.data, expect=1, bound_s=LONG_S)
    took = time.monotonic() - began
    copied = max(path.stat().st_mtime for path in server.data.glob("backups/*/manifest.json")) - began_at
    server.start()
    assert number(server.data / "harbinger.db", "SELECT count(*) FROM event") > EVENTS
    with capsys.disabled():
        print(f"\nupgrade of {EVENTS} events ({size} MiB) from schema 1: {took:.1f} s, of which its backup {copied:.1f} s")
    server.stop()
    shutil.rmtree(server.data)  # nobody needs gigabytes of it
