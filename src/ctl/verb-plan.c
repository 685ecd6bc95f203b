/* SPDX-License-Identifier: MIT */

/*
 * Prints what policy would do, and will: the first line says whether and when. What is removed is
 * listed one by one, and so are images of the application that stay. Of other images that stay
 * only the number and the size are printed.
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/client.h"
#include "ctl/fail.h"
#include "ctl/output.h"
#include "ctl/plan-view.h"
#include "ctl/verbs.h"
#include "model/target.h"
#include "wire/interface.h"

#define NAMES_SHOWN 5

/* Why images stay, the application's own first. */
static const struct {
        const char *rule, *text;
        bool in_brief;
} groups[] = {
        { "inUse", "In use", false },
        { "protect", "Protected", false },
        { "keepLast", "The newest of their repository", false },
        { "minAge", "Younger than min_age", false },
        { "young", "Not old enough", false },
        { "noLimit", "Without a limit of age", false },
        { "rollback", "Can be rolled back to", false },
        { "unknown", "What is remembered cannot be read", false },
        { "otherName", "With another name, which policy may not take", false },
        { "base", "Builds start from them", false },
        { "step", "Other images were built upon them", true },
        { "digest", "Pulled by digest", true },
        { "notOurs", "Untagged, and not known to be the application's", true },
        { "noMatch", "Not of [images] match", true },
};

static size_t group_of(const Json *verdict) {
        const char *rule = json_get_string(verdict, "rule", "");
        size_t i;

        for (i = 0; i < ELEMENTSOF(groups); i++)
                if (strcmp(rule, groups[i].rule) == 0)
                        break;
        return i;
}

static bool is_empty(const Json *plan) {
        const Json *builder = json_get(plan, "builder");

        return json_get_int(json_get(plan, "policy"), "images", 0) == 0 &&
               !json_get(builder, "keepBytes") && !json_get(builder, "unusedHours");
}

static void print_when(const Ctl *ctl, const Json *plan) {
        const Json *policy = json_get(plan, "policy");
        const char *next = output_text(policy, "next");
        const char *unreadable = json_get_string(policy, "unreadable", NULL);
        char hold[OUTPUT_HOLD_MAX];

        output_hold(policy, hold);
        if (unreadable)
                printf("All images are kept: the engine lists an object that can't be read, %s\n",
                       unreadable);
        if (is_empty(plan))
                printf("Nothing to do%s%s%s\n", hold[0] ? " (held: " : "", hold,
                       hold[0] ? ")" : "");
        else if (hold[0])
                printf("%sHeld:%s %s\nThen: %s\n", terminal_style(&ctl->terminal, STYLE_WARN),
                       terminal_style(&ctl->terminal, STYLE_PLAIN), hold, next);
        else
                printf("Due at the next look: %s\n", next);
}

static void print_disks(const Ctl *ctl, const Json *disks) {
        char left[BYTES_TEXT_MAX], total[BYTES_TEXT_MAX], min[BYTES_TEXT_MAX];

        json_foreach (disk, disks) {
                if (!json_get_bool(disk, "pressure", false))
                        continue;
                printf("%sDisk under pressure:%s %s, %s of %s and %" PRIi64 " of %" PRIi64
                       " inodes free",
                       terminal_style(&ctl->terminal, STYLE_BAD),
                       terminal_style(&ctl->terminal, STYLE_PLAIN), output_text(disk, "path"),
                       output_bytes(disk, "freeBytes", left),
                       output_bytes(disk, "totalBytes", total), json_get_int(disk, "freeInodes", 0),
                       json_get_int(disk, "totalInodes", 0));
                if (json_get(disk, "minFreeBytes"))
                        printf(", min_free is %s", output_bytes(disk, "minFreeBytes", min));
                putchar('\n');
        }
}

static void print_builder(const Json *builder) {
        char bytes[BYTES_TEXT_MAX], max[BYTES_TEXT_MAX], count[OUTPUT_COUNT_MAX];
        const Json *first = json_get(builder, "first");
        int64_t hours = json_get_int(builder, "unusedHours", 0);
        int64_t n_goes = json_get_int(builder, "goes", 0);
        size_t shown = 0;

        if (!json_is_object(builder))
                return;
        printf("\nBuild cache: %s, %s not shared with images, ",
               output_count(json_get_int(builder, "records", 0), "record", count),
               output_bytes(builder, "privateBytes", bytes));
        if (json_get(builder, "maxBytes"))
                printf("limit %s\n", output_bytes(builder, "maxBytes", max));
        else
                printf("no limit\n");
        if (hours > 0)
                printf("  goes what was not used for %" PRIi64 "h\n", hours);
        if (json_get(builder, "keepBytes"))
                printf("  goes what was used least, down to %s%s\n",
                       output_bytes(builder, "keepBytes", bytes),
                       strcmp(json_get_string(builder, "rule", ""), "diskPressure") == 0
                               ? ", since the disk needs space"
                               : "");
        if (n_goes == 0)
                return;
        printf("  %s of %s, by BuildKit's choice; the first should be:\n",
               output_count(n_goes, "record", count), output_bytes(builder, "goesBytes", bytes));
        json_foreach (record, first) {
                if (shown++ == NAMES_SHOWN)
                        break;
                printf("    %8s  %s\n", output_bytes(record, "bytes", bytes),
                       output_text(record, "object"));
        }
}

/* "12 images, 4.1GB" */
static void print_sum(const Json *images, bool remove, size_t group) {
        char count[OUTPUT_COUNT_MAX], bytes[BYTES_TEXT_MAX];
        uint64_t sum = 0;
        int64_t n = 0;

        json_foreach (image, images)
                if (json_get_bool(image, "remove", false) == remove &&
                    (remove || group_of(image) == group)) {
                        sum += output_amount(image, "bytes");
                        n++;
                }
        printf("%s, %s", output_count(n, "image", count), bytes_format(sum, bytes));
}

static void print_sentence(const Json *image) {
        char bytes[BYTES_TEXT_MAX];

        printf("    %8s  %s\n", output_bytes(image, "bytes", bytes),
               output_text(image, "sentence"));
}

static void print_goes(const Json *images) {
        if (!json_get_bool(json_first(images), "remove", false))
                return;
        printf("\nImages that go: ");
        print_sum(images, true, 0);
        putchar('\n');
        json_foreach (image, images)
                if (json_get_bool(image, "remove", false))
                        print_sentence(image);
}

static void print_group(const Json *images, size_t group) {
        const bool known = group < ELEMENTSOF(groups), in_brief = known && groups[group].in_brief;
        size_t n = 0;

        json_foreach (image, images) {
                const char *object = output_text(image, "object");

                if (json_get_bool(image, "remove", false) || group_of(image) != group)
                        continue;
                if (n++ == 0) {
                        printf("  %s: ", known ? groups[group].text : "For other reasons");
                        print_sum(images, false, group);
                        printf("%s", in_brief ? " (" : "\n");
                }
                if (!in_brief)
                        print_sentence(image);
                else if (n <= NAMES_SHOWN)
                        printf("%s%.*s", n == 1 ? "" : ", ", output_id_length(object), object);
        }
        if (in_brief && n > 0)
                printf("%s)\n", n > NAMES_SHOWN ? ", …" : "");
}

static void print_stays(const Json *images) {
        bool any = false;

        json_foreach (image, images)
                any |= !json_get_bool(image, "remove", false);
        if (!any)
                return;
        printf("\nImages that stay:\n");
        for (size_t group = 0; group <= ELEMENTSOF(groups); group++)
                print_group(images, group);
}

static void print_policy_plan(const Ctl *ctl, const Json *plan) {
        const Json *images = json_get(plan, "images");

        print_when(ctl, plan);
        print_disks(ctl, json_get(plan, "disks"));
        print_builder(json_get(plan, "builder"));
        print_goes(images);
        print_stays(images);
        output_omitted(plan);
}

/* What a clear would do. */

int verb_plan(const Ctl *ctl) {
        cleanup(json_free) Json *parameters = client_target_parameters(ctl);
        cleanup(varlink_reply_done) VarlinkReply reply = { NULL };
        const Json *plan;
        int r;

        if (!parameters)
                return ctl_fail(CTL_FAILED, "out of memory");
        r = client_call(ctl, INTERFACE_NAME ".GetPlan", parameters, CLIENT_LOOK_TIMEOUT_USEC,
                        &reply);
        if (r != CTL_DONE)
                return r;
        plan = json_get(reply.parameters, ctl->target ? "plan" : "policy");
        if (ctl->target ? strcmp(json_get_string(plan, "target", ""), ctl->target) != 0
                        : !json_is_object(json_get(plan, "policy")) ||
                                  !json_is_array(json_get(plan, "images")))
                return ctl_fail(CTL_FAILED, "wpcached answered with no plan for %s",
                                ctl->target ? ctl->target : "its policy");
        if (ctl->terminal.json != JSON_FORMAT_OFF)
                return output_json(ctl, reply.parameters);
        if (ctl->quiet)
                return CTL_DONE;
        if (ctl->target)
                return view_clear_plan(ctl, plan);
        print_policy_plan(ctl, plan);
        return CTL_DONE;
}
