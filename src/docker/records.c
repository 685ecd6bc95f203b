/* SPDX-License-Identifier: MIT */

/*
 * An automaton over bytes that checks every one of them against the structure of JSON, in elements
 * and outside of them. Strings, which are most of the bytes, are skipped by memchr(). What of an
 * element is kept is the affair of members.c.
 *
 * The trap: any state may be interrupted after any byte. What is decided must not depend on where
 * the pieces end, the limit on an element's length included.
 */

#include "docker/records.h"

#include <string.h>

#include "docker/members.h"
#include "docker/paths.h"

#define DEPTH_MAX 64 /* below it brackets are counted, but may be of either kind */
#define KEY_MAX 64

typedef enum State {
        STATE_VALUE,
        STATE_FIRST_VALUE, /* or the array's end */
        STATE_FIRST_KEY,   /* or the object's end */
        STATE_KEY,
        STATE_COLON,
        STATE_NEXT, /* ',' or an end */
        STATE_IN_KEY,
        STATE_IN_STRING,
        STATE_IN_WORD, /* a number, true, false, null */
        STATE_IN_DEEP, /* below DEPTH_MAX, outside of strings */
        STATE_IN_DEEP_STRING,
        STATE_DONE,
        STATE_FAILED,
} State;

struct Records {
        Paths paths;
        bool may_lack;

        RecordsElement element;
        RecordsShortcut shortcut;
        void *userdata;

        State state;
        int error;
        uint64_t is_array; /* one bit a level */
        unsigned depth;
        size_t n_deep; /* brackets open below DEPTH_MAX */
        bool escaped;  /* the next byte of a string is behind a backslash */
        char key[KEY_MAX];
        size_t n_key; /* > KEY_MAX: too long to match anything */
        bool word_expected_null;
        size_t n_word;

        bool in_array; /* the one whose elements are handed out, which lies at `base` */
        bool found;    /* it was not empty */
        bool in_element;
        unsigned base; /* the depth of its elements */
        Members members;
};

int records_new(const RecordsWant *want, RecordsElement element, RecordsShortcut shortcut,
                void *userdata, Records **ret) {
        cleanup(records_free) Records *records = NULL;
        size_t n_keep = 0;

        records = calloc(1, sizeof(*records));
        if (!records)
                return -ENOMEM;

        records->may_lack = want->may_lack;
        records->element = element;
        records->shortcut = shortcut;
        records->userdata = userdata;
        records->members.keep = want->keep;
        records->members.max = want->element_max;
        records->in_array = !want->paths;

        while (want->keep && want->keep[n_keep])
                n_keep++;
        if (n_keep > RECORDS_KEEP_MAX || !paths_init(&records->paths, want->paths))
                return -EINVAL;

        *ret = TAKE_PTR(records);
        return 0;
}

Records *records_free(Records *records) {
        if (!records)
                return NULL;

        members_done(&records->members);
        free(records);
        return NULL;
}

static int fail(Records *records, int error) {
        records->state = STATE_FAILED;
        records->error = error;
        return error;
}

#define broken(records, reterr_diag, ...) \
        diag_set((reterr_diag), fail((records), -EBADMSG), __VA_ARGS__)

static bool is_blank(char c) {
        return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* What numbers and literals are made of. */
static bool is_word(char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               c == '+' || c == '-' || c == '.';
}

static void open_container(Records *records, bool array) {
        if (records->depth == DEPTH_MAX) {
                records->n_deep = 1;
                records->state = STATE_IN_DEEP;
                if (records->in_element && records->members.mode == MEMBERS_KEEP)
                        members_spoil(&records->members, "is nested too deeply");
                return;
        }

        records->is_array &= ~(UINT64_C(1) << records->depth);
        records->is_array |= (uint64_t)array << records->depth;
        records->depth++;
        records->state = array ? STATE_FIRST_VALUE : STATE_FIRST_KEY;
}

/* The value that began at this depth is over; `c` is the bracket that ends it, if one does. */
static int end_value(Records *records, char c, Diag *reterr_diag) {
        const Members *members = &records->members;
        int r;

        records->state = records->depth > 0 ? STATE_NEXT : STATE_DONE;
        if (!records->in_element)
                return 0;
        if (members_end(&records->members, records->depth - records->base, c) < 0)
                return fail(records, -ENOMEM);
        if (records->depth > records->base)
                return 0;

        records->in_element = false;
        if (records->depth == 0)
                records->state = STATE_VALUE; /* or nothing more */
        r = records->element(records->userdata, members->text ? members->text : "", members->n,
                             *members->defect ? members->defect : NULL, reterr_diag);
        return r < 0 ? fail(records, r) : 0;
}

static int close_container(Records *records, char c, Diag *reterr_diag) {
        records->depth--;
        if (records->paths.v && records->depth < records->base)
                records->in_array = false;
        paths_leave(&records->paths, records->depth);
        return end_value(records, c, reterr_diag);
}

static bool at_element(const Records *records) {
        return records->in_array && !records->in_element && records->depth == records->base;
}

/* Outside of elements: only what leads to the array need be of a certain kind. */
static int check_place(Records *records, char c, Diag *reterr_diag) {
        PathsPlace place = paths_find(&records->paths, records->depth);

        records->word_expected_null = place.path;
        if (!place.path)
                return 0;
        if (place.again)
                return broken(records, reterr_diag, "%s is in the answer twice", place.path);
        if (!((place.array && c == '[') || (place.on_the_way && c == '{') ||
              (c == 'n' && (place.array || records->depth > 0))))
                return broken(records, reterr_diag, "the answer has no list in the place of %s",
                              *place.path ? place.path : "one");
        if (c == '[' && !records->found) {
                records->in_array = true;
                records->base = records->depth + 1;
        }
        return 0;
}

static int begin_value(Records *records, char c, Diag *reterr_diag) {
        if (c != '[' && c != '{' && c != '"' && !is_word(c))
                return broken(records, reterr_diag, "the answer is not JSON");

        records->word_expected_null = false;
        if (at_element(records)) {
                records->found = records->in_element = true;
                members_reset(&records->members);
        } else if (!records->in_element && check_place(records, c, reterr_diag) < 0) {
                return records->error;
        }
        if (records->in_element && members_begin(&records->members, records->depth - records->base,
                                                 c, records->key, records->n_key) < 0)
                return fail(records, -ENOMEM);

        if (c == '[' || c == '{') {
                open_container(records, c == '[');
        } else {
                records->state = c == '"' ? STATE_IN_STRING : STATE_IN_WORD;
                records->n_word = 1;
        }
        return 0;
}

/* The byte after a word; whoever calls looks at that byte again. */
static int end_word(Records *records, Diag *reterr_diag) {
        if (records->word_expected_null && records->n_word != 4)
                return broken(records, reterr_diag, "the answer is not what the API says");

        return end_value(records, ' ', reterr_diag);
}

/* Finds the end of a string that began before `p`: the quote, or NULL if it is not in sight. */
static const char *string_end(const char *p, const char *end, bool *escaped) {
        if (*escaped && p < end) {
                *escaped = false;
                p++;
        }

        while (p < end) {
                const char *quote = memchr(p, '"', (size_t)(end - p)), *stop = quote ? quote : end;
                const char *q = stop;

                while (q > p && q[-1] == '\\')
                        q--;
                if ((stop - q) % 2 == 0)
                        return quote;
                if (!quote) {
                        *escaped = true;
                        return NULL;
                }
                p = quote + 1;
        }

        return NULL;
}

/* One byte of the structure; `ret_again` where the byte belongs to what comes next. */
static int feed_byte(Records *records, char c, bool *ret_again, Diag *reterr_diag) {
        bool array = records->depth > 0 && records->is_array >> (records->depth - 1) & 1;

        if (records->state == STATE_IN_WORD) {
                static const char null[] = "null";

                if (is_word(c)) {
                        if (records->word_expected_null &&
                            (records->n_word >= 4 || c != null[records->n_word]))
                                return broken(records, reterr_diag,
                                              "the answer is not what the API says");
                        records->n_word += records->word_expected_null;
                        return 0;
                }
                *ret_again = true;
                return end_word(records, reterr_diag);
        }

        if (is_blank(c))
                return 0;

        switch (records->state) {
        case STATE_FIRST_VALUE:
                if (c == ']')
                        return close_container(records, c, reterr_diag);
                __attribute__((fallthrough));
        case STATE_VALUE:
                return begin_value(records, c, reterr_diag);

        case STATE_FIRST_KEY:
                if (c == '}')
                        return close_container(records, c, reterr_diag);
                __attribute__((fallthrough));
        case STATE_KEY:
                if (c == '"') {
                        records->n_key = 0;
                        records->state = STATE_IN_KEY;
                        return 0;
                }
                break;

        case STATE_COLON:
                if (c == ':') {
                        records->state = STATE_VALUE;
                        return 0;
                }
                break;

        case STATE_NEXT:
                if (c == ',') {
                        records->state = array ? STATE_VALUE : STATE_KEY;
                        return 0;
                }
                if (c == (array ? ']' : '}'))
                        return close_container(records, c, reterr_diag);
                break;

        default:
                break;
        }

        return broken(records, reterr_diag, "the answer is not JSON");
}

static bool keeping(const Records *records) {
        return records->in_element && records->members.mode == MEMBERS_KEEP;
}

static int copy(Records *records, const char *p, size_t n) {
        return members_copy(&records->members, p, n) < 0 ? fail(records, -ENOMEM) : 0;
}

/* Each of these takes bytes at `p`, at least one unless a word ends, and returns how many, or an
 * error. A value's last byte is copied before the value ends, its first one once it has begun. */

static ssize_t feed_structure(Records *records, const char *p, Diag *reterr_diag) {
        bool ends_word = records->state == STATE_IN_WORD && !is_word(*p);
        bool kept = keeping(records), again = false;
        int r;

        if (kept && !ends_word && copy(records, p, 1) < 0)
                return records->error;
        r = feed_byte(records, *p, &again, reterr_diag);
        if (r < 0)
                return r;
        if (!kept && keeping(records) && copy(records, p, 1) < 0)
                return records->error;
        return !again;
}

/* A string; a key's raw text is held for paths_enter() and members_begin(). */
static ssize_t feed_string(Records *records, const char *p, size_t n, Diag *reterr_diag) {
        const char *quote = string_end(p, p + n, &records->escaped);
        size_t n_text = quote ? (size_t)(quote - p) : n, n_taken = n_text + (quote ? 1 : 0);

        if (keeping(records) && copy(records, p, n_taken) < 0)
                return records->error;
        if (records->state == STATE_IN_KEY) {
                if (records->n_key + n_text <= KEY_MAX)
                        memcpy(records->key + records->n_key, p, n_text);
                records->n_key = MIN(records->n_key + n_text, (size_t)KEY_MAX + 1);
        }
        if (!quote)
                return (ssize_t)n_taken;

        if (records->state == STATE_IN_STRING) {
                int r = end_value(records, '"', reterr_diag);

                return r < 0 ? r : (ssize_t)n_taken;
        }
        if (!records->in_element)
                paths_enter(&records->paths, records->depth, records->key, records->n_key);
        records->state = STATE_COLON;
        return (ssize_t)n_taken;
}

/* Nothing of this is kept. */
static ssize_t feed_deep(Records *records, const char *p, size_t n, Diag *reterr_diag) {
        const char *begin = p, *end = p + n;
        int r;

        for (; p < end; p++) {
                if (records->state == STATE_IN_DEEP_STRING) {
                        const char *quote = string_end(p, end, &records->escaped);

                        if (!quote)
                                return (ssize_t)n;
                        p = quote;
                        records->state = STATE_IN_DEEP;
                } else if (*p == '"') {
                        records->state = STATE_IN_DEEP_STRING;
                } else if (*p == '[' || *p == '{') {
                        records->n_deep++;
                } else if ((*p == ']' || *p == '}') && --records->n_deep == 0) {
                        r = end_value(records, *p, reterr_diag);
                        return r < 0 ? r : p + 1 - begin;
                }
        }

        return (ssize_t)n;
}

/* 0 where there is no element here, or none that the short cut takes. */
static ssize_t feed_shortcut(Records *records, const char *p, size_t n, Diag *reterr_diag) {
        ssize_t taken;

        if (!records->shortcut || !at_element(records) || *p == ']' || is_blank(*p) ||
            (records->state != STATE_VALUE && records->state != STATE_FIRST_VALUE))
                return 0;
        taken = records->shortcut(records->userdata, p, MIN(n, records->members.max), reterr_diag);
        if (taken < 0)
                return fail(records, (int)taken);
        if (taken > 0) {
                records->found = true;
                records->state = records->depth > 0 ? STATE_NEXT : STATE_VALUE;
        }
        return taken;
}

static ssize_t feed(Records *records, const char *p, size_t n, Diag *reterr_diag) {
        ssize_t taken;

        switch (records->state) {
        case STATE_IN_KEY:
        case STATE_IN_STRING:
                return feed_string(records, p, n, reterr_diag);
        case STATE_IN_DEEP:
        case STATE_IN_DEEP_STRING:
                return feed_deep(records, p, n, reterr_diag);
        default:
                taken = feed_shortcut(records, p, n, reterr_diag);
                return taken != 0 ? taken : feed_structure(records, p, reterr_diag);
        }
}

int records_feed(Records *records, const char *data, size_t n, Diag *reterr_diag) {
        const char *p = data, *end = data + n;

        while (p < end && records->state != STATE_FAILED) {
                ssize_t taken = feed(records, p, (size_t)(end - p), reterr_diag);

                if (taken < 0)
                        return (int)taken;
                p += taken;
        }

        return records->state == STATE_FAILED ? records->error : 0;
}

int records_finish(Records *records, Diag *reterr_diag) {
        const bool sequence = !records->paths.v;
        char names[128];

        if (records->state == STATE_IN_WORD && records->depth == 0)
                (void)end_word(records, reterr_diag);
        if (records->state == STATE_FAILED)
                return records->error;
        if (records->state != (sequence ? STATE_VALUE : STATE_DONE))
                return broken(records, reterr_diag, "the answer ends too early");
        /* Absent is not the same as empty. */
        if (!sequence && !records->may_lack && !paths_are_there(&records->paths))
                return broken(records, reterr_diag, "the answer has no member %s",
                              paths_names(&records->paths, names, sizeof(names)));

        return 0;
}
