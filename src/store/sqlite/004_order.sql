-- SPDX-License-Identifier: Apache-2.0
-- Strict order. Of a target with strict_order only the head waits in the index of what waits; its followers are held
-- (state 2) and go into it one by one, each with the commit that ends its predecessor. reordering: the switch was turned
-- and the sweep has not been over the target's rows yet.

ALTER TABLE target ADD COLUMN strict_order INTEGER NOT NULL DEFAULT 0;
ALTER TABLE target ADD COLUMN reordering INTEGER NOT NULL DEFAULT 0;
CREATE INDEX target_reordering ON target(id) WHERE reordering = 1;
-- The oldest held delivery of a target, from the index alone.
CREATE INDEX delivery_held ON delivery(target_id, id, state) WHERE state = 2;
