/* SPDX-License-Identifier: MIT */

#include "janitor/inline-cache.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "wire/json.h"

#define IMAGE_CONFIG_BYTES_MAX (4U * 1024U * 1024U)

/*
 * The graphdriver store keeps each image's configuration in a file of its id's name. A process
 * that may not read below Docker's data root does not know.
 */
static InlineCache read_inline_cache(const EngineInfo *engine, const char *id) {
        cleanup_free char *path = NULL, *text = NULL;
        cleanup(json_free) Json *json = NULL;
        const char *hex = strchr(id, ':');
        size_t n;

        if (engine->image_store == IMAGE_STORE_CONTAINERD || !hex || strchr(hex, '/'))
                return INLINE_CACHE_UNKNOWN;
        if (asprintf(&path, "%s/image/%s/imagedb/content/sha256/%s", engine->root_dir,
                     engine->driver, hex + 1) < 0)
                return INLINE_CACHE_UNKNOWN;
        if (file_read(AT_FDCWD, path, IMAGE_CONFIG_BYTES_MAX, &text, &n) < 0 ||
            json_parse(text, n, &json) < 0)
                return INLINE_CACHE_UNKNOWN;
        return json_get(json, "moby.buildkit.cache.v0") ? INLINE_CACHE_YES : INLINE_CACHE_NO;
}

/* What could not be read yet may be readable now. */
void inline_caches_read(Inventory *inventory) {
        for (size_t i = 0; i < inventory->images.n; i++) {
                ImageFacts *facts = fact_set_find(&inventory->facts, inventory->images.v[i].id);

                if (!facts || facts->inline_cache != INLINE_CACHE_UNKNOWN)
                        continue;
                facts->inline_cache = read_inline_cache(&inventory->engine, facts->id);
                facts->dirty |= facts->inline_cache != INLINE_CACHE_UNKNOWN;
        }
}
