/* SPDX-License-Identifier: MIT */

#include "janitor/instruction.h"

#include <ctype.h>
#include <string.h>

#include "base/image-glob.h"
#include "base/text.h"
#include "docker/name.h"
#include "store/facts.h"

static const char nop[] = "#(nop)";
static const char buildkit[] = " # buildkit";

bool instruction_may_be_classic(const char *created_by, const char *comment) {
        size_t n = strlen(created_by), n_buildkit = strlen(buildkit);

        return !*comment && (n < n_buildkit || strcmp(created_by + n - n_buildkit, buildkit) != 0);
}

bool instruction_is_classic(const char *created_by, const char *comment) {
        if (!instruction_may_be_classic(created_by, comment))
                return false;
        return created_by[0] == '/' || /* a shell, or the program of RUN ["/bin/x"] */
               (created_by[0] == '|' && isdigit((unsigned char)created_by[1])) ||
               strstr(created_by, nop);
}

/* Blanks in a row become one, and go at both ends. */
static void collapse_blanks(char *text) {
        char *to = text;

        for (const char *p = text; *p; p++)
                if (!isspace((unsigned char)*p))
                        *to++ = *p;
                else if (to > text && to[-1] != ' ')
                        *to++ = ' ';
        if (to > text && to[-1] == ' ')
                to--;
        *to = '\0';
}

static void cut_front(char *text, const char *rest) {
        memmove(text, rest, strlen(rest) + 1);
}

static void cut_end(char *text, const char *end) {
        size_t n = strlen(text), n_end = strlen(end);

        if (n >= n_end && strcmp(text + n - n_end, end) == 0)
                text[n - n_end] = '\0';
}

/* "|2 A=1 B=two words /bin/sh -c make": the arguments of the build stand before the shell. */
static void cut_build_args(char *text) {
        const char *shell;

        if (text[0] != '|' || !isdigit((unsigned char)text[1]))
                return;
        shell = strstr(text, " /bin/");
        if (shell)
                cut_front(text, shell + 1);
}

static bool has_word(const char *text, const char *word) {
        size_t n = strlen(word);

        return strncmp(text, word, n) == 0 && (text[n] == ' ' || text[n] == '\0');
}

/* "COPY dir:HASH in /app/" and "COPY --chown=1 src /app/" both end in the destination. */
static void keep_destination(char *text) {
        char *destination = strrchr(text, ' ');
        size_t n;

        if (!destination)
                return;
        cut_front(text + strcspn(text, " "), destination);
        n = strlen(text);
        while (n > 1 && text[n - 1] == '/' && text[n - 2] != ' ')
                text[--n] = '\0';
}

/* "ARG A=1 B": the names alone. A word without "=" is a name as well (`all`), or part of the value before
 * it, as in "ENV A=two words". */
static void keep_names(char *text, bool all) {
        char *to = text + strcspn(text, " "), *word = to;

        while (*word) {
                size_t n = strcspn(word + 1, " "), n_name = strcspn(word + 1, " =");

                if (all || n_name < n) {
                        memmove(to, word, 1 + n_name);
                        to += 1 + n_name;
                }
                word += 1 + n;
        }
        *to = '\0';
}

static bool is_lower_hex(char c) {
        return isdigit((unsigned char)c) || (c >= 'a' && c <= 'f');
}

/* Hashes and times, of eight digits and more, and versions ("3.12.7") become "#". */
static void loosen_numbers(char *text) {
        char *to = text;
        const char *p = text;

        while (*p) {
                size_t n_hex = 0, n_digits = 0, n_version = 0, n_dots = 0;

                while (is_lower_hex(p[n_hex]))
                        n_digits += isdigit((unsigned char)p[n_hex++]) != 0;
                while (isdigit((unsigned char)p[n_version]) ||
                       (n_version > 0 && p[n_version] == '.' &&
                        isdigit((unsigned char)p[n_version + 1])))
                        n_dots += p[n_version++] == '.';
                if (n_hex >= 8 && n_digits > 0) {
                        *to++ = '#';
                        p += n_hex;
                } else if (n_dots > 0) {
                        *to++ = '#';
                        p += n_version;
                } else {
                        *to++ = *p++;
                }
        }
        *to = '\0';
}

char *instruction_normal(const char *created_by) {
        char *text = strdup(created_by), *instruction;

        if (!text)
                return NULL;
        cut_end(text, buildkit);
        instruction = strstr(text, nop);
        if (instruction)
                cut_front(text, instruction + strlen(nop));
        collapse_blanks(text);
        if (has_word(text, "RUN"))
                cut_front(text, text + strlen("RUN") + (text[strlen("RUN")] == ' '));
        cut_build_args(text);
        if (has_word(text, "COPY") || has_word(text, "ADD"))
                keep_destination(text);
        else if (has_word(text, "ARG"))
                keep_names(text, true);
        else if (has_word(text, "ENV") || has_word(text, "LABEL"))
                keep_names(text, false);
        else if (has_word(text, "EXPOSE") || has_word(text, "HEALTHCHECK") ||
                 has_word(text, INSTRUCTION_ONBUILD))
                *strchrnul(text, ' ') = '\0';
        loosen_numbers(text);
        return text;
}

/* What follows "[builder 2/3] " or "[2/3] "; NULL: another step, "[internal] load build context". */
static const char *instruction_of(const char *name) {
        const char *end = strstr(name, "] "), *p = end;

        if (*name != '[' || !end)
                return NULL;
        while (isdigit((unsigned char)p[-1]))
                p--;
        return p < end && p[-1] == '/' && isdigit((unsigned char)p[-2]) ? end + 2 : NULL;
}

uint64_t instruction_hash_of_from(uint64_t repository) {
        return hash_prefix(hash_prefix(0, text_hash("FROM")), repository);
}

/* "FROM docker.io/library/python:3@sha256:…" */
static int hash_from(const char *image, uint64_t *ret) {
        cleanup_free char *repository = NULL;

        image = image_name_familiar(image);
        repository = strndup(image, strcspn(image, "@"));
        if (!repository)
                return -ENOMEM;
        repository[name_repository_length(repository)] = '\0';
        *ret = instruction_hash_of_from(text_hash(repository));
        return 1;
}

int instruction_hash_of_step(const char *name, uint64_t *ret) {
        static const char from[] = "FROM ", run[] = "RUN ";
        const char *instruction = instruction_of(name);
        cleanup_free char *text = NULL, *normal = NULL;

        if (!instruction)
                return 0;
        if (strncmp(instruction, from, strlen(from)) == 0)
                return hash_from(instruction + strlen(from), ret);
        text = strncmp(instruction, run, strlen(run)) == 0
                       ? text_format("RUN /bin/sh -c %s", instruction + strlen(run))
                       : strdup(instruction);
        normal = text ? instruction_normal(text) : NULL;
        if (!normal)
                return -ENOMEM;
        *ret = text_hash(normal);
        return 1;
}
