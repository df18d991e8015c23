# SPDX-License-Identifier: Apache-2.0
"""A TCP endpoint without HTTP of its own, for answers at times at which no receiver would give them.

    def early(connection):                 # called in a thread for each connection, which it need not close
        read_head(connection)
        connection.sendall(b"HTTP/1.1 413 No\\r\\nContent-Length: 0\\r\\n\\r\\n")
    raw = Raw(early)                       # raw.url, raw.connections; close() when done
"""
import socket
import threading

from .waiting import BOUND_S

_MAX_HEAD_BYTES = 1 << 20


def read_head(connection):
    """The bytes up to the blank line that ends a request's head, and what came with it of the body."""
    got = b""
    while b"\r\n\r\n" not in got and len(got) < _MAX_HEAD_BYTES:
        part = connection.recv(65536)
        if not part:
            break
        got += part
    return got


class Raw:
    """receive_bytes: the receive buffer of each connection, to have a sender stop in the middle of a body."""

    def __init__(self, script, receive_bytes=None, host="127.0.0.1"):
        self._script = script
        self._listener = socket.socket()
        if receive_bytes:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self._listener.bind((host, 0))
        self._listener.listen(64)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://{host}:{self.port}"
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        connection.settimeout(BOUND_S)
        with connection:
            try:
                self._script(connection)
            except OSError:
                pass  # the other side has gone

    def close(self):
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
