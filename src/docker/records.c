/* SPDX-License-Identifier: MIT */

/*
 * An automaton over bytes with two gears. Outside the array every byte is checked against the
 * structure. Inside an element only strings and brackets are followed, since whoever takes the
 * element parses it: this gear carries nearly all bytes of a poll, so strings are skipped by
 * memchr() and an element that lies whole in one piece of input is handed on in place.
 *
 * The trap: any state may be interrupted after any byte. What is decided must not depend on where
 * the pieces end, the limit on an element's length included.
 */

#include "docker/records.h"

#include <string.h>

#define PATHS_MAX 4
#define DEPTH_MAX 64
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
        STATE_ELEMENT,
        STATE_DONE,
        STATE_FAILED,
} State;

struct Records {
        const char *const *paths;
        size_t n_paths;
        size_t n_components[PATHS_MAX];
        size_t n_matched[PATHS_MAX]; /* leading components the present position agrees with */

        RecordsElement element;
        RecordsShortcut shortcut;
        void *userdata;

        State state;
        int error;
        uint64_t is_array; /* one bit a level */
        unsigned depth;
        bool escaped; /* the next byte of a string is behind a backslash */
        char key[KEY_MAX];
        size_t n_key; /* > KEY_MAX: too long to match anything */
        bool word_expected_null;
        size_t n_word;

        unsigned array_depth; /* of the elements that are handed out; 0: not inside it */
        bool found;           /* an array that was not empty */

        unsigned element_depth;
        bool element_string, element_word;
        char *buffer; /* the element in progress, as far as earlier pieces had it */
        size_t n_buffer, size_buffer, element_max;
};

int records_new(const char *const *paths, size_t element_max, RecordsElement element,
                RecordsShortcut shortcut, void *userdata, Records **ret) {
        cleanup(records_free) Records *records = NULL;

        records = calloc(1, sizeof(*records));
        if (!records)
                return -ENOMEM;

        records->paths = paths;
        records->element = element;
        records->shortcut = shortcut;
        records->userdata = userdata;
        records->element_max = element_max;

        for (; paths[records->n_paths]; records->n_paths++) {
                const char *path = paths[records->n_paths];
                size_t n = *path ? 1 : 0;

                if (records->n_paths == PATHS_MAX)
                        return -EINVAL;
                for (; *path; path++)
                        n += *path == '.';
                records->n_components[records->n_paths] = n;
        }

        *ret = TAKE_PTR(records);
        return 0;
}

Records *records_free(Records *records) {
        if (!records)
                return NULL;

        free(records->buffer);
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

/* A key of the object at `depth` is over: which paths does the member lie on? */
static void match_key(Records *records) {
        for (size_t i = 0; i < records->n_paths; i++) {
                const char *component = records->paths[i];
                size_t level = records->depth, n;

                if (records->n_matched[i] >= level)
                        records->n_matched[i] = level - 1;
                if (records->n_matched[i] != level - 1 || records->n_components[i] < level)
                        continue;

                for (size_t j = 1; j < level; j++)
                        component = strchr(component, '.') + 1;
                n = strcspn(component, ".");
                if (n == records->n_key && memcmp(component, records->key, n) == 0)
                        records->n_matched[i] = level;
        }
}

/* Where a value begins: is it the array, on the way to it, or neither? */
static void position(const Records *records, bool *ret_array, bool *ret_on_the_way) {
        *ret_array = *ret_on_the_way = false;

        for (size_t i = 0; i < records->n_paths; i++)
                if (records->n_matched[i] == records->depth) {
                        if (records->n_components[i] == records->depth)
                                *ret_array = true;
                        else
                                *ret_on_the_way = true;
                }
}

static int push(Records *records, bool array, Diag *reterr_diag) {
        if (records->depth == DEPTH_MAX)
                return broken(records, reterr_diag, "the answer is nested too deeply");

        records->is_array &= ~(UINT64_C(1) << records->depth);
        records->is_array |= (uint64_t)array << records->depth;
        records->depth++;
        records->state = array ? STATE_FIRST_VALUE : STATE_FIRST_KEY;
        return 0;
}

static void pop(Records *records) {
        records->depth--;
        if (records->array_depth > records->depth)
                records->array_depth = 0;
        for (size_t i = 0; i < records->n_paths; i++)
                records->n_matched[i] = MIN(records->n_matched[i], (size_t)records->depth);
        records->state = records->depth > 0 ? STATE_NEXT : STATE_DONE;
}

static int begin_value(Records *records, char c, Diag *reterr_diag) {
        bool array, on_the_way, expected;
        int r;

        if (records->array_depth > 0 && records->depth == records->array_depth) {
                if (c != '{' && c != '[' && c != '"' && !is_word(c))
                        return broken(records, reterr_diag, "the answer is not JSON");
                records->found = true;
                records->element_depth = 0;
                records->element_string = records->element_word = false;
                records->state = STATE_ELEMENT;
                return 0;
        }

        position(records, &array, &on_the_way);
        expected = c == 'n' || (array && c == '[') || (on_the_way && c == '{');
        if ((array || on_the_way) && (!expected || (c == 'n' && !array && records->depth == 0)))
                return broken(records, reterr_diag, "the answer is not what the API says");

        if (c == '[') {
                r = push(records, true, reterr_diag);
                if (r < 0)
                        return r;
                if (array && !records->found)
                        records->array_depth = records->depth;
        } else if (c == '{') {
                return push(records, false, reterr_diag);
        } else if (c == '"') {
                records->state = STATE_IN_STRING;
        } else if (is_word(c)) {
                records->word_expected_null = array || on_the_way;
                records->n_word = 1;
                records->state = STATE_IN_WORD;
        } else {
                return broken(records, reterr_diag, "the answer is not JSON");
        }

        return 0;
}

/* The byte after a word; whoever calls looks at that byte again. */
static int end_word(Records *records, Diag *reterr_diag) {
        if (records->word_expected_null && records->n_word != 4)
                return broken(records, reterr_diag, "the answer is not what the API says");

        records->state = records->depth > 0 ? STATE_NEXT : STATE_DONE;
        return 0;
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

static int keep(Records *records, const char *text, size_t n) {
        if (records->n_buffer + n > records->size_buffer) {
                size_t size = MAX(records->n_buffer + n, MAX(records->size_buffer * 2, 1024));
                char *grown;

                size = MIN(size, records->element_max);
                grown = realloc(records->buffer, size);
                if (!grown)
                        return fail(records, -ENOMEM);
                records->buffer = grown;
                records->size_buffer = size;
        }

        memcpy(records->buffer + records->n_buffer, text, n);
        records->n_buffer += n;
        return 0;
}

/* Follows an element from `p` to its end, which is returned; NULL if it is not in sight. */
static const char *element_end(Records *records, const char *p, const char *end,
                               Diag *reterr_diag) {
        while (p < end) {
                if (records->element_string) {
                        p = string_end(p, end, &records->escaped);
                        if (!p)
                                return NULL;
                        records->element_string = false;
                        p++;
                        if (records->element_depth == 0)
                                return p;
                        continue;
                }

                switch (*p) {
                case '"':
                        if (records->element_word)
                                return p;
                        records->element_string = true;
                        break;
                case '{':
                case '[':
                        if (records->element_word)
                                return p;
                        if (records->depth + ++records->element_depth > DEPTH_MAX) {
                                (void)broken(records, reterr_diag,
                                             "the answer is nested too deeply");
                                return NULL;
                        }
                        break;
                case '}':
                case ']':
                        if (records->element_depth == 0)
                                return p;
                        if (--records->element_depth == 0)
                                return p + 1;
                        break;
                case ',':
                case ' ':
                case '\n':
                case '\r':
                case '\t':
                        if (records->element_depth == 0)
                                return p;
                        break;
                default:
                        if (records->element_depth == 0)
                                records->element_word = true;
                }
                p++;
        }

        return NULL;
}

/* Takes what `p` has of the element in progress; returns the bytes taken or an error. */
static ssize_t feed_element(Records *records, const char *p, size_t n, Diag *reterr_diag) {
        size_t left = records->element_max - records->n_buffer, n_element;
        const char *text = p, *end;
        int r;

        if (records->shortcut && records->n_buffer == 0 && records->element_depth == 0 &&
            !records->element_string && !records->element_word) {
                ssize_t taken;

                taken = records->shortcut(records->userdata, p, MIN(n, left), reterr_diag);
                if (taken < 0)
                        return fail(records, (int)taken);
                if (taken > 0) {
                        records->state = STATE_NEXT;
                        return taken;
                }
        }

        /* One byte past the limit shows whether the element ends there: a word needs it. */
        end = element_end(records, p, p + MIN(n, left + 1), reterr_diag);
        if (records->state == STATE_FAILED)
                return records->error;

        n_element = end ? (size_t)(end - p) : MIN(n, left + 1);
        if (n_element > left)
                return diag_set(reterr_diag, fail(records, -EMSGSIZE),
                                "one element of the answer is longer than %zu bytes",
                                records->element_max);

        if (!end || records->n_buffer > 0) {
                r = keep(records, p, n_element);
                if (r < 0)
                        return r;
                if (!end)
                        return (ssize_t)n_element;
                text = records->buffer;
        }

        r = records->element(records->userdata, text, text == p ? n_element : records->n_buffer,
                             reterr_diag);
        if (r < 0)
                return fail(records, r);

        records->n_buffer = 0;
        records->state = STATE_NEXT;
        return (ssize_t)n_element;
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
                if (c == ']') {
                        pop(records);
                        return 0;
                }
                __attribute__((fallthrough));
        case STATE_VALUE:
                *ret_again = records->array_depth > 0 && records->depth == records->array_depth;
                return begin_value(records, c, reterr_diag);

        case STATE_FIRST_KEY:
                if (c == '}') {
                        pop(records);
                        return 0;
                }
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
                if (c == (array ? ']' : '}')) {
                        pop(records);
                        return 0;
                }
                break;

        default:
                break;
        }

        return broken(records, reterr_diag, "the answer is not JSON");
}

/* A string outside of elements; a key's raw text is kept for match_key(). */
static size_t feed_string(Records *records, const char *p, size_t n) {
        const char *quote = string_end(p, p + n, &records->escaped);
        size_t n_text = quote ? (size_t)(quote - p) : n;

        if (records->state == STATE_IN_KEY) {
                if (records->n_key + n_text <= KEY_MAX)
                        memcpy(records->key + records->n_key, p, n_text);
                records->n_key = MIN(records->n_key + n_text, (size_t)KEY_MAX + 1);
        }
        if (!quote)
                return n;

        if (records->state == STATE_IN_KEY)
                match_key(records);
        records->state = records->state == STATE_IN_KEY ? STATE_COLON : STATE_NEXT;
        return n_text + 1;
}

int records_feed(Records *records, const char *data, size_t n, Diag *reterr_diag) {
        const char *p = data, *end = data + n;

        while (p < end && records->state != STATE_FAILED) {
                bool again = false;
                ssize_t taken;

                switch (records->state) {
                case STATE_ELEMENT:
                        taken = feed_element(records, p, (size_t)(end - p), reterr_diag);
                        if (taken < 0)
                                return (int)taken;
                        p += taken;
                        break;
                case STATE_IN_KEY:
                case STATE_IN_STRING:
                        p += feed_string(records, p, (size_t)(end - p));
                        break;
                default:
                        if (feed_byte(records, *p, &again, reterr_diag) < 0)
                                return records->error;
                        p += !again;
                }
        }

        return records->state == STATE_FAILED ? records->error : 0;
}

int records_finish(Records *records, Diag *reterr_diag) {
        if (records->state == STATE_IN_WORD && records->depth == 0)
                (void)end_word(records, reterr_diag);
        if (records->state == STATE_FAILED)
                return records->error;
        if (records->state != STATE_DONE)
                return broken(records, reterr_diag, "the answer ends too early");

        return 0;
}
