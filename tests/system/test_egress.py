# SPDX-License-Identifier: Apache-2.0
"""The egress guard: what a webhook cannot reach, however it is spelled, whatever its name resolves to, and what is said."""
import json
import socket

import pytest

from support.names import Names
from support.receiver import Answer, Receiver
from support.secrets import secret
from support.server import basic
from support.waiting import wait_until

GUARDED = {"egress_allow": ()}
SERVER = GUARDED  # the module's server lets nothing through that a default installation does not

# Spellings that resolvers or libraries take for a loopback address, and other forms of the same trick.
LOOPBACK = [
    "127.0.0.1", "127.1", "127.0.1", "127.255.255.254", "0177.0.0.1", "0x7f.1", "0x7f.0.0.1", "0x7F000001", "0x7f000001",
    "2130706433", "017700000001", "0", "0.0.0.0", "0.1.2.3", "00.0.0.0", "127.0.0.1.", "127.000.000.001", "127.0.0.01",
    "localhost", "LOCALHOST", "LocalHost", "localhost.", "hook.localhost", "[::1]", "[0:0:0:0:0:0:0:1]", "[::]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[::ffff:0:127.0.0.1]", "[2002:7f00:1::]",
    "[64:ff9b::7f00:1]", "[64:ff9b::127.0.0.1]", "[64:ff9b:1::7f00:1]", "[::1%25lo]", "[::1%lo]",
    "①②⑦.⓪.⓪.①", "①②⑦.0.0.1", "127。0。0。1", "127.0.0.1%00.example.com", "%31%32%37.0.0.1", "127.0.0.1\\@example.com",
]
# Ranges that no webhook reaches (loopback aside), an address of each.
NEVER = [
    "169.254.169.254", "169.254.170.2", "168.63.129.16", "192.0.0.1", "192.0.0.192", "192.0.2.1", "198.51.100.1",
    "203.0.113.1", "192.31.196.1", "192.52.193.1", "192.175.48.1", "192.88.99.1", "198.18.0.1", "198.19.255.255",
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "[fe80::1]", "[fec0::1]", "[ff02::1]", "[100::1]",
    "[5f00::1]", "[2001::1]", "[2001:1::1]", "[2001:20::1]", "[2001:db8::1]", "[3fff::1]", "[2002:a00:1::1]",
    "[2620:4f:8000::1]", "[3ffe::1]", "[::ffff:8.8.8.8]", "[4000::1]",
]
METADATA_IN_PRIVATE = ["100.100.100.200", "[fd00:ec2::254]"]
PRIVATE = ["10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "[fc00::1]"]
PORTS = [22, 25, 53, 111, 135, 139, 445, 1, 1023, 2049, 2375, 2379, 3306, 5432, 6379, 9200, 11211]


def target(address, name="hook"):
    return {"name": name, "enabled": True, "event_types": ["PUSH_ARTIFACT"],
            "targets": [{"type": "http", "address": address}]}


def policies(project):
    return f"/projects/{project}/webhook/policies"


def refused_at_save(api, project, address):
    """The words of the 400."""
    answer = api.post(policies(project), target(address), expect=400)
    assert answer.code == "BAD_REQUEST"
    assert api.get(policies(project)).json == []
    return answer.message


def shown(api, project, policy):
    """The delivery of the policy's one event, once it has ended."""
    identity = api.execution_ended(project, policy)[0]["id"]
    return api.get(f"/projects/{project}/webhook/deliveries/{identity}").json


# -- refused when saved -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", LOOPBACK)
def test_no_spelling_of_loopback_can_be_saved(api, project, host):
    for scheme in ("http", "https"):
        assert refused_at_save(api, project, f"{scheme}://{host}:8080/hook")
    assert refused_at_save(api, project, f"http://{host}/")


@pytest.mark.parametrize("host", NEVER + METADATA_IN_PRIVATE)
def test_no_address_of_a_special_range_can_be_saved(api, project, host):
    words = refused_at_save(api, project, f"http://{host}:8080/hook")
    assert "refused by policy" in words
    assert host.strip("[]") not in words  # not even the range is told


@pytest.mark.parametrize("host", PRIVATE)
def test_private_addresses_are_refused_with_who_can_allow_them_and_how(api, project, host):
    words = refused_at_save(api, project, f"http://{host}:8080/hook")
    assert "private network" in words and "administrator" in words and "harbinger egress allow" in words


@pytest.mark.parametrize("port", PORTS)
def test_ports_of_other_services_are_refused(api, project, port):
    words = refused_at_save(api, project, f"http://hook.example.com:{port}/")
    assert f"port {port}" in words and "80, 443" in words


@pytest.mark.parametrize("address", [
    "ftp://hook.example.com/", "gopher://hook.example.com/", "file:///etc/passwd", "javascript:alert(1)", "hook.example.com",
    "//hook.example.com/", "http://", "http:///x", "http://hook.example.com:0/", "http://hook.example.com:65536/",
    "http://hook.example.com:80:80/", "http://user@pw@hook.example.com/", "http://hook.example.com#x", "http://a b.example/",
    "http://hook.example.com/\r\nX: y", "http://hook_.example.com/", "http://hook..example.com/",
    "http://" + "a" * 64 + ".example.com/", "http://hook.example.com/" + "x" * 2100, " http://hook.example.com/",
    "HTTP://hook.example.com/", "http://[::1/", "http://[127.0.0.1]/", "http://hook.example.com%2f@127.0.0.1/",
])
def test_addresses_that_are_none_are_refused_with_a_reason(api, project, address):
    assert refused_at_save(api, project, address)


@pytest.mark.parametrize("address", ["http://hook.example.com", "https://hook.example.com:8443/x?y=z",
                                     "http://8.8.8.8/", "http://[2606:4700::1111]:8080/", "http://xn--bcher-kva.example/",
                                     "http://user:pw@hook.example.com/", "http://1and1.example/"])
def test_public_addresses_and_names_can_be_saved(api, project, address):
    """Without an event nothing is sent to them."""
    assert api.post(policies(project), target(address)).status == 201


def test_the_guard_holds_for_a_change_too(api, project):
    policy = api.webhook(project, "http://hook.example.com/")
    answer = api.put(f"{policies(project)}/{policy}", target("http://127.1:8080/"), expect=400)
    assert answer.message
    assert api.get(f"{policies(project)}/{policy}").json["targets"][0]["address"] == "http://hook.example.com/"


def test_a_receiver_on_loopback_is_refused_by_default(api, project, receiver):
    refused_at_save(api, project, receiver.url)
    assert receiver.connections == 0


# -- our own ports ----------------------------------------------------------------------------------------------------


def test_our_own_ports_are_never_reached_even_with_loopback_allowed(new_server, api_of):
    api = api_of(new_server(listen="0.0.0.0:0", egress_allow=("127.0.0.0/8", "::1/128")))
    api.project("own")
    port = api.server.port
    hosts = ["127.0.0.1", "127.0.0.2", "127.255.255.254", "localhost", "[::1]"]
    for host in hosts:
        words = refused_at_save(api, "own", f"http://{host}:{port}/api/v2.0/users/current")
        assert "this server" in words
    # Another port of the same addresses is what the start-up flag is for.
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        assert api.post(policies("own"), target(f"http://127.0.0.1:{other.getsockname()[1]}/")).status == 201


def test_a_name_for_our_own_port_is_refused_when_sent(new_server, api_of, names):
    names.answers("own.example", ["127.0.0.1"])
    api = api_of(new_server(settings={"resolver.servers": names.address}, egress_allow=("127.0.0.0/8",)))
    api.project("own")
    policy = api.webhook("own", f"http://own.example:{api.server.port}/api/v2.0/projects")
    api.submit("own")
    assert {one["outcome"] for one in shown(api, "own", policy)["attempts"]} == {"blocked"}
    assert "POST /api/v2.0/projects from 127.0.0.1" not in "".join(
        line for line in api.server.log().splitlines() if ": 401 " in line)


def test_the_flag_lifts_no_private_and_no_public_range(new_server):
    for cidr in ("10.0.0.0/8", "0.0.0.0/0", "8.8.8.0/24", "127.0.0.0/7"):
        code, words = new_server(start=False, egress_allow=(cidr,)).refusal()
        assert code != 0 and words.splitlines()[-1].startswith("harbinger serve: ")
        assert cidr in words


# -- names: judged when sent ------------------------------------------------------------------------------------------


@pytest.fixture
def names():
    one = Names()
    yield one
    one.close()


ALLOWED, FORBIDDEN = "127.0.0.9", "127.0.0.77"  # two addresses of this machine, one of which the guard lets through


class Rebinding:
    """A server that may reach ALLOWED only and asks our name server each time; a receiver on both addresses, same port."""

    def __init__(self, api_of, new_server, names):
        self.names = names
        self.good = Receiver(host=ALLOWED)
        self.bad = Receiver(host=FORBIDDEN, port=self.good.port)
        settings = {"resolver.servers": names.address, "resolver.positive_ttl_ms": 1, "resolver.negative_ttl_ms": 1}
        self.api = api_of(new_server(settings=settings, egress_allow=(f"{ALLOWED}/32",)))
        self.api.project("names")

    def webhook(self, host, **fields):
        return self.api.webhook("names", f"http://{host}:{self.good.port}/hook", **fields)

    def close(self):
        self.good.close()
        self.bad.close()


@pytest.fixture
def rebinding(api_of, new_server, names):
    one = Rebinding(api_of, new_server, names)
    yield one
    one.close()


def test_a_name_that_resolves_to_an_allowed_address_is_delivered_to(rebinding):
    rebinding.names.answers("hook.example", [ALLOWED])
    rebinding.webhook("hook.example")
    event = rebinding.api.submit("names")
    request = rebinding.good.next()
    assert request.header("webhook-id") == event["id"]
    assert request.header("Host") == f"hook.example:{rebinding.good.port}"


@pytest.mark.parametrize("answers", [[FORBIDDEN], [ALLOWED, FORBIDDEN], [FORBIDDEN, ALLOWED], [ALLOWED, "::1"],
                                     [ALLOWED, "10.0.0.1"], [ALLOWED, "169.254.169.254"], ["::ffff:127.0.0.9"],
                                     ["0.0.0.0"], ["::"]])
def test_one_forbidden_address_refuses_the_whole_answer(rebinding, answers):
    rebinding.names.answers("hook.example", answers)
    policy = rebinding.webhook("hook.example", auth_header=f"Bearer {secret('header')}")
    rebinding.api.submit("names")
    result = shown(rebinding.api, "names", policy)
    # A refusal gets three tries: an administrator may allow it meanwhile.
    assert (result["status"], [one["outcome"] for one in result["attempts"]]) == ("Error", ["blocked"] * 3)
    assert rebinding.bad.connections == 0 and rebinding.good.connections == 0


def test_a_name_that_is_bound_anew_between_two_tries_does_not_lead_us_inside(rebinding):
    rebinding.names.answers("hook.example", [ALLOWED], [FORBIDDEN])
    # The connection is not kept: the second try needs the name again.
    rebinding.good.always(Answer(500, keep=False))
    policy = rebinding.webhook("hook.example")
    rebinding.api.submit("names")
    rebinding.good.next()

    def outcomes():
        rows = rebinding.api.get(f"{policies('names')}/{policy}/deliveries").json
        tries = rebinding.api.get(f"/projects/names/webhook/deliveries/{rows[0]['id']}").json["attempts"]
        return [one["outcome"] for one in tries] if len(tries) >= 3 else None
    assert wait_until(outcomes, "three tries")[:3] == ["http_error", "blocked", "blocked"]
    assert rebinding.bad.connections == 0 and len(rebinding.good.requests) == 1


def test_a_name_that_is_bound_anew_between_save_and_send_does_not_lead_us_inside(rebinding):
    rebinding.names.answers("hook.example", [ALLOWED], [FORBIDDEN])
    policy = rebinding.webhook("hook.example")
    assert rebinding.names.questions == []  # nothing is looked up when saved: it would prove nothing
    rebinding.names.answers("hook.example", [FORBIDDEN])
    rebinding.api.submit("names")
    assert shown(rebinding.api, "names", policy)["status"] == "Error"
    assert rebinding.bad.connections == 0


@pytest.mark.parametrize("answers, words", [(None, "does not exist"), ([], "no address")])
def test_a_name_that_cannot_be_resolved_is_tried_again(rebinding, answers, words):
    if answers is not None:
        rebinding.names.answers("hook.example", answers)
    policy = rebinding.webhook("hook.example")
    rebinding.api.submit("names")

    def first_try():
        rows = rebinding.api.get(f"{policies('names')}/{policy}/deliveries").json
        return rows and rows[0]["attempts"] and rebinding.api.get(
            f"/projects/names/webhook/deliveries/{rows[0]['id']}").json["attempts"][0]
    attempt = wait_until(first_try, "a try is recorded")
    assert attempt["outcome"] == "dns" and words in attempt["error"] and "hook.example" in attempt["error"]
    rebinding.names.answers("hook.example", [ALLOWED])
    assert rebinding.good.next()


def everything_about(api, project, policy):
    """All that the API tells of the deliveries of a policy."""
    rows = api.execution_ended(project, policy)
    texts = [json.dumps(rows), json.dumps(api.get(f"{policies(project)}/{policy}/deliveries").json),
             json.dumps(api.get(f"/projects/{project}/webhook/jobs", query={"policy_id": policy}).json)]
    for row in rows:
        texts.append(json.dumps(api.get(f"/projects/{project}/webhook/deliveries/{row['id']}").json))
        tasks = f"{policies(project)}/{policy}/executions/{row['id']}/tasks"
        texts.append(json.dumps(api.get(tasks).json))
        texts.append(api.get(f"{tasks}/{row['id']}/log").text)
    return "\n".join(texts)


def test_the_delivery_log_never_shows_a_resolved_address(rebinding):
    """Or it would be a map of the network behind the server: for a refusal, a refused connection, and a success alike."""
    rebinding.names.answers("refused.example", [FORBIDDEN])
    rebinding.names.answers("good.example", [ALLOWED])
    closed = Receiver(host=ALLOWED)
    closed.close()
    texts = []
    for name, port in (("refused.example", rebinding.good.port), ("good.example", rebinding.good.port)):
        policy = rebinding.api.webhook("names", f"http://{name}:{port}/", name=name)
        rebinding.api.submit("names")
        texts.append(everything_about(rebinding.api, "names", policy))
        rebinding.api.delete(f"{policies('names')}/{policy}")
    assert "blocked" in texts[0] and "Success" in texts[1]
    # The event itself tells who reported it; of the targets nothing may be known.
    for text in texts:
        assert ALLOWED not in text and FORBIDDEN not in text
    policy = rebinding.api.webhook("names", f"http://good.example:{closed.port}/", name="closed")
    rebinding.api.submit("names")
    rows = wait_until(lambda: [one for one in rebinding.api.get(f"{policies('names')}/{policy}/deliveries").json
                               if one["attempts"]], "a try is recorded")
    one = rebinding.api.get(f"/projects/names/webhook/deliveries/{rows[0]['id']}").json
    assert "good.example" in one["attempts"][0]["error"] and "refused" in one["attempts"][0]["error"]
    assert ALLOWED not in json.dumps(one)


def test_refusals_of_different_ranges_read_alike(rebinding):
    """Who reads the log cannot tell metadata from loopback from documentation."""
    words = set()
    for number, address in enumerate((FORBIDDEN, "169.254.169.254", "192.0.2.1", "::1")):
        rebinding.names.answers(f"n{number}.example", [address])
        policy = rebinding.webhook(f"n{number}.example", name=f"n{number}")
        rebinding.api.submit("names")
        words |= {one["error"] for one in shown(rebinding.api, "names", policy)["attempts"]}
        rebinding.api.delete(f"{policies('names')}/{policy}")
    assert len(words) == 1, words


# -- private ranges ---------------------------------------------------------------------------------------------------


def audited(api):
    return [(one["actor"], one["operation"], one["kind"], one["subject"]) for one in api.get("/harbinger/audit").json]


def test_a_private_range_is_reachable_once_an_administrator_has_allowed_it(new_server, api_of):
    server = new_server(egress_allow=(), settings={"delivery.connect_timeout_ms": 100})
    api = api_of(server)
    api.project("private")
    assert api.get("/harbinger/egress").json == {"allowed": []}
    refused_at_save(api, "private", "http://10.1.2.3:8080/")
    api.put("/harbinger/egress", {"allowed": ["10.1.0.0/16", "fd12::/48"]})
    assert api.get("/harbinger/egress").json == {"allowed": ["10.1.0.0/16", "fd12::/48"]}
    assert ("admin", "allow", "egress", "10.1.0.0/16,fd12::/48") in audited(api)
    policy = api.webhook("private", "http://10.1.2.3:8080/")
    assert api.post(policies("private"), target("http://[fd12::1]/", "other")).status == 201
    for host in ("10.2.0.1", "192.168.0.1", "[fd13::1]", "127.0.0.1"):  # nothing else has opened
        assert api.post(policies("private"), target(f"http://{host}/", "third"), expect=400).message

    server.stop()
    server.start()  # it is kept
    assert api.get("/harbinger/egress").json == {"allowed": ["10.1.0.0/16", "fd12::/48"]}

    api.put("/harbinger/egress", {"allowed": []})  # and taken away without a restart, for what is saved too
    api.submit("private")
    result = shown(api, "private", policy)
    assert [one["outcome"] for one in result["attempts"]] == ["blocked"] * 3
    assert "administrator" in result["last_error"] and "harbinger egress allow" in result["last_error"]


@pytest.mark.parametrize("cidr", ["127.0.0.0/8", "0.0.0.0/0", "169.254.169.254/32", "8.8.8.0/24", "10.0.0.0/7", "::1/128",
                                  "fe80::/10", "10.0.0.1/8", "10.0.0.0/33", "ten", ""])
def test_only_private_ranges_can_be_allowed(api, cidr):
    before = api.get("/harbinger/egress").json
    assert api.put("/harbinger/egress", {"allowed": ["10.9.0.0/16", cidr]}, expect=400).message
    assert api.get("/harbinger/egress").json == before


def test_metadata_inside_an_allowed_range_stays_out_of_reach(new_server, api_of):
    api = api_of(new_server(egress_allow=()))
    api.project("metadata")
    api.put("/harbinger/egress", {"allowed": ["100.64.0.0/10", "fc00::/7"]})
    for host in METADATA_IN_PRIVATE:
        refused_at_save(api, "metadata", f"http://{host}/latest/meta-data/")
    assert api.post(policies("metadata"), target("http://100.100.100.201/")).status == 201


def test_only_administrators_see_and_change_the_ranges(api):
    for who in (api.anonymous(), api.as_user(basic("admin", "not-the-password"))):
        who.get("/harbinger/egress", expect=401)
        who.put("/harbinger/egress", {"allowed": ["10.0.0.0/8"]}, expect=401)
    assert "10.0.0.0/8" not in api.get("/harbinger/egress").json["allowed"]


def test_a_refusal_opens_no_breaker(rebinding):
    """The receiver has done nothing wrong: once it is allowed, later events go at once."""
    rebinding.names.answers("hook.example", [FORBIDDEN])
    policy = rebinding.webhook("hook.example")
    for _ in range(12):
        rebinding.api.submit("names")
    assert {one["status"] for one in rebinding.api.execution_ended("names", policy, 12)} == {"Error"}
    rebinding.names.answers("hook.example", [ALLOWED])
    event = rebinding.api.submit("names")
    assert rebinding.good.next().header("webhook-id") == event["id"]
