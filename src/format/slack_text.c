// SPDX-License-Identifier: Apache-2.0
#include "format/slack_text.h"

#include "base/utf8.h"

// One character as it is sent: itself, an entity, or what stands for it.
struct unit {
  struct str text;
  size_t chars;
};

static struct unit unit_of(struct str text) {
  return (struct unit){text, text.len}; // for ASCII
}

// Control characters, line separators and direction marks: they break lines or reorder what a reader sees.
static bool is_disturbing(uint32_t c) {
  if (c < 0x20 || (c >= 0x7F && c <= 0x9F))
    return true;
  return c == 0x2028 || c == 0x2029 || c == 0x200E || c == 0x200F || (c >= 0x202A && c <= 0x202E) ||
         (c >= 0x2066 && c <= 0x2069);
}

static struct unit next_unit(struct str *rest, enum slack_style style) {
  uint32_t c;
  size_t len = utf8_next(*rest, &c);

  if (len == 0) { // a malformed byte
    *rest = str_from(*rest, 1);
    return (struct unit){STR("\xEF\xBF\xBD"), 1};
  }
  struct str itself = str_slice(*rest, 0, len);
  *rest = str_from(*rest, len);
  if (c == '&')
    return unit_of(STR("&amp;"));
  if (c == '<')
    return unit_of(STR("&lt;"));
  if (c == '>')
    return unit_of(STR("&gt;"));
  if (style == SLACK_DETAILS && (c == '\n' || c == '\t' || c == '`'))
    return unit_of(itself);
  if (c == '`')
    return unit_of(STR("'"));
  if (is_disturbing(c))
    return unit_of(STR(" "));
  return (struct unit){itself, 1};
}

static bool fits(enum slack_style style, struct str text, size_t max_chars) {
  size_t chars = 0;

  while (text.len > 0 && chars <= max_chars)
    chars += next_unit(&text, style).chars;
  return chars <= max_chars;
}

void slack_put(struct buf *out, enum slack_style style, struct str text, size_t max_chars) {
  bool whole = fits(style, text, max_chars);
  size_t left = whole ? max_chars : max_chars - 1;

  if (style == SLACK_CODE)
    buf_put_char(out, '`');
  while (text.len > 0) {
    struct unit unit = next_unit(&text, style);
    if (unit.chars > left)
      break;
    buf_put(out, unit.text);
    left -= unit.chars;
  }
  if (!whole)
    buf_put_c(out, "\xE2\x80\xA6"); // U+2026
  if (style == SLACK_CODE)
    buf_put_char(out, '`');
}

void slack_put_size(struct buf *out, int64_t size_bytes) {
  static const char UNITS[] = "KMGTPE";
  uint64_t size = size_bytes < 0 ? 0 : (uint64_t)size_bytes, unit = 1024;
  size_t i = 0;

  if (size < 1024) {
    buf_put_i64(out, size_bytes);
    buf_put_c(out, " B");
    return;
  }
  for (; i < sizeof(UNITS) - 2 && size / unit >= 1024; i++)
    unit *= 1024;
  // Tenths, half to even as printf rounds; integers only, so that no locale and no rounding mode has a say.
  uint64_t tenths = size % unit * 10 / unit, rest = size % unit * 10 % unit;
  if (rest * 2 > unit || (rest * 2 == unit && tenths % 2 == 1))
    tenths++;
  buf_put_i64(out, (int64_t)(size / unit + tenths / 10));
  buf_printf(out, ".%u %ciB", (unsigned)(tenths % 10), UNITS[i]);
}
