/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Reads the configuration: an INI file and its drop-ins.
 *
 * A file is UTF-8 text of at most CONFIG_FILE_MAX bytes: "[section]", "key=value", blank lines and
 * comments. A comment is a line that begins, after blanks, with ';' or '#', or what follows a blank
 * and ';' on another line. Other lines begin in the first column, do not continue, and hold at most
 * CONFIG_LINE_MAX bytes. A section may be opened again. A list may be set several times in a file:
 * the first setting replaces the default and what earlier files set, each further one adds, and an
 * empty value empties it. Any other key is set at most once a file. A byte order mark at the start
 * and carriage returns at the ends of lines are accepted; other control characters are not.
 *
 * [app NAME] is a section for each NAME. Its root must be a project: a system directory, a home,
 * something else than a directory, or a directory without a marker is a mistake. The owner of an
 * application must not be able to keep the daemon from starting, though. So where users other than
 * root may have brought it about, this is only a CONFIG_STATE, unless it is a system directory or a
 * home. A root that is missing, empty or hidden may yet come: CONFIG_NOTE.
 */

#include "conf/config.h"
#include "conf/errors.h"

#define CONFIG_PATH "/etc/wpcache/wpcached.conf" /* unless another is given */

#define CONFIG_LINE_MAX 198 /* INI_MAX_LINE of inih, less its newline and NUL */
#define CONFIG_FILE_MAX (64U * 1024U)

/*
 * Loads `path` and then the *.conf of PATH.d in the order of their names, later settings winning; or
 * the defaults if `path` is NULL. Every key has a default but the root and the caches of an
 * application.
 *
 * 0: a Config and no mistake. -EINVAL: at least one mistake. Other errors: a file cannot be read,
 * which is reported as a mistake, too; -ENOMEM. All mistakes are reported, those of lines first, in
 * the order of files and lines, then those that no line shows alone. There may be remarks in every
 * case. The caller frees `reterr_errors`.
 */
int config_load(const char *path, Config **ret, ConfigErrors *reterr_errors) must_check;
