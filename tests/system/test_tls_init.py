# SPDX-License-Identifier: Apache-2.0
"""`harbinger tls init`: the certificate is right, nothing is overwritten, and what it prints is what clients need."""
import os
import re
import ssl
import stat
import subprocess

import pytest
from support.registry import free_port
from support.server import binary
from support.waiting import BOUND_S


def init(*arguments, code=0, cwd=None):
    done = subprocess.run([binary(), "tls", "init", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          cwd=cwd, timeout=BOUND_S, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


def openssl(*arguments):
    return subprocess.run(["openssl", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=BOUND_S, check=True).stdout


def test_the_certificate_is_strictly_valid_for_its_names_and_825_days_at_most(tmp_path):
    folder = tmp_path / "tls"
    init("--host", "registry.example.com", "--host", "192.0.2.7", "--host", "::1", "--dir", str(folder))
    assert "OK" in openssl("verify", "-x509_strict", "-CAfile", str(folder / "ca.pem"), str(folder / "server.pem"))
    text = openssl("x509", "-in", str(folder / "server.pem"), "-noout", "-text")
    for words in ("DNS:registry.example.com, IP Address:192.0.2.7", "CA:FALSE", "TLS Web Server Authentication",
                  "prime256v1", "Digital Signature"):
        assert words in text, words
    authority = openssl("x509", "-in", str(folder / "ca.pem"), "-noout", "-text")
    assert "CA:TRUE, pathlen:0" in authority and "Certificate Sign, CRL Sign" in authority
    dates = [ssl.cert_time_to_seconds(one) for one in re.findall(
        r"=(.*)", openssl("x509", "-in", str(folder / "server.pem"), "-noout", "-dates"))]
    assert 824 * 86400 < dates[1] - dates[0] <= 825 * 86400


def test_keys_are_for_their_owner_alone_and_nothing_is_overwritten(tmp_path):
    folder = tmp_path / "tls"
    init("--host", "localhost", "--dir", str(folder))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"ca.key": 0o600, "ca.pem": 0o644, "server.key": 0o600, "server.pem": 0o644}
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert "is there already" in init("--host", "other", "--dir", str(folder), code=1)
    (folder / "ca.key").unlink()
    assert "ca.pem is there already" in init("--host", "other", "--dir", str(folder), code=1)
    assert not (folder / "ca.key").exists()  # all four or none
    assert all((folder / name).read_bytes() == text for name, text in before.items() if name != "ca.key")
    link = tmp_path / "links"
    link.mkdir()
    (link / "server.key").symlink_to(tmp_path / "elsewhere")
    init("--host", "localhost", "--dir", str(link), code=1)
    assert not (tmp_path / "elsewhere").exists() and os.listdir(link) == ["server.key"]


@pytest.mark.parametrize("arguments, words", [
    ((), "--host"), (("--host", "a b"), "no host name"), (("--host", "127.1"), "no host name"),
    (("--host", "a:5000"), "without a port"), (("--host", "x" * 64 + ".example"), "no host name"), (("--host", ""), "no host name"),
    (("--host", "-a"), "no host name"), (("--host", "a,DNS:b"), "no host name"), (("--host", "a", "--days", "826"), "1 to 825"),
    (("--host", "a", "--port", "0"), "1 to 65535"), (("--host", "a", "more"), "too many"), (("--hots", "a"), "unknown option")])
def test_what_cannot_be_is_refused_before_anything_is_made(tmp_path, arguments, words):
    done = subprocess.run([binary(), "tls", "init", *arguments], capture_output=True, text=True, cwd=tmp_path, timeout=BOUND_S,
                          check=False)
    assert done.returncode != 0 and words in done.stderr and os.listdir(tmp_path) == []


def test_clients_trust_a_server_with_it_by_what_is_printed(tmp_path, new_server, new_registry, images):
    port = free_port()
    folder = tmp_path / "it's mine"
    said = init("--host", "127.0.0.1", "--port", str(port), "--dir", str(folder))
    upstream = new_registry(None)
    settings = {"upstream.url": upstream.url, **dict(re.findall(r"^  (tls\.\w+|external_url): (.*)$", said, re.M))}
    with open(tmp_path / "server.yaml", "w", encoding="utf-8") as file:
        file.write("")
    server = new_server(start=False, settings=settings, listen=f"127.0.0.1:{port}")
    server.start()
    curl = re.search(r"^  (curl --cacert .*)$", said, re.M).group(1)
    done = subprocess.run(["sh", "-c", f"{curl} -s -o /dev/null -w '%{{http_code}}'"], capture_output=True, text=True,
                          timeout=BOUND_S, check=False)
    assert done.stdout == "401" and done.returncode == 0, done.stderr
    assert f"mkdir -p /etc/containers/certs.d/127.0.0.1:{port}" in said and "update-ca-certificates" in said
    trusted = tmp_path / "trusted"
    trusted.mkdir()
    (trusted / "ca.crt").write_bytes((folder / "ca.pem").read_bytes())  # what certs.d/HOST has
    from support.server import ADMIN_PASSWORD
    images.skopeo("copy", f"--dest-cert-dir={trusted}", "--dest-creds", f"admin:{ADMIN_PASSWORD}",
                  f"oci:{images.make()}", f"docker://127.0.0.1:{port}/team/app:v1")
