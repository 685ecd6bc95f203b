/* SPDX-License-Identifier: MIT */

/*
 * What a reply says has been made printable before it comes here (ctl/client.h), so nothing below
 * needs to ask where a string is from. JSON goes out as the daemon said it: \u escapes keep control
 * characters harmless, and C1 and DEL, which JSON lets stand raw, are escaped on the way.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "ctl/render.h"

void render_init(Render *render, JsonFormat json, ColorMode color) {
        const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
        bool terminal = isatty(STDOUT_FILENO) == 1;
        bool able = terminal && term && strcmp(term, "dumb") != 0;

        if (json == JSON_FORMAT_AUTO)
                json = terminal ? JSON_FORMAT_PRETTY : JSON_FORMAT_SHORT;
        *render = (Render){
                .json = json,
                .terminal = able,
                .color = color == COLOR_ALWAYS ||
                         (color == COLOR_AUTO && able && (!no_color || !*no_color)),
        };
}

const char *render_style(const Render *render, Style style) {
        static const char *const sequences[] = {
                [STYLE_PLAIN] = "\033[0m",  [STYLE_GOOD] = "\033[32m", [STYLE_WARN] = "\033[33m",
                [STYLE_BAD] = "\033[1;31m", [STYLE_FAINT] = "\033[2m",
        };

        return render->color ? sequences[style] : "";
}

int render_json(const Render *render, const Json *json) {
        cleanup_free char *text =
                render->json == JSON_FORMAT_PRETTY ? json_text_pretty(json) : json_text(json);

        if (!text)
                return -ENOMEM;
        for (const char *p = text; *p; p++)
                if (*p == '\x7f')
                        fputs("\\u007f", stdout);
                else if (*p == '\xc2' && (unsigned char)p[1] < 0xa0)
                        printf("\\u00%02x", (unsigned char)*++p);
                else
                        putchar(*p);
        putchar('\n');
        return 0;
}

char *render_age(int64_t then_sec, char buffer[static SPAN_TEXT_MAX]) {
        uint64_t now_sec = now_realtime_usec() / USEC_PER_SEC;

        if (then_sec < 0 || (uint64_t)then_sec >= now_sec)
                return strcpy(buffer, "just now");
        span_format((now_sec - (uint64_t)then_sec) * USEC_PER_SEC, buffer);
        return strncat(buffer, " ago", SPAN_TEXT_MAX - strlen(buffer) - 1);
}

char *render_count(int64_t n, const char *singular, char buffer[static RENDER_COUNT_MAX]) {
        snprintf(buffer, RENDER_COUNT_MAX, "%" PRIi64 " %s%s", n, singular, n == 1 ? "" : "s");
        return buffer;
}

int render_id_length(const char *id) {
        size_t n = strlen(id);

        return (int)(strncmp(id, "sha256:", 7) == 0 ? MIN(n, 19U) : n);
}

void render_list(const Json *array, const char *name, size_t max) {
        size_t n = 0, n_all = json_size(array);

        json_foreach (member, array) {
                const char *text = name ? json_get_string(member, name, "?") : json_string(member);

                if (n == max && n_all > max + 1)
                        break;
                printf("%s%s", n > 0 ? ", " : "", text ? text : "?");
                n++;
        }
        if (n < n_all)
                printf(" and %zu more", n_all - n);
}

/* The longest beginning of `text` that takes at most `columns`, one column a character. */
static int cut_length(const char *text, size_t columns) {
        const char *p = text;

        while (*p && (columns > 0 || ((unsigned char)*p & 0xc0) == 0x80)) {
                columns -= ((unsigned char)*p & 0xc0) != 0x80;
                p++;
        }
        return (int)(p - text);
}

void render_live(const char *text) {
        struct winsize window = { .ws_col = 0 };
        size_t columns = 80;

        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0)
                columns = window.ws_col;
        /* the last column stays free: some terminals wrap as soon as it is written */
        printf("\r%.*s\033[K", cut_length(text, columns - 1), text);
        fflush(stdout);
}

void render_live_clear(void) {
        fputs("\r\033[K", stdout);
}
