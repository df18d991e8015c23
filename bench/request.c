// SPDX-License-Identifier: Apache-2.0
#include "request.h"

#include "wall.h"

enum { BODY_BYTES = 1024 };
enum { MARK_TAG = '\1', MARK_ID = '\2', MARK_PROJECT = '\3' };
#define TAG "n\1\1\1\1\1\1\1\1\1\1"           // ten decimal digits
#define ID "\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2" // sixteen hexadecimal ones
#define PROJECT "p\3\3\3\3\3"                 // five decimal digits

static int notification(const struct request_plan *plan, char body[static BODY_BYTES + 1]) {
  unsigned long long nonce = plan->nonce;
  int len =
      snprintf(body, BODY_BYTES + 1,
               "{\"events\":[{\"id\":\"%016llx-" ID "\",\"timestamp\":\"2026-08-21T08:13:20.402973972Z\","
               "\"action\":\"push\",\"target\":{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\","
               "\"size\":528,\"digest\":\"sha256:%032llx%016llx" ID "\",\"length\":528,\"repository\":\"" PROJECT
               "/app\",\"url\":\"http://registry.example.com:5000/v2/" PROJECT "/app/manifests/latest\",\"tag\":\"" TAG
               "\"},\"request\":{\"id\":\"" ID
               "\",\"addr\":\"192.0.2.7:41952\",\"host\":\"registry.example.com:5000\",\"method\":\"PUT\","
               "\"useragent\":\"skopeo/1.9.3\"},\"actor\":{\"name\":\"alice\"},\"source\":{\"addr\":\"node:5000\","
               "\"instanceID\":\"a53db899-3b4b-4a62-a067-8dd013beaca4\"}}]}",
               nonce, 0ULL, nonce);
  if (len < 0 || len > BODY_BYTES)
    give_up("load", "the notification is too long");
  memset(body + len, ' ', (size_t)(BODY_BYTES - len));
  return BODY_BYTES;
}

// What the marks stand for is found once.
static void find_marks(struct request *request) {
  for (size_t at = 0; at < request->len;) {
    int what = request->bytes[at];
    size_t digits = 0;
    if (what != MARK_TAG && what != MARK_ID && what != MARK_PROJECT) {
      at++;
      continue;
    }
    while (at + digits < request->len && request->bytes[at + digits] == what)
      digits++;
    if (request->marks_len == MARKS_MAX)
      give_up("load", "too many marks");
    request->marks[request->marks_len++] = (struct mark){.at = at, .digits = digits, .what = what};
    at += digits;
  }
}

void request_make(struct request *request, const struct request_plan *plan) {
  char body[BODY_BYTES + 1];
  int len;

  *request = (struct request){0};
  if (plan->kind == REQUEST_MANIFEST) {
    len = snprintf(request->bytes, sizeof request->bytes,
                   "PUT %s" TAG " HTTP/1.1\r\nHost: %s\r\n"
                   "Content-Type: application/vnd.oci.image.manifest.v1+json\r\nContent-Length: %zu\r\n\r\n%s",
                   plan->path, plan->host, strlen(plan->body), plan->body);
  } else {
    int body_len = notification(plan, body);
    len = snprintf(request->bytes, sizeof request->bytes,
                   "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
                   "Content-Length: %d\r\n\r\n%s",
                   plan->path, plan->host, plan->token, body_len, body);
  }
  if (len < 0 || (size_t)len >= sizeof request->bytes)
    give_up("load", "the request is too long");
  request->len = (size_t)len;
  find_marks(request);
}

void request_number(struct request *request, uint64_t number, uint64_t project) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < request->marks_len; i++) {
    const struct mark *mark = &request->marks[i];
    uint64_t value = mark->what == MARK_PROJECT ? project : number, base = mark->what == MARK_ID ? 16 : 10;
    for (size_t digit = mark->digits; digit-- > 0; value /= base)
      request->bytes[mark->at + digit] = digits[value % base];
  }
}
