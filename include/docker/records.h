/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Reads a JSON document as its bytes arrive and hands out the elements of one array in it, so that
 * memory does not grow with the body: only the element in progress is held, and of that only the
 * members that are wanted.
 *
 * `paths` say where the array lies, from the document's root: "" (the document is the array),
 * "BuildCache", "BuildCacheUsage.Items". The first of them in the document whose array is not empty
 * is used and elements of the others are passed over (API 1.52 to 1.55 sends the same records
 * twice). A null array is empty, and so is a path that ends early at an object ("BuildCacheUsage":{}).
 * A document that has none of the members that the paths begin with is -EBADMSG, as is anything else
 * in the place of an array, and an array that stands in the document twice. Without `paths`, every
 * value at the root is an element: one, or several one after the other.
 *
 * `keep` names the members of an element that are wanted: "Id", "Labels/com.docker.compose.project",
 * "Mounts/Type" (in each object of the array Mounts). The element that is handed out has these alone.
 * All others are checked for structure only and may be of any size, depth and content. Without
 * `keep`, an element is handed out as it stands.
 */

#include <sys/types.h>

#include "base/diag.h"
#include "base/macro.h"

#define RECORDS_ELEMENT_MAX (1024U * 1024U) /* the usual `element_max` */
#define RECORDS_KEEP_MAX 16                 /* paths in `keep` */

typedef struct RecordsWant {
        const char *const *paths, *const *keep; /* NULL-terminated, or NULL */
        size_t element_max;                     /* bytes of an element that are held */
        bool may_lack;                          /* a document without the array is an empty one */
} RecordsWant;

/*
 * One element, not NUL-terminated. Its brackets are balanced; whether strings, numbers and words are
 * JSON is for the callee to find. `defect` is NULL, or says why the element is not whole: a wanted
 * member is too long, nested too deeply, or there twice. Such a member is left out; where the element
 * is no object, or all of it was asked for, nothing is left and `n` is 0. A negative return stops the
 * reading and is handed through.
 */
typedef int (*RecordsElement)(void *userdata, const char *text, size_t n, const char *defect,
                              Diag *reterr_diag);

/*
 * A short cut, or NULL: text[0..n) begins with an element that may go on past it. Returns the length
 * of an element it has taken, which must be what the reader would have found, 0 to leave it to
 * RecordsElement, or an error.
 */
typedef ssize_t (*RecordsShortcut)(void *userdata, const char *text, size_t n, Diag *reterr_diag);

typedef struct Records Records;

/* What `want` points to is borrowed for the reader's life. */
int records_new(const RecordsWant *want, RecordsElement element, RecordsShortcut shortcut,
                void *userdata, Records **ret) must_check;
Records *records_free(Records *records);
DEFINE_CLEANUP(Records *, records_free);

/* Takes the next bytes, in pieces of any size. -EBADMSG: not JSON; or what the element callback
 * returned. After an error the reader is spent. */
int records_feed(Records *records, const char *data, size_t n, Diag *reterr_diag) must_check;

/* Says that the body is over: -EBADMSG if the document is not (a truncated answer), or if it has no
 * place for the array. */
int records_finish(Records *records, Diag *reterr_diag) must_check;
