# SPDX-License-Identifier: Apache-2.0
"""Guessing passwords costs the server 11 ms and 19 MiB a guess; nobody else may wait for it."""
import select

import pytest

from support.raw import read_head
from support.server import ADMIN_PASSWORD, basic
from support.waiting import BOUND_S

BEFORE, AFTER = 24, 32  # guesses; together below what may wait in line


def ask(server, path, authorization=None):
    connection = server.socket(timeout=BOUND_S)
    header = f"Authorization: {authorization}\r\n" if authorization else ""
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n{header}Connection: close\r\n\r\n".encode())
    return connection


def guesses(server, names):
    return [ask(server, "/api/v2.0/users/current", basic(f"nobody-{name}", "Wrong-12345")) for name in names]


@pytest.mark.busy
def test_a_storm_of_wrong_passwords_keeps_no_other_call_waiting(new_server):
    server = new_server()
    storm = guesses(server, range(BEFORE))
    # In the middle of the line, and answered without delay once its turn has come: it tells how far the storm has got.
    right = ask(server, "/api/v2.0/users/current", basic("admin", ADMIN_PASSWORD))
    storm += guesses(server, range(BEFORE, BEFORE + AFTER))
    ping = ask(server, "/api/v2.0/ping")
    assert b" 200 " in read_head(ping).split(b"\r\n")[0]
    assert not select.select([right], [], [], 0)[0], "the ping waited for the storm"
    assert b" 200 " in read_head(right).split(b"\r\n")[0]
    for guess in storm:
        assert b" 401 " in read_head(guess).split(b"\r\n")[0]
    for connection in (*storm, right, ping):
        connection.close()
