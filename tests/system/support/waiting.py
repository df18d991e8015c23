# SPDX-License-Identifier: Apache-2.0
"""Waiting for what happens elsewhere, with one bound for all: sanitizer builds get more of it."""
import os
import threading
import time

# Far more than anything here takes; a test that fails waits this long, one that passes never does.
BOUND_S = 20.0 * (4 if os.environ.get("HARBINGER_SANITIZER") else 1)
_PACE_S = 0.02


def wait_until(question, what, bound_s=BOUND_S):
    """Asks `question` until it answers something true, and returns that. Fails with `what` and the last answer.

    For what tells nobody when it changes, such as the state of a delivery. Whatever can be waited for directly (a
    request at a receiver, a line of a log) is waited for there.
    """
    pace = threading.Event()
    end = time.monotonic() + bound_s
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come true within {bound_s:.0f} s; last answer: {answer!r}")
        pace.wait(_PACE_S)
