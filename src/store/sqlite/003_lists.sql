-- SPDX-License-Identifier: Apache-2.0
-- Lists in the order in which people see them first, and counts, from an index alone: without, a page of a project with
-- 100,000 repositories, or of a repository with as many artifacts, reads and sorts all of them. `id`, `size_bytes` and
-- `removed_us` are there so that no row is fetched for them.

CREATE INDEX project_created ON project(created_us) WHERE deleted_us IS NULL;
CREATE INDEX repository_created ON repository(project_id, created_us);
CREATE INDEX repository_updated ON repository(project_id, updated_us);
CREATE INDEX artifact_pushed ON artifact(repository_id, pushed_us, id, size_bytes);
CREATE INDEX tag_pushed ON tag(repository_id, pushed_us, id, removed_us) WHERE removed_us IS NULL;
