// SPDX-License-Identifier: Apache-2.0
#include "base/rfc3339.h"

// The calendar is computed here (proleptic Gregorian): gmtime and strptime know time zones and locales.
static const int64_t SECOND_US = 1000000, DAY_S = 86400, HOUR_S = 3600, MINUTE_S = 60;
static const int64_t FIRST_S = INT64_C(-62135596800); // 0001-01-01T00:00:00Z
static const int64_t LAST_S = INT64_C(253402300799);  // 9999-12-31T23:59:59Z

enum { DAYS_PER_ERA = 146097, DAYS_TO_EPOCH = 719468 }; // 400 years; from 0000-03-01 to 1970-01-01

static const char *const DAY_NAMES[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
static const char MONTH_NAMES[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

struct civil {
  int year, month, day, hour, minute, second, micros;
};

// A reader of fixed texts: `ok` goes false at the first thing that is not as said, and stays so.
struct reader {
  struct str rest;
  bool ok;
};

// Three letters, 1 is January.
static const char *month_text(int month) {
  return MONTH_NAMES + (size_t)3 * (size_t)(month - 1);
}

static int64_t days_from_civil(int year, int month, int day) {
  // Years start in March, so that the leap day is the last day of a year.
  int y = month <= 2 ? year - 1 : year;
  int era = (y >= 0 ? y : y - 399) / 400;
  int year_of_era = y - era * 400;
  int day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

  return (int64_t)era * DAYS_PER_ERA + day_of_era - DAYS_TO_EPOCH;
}

static void civil_from_days(int64_t days, struct civil *out) {
  int64_t shifted = days + DAYS_TO_EPOCH;
  int64_t era = (shifted >= 0 ? shifted : shifted - DAYS_PER_ERA + 1) / DAYS_PER_ERA;
  int day_of_era = (int)(shifted - era * DAYS_PER_ERA);
  int year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int march_month = (5 * day_of_year + 2) / 153;

  out->day = day_of_year - (153 * march_month + 2) / 5 + 1;
  out->month = march_month < 10 ? march_month + 3 : march_month - 9;
  out->year = (int)(year_of_era + era * 400) + (out->month <= 2 ? 1 : 0);
}

static int days_in_month(int year, int month) {
  static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

  return month == 2 && leap ? 29 : DAYS[month - 1];
}

// Split, held within the years that RFC 3339 can write. Returns the day of the week, 0 is Sunday.
static int civil_from_us(int64_t unix_us, struct civil *out) {
  int64_t seconds = unix_us / SECOND_US;
  int64_t micros = unix_us % SECOND_US;

  if (micros < 0) {
    micros += SECOND_US;
    seconds--;
  }
  if (seconds < FIRST_S) {
    seconds = FIRST_S;
    micros = 0;
  } else if (seconds > LAST_S) {
    seconds = LAST_S;
    micros = SECOND_US - 1;
  }
  int64_t days = seconds / DAY_S;
  int64_t left = seconds % DAY_S;
  if (left < 0) {
    left += DAY_S;
    days--;
  }
  civil_from_days(days, out);
  out->hour = (int)(left / 3600);
  out->minute = (int)(left / 60 % 60);
  out->second = (int)(left % 60);
  out->micros = (int)micros;
  return (int)(((days + 4) % 7 + 7) % 7); // 1970-01-01 was a Thursday
}

// Check the ranges and join. `offset_s` is what the text's clock is ahead of UTC.
static bool us_from_civil(const struct civil *c, int64_t offset_s, int64_t *unix_us) {
  if (c->year < 1 || c->year > 9999 || c->month < 1 || c->month > 12 || c->day < 1 ||
      c->day > days_in_month(c->year, c->month) || c->hour > 23 || c->minute > 59 || c->second > 60)
    return false;

  int64_t seconds = days_from_civil(c->year, c->month, c->day) * DAY_S + c->hour * HOUR_S + c->minute * MINUTE_S +
                    c->second - offset_s;
  // A leap second is the last of a UTC day (RFC 3339 5.7); Unix time counts it as the first of the next.
  if (c->second == 60 && seconds % DAY_S != 0)
    return false;
  if (seconds < FIRST_S || seconds > LAST_S)
    return false;
  *unix_us = seconds * SECOND_US + c->micros;
  return true;
}

static bool next_is(const struct reader *r, char c) {
  return r->ok && r->rest.len > 0 && r->rest.ptr[0] == c;
}

static void expect(struct reader *r, const char *text) {
  r->ok = r->ok && str_starts_c(r->rest, text);
  if (r->ok)
    r->rest = str_from(r->rest, strlen(text));
}

static int digits(struct reader *r, size_t count) {
  int value = 0;

  if (!r->ok || r->rest.len < count) {
    r->ok = false;
    return 0;
  }
  for (size_t i = 0; i < count; i++) {
    char c = r->rest.ptr[i];
    if (c < '0' || c > '9') {
      r->ok = false;
      return 0;
    }
    value = value * 10 + (c - '0');
  }
  r->rest = str_from(r->rest, count);
  return value;
}

static void time_of_day(struct reader *r, struct civil *c) {
  c->hour = digits(r, 2);
  expect(r, ":");
  c->minute = digits(r, 2);
  expect(r, ":");
  c->second = digits(r, 2);
}

// ".123456789" as microseconds, cut, not rounded: a time is never later than it was.
static int fraction(struct reader *r) {
  int micros = 0, count = 0;

  if (!next_is(r, '.'))
    return 0;
  expect(r, ".");
  while (r->ok && r->rest.len > 0 && r->rest.ptr[0] >= '0' && r->rest.ptr[0] <= '9') {
    int digit = digits(r, 1);
    if (count++ < 6)
      micros = micros * 10 + digit;
  }
  if (count < 1 || count > 9)
    r->ok = false;
  for (; count < 6; count++)
    micros *= 10;
  return micros;
}

static int64_t offset(struct reader *r) {
  if (next_is(r, 'Z') || next_is(r, 'z')) {
    r->rest = str_from(r->rest, 1);
    return 0;
  }
  bool behind = next_is(r, '-');
  expect(r, behind ? "-" : "+");
  int hours = digits(r, 2);
  expect(r, ":");
  int minutes = digits(r, 2);
  if (hours > 23 || minutes > 59)
    r->ok = false;
  int64_t seconds = hours * 3600 + minutes * 60;
  return behind ? -seconds : seconds;
}

bool rfc3339_read(struct str s, int64_t *unix_us) {
  struct reader r = {s, true};
  struct civil c = {0};
  int64_t us;

  c.year = digits(&r, 4);
  expect(&r, "-");
  c.month = digits(&r, 2);
  expect(&r, "-");
  c.day = digits(&r, 2);
  expect(&r, next_is(&r, 't') ? "t" : "T");
  time_of_day(&r, &c);
  c.micros = fraction(&r);
  int64_t offset_s = offset(&r);
  if (!r.ok || r.rest.len != 0 || !us_from_civil(&c, offset_s, &us))
    return false;
  *unix_us = us == FIRST_S * SECOND_US ? RFC3339_ZERO_US : us;
  return true;
}

static char *put_digits(char *to, int value, int count) {
  for (int i = count - 1; i >= 0; i--, value /= 10)
    to[i] = (char)('0' + value % 10);
  return to + count;
}

static char *put_text(char *to, const char *text, size_t len) {
  memcpy(to, text, len);
  return to + len;
}

static char *put_time_of_day(char *to, const struct civil *c) {
  to = put_digits(to, c->hour, 2);
  *to++ = ':';
  to = put_digits(to, c->minute, 2);
  *to++ = ':';
  return put_digits(to, c->second, 2);
}

const char *rfc3339_write(int64_t unix_us, int fraction_digits, char out[static RFC3339_BYTES]) {
  struct civil c;
  char *to = out;

  (void)civil_from_us(unix_us, &c);
  to = put_digits(to, c.year, 4);
  *to++ = '-';
  to = put_digits(to, c.month, 2);
  *to++ = '-';
  to = put_digits(to, c.day, 2);
  *to++ = 'T';
  to = put_time_of_day(to, &c);
  if (fraction_digits >= 3) {
    *to++ = '.';
    to = fraction_digits >= 6 ? put_digits(to, c.micros, 6) : put_digits(to, c.micros / 1000, 3);
  }
  *to++ = 'Z';
  *to = '\0';
  return out;
}

static int month_name(struct reader *r) {
  for (int month = 1; month <= 12 && r->ok && r->rest.len >= 3; month++) {
    if (memcmp(r->rest.ptr, month_text(month), 3) == 0) {
      r->rest = str_from(r->rest, 3);
      return month;
    }
  }
  r->ok = false;
  return 1;
}

// "Sun" or, when `full`, "Sunday". That the name fits the date is the sender's business.
static bool day_name(struct reader *r, bool full) {
  for (size_t i = 0; i < ARRAY_LEN(DAY_NAMES); i++) {
    struct str name = str_of(DAY_NAMES[i]);
    if (!full)
      name.len = 3;
    if (str_starts(r->rest, name)) {
      r->rest = str_from(r->rest, name.len);
      return true;
    }
  }
  return false;
}

// Sun, 06 Nov 1994 08:49:37 GMT
static void imf_fixdate(struct reader *r, struct civil *c) {
  expect(r, ", ");
  c->day = digits(r, 2);
  expect(r, " ");
  c->month = month_name(r);
  expect(r, " ");
  c->year = digits(r, 4);
  expect(r, " ");
  time_of_day(r, c);
  expect(r, " GMT");
}

// Sunday, 06-Nov-94 08:49:37 GMT
static void rfc850_date(struct reader *r, struct civil *c) {
  expect(r, ", ");
  c->day = digits(r, 2);
  expect(r, "-");
  c->month = month_name(r);
  expect(r, "-");
  int year = digits(r, 2);
  c->year = year < 69 ? 2000 + year : 1900 + year; // POSIX' pivot: "now" is not known here
  expect(r, " ");
  time_of_day(r, c);
  expect(r, " GMT");
}

// Sun Nov  6 08:49:37 1994
static void asctime_date(struct reader *r, struct civil *c) {
  expect(r, " ");
  c->month = month_name(r);
  expect(r, " ");
  if (next_is(r, ' ')) {
    expect(r, " ");
    c->day = digits(r, 1);
  } else {
    c->day = digits(r, 2);
  }
  expect(r, " ");
  time_of_day(r, c);
  expect(r, " ");
  c->year = digits(r, 4);
}

bool http_date_read(struct str s, int64_t *unix_us) {
  struct reader r = {s, true};
  struct civil c = {0};

  if (day_name(&r, true))
    rfc850_date(&r, &c);
  else if (!day_name(&r, false))
    return false;
  else if (next_is(&r, ','))
    imf_fixdate(&r, &c);
  else
    asctime_date(&r, &c);
  return r.ok && r.rest.len == 0 && us_from_civil(&c, 0, unix_us);
}

const char *http_date_write(int64_t unix_us, char out[static 30]) {
  struct civil c;
  int weekday = civil_from_us(unix_us, &c);
  char *to = put_text(out, DAY_NAMES[weekday], 3);

  to = put_text(to, ", ", 2);
  to = put_digits(to, c.day, 2);
  *to++ = ' ';
  to = put_text(to, month_text(c.month), 3);
  *to++ = ' ';
  to = put_digits(to, c.year, 4);
  *to++ = ' ';
  to = put_time_of_day(to, &c);
  to = put_text(to, " GMT", 4);
  *to = '\0';
  return out;
}
