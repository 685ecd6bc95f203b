/* SPDX-License-Identifier: MIT */
#pragma once

/* The value of a key: a field of the key's owner, to which `base`, `from`, `to`, `a` and `b` point. */

#include "key-internal.h"

/* Parses the text into the field and replaces its value. The value stays on failure: -EINVAL with the
 * reason, -ENOMEM. */
int key_parse(const Key *key, const char *text, void *base, Diag *reterr_diag) must_check;
/* The same for a KEY_LIST, but adds to the value. In both functions an empty text, or the word for
 * none, empties a list. */
int key_add(const Key *key, const char *text, void *base, Diag *reterr_diag) must_check;
/* `to` has no value in the field yet. */
int key_copy(const Key *key, const void *from, void *to) must_check;
/* Says why a list may not be empty. Returns -EINVAL. */
int key_empty(const Key *key, Diag *reterr_diag) must_check;
bool key_equal(const Key *key, const void *a, const void *b);
void key_clear(const Key *key, void *base);

/* The same for all keys of an owner. A required key has no default. */
int keys_set_defaults(KeyOwner owner, void *base) must_check;
int keys_copy(KeyOwner owner, const void *from, void *to) must_check;
void keys_clear(KeyOwner owner, void *base);
