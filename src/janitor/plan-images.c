/* SPDX-License-Identifier: MIT */

/*
 * Which names a clear takes, and which images can be had back. The trap is that a clear looks several
 * times, and that its own work changes what is newest: an image counts as a release of a repository by
 * its rollback tag as well, and what an earlier round kept stays kept. No tag of the janitor's, and no
 * time that such a tag moved, makes an image newer.
 */

#include <stdio.h>

#include "base/array.h"
#include "base/text.h"
#include "docker/name.h"
#include "docker/references.h"
#include "janitor/plan.h"
#include "janitor/releases.h"
#include "janitor/seen.h"
#include "janitor/source.h"

/* What is known of an image besides its entry in the list. */
typedef struct Candidate {
        bool used;          /* by a container, or by a service as far as they could be read */
        bool newest;        /* of a repository */
        bool is_new;        /* made after the clear was asked for */
        bool tagged;        /* the plan makes a rollback tag for it, or relies on one it has */
        bool only_rollback; /* all its names are rollback tags */
} Candidate;

/* An image's place in a repository. */
typedef struct Release {
        const char *name; /* borrowed from the image */
        size_t n;         /* of which the repository is so long */
        size_t image;
        bool rollback; /* the name is a rollback tag */
} Release;

/* What all rules read; `plan` is what they write. */
typedef struct Draft {
        const Inventory *inventory;
        const Config *config;
        const ClearOptions *options;
        const ClearContext *context;
        ClearPlan *plan;
        bool pressure;
        Source *sources;       /* one an image */
        Candidate *candidates; /* one an image */
        Releases order;        /* policy's: what is known of each image, and which is newer */
        Release *releases;     /* sorted: repository after repository, newest first */
        size_t n_releases, releases_size;
        Strv run_repositories; /* that containers were made from, now or in memory; sorted */
} Draft;

static void draft_donep(Draft *draft) {
        free(draft->sources);
        free(draft->candidates);
        releases_done(&draft->order);
        free(draft->releases);
        strv_done(&draft->run_repositories);
}

/* Candidates */

static bool disk_is_full(const Config *config, const Disk *disk) {
        const Size inodes = { .percent = config->min_free_inodes_percent };

        if (disk->total_bytes > 0 && !size_is_off(&config->min_free) &&
            disk->free_bytes < size_of(&config->min_free, disk->total_bytes))
                return true;
        return disk->total_inodes > 0 && inodes.percent > 0 &&
               disk->free_inodes < size_of(&inodes, disk->total_inodes);
}

/* A time ahead of the clock was made up, see janitor/releases.c; `ahead`: it was when first read. */
static bool is_since_asked(const Draft *draft, int64_t sec, bool ahead) {
        const int64_t asked_sec = draft->options->asked_sec;

        return asked_sec > 0 && sec > asked_sec && !ahead && !seen_is_ahead(draft->inventory, sec);
}

/* The engine's times alone do not tell: a reproducible build gives its images any date. */
static bool was_made_since(const Draft *draft, size_t i) {
        const Image *image = &draft->inventory->images.v[i];
        const ImageFacts *facts = fact_set_find(&draft->inventory->facts, image->id);
        const SeenImage *seen = draft->order.facts[i].seen;
        const int64_t tagged_sec = facts ? facts->last_tagged_sec : 0;
        bool tag_ahead = seen && seen->ahead & SEEN_TAG_AHEAD && tagged_sec == seen->tag_mark;

        if (draft->context->first && !strv_sorted_contains(draft->context->first, image->id))
                return true;
        return is_since_asked(draft, image->created_sec,
                              seen && seen->ahead & SEEN_CREATED_AHEAD) ||
               is_since_asked(draft, tagged_sec, tag_ahead);
}

static int find_candidates(Draft *draft) {
        const Inventory *inventory = draft->inventory;

        draft->candidates = calloc(inventory->images.n + 1, sizeof(*draft->candidates));
        if (!draft->candidates)
                return -ENOMEM;
        for (size_t i = 0; i < inventory->images.n; i++) {
                const Image *image = &inventory->images.v[i];
                Candidate *candidate = &draft->candidates[i];

                candidate->used = draft->order.facts[i].container || draft->order.facts[i].service;
                candidate->is_new = was_made_since(draft, i);
                candidate->only_rollback = image->names.n > 0;
                for (size_t j = 0; j < image->names.n && candidate->only_rollback; j++)
                        candidate->only_rollback =
                                name_is_rollback(draft->config, image, image->names.v[j]);
        }
        for (size_t i = 0; i < inventory->disks.n; i++)
                draft->pressure =
                        draft->pressure || disk_is_full(draft->config, &inventory->disks.v[i]);
        return 0;
}

/* image_may_be_used(), found once: such an image must not be deleted. */
static bool is_held(const Draft *draft, size_t i) {
        return draft->order.facts[i].in_use || draft->inventory->containers.unreadable.n > 0;
}

/* An image that the engine lists, but can't describe, is remaining, and left alone. */
static bool is_unreadable(const Draft *draft, size_t i) {
        const ImageSet *images = &draft->inventory->images;

        return unreadable_contains(&images->unreadable, images->v[i].id);
}

/* Releases */

/* A rollback tag that clears made for an image of the application. */
static bool is_own_rollback(const Draft *draft, const Image *image, const char *name) {
        const Config *config = draft->config;

        return name_is_rollback(config, image, name) && !name_matches_any(&config->protect, name) &&
               !name_matches_any(&config->base, name);
}

/* A rollback tag moved the time that the engine tells. */
static void forget_own_tags(Draft *draft) {
        for (size_t i = 0; i < draft->inventory->images.n; i++)
                if (image_has_rollback_tag(draft->config, &draft->inventory->images.v[i]))
                        releases_forget_tag(&draft->order.facts[i]);
}

static int compare_slices(const char *a, size_t n_a, const char *b, size_t n_b) {
        int c = strncmp(a, b, MIN(n_a, n_b));

        return c != 0 ? c : (n_a > n_b) - (n_a < n_b);
}

static int compare_repositories(const Release *a, const Release *b) {
        return compare_slices(a->name, a->n, b->name, b->n);
}

static int compare_releases(const void *a, const void *b, void *userdata) {
        const Release *x = a, *y = b;
        const Draft *draft = userdata;
        int c = compare_repositories(x, y);

        return c != 0 ? c : releases_compare(&draft->order, x->image, y->image);
}

static int find_releases(Draft *draft) {
        for (size_t i = 0; i < draft->inventory->images.n; i++) {
                const Image *image = &draft->inventory->images.v[i];

                for (size_t j = 0; j < image->names.n; j++) {
                        const char *name = image->names.v[j];
                        bool rollback = is_own_rollback(draft, image, name);

                        if (!rollback && (!name_is_ours(draft->config, image, name) ||
                                          name_matches_any(&draft->config->base, name)))
                                continue;
                        if (array_grow(draft->releases, draft->n_releases, draft->releases_size) <
                            0)
                                return -ENOMEM;
                        draft->releases[draft->n_releases++] =
                                (Release){ name, name_repository_length(name), i, rollback };
                }
        }
        if (draft->n_releases > 0)
                qsort_r(draft->releases, draft->n_releases, sizeof(*draft->releases),
                        compare_releases, draft);
        return 0;
}

/* Whether a container or a service uses the image, or was seen to. */
static bool was_used(const Draft *draft, size_t i) {
        const SeenImage *seen = draft->order.facts[i].seen;

        return draft->candidates[i].used || (seen && seen->used_sec >= 0);
}

static int add_run_repository(Draft *draft, const char *name) {
        Strv *list = &draft->run_repositories;
        cleanup_free char *repository = reference_repository(name);

        if (!repository)
                return -ENOMEM;
        /* Names of one image often follow each other. */
        if (list->n > 0 && strcmp(list->v[list->n - 1], repository) == 0)
                return 0;
        return strv_add(list, repository);
}

static int find_run_repositories(Draft *draft) {
        int r = 0;

        for (size_t i = 0; i < draft->inventory->images.n && r >= 0; i++) {
                const Image *image = &draft->inventory->images.v[i];
                const SeenImage *seen = draft->order.facts[i].seen;

                if (!was_used(draft, i))
                        continue;
                for (size_t j = 0; j < image->names.n && r >= 0; j++)
                        r = add_run_repository(draft, image->names.v[j]);
                if (r >= 0 && seen && seen->repository)
                        r = add_run_repository(draft, seen->repository);
        }
        /* A rebuild takes the name from a release that still runs, and its container remembers. */
        for (size_t i = 0; i < draft->inventory->containers.n && r >= 0; i++)
                r = add_run_repository(draft, draft->inventory->containers.v[i].image);
        strv_sort(&draft->run_repositories);
        return r;
}

/* 1, 0 or -ENOMEM. */
static int is_run_repository(const Draft *draft, const char *name) {
        cleanup_free char *repository = strndup(name, name_repository_length(name));

        return repository ? strv_sorted_contains(&draft->run_repositories, repository) : -ENOMEM;
}

/* How many releases from here on are of one repository. */
static size_t group_length(const Draft *draft, size_t begin) {
        size_t n = 1;

        while (begin + n < draft->n_releases &&
               compare_repositories(&draft->releases[begin], &draft->releases[begin + n]) == 0)
                n++;
        return n;
}

static void find_newest(Draft *draft) {
        for (size_t i = 0; i < draft->n_releases; i += group_length(draft, i))
                draft->candidates[draft->releases[i].image].newest = true;
}

/* Rollback tags */

/* Whether no other image has an id that begins with the same `n` characters. */
static bool is_unique(const ImageSet *images, const Image *image, size_t n) {
        const IndexEntry *v = images->by_id.v, *at;

        if (!images->indexed)
                return true;
        at = index_find(&images->by_id, image->id, NULL);
        return !at || ((at == v || strncmp(at[-1].key, image->id, n) != 0) &&
                       (at == v + images->by_id.n - 1 || strncmp(at[1].key, image->id, n) != 0));
}

/* The n-th form of the tag: 12 digits of the id, more of them, and numbers after 56 of them, which is no
 * longer than the whole id. NULL: out of memory. */
static char *rollback_tag_form(const Draft *draft, const char *name, const char *hex, size_t n) {
        const size_t digits = MIN(12 + 4 * n, (size_t)64);
        const size_t number = 12 + 4 * n > 64 ? n - (64 - 12) / 4 + 1 : 1;
        const int n_repository = (int)name_repository_length(name);

        if (number == 1)
                return text_format("%.*s:%s-%.*s", n_repository, name, draft->config->rollback_tag,
                                   (int)digits, hex);
        return text_format("%.*s:%s-%.56s-%zu", n_repository, name, draft->config->rollback_tag,
                           hex, number);
}

/* "REPO:wpcache-rollback-<12 of the id>", or the first longer form that no image has, nor might get by the
 * same rule. There is one, since images have a number of names. */
static int make_rollback_tag(Draft *draft, const Image *image, const char *name) {
        const ImageSet *images = &draft->inventory->images;
        const char *hex = strchr(image->id, ':');

        hex = hex ? hex + 1 : image->id;
        for (size_t n = 0;; n++) {
                const size_t digits = 12 + 4 * n;
                cleanup_free char *tag = NULL;

                if (digits < 64 && !is_unique(images, image, (size_t)(hex - image->id) + digits))
                        continue;
                tag = rollback_tag_form(draft, name, hex, n);
                if (!tag)
                        return -ENOMEM;
                if (!image_set_find_name(images, tag))
                        return named_images_add(&draft->plan->rollback_tags, tag, image->id);
        }
}

static int compare_name_repositories(const void *a, const void *b) {
        const char *x = *(const char *const *)a, *y = *(const char *const *)b;

        return compare_slices(x, name_repository_length(x), y, name_repository_length(y));
}

/* One tag in the repository that these names have in common, unless one of them is such a tag. */
static int make_repository_tag(Draft *draft, const Image *image, const char *const *names,
                               size_t n) {
        for (size_t i = 0; i < n; i++)
                if (name_is_rollback(draft->config, image, names[i]))
                        return 0;
        return make_rollback_tag(draft, image, names[0]);
}

/* Each repository that the image loses a name of gets its own: the next clear of one repository ends the
 * tag there alone. */
static int make_rollback_tags(Draft *draft, const Image *image) {
        cleanup_free const char **names = calloc(image->names.n + 1, sizeof(*names));
        size_t n_names = 0;
        int r = 0;

        if (!names)
                return -ENOMEM;
        for (size_t i = 0; i < image->names.n; i++)
                if (name_in_scope(draft->config, image, image->names.v[i]) ||
                    name_is_rollback(draft->config, image, image->names.v[i]))
                        names[n_names++] = image->names.v[i];
        qsort(names, n_names, sizeof(*names), compare_name_repositories);
        for (size_t i = 0, n; i < n_names && r >= 0; i += n) {
                for (n = 1;
                     i + n < n_names && compare_name_repositories(&names[i], &names[i + n]) == 0;)
                        n++;
                r = make_repository_tag(draft, image, &names[i], n);
        }
        return r;
}

/* Whether an earlier round of this clear gave the image its rollback tag. */
static bool is_made(const Draft *draft, const Image *image) {
        return draft->context->made && named_images_contain_id(draft->context->made, image->id);
}

/* Whether an image is to have a rollback tag once its names are gone. */
static bool wants_rollback_tag(const Draft *draft, size_t i, bool current) {
        const Candidate *candidate = &draft->candidates[i];
        const Source *source = &draft->sources[i];

        if (is_held(draft, i))
                return true;
        if (source->serves_by_rollback_tag != SERVES_NOTHING)
                return false;
        return candidate->is_new || current || source->serves == SERVES_PERHAPS;
}

static int replace_tags(Draft *draft, const Image *image) {
        NamedImages *replaced = &draft->plan->replaced_tags;

        for (size_t i = 0; i < image->names.n; i++) {
                if (!is_own_rollback(draft, image, image->names.v[i]))
                        continue;
                if (named_images_add(replaced, image->names.v[i], image->id) < 0)
                        return -ENOMEM;
        }
        return 0;
}

/*
 * Beside images in use, one image of a repository has a rollback tag: where this plan makes one, the
 * tags of earlier clears end, but for the newest where this clear's are all of images in use.
 */
static int replace_older_tags(Draft *draft, const Release *releases, size_t n) {
        bool tagged = false, spare = true;
        int r = 0;

        for (size_t i = 0; i < n; i++) {
                const Candidate *candidate = &draft->candidates[releases[i].image];
                const Image *image = &draft->inventory->images.v[releases[i].image];

                tagged = tagged || candidate->tagged;
                if (!is_held(draft, releases[i].image) &&
                    !is_unreadable(draft, releases[i].image) &&
                    (candidate->tagged || is_made(draft, image)))
                        spare = false;
        }
        for (size_t i = 0; i < n && tagged && r >= 0; i++) {
                const Image *image = &draft->inventory->images.v[releases[i].image];
                const Candidate *candidate = &draft->candidates[releases[i].image];

                /* What docker commit made is nowhere else: policy alone ends its tag. */
                if (!releases[i].rollback || !candidate->only_rollback ||
                    draft->sources[releases[i].image].commit_of_ours ||
                    is_held(draft, releases[i].image) || is_unreadable(draft, releases[i].image) ||
                    draft->sources[releases[i].image].serves_by_rollback_tag != SERVES_NOTHING ||
                    is_made(draft, image))
                        continue;
                if (spare) {
                        spare = false;
                        continue;
                }
                r = named_images_add(&draft->plan->replaced_tags, releases[i].name, image->id);
        }
        return r;
}

static int replace_all_older_tags(Draft *draft) {
        int r = 0;

        for (size_t i = 0, n; i < draft->n_releases && r >= 0; i += n) {
                n = group_length(draft, i);
                r = replace_older_tags(draft, &draft->releases[i], n);
        }
        return r;
}

/* Names */

static int keep_names(Draft *draft, const Image *image, KeptReason reason) {
        KeptNames *kept = &draft->plan->kept;

        for (size_t i = 0; i < image->names.n; i++) {
                KeptName entry = { .reason = reason };

                if (!name_in_scope(draft->config, image, image->names.v[i]))
                        continue;
                entry.name = strdup(image->names.v[i]);
                if (!entry.name || array_grow(kept->v, kept->n, kept->size) < 0) {
                        free(entry.name);
                        return -ENOMEM;
                }
                strcpy(entry.id, image->id);
                kept->v[kept->n++] = entry;
        }
        return 0;
}

static int take_names(Draft *draft, const Image *image) {
        NamedImages *names = &draft->plan->names;

        for (size_t i = 0; i < image->names.n; i++) {
                int run;

                if (!name_in_scope(draft->config, image, image->names.v[i]))
                        continue;
                run = is_run_repository(draft, image->names.v[i]);
                if (run < 0 || named_images_add(names, image->names.v[i], image->id) < 0)
                        return -ENOMEM;
                names->v[names->n - 1].never_run = !run;
        }
        return 0;
}

/* `former`: the name that an image without one went by. */
static int take_image(Draft *draft, size_t i, const char *former, bool current) {
        const Image *image = &draft->inventory->images.v[i];
        Candidate *candidate = &draft->candidates[i];
        bool wanted = wants_rollback_tag(draft, i, current);
        bool has = image_has_rollback_tag(draft->config, image);
        int r = 0;

        if (wanted && !has && draft->pressure && !is_held(draft, i) && !candidate->is_new &&
            !draft->sources[i].commit_of_ours) {
                draft->plan->no_room = true;
                wanted = false;
        }
        candidate->tagged = wanted;
        if (wanted)
                r = former ? make_rollback_tag(draft, image, former)
                           : make_rollback_tags(draft, image);
        else if (has && draft->sources[i].serves_by_rollback_tag != SERVES_NOTHING &&
                 !is_held(draft, i))
                r = replace_tags(draft, image);
        return r < 0 ? r : take_names(draft, image);
}

/* Weak evidence must not make a clear end with an image remaining that it could have taken. 1, 0 or -ENOMEM. */
static int is_base(const Draft *draft, size_t i) {
        const Image *image = &draft->inventory->images.v[i];
        const Source *source = &draft->sources[i];
        int run = 0;

        if (source->base == LOCAL_BASE_NOT || was_used(draft, i) ||
            (source->base == LOCAL_BASE_POSSIBLY && source->serves != SERVES_NOTHING))
                return 0;
        for (size_t j = 0; j < image->names.n && run == 0; j++)
                if (source->base != LOCAL_BASE_KNOWN)
                        run = is_run_repository(draft, image->names.v[j]);
        return run < 0 ? run : !run;
}

static int plan_names(Draft *draft, size_t i) {
        const Image *image = &draft->inventory->images.v[i];
        const Candidate *candidate = &draft->candidates[i];
        const Strv *kept = draft->context->kept;
        cleanup_free char *former = NULL;
        bool current, in_scope = false;
        int r;

        r = plan_former_name(draft->inventory, draft->config, image, &former);
        if (r < 0)
                return r;
        if (former)
                return take_image(draft, i, former, true);
        for (size_t j = 0; j < image->names.n && !in_scope; j++)
                in_scope = name_in_scope(draft->config, image, image->names.v[j]);
        if (!in_scope) {
                /* An earlier clear gave it the tag since it was in use then. */
                if (candidate->only_rollback && !is_held(draft, i) && !is_made(draft, image) &&
                    draft->sources[i].serves_by_rollback_tag != SERVES_NOTHING &&
                    !source_is_kept_commit(&draft->sources[i]))
                        return replace_tags(draft, image);
                return 0;
        }
        if (source_is_kept_commit(&draft->sources[i]))
                return keep_names(draft, image, KEPT_COMMIT);
        r = is_base(draft, i);
        if (r != 0)
                return r < 0 ? r : keep_names(draft, image, KEPT_BASE);
        current = candidate->used ||
                  (candidate->newest && !(kept && strv_sorted_contains(kept, image->id)));
        if (!current && draft->sources[i].serves == SERVES_NOTHING)
                return keep_names(draft, image, KEPT_OLDER);
        return take_image(draft, i, NULL, current);
}

/* The last name of an image that is used, or perhaps used, stays. */
static int plan_trash(Draft *draft, size_t i) {
        const Image *image = &draft->inventory->images.v[i];
        int r = 0;

        if (image->names.n == 1 && is_held(draft, i))
                return 0;
        for (size_t j = 0; j < image->names.n && r >= 0; j++)
                if (name_is_trash(image->names.v[j]))
                        r = strv_add(&draft->plan->trash, image->names.v[j]);
        return r;
}

static int plan_untagged(Draft *draft, size_t i) {
        const Image *image = &draft->inventory->images.v[i];

        if (!draft->sources[i].untagged_ours || is_held(draft, i) ||
            image_has_children(draft->inventory, image))
                return 0;
        return strv_add(&draft->plan->untagged, image->id);
}

static bool matches(const Draft *draft, const Image *image) {
        for (size_t i = 0; i < image->names.n; i++)
                if (name_is_ours(draft->config, image, image->names.v[i]))
                        return true;
        return false;
}

static int plan_all(Draft *draft) {
        int r = 0;

        for (size_t i = 0; i < draft->inventory->images.n && r >= 0; i++) {
                const ImageSet *images = &draft->inventory->images;

                draft->plan->matches = draft->plan->matches || matches(draft, &images->v[i]);
                if (is_unreadable(draft, i))
                        continue;
                r = plan_names(draft, i);
                if (r >= 0)
                        r = plan_trash(draft, i);
                if (r >= 0)
                        r = plan_untagged(draft, i);
        }
        return r;
}

int plan_images(const Inventory *inventory, const Config *config, const ClearOptions *options,
                const NamedImages *suspects, const ClearContext *context, ClearPlan *plan) {
        static const ClearContext nothing_known = { 0 };
        static const SeenImages nothing_seen = { 0 };
        /* For the order alone: what is not remembered came after all that is. */
        static const PolicyNow now = { .age_sec = INT64_MAX };
        cleanup(draft_done) Draft draft = {
                .inventory = inventory,
                .config = config,
                .options = options,
                .context = context ?: &nothing_known,
                .plan = plan,
        };
        int r;

        r = sources_find(inventory, config, suspects, &draft.sources);
        if (r >= 0)
                r = releases_find(inventory, draft.context->seen ?: &nothing_seen, suspects, config,
                                  &now, &draft.order);
        if (r < 0)
                return r;
        forget_own_tags(&draft);
        r = find_candidates(&draft);
        if (r >= 0)
                r = find_run_repositories(&draft);
        if (r >= 0)
                r = find_releases(&draft);
        if (r < 0)
                return r;
        find_newest(&draft);
        r = plan_all(&draft);
        if (r >= 0)
                r = replace_all_older_tags(&draft);
        strv_sort(&plan->trash);
        strv_sort(&plan->untagged);
        return r < 0 ? r : plan_mark_deleted(inventory, plan);
}
