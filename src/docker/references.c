/* SPDX-License-Identifier: MIT */

/*
 * The trap is a reference with both a tag and a digest: the engine looks up the digest alone, so the
 * tag may have moved to another image, which the reference does not name.
 */

#include "docker/references.h"

#include <string.h>

#include "base/image-glob.h"
#include "base/text.h"
#include "docker/name.h"

static const char algorithm[] = "sha256:";

static bool has_algorithm(const char *reference) {
        return strncmp(reference, algorithm, strlen(algorithm)) == 0;
}

/* The digits of an id or of its beginning; NULL: the reference is neither. */
static const char *id_digits(const char *reference) {
        const char *digits = has_algorithm(reference) ? reference + strlen(algorithm) : reference;

        return *digits && !digits[strspn(digits, "0123456789abcdef")] ? digits : NULL;
}

bool reference_is_id_of(const char *reference, const char *id) {
        const char *digits = id_digits(reference), *hex = strchr(id, ':');

        return digits && hex && strncmp(hex + 1, digits, strlen(digits)) == 0;
}

int reference_name(const char *reference, char **ret) {
        const char *name = image_name_familiar(reference);
        int n = (int)strcspn(name, "@");
        cleanup_free char *plain = text_format("%.*s", n, name);

        *ret = NULL;
        if (!plain)
                return -ENOMEM;
        if (has_algorithm(reference) || (name[n] && !name_tag(plain)))
                return 0;
        *ret = text_format("%s%s", plain, name_tag(plain) ? "" : ":latest");
        return *ret ? 0 : -ENOMEM;
}

char *reference_repository(const char *reference) {
        const char *name = image_name_familiar(reference);

        return strndup(name, name_repository_length(name));
}

/* The image of this id, or the only one whose id begins with these digits. */
static int find_by_id(const References *references, const char *reference, const Image **ret) {
        const char *digits = id_digits(reference);
        const IndexEntry *entry;
        cleanup_free char *prefix = NULL;
        size_t n;

        *ret = image_set_find(references->images, reference);
        if (*ret)
                return 0;
        if (!digits)
                return 0;
        prefix = text_format("%s%s", algorithm, digits);
        if (!prefix)
                return -ENOMEM;
        entry = index_find_prefix(&references->ids, prefix, &n);
        if (entry && n == 1)
                *ret = &references->images->v[entry->at];
        return 0;
}

static int find_by_digest(const References *references, const char *reference, const Image **ret) {
        const ImageSet *images = references->images;
        const char *name = image_name_familiar(reference), *digest = strchr(name, '@');
        const IndexEntry *entry;
        cleanup_free char *key = NULL;

        *ret = NULL;
        if (!digest)
                return 0;
        key = text_format("%.*s%s", (int)name_repository_length(name), name, digest);
        if (!key)
                return -ENOMEM;
        entry = index_find(&references->digests, key, NULL);
        *ret = entry ? &images->v[entry->at] : image_set_find(images, digest + 1);
        return 0;
}

int references_find(const References *references, const char *reference, const Image **ret,
                    bool *ret_by_name) {
        cleanup_free char *name = NULL;
        int r;

        *ret_by_name = false;
        r = find_by_digest(references, reference, ret);
        if (r < 0 || *ret)
                return r;
        r = reference_name(reference, &name);
        if (r < 0)
                return r;
        *ret = name ? image_set_find_name(references->images, name) : NULL;
        *ret_by_name = *ret;
        return *ret ? 0 : find_by_id(references, reference, ret);
}

int references_init(References *references, const ImageSet *images) {
        references->images = images;
        for (size_t i = 0; i < images->n; i++) {
                if (index_add(&references->ids, images->v[i].id, i) < 0)
                        return -ENOMEM;
                for (size_t j = 0; j < images->v[i].digests.n; j++)
                        if (index_add(&references->digests, images->v[i].digests.v[j], i) < 0)
                                return -ENOMEM;
        }
        index_sort(&references->ids);
        index_sort(&references->digests);
        return 0;
}

void references_done(References *references) {
        index_done(&references->digests);
        index_done(&references->ids);
}
