-- SPDX-License-Identifier: Apache-2.0
-- The catalogue's two busy tables without AUTOINCREMENT and foreign keys, as the tables that events fill: each push paid a
-- scan and a write of sqlite_sequence and three look-ups of rows that the same transaction had just found, a twentieth of
-- an event. Deletes go from the tag up in one transaction, and store_check looks for orphans.

CREATE TABLE tag_moving AS SELECT * FROM tag;
CREATE TABLE artifact_moving AS SELECT * FROM artifact;
DROP TABLE tag;
DROP TABLE artifact;

CREATE TABLE artifact (
  id INTEGER PRIMARY KEY,
  repository_id INTEGER NOT NULL,
  digest TEXT NOT NULL,
  media_type TEXT NOT NULL,
  platform TEXT NOT NULL,
  kind INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL,
  pushed_us INTEGER NOT NULL,
  pulled_us INTEGER NOT NULL DEFAULT 0,
  incomplete INTEGER NOT NULL,
  UNIQUE (repository_id, digest)
) STRICT;
INSERT INTO artifact SELECT * FROM artifact_moving ORDER BY id;
CREATE INDEX artifact_incomplete ON artifact(id) WHERE incomplete = 1;
CREATE INDEX artifact_pushed ON artifact(repository_id, pushed_us, id, size_bytes);
DROP TABLE artifact_moving;

CREATE TABLE tag (
  id INTEGER PRIMARY KEY,
  repository_id INTEGER NOT NULL,
  artifact_id INTEGER NOT NULL,
  name TEXT NOT NULL,
  pushed_us INTEGER NOT NULL,
  pulled_us INTEGER NOT NULL DEFAULT 0,
  removed_us INTEGER,
  removed_request TEXT,
  UNIQUE (repository_id, name)
) STRICT;
INSERT INTO tag SELECT * FROM tag_moving ORDER BY id;
CREATE INDEX tag_artifact ON tag(artifact_id, id);
CREATE INDEX tag_removed ON tag(removed_us) WHERE removed_us IS NOT NULL;
CREATE INDEX tag_pushed ON tag(repository_id, pushed_us, id, removed_us) WHERE removed_us IS NULL;
DROP TABLE tag_moving;
