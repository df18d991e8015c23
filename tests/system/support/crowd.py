# SPDX-License-Identifier: Apache-2.0
"""A thousand endpoints in one process: the kind of an endpoint is the first part of its path, /KIND/NUMBER.

    healthy   answers 200 at once, and notes how old the event is: its tag is "t" and the monotonic nanoseconds of its sending
    hole      takes the request and never answers
    trickle   answers a byte every 100 ms
    reset     ends the connection with RST
    limit     answers 429 with Retry-After: 5

    with Crowd() as crowd: crowd.url, crowd.ages() (seconds, all since the last call)
"""
import asyncio
import json
import multiprocessing
import re
import socket
import struct
import time

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_LIMIT = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n"
_TAG = re.compile(rb'"tag":"t(\d+)"')
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


async def _trickle(reader, writer):
    gone = asyncio.ensure_future(reader.read(1))
    writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not gone.done():
        writer.write(b".")
        await writer.drain()
        await asyncio.wait({gone}, timeout=0.1)


async def _answer(kind, body, ages, reader, writer):
    """False: this connection has had its last request."""
    if kind == b"healthy":
        ages.extend((time.monotonic_ns() - int(tag)) / 1e9 for tag in _TAG.findall(body)[:1])
        writer.write(_OK)
    elif kind == b"limit":
        writer.write(_LIMIT)
    elif kind == b"reset":
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
    elif kind == b"trickle":
        await _trickle(reader, writer)
        return False
    return True  # a hole waits for a next request that never comes


def _serve(listener, pipe):
    ages = []

    async def on_connection(reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(int(_LENGTH.search(head).group(1)))
                if not await _answer(head.split(b"/", 2)[1], body, ages, reader, writer):
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass  # the other side has gone
        finally:
            writer.close()

    async def main():
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def on_question():
            try:
                pipe.recv()
                pipe.send(list(ages))
                ages.clear()
            except EOFError:
                ended.set()
        server = await asyncio.start_server(on_connection, sock=listener, backlog=4096)
        loop.add_reader(pipe.fileno(), on_question)
        await ended.wait()
        server.close()
    asyncio.run(main())


class Crowd:
    def __init__(self):
        listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("fork").Process(
            target=self._run, args=(listener, theirs, self._pipe), daemon=True)
        self._process.start()
        listener.close()
        theirs.close()

    @staticmethod
    def _run(listener, theirs, ours):
        ours.close()
        _serve(listener, theirs)

    def ages(self):
        self._pipe.send(None)
        return self._pipe.recv()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.join()
        self._pipe.close()


def event_now(**fields):
    """A push whose tag says when it was sent. For Api.submit."""
    return {"type": "PUSH_ARTIFACT", "occurred_at": "2026-08-21T08:13:20Z", "actor": {"kind": "user", "name": "alice"},
            "repository": {"name": "app"},
            "artifacts": [{"digest": "sha256:" + "0" * 64, "tags": [f"t{time.monotonic_ns()}"],
                           "reference": f"t{time.monotonic_ns()}"}], **fields}


def shown(ages):
    """Percentiles for a person, in ms."""
    ranked = sorted(ages)
    points = {name: round(ranked[min(len(ranked) - 1, int(len(ranked) * share))] * 1000, 2)
              for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1))} if ranked else {}
    return json.dumps({"deliveries": len(ranked), **points})
