/* SPDX-License-Identifier: MIT */

/*
 * What does not concern one image: the disks, the builder's cache, and whether to act at all.
 * The images are judge.c's, after the disks and the builder, which gives first.
 */

#include <string.h>

#include "janitor/judge.h"
#include "janitor/lru.h"

/* What all decisions read; `plan` is what they write. */
typedef struct Policy {
        const Inventory *inventory;
        const Config *config;
        const PolicyNow *now;
        PolicyPlan plan;
} Policy;

static void policy_donep(Policy *policy) {
        policy_plan_done(&policy->plan);
}

/* The file systems */

static void decide_disk(const Policy *policy, const Disk *disk, size_t place, DiskVerdict *ret) {
        const uint64_t bit = place < 64 ? UINT64_C(1) << place : 0;
        const Config *config = policy->config;
        const Size inodes = { .percent = config->min_free_inodes_percent };
        uint64_t min, target;

        if (disk->total_bytes > 0 && !size_is_off(&config->min_free)) {
                min = size_of(&config->min_free, disk->total_bytes);
                target = size_is_off(&config->target_free)
                                 ? min
                                 : MAX(min, size_of(&config->target_free, disk->total_bytes));
                target = MIN(target, disk->total_bytes);
                ret->pressure = disk->free_bytes < (policy->now->pressure & bit ? target : min);
                if (ret->pressure && target > disk->free_bytes)
                        ret->need_bytes = target - disk->free_bytes;
        }
        if (disk->total_inodes > 0 && inodes.percent > 0) {
                min = size_of(&inodes, disk->total_inodes);
                target = MIN(min + min / 4, disk->total_inodes);
                ret->inode_pressure =
                        disk->free_inodes < (policy->now->inode_pressure & bit ? target : min);
        }
}

static int decide_disks(Policy *policy) {
        const Disks *disks = &policy->inventory->disks;
        PolicyPlan *plan = &policy->plan;

        plan->disks = calloc(disks->n + 1, sizeof(*plan->disks));
        if (!plan->disks)
                return -ENOMEM;
        for (size_t i = 0; i < disks->n; i++) {
                decide_disk(policy, &disks->v[i], i, &plan->disks[i]);
                plan->pressure = plan->pressure || plan->disks[i].pressure;
                plan->inode_pressure = plan->inode_pressure || plan->disks[i].inode_pressure;
                /* What goes frees bytes on one of them: too little at worst, never too much. */
                plan->need_bytes = MAX(plan->need_bytes, plan->disks[i].need_bytes);
        }
        return 0;
}

/* The builder's cache */

static uint64_t builder_max(const Policy *policy) {
        const Disks *disks = &policy->inventory->disks;
        uint64_t total = disks->n > 0 ? disks->v[0].total_bytes : 0;
        Size max = policy->config->builder_max;

        if (total == 0) /* a share of what is not known is no limit */
                max.percent = 0;
        return size_of(&max, total);
}

static void decide_size(Policy *policy) {
        const Inventory *inventory = policy->inventory;
        const uint64_t private_bytes = inventory->private_bytes;
        const uint64_t need = policy->plan.need_bytes;
        const uint64_t without_need = private_bytes - MIN(private_bytes, need);
        BuilderPlan *builder = &policy->plan.builder;
        uint64_t keep = UINT64_MAX;

        builder->rule = RULE_RECORD_NO_NEED;
        builder->private_bytes = private_bytes;
        builder->idle_bytes = private_bytes - MIN(private_bytes, inventory->in_use_private_bytes);
        builder->max_bytes = builder->target_bytes = builder_max(policy);
        if (builder->max_bytes != UINT64_MAX)
                builder->target_bytes =
                        MIN(builder->max_bytes,
                            size_of(&policy->config->builder_target, builder->max_bytes));
        if (builder->idle_bytes == 0) /* what is left frees nothing: it is in use, or an image's */
                return;
        if (private_bytes > builder->max_bytes) {
                keep = builder->target_bytes;
                builder->rule = RULE_MAX_SIZE;
        }
        if (policy->plan.inode_pressure || (need > 0 && without_need < keep)) {
                keep = policy->plan.inode_pressure ? 0 : without_need;
                builder->rule = RULE_DISK_PRESSURE;
        }
        if (builder->rule == RULE_RECORD_NO_NEED)
                return;
        builder->keep_bytes = MAX(keep, (uint64_t)1); /* 0 says "no limit" to the engine */
        builder->expected_bytes = MIN(builder->idle_bytes, private_bytes - keep);
}

/* The engine goes by its own wall clock, so that has to have been right for as long. */
static int decide_unused(Policy *policy) {
        const Inventory *inventory = policy->inventory;
        const uint64_t age_usec = policy->config->builder_age_usec;
        const int64_t limit_sec = (int64_t)(age_usec / USEC_PER_SEC);
        BuilderPlan *builder = &policy->plan.builder;

        if (age_usec == USEC_INFINITY || age_usec < USEC_PER_HOUR ||
            policy->now->age_sec - policy->now->steady_since_sec < limit_sec ||
            inventory->n_records <= inventory->n_in_use)
                return 0;
        builder->unused_hours = (unsigned)(age_usec / USEC_PER_HOUR);
        if (inventory->records.n == 0)
                return 0;
        if (lru_unused(&inventory->records, (policy->now->wall_sec - limit_sec) * NSEC_PER_SEC,
                       &builder->unused, &builder->n_unused) < 0)
                return -ENOMEM;
        if (builder->n_unused == 0)
                builder->unused_hours = 0;
        return 0;
}

static void decide_hold(const Policy *policy, PolicyPlan *plan) {
        const Config *config = policy->config;
        const PolicyNow *now = policy->now;
        const int64_t grace_sec = (int64_t)(config->grace_usec / USEC_PER_SEC);
        const int64_t quiet_sec = (int64_t)(config->quiet_usec / USEC_PER_SEC);

        plan->hold_left_sec = -1;
        if (config->observe_only) {
                plan->hold = HOLD_OBSERVE;
        } else if (now->age_sec < grace_sec && !now->forgetful) {
                plan->hold = HOLD_GRACE;
                plan->hold_left_sec = grace_sec - now->age_sec;
        } else if (now->n_inhibitors > 0) {
                plan->hold = HOLD_INHIBITED;
        } else if (inventory_building(policy->inventory)) {
                plan->hold = HOLD_BUILDING;
        } else if (now->quiet_sec < quiet_sec && !plan->pressure && !plan->inode_pressure) {
                plan->hold = HOLD_QUIET;
                plan->hold_left_sec = quiet_sec - now->quiet_sec;
        }
}

static void keep_images(const Inventory *inventory, PolicyPlan *plan) {
        for (size_t i = 0; i < inventory->images.n; i++) {
                if (!plan->images[i].remove)
                        continue;
                plan->images[i].remove = false;
                plan->images[i].rule = RULE_UNKNOWN;
        }
        plan->n_remove = 0;
        plan->remove_bytes = 0;
}

int policy_decide(const Inventory *inventory, const SeenImages *seen, const NamedImages *suspects,
                  const Config *config, const PolicyNow *now, PolicyPlan *ret) {
        cleanup(policy_done) Policy policy = {
                .inventory = inventory,
                .config = config,
                .now = now,
                .plan = { .keep_last = config->keep_last },
        };

        if (decide_disks(&policy) < 0)
                return -ENOMEM;
        decide_size(&policy);
        if (decide_unused(&policy) < 0 ||
            judge_images(inventory, seen, suspects, config, now, &policy.plan) < 0)
                return -ENOMEM;
        if (now->forgetful)
                keep_images(inventory, &policy.plan);
        decide_hold(&policy, &policy.plan);
        *ret = policy.plan;
        policy.plan = (PolicyPlan){ 0 };
        return 0;
}

void policy_plan_done(PolicyPlan *plan) {
        free(plan->disks);
        free(plan->images);
        free(plan->builder.unused);
        *plan = (PolicyPlan){ 0 };
}

bool policy_plan_empty(const PolicyPlan *plan) {
        return plan->builder.keep_bytes == 0 && plan->builder.unused_hours == 0 &&
               plan->n_remove == 0;
}
