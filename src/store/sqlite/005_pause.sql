-- SPDX-License-Identifier: Apache-2.0
-- Pauses and dead targets. policy.hold: deliveries are made and wait, nothing is sent. target.failing_since_us: the first
-- failure since the last success, 0 after a success; written when that changes, not with each failure.
-- target.suspended_us: since when, 0 when it is not (or, from before this schema, not known).

ALTER TABLE policy ADD COLUMN hold INTEGER NOT NULL DEFAULT 0;
ALTER TABLE target ADD COLUMN failing_since_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE target ADD COLUMN suspended_us INTEGER NOT NULL DEFAULT 0;
