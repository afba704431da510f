/* SPDX-License-Identifier: MIT */
/*
 * Members of a JSON object, written as they come. What is printed is always
 * UTF-8, whatever bytes a name or a line has.
 */
#include "json.h"

#include "escape.h"
#include "tool.h"

#include <inttypes.h>
#include <string.h>

static void put_key(FILE *out, const char *key)
{
    fprintf(out, ",\"%s\":", key);
}

void json_begin(FILE *out, const char *type)
{
    fprintf(out, "{\"type\":\"%s\"", type);
}

void json_end(FILE *out)
{
    fputs("}\n", out);
}

void json_string(FILE *out, const char *key, const char *value)
{
    if (!value) {
        json_null(out, key);
        return;
    }
    struct json_text text;
    json_text_begin(out, &text, key);
    json_text_add(out, &text, value, strlen(value));
    json_text_end(out, &text);
}

void json_integer(FILE *out, const char *key, int64_t value)
{
    put_key(out, key);
    fprintf(out, "%" PRId64, value);
}

void json_boolean(FILE *out, const char *key, bool value)
{
    put_key(out, key);
    fputs(value ? "true" : "false", out);
}

void json_null(FILE *out, const char *key)
{
    put_key(out, key);
    fputs("null", out);
}

void json_seconds(FILE *out, const char *key, int64_t ns)
{
    put_key(out, key);
    fprintf(out, "%" PRId64 ".%06" PRId64, ns / NS_PER_SECOND, ns % NS_PER_SECOND / 1000);
}

static void put_ascii(FILE *out, unsigned char c)
{
    static const char escaped[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *found = c ? strchr(escaped, c) : NULL;
    if (found)
        fprintf(out, "\\%c", letters[found - escaped]);
    else if (c < 0x20 || c == 0x7f)
        fprintf(out, "\\u%04x", c);
    else
        fputc(c, out);
}

/* JSON allows the controls above ASCII as they are; a terminal that it is shown
   on would act upon them. All of them are below U+10000. */
static void put_character(FILE *out, const char *bytes, size_t length)
{
    uint32_t character;
    next_character(bytes, length, &character);
    if (is_control(character))
        fprintf(out, "\\u%04" PRIx32, character);
    else
        fwrite(bytes, 1, length, out);
}

static void expect_next(struct json_text *text, unsigned char lowest, unsigned char highest)
{
    text->lowest = lowest;
    text->highest = highest;
}

/* The bounds on the second byte exclude overlong forms, surrogates and what
   lies above U+10FFFF. */
static void put_first(FILE *out, struct json_text *text, unsigned char c)
{
    if (c < 0x80) {
        put_ascii(out, c);
        return;
    }
    if (c < 0xc2 || c > 0xf4) {
        fputs("\\ufffd", out);
        return;
    }
    text->missing = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    text->character[0] = c;
    text->length = 1;
    expect_next(text, c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80, c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf);
}

static void put_byte(FILE *out, struct json_text *text, unsigned char c)
{
    if (text->missing && (c < text->lowest || c > text->highest)) {
        fputs("\\ufffd", out);
        text->missing = 0;
    }
    if (!text->missing) {
        put_first(out, text, c);
        return;
    }
    text->character[text->length++] = c;
    expect_next(text, 0x80, 0xbf);
    if (--text->missing == 0)
        put_character(out, (const char *)text->character, (size_t)text->length);
}

void json_text_begin(FILE *out, struct json_text *text, const char *key)
{
    put_key(out, key);
    fputc('"', out);
    *text = (struct json_text){ .missing = 0 };
}

void json_text_add(FILE *out, struct json_text *text, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        put_byte(out, text, (unsigned char)bytes[i]);
}

void json_text_end(FILE *out, struct json_text *text)
{
    fputs(text->missing ? "\\ufffd\"" : "\"", out);
}
