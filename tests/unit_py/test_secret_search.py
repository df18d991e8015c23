# SPDX-License-Identifier: Apache-2.0
"""The search for leaked secrets finds planted ones in each spelling, and nothing where there is none."""
import base64
import json
import os
import pathlib
import shutil
import sqlite3
import sys
import urllib.parse

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "system"))

from support import secrets  # noqa: E402

ODD = "p/w+with odd=bytes&é"


@pytest.fixture
def traces(tmp_path, monkeypatch):
    """A run of its own; what is planted is gone before the search after this one."""
    folder = tmp_path / "traces"
    folder.mkdir()
    monkeypatch.setenv("HARBINGER_TRACES", str(folder))
    monkeypatch.setattr(secrets, "_remembered", set())
    yield folder
    shutil.rmtree(tmp_path)


def test_secrets_have_a_form_of_their_own_and_stay_the_same():
    assert secrets.secret("a b") == secrets.secret("a b") != secrets.secret("c")
    assert secrets.secret("a b").startswith(secrets.PREFIX + "a-b-")


@pytest.mark.parametrize("value", ["plain", ODD])
@pytest.mark.parametrize("spell", [
    lambda value: value.encode(),
    lambda value: urllib.parse.quote(value, safe="").encode(),
    lambda value: base64.b64encode(b"admin:" + value.encode()),
    lambda value: base64.b64encode(b"abcde" + value.encode() + b"xyz"),
    lambda value: base64.b64encode(b"abcd" + value.encode() + b"x"),
    lambda value: base64.urlsafe_b64encode(value.encode() + b"12"),
], ids=["plain", "percent", "basic", "base64-2", "base64-1", "base64url"])
def test_a_planted_secret_is_found_with_file_and_offset(traces, tmp_path, value, spell):
    if value == "plain":
        value = secrets.secret("planted")
    else:
        secrets.remember(value)
    log = tmp_path / "server.log"
    log.write_bytes(b"a line\nanother \0\xff line: " + spell(value) + b" and more\n")
    secrets.keep_server(log)
    leaks = secrets.find_leaks(traces)
    assert leaks and all(leak.path == str(log) and 24 <= leak.offset <= 40 for leak in leaks)
    assert "server.log: at byte" in secrets.report(leaks)


def test_a_secret_in_a_store_or_a_backup_is_found(traces, tmp_path):
    for place in ("data", "backup-1"):
        (tmp_path / place).mkdir()
        database = sqlite3.connect(tmp_path / place / "harbinger.db")
        database.execute("CREATE TABLE target (address TEXT)")
        database.execute("INSERT INTO target VALUES (?)", (secrets.secret("in a row"),))
        database.commit()
        database.close()
    found = {pathlib.Path(leak.path).parent.name for leak in secrets.find_leaks(traces, trees=[tmp_path])}
    assert found == {"data", "backup-1"}


def test_a_secret_in_an_answer_is_found(traces):
    header = secrets.secret("header")
    secrets.keep_answer("GET", "/api/v2.0/projects/p/webhook/deliveries/1", 200, {}, json.dumps({"sent": header}).encode())
    assert len(secrets.find_leaks(traces)) == 1


def test_what_an_answer_is_there_to_tell_is_no_leak_and_the_rest_of_it_is(traces):
    address, header, token = (secrets.secret(name) for name in ("address", "header", "token"))
    policy = {"targets": [{"address": f"http://x/{address}", "auth_header": "********"}]}
    policies = "/api/v2.0/projects/p/webhook/policies"
    secrets.keep_answer("GET", policies, 200, {}, json.dumps([policy]).encode())
    secrets.keep_answer("GET", policies + "/1?x=y", 200, {}, json.dumps(policy).encode())
    secrets.keep_answer("POST", "/api/v2.0/harbinger/tokens", 201, {}, json.dumps({"token": token}).encode())
    secrets.keep_answer("POST", "/c/login", 200, {"set-cookie": f"sid={token}"}, b"")
    assert secrets.find_leaks(traces) == []
    policy["targets"][0]["auth_header"] = header
    secrets.keep_answer("GET", policies, 200, {}, json.dumps([policy]).encode())
    assert len(secrets.find_leaks(traces)) == 1


def test_secrets_of_webhooks_are_remembered_by_themselves(traces, tmp_path):
    secrets.remember_targets({"policy": {"targets": [
        {"address": "https://user:pa55w0rd-long@x.example/short?token=0123456789012345678901234", "auth_header": "Bearer abcdefghijkl"},
        {"address": "http://[not a url", "auth_header": "********"}, "no object"]}})
    secrets.remember_targets({"targets": "none"})
    log = tmp_path / "server.log"
    secrets.keep_server(log)
    for value, hits in (("pa55w0rd-long", 1), ("0123456789012345678901234", 1), ("abcdefghijkl", 1), ("short", 0)):
        log.write_text(f"POST {value}\n")
        assert len(secrets.find_leaks(traces)) == hits, value


def test_nothing_is_found_where_nothing_is(traces, tmp_path):
    log = tmp_path / "server.log"
    log.write_bytes(os.urandom(1 << 16) + b"hbsecre\n")
    secrets.keep_server(log, tmp_path / "not there")
    assert secrets.find_leaks(traces) == []
