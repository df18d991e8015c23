# SPDX-License-Identifier: Apache-2.0
"""The catalogue over the API: repositories, artifacts, tags, as notifications told them, and from a real registry."""
import os

import pytest
from support.api import Api, links
from support.registry import envelope, notification
from support.waiting import wait_until


def digest():
    return "sha256:" + os.urandom(32).hex()


def repositories(project):
    return f"/projects/{project}/repositories"


def push(server, repository, tag=None, of=None, **fields):
    """Tells the server of a push; the digest."""
    of = of or digest()
    status, _, body = server.ingest(envelope(notification("push", repository, of, tag, **fields)))
    assert status == 200, body
    return of


def test_a_push_makes_repository_artifact_and_tag(api, server, project):
    docker = "application/vnd.docker.distribution.manifest.v2+json"
    one = push(server, f"{project}/web/api", "v1", size=528, media_type=docker)
    repository = api.get(repositories(project)).json[0]
    assert list(repository) == ["artifact_count", "creation_time", "id", "name", "project_id", "pull_count", "update_time",
                                "harbinger"]
    assert (repository["name"], repository["artifact_count"]) == (f"{project}/web/api", 1)
    artifact = api.get(f"{repositories(project)}/web%252Fapi/artifacts/v1").json
    assert (artifact["digest"], artifact["type"], artifact["repository_name"]) == (one, "IMAGE", f"{project}/web/api")
    assert artifact["manifest_media_type"] == docker
    assert artifact["pull_time"] == "0001-01-01T00:00:00.000Z" and artifact["push_time"] > "2026"
    tag = artifact["tags"][0]
    assert list(tag) == ["artifact_id", "id", "immutable", "name", "pull_time", "push_time", "repository_id"]
    assert (tag["name"], tag["artifact_id"], tag["repository_id"]) == ("v1", artifact["id"], repository["id"])
    assert api.get(f"/projects/{project}").json["repo_count"] == 1
    assert api.get(f"/projects/{project}/summary").json["repo_count"] == 1


@pytest.mark.parametrize("spelling", ["web/api", "web%2Fapi", "web%252Fapi"])
def test_the_slashes_of_a_name_are_encoded_twice_once_or_not(api, server, project, spelling):
    one = push(server, f"{project}/web/api", "v1")
    base = f"{repositories(project)}/{spelling}"
    assert api.get(base).json["name"] == f"{project}/web/api"
    assert [artifact["digest"] for artifact in api.get(f"{base}/artifacts").json] == [one]
    assert api.get(f"{base}/artifacts/{one}").json["digest"] == one
    assert [tag["name"] for tag in api.get(f"{base}/artifacts/{one}/tags").json] == ["v1"]
    for name in ("web%25zz", "web%2500", "web%25ff"):
        assert "not percent-encoded" in api.get(f"{repositories(project)}/{name}", expect=400).message


def test_a_tag_moves_with_a_push_and_artifacts_stay(api, server, project):
    old = push(server, f"{project}/app", "latest")
    new = push(server, f"{project}/app", "latest")
    push(server, f"{project}/app", "v2", of=new)
    base = f"{repositories(project)}/app/artifacts"
    assert api.get(f"{base}/latest").json["digest"] == new
    assert {one["digest"]: [tag["name"] for tag in one["tags"] or []] for one in api.get(base).json} == {
        old: [], new: ["latest", "v2"]}
    assert api.get(f"{base}/{old}").json["tags"] is None
    assert api.get(base, query={"with_tag": "false"}).json[0]["tags"] is None
    assert api.get(f"{base}/{new}/tags", query={"q": "name=~v"}).json[0]["name"] == "v2"


def test_a_delete_takes_the_artifact_with_its_tags(api, server, project):
    one = push(server, f"{project}/app", "v1")
    push(server, f"{project}/app", "v2")
    status, _, _ = server.ingest(envelope(notification("delete", f"{project}/app", digest=one)))
    assert status == 200
    base = f"{repositories(project)}/app/artifacts"
    assert api.get(f"{base}/{one}", expect=404).message == f"artifact {one} not found"
    api.get(f"{base}/v1", expect=404)
    assert [tag["name"] for tag in api.get(base).json[0]["tags"]] == ["v2"]


def test_lists_are_paged_and_filtered(api, server, project):
    for name in ("a", "b", "c"):
        push(server, f"{project}/{name}", "v1")
    path = repositories(project)
    first = api.get(path, query={"page_size": 2, "sort": "name"})
    assert [one["name"] for one in first.json] == [f"{project}/a", f"{project}/b"]
    assert first.header("X-Total-Count") == "3"
    assert [one["name"] for one in api.get(links(first)["next"]).json] == [f"{project}/c"]
    assert [one["name"] for one in api.get(path, query={"q": "name=~/b"}).json] == [f"{project}/b"]
    both = {one["name"] for one in api.get("/repositories", query={"q": f"name=~{project}/"}).json}
    assert both == {f"{project}/{name}" for name in "abc"}


def test_the_anonymous_read_public_projects_and_no_others(api, server, project):
    public = project + "-public"
    api.project(public, public=True)
    one = push(server, f"{public}/app", "v1")
    push(server, f"{project}/app", "v1", of=one)
    nobody = api.anonymous()
    base = f"{repositories(public)}/app"
    assert nobody.get(repositories(public)).json[0]["name"] == f"{public}/app"
    assert nobody.get(base).json["name"] == f"{public}/app"
    assert nobody.get(f"{base}/artifacts").json[0]["digest"] == one
    assert nobody.get(f"{base}/artifacts/v1").json["digest"] == one
    assert nobody.get(f"{base}/artifacts/v1/tags").json[0]["name"] == "v1"
    for path in ("", "/app", "/app/artifacts", "/app/artifacts/v1", "/app/artifacts/v1/tags"):
        nobody.get(repositories(project) + path, expect=401)
    nobody.delete(base, expect=401)
    seen = {one["name"] for one in nobody.get("/repositories", query={"page_size": 0}).json}
    assert f"{public}/app" in seen and f"{project}/app" not in seen


def test_what_is_not_there_is_named(api, server, project):
    push(server, f"{project}/app", "v1")
    assert api.get(f"{repositories(project)}/nothing", expect=404).message == f"repository {project}/nothing not found"
    assert api.get(f"{repositories(project)}/app/artifacts/v9", expect=404).message == "artifact v9 not found"
    api.get(f"{repositories(project)}/nothing/artifacts", expect=404)
    api.get(f"{repositories(project)}/app/artifacts/v9/tags", expect=404)


def test_changes_without_a_registry_are_412_with_what_to_do_and_rights_come_first(api, server, project):
    push(server, f"{project}/app", "v1")
    base = f"{repositories(project)}/app"
    for method, path, body in (("DELETE", base, None), ("DELETE", f"{base}/artifacts/v1", None),
                               ("POST", f"{base}/artifacts/v1/tags", {"name": "v2"}),
                               ("DELETE", f"{base}/artifacts/v1/tags/v1", None)):
        answer = api.request(method, path, body, expect=412)
        assert answer.code == "PRECONDITION" and "upstream.url" in answer.message
        api.anonymous().request(method, path, body, expect=401)
    for method, path, body in (("DELETE", f"{repositories(project)}/no", None), ("DELETE", f"{base}/artifacts/v9", None),
                               ("POST", f"{base}/artifacts/v9/tags", {"name": "v2"}),
                               ("DELETE", f"{base}/artifacts/v9/tags/v9", None),
                               ("DELETE", f"{base}/artifacts/v1/tags/v9", None)):
        api.request(method, path, body, expect=404)
    assert "cannot be a tag" in api.post(f"{base}/artifacts/v1/tags", {"name": ".x"}, expect=400).message
    assert api.get(f"{base}/artifacts/v1").json["tags"][0]["name"] == "v1"


def test_a_project_with_repositories_is_not_deleted(api, server, project):
    push(server, f"{project}/app", "v1")
    api.delete(f"/projects/{project}", expect=412)
    api.get(f"/projects/{project}")


def test_a_real_registry_fills_the_catalogue(api, project, registry, images):
    image = images.make()
    images.push(image, registry, f"{project}/app:v1")
    found = wait_until(lambda: api.get(repositories(project)).json, "the repository is known")
    assert found[0]["name"] == f"{project}/app"
    artifact = api.get(f"{repositories(project)}/app/artifacts/v1").json
    assert artifact["digest"] == images.digest(image)
    index = images.make_index()
    images.push(index, registry, f"{project}/app:multi", everything=True)
    multi = wait_until(lambda: next((one for one in api.get(f"{repositories(project)}/app/artifacts").json
                                     if [tag["name"] for tag in one["tags"] or []] == ["multi"]), None), "the index is known")
    assert multi["digest"] == images.digest(index) and multi["harbinger"]["kind"] == "index"
    assert api.get(f"{repositories(project)}/app").json["artifact_count"] == 4


def test_the_catalogue_outlives_a_restart(new_server):
    server = new_server()
    api = Api(server)
    one = push(server, "team/app", "v1")
    server.kill()
    server.start()
    assert api.get("/projects/team/repositories/app/artifacts/v1").json["digest"] == one
