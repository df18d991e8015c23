# SPDX-License-Identifier: Apache-2.0
"""The receiver's process and its journal, read back: what arrived, by its own account on the disk."""
import hashlib
import json
import pathlib
import subprocess

_RECEIVER = pathlib.Path(__file__).resolve().parent / "receiver.py"


class Request:
    """One request that the receiver saw begin. at: when its first byte came; target None: it never became whole; seq None:
    its body is not what a delivery has."""
    __slots__ = ("number", "at", "target", "event", "delivery", "attempt", "digest", "seq", "body_hash", "status")

    def __init__(self, number, at):
        self.number, self.at = number, at
        self.target = self.event = self.delivery = self.attempt = self.digest = self.seq = self.body_hash = None
        self.status = 0

    def take(self, target, headers, body):
        self.target, self.event = target, headers.get("webhook-id")
        self.delivery, self.attempt = headers.get("x-harbinger-delivery"), headers.get("x-harbinger-attempt")
        self.body_hash = hashlib.sha256(body.encode("latin-1")).digest()
        try:
            said = json.loads(body)
            data = said["event_data"] if "event_data" in said else said["data"]
            self.digest, self.seq = data["resources"][0]["digest"], data["harbinger"]["seq"]
        except (ValueError, LookupError, TypeError):
            pass  # the account says so


class Journal:
    """requests: all that have begun, by number."""

    def __init__(self, folder, seed, spoiled_per_mille):
        self._path = folder / "account.jsonl"
        self._read_to, self.requests = 0, {}
        # setpriv: it goes when the test run does, however that ends.
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "/usr/bin/python3", str(_RECEIVER), str(self._path), str(seed),
             str(spoiled_per_mille)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid
        self.port = int(self._process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"

    def read_on(self):
        """Takes in what was written since the last call; returns the requests answered with 200 among it."""
        delivered = []
        with open(self._path, "rb") as file:
            file.seek(self._read_to)
            for raw in file:
                if not raw.endswith(b"\n"):
                    break  # in the middle of a line
                self._read_to += len(raw)
                what, number, *rest = json.loads(raw)
                if what == "begun":
                    self.requests[number] = Request(number, *rest)
                elif what == "whole":
                    self.requests[number].take(*rest)
                else:
                    self.requests[number].status = rest[0]
                    if rest[0] == 200:
                        delivered.append(self.requests[number])
        return delivered

    def close(self):
        assert self._process.poll() is None, "the receiver has ended by itself"
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
