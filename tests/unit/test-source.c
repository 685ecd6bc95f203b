/* SPDX-License-Identifier: MIT */

/*
 * What serves a cached layer to the next build, as rules: one row each. The freshness matrix of the
 * integration tests shows the same on real engines, with builds.
 */

#include "host.h"

#include "base/text.h"
#include "janitor/chains.h"
#include "janitor/image-base.h"
#include "janitor/instruction.h"
#include "janitor/source.h"

/* An image of others beside one of ours. */
typedef struct Row {
        const char *what;
        ImageKind kind;
        InlineCache inline_cache;
        const char *parent; /* "base", "gone" or NULL */
        const char *name, *digest;
        const char *layers, *history;         /* see host_layers() and host_history() */
        const char *our_layers, *our_history; /* NULL: nothing is known of ours */
        SourceWay way;
        Serves serves, serves_by_rollback_tag;
        bool like_ours;
} Row;

#define CLASSIC IMAGE_KIND_CLASSIC, INLINE_CACHE_NO
#define BUILDKIT_YES IMAGE_KIND_BUILDKIT, INLINE_CACHE_YES
#define BUILDKIT_NO IMAGE_KIND_BUILDKIT, INLINE_CACHE_NO
#define BUILDKIT_UNKNOWN IMAGE_KIND_BUILDKIT, INLINE_CACHE_UNKNOWN
#define CHAIN SOURCE_CLASSIC_CHAIN, SERVES_CERTAINLY, SERVES_CERTAINLY
#define BY_NAME SOURCE_CLASSIC_NAME, SERVES_CERTAINLY, SERVES_NOTHING
#define INLINE SOURCE_INLINE, SERVES_CERTAINLY, SERVES_NOTHING
#define MAYBE SOURCE_INLINE, SERVES_PERHAPS, SERVES_NOTHING
#define NOTHING SOURCE_NONE, SERVES_NOTHING, SERVES_NOTHING
#define X "other:x", NULL

static const Row rows[] = {
        /* The classic builder: one step beyond the base is enough. */
        { "classic, the same", CLASSIC, "base", X, "bAB", "bAB", "bAB", "bAB", CHAIN, true },
        { "classic, its first step", CLASSIC, "base", X, "bAC", "bAC", "bAB", "bAB", CHAIN, true },
        { "classic, only the base", CLASSIC, "base", X, "bC", "bC", "bA", "bA", CHAIN, false },
        { "classic, the same step on another base", CLASSIC, "base", X, "cA", "cA", "bA", "bA",
          CHAIN, false },
        { "classic, a base of ours", CLASSIC, "base", X, "b", "bA", "bb", "baB", CHAIN, false },
        { "classic, nothing of ours is known", CLASSIC, "base", X, "bA", "bA", NULL, NULL, CHAIN,
          true },
        { "classic, no history of ours is known", CLASSIC, "base", X, "bA", "bA", "bA", NULL, CHAIN,
          true },
        { "classic, its history can't be read", CLASSIC, "base", X, "bC", NULL, "bA", "bA", CHAIN,
          true },
        { "classic, untagged", CLASSIC, "base", NULL, NULL, "bA", "bA", "bA", "bA", CHAIN, true },
        { "classic, parents gone, a name", CLASSIC, "gone", X, "bA", "bA", "bA", "bA", BY_NAME,
          true },
        { "classic, parents gone, no name", CLASSIC, "gone", NULL, NULL, "bA", "bA", "bA", "bA",
          NOTHING, false },
        { "loaded, a name", CLASSIC, NULL, X, "bA", "bAB", "bA", "bAB", BY_NAME, true },
        { "loaded, a rollback tag", CLASSIC, NULL, "watchparty-a:wpcache-rollback-1", NULL, "bA",
          "bAB", "bA", "bAB", NOTHING, false },
        { "loaded, untagged", CLASSIC, NULL, NULL, NULL, "bA", "bAB", "bA", "bAB", NOTHING, false },
        { "first step FROM scratch, untagged", CLASSIC, NULL, NULL, NULL, "A", "A", "A", "A", CHAIN,
          true },
        { "another tool's", IMAGE_KIND_OTHER, INLINE_CACHE_UNKNOWN, NULL, X, "A", "A", "A", "A",
          NOTHING, false },

        /* BuildKit: a layer beyond a common base, if inline metadata is known. */
        { "inline, the same", BUILDKIT_YES, NULL, X, "bAB", NULL, "bAB", "bAB", INLINE, true },
        { "inline, a layer", BUILDKIT_YES, NULL, X, "bAC", NULL, "bAB", "bAB", INLINE, true },
        { "inline, a stage of ours", BUILDKIT_YES, NULL, X, "bA", NULL, "bAB", "bAB", INLINE,
          true },
        { "inline, only the base", BUILDKIT_YES, NULL, X, "bC", NULL, "bAB", "bAB", INLINE, false },
        { "inline, nothing in common", BUILDKIT_YES, NULL, X, "CD", NULL, "bAB", "bAB", INLINE,
          false },
        { "inline, nothing of ours is known", BUILDKIT_YES, NULL, X, "bA", NULL, NULL, NULL, INLINE,
          false },
        { "inline, untagged", BUILDKIT_YES, NULL, NULL, NULL, "bAB", NULL, "bAB", "bAB", NOTHING,
          false },
        { "not inline", BUILDKIT_NO, NULL, X, "bAB", NULL, "bAB", "bAB", NOTHING, false },
        { "who knows, the same", BUILDKIT_UNKNOWN, NULL, X, "bAB", NULL, "bAB", "bAB", MAYBE,
          true },
        { "who knows, all of ours and more", BUILDKIT_UNKNOWN, NULL, X, "bABC", NULL, "bAB", "bAB",
          MAYBE, true },
        { "who knows, a stage of ours", BUILDKIT_UNKNOWN, NULL, X, "bA", NULL, "bAB", "bAB", MAYBE,
          true },
        { "who knows, a beginning", BUILDKIT_UNKNOWN, NULL, X, "bAC", NULL, "bAB", "bAB", MAYBE,
          false },
        { "who knows, no layers", BUILDKIT_UNKNOWN, NULL, X, "", NULL, "bAB", "bAB", MAYBE, false },
        { "who knows, pulled, ours goes on from it", BUILDKIT_UNKNOWN, NULL, "other:x",
          "other@sha256:1", "bA", NULL, "bAB", "bAB", SOURCE_INLINE, SERVES_PERHAPS, SERVES_PERHAPS,
          false },
        { "who knows, pulled, all of ours", BUILDKIT_UNKNOWN, NULL, "other:x", "other@sha256:1",
          "bAB", NULL, "bAB", "bAB", SOURCE_INLINE, SERVES_PERHAPS, SERVES_PERHAPS, true },
};

static void add_remembered(Host *h, const char *layers, const char *history) {
        /* As an image whose facts are all that is left. */
        host_image(h, "ours", NULL, NULL, IMAGE_KIND_BUILDKIT);
        if (layers)
                host_layers(h, "ours", layers);
        if (history)
                host_history(h, "ours", history);
        host_facts(h, "ours")->ours = layers || history;
        h->inventory.images.n--;
}

static Host host_of(const Row *row) {
        Host h = host_new();

        host_image(&h, "base", "base:1", NULL, IMAGE_KIND_OTHER);
        host_layers(&h, "base", "b");
        host_history(&h, "base", "b");
        host_image(&h, "x", row->name, row->parent, row->kind);
        host_facts(&h, "x")->inline_cache = row->inline_cache;
        if (row->digest)
                assert_int_equal(strv_add(&host_find(&h, "x")->digests, row->digest), 0);
        host_layers(&h, "x", row->layers);
        if (row->history)
                host_history(&h, "x", row->history);
        add_remembered(&h, row->our_layers, row->our_history);
        return h;
}

static Source source_of(Host *h, const char *id) {
        cleanup_free Source *sources = NULL;

        assert_int_equal(sources_find(&h->inventory, &h->config, &h->suspects, &sources), 0);
        return sources[host_index(h, id)];
}

static void test_rows(void **state) {
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                const Row *row = &rows[i];
                Host h = host_of(row);
                Source source = source_of(&h, "x");

                if (source.way != row->way || source.serves != row->serves ||
                    source.serves_by_rollback_tag != row->serves_by_rollback_tag ||
                    source.like_ours != row->like_ours)
                        fail_msg("%s: way %d, serves %d, by rollback tag %d, like ours %d",
                                 row->what, (int)source.way, (int)source.serves,
                                 (int)source.serves_by_rollback_tag, source.like_ours);
                host_done(&h);
        }
}

/* The containerd store asks a registry for what cache_from names, and lists a digest for each name. */
static void test_containerd(void **state) {
        Row row = { "",  BUILDKIT_YES, NULL,    "other:x", "other@sha256:1", "A", NULL,
                    "A", "A",          NOTHING, false };
        Host h = host_of(&row);

        (void)state;
        h.inventory.image_store = IMAGE_STORE_CONTAINERD;
        assert_int_equal(source_of(&h, "x").serves, SERVES_NOTHING);
        host_done(&h);
}

static void test_ownership(void **state) {
        Host h = host_new();

        (void)state;
        assert_int_equal(strv_add(&h.config.base, "watchparty-base"), 0);
        host_image(&h, "a", "watchparty-a:1", NULL, IMAGE_KIND_BUILDKIT);
        host_image(&h, "b", "watchparty-base:1", NULL, IMAGE_KIND_BUILDKIT);
        host_image(&h, "s", NULL, "b", IMAGE_KIND_CLASSIC);
        host_image(&h, "t", "other:t", "s", IMAGE_KIND_CLASSIC);
        host_image(&h, "u", NULL, "s", IMAGE_KIND_CLASSIC);
        assert_int_equal(named_images_add(&h.suspects, "watchparty-s:1", host_id("s")), 0);
        assert_true(source_of(&h, "a").ours);
        assert_false(source_of(&h, "b").ours);
        assert_true(source_of(&h, "b").configured_base);
        assert_true(source_of(&h, "s").cleared);
        assert_true(source_of(&h, "t").on_cleared);
        assert_false(source_of(&h, "t").cleared);
        assert_true(source_of(&h, "u").untagged_ours);
        assert_false(source_of(&h, "a").on_cleared);
        host_done(&h);
}

/* A local base image: all its layers are the beginning of another image of ours. */
static void test_base(void **state) {
        static const struct {
                const char *layers, *of_child;
                bool gone, used, base;
                const char *bore; /* a name that the child bore */
        } cases[] = {
                { "b", "bA", false, false, true },
                { "b", "bA", true, false, true },
                { "b", "bA", false, true, false },
                { "b", "b", false, false, false },
                { "bAB", "bA", false, false, false },
                { "b", "cA", false, false, false },
                { "", "bA", false, false, false },
                { "bA", "bAB", true, false, true, "watchparty-a:2" },
                { "bA", "bAB", true, false, true, "watchparty-base:web" },
                /* Releases whose Dockerfile became shorter or longer. */
                { "bA", "bAB", true, false, false, "watchparty-base:1" },
                { "bA", "bAB", true, false, false, "watchparty-base:2" },
                { "bA", "bAB", false, false, false, "watchparty-base:latest" },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Host h = host_new();

                host_image(&h, "b", "watchparty-base:1", NULL, IMAGE_KIND_BUILDKIT);
                host_layers(&h, "b", cases[i].layers);
                host_facts(&h, "b")->ours = true;
                host_image(&h, "child", "watchparty-a:1", NULL, IMAGE_KIND_BUILDKIT);
                host_layers(&h, "child", cases[i].of_child);
                host_facts(&h, "child")->ours = true;
                if (cases[i].bore)
                        host_bore(&h, "child", cases[i].bore);
                if (cases[i].gone)
                        image_done(&h.inventory.images.v[--h.inventory.images.n]);
                if (cases[i].used)
                        host_container(&h, "c", "b", "exited");
                if (source_of(&h, "b").base != (cases[i].base ? LOCAL_BASE_KNOWN : LOCAL_BASE_NOT))
                        fail_msg("case %zu", i);
                host_done(&h);
        }
}

/* A child that adds only ENV or CMD has the layers of its base, and a longer history. */
static void test_base_of_metadata(void **state) {
        static const struct {
                const char *history, *of_child;
                bool base;
        } cases[] = {
                { "bA", "bAE", true },  { "bA", "bAEC", true }, { "bA", "bA", false },
                { "bA", "bXE", false }, { "bAE", "bA", false }, { NULL, "bAE", false },
                { "bA", NULL, false },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Host h = host_new();

                host_image(&h, "b", "watchparty-base:1", NULL, IMAGE_KIND_BUILDKIT);
                host_image(&h, "child", "watchparty-a:1", NULL, IMAGE_KIND_BUILDKIT);
                host_layers(&h, "b", "bA");
                host_layers(&h, "child", "bA");
                if (cases[i].history)
                        host_history(&h, "b", cases[i].history);
                if (cases[i].of_child)
                        host_history(&h, "child", cases[i].of_child);
                host_facts(&h, "b")->ours = host_facts(&h, "child")->ours = true;
                if ((source_of(&h, "b").base == LOCAL_BASE_KNOWN) != cases[i].base ||
                    (source_of(&h, "child").base == LOCAL_BASE_KNOWN) !=
                            (cases[i].history && cases[i].of_child &&
                             strlen(cases[i].history) > strlen(cases[i].of_child)))
                        fail_msg("case %zu", i);
                host_done(&h);
        }
}

/* A longer image that bore its name does not hide another one that is built upon it. */
static void test_base_of_one_of_several(void **state) {
        Host h = host_new();

        (void)state;
        host_image(&h, "b", "watchparty-base:1", NULL, IMAGE_KIND_BUILDKIT);
        host_layers(&h, "b", "bA");
        for (unsigned i = 0; i < 3; i++) {
                char id[8];

                snprintf(id, sizeof(id), "c%u", i);
                host_image(&h, id, "watchparty-a:1", NULL, IMAGE_KIND_BUILDKIT);
                host_layers(&h, id, "bAB");
                host_facts(&h, id)->ours = true;
                assert_int_equal(facts_add_name(host_facts(&h, id), "watchparty-base:1"), 0);
                assert_false(source_of(&h, "b").base);
        }
        hash_list_done(&host_facts(&h, "c1")->names);
        assert_true(source_of(&h, "b").base);
        host_done(&h);
}

/* Of two images with the same layers the base image is the one whose history this one begins with, in whatever
 * order the engine lists them. */
static void test_base_image_by_its_history(void **state) {
        (void)state;
        for (unsigned order = 0; order < 3; order++) {
                ImageFacts *facts;
                Source source;
                Host h = host_new();

                for (unsigned i = 0; i < 2; i++)
                        if (order == i) {
                                host_image(&h, "p", "python:3", NULL, IMAGE_KIND_OTHER);
                                host_layers(&h, "p", "i");
                                host_history(&h, "p", "p");
                        } else if (order < 2) {
                                host_image(&h, "q", "other/py:1", NULL, IMAGE_KIND_OTHER);
                                host_layers(&h, "q", "i");
                                host_history(&h, "q", "pz");
                        }
                host_image(&h, "x", "other/cache:1", NULL, IMAGE_KIND_BUILDKIT);
                host_layers(&h, "x", "iA");
                host_history(&h, "x", "pAC");
                facts = host_facts(&h, "x");
                facts->classic_steps.v[1] = CLASSIC_STEP_YES;
                facts->inline_cache = INLINE_CACHE_NO;
                host_image(&h, "o", "watchparty-a:1", NULL, IMAGE_KIND_CLASSIC);
                host_layers(&h, "o", "iAB");
                host_history(&h, "o", "pAB");
                host_facts(&h, "o")->ours = true;
                source = source_of(&h, "x");
                assert_int_equal(source.serves, SERVES_PERHAPS);
                if (!source.like_ours)
                        fail_msg("order %u", order);
                host_done(&h);
        }
}

/* A build named the image, or another tag of its repository: in the facts of an image that is here or gone, of
 * ours or of others. */
static void test_base_by_need(void **state) {
        static const struct {
                const char *need;
                bool ours, used;
                LocalBase base;
        } cases[] = {
                { "watchparty-tools:1", true, false, LOCAL_BASE_KNOWN },
                { "watchparty-tools:1", false, false, LOCAL_BASE_KNOWN },
                { "watchparty-tools:1", true, true, LOCAL_BASE_NOT },
                { "watchparty-tools:2", true, false, LOCAL_BASE_LIKELY },
                { "watchparty-tool:1", true, false, LOCAL_BASE_NOT },
                { "other/watchparty-tools:1", true, false, LOCAL_BASE_NOT },
        };

        (void)state;
        for (size_t i = 0; i < 2 * ELEMENTSOF(cases); i++) {
                const bool gone = i % 2;
                Host h = host_new();

                host_image(&h, "b", "watchparty-tools:1", NULL, IMAGE_KIND_BUILDKIT);
                host_image(&h, "x", "x:1", NULL, IMAGE_KIND_BUILDKIT);
                host_facts(&h, "x")->ours = cases[i / 2].ours;
                assert_int_equal(facts_add_need(host_facts(&h, "x"), cases[i / 2].need), 0);
                assert_int_equal(
                        facts_add_needed_repository(host_facts(&h, "x"), cases[i / 2].need), 0);
                if (gone)
                        image_done(&h.inventory.images.v[--h.inventory.images.n]);
                if (cases[i / 2].used)
                        host_container(&h, "c", "b", "exited");
                if (source_of(&h, "b").base != cases[i / 2].base)
                        fail_msg("case %zu", i);
                host_done(&h);
        }
}

/* A base image that was built anew has other layers, and the instructions that ours begins with. */
static void test_base_by_history(void **state) {
        static const struct {
                const char *history, *of_child, *name_of_child;
                LocalBase base;
        } cases[] = {
                { "bA", "bAE", "watchparty-a:1", LOCAL_BASE_LIKELY },
                { "bA", "bA", "watchparty-a:1", LOCAL_BASE_NOT },
                { "bA", "bXE", "watchparty-a:1", LOCAL_BASE_NOT },
                /* nothing of its own: a base image in common */
                { "b", "bAE", "watchparty-a:1", LOCAL_BASE_NOT },
                /* a release before, whose Dockerfile was shorter; the child was seen with its name */
                { "bA", "bAE", "watchparty-base:2", LOCAL_BASE_NOT },
                /* its names were never seen */
                { "bA", "bAE", NULL, LOCAL_BASE_NOT },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Host h = host_new();

                host_image(&h, "b", "watchparty-base:1", NULL, IMAGE_KIND_BUILDKIT);
                host_image(&h, "child", cases[i].name_of_child, NULL, IMAGE_KIND_BUILDKIT);
                host_layers(&h, "b", "xy");
                host_layers(&h, "child", "zyw");
                host_history(&h, "b", cases[i].history);
                host_history(&h, "child", cases[i].of_child);
                host_facts(&h, "b")->ours = host_facts(&h, "child")->ours = true;
                host_facts(&h, "child")->bore_name = true;
                if (cases[i].name_of_child)
                        assert_int_equal(
                                facts_add_name(host_facts(&h, "child"), cases[i].name_of_child), 0);
                if (source_of(&h, "b").base != cases[i].base)
                        fail_msg("case %zu", i);
                host_done(&h);
        }
}

/* Thousands of releases of one repository, each second one with an instruction more. */
static void test_base_by_history_of_many(void **state) {
        enum { N = 20000 };
        cleanup_free LocalBase *bases = NULL;
        Host h = host_new();

        (void)state;
        for (unsigned i = 0; i < N; i++) {
                char id[IMAGE_ID_MAX], name[64];
                ImageFacts *facts;
                Image image = { 0 };

                snprintf(id, sizeof(id), "sha256:%u", i);
                snprintf(name, sizeof(name), "watchparty-web:%u", i);
                strcpy(image.id, id);
                assert_int_equal(strv_add(&image.names, name), 0);
                assert_int_equal(image_set_add(&h.inventory.images, &image), 0);
                facts = fact_set_add(&h.inventory.facts, id);
                assert_non_null(facts);
                facts->ours = true;
                for (unsigned step = 0; step < 2 + i % 2; step++)
                        assert_int_equal(hash_list_add(&facts->steps, step), 0);
                assert_int_equal(facts_add_name(facts, name), 0);
        }
        assert_int_equal(fact_set_index(&h.inventory.facts), 0);
        assert_int_equal(local_bases_find(&h.inventory, &h.config, &bases), 0);
        for (size_t i = 0; i < N; i++)
                assert_int_equal(bases[i], LOCAL_BASE_NOT);
        host_done(&h);
}

static void host_local_layer(Host *h, const char *id, const char *parent) {
        host_record(h, id, RECORD_REGULAR, false, 0, parent);
        h->inventory.records.v[h->inventory.records.n - 1].local_image = true;
}

/* An engine without records of builds tells how many layers an image had that a build named. */
static void test_base_by_depth(void **state) {
        static const struct {
                const char *layers; /* of the image */
                const char *of_others;
                bool history;
                LocalBase base;
        } cases[] = {
                { "ab", "z", false, LOCAL_BASE_POSSIBLY },   { "ab", "zy", false, LOCAL_BASE_NOT },
                { "ab", "z", true, LOCAL_BASE_NOT },         { "a", "z", false, LOCAL_BASE_NOT },
                { "abcd", "z", false, LOCAL_BASE_POSSIBLY }, { "abc", "z", false, LOCAL_BASE_NOT },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Host h = host_new();

                h.inventory.builds.history = cases[i].history;
                host_image(&h, "b", "watchparty-tools:1", NULL, IMAGE_KIND_BUILDKIT);
                host_image(&h, "x", "python:3", NULL, IMAGE_KIND_OTHER);
                host_layers(&h, "b", cases[i].layers);
                host_layers(&h, "x", cases[i].of_others);
                /* two layers, four, and one that a step made */
                host_local_layer(&h, "r1", NULL);
                host_local_layer(&h, "r2", "r1");
                host_local_layer(&h, "s1", NULL);
                host_local_layer(&h, "s2", "s1");
                host_local_layer(&h, "s3", "s2");
                host_local_layer(&h, "s4", "s3");
                host_record(&h, "t", RECORD_REGULAR, false, 1, "s4");
                if (source_of(&h, "b").base != cases[i].base)
                        fail_msg("case %zu", i);
                /* It is remembered, since a clear takes the records. */
                assert_int_equal(local_bases_note(&h.config, &h.inventory), 0);
                h.inventory.records.n = 0;
                if (source_of(&h, "b").base != cases[i].base)
                        fail_msg("case %zu, later", i);
                host_done(&h);
        }
}

/* Parents of records in a circle, and more of them than an image has layers. */
static void test_odd_records(void **state) {
        Host h = host_new();

        (void)state;
        host_image(&h, "b", "watchparty-tools:1", NULL, IMAGE_KIND_BUILDKIT);
        host_layers(&h, "b", "ab");
        host_local_layer(&h, "r1", "r2");
        host_local_layer(&h, "r2", "r1");
        host_local_layer(&h, "s0", "s0");
        host_local_layer(&h, "s1", "r1");
        for (unsigned i = 2; i < 1000; i++) {
                char id[16], parent[16];

                snprintf(id, sizeof(id), "s%u", i);
                snprintf(parent, sizeof(parent), "s%u", i - 1);
                host_local_layer(&h, id, parent);
        }
        assert_int_equal(source_of(&h, "b").base, LOCAL_BASE_NOT);
        host_done(&h);
}

/* FROM of an earlier stage, built by the classic builder. */
static void test_base_of_stage(void **state) {
        Host h = host_new();

        (void)state;
        host_image(&h, "b", "watchparty-toolchain:1", NULL, IMAGE_KIND_CLASSIC);
        host_image(&h, "s1", NULL, "b", IMAGE_KIND_CLASSIC);
        host_image(&h, "s2", NULL, "s1", IMAGE_KIND_CLASSIC);
        assert_int_equal(source_of(&h, "b").base, LOCAL_BASE_NOT);
        host_facts(&h, "s2")->ours = true;
        assert_int_equal(source_of(&h, "b").base, LOCAL_BASE_KNOWN);
        assert_int_equal(facts_add_name(host_facts(&h, "s2"), "watchparty-toolchain:1"), 0);
        assert_int_equal(source_of(&h, "b").base, LOCAL_BASE_NOT);
        hash_list_done(&host_facts(&h, "s2")->names);
        /* an engine's answer may hold a circle */
        strcpy(host_find(&h, "s1")->parent_id, host_id("s2"));
        assert_int_equal(source_of(&h, "b").base, LOCAL_BASE_NOT);
        host_done(&h);
}

/*
 * The classic builder takes steps from the history of an image that cache_from names, whoever wrote its newest
 * entries. "C": docker commit or BuildKit, "?": a command without a form of its own; the others are steps.
 */
static void test_steps_below_the_newest(void **state) {
        static const struct {
                const char *what;
                ImageKind kind;
                const char *name, *layers, *history, *ours;
                SourceWay way;
                Serves serves;
                bool like_ours;
        } cases[] = {
                { "committed, ours", IMAGE_KIND_OTHER, "watchparty-a:41", "iABC", "iABC", "iXY",
                  SOURCE_CLASSIC_NAME, SERVES_PERHAPS, false },
                { "committed, like ours", IMAGE_KIND_OTHER, "other:x", "iABC", "iABC", "iAY",
                  SOURCE_CLASSIC_NAME, SERVES_PERHAPS, true },
                { "committed, other steps", IMAGE_KIND_OTHER, "other:x", "iABC", "iABC", "iXY",
                  SOURCE_CLASSIC_NAME, SERVES_PERHAPS, false },
                { "committed, without a name", IMAGE_KIND_OTHER, NULL, "iABC", "iABC", "iAB",
                  SOURCE_NONE, SERVES_NOTHING, false },
                { "committed from an import", IMAGE_KIND_OTHER, "watchparty-a:41", "iC", "iC",
                  "iXY", SOURCE_NONE, SERVES_NOTHING, false },
                { "committed from a pulled base image", IMAGE_KIND_OTHER, "watchparty-a:41", "pPC",
                  "pPC", "pPY", SOURCE_NONE, SERVES_NOTHING, false },
                { "RUN [...], loaded", IMAGE_KIND_OTHER, "other:x", "i?", "i?", "i?",
                  SOURCE_CLASSIC_NAME, SERVES_PERHAPS, true },
                { "RUN [...], other steps", IMAGE_KIND_OTHER, "other:x", "i?", "i?", "iX",
                  SOURCE_CLASSIC_NAME, SERVES_PERHAPS, false },
                { "RUN [...], nothing of ours is known", IMAGE_KIND_OTHER, "other:x", "i?", "i?",
                  NULL, SOURCE_CLASSIC_NAME, SERVES_PERHAPS, false },
                { "BuildKit, like ours", IMAGE_KIND_BUILDKIT, "watchparty-a:41", "iABC", "iABC",
                  "iAY", SOURCE_CLASSIC_NAME, SERVES_PERHAPS, true },
                { "BuildKit, others", IMAGE_KIND_BUILDKIT, "other:x", "iABC", "iABC", "iXY",
                  SOURCE_CLASSIC_NAME, SERVES_PERHAPS, false },
                { "BuildKit, ours upon other steps", IMAGE_KIND_BUILDKIT, "watchparty-a:41", "iABC",
                  "iABC", "iXY", SOURCE_CLASSIC_NAME, SERVES_PERHAPS, false },
                { "BuildKit, several of ours upon a base image", IMAGE_KIND_BUILDKIT,
                  "watchparty-a:41", "pQC", "pQC", "pqY", SOURCE_NONE, SERVES_NOTHING, false },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Host h = host_new();
                ImageFacts *facts;
                Source source;

                host_image(&h, "pulled", "python:3", NULL, IMAGE_KIND_LOADED);
                host_layers(&h, "pulled", "pP");
                host_history(&h, "pulled", "pP");
                host_image(&h, "x", cases[i].name, NULL, cases[i].kind);
                host_layers(&h, "x", cases[i].layers);
                host_history(&h, "x", cases[i].history);
                facts = host_facts(&h, "x");
                facts->inline_cache = INLINE_CACHE_NO;
                /* As count_base_entries() has it: up to the last entry that its builder can't have written. */
                facts->n_base = strchr(cases[i].history, 'C') ? facts->steps.n : 1;
                for (size_t k = 0; k < facts->steps.n; k++)
                        if (!strchr("iC", cases[i].history[k]))
                                facts->classic_steps.v[k] = CLASSIC_STEP_YES;
                facts->ours = cases[i].name && strncmp(cases[i].name, "watchparty", 10) == 0;
                if (cases[i].ours) {
                        add_remembered(&h, NULL, cases[i].ours);
                        facts = host_facts(&h, "ours");
                        facts->classic_steps.v[0] = facts->classic_steps.v[1] = CLASSIC_STEP_YES;
                }
                source = source_of(&h, "x");
                /* As a clear knows it that is about to take its name. */
                assert_int_equal(named_images_add(&h.suspects, "x", host_id("x")), 0);
                assert_int_equal(source_of(&h, "x").serves, cases[i].serves);
                if (source.way != cases[i].way || source.serves != cases[i].serves ||
                    source.serves_by_rollback_tag != SERVES_NOTHING ||
                    source.like_ours != cases[i].like_ours)
                        fail_msg("%s: way %d, serves %d, like ours %d", cases[i].what, source.way,
                                 source.serves, source.like_ours);
                host_done(&h);
        }
}

/* An image of others that the classic builder made, and that ours was built upon, may be a stage. */
static void test_below_ours(void **state) {
        static const struct {
                const char *parent, *history;
                ImageKind ours;
                bool below;
        } cases[] = {
                { "base", "bA", IMAGE_KIND_CLASSIC, true },
                { "base", "bAB", IMAGE_KIND_CLASSIC, true },
                { "base", "bB", IMAGE_KIND_CLASSIC, false },
                { "base", "bA", IMAGE_KIND_BUILDKIT, false },
                { "base", "bABD", IMAGE_KIND_CLASSIC, false },
                { NULL, "bAB", IMAGE_KIND_CLASSIC, false }, /* loaded, or pulled */
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Host h = host_new();
                Source source;

                host_image(&h, "base", "base:1", NULL, IMAGE_KIND_OTHER);
                host_history(&h, "base", "b");
                host_image(&h, "x", "other:x", cases[i].parent,
                           cases[i].parent ? IMAGE_KIND_CLASSIC : IMAGE_KIND_LOADED);
                host_history(&h, "x", cases[i].history);
                add_remembered(&h, NULL, "babC");
                host_facts(&h, "ours")->kind = cases[i].ours;
                source = source_of(&h, "x");
                if (source.below_ours != cases[i].below || source.like_ours != cases[i].below)
                        fail_msg("case %zu", i);
                host_done(&h);
        }
}

/* How long a chain is does not matter, nor what an engine answers: a circle is no chain. */
static void test_chains(void **state) {
        cleanup_free ImageChain *chains = NULL;
        Host h = host_new();
        const size_t n = 20000;

        (void)state;
        host_image(&h, "0", NULL, NULL, IMAGE_KIND_CLASSIC);
        for (size_t i = 1; i < n; i++) {
                Image image = { 0 };

                snprintf(image.id, sizeof(image.id), "sha256:%zu", i);
                snprintf(image.parent_id, sizeof(image.parent_id), "sha256:%zu", i - 1);
                assert_int_equal(image_set_add(&h.inventory.images, &image), 0);
        }
        assert_int_equal(fact_set_index(&h.inventory.facts), 0);
        assert_int_equal(chains_find(&h.inventory, &h.config, &chains), 0);
        assert_true(chains[n - 1].whole);
        assert_int_equal(chains[n - 1].n_own, n);
        free(chains);

        strcpy(h.inventory.images.v[0].parent_id, h.inventory.images.v[n - 1].id);
        assert_int_equal(chains_find(&h.inventory, &h.config, &chains), 0);
        assert_false(chains[n - 1].whole);
        assert_int_equal(chains[n / 2].n_own, CHAIN_BROKEN);
        free(chains);

        strcpy(h.inventory.images.v[0].parent_id, h.inventory.images.v[0].id);
        assert_int_equal(chains_find(&h.inventory, &h.config, &chains), 0);
        assert_false(chains[0].whole);
        assert_false(chains[1].whole);
        host_done(&h);
}

/* A loaded image of one step: engines from API 1.45 on take no step from it, but by its name. */
static void test_loaded_first_step(void **state) {
        static const struct {
                ImageKind kind;
                unsigned api_minor;
                const char *name;
                SourceWay way;
        } cases[] = {
                { IMAGE_KIND_CLASSIC, 41, "other:x", SOURCE_CLASSIC_CHAIN },
                { IMAGE_KIND_CLASSIC, 51, "other:x", SOURCE_CLASSIC_CHAIN },
                { IMAGE_KIND_LOADED, 41, "other:x", SOURCE_CLASSIC_CHAIN },
                { IMAGE_KIND_LOADED, 44, "other:x", SOURCE_CLASSIC_CHAIN },
                { IMAGE_KIND_LOADED, 45, "other:x", SOURCE_CLASSIC_NAME },
                { IMAGE_KIND_LOADED, 51, "watchparty-a:wpcache-rollback-1", SOURCE_NONE },
                { IMAGE_KIND_LOADED, 51, "other:wpcache-rollback-1", SOURCE_CLASSIC_NAME },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Host h = host_new();

                h.inventory.engine.api_major = 1;
                h.inventory.engine.api_minor = cases[i].api_minor;
                host_image(&h, "x", cases[i].name, NULL, cases[i].kind);
                host_history(&h, "x", "A");
                assert_int_equal(source_of(&h, "x").way, cases[i].way);
                host_done(&h);
        }
}

/* Where the base image ends: at the first image that others name, or that another tool made. */
static void test_own_steps(void **state) {
        cleanup_free ImageChain *chains = NULL;
        Host h = host_new();

        (void)state;
        host_image(&h, "py", "python:3", NULL, IMAGE_KIND_OTHER);
        host_image(&h, "1", NULL, "py", IMAGE_KIND_CLASSIC);
        host_image(&h, "2", "watchparty-a:1", "1", IMAGE_KIND_CLASSIC);
        host_image(&h, "3", "other:3", "2", IMAGE_KIND_CLASSIC);
        host_image(&h, "4", NULL, "3", IMAGE_KIND_CLASSIC);
        host_image(&h, "5", NULL, "gone", IMAGE_KIND_CLASSIC);
        assert_int_equal(chains_find(&h.inventory, &h.config, &chains), 0);
        assert_int_equal(chains[host_index(&h, "py")].n_own, 0);
        assert_int_equal(chains[host_index(&h, "2")].n_own, 2);
        assert_int_equal(chains[host_index(&h, "3")].n_own, 3);
        assert_int_equal(chains[host_index(&h, "4")].n_own, 1);
        assert_int_equal(chains[host_index(&h, "5")].n_own, CHAIN_BROKEN);
        host_done(&h);
}

/*
 * The same first step on another version of the base image. A letter is an entry of a history, small ones
 * are the base image's; `named` are the repositories of the base image of ours, when it was last seen.
 */
static void test_versions_of_the_base(void **state) {
        static const struct {
                const char *what;
                ImageKind ours;
                const char *our_history, *named[2], *base, *history;
                bool like_ours;
        } cases[] = {
                { "the same repository",
                  IMAGE_KIND_CLASSIC,
                  "bAB",
                  { "python" },
                  "python:2",
                  "xyzAC",
                  true },
                { "a later step of ours",
                  IMAGE_KIND_CLASSIC,
                  "bAB",
                  { "python" },
                  "python:2",
                  "xyzBC",
                  false },
                { "ours by BuildKit, whose base image may reach further",
                  IMAGE_KIND_BUILDKIT,
                  "bAB",
                  { "python" },
                  "python:2",
                  "xyzBC",
                  true },
                { "another step",
                  IMAGE_KIND_CLASSIC,
                  "bAB",
                  { "python" },
                  "python:2",
                  "xyzC",
                  false },
                { "another repository",
                  IMAGE_KIND_CLASSIC,
                  "bAB",
                  { "python" },
                  "node:2",
                  "byzA",
                  false },
                { "one of two repositories",
                  IMAGE_KIND_CLASSIC,
                  "bAB",
                  { "node", "python" },
                  "python@sha256:1",
                  "xyzA",
                  true },
                { "FROM scratch",
                  IMAGE_KIND_CLASSIC,
                  "AB",
                  { BASE_SCRATCH },
                  "python:2",
                  "xyzA",
                  false },
                { "a name that came and went",
                  IMAGE_KIND_CLASSIC,
                  "bAB",
                  { BASE_NAMELESS },
                  "python:2",
                  "byzA",
                  true },
                { "the same, and another beginning",
                  IMAGE_KIND_CLASSIC,
                  "bAB",
                  { BASE_NAMELESS },
                  "python:2",
                  "xyzA",
                  false },
                { "not known, the same end",
                  IMAGE_KIND_BUILDKIT,
                  "abAB",
                  { NULL },
                  "python:2",
                  "xybA",
                  true },
                { "not known, another end",
                  IMAGE_KIND_BUILDKIT,
                  "abAB",
                  { NULL },
                  "python:2",
                  "abyA",
                  false },
                { "the base image of the other has no name",
                  IMAGE_KIND_CLASSIC,
                  "bAB",
                  { "python" },
                  NULL,
                  "xyzA",
                  false },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Host h = host_new();
                ImageFacts *ours;

                host_image(&h, "base", NULL, NULL, IMAGE_KIND_OTHER);
                if (cases[i].base && strchr(cases[i].base, '@'))
                        assert_int_equal(strv_add(&host_find(&h, "base")->digests, cases[i].base),
                                         0);
                else if (cases[i].base)
                        host_name(&h, "base", cases[i].base);
                host_image(&h, "x", "other:x", "base", IMAGE_KIND_CLASSIC);
                host_history(&h, "x", cases[i].history);
                add_remembered(&h, NULL, cases[i].our_history);
                ours = host_facts(&h, "ours");
                ours->kind = cases[i].ours;
                for (size_t k = 0; k < 2 && cases[i].named[k]; k++)
                        assert_int_equal(hash_list_add(&ours->bases, text_hash(cases[i].named[k])),
                                         0);
                if (source_of(&h, "x").like_ours != cases[i].like_ours)
                        fail_msg("%s", cases[i].what);
                host_done(&h);
        }
}

/* What is remembered of a base image: the names it had, also after it lost them. */
static void test_repositories_of_the_base(void **state) {
        Host h = host_new();
        HashList *bases;

        (void)state;
        host_image(&h, "base", NULL, NULL, IMAGE_KIND_OTHER);
        host_layers(&h, "base", "b");
        host_image(&h, "c", "watchparty-c:1", "base", IMAGE_KIND_CLASSIC);
        host_image(&h, "k", "watchparty-k:1", NULL, IMAGE_KIND_BUILDKIT);
        host_layers(&h, "k", "bA");
        host_facts(&h, "c")->ours = host_facts(&h, "k")->ours = true;
        for (size_t i = 0; i < 2; i++) {
                bases = &host_facts(&h, i == 0 ? "c" : "k")->bases;
                assert_int_equal(image_bases_note(&h.config, &h.inventory), 0);
                assert_int_equal(bases->n, 1);
                assert_true(hash_list_contains(bases, text_hash(BASE_NAMELESS)));
        }
        host_name(&h, "base", "localhost:5000/python:3");
        host_name(&h, "base", "localhost:5000/python:4");
        host_name(&h, "base", "company/base");
        assert_int_equal(image_bases_note(&h.config, &h.inventory), 0);
        strv_done(&host_find(&h, "base")->names);
        assert_int_equal(image_bases_note(&h.config, &h.inventory), 0);
        for (size_t i = 0; i < 2; i++) {
                bases = &host_facts(&h, i == 0 ? "c" : "k")->bases;
                assert_int_equal(bases->n, 2);
                assert_true(hash_list_contains(bases, text_hash("localhost:5000/python")));
                assert_true(hash_list_contains(bases, text_hash("company/base")));
        }
        host_done(&h);
}

/* Layers that an inline image of others shares with ours are those of a base image, or not. */
static void test_common_base(void **state) {
        static const struct {
                const char *what;
                ImageKind kind;
                const char *parent, *history;
                bool digest, tagged_here, ours, like_ours;
        } cases[] = {
                { "imported", IMAGE_KIND_OTHER, NULL, "x", false, true, false, false },
                { "pulled", IMAGE_KIND_BUILDKIT, NULL, NULL, true, false, false, false },
                { "built here", IMAGE_KIND_BUILDKIT, NULL, NULL, false, true, false, true },
                { "pushed", IMAGE_KIND_BUILDKIT, NULL, NULL, true, true, false, true },
                { "once ours", IMAGE_KIND_BUILDKIT, NULL, NULL, true, false, true, true },
                { "classic, a base of others", IMAGE_KIND_CLASSIC, "base", "xC", false, true, false,
                  false },
                { "classic, made of our steps", IMAGE_KIND_CLASSIC, "base", "bA", false, true,
                  false, true },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Host h = host_new();

                host_image(&h, "base", "base:1", NULL, IMAGE_KIND_OTHER);
                host_image(&h, "mid", "other:mid", cases[i].parent, cases[i].kind);
                host_layers(&h, "mid", "bA");
                if (cases[i].history)
                        host_history(&h, "mid", cases[i].history);
                if (cases[i].digest)
                        assert_int_equal(strv_add(&host_find(&h, "mid")->digests, "other@sha256:1"),
                                         0);
                host_facts(&h, "mid")->tagged_here = cases[i].tagged_here;
                host_facts(&h, "mid")->ours = cases[i].ours;
                host_image(&h, "x", "other:x", NULL, IMAGE_KIND_BUILDKIT);
                host_facts(&h, "x")->inline_cache = INLINE_CACHE_YES;
                host_layers(&h, "x", "bAC");
                add_remembered(&h, "bAB", "bAB");
                if (source_of(&h, "x").like_ours != cases[i].like_ours)
                        fail_msg("%s", cases[i].what);
                host_done(&h);
        }
}

/* An image with the same layers is the base image if the other one only adds entries to its history. */
static void test_bases_of_metadata(void **state) {
        static const struct {
                const char *base, *history;
                ImageKind kind;
                InlineCache inline_cache;
                bool known;
        } cases[] = {
                { "b", "bA", BUILDKIT_NO, true },   { "b", "b", BUILDKIT_NO, false },
                { "bx", "b", BUILDKIT_NO, false },  { "x", "bA", BUILDKIT_NO, false },
                { "b", "bA", CLASSIC, true },       { NULL, "bA", BUILDKIT_NO, true },
                { NULL, NULL, BUILDKIT_NO, false },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Host h = host_new();
                const HashList *bases;

                host_image(&h, "base", "python:3", NULL, IMAGE_KIND_OTHER);
                host_layers(&h, "base", "b");
                if (cases[i].base)
                        host_history(&h, "base", cases[i].base);
                host_image(&h, "k", "watchparty-k:1", NULL, cases[i].kind);
                host_layers(&h, "k", "b");
                if (cases[i].history)
                        host_history(&h, "k", cases[i].history);
                host_facts(&h, "k")->ours = true;
                assert_int_equal(image_bases_note(&h.config, &h.inventory), 0);
                bases = &host_facts(&h, "k")->bases;
                if (hash_list_contains(bases, text_hash("python")) != cases[i].known)
                        fail_msg("case %zu", i);
                host_done(&h);
        }
}

/* Entries that BuildKit wrote for a base image, too, are the base image's. */
static void test_base_by_buildkit(void **state) {
        Host h = host_new();

        (void)state;
        host_image(&h, "base", "python:3", NULL, IMAGE_KIND_BUILDKIT);
        assert_int_equal(strv_add(&host_find(&h, "base")->digests, "python@sha256:1"), 0);
        host_layers(&h, "base", "bP");
        host_history(&h, "base", "bP");
        for (unsigned i = 0; i < 2; i++) {
                const char *id = i == 0 ? "ours" : "x";

                host_image(&h, id, i == 0 ? "watchparty-a:1" : "other:x", NULL,
                           IMAGE_KIND_BUILDKIT);
                host_layers(&h, id, i == 0 ? "bPA" : "bPX");
                host_history(&h, id, i == 0 ? "bPA" : "bPX");
                host_facts(&h, id)->inline_cache = INLINE_CACHE_YES;
        }
        host_facts(&h, "ours")->ours = true;
        assert_true(source_of(&h, "x").like_ours);
        assert_int_equal(image_bases_note(&h.config, &h.inventory), 0);
        assert_int_equal(host_facts(&h, "x")->n_base, 2);
        assert_false(source_of(&h, "x").like_ours);
        host_done(&h);
}

static void add_stages(Host *h, const char *id, const char *stages) {
        for (; *stages; stages++)
                assert_int_equal(hash_list_add(&host_facts(h, id)->stages,
                                               *stages == '^'
                                                       ? instruction_hash_of_from(text_hash("base"))
                                                       : (uint64_t)(*stages | 32)),
                                 0);
}

/* Instructions that make no layer, for each "1" in a history. */
static void add_layerless(Host *h, const char *id) {
        HashList *steps = &host_facts(h, id)->steps;

        for (size_t i = 0; i < steps->n; i++)
                if (steps->v[i] == '1')
                        steps->v[i] = instruction_hash("ENV A");
}

/* What BuildKit's records tell of builds: a letter is an instruction, "^" is FROM base, "1" is ENV. */
static void test_built_stages(void **state) {
        static const struct {
                const char *what;
                ImageKind kind;
                InlineCache inline_cache;
                const char *ours, *stages, *history;
                bool like_ours;
        } cases[] = {
                { "classic, the first instruction", CLASSIC, "^ABC", "", "bBX", true },
                { "classic, most of them", CLASSIC, "^ABC", "", "bXBC", true },
                { "classic, one of many", CLASSIC, "^ABC", "", "bXYB", false },
                { "classic, another base image", CLASSIC, "ABC", "", "bBX", false },
                { "classic, the first after ENV", CLASSIC, "^ABC", "", "b11BXYZ", true },
                { "classic, most but ENV", CLASSIC, "^ABC", "", "b11XB1C1", true },
                { "classic, one of many, after ENV", CLASSIC, "^ABC", "", "b1XYB", false },
                { "classic, half of them", CLASSIC, "^ABC", "", "bX1B", false },
                { "classic, ENV alone", CLASSIC, "^ABC", "", "b1", false },
                { "classic, the base alone", CLASSIC, "^ABC", "", "b", false },
                { "inline, a stage", BUILDKIT_YES, "^ABC", "^BA", "b", true },
                { "inline, more than ours", BUILDKIT_YES, "^ABC", "^BAX", "b", false },
                { "inline, the same Dockerfile", BUILDKIT_YES, "^ABC", "^CBA", "b", false },
                { "inline, nothing is known of its build", BUILDKIT_YES, "^ABC", "", "b", false },
                { "inline, the first step of ours", BUILDKIT_YES, "", "", "bZX", true },
                { "inline, a later step of ours", BUILDKIT_YES, "", "", "bXZ", false },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Host h = host_new();

                host_image(&h, "base", "base:1", NULL, IMAGE_KIND_OTHER);
                host_image(&h, "x", "other:x", cases[i].kind == IMAGE_KIND_CLASSIC ? "base" : NULL,
                           cases[i].kind);
                host_facts(&h, "x")->inline_cache = cases[i].inline_cache;
                host_history(&h, "x", cases[i].history);
                add_layerless(&h, "x");
                host_layers(&h, "x", "XY");
                add_stages(&h, "x", cases[i].stages);
                add_remembered(&h, "Z", "bZ");
                add_stages(&h, "ours", cases[i].ours);
                if (source_of(&h, "x").like_ours != cases[i].like_ours)
                        fail_msg("%s", cases[i].what);
                host_done(&h);
        }
}

/* Nothing in common but the label of compose. */
static void test_projects(void **state) {
        static const struct {
                const char *project;
                ImageKind kind;
                InlineCache inline_cache;
                bool ours;
        } cases[] = {
                { "party", CLASSIC, true },           { "watchparty", CLASSIC, true },
                { "watchparty", BUILDKIT_YES, true }, { "watchparty", BUILDKIT_UNKNOWN, false },
                { "other", CLASSIC, false },          { NULL, CLASSIC, false },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Host h = host_new();
                Source source;

                host_image(&h, "base", "base:1", NULL, IMAGE_KIND_OTHER);
                host_image(&h, "a", "watchparty-a:1", "base", IMAGE_KIND_CLASSIC);
                host_history(&h, "a", "bA");
                host_facts(&h, "a")->ours = true;
                host_facts(&h, "a")->project_hash = text_hash("party");
                host_image(&h, "x", "scratchpad:x",
                           cases[i].kind == IMAGE_KIND_CLASSIC ? "base" : NULL, cases[i].kind);
                host_facts(&h, "x")->inline_cache = cases[i].inline_cache;
                host_history(&h, "x", "bC");
                host_layers(&h, "x", "bC");
                host_project(&h, "x", cases[i].project);
                source = source_of(&h, "x");
                if (source.like_ours != cases[i].ours || source.of_our_project != cases[i].ours)
                        fail_msg("case %zu", i);
                host_done(&h);
        }
}

/* The names that compose gives to services, and what `match` may say of them. */
static void test_names_of_services(void **state) {
        static const struct {
                const char *match, *project;
                bool ours;
        } cases[] = {
                { "watchparty-*", "watchparty", true },
                { "watchparty_*", "watchparty", true },
                { "watchparty*", "watchparty", true },
                { "watchparty-backend", "watchparty", true },
                { "watchparty_backend:latest", "watchparty", true },
                { "watchparty-b*", "watchparty", true },
                { "watchparty-backend", "watch", false },
                { "watchparty-backend", "watchparty-backend", false },
                { "watchparty-*", "other", false },
                { "watchparty-*", "", false },
                { "-*", "", false },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Host h = host_new();

                strv_done(&h.config.match);
                assert_int_equal(strv_add(&h.config.match, cases[i].match), 0);
                host_image(&h, "base", "base:1", NULL, IMAGE_KIND_OTHER);
                host_image(&h, "x", "scratchpad:x", "base", IMAGE_KIND_CLASSIC);
                host_history(&h, "x", "bC");
                add_remembered(&h, "bAB", "bAB");
                host_project(&h, "x", cases[i].project);
                if (source_of(&h, "x").of_our_project != cases[i].ours)
                        fail_msg("%s, %s", cases[i].match, cases[i].project);
                host_done(&h);
        }
}

/* An untagged image of others or of unknown origin. The instructions of the latter decide nothing: they may be
 * those of a build of ours that failed. */
static void test_untagged(void **state) {
        static const struct {
                const char *what, *history;
                bool bore_name, of_others, ours_known;
                Commit commit;
                bool unclaimed, like_ours, foreign;
        } cases[] = {
                { "like ours", "bA", false, false, true, COMMIT_NO, true, true, false },
                { "unlike ours", "bC", false, false, true, COMMIT_NO, true, false, false },
                { "a release unlike ours", "bC", true, false, true, COMMIT_NO, true, false, false },
                { "of others", "bC", true, true, true, COMMIT_NO, false, false, true },
                { "of others like ours", "bA", true, true, true, COMMIT_NO, false, true, true },
                { "of others, none of ours known", "bC", true, true, false, COMMIT_NO, false, true,
                  true },
                { "committed", "bC", false, false, true, COMMIT_YES, false, false, true },
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Host h = host_new();
                Source source;

                host_image(&h, "base", "base:1", NULL, IMAGE_KIND_OTHER);
                host_image(&h, "x", NULL, "base", IMAGE_KIND_CLASSIC);
                host_history(&h, "x", cases[i].history);
                host_facts(&h, "x")->bore_name = cases[i].bore_name;
                host_facts(&h, "x")->of_others = cases[i].of_others;
                host_facts(&h, "x")->commit = cases[i].commit;
                if (cases[i].ours_known)
                        add_remembered(&h, NULL, "bAB");
                source = source_of(&h, "x");
                if (source.unclaimed != cases[i].unclaimed ||
                    source.like_ours != cases[i].like_ours ||
                    source_is_foreign(&h.inventory, host_find(&h, "x"), &source) !=
                            cases[i].foreign)
                        fail_msg("%s: unclaimed %d, like ours %d", cases[i].what, source.unclaimed,
                                 source.like_ours);
                host_done(&h);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rows),
                cmocka_unit_test(test_containerd),
                cmocka_unit_test(test_base),
                cmocka_unit_test(test_base_image_by_its_history),
                cmocka_unit_test(test_base_of_metadata),
                cmocka_unit_test(test_base_of_one_of_several),
                cmocka_unit_test(test_base_by_need),
                cmocka_unit_test(test_base_by_history),
                cmocka_unit_test(test_base_by_history_of_many),
                cmocka_unit_test(test_base_by_depth),
                cmocka_unit_test(test_odd_records),
                cmocka_unit_test(test_base_of_stage),
                cmocka_unit_test(test_loaded_first_step),
                cmocka_unit_test(test_ownership),
                cmocka_unit_test(test_chains),
                cmocka_unit_test(test_steps_below_the_newest),
                cmocka_unit_test(test_below_ours),
                cmocka_unit_test(test_own_steps),
                cmocka_unit_test(test_versions_of_the_base),
                cmocka_unit_test(test_repositories_of_the_base),
                cmocka_unit_test(test_common_base),
                cmocka_unit_test(test_projects),
                cmocka_unit_test(test_names_of_services),
                cmocka_unit_test(test_bases_of_metadata),
                cmocka_unit_test(test_base_by_buildkit),
                cmocka_unit_test(test_built_stages),
                cmocka_unit_test(test_untagged),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
