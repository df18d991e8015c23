// SPDX-License-Identifier: Apache-2.0
// What every foreign format is turned into: a notification that is an event, or one that is not, with the reason. Plain
// values whose strings are views into the request's body or live in its arena.
#ifndef HARBINGER_INGEST_NOTIFICATION_H
#define HARBINGER_INGEST_NOTIFICATION_H

#include "event/event.h"

// What became of a notification. All but the first are kept in the ingest log by their name.
enum notification_outcome {
  NOTIFICATION_EVENT,
  NOTIFICATION_DUPLICATE,       // its key was seen in the last 48 hours
  NOTIFICATION_UNWANTED_PULL,   // no enabled policy asks for it: not written (docs/guarantees.md)
  NOTIFICATION_NO_PROJECT,      // unknown, and ingest.unknown_project is refuse
  NOTIFICATION_NO_PROJECT_NAME, // the first path component cannot be a project in Harbor's grammar
  NOTIFICATION_BLOB,
  NOTIFICATION_HEAD,
  NOTIFICATION_METHOD, // a pull that was no GET
  NOTIFICATION_OWN,    // of our own request: a question, or what came through the gateway and is an event already
  NOTIFICATION_MOUNT,
  NOTIFICATION_TAG_OF_DELETE, // the event is that of the digest
  NOTIFICATION_REPOSITORY,    // a delete that names neither digest nor tag
  NOTIFICATION_UNKNOWN_ACTION,
  NOTIFICATION_MALFORMED,
  NOTIFICATION_REFUSED, // the store could not take it, and never will
  NOTIFICATION_OUTCOME_COUNT,
};

struct notification {
  enum notification_outcome outcome; // after reading; the commit may change NOTIFICATION_EVENT into one of the others
  struct event *event;               // while it is NOTIFICATION_EVENT, else NULL
  int64_t source_time_us;            // as the source said it; 0 when it did not
  struct str id;                     // the source's; empty: repetitions cannot be recognised
  struct str action, repository, reference; // as sent, cut: for the ingest log
  struct {                                  // NOTIFICATION_TAG_OF_DELETE
    struct str project, repository, request_id;
  } tag;
};

// What reading needs to know besides the text.
struct notification_rules {
  struct str instance;        // the source's name in the configuration
  struct str default_project; // of names without a slash
  struct str external_host;   // empty: what the client asked for
  struct str own_user_agent;  // a request of that one is NOTIFICATION_OWN; empty: none is
  int64_t received_us;        // for notifications without a time of their own
};

const char *notification_outcome_name(enum notification_outcome outcome); // "tag of a delete"

#endif
