# SPDX-License-Identifier: Apache-2.0
"""docs/backup.md, block by block as it stands there, with this test's folders for the page's."""
import os
import pathlib
import re
import shutil
import subprocess

from support.server import binary
from support.waiting import wait_until

PAGE = pathlib.Path(__file__).resolve().parent.parent.parent / "docs" / "backup.md"
PROJECT = "page"


def blocks():
    return re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)


def run(block, server, tmp_path):
    """`systemctl` lines stop and start this test's server; everything else is bash's."""
    folders = {"/var/lib/harbinger": str(server.data), "/var/backups": str(tmp_path / "backups"),
               "/root/harbinger-keys": str(tmp_path / "keys")}
    for theirs, ours in folders.items():
        block = block.replace(theirs, ours)
    path = f"{pathlib.Path(binary()).parent}:{os.environ['PATH']}"
    said = ""
    for part in re.split(r"^(systemctl (?:stop|start) harbinger)$", block, flags=re.M):
        if part.startswith("systemctl"):
            server.stop() if " stop " in part else server.start()
        elif part.strip():
            done = subprocess.run(["bash", "-euc", part], env={**os.environ, "PATH": path}, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            said += done.stdout.decode()
            assert done.returncode == 0, (part, said)
    return said


def test_the_blocks_of_the_page_do_what_it_says(new_server, api_of, receiver, tmp_path):
    (tmp_path / "backups").mkdir()
    server = new_server()
    api = api_of(server)
    api.project(PROJECT)
    policy = api.webhook(PROJECT, receiver.url, auth_header="Bearer of-the-page")
    event = api.submit(PROJECT)
    receiver.next()
    api.execution_ended(PROJECT, policy)
    found = blocks()
    keys, backup, disaster, check, compact, rotate, again = found
    run(keys, server, tmp_path)
    assert "Backed up" in run(backup, server, tmp_path)
    # The disaster: everything but backup and keys is gone.
    server.kill()
    shutil.rmtree(server.data)
    server.data.mkdir(mode=0o700)
    server.start()
    assert "Restored" in run(disaster, server, tmp_path)
    assert [one["id"] for one in api.get(f"/projects/{PROJECT}/events").json] == [event["id"]]
    api.submit(PROJECT)
    assert receiver.next().header("Authorization") == "Bearer of-the-page"
    assert "sound" in run(check, server, tmp_path)
    assert "Gave back" in run(compact, server, tmp_path)
    assert "The key is changed" in run(rotate, server, tmp_path)
    assert (tmp_path / "keys" / "secret.key").read_bytes() == (server.data / "secret.key").read_bytes()
    assert "Backed up" in run(again, server, tmp_path)
    api.submit(PROJECT)
    assert receiver.next().header("Authorization") == "Bearer of-the-page"
    wait_until(lambda: all(one["status"] == "Success" for one in api.executions(PROJECT, policy)), "all succeeded")
