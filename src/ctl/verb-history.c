/* SPDX-License-Identifier: MIT */

/*
 * Prints what was done, the oldest first as in a log, and on a terminal graphs of the sizes; or a
 * single run in full. A column of a graph stands for a span of time and shows the largest sample
 * in it. It is empty if no sample is near, since the daemon did not run then.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "ctl/client.h"
#include "ctl/fail.h"
#include "ctl/output.h"
#include "ctl/receipt-view.h"
#include "ctl/verbs.h"
#include "wire/interface.h"

#define HISTORY_TIMEOUT_USEC USEC_PER_MINUTE

/* two graphs and the time line take seven lines */
#define GRAPH_ROWS 3
#define GRAPH_COLUMNS_MIN 10
#define GRAPH_COLUMNS_MAX 200
#define LABEL_WIDTH 11

enum {
        COLUMN_TIME,
        COLUMN_KIND,
        COLUMN_TARGET,
        COLUMN_OUTCOME,
        COLUMN_REMOVED,
        COLUMN_FREED,
        COLUMN_WHO,
        COLUMN_RUN,
        COLUMNS
};

typedef struct Row {
        char cells[COLUMNS][48];
} Row;

static void set_cell(Row *row, int column, const char *text) {
        snprintf(row->cells[column], sizeof(row->cells[column]), "%s", text);
        if (strlen(text) >= sizeof(row->cells[column]))
                text_cut(row->cells[column], sizeof(row->cells[column]));
}

static Row make_row(const Json *run) {
        const char *who = json_get_string(run, "who", NULL);
        char time[OUTPUT_TIME_MAX], bytes[BYTES_TEXT_MAX];
        Row row = { 0 };

        set_cell(&row, COLUMN_TIME, output_time(json_get_int(run, "startedAt", 0), time));
        set_cell(&row, COLUMN_KIND, output_text(run, "kind"));
        set_cell(&row, COLUMN_TARGET, json_get_string(run, "target", "-"));
        set_cell(&row, COLUMN_OUTCOME, output_text(run, "outcome"));
        snprintf(row.cells[COLUMN_REMOVED], sizeof(row.cells[COLUMN_REMOVED]), "%" PRIi64,
                 json_get_int(run, "removed", 0));
        set_cell(&row, COLUMN_FREED, output_bytes(run, "diskFreedBytes", bytes));
        set_cell(&row, COLUMN_WHO, who && *who ? who : "-");
        set_cell(&row, COLUMN_RUN, output_text(run, "id"));
        return row;
}

static void print_row(const Row *row, const size_t *widths) {
        for (int i = 0; i < COLUMNS; i++)
                printf("%*s%s",
                       (i == COLUMN_REMOVED || i == COLUMN_FREED ? 1 : -1) *
                               (int)(i < COLUMNS - 1 ? widths[i] : 0),
                       row->cells[i], i < COLUMNS - 1 ? "  " : "\n");
}

/* The reply has the newest run first. */
static int print_runs(const Json *runs) {
        static const Row heading = { { "TIME", "KIND", "TARGET", "OUTCOME", "REMOVED", "FREED",
                                       "WHO", "RUN" } };
        size_t n = json_size(runs), at = n, widths[COLUMNS];
        cleanup_free Row *rows = calloc(n + 1, sizeof(*rows));

        if (!rows)
                return ctl_fail(CTL_FAILED, "out of memory");
        json_foreach (run, runs)
                rows[--at] = make_row(run);
        for (int i = 0; i < COLUMNS; i++) {
                widths[i] = strlen(heading.cells[i]);
                for (size_t k = 0; k < n; k++)
                        widths[i] = MAX(widths[i], strlen(rows[k].cells[i]));
        }
        print_row(&heading, widths);
        for (size_t k = 0; k < n; k++)
                print_row(&rows[k], widths);
        return CTL_DONE;
}

/* The samples of a figure, spread over columns. */
typedef struct Graph {
        const char *label;
        int64_t columns[GRAPH_COLUMNS_MAX]; /* -1: no sample */
        size_t n;
        int64_t min, max;
} Graph;

typedef struct Span {
        int64_t begin_sec, end_sec;
        size_t n_samples;
} Span;

static Span span_of(const Json *samples) {
        Span span = { .begin_sec = INT64_MAX, .end_sec = INT64_MIN };

        json_foreach (sample, samples) {
                int64_t at = json_get_int(sample, "at", 0);

                span.begin_sec = MIN(span.begin_sec, at);
                span.end_sec = MAX(span.end_sec, at);
                span.n_samples++;
        }
        return span;
}

static int64_t builder_bytes(const Json *sample) {
        return json_get_int(sample, "builderBytes", -1);
}

static int64_t disk_used_bytes(const Json *sample) {
        int64_t total = json_get_int(sample, "diskTotalBytes", 0);
        int64_t left = json_get_int(sample, "diskFreeBytes", 0);

        return total > 0 && left <= total ? total - left : -1;
}

static size_t column_of(const Graph *graph, const Span *span, int64_t at) {
        double share = (double)(at - span->begin_sec) / (double)(span->end_sec - span->begin_sec);

        return MIN((size_t)(share * (double)graph->n), graph->n - 1);
}

/* A sample holds until the next one, unless that is more than three average distances away. */
static void fill_graph(Graph *graph, const Span *span, const Json *samples,
                       int64_t (*figure)(const Json *sample)) {
        int64_t far_sec = 3 * (span->end_sec - span->begin_sec) / (int64_t)span->n_samples;
        int64_t last = -1, last_at = 0;

        for (size_t i = 0; i < graph->n; i++)
                graph->columns[i] = -1;
        graph->min = INT64_MAX;
        graph->max = -1;
        json_foreach (sample, samples) {
                int64_t at = json_get_int(sample, "at", 0), value = figure(sample);
                size_t column = column_of(graph, span, at);

                if (value < 0)
                        continue;
                if (last >= 0 && at - last_at <= far_sec)
                        for (size_t i = column; i-- > 0 && graph->columns[i] < 0;)
                                graph->columns[i] = last;
                graph->columns[column] = MAX(graph->columns[column], value);
                graph->min = MIN(graph->min, value);
                graph->max = MAX(graph->max, value);
                last = value;
                last_at = at;
        }
}

/* Whether the figure changed too little for a curve. */
static bool is_flat(const Graph *graph) {
        return graph->max - graph->min <= graph->max / 200;
}

/* Prints a column's part of a row, counted from below, in eighths or thirds. */
static void print_cell(const Ctl *ctl, const Graph *graph, int64_t value, int row) {
        static const char *const blocks[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
        static const char *const ascii[] = { " ", ".", ":", "#" };
        const int steps = ctl->terminal.utf8 ? 8 : 3;
        int64_t range = graph->max - graph->min;
        int level = 0;

        /* the smallest value gets a mark, too */
        if (value >= 0)
                level = is_flat(graph) ? steps / 2 + 1
                                       : 1 + (int)((double)(value - graph->min) / (double)range *
                                                   (GRAPH_ROWS * steps - 1));
        level = MIN(MAX(level - row * steps, 0), steps);
        fputs(ctl->terminal.utf8 ? blocks[level] : ascii[level], stdout);
}

static void print_graph(const Ctl *ctl, const Graph *graph) {
        const int top = is_flat(graph) ? 0 : GRAPH_ROWS - 1;

        if (graph->max < 0)
                return;
        for (int row = top; row >= 0; row--) {
                char bytes[BYTES_TEXT_MAX] = "";

                if (row == top || row == 0)
                        bytes_format((uint64_t)(row == top ? graph->max : graph->min), bytes);
                printf("%*s %9s %s", LABEL_WIDTH, row == top ? graph->label : "", bytes,
                       ctl->terminal.utf8 ? "┤" : "|");
                for (size_t i = 0; i < graph->n; i++)
                        print_cell(ctl, graph, graph->columns[i], row);
                putchar('\n');
        }
}

static void print_graphs(const Ctl *ctl, const Json *samples) {
        static const size_t margin = LABEL_WIDTH + 12; /* of the label, the size and the edge */
        char begin[OUTPUT_TIME_MAX], end[OUTPUT_TIME_MAX];
        Graph builder = { .label = "Build cache" }, disk = { .label = "Disk used" };
        size_t columns = terminal_columns();
        Span span = span_of(samples);

        if (span.n_samples < 2 || span.end_sec <= span.begin_sec ||
            columns < margin + GRAPH_COLUMNS_MIN + 1)
                return;
        builder.n = disk.n = MIN(columns - margin - 1, (size_t)GRAPH_COLUMNS_MAX);
        fill_graph(&builder, &span, samples, builder_bytes);
        fill_graph(&disk, &span, samples, disk_used_bytes);
        print_graph(ctl, &builder);
        print_graph(ctl, &disk);
        output_time(span.begin_sec, begin);
        output_time(span.end_sec, end);
        if (strlen(begin) + strlen(end) < builder.n)
                printf("%*s%s%*s\n", (int)margin, "", begin, (int)(builder.n - strlen(begin)), end);
        else
                printf("%*s%s\n", (int)margin, "", begin);
}

static void print_verdicts(const Ctl *ctl, Style style, const char *heading, const Json *verdicts) {
        char bytes[BYTES_TEXT_MAX];

        if (json_size(verdicts) > 0)
                printf("%s%s%s\n", terminal_style(&ctl->terminal, style), heading,
                       terminal_style(&ctl->terminal, STYLE_PLAIN));
        json_foreach (verdict, verdicts)
                printf("  %8s  %s\n", output_bytes(verdict, "bytes", bytes),
                       output_text(verdict, "sentence"));
}

/* "Clear of all by root (pid 42), 2026-11-20 14:39, took 3s: fresh" */
static void print_head(const Json *run, const char *what) {
        int64_t started = json_get_int(run, "startedAt", 0);
        int64_t finished = json_get_int(run, "finishedAt", -1);
        char time[OUTPUT_TIME_MAX], span[SPAN_TEXT_MAX];

        printf("%s, %s", what, output_time(started, time));
        if (finished >= started)
                printf(", took %s",
                       span_format((uint64_t)(finished - started) * USEC_PER_SEC, span));
        printf(": %s\n", output_text(run, "outcome"));
        if (json_get_string(run, "error", NULL))
                printf("ERROR: %s\n", json_get_string(run, "error", ""));
}

static void print_policy_run(const Ctl *ctl, const Json *run) {
        char planned[BYTES_TEXT_MAX], engine[BYTES_TEXT_MAX], disk[BYTES_TEXT_MAX];
        char count[OUTPUT_COUNT_MAX];

        print_head(run, "Policy");
        if (json_get_int(run, "records", 0) > 0)
                printf("Removed %s\n",
                       output_count(json_get_int(run, "records", 0), "build cache record", count));
        print_verdicts(ctl, STYLE_PLAIN, "Removed, as announced:", json_get(run, "removed"));
        print_verdicts(ctl, STYLE_WARN, "Still there:", json_get(run, "left"));
        output_omitted(run);
        printf("Total reclaimed space: %s (planned %s, engine reported %s)\n",
               output_bytes(run, "diskFreedBytes", disk),
               output_bytes(run, "plannedBytes", planned),
               output_bytes(run, "engineReportedBytes", engine));
}

static void print_names(const char *heading, const Json *names) {
        if (json_size(names) > 0)
                printf("%s\n", heading);
        json_foreach (name, names) {
                const char *id = output_text(name, "imageId");

                printf("  %s -> %.*s\n", output_text(name, "name"), output_id_length(id), id);
        }
}

static void print_clear_run(const Ctl *ctl, const Json *receipt) {
        const Json *who = json_get(receipt, "who");
        char what[256], name[OUTPUT_WHO_MAX], bytes[BYTES_TEXT_MAX];

        snprintf(what, sizeof(what), "Clear of %s by %s", output_text(receipt, "target"),
                 output_who(who, name));
        print_head(receipt, what);
        if (json_get_string(who, "command", NULL))
                printf("Command: %s\n", json_get_string(who, "command", ""));
        print_names("Names taken away:", json_get(receipt, "names"));
        print_names("Rollback tags made:", json_get(receipt, "rollbackTags"));
        print_names("Rollback tags replaced:", json_get(receipt, "replacedTags"));
        json_foreach (removed, json_get(receipt, "removed")) {
                const char *step = output_text(removed, "step");

                if (json_get_int(removed, "objects", 0) <= 0)
                        continue;
                printf("Removed: %" PRIi64 " %s", json_get_int(removed, "objects", 0), step);
                /* the engine does not report caches of applications */
                if (strcmp(step, "caches") != 0)
                        printf(" (engine reported %s)",
                               output_bytes(removed, "engineReportedBytes", bytes));
                putchar('\n');
        }
        view_clear_result(ctl, receipt, true);
}

static int print_history(const Ctl *ctl, const Json *reply) {
        const Json *runs = json_get(reply, "runs"), *samples = json_get(reply, "samples");
        int r;

        if (json_size(runs) > 0) {
                r = print_runs(runs);
                if (r != CTL_DONE)
                        return r;
        } else {
                printf("Nothing was done in this time\n");
        }
        if (ctl->terminal.live && json_size(samples) > 1) {
                putchar('\n');
                print_graphs(ctl, samples);
        }
        return CTL_DONE;
}

int verb_history(const Ctl *ctl) {
        cleanup(json_free) Json *parameters = json_new_object();
        cleanup(varlink_reply_done) VarlinkReply reply = { NULL };
        const Json *receipt, *run;
        const char *incomplete;
        int r;

        r = json_add_string(parameters, "receipt", ctl->object);
        if (ctl->since_sec >= 0)
                r |= json_add_int(parameters, "since", ctl->since_sec);
        if (r < 0)
                return ctl_fail(CTL_FAILED, "out of memory");
        r = client_call(ctl, INTERFACE_NAME ".GetHistory", parameters, HISTORY_TIMEOUT_USEC,
                        &reply);
        if (r != CTL_DONE)
                return r;
        receipt = json_get(reply.parameters, "receipt");
        run = json_get(reply.parameters, "policyRun");
        if (!json_is_object(receipt) && !json_is_object(run) &&
            !json_is_array(json_get(reply.parameters, "runs")))
                return ctl_fail(CTL_FAILED, "wpcached answered with no history");
        incomplete = json_get_string(reply.parameters, "incomplete", NULL);
        if (incomplete)
                ctl_fail(CTL_DONE, "only what wpcached has in memory: %s", incomplete);
        if (ctl->terminal.json != JSON_FORMAT_OFF)
                return output_json(ctl, reply.parameters);
        if (ctl->quiet)
                return CTL_DONE;
        if (receipt)
                print_clear_run(ctl, receipt);
        else if (run)
                print_policy_run(ctl, run);
        else
                return print_history(ctl, reply.parameters);
        return CTL_DONE;
}
