/* SPDX-License-Identifier: MIT */

/*
 * Whose an untagged image is can only be read from what it shares with images whose owner is
 * known (a compose project's label, a parent of the classic builder) and from what was remembered
 * of it: an image that bore names of others alone is another application's release, whatever it stands
 * on. A parent says nothing where it is the base image both were built from, so the chain ends at
 * the first image that others name. Nor does a step that an image of others stands on as well, as a
 * WORKDIR on a common base image is: the step is ours, and what else stands on it may be either's.
 * Layers say nothing: BuildKit keeps no base image, so whose a common layer is can't be told.
 */

#include <stdio.h>
#include <string.h>

#include "docker/name.h"
#include "janitor/commits.h"
#include "janitor/ownership.h"

const char *image_name_of_ours(const Config *config, const Image *image) {
        for (size_t i = 0; i < image->names.n; i++)
                if (name_is_ours(config, image, image->names.v[i]) &&
                    !name_matches_any(&config->base, image->names.v[i]))
                        return image->names.v[i];
        return NULL;
}

bool image_is_ours(const Config *config, const Image *image) {
        return image_name_of_ours(config, image);
}

/* Nobody but the janitor names it. (The containerd store lists a digest for every name; only a
 * digest without a name is a reference of its own.) */
static bool image_is_nameless(const Config *config, const Image *image) {
        if (image->names.n == 0)
                return image->digests.n == 0;
        for (size_t i = 0; i < image->names.n; i++)
                if (!name_is_trash(image->names.v[i]) &&
                    !name_is_rollback(config, image, image->names.v[i]))
                        return false;
        return true;
}

static bool bore_names_of_others(const Inventory *inventory, const Image *image) {
        const ImageFacts *facts = fact_set_find(&inventory->facts, image->id);

        return facts && facts->of_others && !facts->ours;
}

/* Whether a parent belongs to the chain; where not, it is what FROM named. No build commits with
 * docker commit. */
static bool chain_takes(const Inventory *inventory, const Config *config, const Image *parent) {
        if (!image_is_classic(inventory, parent))
                return false;
        return image_is_ours(config, parent) ||
               (image_is_nameless(config, parent) && !image_is_commit(inventory, parent));
}

/* A container of any image may be committed under a name of ours. */
static bool is_of_a_release_of_others(const Inventory *inventory, const Image *image,
                                      const Image *parent) {
        return image_is_commit(inventory, image) && bore_names_of_others(inventory, parent);
}

/*
 * Where a chain ends at an image that others name although the classic builder made it: it may be a
 * stage that was tagged, whose steps the next build takes. An image that is meant to be built upon is
 * told by [images] base.
 */
static bool is_stage(const Config *config, const Image *parent) {
        if (!parent->parent_id[0])
                return false;
        for (size_t i = 0; i < parent->names.n; i++)
                if (name_matches_any(&config->base, parent->names.v[i]))
                        return false;
        return true;
}

int plan_parents(const Inventory *inventory, size_t **ret) {
        const ImageSet *images = &inventory->images;
        cleanup(index_done) Index index = { 0 };
        cleanup_free size_t *parents = calloc(images->n + 1, sizeof(*parents));

        if (!parents)
                return -ENOMEM;
        for (size_t i = 0; i < images->n; i++)
                if (index_add(&index, images->v[i].id, i) < 0)
                        return -ENOMEM;
        index_sort(&index);
        for (size_t i = 0; i < images->n; i++) {
                const char *parent_id = images->v[i].parent_id;
                const IndexEntry *found = parent_id[0] ? index_find(&index, parent_id, NULL) : NULL;

                parents[i] = found && found->at != i ? found->at : PLAN_NO_PARENT;
        }
        *ret = TAKE_PTR(parents);
        return 0;
}

/* An image joins the order when the last of its children has. */
int plan_children_first(const size_t *parents, size_t n, size_t **ret) {
        cleanup_free size_t *n_children = calloc(n + 1, sizeof(*n_children));
        cleanup_free size_t *order = calloc(n + 1, sizeof(*order));
        cleanup_free bool *placed = calloc(n + 1, sizeof(*placed));
        size_t n_order = 0;

        if (!n_children || !order || !placed)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                if (parents[i] != PLAN_NO_PARENT)
                        n_children[parents[i]]++;
        for (size_t i = 0; i < n; i++)
                for (size_t j = i; j != PLAN_NO_PARENT && n_children[j] == 0 && !placed[j];
                     j = parents[j]) {
                        placed[j] = true;
                        order[n_order++] = j;
                        if (parents[j] != PLAN_NO_PARENT)
                                n_children[parents[j]]--;
                }
        for (size_t i = 0; i < n; i++)
                if (!placed[i])
                        order[n_order++] = i;
        *ret = TAKE_PTR(order);
        return 0;
}

/* The parent of each image where it belongs to the chain, else PLAN_NO_PARENT; malloc'ed. */
static int find_chains(const Inventory *inventory, const Config *config, const size_t *parents,
                       size_t **ret) {
        const ImageSet *images = &inventory->images;
        cleanup_free bool *taken = calloc(images->n + 1, sizeof(*taken));
        size_t *next = calloc(images->n + 1, sizeof(*next));

        if (!taken || !next) {
                free(next);
                return -ENOMEM;
        }
        for (size_t i = 0; i < images->n; i++)
                taken[i] = chain_takes(inventory, config, &images->v[i]);
        for (size_t i = 0; i < images->n; i++)
                next[i] = parents[i] != PLAN_NO_PARENT && taken[parents[i]] &&
                                          !is_of_a_release_of_others(inventory, &images->v[i],
                                                                     &images->v[parents[i]])
                                  ? parents[i]
                                  : PLAN_NO_PARENT;
        *ret = next;
        return 0;
}

int plan_recall(const Inventory *inventory, const SeenImages *seen, const SeenImage ***ret) {
        const ImageSet *images = &inventory->images;
        cleanup(index_done) Index index = { 0 };
        cleanup_free const SeenImage **v = calloc(images->n + 1, sizeof(*v));

        if (!v)
                return -ENOMEM;
        for (size_t i = 0; seen && i < seen->n; i++)
                if (index_add(&index, seen->v[i].id, i) < 0)
                        return -ENOMEM;
        index_sort(&index);
        for (size_t i = 0; i < images->n; i++) {
                const IndexEntry *found = index_find(&index, images->v[i].id, NULL);

                v[i] = found && seen ? &seen->v[found->at] : NULL;
        }
        *ret = TAKE_PTR(v);
        return 0;
}

int plan_former_name(const Inventory *inventory, const Config *config, const Image *image,
                     char **ret) {
        const Container *container;
        cleanup_free char *name = NULL;

        *ret = NULL;
        if (!image_is_untagged(image))
                return 0;
        container = container_set_holder(&inventory->containers, image->id);
        if (!container || strncmp(container->image, "sha256:", strlen("sha256:")) == 0 ||
            strchr(container->image, '@'))
                return 0;
        if (asprintf(&name, "%s%s", container->image, name_tag(container->image) ? "" : ":latest") <
            0)
                return -ENOMEM;
        if (name_in_scope(config, image, name))
                *ret = TAKE_PTR(name);
        return 0;
}

/* Suspects */

/*
 * Whether an image without a name last belonged to a repository that clears may take names of. A
 * pattern that asks for a tag as well can't be compared with a repository alone.
 */
static bool was_ours(const Config *config, const Image *image, const SeenImage *seen) {
        return image_is_untagged(image) && seen && seen->repository &&
               name_in_scope(config, image, seen->repository);
}

/* What the walks along chains share; one element of each an image. */
typedef struct Search {
        const Inventory *inventory;
        const Config *config;
        NamedImages *suspects; /* those already known */
        NamedImages found;
        size_t *parents, *next;
        const SeenImage **seen;
        bool *walked; /* a walk came through this image */
        bool *added;  /* it is in `found` without a name */
} Search;

static void search_donep(Search *search) {
        named_images_done(&search->found);
        free(search->parents);
        free(search->next);
        free(search->seen);
        free(search->walked);
        free(search->added);
}

static int add_member(Search *search, size_t i) {
        const char *id = search->inventory->images.v[i].id;

        if (search->added[i] || named_images_contain_id(search->suspects, id))
                return 0;
        search->added[i] = true;
        return named_images_add(&search->found, "", id);
}

/* Adds an image under its names; `*ret_taken`: it had one. */
static int add_names(Search *search, size_t i, bool *ret_taken) {
        const Image *image = &search->inventory->images.v[i];
        cleanup_free char *former = NULL;
        int r;

        r = plan_former_name(search->inventory, search->config, image, &former);
        if (r >= 0 && former)
                r = named_images_add(&search->found, former, image->id);
        else if (r >= 0 && was_ours(search->config, image, search->seen[i]))
                r = add_member(search, i);
        else
                *ret_taken = false;
        for (size_t j = 0; j < image->names.n && r >= 0; j++) {
                if (!name_in_scope(search->config, image, image->names.v[j]))
                        continue;
                *ret_taken = true;
                r = named_images_add(&search->found, image->names.v[j], image->id);
        }
        return r;
}

/* Adds what `image` and the members of its chain stand on, as far as no walk before came that way. */
static int add_chain(Search *search, size_t image) {
        const ImageSet *images = &search->inventory->images;

        for (size_t i = image; i != PLAN_NO_PARENT && !search->walked[i]; i = search->next[i]) {
                const size_t parent = search->parents[i];

                search->walked[i] = true;
                if (parent == PLAN_NO_PARENT ||
                    (search->next[i] == PLAN_NO_PARENT &&
                     (image_is_commit(search->inventory, &images->v[i]) ||
                      !is_stage(search->config, &images->v[parent]))))
                        continue;
                if (add_member(search, parent) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int search_suspects(Search *search, const SeenImages *seen) {
        const size_t n = search->inventory->images.n;
        int r;

        search->walked = calloc(n + 1, sizeof(*search->walked));
        search->added = calloc(n + 1, sizeof(*search->added));
        r = search->walked && search->added ? named_images_prepare(search->suspects) : -ENOMEM;
        if (r >= 0)
                r = plan_parents(search->inventory, &search->parents);
        if (r >= 0)
                r = find_chains(search->inventory, search->config, search->parents, &search->next);
        if (r >= 0)
                r = plan_recall(search->inventory, seen, &search->seen);
        for (size_t i = 0; i < n && r >= 0; i++) {
                bool taken = true;

                r = add_names(search, i, &taken);
                if (r >= 0 && taken)
                        r = add_chain(search, i);
        }
        return r;
}

int plan_suspects(const Inventory *inventory, const Config *config, const SeenImages *seen,
                  NamedImages *suspects) {
        cleanup(search_done) Search search = {
                .inventory = inventory,
                .config = config,
                .suspects = suspects,
        };
        cleanup(index_done) Index known = { 0 };
        int r;

        r = search_suspects(&search, seen);
        if (r >= 0)
                r = named_images_index(suspects, &known);
        for (size_t i = 0; i < search.found.n && r >= 0; i++) {
                const NamedImage *entry = &search.found.v[i];

                /* Without a name it was looked for by its id. */
                if (!entry->name[0] ||
                    !named_images_find_pair(suspects, &known, entry->name, entry->id))
                        r = named_images_add(suspects, entry->name, entry->id);
        }
        return r < 0 ? r : named_images_prepare(suspects);
}

/* Claims */

/* What all claims are read from; one element of each an image. */
typedef struct Owners {
        const Inventory *inventory;
        const Config *config;
        const NamedImages *suspects;
        size_t *next;
        unsigned char *marks;
        Index projects; /* compose projects that have an image of ours */
} Owners;

static void owners_donep(Owners *owners) {
        free(owners->next);
        free(owners->marks);
        index_done(&owners->projects);
}

/* Who has an image in the parent chain of one that bears a name. */
#define OWNED_BY_US 1U
#define OWNED_BY_OTHERS 2U
/* It bears a name of ours, or did when a clear took it. */
#define NAMED_BY_US 4U

/* Marks the parent chain of each named image with its owner. What follows a mark has it already. */
static void mark_owners(Owners *owners) {
        for (size_t i = 0; i < owners->inventory->images.n; i++) {
                const Image *image = &owners->inventory->images.v[i];
                unsigned char mark;

                if (image_is_nameless(owners->config, image))
                        continue;
                mark = image_is_ours(owners->config, image) ? OWNED_BY_US : OWNED_BY_OTHERS;
                for (size_t j = i; j != PLAN_NO_PARENT && !(owners->marks[j] & mark);
                     j = owners->next[j])
                        owners->marks[j] |= mark;
        }
}

static void mark_names(Owners *owners) {
        const ImageSet *images = &owners->inventory->images;

        for (size_t i = 0; i < images->n; i++)
                if (image_is_ours(owners->config, &images->v[i]))
                        owners->marks[i] |= NAMED_BY_US;
        for (size_t i = 0; i < owners->suspects->n; i++) {
                const NamedImage *suspect = &owners->suspects->v[i];
                const Image *image = suspect->name[0] ? image_set_find(images, suspect->id) : NULL;

                if (image)
                        owners->marks[image - images->v] |= NAMED_BY_US;
        }
}

static int find_projects(Owners *owners) {
        for (size_t i = 0; i < owners->inventory->images.n; i++) {
                const Image *image = &owners->inventory->images.v[i];

                if (image->project && image_is_ours(owners->config, image) &&
                    index_add(&owners->projects, image->project, i) < 0)
                        return -ENOMEM;
        }
        index_sort(&owners->projects);
        return 0;
}

static bool project_is_ours(const Owners *owners, const char *project) {
        const char *configured = owners->config->project;

        return (configured && strcmp(configured, project) == 0) ||
               index_find(&owners->projects, project, NULL);
}

static Claim own_claim(const Owners *owners, size_t i) {
        if (owners->marks[i] & OWNED_BY_US ||
            named_images_contain_id(owners->suspects, owners->inventory->images.v[i].id))
                return CLAIM_OURS;
        return owners->marks[i] & OWNED_BY_OTHERS ? CLAIM_FOREIGN : CLAIM_NONE;
}

/* What the claim on an image says of those that stand on it. */
static Claim claim_passed_on(const Owners *owners, size_t i, Claim claim) {
        bool shared = owners->marks[i] & OWNED_BY_OTHERS && !(owners->marks[i] & NAMED_BY_US);

        return claim == CLAIM_OURS && shared ? CLAIM_NONE : claim;
}

static Claim stronger(Claim a, Claim b) {
        if (a == CLAIM_OURS || b == CLAIM_OURS)
                return CLAIM_OURS;
        return a == CLAIM_FOREIGN ? a : b;
}

/*
 * The strongest claim on any image down the chain of each one, as far as it is passed on. A walk ends
 * at an image that has its claim already (of an earlier walk, or of this one where an answer has a
 * circle), and the claims are filled in on the way back.
 */
static int claim_by_chain(const Owners *owners, Claim *claims) {
        const size_t n = owners->inventory->images.n;
        cleanup_free bool *walked = calloc(n + 1, sizeof(*walked));
        cleanup_free size_t *way = calloc(n + 1, sizeof(*way));

        if (!walked || !way)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                size_t n_way = 0, j = i;
                Claim claim;

                for (; j != PLAN_NO_PARENT && !walked[j]; j = owners->next[j]) {
                        way[n_way++] = j;
                        walked[j] = true;
                        claims[j] = own_claim(owners, j);
                }
                claim = j == PLAN_NO_PARENT ? CLAIM_NONE : claim_passed_on(owners, j, claims[j]);
                while (n_way > 0) {
                        j = way[--n_way];
                        claims[j] = stronger(claims[j], claim);
                        claim = claim_passed_on(owners, j, claims[j]);
                }
        }
        return 0;
}

static Claim final_claim(const Owners *owners, size_t i, Claim by_chain) {
        const Image *image = &owners->inventory->images.v[i];

        if (image->names.n > 0)
                return CLAIM_NONE;
        if (owners->config->dangling_all)
                return CLAIM_OURS;
        /* A person made it, and it has the labels and the parents of the container's image. Whatever name it
         * bore, it is nowhere else. */
        if (image_is_commit(owners->inventory, image))
                return CLAIM_FOREIGN;
        if (named_images_contain_id(owners->suspects, image->id))
                return CLAIM_OURS;
        if (bore_names_of_others(owners->inventory, image))
                return CLAIM_FOREIGN;
        if (image->project)
                return project_is_ours(owners, image->project) ? CLAIM_OURS : CLAIM_FOREIGN;
        return by_chain;
}

int plan_claims(const Inventory *inventory, const Config *config, const NamedImages *suspects,
                const size_t *parents, Claim **ret) {
        const size_t n = inventory->images.n;
        cleanup(owners_done) Owners owners = {
                .inventory = inventory,
                .config = config,
                .suspects = suspects,
                .marks = calloc(n + 1, sizeof(*owners.marks)),
        };
        cleanup_free Claim *claims = calloc(n + 1, sizeof(*claims));
        int r;

        r = owners.marks && claims ? find_chains(inventory, config, parents, &owners.next)
                                   : -ENOMEM;
        if (r >= 0)
                r = find_projects(&owners);
        if (r < 0)
                return r;
        mark_owners(&owners);
        mark_names(&owners);
        r = claim_by_chain(&owners, claims);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++)
                claims[i] = final_claim(&owners, i, claims[i]);
        *ret = TAKE_PTR(claims);
        return 0;
}
