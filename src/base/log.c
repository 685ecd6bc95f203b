/* SPDX-License-Identifier: MIT */

/*
 * The journal takes a record as a set of fields and must get them by its own socket; a line on
 * stderr reaches it too, but bare. So where stderr is the journal's ($JOURNAL_STREAM names that
 * very stream: it may have been redirected since it was set) records go the direct way, and fall
 * back to stderr when that fails.
 */

#include "base/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

/* Every record would claim to come from this file. */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "base/diag.h"
#include "base/io.h"
#include "base/text.h"

#define MESSAGE_MAX 2048
#define FIELDS_MAX 16

static atomic_int max_level_now = LOG_INFO;
static atomic_bool to_journal;
static atomic_bool to_terminal;

static bool stderr_is_journal(void) {
        const char *stream = getenv("JOURNAL_STREAM");
        char ours[64];
        struct stat st;

        if (!stream || fstat(STDERR_FILENO, &st) < 0)
                return false;
        snprintf(ours, sizeof ours, "%llu:%llu", (unsigned long long)st.st_dev,
                 (unsigned long long)st.st_ino);
        return strcmp(stream, ours) == 0;
}

void log_open(int max_level) {
        atomic_store(&max_level_now, max_level);
        atomic_store(&to_journal, stderr_is_journal());
        atomic_store(&to_terminal, isatty(STDERR_FILENO) == 1);
}

static struct iovec field(const char *text, size_t n) {
        return (struct iovec){ .iov_base = (char *)text, .iov_len = n };
}

static int send_to_journal(int level, int error, const char *fields, const char *message) {
        char text[MESSAGE_MAX + sizeof "MESSAGE="], priority[32], number[32];
        cleanup_free char *cleaned = fields ? strdup(fields) : NULL;
        struct iovec vector[FIELDS_MAX];
        char *rest = cleaned;
        int n = 0;

        snprintf(text, sizeof text, "MESSAGE=%s", message);
        snprintf(priority, sizeof priority, "PRIORITY=%d", level);
        vector[n++] = field(text, strlen(text));
        vector[n++] = field(priority, strlen(priority));
        if (error) {
                snprintf(number, sizeof number, "ERRNO=%d", abs(error));
                vector[n++] = field(number, strlen(number));
        }
        while (rest && n < FIELDS_MAX) {
                const char *line = text_clean(strsep(&rest, "\n"));

                if (*line)
                        vector[n++] = field(line, strlen(line));
        }
        return sd_journal_sendv(vector, n);
}

/* One write(2), so that records of several threads do not mix. */
static void send_to_stderr(int level, const char *message) {
        char line[MESSAGE_MAX + 8];
        int n;

        if (atomic_load(&to_terminal))
                n = snprintf(line, sizeof line, "%s\n", message);
        else
                n = snprintf(line, sizeof line, "<%d>%s\n", level, message);
        if (n > 0 && write_full(STDERR_FILENO, line, (size_t)n) < 0)
                return; /* there is nobody left to tell */
}

int log_full(int level, int error, const char *fields, const char *format, ...) {
        int saved_errno = errno;
        char message[MESSAGE_MAX], reason[128] = "";
        va_list arguments;
        size_t room;
        int n;

        if (level > atomic_load(&max_level_now))
                return -abs(error);

        /* of a text that is too long, the reason stays */
        if (error)
                snprintf(reason, sizeof reason, ": %s", error_text(error));
        room = sizeof message - strlen(reason);
        va_start(arguments, format);
        n = vsnprintf(message, room, format, arguments);
        va_end(arguments);
        if (n < 0)
                message[0] = '\0';
        else if ((size_t)n >= room)
                text_cut(message, room);
        strcat(message, reason);
        text_clean(message);

        if (!atomic_load(&to_journal) || send_to_journal(level, error, fields, message) < 0)
                send_to_stderr(level, message);
        errno = saved_errno;
        return -abs(error);
}
