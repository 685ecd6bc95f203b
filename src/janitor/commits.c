/* SPDX-License-Identifier: MIT */

#include "janitor/commits.h"

bool image_is_commit(const Inventory *inventory, const Image *image) {
        const ImageFacts *facts = fact_set_find(&inventory->facts, image->id);

        return facts && facts->commit == COMMIT_YES;
}

CommitBase commit_base(const Inventory *inventory, const ImageChain *chains, size_t commit) {
        CommitBase base = { .image = chains[commit].parent, .n = 1 };
        size_t above = commit;

        while (base.image != CHAIN_NO_IMAGE && base.n < COMMITS_MAX &&
               image_is_commit(inventory, &inventory->images.v[base.image])) {
                above = base.image;
                base.image = chains[above].parent;
                base.n++;
        }
        base.is_step =
                base.image != CHAIN_NO_IMAGE && chains[base.image].whole && chains[above].n_own > 1;
        return base;
}
