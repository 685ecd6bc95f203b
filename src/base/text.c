/* SPDX-License-Identifier: MIT */

#include "base/text.h"

#include <string.h>

size_t utf8_length_max(const char *text, size_t max) {
        static const struct {
                unsigned char first, last, second_first, second_last, n;
        } forms[] = {
                { 0x01, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 },
                { 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
                { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
                { 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
                { 0xf4, 0xf4, 0x80, 0x8f, 4 },
        };
        const unsigned char *s = (const unsigned char *)text;

        for (size_t i = 0; i < ELEMENTSOF(forms); i++) {
                if (s[0] < forms[i].first || s[0] > forms[i].last)
                        continue;
                if (forms[i].n > max)
                        return 0;
                if (forms[i].n > 1 && (s[1] < forms[i].second_first || s[1] > forms[i].second_last))
                        return 0;
                for (size_t k = 2; k < forms[i].n; k++)
                        if (s[k] < 0x80 || s[k] > 0xbf)
                                return 0;
                return forms[i].n;
        }
        return 0;
}

size_t utf8_length(const char *text) {
        return utf8_length_max(text, SIZE_MAX);
}

uint32_t utf8_code_point(const char *text, size_t n) {
        const unsigned char *s = (const unsigned char *)text;
        uint32_t code = n == 1 ? s[0] : s[0] & (0x7fU >> n);

        for (size_t i = 1; i < n; i++)
                code = code << 6 | (s[i] & 0x3f);
        return code;
}

size_t text_unprintable(const char *text) {
        static const struct {
                uint32_t first, last;
        } ranges[] = {
                { 0x00, 0x1f },     { 0x7f, 0x9f },     { 0x61c, 0x61c },
                { 0x200e, 0x200f }, { 0x2028, 0x202e }, { 0x2066, 0x2069 },
        };
        uint32_t code;
        size_t n;

        if (*text >= ' ' && *text < 0x7f) /* most of all text */
                return 0;
        n = utf8_length(text);
        if (n == 0)
                return 1;
        code = utf8_code_point(text, n);
        for (size_t i = 0; i < ELEMENTSOF(ranges); i++)
                if (code >= ranges[i].first && code <= ranges[i].last)
                        return n;
        return 0;
}

char *text_clean(char *text) {
        char *from = text, *to = text;

        while (*from) {
                size_t bad = text_unprintable(from), n = bad > 0 ? bad : utf8_length(from);

                if (bad > 0) {
                        *to++ = *from == '\n' || *from == '\r' || *from == '\t' ? ' ' : '?';
                } else {
                        memmove(to, from, n);
                        to += n;
                }
                from += n;
        }
        while (to > text && to[-1] == ' ')
                to--;
        *to = '\0';
        return text;
}

void text_cut(char *text, size_t size) {
        size_t n = size - 4;

        while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
                n--;
        memcpy(text + n, "...", 4);
}

/* Git abbreviates the hash of a commit to this length. */
#define SHORT_HASH 7

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

static bool is_alphanumeric(char c) {
        return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_of_word(char c) {
        return is_alphanumeric(c) || (c != '\0' && strchr("._-+~", c));
}

/* How many characters at `text` are hexadecimal digits of a hash, one decimal digit among them at least;
 * 0: it is no hash. */
static size_t hash_length(const char *text) {
        size_t n = strspn(text, "0123456789abcdef");

        return n >= SHORT_HASH && strcspn(text, "0123456789") < n ? n : 0;
}

/*
 * The length of the number at `text`: a hash, or digits with dots in between; 0: there is none. `before` is the
 * character before it. A hash begins a word, or follows the "g" of git describe ("-g1a2b3c4").
 */
static size_t number_length(const char *text, char before) {
        size_t n = 0;

        if (!is_alphanumeric(before)) {
                n = *text == 'g' ? hash_length(text + 1) : 0;
                n = n > 0 ? n + 1 : hash_length(text);
        }
        if (n > 0)
                return n;
        while (is_digit(text[n]) || (n > 0 && text[n] == '.' && is_digit(text[n + 1])))
                n++;
        return n;
}

void text_replace_numbers(char *text) {
        char *to = text, before = '\0';

        for (const char *from = text; *from;) {
                size_t n = number_length(from, before);
                char c = *from;

                from += MAX(n, (size_t)1);
                before = from[-1];
                *to = c;
                if (n > 0)
                        *to = '#';
                to++;
        }
        *to = '\0';
}

/* Where the first number in the word of `n` characters begins; `n`: there is none. */
static size_t number_in_word(const char *word, size_t n) {
        size_t i = 0;

        for (char before = '\0'; i < n && number_length(word + i, before) == 0; i++)
                before = word[i];
        return i;
}

void text_loosen_numbers(char *text) {
        char *to = text;

        for (const char *word = text; *word;) {
                size_t n = 0, n_kept;

                while (is_of_word(word[n]))
                        n++;
                n_kept = number_in_word(word, n);
                for (size_t i = 0; i < n_kept; i++)
                        *to++ = word[i];
                if (n_kept < n)
                        *to++ = '#';
                word += n;
                if (*word)
                        *to++ = *word++;
        }
        *to = '\0';
}
