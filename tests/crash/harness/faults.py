# SPDX-License-Identifier: Apache-2.0
"""What the fault build, `harbinger-faults`, can be asked for."""
import subprocess

from support.faults import faults_binary as program


def names():
    """{"point": [...], "plant": [...]}, from the program's own table."""
    done = subprocess.run([program(), "faults"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True)
    found = {"point": [], "plant": []}
    for line in done.stdout.splitlines():
        kind, name = line.split(" ")
        found[kind].append(name)
    return found
