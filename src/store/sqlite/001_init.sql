-- SPDX-License-Identifier: Apache-2.0
-- The first schema. Times are microseconds since the Unix epoch (_us); enums are the numbers of their C headers.
--
-- Tables that people fill (project, policy, target, user ...) use AUTOINCREMENT and foreign keys. The tables that events
-- fill use neither: their keys only grow because the newest event and the newest delivery are never trimmed, and
-- store_check looks for orphans instead, so that an insert is one append to each B-tree and no look-up.

CREATE TABLE user (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  email TEXT NOT NULL,
  realname TEXT NOT NULL,
  comment TEXT NOT NULL,
  password_hash TEXT NOT NULL,
  is_admin INTEGER NOT NULL,
  disabled INTEGER NOT NULL,
  created_us INTEGER NOT NULL,
  updated_us INTEGER NOT NULL
) STRICT;

CREATE TABLE token (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id INTEGER NOT NULL REFERENCES user(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  mac BLOB NOT NULL UNIQUE,
  created_us INTEGER NOT NULL,
  expires_us INTEGER NOT NULL,
  used_us INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX token_user ON token(user_id, id);

-- seq: the last sequence number given to an event of the project; raised only in the transaction of that event.
-- deleted_us: the row stays until its last event is trimmed, so that history keeps its name.
CREATE TABLE project (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  owner_id INTEGER NOT NULL,
  owner_name TEXT NOT NULL,
  is_public INTEGER NOT NULL,
  metadata TEXT NOT NULL,
  storage_limit INTEGER NOT NULL,
  seq INTEGER NOT NULL DEFAULT 0,
  created_us INTEGER NOT NULL,
  updated_us INTEGER NOT NULL,
  deleted_us INTEGER
) STRICT;
CREATE UNIQUE INDEX project_name ON project(name) WHERE deleted_us IS NULL;
CREATE INDEX project_deleted ON project(id) WHERE deleted_us IS NOT NULL;

-- event_types: names by comma in the order given.
CREATE TABLE policy (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  project_id INTEGER NOT NULL REFERENCES project(id),
  name TEXT NOT NULL,
  description TEXT NOT NULL,
  creator TEXT NOT NULL,
  enabled INTEGER NOT NULL,
  event_types TEXT NOT NULL,
  tagged_only INTEGER NOT NULL,
  created_us INTEGER NOT NULL,
  updated_us INTEGER NOT NULL,
  deleted_us INTEGER
) STRICT;
CREATE UNIQUE INDEX policy_name ON policy(project_id, name) WHERE deleted_us IS NULL;
CREATE INDEX policy_project ON policy(project_id);
CREATE INDEX policy_deleted ON policy(id) WHERE deleted_us IS NOT NULL;

-- address, auth_header: sealed (base/crypto.h). Deliveries with an id below cancel_below that still wait are cancelled,
-- true for every reader at once; the sweep has rewritten the rows of those below swept_below.
CREATE TABLE target (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  policy_id INTEGER NOT NULL REFERENCES policy(id),
  position INTEGER NOT NULL,
  type INTEGER NOT NULL,
  address BLOB NOT NULL,
  auth_header BLOB NOT NULL,
  skip_cert_verify INTEGER NOT NULL,
  format INTEGER NOT NULL,
  extras INTEGER NOT NULL,
  suspended INTEGER NOT NULL DEFAULT 0,
  suspended_reason TEXT NOT NULL DEFAULT '',
  cancel_below INTEGER NOT NULL DEFAULT 0,
  cancelled_us INTEGER NOT NULL DEFAULT 0,
  swept_below INTEGER NOT NULL DEFAULT 0,
  deleted_us INTEGER
) STRICT;
CREATE INDEX target_policy ON target(policy_id, position);
CREATE INDEX target_unswept ON target(id) WHERE swept_below < cancel_below;
CREATE INDEX target_deleted ON target(id) WHERE deleted_us IS NOT NULL;

-- When a policy last made a delivery for a type of event, to the second: written at most once a second and row.
CREATE TABLE last_trigger (
  policy_id INTEGER NOT NULL REFERENCES policy(id) ON DELETE CASCADE,
  event_type INTEGER NOT NULL,
  at_us INTEGER NOT NULL,
  PRIMARY KEY (policy_id, event_type)
) STRICT, WITHOUT ROWID;

-- uuid is version 7 of one generator: its index only appends.
CREATE TABLE event (
  id INTEGER PRIMARY KEY,
  uuid BLOB NOT NULL UNIQUE,
  project_id INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  type INTEGER NOT NULL,
  occurred_us INTEGER NOT NULL,
  recorded_us INTEGER NOT NULL,
  repository TEXT NOT NULL,
  json TEXT NOT NULL,
  UNIQUE (project_id, seq)
) STRICT;

CREATE TABLE delivery (
  id INTEGER PRIMARY KEY,
  event_rowid INTEGER NOT NULL,
  policy_id INTEGER NOT NULL,
  target_id INTEGER NOT NULL,
  target_type INTEGER NOT NULL,
  event_type INTEGER NOT NULL,
  state INTEGER NOT NULL,
  prio INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  due_us INTEGER NOT NULL,
  created_us INTEGER NOT NULL,
  started_us INTEGER,
  ended_us INTEGER,
  last_status INTEGER,
  last_words TEXT
) STRICT;
-- What waits, in the order in which lanes take it. Pending and retrying only: a final delivery is in no index but the
-- two below. `state` is there so that the index alone answers: SQLite would fetch each row for it, implied or not.
CREATE INDEX delivery_waiting ON delivery(target_id, prio, due_us, id, state) WHERE state <= 1;
CREATE INDEX delivery_policy ON delivery(policy_id, id);
CREATE INDEX delivery_event ON delivery(event_rowid);

-- The bytes sent, once per event and format. Not WITHOUT ROWID: such a table keeps a quarter of a page of a row in place,
-- and a body of 1 KB would cost an overflow page each.
CREATE TABLE body (
  id INTEGER PRIMARY KEY,
  event_rowid INTEGER NOT NULL,
  format_key TEXT NOT NULL,
  data BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX body_event ON body(event_rowid, format_key);

-- id = delivery id * 1024 + number: the attempts of a delivery lie together and in order without a second index.
CREATE TABLE attempt (
  id INTEGER PRIMARY KEY,
  started_us INTEGER NOT NULL,
  ended_us INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  status INTEGER NOT NULL,
  words TEXT NOT NULL,
  request_headers TEXT NOT NULL,
  response_headers BLOB NOT NULL,
  response_body BLOB NOT NULL,
  dns_us INTEGER NOT NULL,
  connect_us INTEGER NOT NULL,
  tls_us INTEGER NOT NULL,
  first_byte_us INTEGER NOT NULL,
  total_us INTEGER NOT NULL,
  reused INTEGER NOT NULL
) STRICT;

CREATE TABLE repository (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  project_id INTEGER NOT NULL REFERENCES project(id),
  name TEXT NOT NULL,
  description TEXT NOT NULL DEFAULT '',
  pull_count INTEGER NOT NULL DEFAULT 0,
  created_us INTEGER NOT NULL,
  updated_us INTEGER NOT NULL,
  UNIQUE (project_id, name)
) STRICT;

-- size_bytes -1, empty texts: unknown. incomplete: worth asking the upstream, which is done once.
CREATE TABLE artifact (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  repository_id INTEGER NOT NULL REFERENCES repository(id),
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
CREATE INDEX artifact_incomplete ON artifact(id) WHERE incomplete = 1;

-- removed_request: the request id of a tag delete. The tag is out of sight, and a delete of its digest under the same
-- request id still lists it.
CREATE TABLE tag (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  repository_id INTEGER NOT NULL REFERENCES repository(id),
  artifact_id INTEGER NOT NULL REFERENCES artifact(id),
  name TEXT NOT NULL,
  pushed_us INTEGER NOT NULL,
  pulled_us INTEGER NOT NULL DEFAULT 0,
  removed_us INTEGER,
  removed_request TEXT,
  UNIQUE (repository_id, name)
) STRICT;
CREATE INDEX tag_artifact ON tag(artifact_id, id);
CREATE INDEX tag_removed ON tag(removed_us) WHERE removed_us IS NOT NULL;

CREATE TABLE setting (
  key TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
  id INTEGER PRIMARY KEY,
  at_us INTEGER NOT NULL,
  actor TEXT NOT NULL,
  address TEXT NOT NULL,
  request_id TEXT NOT NULL,
  operation TEXT NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL
) STRICT;

CREATE TABLE ingest_note (
  id INTEGER PRIMARY KEY,
  at_us INTEGER NOT NULL,
  source TEXT NOT NULL,
  instance TEXT NOT NULL,
  reason TEXT NOT NULL,
  action TEXT NOT NULL,
  repository TEXT NOT NULL,
  reference TEXT NOT NULL,
  notification_id TEXT NOT NULL
) STRICT;

-- One row that is written to learn whether a broken store works again.
CREATE TABLE probe (
  id INTEGER PRIMARY KEY,
  at_us INTEGER NOT NULL
) STRICT;
INSERT INTO probe (id, at_us) VALUES (1, 0);
