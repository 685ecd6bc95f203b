/* SPDX-License-Identifier: MIT */
#pragma once

#include "draft-internal.h"

/* Reports the mistakes that no key shows alone. */
void draft_check(Draft *draft);
