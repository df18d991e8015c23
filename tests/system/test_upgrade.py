# SPDX-License-Identifier: Apache-2.0
"""Stores of every schema there ever was (tests/upgrade/, made by scripts/make-upgrade-store) under the program of today:
everything is still there, what waited is delivered under its old ids, secrets open; and the way back to the old program."""
import gzip
import json
import pathlib
import re
import shlex
import shutil
import sqlite3
import subprocess

import pytest

from support.receiver import Receiver
from support.server import binary
from support.waiting import BOUND_S, wait_until

STORES = sorted((pathlib.Path(__file__).resolve().parent.parent / "upgrade").glob("schema-*"))
MIGRATIONS = pathlib.Path(__file__).resolve().parent.parent.parent / "src" / "store" / "sqlite"
NEWEST = max(int(path.name[:3]) for path in MIGRATIONS.glob("[0-9][0-9][0-9]_*.sql"))
# The stores are as old as they are: nothing of them may be trimmed before it was looked at.
FOR_EVER = {f"retention.{name}_s": 100 * 366 * 86400 for name in
            ("events", "attempts", "failed_attempts", "bodies", "failed_bodies", "audit")}


# For a server whose deliveries nobody wants: the address that its store sends to is that of the test that does, which may
# run at the same time.
NOWHERE = ()


def store_of(folder, data):
    data.mkdir(parents=True)
    data.chmod(0o700)
    (data / "harbinger.db").write_bytes(gzip.decompress((folder / "harbinger.db.gz").read_bytes()))
    for name in ("secret.key", "token.key"):
        shutil.copyfile(folder / name, data / name)
        (data / name).chmod(0o600)
    return json.loads((folder / "expected.json").read_text(encoding="utf-8"))


def rows(path, sql):
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def number(path, sql):
    return rows(path, sql)[0][0]


def own(*arguments, expect=0):
    done = subprocess.run([binary(), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=BOUND_S * 3, check=False)
    assert done.returncode == expect, (arguments, done)
    return done.stdout.decode(), done.stderr.decode()


def test_there_is_a_store_of_every_schema_that_was_released():
    # The newest one is made by scripts/make-upgrade-store before its release; numbers in between were never released.
    kept = [int(folder.name[-3:]) for folder in STORES]
    assert kept[:3] == [1, 2, 3] and kept[-1] <= NEWEST


@pytest.mark.parametrize("folder", STORES, ids=[folder.name for folder in STORES])
def test_a_store_of_each_schema_is_upgraded_whole_and_delivers_what_waited(folder, new_server, api_of, tmp_path):
    server = new_server(start=False, folder=tmp_path / "server", settings={**FOR_EVER, "delivery.suspend_after_s": 0,
                                                                          "delivery.max_backlog_age_s": 0})
    expected = store_of(folder, server.data)
    address = re.fullmatch(r"http://([0-9.]+):(\d+)", expected["receiver"])
    receiver = Receiver(host=address.group(1), port=int(address.group(2)))
    try:
        server.start()
        waiting = [one for one in expected["waiting"] if one["webhook"] in expected["targets"]]
        assert len(waiting) >= 20
        wanted = {(one["event"], expected["targets"][one["webhook"]], expected["authorization"][one["webhook"]])
                  for one in waiting}
        # Not so many requests: one may come twice, when a busy machine lets a try take longer than it may.
        wait_until(lambda: arrived(receiver) >= wanted, "all that waited has arrived")
        assert arrived(receiver) == wanted
        assert {int(one.header("X-Harbinger-Delivery")) for one in receiver.requests} == {one["delivery"]
                                                                                          for one in waiting}
        everything_is_there(server, api_of(server), expected)
    finally:
        receiver.close()
    back = server.data / "backups" / f"before-schema-{NEWEST}"
    if expected["schema"] < NEWEST:
        assert json.loads((back / "manifest.json").read_text())["schema"] == expected["schema"]
    server.stop()
    own("check", "--data", str(server.data))


def arrived(receiver):
    return {(one.header("webhook-id").replace("-", ""), one.target, one.header("Authorization"))
            for one in list(receiver.requests)}


def everything_is_there(server, api, expected):
    store = server.data / "harbinger.db"
    assert number(store, "PRAGMA user_version") == NEWEST
    assert [row[0].lower() for row in rows(store, "SELECT hex(uuid) FROM event ORDER BY id")] == expected["events"]
    listed = [row for project in ("alpha", "beta", "gone")
              for row in api.get(f"/projects/{project}/events", query={"page_size": 100}).json]
    assert sorted(row["id"].replace("-", "") for row in listed) == sorted(expected["events"])
    for project, names in expected["webhooks"].items():
        policies = api.get(f"/projects/{project}/webhook/policies").json
        assert sorted(one["name"] for one in policies) == sorted(names)
    for state, count in expected["deliveries"].items():
        assert number(store, f"SELECT count(*) FROM delivery WHERE state = {state}") >= count
    assert number(store, "SELECT count(*) FROM attempt") >= expected["attempts"]
    assert number(store, "SELECT count(*) FROM repository") == expected["repositories"]
    assert number(store, "SELECT count(*) FROM artifact") == expected["artifacts"]
    assert number(store, "SELECT count(*) FROM audit") >= expected["audit"]
    assert number(store, "SELECT count(*) FROM token") == 1
    wait_until(lambda: number(store, "SELECT count(*) FROM delivery d JOIN policy p ON p.id = d.policy_id WHERE "
                                     "d.state <= 1 AND p.name <> 'suspended'") == 0, "nothing waits but for the suspended")


def test_an_older_program_refuses_a_newer_store_with_both_versions_and_the_way_back_that_works(new_server, tmp_path):
    server = new_server(start=False, folder=tmp_path / "server", settings=FOR_EVER, egress_allow=NOWHERE)
    expected = store_of(STORES[0], server.data)
    server.start()
    server.stop()
    # What a later program leaves: its number in the file, its version in the store.
    later = sqlite3.connect(server.data / "harbinger.db")
    later.execute("PRAGMA user_version = 9999")
    later.execute("UPDATE setting SET value = '9.8.7' WHERE key = 'program'")
    later.commit()
    later.close()
    code, words = server.refusal()
    assert code == 2
    assert "harbinger 9.8.7 (schema 9999)" in words
    assert re.search(rf"this is harbinger \S+ \(schema {NEWEST}\)", words)
    for command in ("check", "compact"):
        assert "9.8.7" in own(command, "--data", str(server.data), expect=2)[1]
    back = re.search(r"harbinger (restore \S+ --data \S+ --force)", words).group(1)
    text, _ = own(*shlex.split(back))
    assert "What was there is in" in text
    assert number(server.data / "harbinger.db", "PRAGMA user_version") == expected["schema"]
    aside = next(server.data.glob("replaced-*"))
    assert number(aside / "harbinger.db", "PRAGMA user_version") == 9999  # nothing was deleted
    server.start()


def test_an_upgrade_without_room_for_its_backup_is_refused_and_can_be_told_to_go_without(new_server, tmp_path):
    server = new_server(start=False, folder=tmp_path / "server", egress_allow=NOWHERE,
                        settings={**FOR_EVER, "store.min_free_bytes": 1 << 40})
    store_of(STORES[0], server.data)
    code, words = server.refusal()
    assert code != 0 and "MiB are free" in words and "store.backup_before_upgrade=false" in words
    assert number(server.data / "harbinger.db", "PRAGMA user_version") == 1  # untouched
    server.settings["store.backup_before_upgrade"] = False
    server.start()
    assert "without a backup, as told" in server.log()
    assert not list((server.data / "backups").glob("before-*"))


def test_of_the_backups_before_upgrades_the_newest_two_are_kept(new_server, tmp_path):
    server = new_server(start=False, folder=tmp_path / "server", settings=FOR_EVER, egress_allow=NOWHERE)
    store_of(STORES[0], server.data)
    for schema in (2, 3, 4):
        old = server.data / "backups" / f"before-schema-{schema}"
        old.mkdir(parents=True)
        (old / "manifest.json").write_text("{}")
    server.start()
    kept = sorted(int(path.name.rsplit("-", 1)[1]) for path in (server.data / "backups").iterdir())
    assert len(kept) == 2 and kept[-1] == NEWEST
