// SPDX-License-Identifier: Apache-2.0
// What administrators read: notifications that made no event, and who changed what.
#include "api/routes.h"
#include "store/settings.h"

enum { LOGS_MAX_ROWS = 1000 };

static int log_query(struct api_call *call, struct query *query, struct error *err) {
  int rc = call_list_query(call, LOGS_MAX_ROWS, query, err);

  return rc == 0 ? call_require(call, AUTH_ADMINISTER, err) : rc;
}

static void write_note(const struct ingest_note *note, struct json_writer *w) {
  json_object_begin(w);
  json_field_str_opt(w, "action", note->action);
  call_field_time_ms(w, "at", note->at_us);
  json_field_i64(w, "id", note->id);
  json_field_str_opt(w, "instance", note->instance);
  json_field_str_opt(w, "notification_id", note->notification_id);
  json_field_str(w, "reason", note->reason);
  json_field_str_opt(w, "reference", note->reference);
  json_field_str_opt(w, "repository", note->repository);
  json_field_str(w, "source", note->source);
  json_object_end(w);
}

int ingest_log_list(struct api_call *call, struct error *err) {
  struct query query;
  struct ingest_note *notes;
  size_t len;
  int64_t total;
  int rc = log_query(call, &query, err);

  if (rc == 0)
    rc = ingest_note_list(call->conn, &query, call->arena, &notes, &len, &total, err);
  if (rc == 0)
    rc = call_page_headers(call, &query, total, err);
  if (rc != 0)
    return rc;
  struct json_writer w = call_json(call);
  json_array_begin(&w);
  for (size_t i = 0; i < len; i++)
    write_note(&notes[i], &w);
  json_array_end(&w);
  return 0;
}

static void write_fields(struct str fields, struct json_writer *w) {
  struct str field;

  if (fields.len == 0)
    return;
  json_key(w, "fields");
  json_array_begin(w);
  while (str_next(&fields, ',', &field))
    json_put_str(w, str_trim(field));
  json_array_end(w);
}

static void write_audit(const struct audit_entry *entry, struct json_writer *w) {
  json_object_begin(w);
  json_field_str(w, "actor", entry->actor);
  json_field_str_opt(w, "address", entry->address);
  call_field_time_ms(w, "at", entry->at_us);
  write_fields(entry->fields, w);
  json_field_i64(w, "id", entry->id);
  json_field_str(w, "kind", entry->kind);
  json_field_str(w, "operation", entry->operation);
  json_field_str_opt(w, "project", entry->project);
  json_field_str_opt(w, "request_id", entry->request_id);
  json_field_str(w, "subject", entry->subject);
  json_object_end(w);
}

int audit_log_list(struct api_call *call, struct error *err) {
  struct query query;
  struct audit_entry *entries;
  size_t len;
  int64_t total;
  int rc = log_query(call, &query, err);

  if (rc == 0)
    rc = audit_list(call->conn, &query, call->arena, &entries, &len, &total, err);
  if (rc == 0)
    rc = call_page_headers(call, &query, total, err);
  if (rc != 0)
    return rc;
  struct json_writer w = call_json(call);
  json_array_begin(&w);
  for (size_t i = 0; i < len; i++)
    write_audit(&entries[i], &w);
  json_array_end(&w);
  return 0;
}
