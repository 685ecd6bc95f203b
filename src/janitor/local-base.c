/* SPDX-License-Identifier: MIT */

/*
 * The trap is a release whose Dockerfile lost or got its last instruction: the layers of one release are the
 * beginning of the other's, as those of a base image would be. Dates do not tell the two apart, since a step
 * that comes from a cache keeps its date. What tells is a name that both releases bore, or names of one
 * repository whose tags differ in numbers alone. By histories alone a release and the one after it, with a tag
 * of another kind and one more instruction, look alike, too: there the repository tells.
 *
 * The search ends with the first longer image that never bore a name of this one. Releases that bore such a
 * name are passed over. Each remembers FACTS_NAMES_MAX names at most, so all searches together are N log N,
 * but for releases of one repository that are all one layer longer than others of it: each of these passes over
 * each of those (16,000,000 pairs take a tenth of a second). By histories, which many releases have in common,
 * a search ends after SEARCH_MAX of them.
 */

#include "janitor/local-base.h"

#include "base/array.h"
#include "base/text.h"
#include "docker/name.h"
#include "janitor/ownership.h"

#define SEARCH_MAX 32
/* Docker allows 127. */
#define LAYERS_MAX 128

/* The position of an image, or of the facts of one, by a hash of its layers or history, or of a name. */
typedef struct Entry {
        uint64_t key;
        size_t at;
} Entry;

typedef struct Entries {
        Entry *v;
        size_t n, size;
} Entries;

static void entries_donep(Entries *entries) {
        free(entries->v);
}

static int add(Entries *entries, uint64_t key, size_t at) {
        if (array_grow(entries->v, entries->n, entries->size) < 0)
                return -ENOMEM;
        entries->v[entries->n++] = (Entry){ key, at };
        return 0;
}

static int compare_entries(const void *a, const void *b) {
        const Entry *x = a, *y = b;

        return (x->key > y->key) - (x->key < y->key);
}

static void sort(Entries *entries) {
        if (entries->n > 0)
                qsort(entries->v, entries->n, sizeof(*entries->v), compare_entries);
}

/* The first entry that is not below `key`. */
static size_t find_first(const Entries *entries, uint64_t key) {
        size_t low = 0, high = entries->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (entries->v[middle].key < key)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static bool contains(const Entries *entries, uint64_t key) {
        size_t i = find_first(entries, key);

        return i < entries->n && entries->v[i].key == key;
}

/* The images in the inventory that have a name of ours. */
typedef struct Candidates {
        Entries by_layers;  /* by all of their layers, and by those and all of their history */
        Entries by_history; /* by all of their history, where they have instructions of their own */
} Candidates;

static void candidates_donep(Candidates *candidates) {
        entries_donep(&candidates->by_layers);
        entries_donep(&candidates->by_history);
}

static int add_candidate(const ImageFacts *facts, size_t image, Candidates *ret) {
        int r = 0;

        if (facts->layers.n > 0)
                r = add(&ret->by_layers, facts_all_layers(facts), image);
        if (r >= 0 && facts->layers.n > 0 && facts->steps.n > 0)
                r = add(&ret->by_layers, facts_layers_and_history(facts), image);
        if (r >= 0 && facts->steps.n > facts->n_base)
                r = add(&ret->by_history, facts_whole_history(facts), image);
        return r;
}

static int find_candidates(const Inventory *inventory, const Config *config, Candidates *ret) {
        int r = 0;

        for (size_t i = 0; i < inventory->images.n && r >= 0; i++) {
                const Image *image = &inventory->images.v[i];
                const ImageFacts *facts = fact_set_find(&inventory->facts, image->id);

                if (facts && image_is_ours(config, image))
                        r = add_candidate(facts, i, ret);
        }
        sort(&ret->by_layers);
        sort(&ret->by_history);
        return r;
}

/* Of the beginnings of an image those that are a whole candidate. */
static int add_beginnings(const ImageFacts *facts, size_t at, const Candidates *candidates,
                          Candidates *ret) {
        bool same_layers =
                facts->layers.n > 0 && contains(&candidates->by_layers, facts_all_layers(facts));
        uint64_t steps = 0;
        int r = 0;

        for (size_t i = 0; i + 1 < facts->layers.n && r >= 0; i++)
                if (contains(&candidates->by_layers, facts->layers.v[i]))
                        r = add(&ret->by_layers, facts->layers.v[i], at);
        for (size_t i = 0; i + 1 < facts->steps.n && r >= 0; i++) {
                uint64_t key;

                steps = hash_prefix(steps, facts->steps.v[i]);
                if (contains(&candidates->by_history, steps))
                        r = add(&ret->by_history, steps, at);
                if (r < 0 || !same_layers)
                        continue;
                key = hash_prefix(facts_all_layers(facts), steps);
                if (contains(&candidates->by_layers, key))
                        r = add(&ret->by_layers, key, at);
        }
        return r;
}

/* Images of ours, present or remembered, by those of their beginnings that are a whole candidate. What docker
 * commit made begins like the image of its container, which no build needs for that. */
static int find_longer(const Inventory *inventory, const Candidates *candidates, Candidates *ret) {
        int r = 0;

        for (size_t i = 0; i < inventory->facts.n && r >= 0; i++)
                if (inventory->facts.v[i].ours && inventory->facts.v[i].commit != COMMIT_YES)
                        r = add_beginnings(&inventory->facts.v[i], i, candidates, ret);
        sort(&ret->by_layers);
        sort(&ret->by_history);
        return r;
}

/* The image's names now, the same as another release bears them, and with `repositories` those, too, by their
 * hashes. */
static int hash_names_of(const Image *image, bool repositories, Entries *ret) {
        int r = 0;

        for (size_t i = 0; i < image->names.n && r >= 0; i++) {
                uint64_t release;

                r = name_release_hash(image->names.v[i], &release);
                if (r >= 0)
                        r = add(ret, text_hash(image->names.v[i]), i);
                if (r >= 0)
                        r = add(ret, release, i);
                if (r >= 0 && repositories)
                        r = add(ret, name_repository_hash(image->names.v[i]), i);
        }
        sort(ret);
        return r;
}

/* Whether the other image is known to have borne one of these names. */
static bool bore_name(const ImageFacts *other, const Entries *names) {
        for (size_t i = 0; i < other->names.n; i++)
                if (contains(names, other->names.v[i]))
                        return true;
        return false;
}

/* Whether some longer image never bore a name that the candidate has now. */
static int is_base_of_any(const Inventory *inventory, const Entry *candidate, const Entries *longer,
                          bool by_history, bool *ret) {
        cleanup(entries_done) Entries names = { 0 };
        size_t i = find_first(longer, candidate->key);

        *ret = false;
        if (!contains(longer, candidate->key))
                return 0;
        if (hash_names_of(&inventory->images.v[candidate->at], by_history, &names) < 0)
                return -ENOMEM;
        for (size_t n = 0; !*ret && i < longer->n && longer->v[i].key == candidate->key; i++, n++) {
                const ImageFacts *other = &inventory->facts.v[longer->v[i].at];

                if (by_history && n == SEARCH_MAX)
                        break;
                /* The histories of two releases look like that, too. An image that bore a name which is not
                 * known may be a release of the same repository; a stage bore none. */
                if (by_history && other->names.n == 0 && other->bore_name)
                        continue;
                *ret = !bore_name(other, &names);
        }
        return 0;
}

static int mark_beginnings(const Inventory *inventory, const Entries *candidates,
                           const Entries *longer, LocalBase how, LocalBase *bases) {
        int r = 0;

        for (size_t i = 0; i < candidates->n && r >= 0; i++) {
                const Entry *candidate = &candidates->v[i];
                bool is_base;

                if (bases[candidate->at] >= how)
                        continue;
                r = is_base_of_any(inventory, candidate, longer, how == LOCAL_BASE_LIKELY,
                                   &is_base);
                if (r >= 0 && is_base)
                        bases[candidate->at] = how;
        }
        return r;
}

static int find_beginnings(const Inventory *inventory, const Config *config, LocalBase *bases) {
        cleanup(candidates_done) Candidates candidates = { 0 }, longer = { 0 };
        int r;

        r = find_candidates(inventory, config, &candidates);
        if (r >= 0)
                r = find_longer(inventory, &candidates, &longer);
        if (r >= 0)
                r = mark_beginnings(inventory, &candidates.by_layers, &longer.by_layers,
                                    LOCAL_BASE_KNOWN, bases);
        return r < 0 ? r
                     : mark_beginnings(inventory, &candidates.by_history, &longer.by_history,
                                       LOCAL_BASE_LIKELY, bases);
}

/* Whether builds need an image of this name, by what the records of builds and the build cache told. */
static LocalBase need_of_name(const Entries *needs, const char *name) {
        if (contains(needs, text_hash(name)))
                return LOCAL_BASE_KNOWN;
        if (contains(needs, name_repository_hash(name)))
                return LOCAL_BASE_LIKELY;
        return contains(needs, possible_need_hash(name)) ? LOCAL_BASE_POSSIBLY : LOCAL_BASE_NOT;
}

static int find_needed(const Inventory *inventory, const Config *config, LocalBase *bases) {
        cleanup(entries_done) Entries needs = { 0 };
        int r = 0;

        for (size_t i = 0; i < inventory->facts.n && r >= 0; i++) {
                const HashList *list = &inventory->facts.v[i].needs;

                for (size_t j = 0; j < list->n && r >= 0; j++)
                        r = add(&needs, list->v[j], i);
        }
        sort(&needs);
        for (size_t i = 0; i < inventory->images.n && needs.n > 0 && r >= 0; i++) {
                const Image *image = &inventory->images.v[i];

                if (!image_is_ours(config, image))
                        continue;
                for (size_t j = 0; j < image->names.n; j++)
                        bases[i] = MAX(bases[i], need_of_name(&needs, image->names.v[j]));
        }
        return r;
}

/* What a stage of ours stands on: the first image of ours with a name below it. Each image is walked through
 * once. */
static int find_below_stage(const Inventory *inventory, const Config *config, const size_t *parents,
                            size_t stage, bool *walked, LocalBase *bases) {
        const ImageSet *images = &inventory->images;
        const ImageFacts *facts = fact_set_find(&inventory->facts, images->v[stage].id);
        cleanup(entries_done) Entries names = { 0 };
        size_t i = parents[stage];

        while (i != PLAN_NO_PARENT && !walked[i] && !image_is_ours(config, &images->v[i])) {
                walked[i] = true;
                i = parents[i];
        }
        if (i == PLAN_NO_PARENT || walked[i])
                return 0;
        if (hash_names_of(&images->v[i], false, &names) < 0)
                return -ENOMEM;
        if (!bore_name(facts, &names))
                bases[i] = LOCAL_BASE_KNOWN;
        return 0;
}

static int find_below_stages(const Inventory *inventory, const Config *config, LocalBase *bases) {
        const ImageSet *images = &inventory->images;
        cleanup_free bool *walked = calloc(images->n + 1, sizeof(*walked));
        cleanup_free size_t *parents = NULL;
        int r;

        if (!walked)
                return -ENOMEM;
        r = plan_parents(inventory, &parents);
        for (size_t i = 0; i < images->n && r >= 0; i++) {
                const ImageFacts *facts = fact_set_find(&inventory->facts, images->v[i].id);

                if (facts && facts->ours && facts->commit != COMMIT_YES &&
                    image_is_untagged(&images->v[i]))
                        r = find_below_stage(inventory, config, parents, i, walked, bases);
        }
        return r;
}

/* Of each number of layers whether the build cache holds the layers of an image with as many, that a build named:
 * the length of each chain of such records that is no part of a longer one. */
static int find_depths(const RecordSet *records, bool depths[static LAYERS_MAX + 1]) {
        cleanup(index_done) Index by_id = { 0 };
        cleanup_free bool *has_child = calloc(records->n + 1, sizeof(*has_child));
        cleanup_free size_t *below = calloc(records->n + 1, sizeof(*below));

        if (!has_child || !below)
                return -ENOMEM;
        for (size_t i = 0; i < records->n; i++)
                if (records->v[i].local_image && index_add(&by_id, records->v[i].id, i) < 0)
                        return -ENOMEM;
        index_sort(&by_id);
        for (size_t i = 0; i < records->n; i++) {
                const BuildRecord *record = &records->v[i];
                const IndexEntry *parent = NULL;

                if (record->local_image && record->n_parents == 1)
                        parent = index_find(&by_id, records->parents[record->parents], NULL);
                below[i] = parent ? parent->at : SIZE_MAX;
                if (parent)
                        has_child[parent->at] = true;
        }
        for (size_t i = 0; i < by_id.n; i++) {
                size_t n = 0;

                if (has_child[by_id.v[i].at])
                        continue;
                for (size_t at = by_id.v[i].at; at != SIZE_MAX && n <= LAYERS_MAX; at = below[at])
                        n++;
                if (n <= LAYERS_MAX)
                        depths[n] = true;
        }
        return 0;
}

static size_t count_layers(const Inventory *inventory, size_t image) {
        const ImageFacts *facts = fact_set_find(&inventory->facts, inventory->images.v[image].id);

        return facts && facts->layers.n <= LAYERS_MAX ? facts->layers.n : 0;
}

static int find_by_depth(const Inventory *inventory, const Config *config, LocalBase *bases) {
        const ImageSet *images = &inventory->images;
        bool depths[LAYERS_MAX + 1] = { 0 };
        int r;

        if (inventory->builds.history)
                return 0;
        r = find_depths(&inventory->records, depths);
        for (size_t i = 0; i < images->n && r >= 0; i++)
                if (bases[i] != LOCAL_BASE_NOT ||
                    (images->v[i].names.n > 0 && !image_is_ours(config, &images->v[i])))
                        depths[count_layers(inventory, i)] = false;
        depths[0] = false;
        for (size_t i = 0; i < images->n && r >= 0; i++)
                if (depths[count_layers(inventory, i)] && image_is_ours(config, &images->v[i]))
                        bases[i] = LOCAL_BASE_POSSIBLY;
        return r;
}

int local_bases_find(const Inventory *inventory, const Config *config, LocalBase **ret) {
        cleanup_free LocalBase *bases = calloc(inventory->images.n + 1, sizeof(*bases));
        int r;

        if (!bases)
                return -ENOMEM;
        r = find_needed(inventory, config, bases);
        if (r >= 0)
                r = find_below_stages(inventory, config, bases);
        if (r >= 0)
                r = find_beginnings(inventory, config, bases);
        if (r >= 0)
                r = find_by_depth(inventory, config, bases);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(bases);
        return 0;
}

int local_bases_note(const Config *config, Inventory *inventory) {
        cleanup_free LocalBase *bases = NULL;
        int r;

        if (inventory->builds.history)
                return 0;
        r = local_bases_find(inventory, config, &bases);
        for (size_t i = 0; i < inventory->images.n && r >= 0; i++) {
                const Image *image = &inventory->images.v[i];
                ImageFacts *facts = bases[i] == LOCAL_BASE_POSSIBLY
                                            ? fact_set_find(&inventory->facts, image->id)
                                            : NULL;

                for (size_t j = 0; facts && j < image->names.n && r >= 0; j++)
                        r = facts_add_possible_need(facts, image->names.v[j]);
        }
        return r;
}
