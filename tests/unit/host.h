/* SPDX-License-Identifier: MIT */
#pragma once

/* A host written down: an inventory by hand, for tests of what is decided and judged from it. */

#include <stdio.h>
#include <string.h>

#include "test.h"

#include "janitor/policy.h"
#include "janitor/proof.h"
#include "seen-find.h"

#define HOUR 3600
#define DAY (24 * HOUR)
#define WALL_NOW INT64_C(1800000000)
#define AGE_NOW (400 * (int64_t)DAY)

typedef struct Host {
        Config config;
        ClearOptions options;
        Inventory inventory;
        NamedImages suspects;
        SeenImages seen;
        ClearContext context; /* without `seen` */
        PolicyNow now;
} Host;

static inline Host host_new(void) {
        Host h = {
                .config = {
                        .rollback_tag = (char *)"wpcache-rollback",
                        .builder_age_usec = USEC_INFINITY,
                        .image_max_age_usec = 30 * USEC_PER_DAY,
                        .image_min_age_usec = USEC_PER_HOUR,
                        .dangling_max_age_usec = USEC_PER_DAY,
                        .quiet_usec = 5 * USEC_PER_MINUTE,
                },
                .options = { .target = TARGET_ALL },
                .inventory = INVENTORY_NULL,
                .now = { .wall_sec = WALL_NOW, .age_sec = AGE_NOW, .quiet_sec = DAY },
        };

        assert_int_equal(strv_add(&h.config.match, "watchparty-*"), 0);
        h.inventory.observed_sec = WALL_NOW;
        return h;
}

static inline void host_done(Host *h) {
        strv_done(&h->config.match);
        strv_done(&h->config.protect);
        strv_done(&h->config.base);
        inventory_done(&h->inventory);
        named_images_done(&h->suspects);
        seen_images_done(&h->seen);
}

/* "sha256:NAME"; valid until the fourth next call. */
static inline const char *host_id(const char *name) {
        static char ids[4][IMAGE_ID_MAX];
        static unsigned n;
        char *id = ids[n++ % 4];

        snprintf(id, IMAGE_ID_MAX, "sha256:%s", name);
        return id;
}

static inline Image *host_find(Host *h, const char *id) {
        for (size_t i = 0; i < h->inventory.images.n; i++)
                if (strcmp(h->inventory.images.v[i].id, host_id(id)) == 0)
                        return &h->inventory.images.v[i];
        fail();
        return NULL;
}

static inline void host_name(Host *h, const char *id, const char *name) {
        assert_int_equal(strv_add(&host_find(h, id)->names, name), 0);
}

static inline void host_image(Host *h, const char *id, const char *name, const char *parent,
                              ImageKind kind) {
        char image_id[IMAGE_ID_MAX];
        ImageFacts *facts;
        Image image = { 0 };

        snprintf(image_id, sizeof(image_id), "%s", host_id(id));
        strcpy(image.id, image_id);
        if (parent)
                strcpy(image.parent_id, host_id(parent));
        assert_int_equal(image_set_add(&h->inventory.images, &image), 0);
        if (name)
                host_name(h, id, name);
        facts = fact_set_add(&h->inventory.facts, image_id);
        assert_non_null(facts);
        facts->kind = kind;
}

static inline ImageFacts *host_facts(Host *h, const char *id) {
        for (size_t i = 0; i < h->inventory.facts.n; i++)
                if (strcmp(h->inventory.facts.v[i].id, host_id(id)) == 0)
                        return &h->inventory.facts.v[i];
        fail();
        return NULL;
}

/* The image's layers, one a letter, the lowest first. */
static inline void host_layers(Host *h, const char *id, const char *layers) {
        ImageFacts *facts = host_facts(h, id);

        for (; *layers; layers++)
                assert_int_equal(prefixes_add(&facts->layers, (uint64_t)*layers), 0);
}

/* The instructions of its history, one a letter, the oldest first; small letters are its base image's. All of
 * them are steps of the classic builder if it made the image. */
static inline void host_history(Host *h, const char *id, const char *steps) {
        ImageFacts *facts = host_facts(h, id);
        const uint64_t classic =
                image_kind_is_classic(facts->kind) ? CLASSIC_STEP_YES : CLASSIC_STEP_NO;

        facts->n_history = (int64_t)strlen(steps);
        for (; *steps; steps++) {
                facts->n_base += *steps >= 'a';
                assert_int_equal(hash_list_add(&facts->steps, (uint64_t)(*steps | 32)), 0);
                assert_int_equal(hash_list_add(&facts->classic_steps, classic), 0);
        }
}

/* A name of ours that the image bore. */
static inline void host_bore(Host *h, const char *id, const char *name) {
        assert_int_equal(facts_add_release(host_facts(h, id), name), 0);
        assert_int_equal(facts_add_name(host_facts(h, id), name), 0);
}

static inline void host_project(Host *h, const char *id, const char *project) {
        host_find(h, id)->project = project ? strdup(project) : NULL;
}

static inline void host_container(Host *h, const char *name, const char *image, const char *state) {
        Container container = {
                .name = strdup(name),
                .image = strdup(image),
                .state = strdup(state),
        };

        strcpy(container.image_id, host_id(image));
        strcpy(container.id, "0123456789abcdef");
        assert_int_equal(container_set_add(&h->inventory.containers, &container), 0);
}

/* A service whose spec names this image; with `next` false it is the previous spec. */
static inline void host_service(Host *h, const char *name, const char *image, bool next) {
        assert_int_equal(service_images_add(&h->inventory.services, name, image, next), 0);
        assert_int_equal(service_images_resolve(&h->inventory.services, &h->inventory.images), 0);
}

static inline void host_record(Host *h, const char *id, RecordType type, bool in_use,
                               uint64_t size_bytes, const char *parent) {
        BuildRecord record = { .type = type, .in_use = in_use, .size_bytes = size_bytes };

        strcpy(record.id, id);
        assert_int_equal(record_set_add(&h->inventory.records, &record, &parent, parent != NULL),
                         0);
        h->inventory.n_in_use += in_use;
}

static inline ClearPlan host_plan(Host *h) {
        ClearContext context = h->context;
        ClearPlan plan;

        context.seen = &h->seen;
        assert_int_equal(image_set_index(&h->inventory.images), 0);
        assert_int_equal(
                plan_clear(&h->inventory, &h->config, &h->options, &h->suspects, &context, &plan),
                0);
        return plan;
}

/* What is remembered of an image: as a new one if nothing is yet. */
static inline SeenImage *host_seen(Host *h, const char *id) {
        SeenImage *seen = seen_images_find(&h->seen, host_id(id));

        if (seen)
                return seen;
        h->seen.v = reallocarray(h->seen.v, h->seen.n + 1, sizeof(*h->seen.v));
        assert_non_null(h->seen.v);
        seen = &h->seen.v[h->seen.n++];
        *seen = (SeenImage){
                .first_seen_sec = h->now.age_sec,
                .named_sec = h->now.age_sec,
                .used_sec = -1,
                .running_since_sec = -1,
                .rollback_since_sec = -1,
                .marked_sec = -1,
        };
        strcpy(seen->id, host_id(id));
        return seen;
}

static inline SeenImage *host_aged(Host *h, const char *id, int64_t age_sec) {
        SeenImage *seen = host_seen(h, id);

        seen->first_seen_sec = seen->named_sec = h->now.age_sec - age_sec;
        return seen;
}

/* An image of BuildKit's that was named so long ago. */
static inline Image *host_release(Host *h, const char *id, const char *name, int64_t age_sec) {
        host_image(h, id, name, NULL, IMAGE_KIND_BUILDKIT);
        host_aged(h, id, age_sec);
        return host_find(h, id);
}

static inline void host_disk(Host *h, uint64_t total_bytes, uint64_t free_bytes) {
        Disks *disks = &h->inventory.disks;

        disks->v = reallocarray(disks->v, disks->n + 1, sizeof(*disks->v));
        assert_non_null(disks->v);
        disks->v[disks->n++] = (Disk){
                .path = strdup("/var/lib/docker"),
                .total_bytes = total_bytes,
                .free_bytes = free_bytes,
        };
}

static inline PolicyPlan host_decide(const Host *h) {
        PolicyPlan plan;

        assert_int_equal(
                policy_decide(&h->inventory, &h->seen, &h->suspects, &h->config, &h->now, &plan),
                0);
        return plan;
}

static inline size_t host_index(Host *h, const char *id) {
        return (size_t)(host_find(h, id) - h->inventory.images.v);
}

static inline const ImageVerdict *host_verdict(Host *h, const PolicyPlan *plan, const char *id) {
        return &plan->images[host_index(h, id)];
}

/* Who owns an image without a name. */
static inline Claim host_claim(Host *h, const char *id) {
        cleanup_free size_t *parents = NULL;
        cleanup_free Claim *claims = NULL;

        assert_int_equal(plan_parents(&h->inventory, &parents), 0);
        assert_int_equal(plan_claims(&h->inventory, &h->config, &h->suspects, parents, &claims), 0);
        return claims[host_index(h, id)];
}
