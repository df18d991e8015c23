# SPDX-License-Identifier: Apache-2.0
"""A name server of our own on loopback (UDP), which answers what a test says: for setting `resolver.servers`.

    names = Names()
    names.answers("hook.example", ["192.0.2.1"], ["127.0.0.1"])   # first this, then that for ever
    names.address                                                 # 127.0.0.1:PORT

An address with a colon is given to questions for AAAA, the others to questions for A. A question moves on to the next
answer when it repeats one that was asked already: the A and the AAAA of one lookup get the same turn. Names that nobody
set do not exist.
"""
import ipaddress
import socket
import struct
import threading

_A, _AAAA, _IN = 1, 28, 1
_NAME_ERROR = 3


class Names:
    def __init__(self, port=0):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", port))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._lock = threading.Lock()
        self._turns, self._asked = {}, {}
        self.questions = []  # (name, "A" or "AAAA")
        threading.Thread(target=self._serve, daemon=True).start()

    def answers(self, name, *turns):
        """turns: lists of addresses; [] is an answer without an address."""
        with self._lock:
            self._turns[name.lower()] = [list(turn) for turn in turns]
            self._asked[name.lower()] = set()

    def close(self):
        self._socket.close()

    def _serve(self):
        while True:
            try:
                question, peer = self._socket.recvfrom(4096)
            except OSError:
                return
            try:
                self._socket.sendto(self._answer(question), peer)
            except (OSError, ValueError, IndexError, struct.error):
                pass

    def _turn(self, name, kind):
        with self._lock:
            self.questions.append((name, {_A: "A", _AAAA: "AAAA"}.get(kind, str(kind))))
            if name not in self._turns:
                return None
            if kind in self._asked[name]:
                self._asked[name] = set()
                if len(self._turns[name]) > 1:
                    self._turns[name].pop(0)
            self._asked[name].add(kind)
            return self._turns[name][0]

    def _answer(self, question):
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode("ascii"))
            at += 1 + question[at]
        asked = question[12:at + 5]
        kind = struct.unpack(">H", question[at + 1:at + 3])[0]
        turn = self._turn(".".join(labels).lower(), kind)
        found = [ipaddress.ip_address(address).packed for address in turn or []
                 if (":" in address) == (kind == _AAAA) and kind in (_A, _AAAA)]
        flags = 0x8180 | (_NAME_ERROR if turn is None else 0)
        head = question[:2] + struct.pack(">HHHHH", flags, 1, len(found), 0, 0)
        records = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, _IN, 0, len(packed)) + packed for packed in found)
        return head + asked + records
