/* SPDX-License-Identifier: MIT */

#include "ctl/terminal.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

/* Chooses as setlocale(3) would, which costs more than all the rest of wpcachectl. */
static bool locale_is_utf8(void) {
        static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                const char *value = getenv(names[i]);

                if (value && *value)
                        return strcasestr(value, "utf-8") || strcasestr(value, "utf8");
        }
        return false;
}

void terminal_init(Terminal *terminal, JsonFormat json, ColorMode color) {
        const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
        bool is_terminal = isatty(STDOUT_FILENO) == 1;
        bool able = is_terminal && term && strcmp(term, "dumb") != 0;

        if (json == JSON_FORMAT_AUTO)
                json = is_terminal ? JSON_FORMAT_PRETTY : JSON_FORMAT_SHORT;
        *terminal = (Terminal){
                .json = json,
                .live = able,
                .utf8 = locale_is_utf8(),
                .color = color == COLOR_ALWAYS ||
                         (color == COLOR_AUTO && able && (!no_color || !*no_color)),
        };
}

bool terminal_reader_is_gone(void) {
        struct pollfd fd = { .fd = STDOUT_FILENO };

        return poll(&fd, 1, 0) > 0 && fd.revents & (POLLERR | POLLHUP);
}

const char *terminal_style(const Terminal *terminal, Style style) {
        static const char *const sequences[] = {
                [STYLE_PLAIN] = "\033[0m",  [STYLE_GOOD] = "\033[32m", [STYLE_WARN] = "\033[33m",
                [STYLE_BAD] = "\033[1;31m", [STYLE_FAINT] = "\033[2m",
        };

        return terminal->color ? sequences[style] : "";
}

#define BAR_WIDTH 20

void terminal_bar(const Terminal *terminal, Style style, uint64_t percent) {
        char bar[BAR_WIDTH + 1];

        memset(bar, '-', BAR_WIDTH);
        memset(bar, '#', (MIN(percent, UINT64_C(100)) * BAR_WIDTH + 50) / 100);
        bar[BAR_WIDTH] = '\0';
        printf("%s[%s]%s", terminal_style(terminal, style), bar,
               terminal_style(terminal, STYLE_PLAIN));
}

/* The length of the longest beginning of `text` that takes at most `columns`, with one column a
 * character. */
static int cut_length(const char *text, size_t columns) {
        const char *p = text;

        while (*p && (columns > 0 || ((unsigned char)*p & 0xc0) == 0x80)) {
                columns -= ((unsigned char)*p & 0xc0) != 0x80;
                p++;
        }
        return (int)(p - text);
}

size_t terminal_columns(void) {
        struct winsize window = { .ws_col = 0 };

        return ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 ? window.ws_col
                                                                                   : 80;
}

void terminal_live(const char *text) {
        /* some terminals wrap as soon as the last column is written */
        printf("\r%.*s\033[K", cut_length(text, terminal_columns() - 1), text);
        fflush(stdout);
}

void terminal_live_clear(void) {
        fputs("\r\033[K", stdout);
}
