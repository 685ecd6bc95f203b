/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Cuts the elements of one array out of a JSON document as its bytes arrive, so that memory does
 * not grow with the body: only the element in progress is held, at most `element_max` bytes of it.
 *
 * Where the array lies is said by paths from the document's root: "" (the document is the array),
 * "BuildCache", "BuildCacheUsage.Items". The first of them in the document whose array is not empty
 * is used and elements of the others are passed over (API 1.52 to 1.55 sends the same records
 * twice); null and absent arrays are empty, anything else in their place is -EBADMSG. What lies
 * outside is checked for structure only.
 */

#include <sys/types.h>

#include "base/diag.h"
#include "base/macro.h"

#define RECORDS_ELEMENT_MAX (1024U * 1024U)

/* One whole element: text[0..n) has its length and its balanced brackets, not NUL-terminated; JSON
 * or not is for the callee to find. It lies in the bytes that were fed if it came in one piece. A
 * negative return stops the reading and is handed through. */
typedef int (*RecordsElement)(void *userdata, const char *text, size_t n, Diag *reterr_diag);

/*
 * A short cut, or NULL: text[0..n) begins with an element that may go on past it. Returns the length
 * of an element it has taken, which must be what the reader would have cut out, 0 to leave it to
 * RecordsElement, or an error.
 */
typedef ssize_t (*RecordsShortcut)(void *userdata, const char *text, size_t n, Diag *reterr_diag);

typedef struct Records Records;

/* `paths` is NULL-terminated and borrowed for the reader's life. */
int records_new(const char *const *paths, size_t element_max, RecordsElement element,
                RecordsShortcut shortcut, void *userdata, Records **ret) must_check;
Records *records_free(Records *records);
DEFINE_CLEANUP(Records *, records_free);

/* Takes the next bytes, in pieces of any size. -EBADMSG: not JSON; -EMSGSIZE: an element too long;
 * or what the element callback returned. After an error the reader is spent. */
int records_feed(Records *records, const char *data, size_t n, Diag *reterr_diag) must_check;

/* Says that the body is over: -EBADMSG if the document is not (a truncated answer). */
int records_finish(Records *records, Diag *reterr_diag) must_check;
