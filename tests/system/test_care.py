# SPDX-License-Identifier: Apache-2.0
"""backup, restore, check, compact and key rotate: with the server running and stopped, under load, interrupted, and with
what can be wrong: key, backup, disk, user, a second one at the same time."""
import hashlib
import http.client
import itertools
import json
import os
import pathlib
import pty
import random
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time

import pytest

from support.api import Api
from support.receiver import Answer
from support.registry import free_port
from support.server import INGEST_TOKEN, binary
from support.waiting import BOUND_S, wait_until

PROJECT = "care"
NOBODY = 65534


def command(*arguments, **options):
    return subprocess.Popen([binary(), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **options)


def doomed(*arguments):
    """A command that will be killed: a sanitizer that dies while it looks for leaks would leave half a report."""
    options = os.environ.get("ASAN_OPTIONS", "")
    return command(*arguments, env={**os.environ, "ASAN_OPTIONS": f"{options}:detect_leaks=0" if options else ""})


def own(*arguments, expect=0, bound_s=4 * BOUND_S, **options):
    """(standard output, standard error) of a command that ends with that code."""
    process = command(*arguments, **options)
    try:
        out, err = process.communicate(timeout=bound_s)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == expect, (arguments, process.returncode, out, err)
    return out.decode(), err.decode()


def sql(path, statement):
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def number(path, statement):
    return sql(path, statement)[0][0]


@pytest.fixture
def fresh(new_server, api_of, receiver):
    """(server, api) with a project, two webhooks with secrets, and some events that were delivered."""
    server = new_server()
    api = api_of(server)
    api.project(PROJECT)
    api.webhook(PROJECT, f"{receiver.url}/one?key=of-the-query", name="one", auth_header="Bearer of-one")
    api.webhook(PROJECT, f"{receiver.url}/two", name="two", auth_header="Bearer of-two", events=["PULL_ARTIFACT"])
    for _ in range(3):
        api.submit(PROJECT)
    receiver.take(3)
    wait_until(lambda: number(server.data / "harbinger.db", "SELECT count(*) FROM delivery WHERE state <= 1") == 0,
               "the first deliveries ended")
    return server, api


class Load:
    """Events from several threads until the end of the block; `acknowledged`: their ids."""

    def __init__(self, server, threads=3):
        self.server, self.acknowledged, self.failures, self._own = server, [], [], {}
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(threads)]

    def one(self, source, count, connection=None):
        """One push; whether it was acknowledged."""
        event = {"events": [{"id": f"{source}-{count}-{os.getpid()}", "timestamp": "2026-08-21T08:13:20Z",
                             "action": "push", "request": {"id": f"r{source}-{count}"},
                             "target": {"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 5,
                                        "digest": "sha256:" + hashlib.sha256(os.urandom(8)).hexdigest(),
                                        "repository": f"{PROJECT}/app", "tag": f"t{source}-{count % 50}"},
                             "actor": {"name": "load"}, "source": {"instanceID": "x"}}]}
        connection = connection or self._own.setdefault(source, self._connection())
        connection.request("POST", "/ingest/distribution", json.dumps(event).encode(),
                           {"Authorization": f"Bearer {INGEST_TOKEN}",
                            "Content-Type": "application/vnd.docker.distribution.events.v1+json"})
        answer = connection.getresponse()
        answer.read()
        (self.acknowledged if answer.status == 200 else self.failures).append(event["events"][0]["id"])
        return answer.status == 200

    def _connection(self):
        return http.client.HTTPConnection(self.server.host, self.server.port, timeout=BOUND_S)

    def _run(self, number_):
        connection = self._connection()
        for count in itertools.count():
            if self._end.is_set():
                break
            try:
                self.one(number_, count, connection)
            except OSError as problem:
                self.failures.append(str(problem))
                break
        connection.close()

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        wait_until(lambda: len(self.acknowledged) > 20, "the load runs")
        return self

    def __exit__(self, *_):
        self._end.set()
        for thread in self._threads:
            thread.join()


def is_whole(backup):
    """A backup is what its manifest says, and a sound database; its manifest."""
    manifest = json.loads((backup / "manifest.json").read_text())
    raw = (backup / "harbinger.db").read_bytes()
    assert hashlib.sha256(raw).hexdigest() == manifest["sha256"] and len(raw) == manifest["size_bytes"]
    assert sorted(path.name for path in backup.iterdir()) == ["harbinger.db", "manifest.json"]
    assert backup.stat().st_mode & 0o777 == 0o700 and (backup / "harbinger.db").stat().st_mode & 0o777 == 0o600
    copy = backup.parent / f"look-{backup.name}.db"
    shutil.copyfile(backup / "harbinger.db", copy)
    connection = sqlite3.connect(copy)
    assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert connection.execute("SELECT count(*) FROM event").fetchone()[0] == manifest["counts"]["events"]
    # One moment: nothing of an event without the rest of it.
    assert connection.execute("SELECT count(*) FROM delivery d LEFT JOIN event e ON e.id = d.event_rowid "
                              "WHERE e.id IS NULL").fetchone()[0] == 0
    assert connection.execute("SELECT count(*) FROM project p WHERE p.seq < (SELECT max(seq) FROM event e "
                              "WHERE e.project_id = p.id)").fetchone()[0] == 0
    connection.close()
    for path in backup.parent.glob(f"{copy.name}*"):
        path.unlink()
    return manifest


# -- backup and restore -------------------------------------------------------------------------------------------------


def test_a_backup_under_load_is_one_moment_and_holds_up_nobody(fresh, tmp_path):
    server, _ = fresh
    with Load(server) as load:
        before = len(load.acknowledged)
        backups = [tmp_path / f"backup-{n}" for n in range(3)]
        for backup in backups:
            text, err = own("backup", backup, "--data", server.data)
            assert err == ""
        assert len(load.acknowledged) > before
    assert load.failures == []
    counts = [is_whole(backup)["counts"]["events"] for backup in backups]
    assert counts == sorted(counts) and counts[0] >= before
    assert "secret.key" in text and "token.key" in text and "not in it" in text
    for name in ("secret.key", "token.key"):
        key = (server.data / name).read_bytes()
        assert all(key not in path.read_bytes() for backup in backups for path in backup.iterdir())
    assert number(server.data / "harbinger.db", "SELECT count(*) FROM event") == 3 + len(load.acknowledged)
    wait_until(lambda: (server.data / "harbinger.db-wal").stat().st_size < 256 << 20, "the log was moved")


def test_a_backup_restored_elsewhere_sends_what_waited_with_the_old_ids_and_secrets(fresh, receiver, new_server,
                                                                                   tmp_path):
    server, api = fresh
    release = threading.Event()
    receiver.always(Answer(hold=release))
    waiting = {api.submit(PROJECT)["id"] for _ in range(12)}
    receiver.next()
    out, _ = own("backup", tmp_path / "kept", "--data", server.data)
    assert "(12 waiting)" in out
    keys = tmp_path / "keys"
    keys.mkdir()
    for name in ("secret.key", "token.key"):
        shutil.copyfile(server.data / name, keys / name)
        (keys / name).chmod(0o600)
    server.kill()
    release.set()
    receiver.always(Answer(200))
    shutil.rmtree(server.data)  # the disaster
    other = new_server(start=False, folder=tmp_path / "other")
    out, _ = own("restore", tmp_path / "kept", "--data", other.data, "--keys", keys)
    assert "12 deliveries waited" in out
    before = len(receiver.requests)
    other.start()
    wait_until(lambda: {one.header("webhook-id") for one in receiver.requests[before:]} >= waiting, "what waited came")
    for one in receiver.requests[before:]:
        assert one.header("Authorization") == "Bearer of-one" and one.target == "/one?key=of-the-query"
    own("check", "--data", other.data)


def test_offline_each_command_does_without_the_server(fresh, tmp_path):
    server, _ = fresh
    server.stop()
    own("backup", tmp_path / "one", "--data", server.data)
    manifest = is_whole(tmp_path / "one")
    assert manifest["counts"] == {"projects": 1, "policies": 2, "events": 3, "deliveries": 3, "waiting": 0}
    assert "sound" in own("check", "--data", server.data)[0]
    assert "Gave back" in own("compact", "--data", server.data)[0]
    assert "The key is changed" in own("key", "rotate", "--data", server.data)[0]
    # The backup is of before the change of keys: it says so, and which key it wants.
    _, err = own("restore", tmp_path / "one", "--data", server.data, "--force", expect=1)
    assert manifest["keys"] in err and "--keys" in err
    own("backup", tmp_path / "two", "--data", server.data)
    out, _ = own("restore", tmp_path / "two", "--data", server.data, "--force")
    assert "What was there is in" in out
    server.start()


def test_restore_refuses_what_it_must_and_changes_nothing(fresh, tmp_path):
    server, _ = fresh
    own("backup", tmp_path / "good", "--data", server.data)
    _, err = own("restore", tmp_path / "good", "--data", server.data, "--force", expect=1)
    assert "serves the data directory" in err
    server.stop()
    before = (server.data / "harbinger.db").read_bytes()

    def refused(backup, words, *more):
        _, said = own("restore", backup, "--data", server.data, *more, expect=refused.code)
        assert words in said, said
        assert (server.data / "harbinger.db").read_bytes() == before
        assert not [path for path in server.data.iterdir() if "restor" in path.name or "replaced" in path.name]
    refused.code = 1
    refused(tmp_path / "good", "holds a store already")
    refused.code = 1
    refused(tmp_path, "is no backup", "--force")
    refused(tmp_path / "nowhere", "is no backup", "--force")
    # One bit of it turned, cut short, and a manifest that was turned to match.
    bad = tmp_path / "bad"
    shutil.copytree(tmp_path / "good", bad)
    raw = bytearray((bad / "harbinger.db").read_bytes())
    raw[len(raw) // 2] ^= 1
    (bad / "harbinger.db").write_bytes(raw)
    refused.code = 1
    refused(bad, "its sum differs", "--force")
    (bad / "harbinger.db").write_bytes(raw[:len(raw) // 2])
    refused(bad, "its sum differs", "--force")
    manifest = json.loads((bad / "manifest.json").read_text())
    manifest["sha256"] = hashlib.sha256(raw[:len(raw) // 2]).hexdigest()
    (bad / "manifest.json").write_text(json.dumps(manifest))
    refused(bad, "damaged", "--force")
    manifest["schema"] = 9999
    manifest["program"] = "9.8.7"
    (bad / "manifest.json").write_text(json.dumps(manifest))
    refused.code = 2
    refused(bad, "9.8.7 (schema 9999)", "--force")
    (bad / "manifest.json").write_text("{")
    refused.code = 1
    refused(bad, "no manifest", "--force")
    server.start()


def test_with_the_wrong_key_restore_and_check_say_so_and_without_one_webhooks_say_so(fresh, receiver, api_of, tmp_path):
    server, _ = fresh
    own("backup", tmp_path / "kept", "--data", server.data)
    server.stop()
    right = (server.data / "secret.key").read_bytes()
    (server.data / "secret.key").write_bytes(os.urandom(32))
    out, _ = own("check", "--data", server.data, expect=1)
    assert "4 of 4 sealed addresses and headers do not open" in out
    _, err = own("key", "rotate", "--data", server.data, expect=1)
    assert "nothing has changed" in err
    _, err = own("restore", tmp_path / "kept", "--data", server.data, "--force", expect=1)
    assert "another key" in err
    (server.data / "secret.key").unlink()
    _, err = own("check", "--data", server.data, expect=3)
    assert "secret.key is not there" in err and not (server.data / "secret.key").exists()
    _, err = own("restore", tmp_path / "kept", "--data", server.data, "--force", expect=1)
    assert "--without-key" in err
    out, _ = own("restore", tmp_path / "kept", "--data", server.data, "--force", "--without-key")
    assert "suspended" in out
    server.start()
    policies = api_of(server).get(f"/projects/{PROJECT}/webhook/policies").json
    assert [one["targets"][0].get("address", "") for one in policies] == ["", ""]
    # What waits for an address that was lost is not spent by resuming, and is kept by giving a new one.
    api = api_of(server)
    api.submit(PROJECT)
    waiting = "SELECT count(*) FROM delivery WHERE state <= 2 AND attempts = 0"
    assert number(server.data / "harbinger.db", waiting) == 1
    path = f"/projects/{PROJECT}/webhook/policies/{next(one['id'] for one in policies if one['name'] == 'one')}"
    resumed = api.post(path + "/resume", {}, expect=200).json
    assert "edit the webhook" in resumed["harbinger"]["suspended"][0]["reason"]
    assert number(server.data / "harbinger.db", waiting) == 1
    api.put(path, {"name": "one", "enabled": True, "event_types": ["PUSH_ARTIFACT"],
                   "targets": [{"type": "http", "address": f"{receiver.url}/again", "auth_header": ""}]})
    assert receiver.next().target == "/again"
    # And the right key with the backup brings all of it back.
    server.stop()
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "secret.key").write_bytes(right)
    (keys / "secret.key").chmod(0o600)
    own("restore", tmp_path / "kept", "--data", server.data, "--force", "--keys", keys)
    assert (server.data / "secret.key").read_bytes() == right
    assert "sound" in own("check", "--data", server.data)[0]


def test_a_backup_of_the_middle_of_a_change_of_keys_needs_both(fresh, receiver, tmp_path):
    server, _ = fresh
    server.stop()
    old, new = (server.data / "secret.key").read_bytes(), os.urandom(32)
    (server.data / "secret.key").write_bytes(new + old)  # as a change of keys begins
    server.start()
    Api(server).webhook(PROJECT, f"{receiver.url}/three", name="three", auth_header="Bearer of-three")
    server.stop()
    own("backup", tmp_path / "kept", "--data", server.data)

    def restore(key, **options):
        keys = tmp_path / "keys"
        shutil.rmtree(keys, ignore_errors=True)
        keys.mkdir()
        (keys / "secret.key").write_bytes(key)
        (keys / "secret.key").chmod(0o600)
        shutil.rmtree(tmp_path / "data", ignore_errors=True)
        return own("restore", tmp_path / "kept", "--data", tmp_path / "data", "--keys", keys, **options)

    for key in (old, new):
        _, err = restore(key, expect=1)
        assert "needs both of them" in err and "cat NEW OLD" in err
    _, err = restore(os.urandom(32), expect=1)
    assert "sealed with another key" in err
    restore(new + old)
    assert "sound" in own("check", "--data", tmp_path / "data")[0]


def test_the_audit_says_who_cared_for_the_store_and_how(fresh, tmp_path):
    server, api = fresh

    def entries():
        found = api.get("/harbinger/audit", query={"q": "kind=store", "sort": "id"}).json
        assert {(one["actor"], one["address"]) for one in found} == {("operator on this machine", f"uid {os.getuid()}")}
        return [(one["operation"], one["subject"]) for one in found]

    own("backup", tmp_path / "one", "--data", server.data)
    own("backup", tmp_path / "one", "--data", server.data, expect=1)  # refused: it has changed nothing
    own("check", "--data", server.data)
    server.stop()
    own("backup", tmp_path / "two", "--data", server.data)
    own("compact", "--data", server.data)
    server.start()
    assert entries() == [("backup", str(tmp_path / "one")), ("backup", str(tmp_path / "two")), ("compact", str(server.data))]
    server.stop()
    own("restore", tmp_path / "two", "--data", server.data, "--force")
    server.start()
    assert entries() == [("backup", str(tmp_path / "one")), ("restore", str(tmp_path / "two"))]


def test_two_backups_at_once_the_second_is_refused_with_words(fresh, tmp_path):
    server, _ = fresh
    server.stop()
    inflate(server.data, 40)
    server.start()
    first = command("backup", tmp_path / "first", "--data", server.data)
    wait_until(lambda: (tmp_path / "first.partial").exists() or (tmp_path / "first").exists(), "the first one began")
    _, err = subprocess.Popen([binary(), "backup", tmp_path / "second", "--data", server.data], stderr=subprocess.PIPE,
                              stdout=subprocess.PIPE).communicate(timeout=BOUND_S)
    out, _ = first.communicate(timeout=BOUND_S)
    assert first.returncode == 0 and b"Backed up" in out
    if not (tmp_path / "second").exists():  # else the first had ended before the second began
        assert b"a backup is going on: wait for its end" in err
    is_whole(tmp_path / "first")
    # To one directory from two stores: the lock is the directory's.
    busy = tmp_path / "taken.partial"
    busy.mkdir()
    holder = subprocess.Popen(["flock", busy, "cat"], stdin=subprocess.PIPE)
    wait_until(lambda: subprocess.run(["flock", "-n", busy, "true"], check=False).returncode != 0, "the lock is held")
    _, err = own("backup", tmp_path / "taken", "--data", server.data, expect=1)
    assert "another backup is being written" in err
    holder.communicate(b"", timeout=BOUND_S)
    own("backup", tmp_path / "taken", "--data", server.data)


def inflate(data, mib):
    """Make the store of a stopped server large: history without a delivery."""
    connection = sqlite3.connect(data / "harbinger.db")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("CREATE TABLE IF NOT EXISTS ballast (id INTEGER PRIMARY KEY, bytes BLOB)")
    connection.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
                       "INSERT INTO ballast (bytes) SELECT zeroblob(1000000) FROM n", (mib,))
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


# -- interrupted --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("serving", [True, False], ids=["serving", "stopped"])
def test_an_interrupted_backup_leaves_nothing_that_looks_like_one(fresh, tmp_path, how, serving):
    server, _ = fresh
    server.stop()
    inflate(server.data, 40)
    if serving:
        server.start()
    target = tmp_path / "kept"
    process = doomed("backup", target, "--data", server.data)
    wait_until(lambda: (tmp_path / "kept.partial" / "harbinger.db").exists() or process.poll() is not None, "it began")
    process.send_signal(how)
    process.wait(timeout=BOUND_S)
    if process.returncode != 0:
        assert process.returncode == (-9 if how == signal.SIGKILL else 130)
        if serving or how != signal.SIGKILL:
            wait_until(lambda: not (tmp_path / "kept.partial").exists(), "the rest was removed")
        assert not target.exists() or is_whole(target)
    if target.exists():
        shutil.rmtree(target)
    wait_until(lambda: subprocess.run([binary(), "backup", target, "--data", server.data], check=False,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0,
               "the next one is made")
    is_whole(target)
    assert not (tmp_path / "kept.partial").exists()


def test_a_server_killed_or_stopped_in_a_backup_starts_again_and_the_next_backup_is_whole(fresh, tmp_path):
    server, _ = fresh
    server.stop()
    inflate(server.data, 40)
    for end in (server.kill, server.stop):
        server.start()
        process = command("backup", tmp_path / "kept", "--data", server.data)
        wait_until(lambda: (tmp_path / "kept.partial" / "harbinger.db").exists() or process.poll() is not None,
                   "it began")
        end()
        process.communicate(timeout=BOUND_S)
        if (tmp_path / "kept").exists():
            is_whole(tmp_path / "kept")
            shutil.rmtree(tmp_path / "kept")
    server.start()
    own("backup", tmp_path / "kept", "--data", server.data)
    is_whole(tmp_path / "kept")


ROUNDS = pytest.mark.parametrize("rounds", [5, pytest.param(60, marks=pytest.mark.long)])


def killed_somewhere(rounds, begin, check, longest_s):
    """Runs `begin()` and kills it after a random time up to longest_s; check() after each."""
    rng = random.Random(20261124)
    for turn in range(rounds):
        process = begin(turn)
        try:
            process.wait(timeout=rng.uniform(0, longest_s))
        except subprocess.TimeoutExpired:
            process.send_signal(rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGINT]))
        process.communicate(timeout=BOUND_S)
        check(turn)


@ROUNDS
def test_killed_at_any_moment_a_restore_is_whole_or_was_never_begun(fresh, tmp_path, rounds):
    server, _ = fresh
    server.stop()
    inflate(server.data, 15)
    own("backup", tmp_path / "kept", "--data", server.data)
    store = server.data / "harbinger.db"
    connection = sqlite3.connect(store)
    connection.execute("UPDATE project SET owner_name = 'after the backup'")
    connection.commit()
    connection.close()

    def check(_):
        if not store.exists():
            own("check", "--data", server.data)  # opens the directory: what was decided happens now
        assert number(store, "SELECT count(*) FROM event") == 3
        assert "sound" in own("check", "--data", server.data)[0]
        for path in server.data.glob("harbinger.db.rest*"):
            raise AssertionError(f"{path} was left")
    killed_somewhere(rounds, lambda _: doomed("restore", tmp_path / "kept", "--data", server.data, "--force"), check, 0.25)
    own("restore", tmp_path / "kept", "--data", server.data, "--force")
    assert number(store, "SELECT owner_name FROM project") == "admin"
    asides = [number(path / "harbinger.db", "SELECT owner_name FROM project")
              for path in server.data.glob("replaced-*") if (path / "harbinger.db").exists()]
    assert asides
    server.start()


@pytest.mark.parametrize("who", ["serve", "check"])
def test_a_restore_killed_after_its_decision_is_finished_by_whoever_comes_next(fresh, api_of, tmp_path, who):
    server, api = fresh
    own("backup", tmp_path / "kept", "--data", server.data)
    api.submit(PROJECT)  # of after the backup
    server.stop()
    key = (server.data / "secret.key").read_bytes()
    for moved in (0, 1, 2):  # how much of the old was put aside before the kill
        shutil.copyfile(tmp_path / "kept" / "harbinger.db", server.data / "harbinger.db.restored")
        (server.data / "harbinger.db.restored").chmod(0o600)
        (server.data / "secret.key.restored").write_bytes(key)
        (server.data / "secret.key.restored").chmod(0o600)
        aside = server.data / f"replaced-{(server.data / 'harbinger.db.restored').stat().st_mtime_ns // 1000}"
        shutil.rmtree(aside, ignore_errors=True)
        if moved:
            aside.mkdir()
            (server.data / "harbinger.db").rename(aside / "harbinger.db")
        if moved > 1:
            (server.data / "secret.key").rename(aside / "secret.key")
        if who == "serve":
            server.start()
            assert number(server.data / "harbinger.db", "SELECT count(*) FROM event") == 3
            server.stop()
        assert "sound" in own("check", "--data", server.data)[0]
        assert number(server.data / "harbinger.db", "SELECT count(*) FROM event") == 3
        assert number(aside / "harbinger.db", "SELECT count(*) FROM event") == (3 if moved else 4)
        assert (aside / "secret.key").read_bytes() == (server.data / "secret.key").read_bytes() == key
        assert not list(server.data.glob("*.restored"))


@ROUNDS
def test_killed_at_any_moment_a_compaction_changes_nothing_or_all(fresh, rounds):
    server, _ = fresh
    server.stop()
    inflate(server.data, 30)
    connection = sqlite3.connect(server.data / "harbinger.db")
    connection.execute("DELETE FROM ballast WHERE id % 2 = 0")
    connection.commit()
    connection.close()

    def check(_):
        assert "sound" in own("check", "--data", server.data)[0]
        assert number(server.data / "harbinger.db", "SELECT count(*) FROM ballast") == 15
    killed_somewhere(rounds, lambda _: doomed("compact", "--data", server.data), check, 0.2)
    own("compact", "--data", server.data)
    check(None)
    assert (server.data / "harbinger.db").stat().st_size < 18 << 20
    assert not list(server.data.glob("harbinger.db.compact*"))
    server.start()


def many_webhooks(server, count):
    """More of them than one step of the rotation seals, by copying what one of them has sealed."""
    connection = sqlite3.connect(server.data / "harbinger.db")
    columns = [row[1] for row in connection.execute("PRAGMA table_info(target)") if row[1] != "id"]
    names = ", ".join(columns)
    connection.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
                       f"INSERT INTO target ({names}) SELECT {names} FROM target, n WHERE target.id = "
                       "(SELECT min(id) FROM target)", (count,))
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


@ROUNDS
def test_killed_at_any_moment_of_a_change_of_keys_everything_opens(fresh, receiver, api_of, rounds):
    server, _ = fresh
    server.stop()
    many_webhooks(server, 4000)
    seen = set()

    def check(_):
        seen.add((server.data / "secret.key").stat().st_size)
        assert (server.data / "secret.key").stat().st_size in (32, 64)
        assert "sound" in own("check", "--data", server.data)[0]
    killed_somewhere(rounds, lambda _: doomed("key", "rotate", "--data", server.data), check, 0.6)
    # With the server: it dies in the middle, and comes up with both.
    before = len(receiver.requests)
    server.start()
    process = command("key", "rotate", "--data", server.data)
    wait_until(lambda: (server.data / "secret.key").stat().st_size == 64 or process.poll() is not None, "it began")
    server.kill()
    process.communicate(timeout=BOUND_S)
    check(None)
    server.start()
    own("key", "rotate", "--data", server.data)
    assert (server.data / "secret.key").stat().st_size == 32
    own("check", "--data", server.data)
    api_of(server).submit(PROJECT)
    receiver.wait_for(before + 1)
    assert receiver.requests[before].header("Authorization") == "Bearer of-one"
    assert 64 in seen, "no kill struck between"


# -- change of keys -----------------------------------------------------------------------------------------------------


def test_a_change_of_keys_under_load_seals_everything_anew_and_no_delivery_fails(fresh, receiver, api_of):
    server, api = fresh
    store = server.data / "harbinger.db"
    old_key, old = (server.data / "secret.key").read_bytes(), sql(store, "SELECT address, auth_header FROM target")
    with Load(server) as load:
        out, _ = own("key", "rotate", "--data", server.data)
        api.webhook(PROJECT, f"{receiver.url}/three", name="three", auth_header="Bearer of-three", events=["PULL_ARTIFACT"])
        again, _ = own("key", "rotate", "--data", server.data)
    assert load.failures == [] and "The key is changed" in out and "The key is changed" in again
    assert (server.data / "secret.key").read_bytes() != old_key
    new = sql(store, "SELECT address, auth_header FROM target")
    assert not {value for row in old for value in row} & {value for row in new for value in row}
    wait_until(lambda: number(store, "SELECT count(*) FROM delivery WHERE state <= 1") == 0, "everything is delivered")
    assert number(store, "SELECT count(*) FROM delivery WHERE state <> (SELECT state FROM delivery LIMIT 1)") == 0
    assert {one.header("Authorization") for one in receiver.requests} == {"Bearer of-one"}
    entries = api_of(server).get("/harbinger/audit", query={"q": "operation=rotate"}).json
    assert len(entries) == 2
    assert (entries[0]["actor"], entries[0]["address"]) == ("operator on this machine", f"uid {os.getuid()}")
    server.stop()
    server.start()  # with the new key alone
    api_of(server).submit(PROJECT)
    own("check", "--data", server.data)


# -- check and compact --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("serving", [True, False], ids=["serving", "stopped"])
def test_check_finds_orphans_and_damage(fresh, serving):
    server, _ = fresh
    server.stop()
    connection = sqlite3.connect(server.data / "harbinger.db")
    connection.execute("DELETE FROM event WHERE id = 2")
    connection.execute("UPDATE project SET seq = 1")
    connection.commit()
    connection.close()
    if serving:
        server.start()
    out, _ = own("check", "--data", server.data, expect=1)
    assert "has no event (2)" in out and "has given the numbers up to 1 but its newest event has 3" in out
    assert re.search(r"\d+ findings in .*: restore a backup", out)


def test_check_finds_a_damaged_page(fresh):
    server, _ = fresh
    server.stop()
    own("compact", "--data", server.data)
    root = number(server.data / "harbinger.db", "SELECT rootpage FROM sqlite_schema WHERE name = 'delivery_policy'")
    with open(server.data / "harbinger.db", "r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 64)
    out, err = own("check", "--data", server.data, expect=1)
    assert "delivery_policy" in out + err or "Tree" in out + err or "malformed" in out + err


def test_check_compares_the_catalogue_with_the_registry(new_server, new_registry, images, api_of, receiver):
    port = free_port()  # each must know the other's address before it starts
    server = new_server(settings={"upstream.url": f"http://127.0.0.1:{port}"})
    registry = new_registry(server, port=port)
    api_of(server).project("team")
    image = images.make()
    images.push(image, registry, "team/app:v1")
    images.push(image, registry, "team/app:v2")
    wait_until(lambda: number(server.data / "harbinger.db", "SELECT count(*) FROM tag") == 2, "both tags are known")
    out, _ = own("check", "--data", server.data, "--catalogue")
    assert "sound" in out and "Compared 2 tags" in out
    connection = sqlite3.connect(server.data / "harbinger.db")
    connection.execute("UPDATE tag SET name = 'v9' WHERE name = 'v2'")
    connection.commit()
    connection.close()
    out, _ = own("check", "--data", server.data, "--catalogue", expect=1)
    assert "team/app: tag v9 is not in the registry" in out and "team/app: tag v2 is in the registry only" in out
    connection = sqlite3.connect(server.data / "harbinger.db")
    for number_ in range(150):
        connection.execute("INSERT INTO tag (repository_id, artifact_id, name, pushed_us) SELECT repository_id, artifact_id, ?, "
                           "pushed_us FROM tag WHERE name = 'v1'", (f"x{number_}",))
    connection.commit()
    connection.close()
    out, _ = own("check", "--data", server.data, "--catalogue", expect=1)
    assert out.count("catalogue: ") == 100 and "differs from the registry in at least 100 points" in out
    registry.stop()
    _, err = own("check", "--data", server.data, "--catalogue", expect=3)
    assert "cannot ask the registry" in err
    server.stop()
    _, err = own("check", "--data", server.data, "--catalogue", expect=2)
    assert "running server only" in err


def test_a_stop_does_not_wait_for_a_registry_that_says_nothing(new_server, api_of):
    with socket.create_server(("127.0.0.1", 0)) as quiet:
        server = new_server(settings={"upstream.url": f"http://127.0.0.1:{quiet.getsockname()[1]}",
                                      "limits.drain_ms": 100})
        api = api_of(server)
        api.project("p")
        api.submit("p")
        check = command("check", "--catalogue", "--data", server.data)
        asked = next(one for one in iter(lambda: quiet.accept()[0], None) if b"/tags/list" in one.recv(4096))
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 5  # the question has ten seconds
        assert b"interrupted" in check.communicate(timeout=BOUND_S)[1]
        asked.close()


def test_a_stop_ends_care_at_once_and_not_after_the_last_delivery(new_server, api_of, receiver):
    with socket.create_server(("127.0.0.1", 0)) as quiet:
        server = new_server(settings={"upstream.url": f"http://127.0.0.1:{quiet.getsockname()[1]}",
                                      "limits.drain_ms": 30000, "delivery.first_byte_timeout_ms": 30000,
                                      "delivery.total_timeout_ms": 30000})
        api = api_of(server)
        api.project("p")
        api.webhook("p", receiver.url)
        gate = threading.Event()
        receiver.always(Answer(hold=gate))
        api.submit("p")
        receiver.next()
        check = command("check", "--catalogue", "--data", server.data)
        asked = next(one for one in iter(lambda: quiet.accept()[0], None) if b"/tags/list" in one.recv(4096))
        server.process.terminate()
        assert b"interrupted" in check.communicate(timeout=5)[1]
        assert b"stopping" in command("check", "--data", server.data).communicate(timeout=BOUND_S)[1]
        assert server.is_running()  # it waits for the receiver
        gate.set()
        asked.close()
        server.stop()


def test_a_store_made_incremental_gives_back_while_its_server_runs_under_load(fresh):
    server, _ = fresh
    _, err = own("compact", "--data", server.data, expect=1)
    assert "while its server is stopped" in err and "--incremental" in err
    server.stop()
    inflate(server.data, 20)
    own("compact", "--data", server.data, "--incremental")
    connection = sqlite3.connect(server.data / "harbinger.db")
    connection.execute("DROP TABLE ballast")
    connection.commit()
    connection.close()
    server.start()
    with Load(server) as load:
        out, _ = own("compact", "--data", server.data)
    assert load.failures == []
    freed, before = map(int, re.search(r"Gave back (\d+) KiB of (\d+)", out).groups())
    assert freed > 15 * 1024 and before > 19 * 1024
    server.stop()
    assert (server.data / "harbinger.db").stat().st_size < 8 << 20
    assert "sound" in own("check", "--data", server.data)[0]


# -- what can be wrong --------------------------------------------------------------------------------------------------


def test_on_a_full_disk_each_says_so_and_leaves_nothing(fresh, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("a small file system is mounted by root")
    server, _ = fresh
    server.stop()
    inflate(server.data, 20)
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", small], check=True)
    try:
        for serving in (False, True):
            if serving:
                server.start()
            _, err = own("backup", small / "kept", "--data", server.data, expect=1)
            assert "MiB are free" in err and "make room" in err
            assert list(small.iterdir()) == []
        own("backup", tmp_path / "kept", "--data", server.data)
        keys = server.data
        _, err = own("restore", tmp_path / "kept", "--data", small / "data", "--keys", keys, expect=1)
        assert "make room" in err and not (small / "data" / "harbinger.db").exists()
    finally:
        subprocess.run(["umount", small], check=True)
    # Full only once the copying has begun: what was begun is removed, and the server goes on.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", small], check=True)
    try:
        filler = open(small / "filler", "wb")
        process = command("backup", small / "kept", "--data", server.data)
        wait_until(lambda: (small / "kept.partial" / "harbinger.db").exists() or process.poll() is not None, "it began")
        try:
            filler.write(bytes(24 << 20))
            filler.flush()
        except OSError:
            pass
        process.communicate(timeout=BOUND_S)
        if process.returncode != 0:
            wait_until(lambda: not (small / "kept.partial").exists(), "what was begun is removed")
        assert server.request("GET", "/readyz")[0] == 200
    finally:
        filler_closed(filler)
        subprocess.run(["umount", small], check=True)


def filler_closed(file):
    try:
        file.close()
    except OSError:
        pass


@pytest.fixture
def open_folder():
    """A folder that other users can look into, as pytest's are not."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="harbinger-owner-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_another_user_is_told_who_may(new_server, open_folder):
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    program = open_folder / "harbinger"
    shutil.copy(binary(), program)
    server = new_server(folder=open_folder / "server")
    theirs = open_folder / "theirs"
    theirs.mkdir()
    os.chown(theirs, NOBODY, NOBODY)

    def as_nobody(*arguments):
        done = subprocess.run([program, *map(str, arguments), "--data", server.data], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, user=NOBODY, group=NOBODY,
                              extra_groups=[], cwd="/")
        assert done.returncode not in (0, -6, -11), done
        return done.stderr.decode()
    for end in (lambda: None, server.stop):
        end()
        for arguments in (["backup", theirs / "kept"], ["check"], ["compact"], ["key", "rotate"]):
            words = as_nobody(*arguments)
            assert "Permission denied" in words and "root" in words, words
    own("backup", open_folder / "kept", "--data", server.data)
    words = as_nobody("restore", open_folder / "kept")
    assert "Permission denied" in words, words
    assert list(theirs.iterdir()) == []
    # A server that is somebody else's writes backups where that user may.
    subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", server.data], check=True)
    process = subprocess.Popen([program, "serve", "--data", server.data, "--listen", "127.0.0.1:0"], user=NOBODY,
                               group=NOBODY, extra_groups=[], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/")
    try:
        assert any(line.startswith(b"harbinger ready") for line in process.stdout)
        _, err = own("backup", open_folder / "by-root", "--data", server.data, expect=1)
        assert "Permission denied" in err and "writable for the user that runs harbinger" in err
        own("backup", theirs / "kept", "--data", server.data)
        assert {path.stat().st_uid for path in (theirs / "kept").iterdir()} == {NOBODY}
    finally:
        process.terminate()
        process.wait(timeout=BOUND_S)


def test_what_root_writes_for_the_servers_user_stays_that_users(fresh, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can write for somebody else")
    server, _ = fresh
    server.stop()
    own("backup", tmp_path / "kept", "--data", server.data)
    for path in [server.data, *server.data.rglob("*")]:
        os.chown(path, NOBODY, NOBODY)
    own("key", "rotate", "--data", server.data)
    own("compact", "--data", server.data)
    own("backup", tmp_path / "kept-2", "--data", server.data)
    own("restore", tmp_path / "kept-2", "--data", server.data, "--force", "--keys", server.data)
    wrong = [str(path) for path in [server.data, *server.data.rglob("*")] if path.stat().st_uid != NOBODY]
    assert wrong == []


def test_root_follows_no_link_that_the_servers_user_made(fresh, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can write for somebody else")
    server, _ = fresh
    server.stop()
    for path in [server.data, *server.data.rglob("*")]:
        os.chown(path, NOBODY, NOBODY)
    precious = tmp_path / "precious"
    precious.write_text("of root")
    (server.data / "secret.key.new").symlink_to(precious)
    own("key", "rotate", "--data", server.data)
    lock = server.data / "lock"
    lock.unlink()
    lock.symlink_to(precious)
    _, err = own("check", "--data", server.data, expect=3)
    assert "cannot open" in err
    lock.unlink()
    elsewhere = tmp_path / "elsewhere.db"
    shutil.copyfile(server.data / "harbinger.db", elsewhere)
    before = elsewhere.read_bytes()
    (server.data / "harbinger.db").rename(server.data / "moved.db")
    for link in (os.symlink, os.link):  # the store of somebody else, which root alone may read and write
        link(elsewhere, server.data / "harbinger.db")
        for work in (["check"], ["compact"], ["key", "rotate"]):
            _, err = own(*work, "--data", server.data, expect=3 if work == ["check"] else 1)
            assert "root does not open it" in err
        (server.data / "harbinger.db").unlink()
    assert elsewhere.read_bytes() == before
    (server.data / "moved.db").rename(server.data / "harbinger.db")
    (server.data / "harbinger.db-wal").symlink_to(precious)
    _, err = own("check", "--data", server.data, expect=3)
    assert "harbinger.db-wal is not a file of the user" in err
    (server.data / "harbinger.db-wal").unlink()
    (tmp_path / "theirs.partial").mkdir()
    os.chown(tmp_path / "theirs.partial", NOBODY, NOBODY)
    _, err = own("backup", tmp_path / "theirs", "--data", server.data, expect=1)
    assert "is another user's" in err
    assert precious.read_text() == "of root" and precious.stat().st_uid == 0
    assert lock.stat().st_uid == NOBODY  # made anew by root, of use to the server


def test_wrong_words_are_answered_with_the_way_to_the_help(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    for arguments, code, words in [
            (["backup"], 2, "name the directory to write to"), (["restore"], 2, "name the directory of a backup"),
            (["check", "more"], 2, "`more` is too much"), (["backup", "x", "--force"], 2, "not of this command"),
            (["compact", "--catalogue"], 2, "not of this command"), (["check", "--data", empty], 3, "there is no store in"),
            (["backup", tmp_path / "x", "--data", tmp_path / "nowhere"], 1, "there is no store in"),
            (["backup", tmp_path / ("y" * 3000), "--data", empty], 2, "longer than")]:
        _, err = own(*arguments, expect=code)
        assert words in err, err
    assert list(empty.iterdir()) in ([], [empty / "lock"])
    for arguments in (["backup"], ["restore"], ["check"], ["compact"], ["key", "rotate"]):
        out, _ = own(*arguments, "--help")
        assert out.startswith(f"usage: harbinger {' '.join(arguments)}") and "examples:\n  harbinger" in out


def test_a_terminal_shows_how_far_it_is(fresh, tmp_path):
    server, _ = fresh
    server.stop()
    inflate(server.data, 60)
    for serving in (False, True):
        if serving:
            server.start()
        shown = on_terminal(["backup", str(tmp_path / f"kept-{serving}"), "--data", str(server.data)])
        assert re.search(r"(copying|summing): \d+ %|starting \.\.\.", shown), shown
        assert "Backed up" in shown


def on_terminal(arguments):
    pid, master = pty.fork()
    if pid == 0:
        os.execv(binary(), [binary(), *arguments])
    got = b""
    while True:
        try:
            piece = os.read(master, 4096)
        except OSError:  # the other side is closed
            break
        if not piece:
            break
        got += piece
    os.close(master)
    assert os.waitpid(pid, 0)[1] == 0, got
    return got.decode()


def test_completion_knows_the_commands():
    script, _ = own("completion", "bash")
    for line, wanted in [("harbinger bac", "backup"), ("harbinger key ro", "rotate"),
                         ("harbinger restore /x --wi", "--without-key"), ("harbinger check --cat", "--catalogue")]:
        words = line.split(" ")
        got = subprocess.run(["bash", "-c", f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _harbinger; "
                                            "echo \"${COMPREPLY[@]}\""], stdout=subprocess.PIPE, check=True).stdout.decode()
        assert wanted in got.split(), (line, got)
