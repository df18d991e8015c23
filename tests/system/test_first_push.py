# SPDX-License-Identifier: Apache-2.0
"""docs/first-push.md, block by block as it stands there, with this test's addresses and folders for the page's. docker needs a
daemon, which does not run everywhere: where none answers, its block is only looked at for its commands."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest
from support.api import Api
from support.registry import free_port
from support.server import ADMIN_PASSWORD, binary
from support.waiting import BOUND_S, wait_until

PAGE = pathlib.Path(__file__).resolve().parent.parent.parent / "docs" / "first-push.md"


def blocks():
    return dict(re.findall(r"^```sh ([a-z-]+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S))


class Desk:
    """A home for the clients, with what the page takes for granted: data/admin-password, and storage that needs no kernel."""

    def __init__(self, folder, addresses):
        self.folder, self.addresses = folder, addresses
        (folder / "data").mkdir()
        (folder / "data" / "admin-password").write_text(ADMIN_PASSWORD + "\n", encoding="utf-8")
        (folder / "storage.conf").write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n',
                                             encoding="utf-8")
        (folder / "containers.conf").write_text('[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\n',
                                                encoding="utf-8")
        (folder / ".config" / "containers").mkdir(parents=True)
        (folder / ".config" / "containers" / "policy.json").write_text('{"default":[{"type":"insecureAcceptAnything"}]}',
                                                                       encoding="utf-8")
        self.env = {"PATH": f"{pathlib.Path(binary()).parent}:{os.environ['PATH']}", "HOME": str(folder),
                    "XDG_RUNTIME_DIR": str(folder), "TMPDIR": str(folder), "REGISTRY_AUTH_FILE": str(folder / "auth.json"),
                    "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"), "CONTAINERS_CONF": str(folder / "containers.conf")}

    def run(self, block):
        for theirs, ours in {**self.addresses, "--port 8443": f"--port {self.addresses['127.0.0.1:8443'].split(':')[1]}",
                             "/etc/containers": f"{self.folder}/.config/containers"}.items():
            block = block.replace(theirs, ours)
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", block], cwd=self.folder, env=self.env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=4 * BOUND_S, check=False)
        assert done.returncode == 0, f"{block}\n{done.stdout}"
        return done.stdout


@pytest.fixture
def page(tmp_path, new_server, new_registry, images):
    """The server that ./run would have made, on plain HTTP and with TLS, and a desk in front of it."""
    plain, secure = free_port(), free_port()
    upstream = new_registry(None)
    server = new_server(settings={"upstream.url": upstream.url}, listen=f"127.0.0.1:{plain}")
    (tmp_path / "desk").mkdir()
    desk = Desk(tmp_path / "desk",
                {"127.0.0.1:8080": f"127.0.0.1:{plain}", "127.0.0.1:8443": f"127.0.0.1:{secure}"})
    image = images.make()
    images.push(image, upstream, "demo/hello:latest")
    api = Api(server)
    api.sync()
    return server, upstream, api, desk, images.digest(image)


def tags(api):
    return {tag["name"] for one in api.get("/projects/demo/repositories/hello/artifacts").json for tag in one["tags"] or []}


def pushed(api):
    return [one["artifacts"][0]["tags"] for one in api.get("/projects/demo/events", query={"sort": "seq"}).json
            if one["type"] == "PUSH_ARTIFACT"]


@pytest.mark.parametrize("client", ["podman", "buildah", "skopeo", "curl"])
def test_over_plain_http_on_this_machine(page, client):
    if not shutil.which(client):
        pytest.skip(f"{client} is not installed")
    _, _, api, desk, _ = page
    desk.run(blocks()[client])
    wait_until(lambda: client in tags(api), "the tag is known")
    assert [client] in pushed(api)


def test_docker(page):
    _, _, api, desk, _ = page
    block = blocks()["docker"]
    assert [line.split()[1] for line in block.splitlines()] == ["login", "pull", "tag", "push", "logout"]
    if not shutil.which("docker") or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no docker daemon answers here")
    desk.run(block)
    assert ["docker"] in pushed(api)


@pytest.mark.parametrize("way", ["ours", "nginx"])
def test_with_a_certificate_of_ones_own_authority(page, new_server, way):
    _, upstream, api, desk, _ = page
    port = desk.addresses["127.0.0.1:8443"].split(":")[1]
    said = desk.run(blocks()["tls"])
    if way == "ours":
        settings = dict(re.findall(r"^  (tls\.\w+|external_url): (.*)$", said, re.M))
        server = new_server(settings={"upstream.url": upstream.url, **settings}, listen=f"127.0.0.1:{port}")
        proxy = None
    else:
        proxy = start_nginx(desk)
        server = None
    try:
        desk.run(blocks()["tls-curl"])
        if shutil.which("podman") and way == "nginx":
            desk.run(blocks()["tls-podman"])
            assert ["podman-tls"] in pushed(api)
        assert server is None or server.is_running()
    finally:
        if proxy:
            proxy.terminate()
            proxy.wait()


def start_nginx(desk):
    """The page's block in a configuration of nothing else."""
    block = re.search(r"^```nginx\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S).group(1)
    for theirs, ours in desk.addresses.items():
        block = block.replace(theirs, ours)
    block = re.sub(r"(ssl_certificate\w*\s+)tls/", rf"\1{desk.folder}/tls/", block)
    config = desk.folder / "nginx.conf"
    paths = "".join(f"{name}_temp_path {desk.folder}/nginx-{name};\n" for name in
                    ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config.write_text(f"daemon off;\nmaster_process off;\npid {desk.folder}/nginx.pid;\nerror_log stderr;\nevents {{}}\n"
                      f"http {{\naccess_log off;\n{paths}{block}}}\n", encoding="utf-8")
    nginx = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "nginx", "-p", str(desk.folder), "-c", str(config)],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    port = desk.addresses["127.0.0.1:8443"].split(":")[1]
    wait_until(lambda: subprocess.run(["curl", "-sk", f"https://127.0.0.1:{port}/healthz"], capture_output=True,
                                      check=False).returncode == 0, "nginx answers")
    return nginx
