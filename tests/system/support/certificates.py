# SPDX-License-Identifier: Apache-2.0
"""Certificates made by openssl for HTTPS receivers and the listener: one CA that a test trusts, one that nobody knows.

    certificates.ca                 # PEM file to trust (setting tls.ca_file)
    certificates.good               # (certificate, key) for localhost and 127.0.0.1
    certificates.wrong_name         # for other.example only
    certificates.expired            # ended yesterday
    certificates.unknown_ca         # for localhost, from a CA that is not in `ca`
"""
import subprocess


class Certificates:
    def __init__(self, folder):
        self._folder = folder
        ours, other = self._authority("ca"), self._authority("other-ca")
        self.ca = ours[0]
        local = "DNS:localhost,IP:127.0.0.1"
        self.good = self._leaf("good", ours, local, 2)
        self.wrong_name = self._leaf("wrong-name", ours, "DNS:other.example", 2)
        self.expired = self._leaf("expired", ours, local, -1)
        self.unknown_ca = self._leaf("unknown-ca", other, local, 2)

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def _authority(self, name):
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                      "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}",
                      "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")
        return str(self._folder / f"{name}.pem"), str(self._folder / f"{name}.key")

    def _leaf(self, name, authority, names, days):
        (self._folder / f"{name}.ext").write_text(f"subjectAltName={names}\n", encoding="utf-8")
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key",
                      "-out", f"{name}.csr", "-subj", f"/CN={name}")
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", authority[0], "-CAkey", authority[1],
                      "-CAcreateserial", "-days", str(days), "-extfile", f"{name}.ext", "-out", f"{name}.pem")
        return str(self._folder / f"{name}.pem"), str(self._folder / f"{name}.key")
