/* SPDX-License-Identifier: MIT */
/* One JSON object a line: json_begin, members, json_end. */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

void json_begin(FILE *out, const char *type);
void json_string(FILE *out, const char *key, const char *value); /* NULL gives null */
void json_integer(FILE *out, const char *key, int64_t value);
void json_boolean(FILE *out, const char *key, bool value);
void json_null(FILE *out, const char *key);
void json_seconds(FILE *out, const char *key, int64_t ns);
void json_end(FILE *out);

/* A string that comes in pieces: what is not UTF-8 becomes U+FFFD, also where a
   piece ends inside a character. */
struct json_text {
    unsigned char character[4]; /* its bytes so far */
    int length;
    int missing;
    unsigned char lowest, highest; /* what the next byte may be */
};

void json_text_begin(FILE *out, struct json_text *text, const char *key);
void json_text_add(FILE *out, struct json_text *text, const char *bytes, size_t count);
void json_text_end(FILE *out, struct json_text *text);

#endif
