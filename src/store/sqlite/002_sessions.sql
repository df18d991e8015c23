-- SPDX-License-Identifier: Apache-2.0
-- Sessions of people who signed in: the cookie's MAC, never the cookie. seen_us is written at most once a minute. Few
-- rows: so many per user as a setting allows, the oldest leave.

CREATE TABLE session (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id INTEGER NOT NULL REFERENCES user(id) ON DELETE CASCADE,
  mac BLOB NOT NULL UNIQUE,
  created_us INTEGER NOT NULL,
  seen_us INTEGER NOT NULL
) STRICT;
CREATE INDEX session_user ON session(user_id, id);
CREATE INDEX session_seen ON session(seen_us);
