-- SPDX-License-Identifier: Apache-2.0
-- The audit names what changed (never a value), and the project it changed in, so that one can list those of a project.
-- Entries from before have neither.

ALTER TABLE audit ADD COLUMN project TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN fields TEXT NOT NULL DEFAULT '';
CREATE INDEX audit_project ON audit(project, id);
