/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/diag.h"

/* A KeyCheck: -EINVAL if no image can have a name that the glob matches. */
int check_glob(char **text, Diag *reterr_diag) must_check;
