# SPDX-License-Identifier: Apache-2.0
"""The receiver's own account: a request has the time at which its bytes came, however late it is read."""
import fcntl
import json
import os
import signal
import socket
import struct
import termios
import time

import pytest

from harness.journal import Journal
from support.waiting import wait_until

_BODY = json.dumps({"event_data": {"resources": [{"digest": "sha256:1"}], "harbinger": {"seq": 1}}}).encode()
_REQUEST = b"POST /alpha/all HTTP/1.1\r\nHost: receiver\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
_LATER_NS = 100_000_000  # far more than a tick of the kernel


@pytest.fixture
def journal(tmp_path):
    made = Journal(tmp_path, seed=1, spoiled_per_mille=0)
    yield made
    made.close()


def _unacknowledged(connection):
    """Bytes that the other side's kernel has not acknowledged."""
    return struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0\0\0\0"))[0]


def _begin_unread(journal):
    """(connection, wall clock before, and after) of a request that the receiver's kernel has, and the receiver has not."""
    os.kill(journal.pid, signal.SIGSTOP)
    connection = socket.create_connection(("127.0.0.1", journal.port))
    before = time.time_ns()
    connection.sendall(_REQUEST)
    after = time.time_ns()
    wait_until(lambda: _unacknowledged(connection) == 0, "the request is with the receiver's kernel")
    wait_until(lambda: time.time_ns() > after + _LATER_NS, "a while has passed")
    return connection, before, after


@pytest.mark.parametrize("dies", [False, True], ids=["lives", "dies"])
def test_a_request_that_is_read_late_has_come_when_its_bytes_came_even_if_its_sender(dies, journal):
    connection, before, after = _begin_unread(journal)
    if dies:
        connection.close()
    os.kill(journal.pid, signal.SIGCONT)
    wait_until(journal.read_on, "the request is read and answered")
    connection.close()
    # At the earliest it can have been: a tick or so before it was, and more when the receiver waits for a processor.
    assert before - 1_000_000_000 <= journal.requests[1].at <= after
