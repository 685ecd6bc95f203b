/* SPDX-License-Identifier: MIT */

/*
 * One record of the build cache, read in two ways. parse_record() is the meaning: cJSON, any JSON.
 * parse_record_plain() is the speed: a poll brings a hundred thousand of them, and cJSON's dozen
 * allocations for each cost ten times what fetching them does. It takes the one form that engines
 * 20.10 to 29 print, members in that order, and leaves all else to the first. They must agree on
 * whatever it takes: tests/fuzz/fuzz-engine.c holds them against each other.
 */

#include <string.h>

#include "docker/parse.h"
#include "wire/json.h"

#define PLAIN_PARENTS_MAX 8
#define BUILDKIT_ID 25

/* Whether an id can be kept: in the field, and printable. */
static bool id_valid(const char *id) {
        size_t n = strlen(id);

        for (size_t i = 0; i < n; i++)
                if ((signed char)id[i] < ' ')
                        return false;

        return n > 0 && n < RECORD_ID_MAX;
}

/* Engine 23 to 29 prints "Parents" with a leading space, a slip in a struct tag. */
static const char *const parent_keys[] = { "Parent", "Parents", " Parents" };

const char *const parse_record_members[] = { "ID",         "Parent",     "Parents",     " Parents",
                                             "Type",       "InUse",      "Shared",      "Size",
                                             "LastUsedAt", "UsageCount", "Description", NULL };
/* The descriptions that BuildKit gives to what a Dockerfile is read from (source/local, source/http and
 * source/git; unchanged from 0.8 to 0.32), and to layers of local images. Returns whether the description is one
 * of these; if not, `ret_end` is how far it goes along with one. */
static bool read_description(const char *description, size_t n, BuildRecord *record,
                             size_t *ret_end) {
        static const char local_image[] = "from local ";
        static const char *const prefixes[] = {
                "local source for dockerfile",
                "http url ",
                "git snapshot for ",
                local_image,
        };
        size_t end = 0;

        for (size_t i = 0; i < ELEMENTSOF(prefixes); i++) {
                size_t k = 0;

                while (k < n && prefixes[i][k] && description[k] == prefixes[i][k])
                        k++;
                if (!prefixes[i][k]) {
                        record->local_image = prefixes[i] == local_image;
                        record->source = !record->local_image;
                        return true;
                }
                end = MAX(end, k);
        }

        *ret_end = end;
        return false;
}

static int read_parents(const Json *json, const char *name, const char **parents, size_t *n) {
        const Json *list = json_get(json, name);

        if (list && !json_is_array(list) && !json_is_string(list))
                return -EBADMSG;
        if (json_is_string(list)) {
                if (!*json_string(list)) /* 20.10 says "" for none */
                        return 0;
                if (!id_valid(json_string(list)))
                        return -EBADMSG;
                parents[(*n)++] = json_string(list);
                return 0;
        }

        json_foreach (parent, list) {
                if (!json_is_string(parent) || !id_valid(json_string(parent)))
                        return -EBADMSG;
                parents[(*n)++] = json_string(parent);
        }

        return 0;
}

int parse_record(const char *text, size_t n, DockerRecord add, void *userdata, Diag *reterr_diag) {
        BuildRecord record = { .last_used_nsec = -1 };
        const char *id = NULL, *type = NULL, *last_used = NULL;
        const char *description = "";
        bool in_use = false, shared = false;
        cleanup(json_free) Json *json = NULL;
        cleanup_free const char **parents = NULL;
        size_t n_parents = 0, n_max = 1, end;
        int64_t size = 0, usage_count = 0;
        int r;

        r = json_parse_foreign(text, n, &json);
        if (r < 0)
                return parse_failed(reterr_diag, r, "a build cache record is not JSON");

        if (json_read_string(json, "ID", &id) <= 0 || !id_valid(id))
                return diag_set(reterr_diag, -EBADMSG, "a build cache record without a good ID");
        if (json_read_string(json, "Type", &type) < 0 ||
            json_read_string(json, "Description", &description) < 0 ||
            json_read_bool(json, "InUse", &in_use) < 0 ||
            json_read_bool(json, "Shared", &shared) < 0 || json_read_int(json, "Size", &size) < 0 ||
            size < 0 || json_read_int(json, "UsageCount", &usage_count) < 0 || usage_count < 0 ||
            json_read_string(json, "LastUsedAt", &last_used) < 0 ||
            (last_used &&
             parse_time_nsec(last_used, strlen(last_used), &record.last_used_nsec) < 0))
                return diag_set(reterr_diag, -EBADMSG, "build cache record %s is malformed", id);

        for (size_t i = 0; i < ELEMENTSOF(parent_keys); i++)
                n_max += json_size(json_get(json, parent_keys[i])) + 1;
        parents = malloc(n_max * sizeof(*parents));
        if (!parents)
                return -ENOMEM;
        for (size_t i = 0; i < ELEMENTSOF(parent_keys); i++) {
                r = read_parents(json, parent_keys[i], parents, &n_parents);
                if (r < 0)
                        return parse_failed(reterr_diag, r, "build cache record %s has bad parents",
                                            id);
        }
        if (n_parents > UINT16_MAX)
                return diag_set(reterr_diag, -EBADMSG, "build cache record %s: too many parents",
                                id);

        strcpy(record.id, id);
        record.type = (uint8_t)record_type_from_string(type);
        record.in_use = in_use;
        record.shared = shared;
        (void)!read_description(description, strlen(description), &record, &end);
        record.size_bytes = (uint64_t)size;
        record.usage_count = (uint32_t)MIN(usage_count, (int64_t)UINT32_MAX);
        return add(userdata, &record, parents, n_parents);
}

#define EACH_BYTE UINT64_C(0x0101010101010101)

/* Whether one of eight bytes is a quote, a backslash, a control character or not ASCII. */
static inline uint64_t special_in_word(const char *p) {
        uint64_t word, quote, backslash;

        memcpy(&word, p, sizeof(word));
        quote = word ^ (EACH_BYTE * '"');
        backslash = word ^ (EACH_BYTE * '\\');
        return (((quote - EACH_BYTE) & ~quote) | ((backslash - EACH_BYTE) & ~backslash) |
                ((word - EACH_BYTE * ' ') & ~word) | word) &
               (EACH_BYTE * 0x80);
}

/* Whether a string is what it says, as all are that engines make up: no escapes, printable ASCII. */
static inline bool is_plain(const char *text, size_t n) {
        uint64_t special = 0;

        if (n < 8) {
                for (size_t i = 0; i < n; i++)
                        special |= (signed char)text[i] < ' ' || text[i] == '"' || text[i] == '\\';
                return !special;
        }

        for (size_t i = 0; i < n - 8; i += 8)
                special |= special_in_word(text + i);
        return !(special | special_in_word(text + n - 8));
}

/* Each of these steps over one thing at `p` and returns what is behind it; NULL if it is not there,
 * or `p` was NULL already. */

#define plain_literal(p, end, literal) plain_bytes((p), (end), (literal), sizeof(literal) - 1)

static inline const char *plain_bytes(const char *p, const char *end, const char *text, size_t n) {
        return p && (size_t)(end - p) >= n && memcmp(p, text, n) == 0 ? p + n : NULL;
}

/* The rest of a string and its quote; whether it has escapes is not looked at. */
static inline const char *plain_text(const char *p, const char *end, const char **ret,
                                     size_t *ret_n) {
        const char *quote = p ? memchr(p, '"', (size_t)(end - p)) : NULL;

        if (!quote)
                return NULL;

        *ret = p;
        *ret_n = (size_t)(quote - p);
        return quote + 1;
}

/* The same where nobody wants the text, which may be anything people write. */
static inline const char *plain_skip(const char *p, const char *end) {
        while (p && p < end) {
                const char *quote = memchr(p, '"', (size_t)(end - p)), *q = quote;

                if (!quote)
                        return NULL;
                while (q > p && q[-1] == '\\')
                        q--;
                if ((quote - q) % 2 == 0)
                        return quote + 1;
                p = quote + 1;
        }

        return NULL;
}

static inline const char *plain_id(const char *p, const char *end, char ret[RECORD_ID_MAX]) {
        const char *text;
        size_t n;

        /* Nearly all have BuildKit's length. */
        if (p && end - p > BUILDKIT_ID && p[BUILDKIT_ID] == '"' && is_plain(p, BUILDKIT_ID)) {
                memcpy(ret, p, BUILDKIT_ID);
                ret[BUILDKIT_ID] = '\0';
                return p + BUILDKIT_ID + 1;
        }

        p = plain_text(p, end, &text, &n);
        if (!p || n == 0 || n >= RECORD_ID_MAX || !is_plain(text, n))
                return NULL;

        memcpy(ret, text, n);
        ret[n] = '\0';
        return p;
}

static inline const char *plain_bool(const char *p, const char *end, bool *ret) {
        const char *q = plain_literal(p, end, "false");

        *ret = !q;
        return q ? q : plain_literal(p, end, "true");
}

/* At most 15 digits, like JSON_INT_MAX. */
static inline const char *plain_number(const char *p, const char *end, uint64_t *ret) {
        const char *begin = p, *limit = p && end - p > 16 ? p + 16 : end;
        uint64_t value = 0;
        unsigned digit;

        if (!p)
                return NULL;

        for (; p < limit && (digit = (unsigned)(*p - '0')) <= 9; p++)
                value = value * 10 + digit;
        if (p == begin || p - begin > 15 || (*begin == '0' && p - begin > 1))
                return NULL;

        *ret = value;
        return p;
}

static inline const char *plain_type(const char *p, const char *end, uint8_t *ret) {
        const char *text, *regular = plain_literal(p, end, "regular\"");
        size_t n;

        *ret = RECORD_REGULAR;
        if (regular)
                return regular;

        p = plain_text(p, end, &text, &n);
        if (!p || !is_plain(text, n))
                return NULL;

        for (*ret = 0; *ret < RECORD_OTHER; (*ret)++) {
                const char *type = record_type_to_string((RecordType)*ret);

                if (strlen(type) == n && memcmp(type, text, n) == 0)
                        break;
        }

        return p;
}

/* `p` is behind the description and its quote. An escape where it could still become one of the
 * descriptions looked for is for the other reader to resolve. */
static inline const char *plain_description(const char *p, const char *description,
                                            BuildRecord *record) {
        size_t end;

        if (!p)
                return NULL;

        return read_description(description, (size_t)(p - description) - 1, record, &end) ||
                               description[end] != '\\'
                       ? p
                       : NULL;
}

static inline const char *plain_time(const char *p, const char *end, int64_t *ret_nsec) {
        const char *text;
        size_t n;

        if (plain_literal(p, end, "null"))
                return p + 4;

        p = plain_literal(p, end, "\"");
        p = plain_text(p, end, &text, &n);
        return p && parse_time_nsec(text, n, ret_nsec) >= 0 ? p : NULL;
}

ssize_t parse_record_plain(const char *text, size_t n, DockerRecord add, void *userdata) {
        char parents[PLAIN_PARENTS_MAX][RECORD_ID_MAX];
        const char *pointers[PLAIN_PARENTS_MAX];
        const char *p = text, *end = text + n, *q, *description;
        BuildRecord record = { .last_used_nsec = -1 };
        size_t n_parents = 0;
        bool in_use, shared;
        uint64_t count;
        int r;

        p = plain_literal(p, end, "{\"ID\":\"");
        p = plain_id(p, end, record.id);

        if ((q = plain_literal(p, end, ",\" Parents\":["))) {
                do {
                        if (n_parents == PLAIN_PARENTS_MAX)
                                return 0;
                        p = plain_literal(q, end, "\"");
                        p = plain_id(p, end, parents[n_parents]);
                        pointers[n_parents] = parents[n_parents];
                        n_parents++;
                } while ((q = plain_literal(p, end, ",")));
                p = plain_literal(p, end, "]");
        } else if ((q = plain_literal(p, end, ",\"Parent\":\""))) {
                p = plain_literal(q, end, "\"");
                if (!p) {
                        p = plain_id(q, end, parents[0]);
                        pointers[n_parents++] = parents[0];
                }
        }

        p = plain_literal(p, end, ",\"Type\":\"");
        p = plain_type(p, end, &record.type);
        p = plain_literal(p, end, ",\"Description\":\"");
        description = p;
        p = plain_skip(p, end);
        p = plain_description(p, description, &record);
        p = plain_literal(p, end, ",\"InUse\":");
        p = plain_bool(p, end, &in_use);
        p = plain_literal(p, end, ",\"Shared\":");
        p = plain_bool(p, end, &shared);
        p = plain_literal(p, end, ",\"Size\":");
        p = plain_number(p, end, &record.size_bytes);
        p = plain_literal(p, end, ",\"CreatedAt\":\"");
        p = plain_skip(p, end);
        p = plain_literal(p, end, ",\"LastUsedAt\":");
        p = plain_time(p, end, &record.last_used_nsec);
        p = plain_literal(p, end, ",\"UsageCount\":");
        p = plain_number(p, end, &count);
        p = plain_literal(p, end, "}");
        if (!p)
                return 0;

        record.in_use = in_use;
        record.shared = shared;
        record.usage_count = (uint32_t)MIN(count, (uint64_t)UINT32_MAX);
        r = add(userdata, &record, pointers, n_parents);
        return r < 0 ? r : p - text;
}
