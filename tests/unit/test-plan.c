/* SPDX-License-Identifier: MIT */

/*
 * Plans of small hosts, each written as a table: images (name, parent, labels), containers,
 * records; and what a clear must take away, tag and leave.
 */

#include <string.h>

#include "host.h"
#include "janitor/plan.h"
#include "test.h"

static bool keeps(const ClearPlan *plan, const char *name, KeptReason reason) {
        for (size_t i = 0; i < plan->kept.n; i++)
                if (strcmp(plan->kept.v[i].name, name) == 0)
                        return plan->kept.v[i].reason == reason;
        return false;
}

static bool deletes(const ClearPlan *plan, const char *name) {
        const NamedImage *entry = named_images_find(&plan->names, name);

        return entry && entry->deleted;
}

static void test_names(void **state) {
        Host h = host_new();
        ClearPlan plan;

        (void)state;
        host_image(&h, "a", "watchparty-backend:latest", NULL, IMAGE_KIND_BUILDKIT);
        host_image(&h, "b", "localhost:5000/team/watchparty-frontend:1", NULL, IMAGE_KIND_BUILDKIT);
        host_image(&h, "c", "redis:7", NULL, IMAGE_KIND_OTHER);
        host_image(&h, "d", "watchparty-db:1", NULL, IMAGE_KIND_OTHER);
        host_image(&h, "e", "watchparty-base:1", NULL, IMAGE_KIND_OTHER);
        host_image(&h, "f", "watchparty-old:wpcache-rollback-ffff", NULL, IMAGE_KIND_BUILDKIT);
        assert_int_equal(strv_add(&h.config.protect, "watchparty-db"), 0);
        assert_int_equal(strv_add(&h.config.base, "watchparty-base"), 0);

        plan = host_plan(&h);
        assert_int_equal(plan.names.n, 2);
        assert_non_null(named_images_find(&plan.names, "watchparty-backend:latest"));
        assert_non_null(
                named_images_find(&plan.names, "localhost:5000/team/watchparty-frontend:1"));
        assert_int_equal(plan.rollback_tags.n, 2);
        assert_int_equal(plan.replaced_tags.n, 0);
        assert_false(deletes(&plan, "watchparty-backend:latest"));
        assert_true(plan.matches);
        clear_plan_done(&plan);
        host_done(&h);
}

/* Which images lose their names, which of them get a rollback tag, and which are lost for good. Each is
 * the older of two releases of its repository, unless it is said to be the newest. */
static void test_what_goes(void **state) {
        static const struct {
                const char *what;
                ImageKind kind;
                InlineCache inline_cache;
                bool newest, container, service, digest, full, new, other_name;
                bool kept, tag, deleted;
        } table[] = {
                { "serves nothing", IMAGE_KIND_OTHER, .kept = true },
                { "serves nothing, newest", IMAGE_KIND_OTHER, .newest = true, .tag = true },
                { "serves nothing, in use", IMAGE_KIND_OTHER, .container = true, .tag = true },
                { "serves nothing, of a service", IMAGE_KIND_OTHER, .service = true, .tag = true },
                { "serves nothing, new", IMAGE_KIND_OTHER, .new = true, .kept = true },
                { "no metadata", IMAGE_KIND_BUILDKIT, INLINE_CACHE_NO, .kept = true },
                { "unknown", IMAGE_KIND_BUILDKIT, .tag = true },
                { "unknown, full disk", IMAGE_KIND_BUILDKIT, .full = true, .deleted = true },
                { "unknown, in use, full disk", IMAGE_KIND_BUILDKIT, .container = true,
                  .full = true, .tag = true },
                { "unknown, new, full disk", IMAGE_KIND_BUILDKIT, .full = true, .new = true,
                  .tag = true },
                { "metadata", IMAGE_KIND_BUILDKIT, INLINE_CACHE_YES, .deleted = true },
                { "metadata, named by others", IMAGE_KIND_BUILDKIT, INLINE_CACHE_YES,
                  .other_name = true },
                { "metadata, new", IMAGE_KIND_BUILDKIT, INLINE_CACHE_YES, .new = true,
                  .tag = true },
                { "metadata, newest", IMAGE_KIND_BUILDKIT, INLINE_CACHE_YES, .newest = true,
                  .tag = true },
                { "metadata and digest, newest", IMAGE_KIND_BUILDKIT, INLINE_CACHE_YES,
                  .newest = true, .digest = true, .deleted = true },
                { "metadata and digest, in use", IMAGE_KIND_BUILDKIT, INLINE_CACHE_YES,
                  .container = true, .digest = true, .tag = true },
                { "classic, newest", IMAGE_KIND_CLASSIC, .newest = true, .deleted = true },
                { "classic", IMAGE_KIND_CLASSIC, .deleted = true },
                { "classic, in use", IMAGE_KIND_CLASSIC, .container = true, .tag = true },
                { "classic, of a service", IMAGE_KIND_CLASSIC, .service = true, .tag = true },
        };
        static const char x[] = "watchparty-web:x";

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                cleanup(strv_done) Strv first = STRV_NULL;
                Host h = host_new();
                ClearPlan plan;

                host_image(&h, "x", x, NULL, table[i].kind);
                host_aged(&h, "x", table[i].newest ? HOUR : 3 * HOUR);
                host_facts(&h, "x")->inline_cache = table[i].inline_cache;
                host_image(&h, "y", "watchparty-web:y", NULL, IMAGE_KIND_OTHER);
                host_aged(&h, "y", 2 * HOUR);
                if (table[i].container)
                        host_container(&h, "web", "x", "exited");
                if (table[i].service)
                        host_service(&h, "web", x, true);
                if (table[i].digest)
                        assert_int_equal(
                                strv_add(&host_find(&h, "x")->digests, "watchparty-web@sha256:1"),
                                0);
                if (table[i].other_name)
                        host_name(&h, "x", "ci/cache:main");
                if (table[i].full) {
                        h.config.min_free = (Size){ .percent = 15 };
                        host_disk(&h, 100, 10);
                }
                if (table[i].new) {
                        assert_int_equal(strv_add(&first, host_id("y")), 0);
                        h.context.first = &first;
                }

                plan = host_plan(&h);
                if (keeps(&plan, x, KEPT_OLDER) != table[i].kept ||
                    (named_images_find(&plan.names, x) == NULL) != table[i].kept)
                        fail_msg("%s: whether it stays is wrong", table[i].what);
                if ((named_images_find(&plan.rollback_tags, "watchparty-web:wpcache-rollback-x") !=
                     NULL) != table[i].tag)
                        fail_msg("%s: its rollback tag is wrong", table[i].what);
                if (deletes(&plan, x) != table[i].deleted)
                        fail_msg("%s: whether it is lost is wrong", table[i].what);
                clear_plan_done(&plan);
                host_done(&h);
        }
}

/* An image of ours that would go for good, had nothing been built upon it; what was is ours, too, or keeps it. */
static void test_what_keeps_a_release(void **state) {
        static const struct {
                const char *what, *child; /* the name of an image built upon it, or NULL */
                bool untagged, held, of_others;
                const char *digest;
                bool deleted;
        } table[] = {
                { "nothing", .deleted = true },
                { "a child of ours", .child = "watchparty-b:1", .deleted = true },
                { "a child of ours that is held", .child = "watchparty-b:1", .held = true },
                { "a child of others", .child = "other/b:1" },
                { "an untagged child", .untagged = true, .deleted = true },
                { "an untagged child that is held", .untagged = true, .held = true },
                { "an untagged child of others", .untagged = true, .of_others = true },
                { "its own digest", .digest = "watchparty-a@sha256:1", .deleted = true },
                { "another digest", .digest = "mirror/a@sha256:1" },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Host h = host_new();
                ClearPlan plan;

                host_image(&h, "base", "python:3", NULL, IMAGE_KIND_OTHER);
                host_image(&h, "s", NULL, "base", IMAGE_KIND_CLASSIC);
                host_image(&h, "a", "watchparty-a:1", "s", IMAGE_KIND_CLASSIC);
                host_aged(&h, "a", HOUR);
                assert_int_equal(named_images_add(&h.suspects, "", host_id("s")), 0);
                if (table[i].digest)
                        assert_int_equal(strv_add(&host_find(&h, "a")->digests, table[i].digest),
                                         0);
                if (table[i].child || table[i].untagged)
                        host_image(&h, "b", table[i].child, "a", IMAGE_KIND_CLASSIC);
                if (table[i].of_others)
                        host_facts(&h, "b")->of_others = true;
                if (table[i].held)
                        host_container(&h, "web", "b", "exited");
                /* As a container of its repository was seen, it is no base image. */
                host_seen(&h, "a")->used_sec = h.now.age_sec - DAY;
                plan = host_plan(&h);
                assert_non_null(named_images_find(&plan.names, "watchparty-a:1"));
                if (deletes(&plan, "watchparty-a:1") != table[i].deleted)
                        fail_msg("%s: whether it is lost is wrong", table[i].what);
                clear_plan_done(&plan);
                host_done(&h);
        }
}

/* An image of many repositories that was pulled from each: the engine drops a digest with the names of its
 * repository. */
static void test_release_of_many_repositories(void **state) {
        enum { REPOSITORIES = 10000 };

        (void)state;
        for (int foreign = 0; foreign < 2; foreign++) {
                Host h = host_new();
                ClearPlan plan;
                Image *image;

                host_image(&h, "a", NULL, NULL, IMAGE_KIND_BUILDKIT);
                host_facts(&h, "a")->inline_cache = INLINE_CACHE_YES;
                image = host_find(&h, "a");
                for (unsigned i = 0; i < REPOSITORIES; i++) {
                        char text[64];

                        snprintf(text, sizeof(text), "watchparty-%u:1", i);
                        assert_int_equal(strv_add(&image->names, text), 0);
                        snprintf(text, sizeof(text), "watchparty-%u@sha256:1",
                                 i + (foreign && i + 1 == REPOSITORIES));
                        assert_int_equal(strv_add(&image->digests, text), 0);
                }
                plan = host_plan(&h);
                assert_int_equal(plan.names.n, REPOSITORIES);
                assert_int_equal(deletes(&plan, "watchparty-0:1"), !foreign);
                clear_plan_done(&plan);
                host_done(&h);
        }
}

/* A local base image stays. Weak evidence does not count where containers are made from images of its repository,
 * nor, where it is the number of layers, for an image that serves. */
static void test_local_bases(void **state) {
        enum { KNOWN, LIKELY, POSSIBLY };
        static const struct {
                int need;
                InlineCache inline_cache;
                bool run, remembered; /* another image of the repository */
                bool kept;
        } table[] = {
                { KNOWN, INLINE_CACHE_NO, .kept = true },
                { KNOWN, INLINE_CACHE_YES, .kept = true },
                { KNOWN, INLINE_CACHE_NO, .run = true, .kept = true },
                { LIKELY, INLINE_CACHE_NO, .kept = true },
                { LIKELY, INLINE_CACHE_YES, .kept = true },
                { LIKELY, INLINE_CACHE_NO, .run = true },
                { LIKELY, INLINE_CACHE_NO, .remembered = true },
                { POSSIBLY, INLINE_CACHE_NO, .kept = true },
                { POSSIBLY, INLINE_CACHE_YES },
                { POSSIBLY, INLINE_CACHE_UNKNOWN },
                { POSSIBLY, INLINE_CACHE_NO, .run = true },
        };
        static const char x[] = "watchparty-tools:x";

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const bool used = table[i].run || table[i].remembered;
                const NamedImage *taken;
                Host h = host_new();
                ClearPlan plan;

                host_image(&h, "x", x, NULL, IMAGE_KIND_BUILDKIT);
                host_facts(&h, "x")->inline_cache = table[i].inline_cache;
                host_image(&h, "y", used ? "watchparty-tools:y" : "watchparty-web:y", NULL,
                           IMAGE_KIND_BUILDKIT);
                host_facts(&h, "y")->inline_cache = INLINE_CACHE_NO;
                host_aged(&h, "y", HOUR)->used_sec = table[i].remembered ? 1 : -1;
                if (table[i].run)
                        host_container(&h, "c", "y", "exited");
                if (table[i].need == POSSIBLY)
                        assert_int_equal(facts_add_possible_need(host_facts(&h, "y"), x), 0);
                else if (table[i].need == KNOWN)
                        assert_int_equal(facts_add_need(host_facts(&h, "y"), x), 0);
                else
                        assert_int_equal(facts_add_needed_repository(host_facts(&h, "y"), x), 0);
                plan = host_plan(&h);
                taken = named_images_find(&plan.names, x);
                if (keeps(&plan, x, KEPT_BASE) != table[i].kept)
                        fail_msg("case %zu", i);
                if (taken && taken->never_run == used)
                        fail_msg("case %zu: whether it ever ran", i);
                clear_plan_done(&plan);
                host_done(&h);
        }
}

/* What a round kept stays kept in the next ones, though the newest release has gone meanwhile. */
static void test_kept_stays_kept(void **state) {
        cleanup(strv_done) Strv kept = STRV_NULL;
        Host h = host_new();
        ClearPlan plan;

        (void)state;
        host_image(&h, "old", "watchparty-web:1", NULL, IMAGE_KIND_OTHER);
        assert_int_equal(strv_add(&kept, host_id("old")), 0);
        plan = host_plan(&h);
        assert_int_equal(plan.names.n, 1);
        clear_plan_done(&plan);
        h.context.kept = &kept;
        plan = host_plan(&h);
        assert_true(clear_plan_empty(&plan));
        clear_plan_done(&plan);
        /* Neither does it become the newest where that one has but its rollback tag. */
        h.context.kept = NULL;
        host_aged(&h, "old", 2 * HOUR);
        host_image(&h, "new", "watchparty-web:wpcache-rollback-new", NULL, IMAGE_KIND_OTHER);
        host_aged(&h, "new", HOUR);
        plan = host_plan(&h);
        assert_true(clear_plan_empty(&plan));
        clear_plan_done(&plan);
        host_done(&h);
}

/* Beside images in use, a repository has one rollback tag. */
static void test_replaced_tags(void **state) {
        NamedImages made = { 0 };
        Host h = host_new();
        ClearPlan plan;

        (void)state;
        host_release(&h, "1", "watchparty-web:wpcache-rollback-1", 40 * HOUR);
        host_release(&h, "2", "watchparty-web:wpcache-rollback-2", 30 * HOUR);
        host_release(&h, "3", "watchparty-web:wpcache-rollback-3", 20 * HOUR);
        host_release(&h, "db", "watchparty-db:wpcache-rollback-db", 20 * HOUR);
        host_container(&h, "old", "1", "exited");
        plan = host_plan(&h);
        assert_true(clear_plan_empty(&plan)); /* nothing is made that would replace them */
        clear_plan_done(&plan);

        host_release(&h, "4", "watchparty-web:latest", 10 * HOUR);
        plan = host_plan(&h);
        assert_int_equal(plan.replaced_tags.n, 2);
        assert_non_null(
                named_images_find(&plan.replaced_tags, "watchparty-web:wpcache-rollback-2"));
        assert_true(plan.replaced_tags.v[0].deleted);
        clear_plan_done(&plan);

        /* The newest of them is the one beside those in use. */
        host_container(&h, "web", "4", "running");
        plan = host_plan(&h);
        assert_int_equal(plan.replaced_tags.n, 1);
        assert_non_null(
                named_images_find(&plan.replaced_tags, "watchparty-web:wpcache-rollback-2"));
        clear_plan_done(&plan);

        /* Those of this very clear are not replaced. */
        assert_int_equal(named_images_add(&made, "watchparty-web:wpcache-rollback-2", host_id("2")),
                         0);
        h.context.made = &made;
        plan = host_plan(&h);
        assert_int_equal(plan.replaced_tags.n, 1);
        assert_non_null(
                named_images_find(&plan.replaced_tags, "watchparty-web:wpcache-rollback-3"));
        clear_plan_done(&plan);
        named_images_done(&made);
        host_done(&h);
}

/* What the engine can't describe is remaining; its tags stay. */
static void test_tags_of_the_unreadable_stay(void **state) {
        Host h = host_new();
        ClearPlan plan;

        (void)state;
        host_release(&h, "1", "watchparty-web:wpcache-rollback-1", 40 * HOUR);
        host_release(&h, "2", "watchparty-web:wpcache-rollback-2", 30 * HOUR);
        host_release(&h, "4", "watchparty-web:latest", 10 * HOUR);
        assert_int_equal(unreadable_add(&h.inventory.images.unreadable, host_id("2"), "odd"), 0);
        plan = host_plan(&h);
        assert_int_equal(plan.replaced_tags.n, 1);
        assert_non_null(
                named_images_find(&plan.replaced_tags, "watchparty-web:wpcache-rollback-1"));
        clear_plan_done(&plan);
        host_done(&h);
}

/* An image that was in use at an earlier clear, and would serve by the tag that it got. */
static void test_tag_that_lets_serve(void **state) {
        Host h = host_new();
        ClearPlan plan;

        (void)state;
        host_image(&h, "x", "watchparty-web:wpcache-rollback-x", NULL, IMAGE_KIND_CLASSIC);
        plan = host_plan(&h);
        assert_int_equal(plan.replaced_tags.n, 1);
        clear_plan_done(&plan);
        host_container(&h, "web", "x", "exited");
        plan = host_plan(&h);
        assert_true(clear_plan_empty(&plan));
        clear_plan_done(&plan);
        host_done(&h);
}

static void test_rollback_tags(void **state) {
        Host h = host_new();
        ClearPlan plan;

        (void)state;
        host_image(&h, "aaaaaaaaaaaa1111", "watchparty-backend:latest", NULL, IMAGE_KIND_BUILDKIT);
        host_name(&h, "aaaaaaaaaaaa1111", "watchparty-backend:v2");
        host_image(&h, "bbbbbbbbbbbb1111", "watchparty-backend:v1", NULL, IMAGE_KIND_BUILDKIT);
        host_image(&h, "cccccccccccc1111", "watchparty-web:1", NULL, IMAGE_KIND_BUILDKIT);
        host_name(&h, "cccccccccccc1111", "watchparty-web:wpcache-rollback-cccccccccccc");
        host_image(&h, "dddddddddddd2222", "watchparty-web:2", NULL, IMAGE_KIND_BUILDKIT);
        /* A name of 12 digits that another image bears is not taken from it. */
        host_image(&h, "eeeeeeeeeeee3333", "watchparty-web:wpcache-rollback-dddddddddddd", NULL,
                   IMAGE_KIND_BUILDKIT);
        /* Nor is one that two images might get. */
        host_image(&h, "ffffffffffff1111", "watchparty-x:1", NULL, IMAGE_KIND_BUILDKIT);
        host_image(&h, "ffffffffffff2222", "watchparty-x:2", NULL, IMAGE_KIND_BUILDKIT);
        host_container(&h, "web", "aaaaaaaaaaaa1111", "running");
        host_container(&h, "old", "bbbbbbbbbbbb1111", "exited");
        host_container(&h, "keeps-its-tag", "cccccccccccc1111", "running");
        host_container(&h, "other", "dddddddddddd2222", "running");

        plan = host_plan(&h);
        assert_int_equal(plan.names.n, 7);
        assert_int_equal(plan.rollback_tags.n, 5);
        assert_non_null(named_images_find(&plan.rollback_tags,
                                          "watchparty-backend:wpcache-rollback-aaaaaaaaaaaa"));
        assert_non_null(named_images_find(&plan.rollback_tags,
                                          "watchparty-backend:wpcache-rollback-bbbbbbbbbbbb"));
        assert_non_null(named_images_find(&plan.rollback_tags,
                                          "watchparty-web:wpcache-rollback-dddddddddddd2222"));
        assert_non_null(named_images_find(&plan.rollback_tags,
                                          "watchparty-x:wpcache-rollback-ffffffffffff1111"));
        clear_plan_done(&plan);
        host_done(&h);
}

/* However many of the tag's forms other images have, the image gets one before its name goes. */
static void test_every_form_of_the_rollback_tag_is_taken(void **state) {
        static const char hex[] =
                "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        char tag[160], last[160];
        Host h = host_new();
        ClearPlan plan;

        (void)state;
        host_image(&h, hex, "watchparty-web:1", NULL, IMAGE_KIND_BUILDKIT);
        host_container(&h, "web", hex, "running");
        host_image(&h, "aa", "other:1", NULL, IMAGE_KIND_BUILDKIT);
        for (int digits = 12; digits <= 64; digits += 4) {
                snprintf(tag, sizeof(tag), "watchparty-web:wpcache-rollback-%.*s", digits, hex);
                host_name(&h, "aa", tag);
        }
        snprintf(tag, sizeof(tag), "watchparty-web:wpcache-rollback-%.56s-2", hex);
        host_name(&h, "aa", tag);
        snprintf(last, sizeof(last), "watchparty-web:wpcache-rollback-%.56s-3", hex);

        plan = host_plan(&h);
        assert_non_null(named_images_find(&plan.names, "watchparty-web:1"));
        assert_non_null(named_images_find(&plan.rollback_tags, last));
        clear_plan_done(&plan);
        host_done(&h);
}

/* A date that someone made up does not make an image newer than the clear: on a full disk it gets no tag. */
static void test_image_dated_ahead_of_the_clock(void **state) {
        static const struct {
                int64_t created_sec, tagged_sec; /* after the clear was asked for */
                unsigned ahead;
                bool is_new;
        } table[] = {
                { -5, 0, 0, false },
                { 5, 0, 0, true },
                { -5, 5, 0, true },
                { 48 * 3600, 0, 0, false },
                { -5, 48 * 3600, 0, false },
                { 5, 0, SEEN_CREATED_AHEAD, false },
                { -5, 5, SEEN_TAG_AHEAD, false },
                { 5, 5, SEEN_TAG_AHEAD, true },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Host h = host_new();
                SeenImage *seen;
                ClearPlan plan;

                h.options.asked_sec = h.inventory.observed_sec - 60;
                h.config.min_free = (Size){ .percent = 15 };
                host_disk(&h, 100, 10);
                host_image(&h, "x", "watchparty-web:x", NULL, IMAGE_KIND_OTHER);
                host_find(&h, "x")->created_sec = h.options.asked_sec + table[i].created_sec;
                if (table[i].tagged_sec != 0)
                        host_facts(&h, "x")->last_tagged_sec =
                                h.options.asked_sec + table[i].tagged_sec;
                seen = host_seen(&h, "x");
                seen->ahead = table[i].ahead;
                seen->tag_mark = host_facts(&h, "x")->last_tagged_sec;

                plan = host_plan(&h);
                if ((plan.rollback_tags.n > 0) != table[i].is_new)
                        fail_msg("%zu: whether it is new is wrong", i);
                clear_plan_done(&plan);
                host_done(&h);
        }
}

/* The tag of one repository ends with the next clear of it, and must not end what another one rolls back to. */
static void test_rollback_tag_of_each_repository(void **state) {
        Host h = host_new();
        ClearPlan plan;

        (void)state;
        host_image(&h, "aaaaaaaaaaaa", "watchparty-backend:1", NULL, IMAGE_KIND_BUILDKIT);
        host_name(&h, "aaaaaaaaaaaa", "watchparty-backend:latest");
        host_name(&h, "aaaaaaaaaaaa", "other/service:1");
        host_name(&h, "aaaaaaaaaaaa", "localhost:5000/watchparty-backend:1");
        host_image(&h, "bbbbbbbbbbbb", "watchparty-web:1", NULL, IMAGE_KIND_BUILDKIT);
        host_name(&h, "bbbbbbbbbbbb", "watchparty-web:wpcache-rollback-bbbbbbbbbbbb");
        host_name(&h, "bbbbbbbbbbbb", "watchparty-worker:1");
        plan = host_plan(&h);
        assert_int_equal(plan.rollback_tags.n, 3);
        assert_non_null(named_images_find(&plan.rollback_tags,
                                          "watchparty-backend:wpcache-rollback-aaaaaaaaaaaa"));
        assert_non_null(named_images_find(
                &plan.rollback_tags,
                "localhost:5000/watchparty-backend:wpcache-rollback-aaaaaaaaaaaa"));
        assert_non_null(named_images_find(&plan.rollback_tags,
                                          "watchparty-worker:wpcache-rollback-bbbbbbbbbbbb"));
        clear_plan_done(&plan);
        host_done(&h);
}

/* Whose an untagged image is. */
static void test_untagged(void **state) {
        static const struct {
                const char *what;
                const char *project, *parent;
                ImageKind kind;
                bool all, suspect, container;
                Claim claim;
                bool removed;
        } table[] = {
                { "of unknown origin", NULL, NULL, IMAGE_KIND_BUILDKIT },
                { "ours by project", "watchparty", NULL, IMAGE_KIND_BUILDKIT, .claim = CLAIM_OURS,
                  .removed = true },
                { "another project's", "shop", NULL, IMAGE_KIND_BUILDKIT, .claim = CLAIM_FOREIGN },
                { "ours by a parent", NULL, "step1", IMAGE_KIND_CLASSIC, .claim = CLAIM_OURS,
                  .removed = true },
                { "held by a container", NULL, "step1", IMAGE_KIND_CLASSIC, .container = true,
                  .claim = CLAIM_OURS },
                { "on another's step", NULL, "shopstep", IMAGE_KIND_CLASSIC,
                  .claim = CLAIM_FOREIGN },
                { "on the base image", NULL, "base", IMAGE_KIND_CLASSIC },
                { "a suspect of an earlier clear", NULL, "base", IMAGE_KIND_CLASSIC,
                  .suspect = true, .claim = CLAIM_OURS, .removed = true },
                { "all of them", NULL, NULL, IMAGE_KIND_BUILDKIT, .all = true, .claim = CLAIM_OURS,
                  .removed = true },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Host h = host_new();
                ClearPlan plan;

                host_image(&h, "base", "python:3", NULL, IMAGE_KIND_OTHER);
                host_image(&h, "step1", NULL, "base", IMAGE_KIND_CLASSIC);
                host_image(&h, "ours", "watchparty-backend:latest", "step1", IMAGE_KIND_CLASSIC);
                host_project(&h, "ours", "watchparty");
                host_image(&h, "shopstep", NULL, "base", IMAGE_KIND_CLASSIC);
                host_image(&h, "shop", "shop:1", "shopstep", IMAGE_KIND_CLASSIC);
                host_image(&h, "x", NULL, table[i].parent, table[i].kind);
                host_project(&h, "x", table[i].project);
                if (table[i].container)
                        host_container(&h, "holder", "x", "exited");
                if (table[i].suspect)
                        assert_int_equal(named_images_add(&h.suspects, "", host_id("x")), 0);
                h.config.dangling_all = table[i].all;

                plan = host_plan(&h);
                if (strv_contains(&plan.untagged, host_id("x")) != table[i].removed)
                        fail_msg("%s: removed is wrong", table[i].what);
                if (host_claim(&h, "x") != table[i].claim)
                        fail_msg("%s: the owner is wrong", table[i].what);
                /* Steps go with the image that stands on them, never before it. */
                assert_false(strv_contains(&plan.untagged, host_id("step1")));
                clear_plan_done(&plan);
                host_done(&h);
        }
}

static void test_suspects(void **state) {
        Host h = host_new();

        (void)state;
        host_image(&h, "base", "python:3", NULL, IMAGE_KIND_OTHER);
        host_image(&h, "own", "mybase:1", "base", IMAGE_KIND_CLASSIC);
        host_image(&h, "s1", NULL, "own", IMAGE_KIND_CLASSIC);
        host_image(&h, "s2", NULL, "s1", IMAGE_KIND_CLASSIC);
        host_image(&h, "top", "watchparty-backend:latest", "s2", IMAGE_KIND_CLASSIC);

        assert_int_equal(plan_suspects(&h.inventory, &h.config, &h.seen, &h.suspects), 0);
        assert_int_equal(h.suspects.n, 4);
        assert_true(named_images_contain_id(&h.suspects, host_id("top")));
        assert_true(named_images_contain_id(&h.suspects, host_id("s2")));
        assert_true(named_images_contain_id(&h.suspects, host_id("s1")));
        /* A stage that somebody tagged, or a base image; it says which. */
        assert_true(named_images_contain_id(&h.suspects, host_id("own")));
        /* Again adds nothing. */
        assert_int_equal(plan_suspects(&h.inventory, &h.config, &h.seen, &h.suspects), 0);
        assert_int_equal(h.suspects.n, 4);

        named_images_done(&h.suspects);
        assert_int_equal(strv_add(&h.config.base, "mybase"), 0);
        assert_int_equal(plan_suspects(&h.inventory, &h.config, &h.seen, &h.suspects), 0);
        assert_int_equal(h.suspects.n, 3);
        host_done(&h);
}

/* A rebuild took the name from a release that nothing holds: what is remembered of it tells whose it is. */
static void test_remembered(void **state) {
        Host h = host_new();
        ClearPlan plan;

        (void)state;
        host_image(&h, "ours", NULL, NULL, IMAGE_KIND_BUILDKIT);
        host_seen(&h, "ours")->repository = strdup("watchparty-web");
        host_image(&h, "kept", NULL, NULL, IMAGE_KIND_BUILDKIT);
        host_seen(&h, "kept")->repository = strdup("watchparty-db");
        host_image(&h, "theirs", NULL, NULL, IMAGE_KIND_BUILDKIT);
        host_seen(&h, "theirs")->repository = strdup("shop");
        host_image(&h, "unknown", NULL, NULL, IMAGE_KIND_BUILDKIT);
        assert_int_equal(strv_add(&h.config.protect, "watchparty-db"), 0);

        assert_int_equal(plan_suspects(&h.inventory, &h.config, &h.seen, &h.suspects), 0);
        assert_int_equal(h.suspects.n, 1);
        plan = host_plan(&h);
        assert_int_equal(plan.untagged.n, 1);
        assert_string_equal(plan.untagged.v[0], host_id("ours"));
        clear_plan_done(&plan);
        host_done(&h);
}

static void test_records(void **state) {
        Host h = host_new();
        ClearPlan plan;

        (void)state;
        host_record(&h, "r1", RECORD_REGULAR, false, 100, NULL);
        host_record(&h, "r2", RECORD_REGULAR, true, 10, "r1");
        host_record(&h, "seed", RECORD_REGULAR, false, 7, NULL);
        host_record(&h, "mount", RECORD_CACHE_MOUNT, false, 1000, "seed");
        host_record(&h, "plain", RECORD_CACHE_MOUNT, false, 1000, NULL);

        plan = host_plan(&h);
        assert_int_equal(plan.n_records, 4);
        assert_int_equal(plan.record_bytes, 2107);
        clear_plan_done(&plan);

        h.options.keep_mounts = true;
        plan = host_plan(&h);
        assert_int_equal(plan.n_records, 1);
        assert_int_equal(plan.record_bytes, 100);
        assert_int_equal(plan.kept_mounts.n, 3);
        assert_true(strv_contains(&plan.kept_mounts, "seed"));
        clear_plan_done(&plan);

        h.options.target = TARGET_IMAGES;
        plan = host_plan(&h);
        assert_true(clear_plan_empty(&plan));
        clear_plan_done(&plan);
        host_done(&h);
}

static void test_trash(void **state) {
        Host h = host_new();
        ClearPlan plan;

        (void)state;
        host_image(&h, "a", "wpcache-trash:a", NULL, IMAGE_KIND_BUILDKIT);
        host_image(&h, "b", "wpcache-trash:b", NULL, IMAGE_KIND_BUILDKIT);
        host_container(&h, "holder", "b", "exited");
        plan = host_plan(&h);
        assert_int_equal(plan.trash.n, 1);
        assert_string_equal(plan.trash.v[0], "wpcache-trash:a");
        clear_plan_done(&plan);

        /* Any image may be used: by a service, by a container. */
        h.inventory.services.unread = strdup("locked");
        plan = host_plan(&h);
        assert_int_equal(plan.trash.n, 0);
        clear_plan_done(&plan);
        free(h.inventory.services.unread);
        h.inventory.services.unread = NULL;
        assert_int_equal(unreadable_add(&h.inventory.containers.unreadable, "c", "odd"), 0);
        plan = host_plan(&h);
        assert_int_equal(plan.trash.n, 0);
        clear_plan_done(&plan);
        host_done(&h);
}

static void test_other_projects(void **state) {
        Host h = host_new();
        ClearPlan plan;

        (void)state;
        host_image(&h, "a", "watchparty-backend:latest", NULL, IMAGE_KIND_BUILDKIT);
        host_project(&h, "a", "watchparty");
        host_image(&h, "b", "shop-web:latest", NULL, IMAGE_KIND_BUILDKIT);
        host_project(&h, "b", "shop");
        plan = host_plan(&h);
        assert_int_equal(plan.other_projects.n, 1);
        assert_string_equal(plan.other_projects.v[0], "shop");
        clear_plan_done(&plan);
        host_done(&h);
}

/* A rebuild took the name from a release that still runs: it gets one to be found by. */
static void test_running_untagged(void **state) {
        Host h = host_new();
        ClearPlan plan;

        (void)state;
        host_image(&h, "aaaaaaaaaaaa1111", NULL, NULL, IMAGE_KIND_BUILDKIT);
        host_container(&h, "web", "aaaaaaaaaaaa1111", "running");
        free(h.inventory.containers.v[0].image);
        h.inventory.containers.v[0].image = strdup("localhost:5000/watchparty-web");
        host_image(&h, "bbbbbbbbbbbb1111", NULL, NULL, IMAGE_KIND_BUILDKIT);
        host_container(&h, "shop", "bbbbbbbbbbbb1111", "running");
        free(h.inventory.containers.v[1].image);
        h.inventory.containers.v[1].image = strdup("shop:2");

        plan = host_plan(&h);
        assert_int_equal(plan.rollback_tags.n, 1);
        assert_string_equal(plan.rollback_tags.v[0].name,
                            "localhost:5000/watchparty-web:wpcache-rollback-aaaaaaaaaaaa");
        assert_false(clear_plan_empty(&plan));
        assert_int_equal(plan_suspects(&h.inventory, &h.config, &h.seen, &h.suspects), 0);
        assert_int_equal(h.suspects.n, 1);
        clear_plan_done(&plan);
        host_done(&h);
}

/* Two plans are the same whatever order the engine lists images in. */
static void test_equal(void **state) {
        Host h = host_new(), g = host_new();
        ClearPlan a, b;

        (void)state;
        host_image(&h, "a", "watchparty-a:1", NULL, IMAGE_KIND_BUILDKIT);
        host_image(&h, "b", "watchparty-b:1", NULL, IMAGE_KIND_BUILDKIT);
        host_image(&g, "b", "watchparty-b:1", NULL, IMAGE_KIND_BUILDKIT);
        host_image(&g, "a", "watchparty-a:1", NULL, IMAGE_KIND_BUILDKIT);
        a = host_plan(&h);
        b = host_plan(&g);
        assert_true(clear_plan_equal(&a, &b));
        clear_plan_done(&b);
        host_image(&g, "c", "watchparty-c:1", NULL, IMAGE_KIND_BUILDKIT);
        b = host_plan(&g);
        assert_false(clear_plan_equal(&a, &b));
        clear_plan_done(&a);
        clear_plan_done(&b);
        host_done(&h);
        host_done(&g);
}

/* The host after the plan, as a dry run judges it. */
static void test_predict(void **state) {
        Host h = host_new();
        ClearPlan plan;

        (void)state;
        host_image(&h, "base", "python:3", NULL, IMAGE_KIND_OTHER);
        host_image(&h, "s1", NULL, "base", IMAGE_KIND_CLASSIC);
        host_image(&h, "gone", "watchparty-a:1", "s1", IMAGE_KIND_CLASSIC);
        host_image(&h, "t1", NULL, "base", IMAGE_KIND_CLASSIC);
        host_image(&h, "held", "watchparty-b:1", "t1", IMAGE_KIND_CLASSIC);
        host_container(&h, "holder", "held", "running");
        host_image(&h, "foreign", NULL, NULL, IMAGE_KIND_BUILDKIT);
        host_record(&h, "idle", RECORD_REGULAR, false, 1, NULL);
        host_record(&h, "busy", RECORD_REGULAR, true, 1, NULL);

        assert_int_equal(plan_suspects(&h.inventory, &h.config, &h.seen, &h.suspects), 0);
        plan = host_plan(&h);
        assert_int_equal(plan_predict(&h.config, &plan, &h.suspects, &h.inventory), 0);
        clear_plan_done(&plan);
        assert_int_equal(h.inventory.images.n, 4);
        assert_null(image_set_find(&h.inventory.images, host_id("gone")));
        assert_null(image_set_find(&h.inventory.images, host_id("s1")));
        assert_string_equal(host_find(&h, "held")->names.v[0],
                            "watchparty-b:wpcache-rollback-held");
        assert_int_equal(h.inventory.records.n, 1);
        plan = host_plan(&h);
        assert_true(clear_plan_empty(&plan));
        clear_plan_done(&plan);
        host_done(&h);
}

/* A step may be held by a container that can't be read, so a dry run does not say that it goes. */
static void test_predict_beside_the_unreadable(void **state) {
        Host h = host_new();
        ClearPlan plan;

        (void)state;
        host_image(&h, "base", "python:3", NULL, IMAGE_KIND_OTHER);
        host_image(&h, "s1", NULL, "base", IMAGE_KIND_CLASSIC);
        assert_int_equal(named_images_add(&h.suspects, "", host_id("s1")), 0);
        assert_int_equal(unreadable_add(&h.inventory.containers.unreadable, "c", "odd"), 0);
        plan = host_plan(&h);
        assert_int_equal(plan.untagged.n, 0);
        assert_int_equal(plan_predict(&h.config, &plan, &h.suspects, &h.inventory), 0);
        clear_plan_done(&plan);
        assert_int_equal(h.inventory.images.n, 2);

        unreadable_done(&h.inventory.containers.unreadable);
        plan = host_plan(&h);
        assert_int_equal(plan_predict(&h.config, &plan, &h.suspects, &h.inventory), 0);
        clear_plan_done(&plan);
        assert_int_equal(h.inventory.images.n, 1);
        host_done(&h);
}

/* A chain of thousands, one that is a circle, and an image that is its own parent. */
static void test_deep_and_circular(void **state) {
        enum { DEPTH = 3000 };
        Host h = host_new();
        ClearPlan plan;

        (void)state;
        host_image(&h, "00000000", NULL, NULL, IMAGE_KIND_CLASSIC);
        for (unsigned i = 1; i < DEPTH; i++) {
                Image image = { 0 };

                snprintf(image.id, sizeof(image.id), "sha256:%08u", i);
                snprintf(image.parent_id, sizeof(image.parent_id), "sha256:%08u", i - 1);
                if (i == DEPTH - 1)
                        assert_int_equal(strv_add(&image.names, "watchparty-web:1"), 0);
                assert_int_equal(image_set_add(&h.inventory.images, &image), 0);
        }
        host_image(&h, "a", NULL, "b", IMAGE_KIND_CLASSIC);
        host_image(&h, "b", "watchparty-web:2", "a", IMAGE_KIND_CLASSIC);
        host_image(&h, "self", "watchparty-web:3", "self", IMAGE_KIND_CLASSIC);
        assert_int_equal(image_set_index(&h.inventory.images), 0);

        assert_int_equal(plan_suspects(&h.inventory, &h.config, &h.seen, &h.suspects), 0);
        plan = host_plan(&h);
        assert_true(deletes(&plan, "watchparty-web:1"));
        assert_int_equal(plan_predict(&h.config, &plan, &h.suspects, &h.inventory), 0);
        assert_null(image_set_find(&h.inventory.images, "sha256:00000000"));
        clear_plan_done(&plan);
        host_done(&h);
}

/* Parents by index, and owners of a whole set; an answer that has parents in a circle ends, too. */
static void test_claims(void **state) {
        Host h = host_new();
        cleanup_free size_t *parents = NULL;
        cleanup_free Claim *claims = NULL;

        (void)state;
        host_image(&h, "a", NULL, "b", IMAGE_KIND_CLASSIC);
        host_image(&h, "b", NULL, "a", IMAGE_KIND_CLASSIC);
        host_image(&h, "c", NULL, "gone", IMAGE_KIND_CLASSIC);
        host_image(&h, "top", "watchparty-web:1", "mid", IMAGE_KIND_CLASSIC);
        host_image(&h, "mid", NULL, "low", IMAGE_KIND_CLASSIC);
        host_image(&h, "shop", "shop:1", "low", IMAGE_KIND_CLASSIC);
        host_image(&h, "low", NULL, NULL, IMAGE_KIND_CLASSIC);
        host_image(&h, "left", NULL, "low", IMAGE_KIND_CLASSIC);
        host_image(&h, "cart", NULL, "shop", IMAGE_KIND_CLASSIC);

        assert_int_equal(plan_parents(&h.inventory, &parents), 0);
        assert_int_equal(parents[0], 1);
        assert_int_equal(parents[1], 0);
        assert_int_equal(parents[2], PLAN_NO_PARENT);
        assert_int_equal(parents[3], 4);
        assert_int_equal(parents[4], 6);
        assert_int_equal(parents[6], PLAN_NO_PARENT);
        assert_int_equal(plan_claims(&h.inventory, &h.config, &h.suspects, parents, &claims), 0);
        assert_int_equal(claims[0], CLAIM_NONE);
        assert_int_equal(claims[2], CLAIM_NONE);
        assert_int_equal(claims[3], CLAIM_NONE); /* it has a name */
        assert_int_equal(claims[4], CLAIM_OURS);
        assert_int_equal(claims[6], CLAIM_OURS); /* of both */
        assert_int_equal(claims[7], CLAIM_NONE); /* on what is of both */
        assert_int_equal(claims[8], CLAIM_NONE); /* its chain ends at what FROM named */
        host_done(&h);
}

/*
 * Two applications begin with the same step on a common base image. What else stands on that step is
 * neither's, unless it is known otherwise; not even once the image of ours is gone.
 */
static void test_shared_step(void **state) {
        Host h = host_new();

        (void)state;
        host_image(&h, "base", "python:3", NULL, IMAGE_KIND_OTHER);
        host_image(&h, "workdir", NULL, "base", IMAGE_KIND_CLASSIC);
        host_image(&h, "copy", NULL, "workdir", IMAGE_KIND_CLASSIC);
        host_image(&h, "ours", "watchparty-web:1", "copy", IMAGE_KIND_CLASSIC);
        host_image(&h, "left", NULL, "copy", IMAGE_KIND_CLASSIC);
        host_image(&h, "known", NULL, "workdir", IMAGE_KIND_CLASSIC);
        assert_int_equal(named_images_add(&h.suspects, "", host_id("known")), 0);
        host_image(&h, "shopstep", NULL, "workdir", IMAGE_KIND_CLASSIC);
        host_image(&h, "shop", "shop:1", "shopstep", IMAGE_KIND_CLASSIC);
        host_image(&h, "before", NULL, "shopstep", IMAGE_KIND_CLASSIC);
        host_image(&h, "oldstep", NULL, "workdir", IMAGE_KIND_CLASSIC);
        host_image(&h, "old", NULL, "oldstep", IMAGE_KIND_CLASSIC);

        for (int gone = 0; gone < 2; gone++) {
                assert_int_equal(host_claim(&h, "workdir"), CLAIM_OURS);
                assert_int_equal(host_claim(&h, "left"), CLAIM_OURS);
                assert_int_equal(host_claim(&h, "known"), CLAIM_OURS);
                assert_int_equal(host_claim(&h, "before"), CLAIM_FOREIGN);
                assert_int_equal(host_claim(&h, "oldstep"), CLAIM_NONE);
                assert_int_equal(host_claim(&h, "old"), CLAIM_NONE);
                assert_int_equal(plan_suspects(&h.inventory, &h.config, &h.seen, &h.suspects), 0);
                strv_done(&host_find(&h, "ours")->names);
        }
        /* Where no image of others stands on it, what does is ours. */
        strv_done(&host_find(&h, "shop")->names);
        assert_int_equal(host_claim(&h, "old"), CLAIM_OURS);
        host_done(&h);
}

/* An untagged image of a step of ours, by what is known of it. */
static void test_claims_by_facts(void **state) {
        static const struct {
                const char *what;
                bool of_others, ours, suspect, named;
                Commit commit;
                Claim claim;
                bool project; /* with the label of a project of ours */
                bool dangling_all;
        } cases[] = {
                { "stands on a step of ours", .claim = CLAIM_OURS },
                { "bore names of others", .of_others = true, .claim = CLAIM_FOREIGN },
                { "bore names of both", .of_others = true, .ours = true, .claim = CLAIM_OURS },
                { "a step of ours", .of_others = true, .suspect = true, .claim = CLAIM_OURS },
                { "committed", .commit = COMMIT_YES, .claim = CLAIM_FOREIGN },
                { "not committed", .commit = COMMIT_NO, .claim = CLAIM_OURS },
                { "committed, in a project", .commit = COMMIT_YES, .claim = CLAIM_FOREIGN,
                  .project = true },
                { "committed, and others stand on it", .commit = COMMIT_YES, .suspect = true,
                  .claim = CLAIM_FOREIGN },
                { "committed, lost a name of ours", .commit = COMMIT_YES, .suspect = true,
                  .named = true, .claim = CLAIM_FOREIGN },
                { "committed, all go", .commit = COMMIT_YES, .claim = CLAIM_OURS,
                  .dangling_all = true },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Host h = host_new();
                cleanup_free size_t *parents = NULL;
                cleanup_free Claim *claims = NULL;

                print_message("%s\n", cases[i].what);
                h.config.dangling_all = cases[i].dangling_all;
                host_image(&h, "x", NULL, "step", IMAGE_KIND_CLASSIC);
                host_image(&h, "web", "watchparty-web:1", "step", IMAGE_KIND_CLASSIC);
                host_image(&h, "step", NULL, "base", IMAGE_KIND_CLASSIC);
                host_image(&h, "base", "base:1", NULL, IMAGE_KIND_OTHER);
                host_facts(&h, "x")->of_others = cases[i].of_others;
                host_facts(&h, "x")->ours = cases[i].ours;
                host_facts(&h, "x")->commit = cases[i].commit;
                host_project(&h, "web", "party");
                if (cases[i].project)
                        host_project(&h, "x", "party");
                if (cases[i].suspect)
                        assert_int_equal(named_images_add(&h.suspects,
                                                          cases[i].named ? "watchparty-web:0" : "",
                                                          host_id("x")),
                                         0);
                assert_int_equal(plan_parents(&h.inventory, &parents), 0);
                assert_int_equal(
                        plan_claims(&h.inventory, &h.config, &h.suspects, parents, &claims), 0);
                assert_int_equal(claims[0], cases[i].claim);
                host_done(&h);
        }
}

/* What stands on an image that docker commit made does so by FROM: no step of ours. */
static void test_chain_ends_at_commit(void **state) {
        Host h = host_new();
        cleanup_free size_t *parents = NULL;
        cleanup_free Claim *claims = NULL;

        (void)state;
        host_image(&h, "x", NULL, "commit", IMAGE_KIND_CLASSIC);
        host_image(&h, "web", "watchparty-web:1", "commit", IMAGE_KIND_CLASSIC);
        host_image(&h, "commit", NULL, "base", IMAGE_KIND_CLASSIC);
        host_facts(&h, "commit")->commit = COMMIT_YES;
        assert_int_equal(plan_parents(&h.inventory, &parents), 0);
        assert_int_equal(plan_claims(&h.inventory, &h.config, &h.suspects, parents, &claims), 0);
        assert_int_equal(claims[0], CLAIM_NONE);
        assert_int_equal(claims[2], CLAIM_FOREIGN);
        host_done(&h);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_what_goes),
                cmocka_unit_test(test_what_keeps_a_release),
                cmocka_unit_test(test_release_of_many_repositories),
                cmocka_unit_test(test_local_bases),
                cmocka_unit_test(test_kept_stays_kept),
                cmocka_unit_test(test_replaced_tags),
                cmocka_unit_test(test_tags_of_the_unreadable_stay),
                cmocka_unit_test(test_tag_that_lets_serve),
                cmocka_unit_test(test_rollback_tags),
                cmocka_unit_test(test_every_form_of_the_rollback_tag_is_taken),
                cmocka_unit_test(test_image_dated_ahead_of_the_clock),
                cmocka_unit_test(test_rollback_tag_of_each_repository),
                cmocka_unit_test(test_untagged),
                cmocka_unit_test(test_suspects),
                cmocka_unit_test(test_remembered),
                cmocka_unit_test(test_records),
                cmocka_unit_test(test_trash),
                cmocka_unit_test(test_other_projects),
                cmocka_unit_test(test_predict),
                cmocka_unit_test(test_predict_beside_the_unreadable),
                cmocka_unit_test(test_running_untagged),
                cmocka_unit_test(test_equal),
                cmocka_unit_test(test_claims),
                cmocka_unit_test(test_claims_by_facts),
                cmocka_unit_test(test_chain_ends_at_commit),
                cmocka_unit_test(test_shared_step),
                cmocka_unit_test(test_deep_and_circular),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
