# SPDX-License-Identifier: Apache-2.0
"""Both ways in at once: a registry behind the gateway that notifies us, too. What came through /v2/ is one event, told by the
gateway; what went past it is one event, told by the registry, and reported."""
import re
import urllib.request

import pytest
from support.api import Api
from support.registry import free_port
from support.server import ADMIN_PASSWORD
from support.waiting import BOUND_S, wait_until


class Through:
    """The gateway in the place of a registry, for support.registry.Images."""

    def __init__(self, server):
        self.address = f"127.0.0.1:{server.port}"


@pytest.fixture
def both(new_server, new_registry):
    port = free_port()
    server = new_server(settings={"upstream.url": f"http://127.0.0.1:{port}", "ingest.behind_gateway": "default",
                                  "metrics.open": True})
    return server, new_registry(server, port=port), Api(server)


def counted(server, name):
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=BOUND_S) as answer:
        text = answer.read().decode()
    return sum(int(float(value)) for value in re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)$", text, re.M))


def own(server):
    return counted(server, 'harbinger_ingest_notifications_total{source="distribution",outcome="own question"}')


def events(api, project):
    return [(one["type"], one["source"]["kind"], one["client"].get("user_agent", ""))
            for one in api.get(f"/projects/{project}/events", query={"sort": "seq"}).json]


def quiet(server, registry, api, images):
    """Everything that the registry had to tell has come: it tells in order, and this push is the last."""
    mark = images.make()
    images.push(mark, registry, "mark/app:v1")
    wait_until(lambda: events(api, "mark"), "the registry has told of the push that came last")


def test_a_push_through_the_gateway_is_one_event_and_one_past_it_is_reported(both, images):
    server, registry, api = both
    api.project("team")
    image, direct = images.make(), images.make()
    images.skopeo("login", "--tls-verify=false", "-u", "admin", "-p", ADMIN_PASSWORD, f"127.0.0.1:{server.port}")
    images.push(image, Through(server), "team/app:v1")
    assert own_agent_is_not_told(events(api, "team"))
    quiet(server, registry, api, images)
    assert [(kind, source) for kind, source, _ in events(api, "team")] == [("PUSH_ARTIFACT", "gateway")]
    assert "skopeo" in events(api, "team")[0][2]
    assert counted(server, "harbinger_ingest_direct_writes_total") == 1  # the mark
    images.push(direct, registry, "team/app:v2")
    wait_until(lambda: len(events(api, "team")) == 2, "the direct push has been told")
    assert events(api, "team")[1][:2] == ("PUSH_ARTIFACT", "distribution")
    assert counted(server, "harbinger_ingest_direct_writes_total") == 2
    assert "was changed past the gateway, by somebody from 127.0.0.1 with " in server.log()


def own_agent_is_not_told(told):
    return not any(agent.startswith("Harbinger/") for _, _, agent in told)


def test_deletes_and_tags_through_the_api_are_one_event_each(both, images):
    server, registry, api = both
    image = images.make()
    images.push(image, registry, "team/app:v1")
    wait_until(lambda: events(api, "team"), "the push has been told")
    api.post("/projects/team/repositories/app/artifacts/v1/tags", {"name": "v2"})
    api.delete("/projects/team/repositories/app/artifacts/v1")
    quiet(server, registry, api, images)
    assert [(kind, source) for kind, source, _ in events(api, "team")] == [
        ("PUSH_ARTIFACT", "distribution"), ("PUSH_ARTIFACT", "gateway"), ("DELETE_ARTIFACT", "gateway")]


def test_a_source_that_is_not_there_is_refused_at_start(new_server):
    server = new_server(start=False, settings={"ingest.behind_gateway": "nobody"})
    assert "ingest.behind_gateway names the source nobody, which has no token" in server.refusal()[1]
