# SPDX-License-Identifier: Apache-2.0
"""TLS to receivers, good and bad, with and without skip_cert_verify; and TLS on the listener."""
import http.client
import pathlib
import shutil
import signal
import socket
import ssl

import pytest

from support.receiver import Answer
from support.secrets import secret
from support.server import ADMIN_PASSWORD, basic
from support.waiting import BOUND_S, wait_until

# What the try says, by certificate; {host} is the host of the address.
BAD = {
    "unknown_ca": "authority that is not trusted",
    "wrong_name": "certificate is not for {host} (it is for other.example)",
    "expired": "certificate has expired",
}


def tries(api, project, policy, count=1):
    path = f"/projects/{project}/webhook/policies/{policy}/deliveries"
    found = wait_until(lambda: [one for one in api.get(path).json if one["attempts"] >= count], f"{count} tries recorded")
    return api.get(f"/projects/{project}/webhook/deliveries/{found[0]['id']}").json["attempts"]


@pytest.fixture
def trusting(new_server, api_of, certificates):
    """An API client of a server that trusts the tests' own authority."""
    api = api_of(new_server(settings={"tls.ca_file": certificates.ca}))
    api.project("tls")
    return api


# -- receivers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_a_receiver_with_a_known_authority_gets_its_deliveries(trusting, new_receiver, certificates, name):
    receiver = new_receiver(tls=certificates.good, name=name)
    assert receiver.url.startswith(f"https://{name}:")
    policy = trusting.webhook("tls", receiver.url + "/hook", skip_cert_verify=False)
    event = trusting.submit("tls")
    request = receiver.next()
    assert request.header("webhook-id") == event["id"] and request.target == "/hook"
    assert request.header("Host") == f"{name}:{receiver.port}"
    attempt = tries(trusting, "tls", policy)[0]
    assert attempt["outcome"] == "success" and attempt["timings_us"]["tls"] > 0


@pytest.mark.parametrize("certificate", BAD)
@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_a_certificate_that_does_not_hold_is_refused_and_the_try_says_why(trusting, new_receiver, certificates,
                                                                         certificate, name):
    receiver = new_receiver(tls=getattr(certificates, certificate), name=name)
    policy = trusting.webhook("tls", receiver.url, skip_cert_verify=False, auth_header=f"Bearer {secret('header')}")
    trusting.submit("tls")
    first, second = tries(trusting, "tls", policy, 2)[:2]
    for attempt in (first, second):
        assert attempt["outcome"] == "tls" and "status" not in attempt
        assert BAD[certificate].format(host=name) in attempt["error"]
    assert receiver.requests == []  # not one byte of the request, its secret included


@pytest.mark.parametrize("certificate", ["good", *BAD])
def test_skip_cert_verify_takes_any_certificate(trusting, new_receiver, certificates, certificate):
    receiver = new_receiver(tls=getattr(certificates, certificate), name="localhost")
    policy = trusting.webhook("tls", receiver.url, skip_cert_verify=True)
    event = trusting.submit("tls")
    assert receiver.next().header("webhook-id") == event["id"]
    assert tries(trusting, "tls", policy)[0]["outcome"] == "success"


def test_without_ca_file_the_systems_authorities_count_and_not_ours(api, project, new_receiver, certificates):
    receiver = new_receiver(tls=certificates.good, name="localhost")
    policy = api.webhook(project, receiver.url)
    api.submit(project)
    attempt = tries(api, project, policy)[0]
    assert attempt["outcome"] == "tls" and BAD["unknown_ca"] in attempt["error"]
    assert receiver.requests == []


def test_verifying_and_skipping_targets_of_one_receiver_share_no_connection(trusting, new_receiver, certificates):
    """A connection that was opened without a look at the certificate must not serve a target that asks for one."""
    receiver = new_receiver(tls=certificates.unknown_ca, name="localhost")
    skipping = trusting.webhook("tls", receiver.url + "/skips", skip_cert_verify=True, name="skips")
    trusting.submit("tls")
    receiver.next()
    trusting.execution_ended("tls", skipping)
    verifying = trusting.webhook("tls", receiver.url + "/verifies", skip_cert_verify=False, name="verifies")
    trusting.submit("tls")
    assert receiver.next().target == "/skips"
    assert tries(trusting, "tls", verifying)[0]["outcome"] == "tls"
    assert {one.target for one in receiver.requests} == {"/skips"}


def test_environment_does_not_change_whom_we_trust(new_server, api_of, new_receiver, certificates):
    """Trust is tls.ca_file, else the system's path; proxies are what the operator configures."""
    env = {"SSL_CERT_FILE": certificates.ca, "SSL_CERT_DIR": "/nonexistent", "CURL_CA_BUNDLE": certificates.ca,
           "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9"}
    api = api_of(new_server(env=env))
    api.project("tls")
    secure, plain = new_receiver(tls=certificates.good, name="localhost"), new_receiver()
    policy = api.webhook("tls", secure.url, name="secure")
    api.webhook("tls", plain.url, name="plain")
    api.submit("tls")
    assert plain.next()
    assert BAD["unknown_ca"] in tries(api, "tls", policy)[0]["error"]


def test_a_port_without_tls_is_said_plainly(trusting, new_receiver):
    receiver = new_receiver()
    policy = trusting.webhook("tls", receiver.url.replace("http://", "https://"), skip_cert_verify=True)
    trusting.submit("tls")
    attempt = tries(trusting, "tls", policy)[0]
    assert attempt["outcome"] == "tls" and attempt["error"]
    assert [one for one in receiver.requests if one.header("webhook-id")] == []


def test_retries_over_tls_carry_the_same_bytes(trusting, new_receiver, certificates):
    receiver = new_receiver(tls=certificates.good, name="localhost")
    receiver.answers(Answer(500, keep=False), Answer(reset=True))
    trusting.webhook("tls", receiver.url)
    trusting.submit("tls")
    first, second, third = receiver.take(3)
    assert first.body == second.body == third.body
    assert len({one.header("webhook-id") for one in (first, second, third)}) == 1


# -- the listener -----------------------------------------------------------------------------------------------------


class Listener:
    """A server that speaks TLS, with files of its own that the test may replace."""

    def __init__(self, new_server, certificates, folder, certificate):
        self.chain, self.key = str(folder / "listener.pem"), str(folder / "listener.key")
        self.place(certificate)
        self.server = new_server(settings={"tls.cert_file": self.chain, "tls.key_file": self.key})
        self.context = ssl.create_default_context(cafile=certificates.ca)

    def place(self, certificate):
        shutil.copy(certificate[0], self.chain)
        shutil.copy(certificate[1], self.key)

    def connection(self):
        return http.client.HTTPSConnection("localhost", self.server.port, timeout=BOUND_S, context=self.context)

    def served(self):
        """The certificate that a new connection is shown, PEM without what stands around it."""
        return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", self.server.port)))

    def reload(self):
        self.server.process.send_signal(signal.SIGHUP)


def der(certificate):
    return ssl.PEM_cert_to_DER_cert(pathlib.Path(certificate[0]).read_text(encoding="ascii"))


def get(connection, path="/api/v2.0/users/current"):
    connection.request("GET", path, headers={"Authorization": basic("admin", ADMIN_PASSWORD)})
    answer = connection.getresponse()
    return answer.status, answer.read()


@pytest.fixture
def listener(new_server, certificates, tmp_path):
    return Listener(new_server, certificates, tmp_path, certificates.good)


def test_the_listener_speaks_tls_and_says_so_in_the_ready_line(listener):
    assert listener.server.url.startswith("https://127.0.0.1:")
    connection = listener.connection()
    status, body = get(connection)
    assert status == 200 and b'"admin"' in body
    assert connection.sock.version() in ("TLSv1.2", "TLSv1.3")
    connection.close()


@pytest.mark.parametrize("age_s, header", [(None, "max-age=31536000"), (60, "max-age=60"), (0, None)])
def test_browsers_are_told_to_stay_with_https(new_server, certificates, age_s, header):
    settings = {"tls.cert_file": certificates.good[0], "tls.key_file": certificates.good[1], "tls.hsts_max_age_s": age_s}
    server = new_server(settings=settings)
    context = ssl.create_default_context(cafile=certificates.ca)
    connection = http.client.HTTPSConnection("localhost", server.port, timeout=BOUND_S, context=context)
    for path in ("/", "/api/v2.0/ping", "/nowhere"):
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        assert answer.headers.get_all("Strict-Transport-Security") == (header and [header])
    connection.close()


def test_without_tls_nothing_is_said_of_https(server):
    assert "strict-transport-security" not in server.request("GET", "/api/v2.0/ping")[1]  # RFC 6797 7.2


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_old_protocols_are_refused(listener):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", listener.server.port), timeout=BOUND_S) as plain:
        with pytest.raises(ssl.SSLError, match="(?i)protocol.version"):  # the server's alert
            context.wrap_socket(plain)


def test_sighup_brings_a_new_certificate_and_open_connections_live_on(listener, certificates):
    connection = listener.connection()
    assert get(connection)[0] == 200
    assert listener.served() == der(certificates.good)
    listener.place(certificates.wrong_name)
    listener.reload()
    wait_until(lambda: listener.served() == der(certificates.wrong_name), "the new certificate is shown")
    assert get(connection)[0] == 200
    connection.close()


def test_a_reload_that_fails_leaves_everything_as_it_was(listener, certificates):
    pathlib.Path(listener.chain).write_text("this is no certificate\n", encoding="ascii")
    listener.reload()
    wait_until(lambda: "reload failed" in listener.server.log(), "the failure is in the log")
    line = next(line for line in listener.server.log().splitlines() if "reload failed" in line)
    assert "certificate" in line
    assert listener.served() == der(certificates.good)
    connection = listener.connection()
    assert get(connection)[0] == 200
    connection.close()


def test_key_and_certificate_that_do_not_belong_together_are_refused_at_the_start(new_server, certificates):
    files = {"tls.cert_file": certificates.good[0], "tls.key_file": certificates.expired[1]}
    code, words = new_server(start=False, settings=files).refusal()
    assert code == 2 and "does not belong to the certificate" in words


def test_a_tls_hello_on_the_plain_port_gets_an_http_answer(server):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    with server.socket() as plain:
        plain.sendall(outgoing.read())
        answer = b""
        while part := plain.recv(4096):
            answer += part
    assert answer.startswith(b"HTTP/1.") and b" 400 " in answer.splitlines()[0] and b"HTTPS" in answer
    assert server.request("GET", "/healthz")[0] == 200


def test_plain_http_on_the_tls_port_gets_no_answer_and_harms_nobody(listener):
    with socket.create_connection(("127.0.0.1", listener.server.port), timeout=BOUND_S) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            answer = plain.recv(4096)
        except ConnectionError:
            answer = b""
    assert not answer.startswith(b"HTTP/1.1 200")
    connection = listener.connection()
    assert get(connection)[0] == 200
    connection.close()
