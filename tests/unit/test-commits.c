/* SPDX-License-Identifier: MIT */

/* What a clear does with an image of ours that docker commit made, by what the image stands on. */

#include "host.h"

#include "janitor/source.h"

typedef enum Fate { STAYS, KEPT, OLDER, ROLLBACK, DELETED } Fate;

/* "x" is committed from a container of "p", which stands on "base". In the histories "b" is of the base image. */
typedef struct Row {
        const char *what;
        ImageKind kind; /* of "p" */
        const char *p_name, *base_name;
        const char *x_parent, *x_name, *x_history;
        SourceWay way;
        Serves serves;
        Fate fate;
} Row;

#define CLASSIC IMAGE_KIND_CLASSIC
#define BUILDKIT IMAGE_KIND_BUILDKIT
#define P "watchparty-a:1", "python:3"
#define X "watchparty-a:hotfix"
#define NOTHING SOURCE_NONE, SERVES_NOTHING
#define CHAIN SOURCE_CLASSIC_CHAIN, SERVES_CERTAINLY
#define BY_NAME SOURCE_CLASSIC_NAME, SERVES_PERHAPS

static const Row rows[] = {
        { "upon BuildKit's", BUILDKIT, P, "p", X, "bABC", NOTHING, ROLLBACK },
        { "upon classic steps", CLASSIC, P, "p", X, "bABC", CHAIN, KEPT },
        { "upon classic steps without a name", CLASSIC, NULL, "python:3", "p", X, "bABC", CHAIN,
          KEPT },
        { "upon a release of others", CLASSIC, "other:1", "python:3", "p", X, "bABC", NOTHING,
          ROLLBACK },
        { "upon [images] base", CLASSIC, "watchparty-base:1", "python:3", "p", X, "bABC", NOTHING,
          ROLLBACK },
        { "no FROM names the base", CLASSIC, "watchparty-a:1", NULL, "p", X, "bABC", BY_NAME,
          ROLLBACK },
        { "parents are gone", CLASSIC, P, "gone", X, "bABC", BY_NAME, ROLLBACK },
        { "of a commit upon classic steps", CLASSIC, P, "c", X, "bABCD", CHAIN, KEPT },
        { "of a commit upon BuildKit's", BUILDKIT, P, "c", X, "bABCD", NOTHING, ROLLBACK },
        { "of a circle", CLASSIC, P, "x", X, "bABC", NOTHING, ROLLBACK },
        { "upon the base", CLASSIC, P, "base", X, "bC", NOTHING, ROLLBACK },
        { "its command is a step of ours", CLASSIC, P, "base", X, "bA", CHAIN, KEPT },
        { "a rollback tag alone", CLASSIC, P, "p", "watchparty-a:wpcache-rollback-0", "bABC", CHAIN,
          STAYS },
        { "another name", CLASSIC, P, "p", "other:hotfix", "bABC", CHAIN, STAYS },
};

static void add(Host *h, const char *id, const char *name, const char *parent, ImageKind kind,
                const char *history, int64_t created_sec) {
        host_image(h, id, name, parent, kind);
        host_history(h, id, history);
        host_find(h, id)->created_sec = WALL_NOW - DAY + created_sec;
}

static Host host_of(const Row *row, Commit commit) {
        Host h = host_new();
        bool classic = row->kind == IMAGE_KIND_CLASSIC;

        assert_int_equal(strv_add(&h.config.base, "watchparty-base"), 0);
        add(&h, "base", row->base_name, NULL, IMAGE_KIND_OTHER, "b", 1);
        add(&h, "p", row->p_name, classic ? "base" : NULL, row->kind, "bAB", 2);
        add(&h, "c", NULL, "p", IMAGE_KIND_CLASSIC, "bABC", 3);
        add(&h, "x", row->x_name, row->x_parent, IMAGE_KIND_CLASSIC, row->x_history, 4);
        /* As image_bases_note() has it. */
        for (size_t i = 0; !classic && i < 3; i++) {
                host_facts(&h, "c")->n_base = host_facts(&h, "x")->n_base = 3;
                host_facts(&h, "c")->classic_steps.v[i] = CLASSIC_STEP_NO;
                if (i + 1 < host_facts(&h, "x")->steps.n)
                        host_facts(&h, "x")->classic_steps.v[i] = CLASSIC_STEP_NO;
        }
        host_facts(&h, "p")->ours = row->p_name && strncmp(row->p_name, "watchparty-a", 12) == 0;
        host_facts(&h, "x")->ours = strncmp(row->x_name, "watchparty-a", 12) == 0;
        host_facts(&h, "c")->commit = COMMIT_YES;
        host_facts(&h, "x")->commit = commit;
        return h;
}

static Source source_of(Host *h, const char *id) {
        cleanup_free Source *sources = NULL;

        assert_int_equal(sources_find(&h->inventory, &h->config, &h->suspects, &sources), 0);
        return sources[host_find(h, id) - h->inventory.images.v];
}

static Fate fate_of(Host *h, const char *name) {
        ClearPlan plan = host_plan(h);
        const NamedImage *taken = named_images_find(&plan.names, name);
        Fate fate = STAYS;

        for (size_t i = 0; i < plan.kept.n; i++)
                if (strcmp(plan.kept.v[i].name, name) == 0)
                        fate = plan.kept.v[i].reason == KEPT_COMMIT ? KEPT : OLDER;
        if (taken)
                fate = taken->deleted ? DELETED : ROLLBACK;
        if (taken && !taken->deleted)
                assert_int_equal(plan.rollback_tags.n > 0, true);
        if (named_images_find(&plan.replaced_tags, name))
                fate = DELETED;
        clear_plan_done(&plan);
        return fate;
}

static void test_rows(void **state) {
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                const Row *row = &rows[i];
                Host h = host_of(row, COMMIT_YES);
                Source source = source_of(&h, "x");
                Fate fate = fate_of(&h, row->x_name);

                if (source.way != row->way || source.serves != row->serves || fate != row->fate)
                        fail_msg("%s: way %d, serves %d, fate %d", row->what, source.way,
                                 source.serves, fate);
                host_done(&h);
        }
}

/* No disk is so full that what is nowhere else goes for good. */
static void test_full_disk(void **state) {
        static const Commit commits[] = { COMMIT_YES, COMMIT_NO };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(commits); i++) {
                Host h = host_of(&rows[0], commits[i]);

                h.config.min_free = (Size){ .percent = 15 };
                host_disk(&h, 100, 10);
                assert_int_equal(fate_of(&h, X), commits[i] == COMMIT_YES ? ROLLBACK : DELETED);
                host_done(&h);
        }
}

/* What a build made goes for good, as ever. */
static void test_no_commit(void **state) {
        Host h = host_of(&rows[1], COMMIT_NO);

        (void)state;
        assert_int_equal(source_of(&h, "x").way, SOURCE_CLASSIC_CHAIN);
        assert_int_equal(fate_of(&h, X), DELETED);
        host_done(&h);
}

/* Pushed, and its parents are gone: on the graphdriver store it serves by its digest under any tag. */
static void test_pushed(void **state) {
        static const ImageStore stores[] = { IMAGE_STORE_GRAPHDRIVER, IMAGE_STORE_CONTAINERD };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(stores); i++) {
                Host h = host_of(&rows[11], COMMIT_YES);
                Image *image = host_find(&h, "x");

                h.inventory.image_store = stores[i];
                image->parent_id[0] = '\0';
                assert_int_equal(strv_add(&image->digests, "watchparty-a@sha256:0"), 0);
                assert_int_equal(source_of(&h, "x").way, SOURCE_CLASSIC_NAME);
                assert_int_equal(source_of(&h, "x").serves_by_rollback_tag,
                                 i == 0 ? SERVES_PERHAPS : SERVES_NOTHING);
                host_done(&h);
        }
}

static void test_older(void **state) {
        static const Fate fates[] = { OLDER, KEPT };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(fates); i++) {
                Host h = host_of(&rows[i], COMMIT_YES);

                add(&h, "new", "watchparty-a:2", NULL, IMAGE_KIND_BUILDKIT, "bAB", 9);
                assert_int_equal(fate_of(&h, X), fates[i]);
                host_done(&h);
        }
}

/* The image of the container is not a base image of ours. */
static void test_no_base(void **state) {
        static const Commit commits[] = { COMMIT_YES, COMMIT_NO };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(commits); i++) {
                Host h = host_of(&rows[0], commits[i]);

                host_layers(&h, "p", "bP");
                host_layers(&h, "x", "bPX");
                assert_int_equal(source_of(&h, "p").base,
                                 commits[i] == COMMIT_YES ? LOCAL_BASE_NOT : LOCAL_BASE_KNOWN);
                host_done(&h);
        }
}

/* What it is remaining for is named once, and so is a container of a step below, which has to go as well. */
static void test_remaining(void **state) {
        static const struct {
                const Row *row;
                bool held, protected;
                const char *objects[2];
        } cases[] = {
                { &rows[0], false, false, { NULL } },
                { &rows[1], false, false, { X } },
                { &rows[1], true, false, { "web", X } },
                { &rows[1], false, true, { X } }, /* a clear leaves it, protected or not */
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Host h = host_of(cases[i].row, COMMIT_YES);
                ClearPlan plan = { 0 }; /* the names are gone by now */
                RemainingList list = { 0 };
                size_t n = 0;

                h.inventory.images.v[1].names.n = 0;
                if (cases[i].held)
                        host_container(&h, "web", "p", "running");
                assert_int_equal(named_images_add(&h.suspects, "watchparty-a:1", host_id("p")), 0);
                if (cases[i].protected)
                        assert_int_equal(strv_add(&h.config.protect, X), 0);
                else
                        assert_int_equal(named_images_add(&h.suspects, X, host_id("x")), 0);
                h.inventory.images.v[2].parent_id[0] = '\0'; /* "c" is of no interest here */
                assert_int_equal(proof_remaining(&h.inventory, &h.config, &h.options, &h.suspects,
                                                 &plan, NULL, &list),
                                 0);
                while (n < 2 && cases[i].objects[n])
                        n++;
                assert_int_equal(list.n, n);
                for (size_t k = 0; k < n; k++)
                        assert_string_equal(list.v[k].object, cases[i].objects[k]);
                if (n > 0) {
                        assert_non_null(strstr(list.v[n - 1].reason, "docker commit made it"));
                        assert_non_null(strstr(list.v[n - 1].remedy, "docker save"));
                        assert_non_null(strstr(list.v[n - 1].remedy, "docker rmi " X));
                }
                remaining_done(&list);
                h.inventory.images.v[1].names.n = 1;
                host_done(&h);
        }
}

/* Its command is no step of ours: an image of others with the same one is not like ours. */
static void test_teaches_no_step(void **state) {
        static const Commit commits[] = { COMMIT_YES, COMMIT_NO };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(commits); i++) {
                Host h = host_of(&rows[10], commits[i]);

                add(&h, "y", "other:y", "base", IMAGE_KIND_CLASSIC, "bC", 5);
                assert_int_equal(source_of(&h, "y").like_ours, commits[i] == COMMIT_NO);
                host_done(&h);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rows),      cmocka_unit_test(test_no_commit),
                cmocka_unit_test(test_pushed),    cmocka_unit_test(test_older),
                cmocka_unit_test(test_no_base),   cmocka_unit_test(test_full_disk),
                cmocka_unit_test(test_remaining), cmocka_unit_test(test_teaches_no_step),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
