-- SPDX-License-Identifier: Apache-2.0
-- What is about to be done to the registry behind us and is not settled yet (registry/change.h). A row is open as long as it
-- is here: it is removed by the commit that makes its event, or that finds it did not happen. `reference` is the tag, or the
-- digest of a change by digest; `project` and `repository` are names, because the first push makes both. `before` is the digest
-- that the reference led to, '' for none; `existed`: the catalogue knew the digest. `forwards`: so often it may have been
-- forwarded. `told`: its event is there, but an older forward of the same bytes may still come.
CREATE TABLE intent (
  id INTEGER PRIMARY KEY,
  kind INTEGER NOT NULL,
  project TEXT NOT NULL,
  repository TEXT NOT NULL,
  reference TEXT NOT NULL,
  digest TEXT NOT NULL,
  before TEXT NOT NULL,
  existed INTEGER NOT NULL,
  forwards INTEGER NOT NULL,
  told INTEGER NOT NULL DEFAULT 0,
  opened_us INTEGER NOT NULL,
  event TEXT NOT NULL,
  UNIQUE (project, repository, reference)
) STRICT;

-- Bits: 1 the push changed nothing, 2 nobody saw it happen. Lists leave out the first unless they are asked for it.
ALTER TABLE event ADD COLUMN flags INTEGER NOT NULL DEFAULT 0;
CREATE INDEX event_flags ON event(flags) WHERE flags <> 0;
