/* SPDX-License-Identifier: MIT */

/* Verdicts in words, and those on build records, which are made when asked for. */

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/span.h"
#include "base/text.h"
#include "docker/name.h"
#include "janitor/lru.h"
#include "janitor/plan.h"
#include "janitor/policy.h"

#define PINS_MAX 5
#define SHORT_ID 12 /* digits of an id, as docker's own tools print them */

static const char *const rules[RULE_MAX] = {
        [RULE_NO_MATCH] = "noMatch",
        [RULE_PROTECT] = "protect",
        [RULE_BASE] = "base",
        [RULE_IN_USE] = "inUse",
        [RULE_OTHER_NAME] = "otherName",
        [RULE_STEP] = "step",
        [RULE_KEEP_LAST] = "keepLast",
        [RULE_MIN_AGE] = "minAge",
        [RULE_YOUNG] = "young",
        [RULE_NO_LIMIT] = "noLimit",
        [RULE_NOT_OURS] = "notOurs",
        [RULE_DIGEST] = "digest",
        [RULE_ROLLBACK] = "rollback",
        [RULE_UNKNOWN] = "unknown",
        [RULE_UNREADABLE_IMAGE] = "unreadableImage",
        [RULE_UNREADABLE_CONTAINER] = "unreadableContainer",
        [RULE_MAX_AGE] = "maxAge",
        [RULE_DANGLING_AGE] = "danglingAge",
        [RULE_DISK_PRESSURE] = "diskPressure",
        [RULE_ROLLBACK_EXPIRED] = "rollbackExpired",
        [RULE_TRASH] = "trash",
        [RULE_RECORD_IN_USE] = "recordInUse",
        [RULE_RECORD_CHILD] = "recordChild",
        [RULE_RECORD_LRU] = "recordLru",
        [RULE_RECORD_SPARED] = "recordSpared",
        [RULE_RECORD_NO_NEED] = "recordNoNeed",
        [RULE_RECORD_AGE] = "recordAge",
        [RULE_MAX_SIZE] = "maxSize",
};

const char *rule_to_string(Rule rule) {
        return (unsigned)rule < RULE_MAX ? rules[rule] : NULL;
}

static const char *const holds[HOLD_MAX] = {
        [HOLD_NONE] = "none",           [HOLD_OBSERVE] = "observe",   [HOLD_GRACE] = "grace",
        [HOLD_INHIBITED] = "inhibited", [HOLD_BUILDING] = "building", [HOLD_QUIET] = "quiet",
};

const char *hold_to_string(Hold hold) {
        return (unsigned)hold < HOLD_MAX ? holds[hold] : NULL;
}

/* Whether a record that stays was made from this one. */
static bool holds_child(const RecordSet *records, const uint32_t *turns, const char *id) {
        for (size_t i = 0; i < records->n; i++) {
                const BuildRecord *record = &records->v[i];

                for (size_t j = 0; turns[i] == LRU_KEPT && j < record->n_parents; j++)
                        if (strcmp(records->parents[record->parents + j], id) == 0)
                                return true;
        }
        return false;
}

void policy_record(const Inventory *inventory, const PolicyPlan *plan, const uint32_t *turns,
                   const PolicyNow *now, size_t record, RecordVerdict *ret) {
        const RecordSet *records = &inventory->records;
        const BuildRecord *entry = &records->v[record];
        const BuilderPlan *builder = &plan->builder;
        RecordVerdict verdict = {
                .rule = RULE_RECORD_NO_NEED,
                .age_sec = -1,
                .limit_sec = -1,
                .shared = entry->shared,
        };

        if (entry->last_used_nsec >= 0 && entry->last_used_nsec / NSEC_PER_SEC <= now->wall_sec)
                verdict.age_sec = now->wall_sec - entry->last_used_nsec / NSEC_PER_SEC;
        if (entry->in_use) {
                verdict.rule = RULE_RECORD_IN_USE;
                verdict.leaked = id_set_contains(&inventory->builds.leaked, entry->id);
        } else if (builder->unused && builder->unused[record]) {
                verdict.remove = true;
                verdict.rule = RULE_RECORD_AGE;
                verdict.limit_sec = (int64_t)builder->unused_hours * 3600;
        } else if (turns && turns[record] != LRU_KEPT) {
                verdict.remove = true;
                verdict.rule = RULE_RECORD_LRU;
                verdict.rank = turns[record] + 1;
        } else if (turns) {
                verdict.rule = holds_child(records, turns, entry->id) ? RULE_RECORD_CHILD
                                                                      : RULE_RECORD_SPARED;
        }
        for (size_t i = 0; turns && i < records->n; i++)
                verdict.of += turns[i] != LRU_KEPT;
        *ret = verdict;
}

typedef struct SpanText {
        char text[SPAN_TEXT_MAX];
} SpanText;

static SpanText span_text(int64_t sec) {
        SpanText span = { 0 };

        span_format((uint64_t)MAX(sec, (int64_t)0) * USEC_PER_SEC, span.text);
        return span;
}

typedef struct BytesText {
        char text[BYTES_TEXT_MAX];
} BytesText;

static BytesText bytes_text(uint64_t bytes) {
        BytesText amount = { 0 };

        bytes_format(bytes, amount.text);
        return amount;
}

static const char *ordinal(unsigned n) {
        static const char *const endings[] = { "th", "st", "nd", "rd" };

        return n % 100 - n % 10 != 10 && n % 10 < ELEMENTSOF(endings) ? endings[n % 10] : "th";
}

/* The name that a person would call it by, else its id in short. */
typedef struct ImageText {
        char text[SHORT_ID + 1];
        const char *name;
} ImageText;

static ImageText image_text(const Image *image) {
        const char *hex = strchr(image->id, ':');
        ImageText text = { 0 };

        snprintf(text.text, sizeof(text.text), "%.*s", SHORT_ID, hex ? hex + 1 : image->id);
        text.name = image->names.n > 0 ? image->names.v[0] : NULL;
        return text;
}

#define IMAGE_TEXT(t) ((t).name ?: (t).text)

/* "the 2nd newest of 5 of watchparty-backend" */
static char *rank_text(const Image *image, const ImageVerdict *verdict) {
        const char *group = verdict->group;
        char place[16] = "";

        if (verdict->rank > 1)
                snprintf(place, sizeof(place), "%u%s ", verdict->rank, ordinal(verdict->rank));
        if (group == image->project)
                return text_format("the %snewest of %u untagged images of project %s", place,
                                   verdict->of, group);
        return text_format("the %snewest of %u of %.*s", place, verdict->of,
                           (int)name_repository_length(group), group);
}

/* ", and the 4th newest of 5 of watchparty-backend (keep_last=2)", or "" */
static char *beyond_text(const PolicyPlan *plan, const Image *image, const ImageVerdict *verdict) {
        cleanup_free char *rank = NULL;

        if (verdict->rank == 0)
                return strdup("");
        rank = rank_text(image, verdict);
        return rank ? text_format(", and %s (keep_last=%llu)", rank,
                                  (unsigned long long)plan->keep_last)
                    : NULL;
}

static char *use_text(const Inventory *inventory, const Image *image) {
        const Container *container = container_of_image(inventory, image->id);
        const ServiceImage *service = service_of_image(inventory, image);

        if (container)
                return text_format("container %s (%s) uses it", container->name, container->state);
        if (service)
                return text_format("it is in use by service %s%s", service->service,
                                   service->next ? "" : " (its previous spec or a task)");
        container = container_that_may_mount(inventory, image);
        if (container)
                return text_format("container %s (%s) may have it mounted, by a name that another "
                                   "image may have got since",
                                   container->name, container->state);
        return text_format("the services of this swarm cannot be read, and may use it (%s)",
                           inventory->services.unread ?: "unknown");
}

static char *keep_text(const Inventory *inventory, const PolicyPlan *plan, const Image *image,
                       const ImageVerdict *verdict) {
        SpanText age = span_text(verdict->age_sec), limit = span_text(verdict->limit_sec);
        const char *max_age = image->names.n > 0 ? "max_age" : "dangling_max_age";
        cleanup_free char *rank = NULL;

        switch (verdict->rule) {
        case RULE_NO_MATCH:
                return strdup("none of its names is one of [images] match");
        case RULE_PROTECT:
                return text_format("[images] protect has %s", verdict->object);
        case RULE_BASE:
                return text_format("[images] base has %s", verdict->object);
        case RULE_IN_USE:
                return use_text(inventory, image);
        case RULE_OTHER_NAME:
                return text_format("%s names it, too, which policy may not take", verdict->object);
        case RULE_STEP:
                return strdup("another image was built upon it");
        case RULE_KEEP_LAST:
                rank = rank_text(image, verdict);
                return rank ? text_format("it is %s (keep_last=%llu)", rank,
                                          (unsigned long long)plan->keep_last)
                            : NULL;
        case RULE_MIN_AGE:
                return text_format("it is %s old, and min_age is %s", age.text, limit.text);
        case RULE_YOUNG:
                return text_format("it is %s old, and %s is %s", age.text, max_age, limit.text);
        case RULE_NO_LIMIT:
                return text_format("%s is off", max_age);
        case RULE_NOT_OURS:
                return strdup("it has no name, and nothing tells that it is the application's "
                              "(dangling=matched)");
        case RULE_DIGEST:
                return strdup("it has no tag, but a digest that it was pulled by "
                              "(dangling=matched)");
        case RULE_UNREADABLE_IMAGE:
                return text_format("image %s can't be read, so all images are kept",
                                   verdict->object);
        case RULE_UNREADABLE_CONTAINER:
                return text_format("container %s can't be read and may use it", verdict->object);
        case RULE_ROLLBACK:
                return strdup("it can be rolled back to, until it is not in use and a newer image "
                              "of its repository has run for a day");
        case RULE_UNKNOWN:
                return strdup("what wpcached remembers of images cannot be read");
        default:
                return strdup(rule_to_string(verdict->rule));
        }
}

static char *remove_text(const PolicyPlan *plan, const Image *image, const ImageVerdict *verdict) {
        SpanText age = span_text(verdict->age_sec), limit = span_text(verdict->limit_sec);
        BytesText need = bytes_text(plan->need_bytes);
        cleanup_free char *beyond = beyond_text(plan, image, verdict);

        if (!beyond)
                return NULL;
        switch (verdict->rule) {
        case RULE_MAX_AGE:
                return text_format("it is %s old, older than max_age (%s)%s", age.text, limit.text,
                                   beyond);
        case RULE_DANGLING_AGE:
                return text_format("it is untagged and %s old, older than dangling_max_age (%s)%s",
                                   age.text, limit.text, beyond);
        case RULE_DISK_PRESSURE:
                if (plan->need_bytes == 0)
                        return text_format(
                                "the disk runs out of inodes, and it is the oldest that may "
                                "go: %s old%s",
                                age.text, beyond);
                return text_format(
                        "the disk needs %s more, and it is one of the oldest that may go: %s "
                        "old%s",
                        need.text, age.text, beyond);
        case RULE_ROLLBACK_EXPIRED:
                if (verdict->limit_sec >= 0)
                        return text_format("the rollback tag is %s old, older than max_age (%s)",
                                           age.text, limit.text);
                return strdup("it is not in use, and a newer image of its repository has run "
                              "for a day");
        case RULE_TRASH:
                return text_format("tag %s was left by a removal that was cut short",
                                   verdict->object);
        default:
                return strdup(rule_to_string(verdict->rule));
        }
}

char *policy_image_sentence(const Inventory *inventory, const PolicyPlan *plan, size_t image) {
        const Image *entry = &inventory->images.v[image];
        const ImageVerdict *verdict = &plan->images[image];
        const ImageText name = image_text(entry);
        /* What goes is a tag of the janitor's, and the image only if it has no other name. */
        bool takes_tag = verdict->rule == RULE_ROLLBACK_EXPIRED || verdict->rule == RULE_TRASH;
        cleanup_free char *why = verdict->remove ? remove_text(plan, entry, verdict)
                                                 : keep_text(inventory, plan, entry, verdict);

        if (!why)
                return NULL;
        return text_format("%s %s: %s.", takes_tag ? verdict->object : IMAGE_TEXT(name),
                           verdict->remove ? "goes" : "stays", why);
}

static char *record_text(const PolicyPlan *plan, const RecordVerdict *verdict) {
        SpanText age = span_text(verdict->age_sec), limit = span_text(verdict->limit_sec);
        BytesText keep = bytes_text(plan->builder.keep_bytes);

        switch (verdict->rule) {
        case RULE_RECORD_IN_USE:
                return strdup(verdict->leaked
                                      ? "the engine holds it in use although no build runs, "
                                        "until it is restarted"
                                      : "a build uses it");
        case RULE_RECORD_CHILD:
                return strdup("another record that stays was made from it");
        case RULE_RECORD_LRU:
                return text_format(
                        "%u%s of %u in BuildKit's order of use, to bring the cache to %s",
                        verdict->rank, ordinal(verdict->rank), verdict->of, keep.text);
        case RULE_RECORD_SPARED:
                return text_format("the cache is down to %s before its turn, after %u others",
                                   keep.text, verdict->of);
        case RULE_RECORD_AGE:
                if (verdict->age_sec < 0)
                        return text_format(
                                "nothing tells that it was used in [builder] max_age (%s)",
                                limit.text);
                return text_format("it was not used for %s, and [builder] max_age is %s", age.text,
                                   limit.text);
        default:
                return strdup("no limit asks for its space");
        }
}

char *policy_record_sentence(const Inventory *inventory, const PolicyPlan *plan, size_t record,
                             const RecordVerdict *verdict) {
        cleanup_free char *why = record_text(plan, verdict);

        if (!why)
                return NULL;
        return text_format(
                "Build cache record %s %s: %s%s.", inventory->records.v[record].id,
                verdict->remove ? "goes" : "stays", why,
                verdict->remove && verdict->shared
                        ? "; an image shares its space, which is free when that goes, too"
                        : "");
}

char *policy_plan_sentence(const PolicyPlan *plan) {
        const BuilderPlan *builder = &plan->builder;
        BytesText from = bytes_text(builder->private_bytes), to = bytes_text(builder->keep_bytes);
        BytesText images = bytes_text(plan->remove_bytes);
        SpanText unused = span_text((int64_t)builder->unused_hours * 3600);
        cleanup_free char *size = strdup(""), *age = strdup(""), *image = strdup("");
        const char *first, *second;

        if (policy_plan_empty(plan))
                return strdup("nothing");
        if (builder->keep_bytes > 0) {
                free(size);
                size = builder->keep_bytes == 1
                               ? text_format("prune the build cache (%s)", from.text)
                               : text_format("prune the build cache from %s to %s", from.text,
                                             to.text);
        }
        if (builder->unused_hours > 0) {
                free(age);
                age = text_format("prune build cache not used for %s", unused.text);
        }
        if (plan->n_remove > 0) {
                free(image);
                image = text_format("remove %zu image%s (%s)", plan->n_remove,
                                    plan->n_remove == 1 ? "" : "s", images.text);
        }
        if (!size || !age || !image)
                return NULL;
        first = *size && *age ? (*image ? ", " : " and ") : "";
        second = (*size || *age) && *image ? " and " : "";
        return text_format("%s%s%s%s%s", size, first, age, second, image);
}

/* One thing that holds bytes: an image, or (image NULL) the build cache in use. */
typedef struct Pin {
        const Image *image;
        const ImageVerdict *verdict;
        uint64_t bytes;
} Pin;

static int compare_pins(const void *a, const void *b) {
        const Pin *x = a, *y = b;

        return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

/* What age alone keeps goes by itself; what another image stands on is counted with that. */
static bool is_pinned(const ImageVerdict *verdict) {
        return !verdict->remove && verdict->rule != RULE_STEP && verdict->rule != RULE_MIN_AGE &&
               verdict->rule != RULE_YOUNG && verdict->rule != RULE_NO_LIMIT;
}

static char *pin_remedy(const Inventory *inventory, const Pin *pin) {
        const ImageText name = image_text(pin->image);
        const Container *container = container_of_image(inventory, pin->image->id)
                                             ?: container_that_may_mount(inventory, pin->image);
        const ServiceImage *service = service_of_image(inventory, pin->image);

        if (container && strcmp(container->state, "running") == 0)
                return text_format("docker stop %s && docker rm %s", container->name,
                                   container->name);
        if (container)
                return text_format("docker rm %s", container->name);
        if (service)
                return text_format("docker service rm %s", service->service);
        return text_format("docker rmi %s", pin->verdict->rule == RULE_OTHER_NAME
                                                    ? pin->verdict->object
                                                    : IMAGE_TEXT(name));
}

static char *pin_text(const Inventory *inventory, const PolicyPlan *plan, const Pin *pin) {
        BytesText bytes = bytes_text(pin->bytes);
        cleanup_free char *why = NULL, *remedy = NULL;
        ImageText name;

        if (!pin->image && inventory->builds.leaked.n > 0 &&
            inventory->builds.leaked.n >= inventory->n_in_use)
                return text_format("build cache in use by no build (%s): to free it: systemctl "
                                   "restart docker",
                                   bytes.text);
        if (!pin->image)
                return text_format("build cache in use (%s): it is free when the build has ended",
                                   bytes.text);
        name = image_text(pin->image);
        why = keep_text(inventory, plan, pin->image, pin->verdict);
        remedy = pin_remedy(inventory, pin);
        return why && remedy ? text_format("%s (%s): %s; to free it: %s", IMAGE_TEXT(name),
                                           bytes.text, why, remedy)
                             : NULL;
}

char *policy_pins(const Inventory *inventory, const PolicyPlan *plan) {
        cleanup_free Pin *pins = calloc(inventory->images.n + 1, sizeof(*pins));
        cleanup_free char *text = strdup("");
        size_t n = 0;

        if (!pins || !text)
                return NULL;
        for (size_t i = 0; i < inventory->images.n; i++)
                if (is_pinned(&plan->images[i]) && inventory->images.v[i].size_bytes > 0)
                        pins[n++] = (Pin){ &inventory->images.v[i], &plan->images[i],
                                           inventory->images.v[i].size_bytes };
        if (inventory->in_use_private_bytes > 0)
                pins[n++] = (Pin){ .bytes = inventory->in_use_private_bytes };
        qsort(pins, n, sizeof(*pins), compare_pins);
        for (size_t i = 0; i < MIN(n, (size_t)PINS_MAX); i++) {
                cleanup_free char *pin = pin_text(inventory, plan, &pins[i]);
                char *longer = pin ? text_format("%s%s%s", text, i > 0 ? " | " : "", pin) : NULL;

                if (!longer)
                        return NULL;
                free(text);
                text = longer;
        }
        return TAKE_PTR(text);
}
