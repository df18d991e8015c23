# SPDX-License-Identifier: Apache-2.0
"""Certificates made by openssl for HTTPS receivers and the listener: one CA that a test trusts, one that nobody knows.

    certificates.ca                 # PEM file to trust (setting tls.ca_file)
    certificates.good               # (certificate, key) for localhost and 127.0.0.1
    certificates.wrong_name         # for other.example only
    certificates.expired            # ended long ago
    certificates.unknown_ca         # for localhost, from a CA that is not in `ca`
"""
import subprocess

# `openssl ca` is the one way to set both dates that OpenSSL 3.0 and 3.5 have in common: `x509 -days` took a negative number
# once and refuses it since 3.4, where -not_after is new.
_PAST = ("-startdate", "20200101000000Z", "-enddate", "20200102000000Z")
_CA_CONFIG = """[ca]
default_ca = any
[any]
database = ca-index.txt
new_certs_dir = .
default_md = sha256
rand_serial = yes
policy = names
[names]
commonName = supplied
"""


class Certificates:
    def __init__(self, folder):
        self._folder = folder
        ours, other = self._authority("ca"), self._authority("other-ca")
        self.ca = ours[0]
        local = "DNS:localhost,IP:127.0.0.1"
        (folder / "ca.cnf").write_text(_CA_CONFIG, encoding="utf-8")
        (folder / "ca-index.txt").touch()
        self.good = self._leaf("good", ours, local)
        self.wrong_name = self._leaf("wrong-name", ours, "DNS:other.example")
        self.expired = self._leaf("expired", ours, local, _PAST)
        self.unknown_ca = self._leaf("unknown-ca", other, local)

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def _authority(self, name):
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                      "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}",
                      "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")
        return str(self._folder / f"{name}.pem"), str(self._folder / f"{name}.key")

    def _leaf(self, name, authority, names, dates=("-days", "2")):
        (self._folder / f"{name}.ext").write_text(f"subjectAltName={names}\n", encoding="utf-8")
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key",
                      "-out", f"{name}.csr", "-subj", f"/CN={name}")
        self._openssl("ca", "-batch", "-notext", "-config", "ca.cnf", "-cert", authority[0],
                      "-keyfile", authority[1], *dates, "-in", f"{name}.csr", "-extfile", f"{name}.ext",
                      "-out", f"{name}.pem")
        return str(self._folder / f"{name}.pem"), str(self._folder / f"{name}.key")
