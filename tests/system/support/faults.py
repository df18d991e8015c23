# SPDX-License-Identifier: Apache-2.0
"""The control file of the fault build (src/base/fault.h, src/base/fault_memory.h), which a test writes while it runs.

    faults = Faults(tmp_path / "control")
    server = new_server(program=faults_binary(), env=faults.env)
    with faults.disk(errno.EIO): ...       # every write and sync of the store answers so
    with faults.sync(errno.EIO): ...       # every sync alone
    faults.clock(86400)                    # the wall clock is a day ahead, until faults.clock(0)
    with faults.allocation(17) as memory: ...   # the 17th allocation from here on fails; memory.failed, memory.count
"""
import contextlib
import mmap
import os
import pathlib
import struct

_BYTES = 4096
_CLOCK, _DISK, _SYNC, _READ = 0, 8, 12, 16
_MEMORY = 2048


def faults_binary():
    """The fault build; ./test sets it."""
    path = os.environ.get("HARBINGER_FAULTS_BINARY")
    if not path:
        path = str(pathlib.Path(os.environ["HARBINGER_BINARY"]).with_name("harbinger-faults"))
    assert os.access(path, os.X_OK), f"there is no {path}: build with -Dtests=true"
    return path


class Faults:
    def __init__(self, path):
        with open(path, "wb") as file:
            file.truncate(_BYTES)
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), _BYTES)
        self.env = {"HARBINGER_FAULT_CONTROL": str(path)}

    def _put(self, kind, at, value):
        struct.pack_into("=" + kind, self._map, at, value)

    def clock(self, offset_s):
        self._put("q", _CLOCK, int(offset_s * 1000000))

    @contextlib.contextmanager
    def _errno(self, at, value):
        self._put("i", at, value)
        try:
            yield
        finally:
            self._put("i", at, 0)

    def disk(self, value):
        return self._errno(_DISK, value)

    def sync(self, value):
        return self._errno(_SYNC, value)

    def read(self, value):
        return self._errno(_READ, value)

    @contextlib.contextmanager
    def allocation(self, number):
        self._put("q", _MEMORY + 8, 0)
        self._put("q", _MEMORY + 16, 0)
        self._put("q", _MEMORY, number)
        try:
            yield self
        finally:
            self._put("q", _MEMORY, 0)

    @property
    def count(self):
        """Allocations asked for since the last arming."""
        return struct.unpack_from("=q", self._map, _MEMORY + 8)[0]

    @property
    def failed(self):
        return struct.unpack_from("=q", self._map, _MEMORY + 16)[0]
