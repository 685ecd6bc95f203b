/* SPDX-License-Identifier: MIT */

#include "base/text.h"

#include <string.h>

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

/* The length of the number that begins at word[i]: a hash, or digits with dots in between; 0: there is none. */
static size_t number_length(const char *word, size_t i) {
        size_t n = i == 0 || !is_alphanumeric(word[i - 1]) ? hash_length(word + i) : 0;

        if (n > 0)
                return n;
        while (is_digit(word[i + n]) || (n > 0 && word[i + n] == '.' && is_digit(word[i + n + 1])))
                n++;
        return n;
}

void text_replace_numbers(char *text) {
        char *to = text;
        size_t n;

        for (size_t i = 0; text[i]; i += MAX(n, (size_t)1)) {
                n = number_length(text, i);
                *to++ = n > 0 ? '#' : text[i];
        }
        *to = '\0';
}

/* Where the first number in the word of `n` characters begins; `n`: there is none. */
static size_t number_in_word(const char *word, size_t n) {
        size_t i = 0;

        while (i < n && number_length(word, i) == 0)
                i++;
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
