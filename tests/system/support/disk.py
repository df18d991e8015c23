# SPDX-License-Identifier: Apache-2.0
"""A disk that a test can fill."""
import contextlib
import os
import subprocess

import pytest


class Disk:
    """A small file system of its own at `path`."""

    def __init__(self, path, size_bytes):
        self.path = path
        path.mkdir(mode=0o700, parents=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=0700", "none", str(path)], check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            pytest.skip(f"no file system can be mounted here: {done.stdout.decode().strip()}")
        self.ballast = path / "ballast"

    def free_bytes(self):
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def fill(self, leave_bytes=0):
        """Leaves so much; 0: not a byte."""
        with open(self.ballast, "ab") as file:
            if leave_bytes:
                os.posix_fallocate(file.fileno(), file.tell(), self.free_bytes() - leave_bytes)
                return
            with contextlib.suppress(OSError):
                while True:
                    os.write(file.fileno(), bytes(65536))

    def empty(self):
        self.ballast.unlink()

    def unmount(self):
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)
