/* SPDX-License-Identifier: MIT */

/*
 * Holds an inhibitor while a command runs, and interferes with the command as little as possible.
 * A failure is only a warning, unless --require is given, and the exit status is the command's.
 * The command stays in the process group, so that a terminal's keys reach it; signals sent to this
 * process alone are passed on.
 *
 * This process makes the token and gives the daemon the same token again after a restart of the
 * daemon. So a clear in the command still counts as the holder's own.
 */

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "base/random.h"
#include "ctl/client.h"
#include "ctl/fail.h"
#include "ctl/output.h"
#include "ctl/signals.h"
#include "ctl/verbs.h"
#include "wire/interface.h"

#define WAIT_SEC_DEFAULT 1800
/* A shorter wait is not announced. */
#define TELL_USEC (2 * USEC_PER_SEC)
#define RETRY_USEC USEC_PER_SEC
#define TOKEN_BYTES 16

typedef struct Inhibit {
        const Ctl *ctl;
        char token[2 * TOKEN_BYTES + 1];
        Client *client;      /* NULL: not connected */
        bool held;           /* the daemon's last reply said so */
        bool warned;         /* a warning that it is not held was printed */
        bool over;           /* do not request it again */
        uint64_t until_usec; /* when it expires; 0: it was never held */
        uint64_t retry_usec;
        int signal_fd;
        sigset_t mask_before;
} Inhibit;

static int inhibit_catch_signals(Inhibit *inhibit) {
        static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };

        return signals_catch(numbers, ELEMENTSOF(numbers), &inhibit->mask_before,
                             &inhibit->signal_fd);
}

/* Reads the next signal that is not SIGCHLD; false if there is none. */
static bool next_signal(const Inhibit *inhibit, struct signalfd_siginfo *ret) {
        while (read(inhibit->signal_fd, ret, sizeof(*ret)) == sizeof(*ret))
                if (ret->ssi_signo != SIGCHLD)
                        return true;
        return false;
}

/* Ends as the signal would have ended the process, without a core dump, which would be of this
 * process. */
static int die_of(const Inhibit *inhibit, int number) {
        const struct rlimit none = { 0, 0 };
        sigset_t mask = inhibit->mask_before;

        setrlimit(RLIMIT_CORE, &none);
        signal(number, SIG_DFL);
        sigdelset(&mask, number);
        raise(number);
        sigprocmask(SIG_SETMASK, &mask, NULL);
        return 128 + number;
}

static void disconnect(Inhibit *inhibit) {
        inhibit->client = client_free(inhibit->client);
        inhibit->held = false;
        inhibit->retry_usec = now_boottime_usec() + RETRY_USEC;
}

/* Requests the inhibitor, for its whole time or for what is left of it. */
static int request_inhibitor(Inhibit *inhibit, uint64_t timeout_usec, Diag *reterr_diag) {
        cleanup(json_free) Json *parameters = json_new_object();
        const Ctl *ctl = inhibit->ctl;
        uint64_t now_usec = now_boottime_usec();
        int64_t ttl_sec = ctl->ttl_sec;
        int r;

        if (inhibit->until_usec > now_usec)
                ttl_sec = (int64_t)((inhibit->until_usec - now_usec + USEC_PER_SEC - 1) /
                                    USEC_PER_SEC);
        r = json_add_string(parameters, "why", ctl->why);
        r |= json_add_int(parameters, "ttlSec", ttl_sec);
        r |= json_add_string(parameters, "token", inhibit->token);
        r |= json_add_string(parameters, "inhibitor", ctl->inhibitor);
        r |= json_add_string(parameters, "command", ctl->command);
        if (r < 0)
                return -ENOMEM;
        r = client_open(ctl, timeout_usec, &inhibit->client);
        if (r >= 0)
                r = client_send(inhibit->client, INTERFACE_NAME ".Inhibit", parameters, true,
                                reterr_diag);
        if (r < 0)
                disconnect(inhibit);
        return r;
}

typedef enum News {
        NEWS_NONE,
        NEWS_HELD,
        NEWS_LOST,    /* the connection was lost: reterr_diag */
        NEWS_REFUSED, /* the reason was printed */
        NEWS_EXPIRED,
} News;

/* Reads the replies that have come. */
static News take_reply(Inhibit *inhibit, int *reterr_error, Diag *reterr_diag) {
        cleanup(varlink_reply_done) VarlinkReply reply = { NULL };
        int r;

        r = client_reply(inhibit->client, 0, &reply, reterr_diag);
        if (r == -ETIMEDOUT)
                return NEWS_NONE;
        if (r >= 0 && reply.error && strcmp(reply.error, ERROR_SHUTTING_DOWN) == 0)
                r = diag_set(reterr_diag, -ECONNRESET, "it is stopping");
        if (r < 0) {
                disconnect(inhibit);
                *reterr_error = r;
                return NEWS_LOST;
        }
        if (reply.error) {
                /* After "too many inhibitors" a later request may succeed. But an inhibitor that
                 * comes late would block the command's own clears, since the command does not
                 * have its token. */
                inhibit->over = inhibit->until_usec == 0 || strcmp(reply.error, ERROR_BUSY) != 0;
                if (!inhibit->warned)
                        client_fail_reply(inhibit->ctl, &reply);
                inhibit->warned = true;
                disconnect(inhibit);
                return NEWS_REFUSED;
        }
        if (!reply.continues) {
                inhibit->over = true;
                disconnect(inhibit);
                return NEWS_EXPIRED;
        }
        inhibit->held = true;
        if (inhibit->until_usec == 0)
                inhibit->until_usec =
                        now_boottime_usec() + (uint64_t)inhibit->ctl->ttl_sec * USEC_PER_SEC;
        return NEWS_HELD;
}

/* Sleeps until the daemon, a second connection `client`, or a signal has news, or until the time. */
static void sleep_until(const Inhibit *inhibit, const Client *client, uint64_t usec) {
        struct pollfd fds[] = {
                { .fd = inhibit->signal_fd, .events = POLLIN },
                { .fd = inhibit->client ? client_fd(inhibit->client) : -1, .events = POLLIN },
                { .fd = client ? client_fd(client) : -1, .events = POLLIN },
        };

        /* its result does not matter: the caller checks everything again */
        poll(fds, ELEMENTSOF(fds), deadline_msec(usec));
}

static void print_waiting(const Json *status) {
        const Json *job = json_get(status, "job");
        const char *target = json_get_string(job, "target", NULL);
        char count[OUTPUT_COUNT_MAX];

        if (job)
                ctl_fail(0, "waiting for a %s%s%s in progress: %s", output_job_kind(job),
                         target ? " of " : "", target ? target : "",
                         json_get_string(job, "message", output_text(job, "step")));
        else
                ctl_fail(0, "waiting for %s that came before",
                         output_count(json_get_int(status, "queued", 0), "job", count));
}

/* The wait for the first reply. After a moment a second connection asks the daemon what it is
 * busy with. */
typedef struct Wait {
        uint64_t end_usec;
        uint64_t ask_usec;    /* USEC_INFINITY: already asked */
        Client *client;       /* NULL: not asked, or answered */
        uint64_t answer_usec; /* the answer must come by then */
} Wait;

/* Prints once what the wait is for. -ETIMEDOUT: the daemon does not answer even that. */
static int ask_waiting(const Inhibit *inhibit, Wait *wait) {
        cleanup(varlink_reply_done) VarlinkReply reply = { NULL };
        uint64_t now_usec = now_boottime_usec();
        int r = 0;

        if (now_usec >= wait->ask_usec) {
                wait->ask_usec = USEC_INFINITY;
                wait->answer_usec = now_usec + CLIENT_TIMEOUT_USEC;
                r = client_open(inhibit->ctl, 0, &wait->client);
                if (r >= 0)
                        r = client_send(wait->client, INTERFACE_NAME ".GetStatus", NULL, false,
                                        NULL);
        }
        if (r >= 0 && wait->client) {
                r = client_reply(wait->client, 0, &reply, NULL);
                if (r == -ETIMEDOUT)
                        return now_boottime_usec() >= wait->answer_usec ? r : 0;
                if (r >= 0 && !reply.error && !inhibit->ctl->quiet)
                        print_waiting(json_get(reply.parameters, "status"));
        }
        /* other errors will show on the first connection, too */
        if (r < 0 || reply.root)
                wait->client = client_free(wait->client);
        return 0;
}

/* Waits until the inhibitor is held: CTL_DONE. Otherwise the exit status, after the reason was
 * printed, or the negative number of a signal that ended the wait. */
static int wait_turn(Inhibit *inhibit, Wait *wait) {
        const Ctl *ctl = inhibit->ctl;

        for (;;) {
                struct signalfd_siginfo info;
                Diag diag = DIAG_NULL;
                int error = 0;

                switch (take_reply(inhibit, &error, &diag)) {
                case NEWS_HELD:
                        return CTL_DONE;
                case NEWS_LOST:
                        return client_fail_connection(ctl, error, &diag);
                case NEWS_REFUSED:
                        return CTL_INHIBIT_FAILED;
                case NEWS_EXPIRED:
                        return ctl_fail(CTL_INHIBIT_FAILED, "wpcached does not hold it");
                case NEWS_NONE:
                        break;
                }
                if (next_signal(inhibit, &info))
                        return -(int)info.ssi_signo;
                if (now_boottime_usec() >= wait->end_usec) {
                        disconnect(inhibit);
                        inhibit->over = true;
                        return ctl_fail(CTL_BUSY, "busy: the inhibitor did not get its turn in "
                                                  "time; see wpcachectl status");
                }
                error = ask_waiting(inhibit, wait);
                if (error < 0) {
                        disconnect(inhibit);
                        return client_fail_connection(ctl, error, &diag);
                }
                sleep_until(inhibit, wait->client,
                            MIN(wait->end_usec, wait->client ? wait->answer_usec : wait->ask_usec));
        }
}

static int take_inhibitor(Inhibit *inhibit) {
        const Ctl *ctl = inhibit->ctl;
        uint64_t now_usec = now_boottime_usec();
        int64_t wait_sec = ctl->wait_sec >= 0 ? ctl->wait_sec : WAIT_SEC_DEFAULT;
        Wait wait = {
                /* an inhibitor that does not have to wait is granted within a second */
                .end_usec = now_usec + (uint64_t)MAX(wait_sec, 1) * USEC_PER_SEC,
                .ask_usec = now_usec + TELL_USEC,
        };
        Diag diag = DIAG_NULL;
        int r;

        r = request_inhibitor(inhibit, CLIENT_TIMEOUT_USEC, &diag);
        if (r < 0)
                return client_fail_connection(ctl, r, &diag);
        r = wait_turn(inhibit, &wait);
        client_free(wait.client);
        return r;
}

/* Runs the command as env(1) does. The child keeps only the descriptors 0 to 2. */
static pid_t start_command(const Inhibit *inhibit) {
        const Ctl *ctl = inhibit->ctl;
        pid_t pid;
        int error;

        fflush(NULL);
        pid = fork();
        if (pid != 0)
                return pid;

        if (!ctl->ignores_sigpipe)
                signal(SIGPIPE, SIG_DFL);
        sigprocmask(SIG_SETMASK, &inhibit->mask_before, NULL);
        /* after a refusal an outer inhibitor stays in force */
        if ((inhibit->held || !inhibit->over) && setenv("WPCACHE_INHIBITOR", inhibit->token, 1) < 0)
                _exit(ctl_fail(CTL_INHIBIT_FAILED, "out of memory"));
        execvp(ctl->argv[0], ctl->argv);
        error = errno;
        _exit(ctl_fail(error == ENOENT ? CTL_NOT_FOUND : CTL_NOT_EXECUTABLE, "cannot run '%s': %s",
                       ctl->argv[0], error_text(error)));
}

static void tell_expired(Inhibit *inhibit) {
        inhibit->over = true;
        ctl_fail(0, "the inhibitor's time is over, and '%s' still runs; see --ttl",
                 inhibit->ctl->argv[0]);
}

/* Requests a lost inhibitor again. */
static void regain_inhibitor(Inhibit *inhibit) {
        uint64_t now_usec = now_boottime_usec();

        if (inhibit->client || inhibit->over || now_usec < inhibit->retry_usec)
                return;
        if (inhibit->until_usec != 0 && now_usec >= inhibit->until_usec)
                tell_expired(inhibit);
        else if (request_inhibitor(inhibit, 0, NULL) < 0)
                return; /* the warning was printed before */
}

static void hear_daemon(Inhibit *inhibit) {
        Diag diag = DIAG_NULL;
        int error = 0;
        News news;

        while (inhibit->client && (news = take_reply(inhibit, &error, &diag)) != NEWS_NONE) {
                if (news == NEWS_HELD && inhibit->warned && !inhibit->ctl->quiet)
                        ctl_fail(0, "the inhibitor is held now");
                if (news == NEWS_LOST && !inhibit->warned)
                        ctl_fail(0,
                                 "lost wpcached and the inhibitor with it: %s; trying to hold "
                                 "it again",
                                 diag_text(&diag, error));
                if (news == NEWS_EXPIRED)
                        tell_expired(inhibit);
                inhibit->warned = news != NEWS_HELD;
        }
}

/* Passes signals on. Ctrl-C and Ctrl-\ of a terminal reached the whole process group already. */
static void pass_signals(const Inhibit *inhibit, pid_t pid) {
        struct signalfd_siginfo info;

        while (next_signal(inhibit, &info))
                if (info.ssi_code != SI_KERNEL ||
                    (info.ssi_signo != SIGINT && info.ssi_signo != SIGQUIT))
                        kill(pid, (int)info.ssi_signo);
}

static int attend_command(Inhibit *inhibit, pid_t pid) {
        for (;;) {
                bool lost;
                int status;
                pid_t r;

                /* reads SIGCHLD before waitpid(2), so that no exit is missed */
                pass_signals(inhibit, pid);
                r = waitpid(pid, &status, WNOHANG);
                if (r < 0 && errno != EINTR)
                        return ctl_fail(CTL_INHIBIT_FAILED, "lost sight of '%s': %s",
                                        inhibit->ctl->argv[0], error_text(errno));
                if (r == pid)
                        return WIFSIGNALED(status) ? die_of(inhibit, WTERMSIG(status))
                                                   : WEXITSTATUS(status);
                regain_inhibitor(inhibit);
                hear_daemon(inhibit);
                lost = !inhibit->client && !inhibit->over;
                sleep_until(inhibit, NULL, lost ? inhibit->retry_usec : USEC_INFINITY);
        }
}

static int run_inhibited(Inhibit *inhibit) {
        const Ctl *ctl = inhibit->ctl;
        pid_t pid;
        int r;

        if (random_hex(TOKEN_BYTES, inhibit->token) < 0 || inhibit_catch_signals(inhibit) < 0)
                return ctl_fail(CTL_INHIBIT_FAILED, "cannot make a token, or catch signals");
        r = take_inhibitor(inhibit);
        if (r < 0)
                return die_of(inhibit, -r);
        if (r != CTL_DONE) {
                if (ctl->require)
                        return CTL_INHIBIT_FAILED;
                ctl_fail(0, "'%s' runs without the inhibitor", ctl->argv[0]);
                inhibit->warned = true;
        }
        pid = start_command(inhibit);
        if (pid < 0)
                return ctl_fail(CTL_INHIBIT_FAILED, "cannot run '%s': %s", ctl->argv[0],
                                error_text(errno));
        return attend_command(inhibit, pid);
}

int verb_inhibit(const Ctl *ctl) {
        Inhibit inhibit = { .ctl = ctl, .signal_fd = -EBADF };
        int r = run_inhibited(&inhibit);

        client_free(inhibit.client);
        if (inhibit.signal_fd >= 0)
                close(inhibit.signal_fd);
        return r;
}
