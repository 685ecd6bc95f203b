/* SPDX-License-Identifier: MIT */

/*
 * Finds globs that no image name can match: with quotes as in a shell, a brace expansion, a
 * regular expression, a capital letter. Such a glob would protect nothing, and no message would
 * say so.
 *
 * The glob is followed element by element through Docker's grammar of names. `States` is the set
 * of states of that grammar that a name may have reached after the elements so far. The glob is
 * wrong at the element that leaves the set empty. fnmatch(3) says which characters a bracket
 * expression matches, since docker/name.c matches with it.
 *
 * The grammar is that of github.com/distribution/reference (regexp.go), in the familiar form in
 * which the engine lists names (normalize.go): without "docker.io/" and without "library/".
 */

#include "glob-internal.h"

#include <ctype.h>
#include <fnmatch.h>
#include <string.h>

#include "base/image-glob.h"
#include "base/text.h"

/* RepositoryNameTotalLengthMax of reference.go, and the tag's 1 + 127 of regexp.go. */
#define REPOSITORY_MAX 255
#define TAG_MAX 128

typedef unsigned States;

enum {
        /* a component of the path: [a-z0-9]+, separated by '.', '_', "__" or dashes */
        COMPONENT_START = 1 << 0,
        COMPONENT = 1 << 1,
        SEPARATED = 1 << 2,
        UNDERSCORE = 1 << 3,
        DASHES = 1 << 4,
        /* the registry before the first '/': labels with '.' between, or an address in brackets */
        HOST_START = 1 << 5,
        LABEL_START = 1 << 6,
        LABEL = 1 << 7,
        LABEL_DASHES = 1 << 8,
        ADDRESS_START = 1 << 9,
        ADDRESS = 1 << 10,
        ADDRESS_END = 1 << 11,
        PORT_START = 1 << 12,
        PORT = 1 << 13,
        /* the tag: [A-Za-z0-9_][A-Za-z0-9_.-]* */
        TAG_START = 1 << 14,
        TAG = 1 << 15,
};

static States after_component(States from, char c) {
        States to = 0;

        if (islower((unsigned char)c) || isdigit((unsigned char)c))
                return from & (COMPONENT_START | COMPONENT | SEPARATED | UNDERSCORE | DASHES)
                               ? COMPONENT
                               : 0;
        if (from & COMPONENT)
                to |= c == '.' ? SEPARATED : c == '_' ? UNDERSCORE : 0;
        if (from & UNDERSCORE && c == '_')
                to |= SEPARATED;
        if (from & (COMPONENT | DASHES) && c == '-')
                to |= DASHES;
        return to;
}

static States after_host(States from, char c) {
        States to = 0;

        if (from & (HOST_START | LABEL_START | LABEL | LABEL_DASHES) && isalnum((unsigned char)c))
                to |= LABEL;
        if (from & (LABEL | LABEL_DASHES) && c == '-')
                to |= LABEL_DASHES;
        if (from & LABEL && c == '.')
                to |= LABEL_START;
        if (from & HOST_START && c == '[')
                to |= ADDRESS_START;
        if (from & (ADDRESS_START | ADDRESS) && (isxdigit((unsigned char)c) || c == ':'))
                to |= ADDRESS;
        if (from & ADDRESS && c == ']')
                to |= ADDRESS_END;
        if (from & (LABEL | ADDRESS_END) && c == ':')
                to |= PORT_START;
        if (from & (PORT_START | PORT) && isdigit((unsigned char)c))
                to |= PORT;
        return to;
}

static States after_tag(States from, char c) {
        if (isalnum((unsigned char)c) || c == '_')
                return from & (TAG_START | TAG) ? TAG : 0;
        return from & TAG && (c == '.' || c == '-') ? TAG : 0;
}

static States after(States from, char c) {
        if (c == '/')
                return from & (COMPONENT | LABEL | ADDRESS_END | PORT) ? COMPONENT_START : 0;
        return after_component(from, c) | after_host(from, c) | after_tag(from, c);
}

/* Whether an element of `n` bytes, which is not '*', matches a character. */
static bool element_matches(const char *element, size_t n, char c) {
        const char text[] = { c, '\0' };
        char copy[REPOSITORY_MAX + 1];

        if (*element != '[')
                return *element == '?' ? c != '/' : element[n - 1] == c;
        if (n >= sizeof copy)
                return false;
        memcpy(copy, element, n);
        copy[n] = '\0';
        return fnmatch(copy, text, FNM_PATHNAME) == 0;
}

/* `slash`: the part may have a '/'. A glob with only an escaped '/' is matched against a single
 * component. */
static States after_element(States from, const char *element, size_t n, bool slash) {
        States to = 0, before;

        if (*element == '*') {
                do {
                        before = from;
                        for (char c = ' '; c < 0x7f; c++)
                                from |= c == '/' ? 0 : after(from, c);
                } while (from != before);
                return from;
        }
        for (char c = ' '; c < 0x7f; c++)
                if ((slash || c != '/') && element_matches(element, n, c))
                        to |= after(from, c);
        return to;
}

/* Follows a part of a glob, up to `end`. Returns NULL if it matches some name of at most `most`
 * characters; else the first element that no name has at that place, or `end` where a name can't end
 * there. */
static const char *follow_part(const char *part, const char *end, States from, size_t most) {
        States last = from & TAG_START ? TAG : COMPONENT;
        bool slash = from & HOST_START;
        size_t n = 0;

        for (const char *p = part, *next; p < end; p = next) {
                next = image_glob_element(p);
                n += *p != '*';
                from = after_element(from, p, (size_t)(next - p), slash);
                if (from == 0 || n > most)
                        return p;
        }
        return from & last ? NULL : end;
}

/* The first element that no name has at its place, or NULL. */
static const char *impossible(const char *glob, const ImageGlob *parts) {
        const char *end = glob + parts->n_repository, *at;
        States start = COMPONENT_START;

        if (parts->slash)
                start |= HOST_START;
        at = follow_part(glob, end, start, REPOSITORY_MAX);
        if (!at && parts->tag)
                at = follow_part(parts->tag, parts->tag + strlen(parts->tag), TAG_START, TAG_MAX);
        return at;
}

/* Whether `text` is `least` or more hexadecimal digits. */
static bool is_hex(const char *text, size_t least) {
        size_t n = strspn(text, "0123456789abcdef");

        return n >= least && text[n] == '\0';
}

/* Refuses names that exist, but that the engine lists in another form. */
static int check_familiar(const char *glob, Diag *diag) {
        const char *rest = image_name_familiar(glob);

        if (rest != glob)
                return diag_set(diag, -EINVAL, "the engine lists images without '%.*s': write '%s'",
                                (int)(rest - glob), glob, rest);
        if (is_hex(glob, 64) || (strncmp(glob, "sha256:", 7) == 0 && is_hex(glob + 7, 12)))
                return diag_set(diag, -EINVAL, "'%s' is the id of an image; a glob is on its name",
                                glob);
        return 0;
}

static int check_syntax(const char *glob, ImageGlob *ret_parts, Diag *diag) {
        if (strpbrk(glob, " \t"))
                return diag_set(diag, -EINVAL,
                                "'%s' has a blank in it; commas separate the globs of a list",
                                glob);
        for (const char *p = glob, *end; *p; p = end) {
                end = image_glob_element(p);
                if (*p == ']')
                        return diag_set(diag, -EINVAL, "'%s' has a ']' without its '['", glob);
                if (!end)
                        return diag_set(diag, -EINVAL,
                                        *p == '[' ? "'%s' has a '[' without its ']'"
                                                  : "'%s' ends in a backslash",
                                        glob);
        }
        return image_glob_divide(glob, ret_parts);
}

/* What to write instead of a character that no name has, or NULL. */
static const char *meaning(const char *at) {
        switch (*at) {
        case ';':
        case '#':
                return "commas separate the globs of a list, and a blank and ';' start a comment";
        case '{':
        case '}':
                return "braces are not expanded: write each glob in full, with commas between";
        case '^':
        case '$':
        case '(':
        case ')':
        case '|':
        case '+':
                return "patterns are globs, as in 'name-*', not regular expressions";
        case '/':
                return "a '/' only stands between parts that are not empty";
        default:
                return isupper((unsigned char)*at) ? "repository names are lowercase" : NULL;
        }
}

/* The number of bytes to show of an element, which may begin a multi-byte character. */
static int element_length(const char *element) {
        size_t n = utf8_length(element);

        return n > 1 ? (int)n : (int)(image_glob_element(element) - element);
}

/* Explains why no image has such a name. `at` is the element that no name has at its place. */
static int explain(const char *glob, const ImageGlob *parts, const char *at, Diag *diag) {
        const char *end = glob + strlen(glob), *digest = strchr(glob, '@'), *why = meaning(at);
        const char *tag = parts->tag && at >= parts->tag ? parts->tag : NULL;

        if (digest)
                return diag_set(diag, -EINVAL,
                                "'%s' has a digest; a glob is on the repository and the tag: write "
                                "'%.*s'",
                                glob, (int)(digest - glob), glob);
        if (strstr(glob, "://"))
                return diag_set(diag, -EINVAL, "'%s' is a URL; a glob is on the name of an image",
                                glob);
        if (at == glob + parts->n_repository && parts->n_repository == 0)
                return diag_set(diag, -EINVAL,
                                "'%s' has no repository before its tag; did you mean '*%s'?", glob,
                                glob);
        if (at == end)
                return diag_set(diag, -EINVAL,
                                "'%s' matches no image: no %s ends so; did you mean '%s*'?", glob,
                                tag ? "tag" : "repository", glob);
        if (!tag && at == glob + parts->n_repository)
                return diag_set(diag, -EINVAL, "'%s' matches no image: no repository is '%.*s'",
                                glob, (int)parts->n_repository, glob);
        if (at == (tag ?: glob))
                diag_format(diag, "'%s' matches no image: no %s starts with '%.*s'%s%s", glob,
                            tag ? "tag" : "repository", element_length(at), at, why ? "; " : "",
                            why ?: "");
        else
                diag_format(diag, "'%s' matches no image: no %s has '%.*s' after '%.*s'%s%s", glob,
                            tag ? "tag" : "repository", element_length(at), at,
                            (int)(at - (tag ?: glob)), tag ?: glob, why ? "; " : "", why ?: "");
        return -EINVAL;
}

int check_glob(char **text, Diag *reterr_diag) {
        const char *glob = *text, *at;
        ImageGlob parts;
        int r;

        r = check_syntax(glob, &parts, reterr_diag);
        if (r == 0)
                r = check_familiar(glob, reterr_diag);
        if (r < 0)
                return r;
        at = impossible(glob, &parts);
        return at ? explain(glob, &parts, at, reterr_diag) : 0;
}
