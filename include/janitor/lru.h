/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which records a prune of BuildKit's will delete, foretold from moby/buildkit cache/manager.go. Pure.
 * A prediction: builds may use records meanwhile, and ties are broken by chance there.
 */

#include "docker/model.h"

#define LRU_KEPT UINT32_MAX

/*
 * A prune down to `keep_bytes` (> 0) deletes one record at a time among those that nothing refers to
 * (not in use, no child), the lowest sum of its ranks by last use and by usage count first, as long
 * as the total is `keep_bytes` or more. The total begins with what is not shared with an image, and
 * the size of each deleted record is taken off it, shared or not.
 *
 * `*ret_turns` (malloc'ed, one a record): 0 for the first to go, 1 for the second, ...; LRU_KEPT for
 * those that stay. `*ret_bytes`: the sizes of those that go, of which `*ret_private_bytes` are not
 * shared with an image. -ENOMEM.
 */
int lru_predict(const RecordSet *records, uint64_t keep_bytes, uint32_t **ret_turns,
                uint64_t *ret_bytes, uint64_t *ret_private_bytes) must_check;

/*
 * A prune of what was not used since `cutoff_nsec` (wall time, nanoseconds) deletes the records that are not in use,
 * were last used then or before (or never, as far as is told), and have no child that stays.
 * `*ret_goes`: malloc'ed, one a record; `*ret_n` of them. -ENOMEM.
 */
int lru_unused(const RecordSet *records, int64_t cutoff_nsec, bool **ret_goes,
               size_t *ret_n) must_check;
