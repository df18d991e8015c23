-- SPDX-License-Identifier: Apache-2.0
-- Three indexes that each event paid for and hardly anybody read. An event's uuid rises with its row's id, so that a
-- search by halves finds it (event_find.h). The first deliveries of an event have ids in a row, which the event names; only
-- a delivery made later (apart = 1) is in the index. A body's id tells its event: 4398046511104 + event * 1024 + a number.
--
-- The rows from before stay as they are, and in the indexes: apart is 1 for them, the bodies' ids are below. So both indexes
-- hold already what they hold as partial ones, and that of uuid is the same without the word UNIQUE in the table: only their
-- descriptions change, whatever the number of rows, and the second one of the table takes the name of the first.

ALTER TABLE delivery ADD COLUMN apart INTEGER NOT NULL DEFAULT 1;
ALTER TABLE event ADD COLUMN first_delivery INTEGER NOT NULL DEFAULT 0;
ALTER TABLE event ADD COLUMN deliveries INTEGER NOT NULL DEFAULT 0;
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'uuid BLOB NOT NULL UNIQUE', 'uuid BLOB NOT NULL') WHERE type = 'table' AND name = 'event';
UPDATE sqlite_schema SET name = 'event_uuid', sql = 'CREATE UNIQUE INDEX event_uuid ON event(uuid)' WHERE name = 'sqlite_autoindex_event_1';
UPDATE sqlite_schema SET name = 'sqlite_autoindex_event_1' WHERE name = 'sqlite_autoindex_event_2';
UPDATE sqlite_schema SET sql = 'CREATE INDEX delivery_event ON delivery(event_rowid) WHERE apart = 1' WHERE name = 'delivery_event';
UPDATE sqlite_schema SET sql = 'CREATE UNIQUE INDEX body_event ON body(event_rowid, format_key) WHERE id < 4398046511104' WHERE name = 'body_event';
PRAGMA writable_schema = RESET;
DROP INDEX event_uuid;
