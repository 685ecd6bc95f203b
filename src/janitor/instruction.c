/* SPDX-License-Identifier: MIT */

#include "janitor/instruction.h"

#include <ctype.h>
#include <string.h>

#include "base/image-glob.h"
#include "base/text.h"
#include "docker/name.h"
#include "store/facts.h"
#include "wire/json.h"

static const char nop[] = "#(nop)";
static const char buildkit[] = " # buildkit";

/* Set in the hash of an instruction that makes no layer. */
#define LAYERLESS (UINT64_C(1) << 63)

static bool has_word(const char *text, const char *word) {
        size_t n = strlen(word);

        return strncmp(text, word, n) == 0 && (text[n] == ' ' || text[n] == '\0');
}

static bool is_layerless(const char *text) {
        static const char *const words[] = {
                "ARG",    "CMD",        "ENTRYPOINT",        "ENV",   "EXPOSE",     "HEALTHCHECK",
                "LABEL",  "MAINTAINER", INSTRUCTION_ONBUILD, "SHELL", "STOPSIGNAL", "USER",
                "VOLUME",
        };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (has_word(text, words[i]))
                        return true;
        return false;
}

/* The classic builder writes a command without RUN. */
static bool is_command(const char *text) {
        return !is_layerless(text) && !has_word(text, "COPY") && !has_word(text, "ADD") &&
               !has_word(text, "WORKDIR");
}

static bool ends_with(const char *text, const char *end) {
        size_t n = strlen(text), n_end = strlen(end);

        return n >= n_end && strcmp(text + n - n_end, end) == 0;
}

static bool may_be_classic_text(const char *text) {
        return !ends_with(text, buildkit) && is_command(text) && !has_word(text, "RUN");
}

static bool has_classic_form(const char *text) {
        return text[0] == '/' || /* a shell, or the program of RUN ["/bin/x"] */
               (text[0] == '|' && isdigit((unsigned char)text[1])) || strstr(text, nop);
}

bool instruction_may_be_classic(const char *created_by, const char *comment) {
        return !*comment && may_be_classic_text(created_by);
}

bool instruction_is_classic(const char *created_by, const char *comment) {
        return instruction_may_be_classic(created_by, comment) && has_classic_form(created_by);
}

/* "COPY --chown=1 dir:HASH in /app": "dir", "file", or "multi" for several. */
static uint64_t hash_contents(const char *text) {
        static const char *const kinds[] = { "dir:", "file:", "multi:" };

        for (const char *word = text; *word; word += *word == ' ') {
                size_t n = strcspn(word, " ");

                for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                        uint64_t hash = CLASSIC_STEP_CONTENTS;

                        if (strncmp(word, kinds[i], strlen(kinds[i])) != 0)
                                continue;
                        for (size_t k = 0; k < n; k++)
                                hash = hash_prefix(hash, (unsigned char)word[k]);
                        hash &= ~(CLASSIC_STEP_CONTENTS - 1);
                        return hash | CLASSIC_STEP_CONTENTS | (i == 0 ? CONTENTS_OF_DIRECTORY : 0);
                }
                word += n;
        }
        return CLASSIC_STEP_YES;
}

uint64_t instruction_classic_step(const char *created_by, const char *comment) {
        const char *instruction = strstr(created_by, nop);

        if (!*created_by || !may_be_classic_text(created_by))
                return CLASSIC_STEP_NO;
        /* moby does not read the comment. Of the builders that leave one, Jib writes no command. */
        if (*comment && !has_classic_form(created_by))
                return CLASSIC_STEP_NO;
        if (!instruction)
                return CLASSIC_STEP_YES;
        instruction += strlen(nop);
        instruction += strspn(instruction, " ");
        if (has_word(instruction, "CMD") || has_word(instruction, "ENTRYPOINT"))
                return CLASSIC_STEP_COMMAND;
        if (has_word(instruction, "COPY") || has_word(instruction, "ADD"))
                return hash_contents(instruction);
        return CLASSIC_STEP_YES;
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
        if (ends_with(text, end))
                text[strlen(text) - strlen(end)] = '\0';
}

static const char *next_word(const char *word) {
        const char *end = strchrnul(word, ' ');

        return *end ? end + 1 : end;
}

/* "|2 A=1 B=2 cp a b": the arguments of the build stand before the command. */
static void cut_build_args(char *text) {
        const char *word = next_word(text);

        if (text[0] != '|' || !isdigit((unsigned char)text[1]))
                return;
        for (unsigned long n = strtoul(text + 1, NULL, 10); n > 0 && *word; word = next_word(word))
                n -= memchr(word, '=', strcspn(word, " ")) != NULL;
        if (*word)
                cut_front(text, word);
}

/* "/bin/bash", "ash" */
static bool is_shell(const char *word) {
        const char *end = strchrnul(word, ' '), *name = end;

        while (name > word && name[-1] != '/')
                name--;
        return end - name >= 2 && end - name <= 4 && strncmp(end - 2, "sh", 2) == 0;
}

/* "-o pipefail -ec make": what follows the option c; NULL without one. */
static const char *shell_command(const char *word) {
        while (*word == '-') {
                size_t n = strcspn(word, " ");

                if (word[1] != '-' && memchr(word, 'c', n))
                        return next_word(word);
                if (word[n - 1] == 'o') /* its argument */
                        word = next_word(word);
                word = next_word(word);
        }
        return NULL;
}

/* "busybox sh -c make", "W=two words /bin/sh -c make": all that SHELL says stands before the command. */
static void cut_shell(char *text) {
        for (const char *word = text; *word; word = next_word(word)) {
                const char *command = is_shell(word) ? shell_command(next_word(word)) : NULL;

                if (command) {
                        cut_front(text, command);
                        return;
                }
        }
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

/* "ENV A=1 B=2" is what both builders write for two names, and for one with the value "1 B=2". */
static void keep_first_name(char *text) {
        char *name = text + strcspn(text, " ");

        if (*name)
                name[1 + strcspn(name + 1, " =")] = '\0';
}

/* What an instruction of a Dockerfile but RUN tells in both builders' words. */
static void keep_told(char *text) {
        if (has_word(text, "COPY") || has_word(text, "ADD"))
                keep_destination(text);
        else if (has_word(text, "ARG") || has_word(text, "ENV") || has_word(text, "LABEL"))
                keep_first_name(text);
        else if (has_word(text, "EXPOSE") || has_word(text, "HEALTHCHECK") ||
                 has_word(text, INSTRUCTION_ONBUILD))
                *strchrnul(text, ' ') = '\0';
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
        if (!instruction && is_command(text)) {
                if (has_word(text, "RUN"))
                        cut_front(text, next_word(text));
                cut_build_args(text);
                cut_shell(text);
        } else {
                keep_told(text);
        }
        text_loosen_numbers(text);
        return text;
}

uint64_t instruction_hash(const char *normal) {
        uint64_t hash = text_hash(normal);

        return is_layerless(normal) ? hash | LAYERLESS : hash & ~LAYERLESS;
}

bool instruction_makes_layer(uint64_t hash) {
        return !(hash & LAYERLESS);
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

/* ["npm", "ci"] as "npm ci". Returns 0 where it is not of that form. */
static int join_exec_form(const char *command, char **ret) {
        cleanup(strv_done) Strv words = { 0 };
        cleanup(json_free) Json *json = NULL;
        int r = *command == '[' ? json_parse_foreign(command, strlen(command), &json) : -EBADMSG;

        if (r < 0)
                return r == -ENOMEM ? r : 0;
        json_foreach (word, json) {
                if (!json_is_string(word))
                        return 0;
                if (strv_add(&words, json_string(word)) < 0)
                        return -ENOMEM;
        }
        *ret = strv_join(&words, " ");
        return *ret ? 1 : -ENOMEM;
}

/* As a history tells it, with the shell unless the command is of the exec form. */
static char *history_of_run(const char *command) {
        cleanup_free char *joined = NULL;
        int r = join_exec_form(command, &joined);

        if (r < 0)
                return NULL;
        return r > 0 ? text_format("RUN %s", joined) : text_format("RUN /bin/sh -c %s", command);
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
                       ? history_of_run(instruction + strlen(run))
                       : strdup(instruction);
        normal = text ? instruction_normal(text) : NULL;
        if (!normal)
                return -ENOMEM;
        *ret = instruction_hash(normal);
        return 1;
}
