/* SPDX-License-Identifier: MIT */

/*
 * The remote wpcachectl writes to a pipe of this process, which passes everything on. ssh(1) exits
 * with 255 both if it could not connect and if it lost the connection. The difference is that
 * between a clear that was not begun and one that goes on. So the remote wpcachectl is asked to
 * begin its output with a NUL, which is removed here. If a forced command ran instead, which knows
 * no --greet, any byte shows that it ran.
 *
 * No PTY is requested: sshd refuses one to a key with `restrict`, and ssh(1) then exits with 255
 * while the command runs. The options below override only what in ssh_config(5) would get in the
 * way of a single command.
 */

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "base/words.h"
#include "ctl/client.h"
#include "ctl/fail.h"
#include "ctl/signals.h"
#include "ctl/ssh.h"

#define SSH_FAILED 255
#define SSH_NOT_RUN 254 /* the reason was printed */

typedef struct Remote {
        const Ctl *ctl;
        const char *host, *verb;
        pid_t pid;
        int output_fd; /* -EBADF: the output ended, or nobody reads it */
        int signal_fd;
        int signal; /* the first signal that came, or 0 */
        sigset_t mask_before;
        bool greeted, heard;   /* the greeting was read; any byte was read */
        char buffer[PIPE_BUF]; /* PIPE_BUF: a pipe that is ready takes it without blocking */
        size_t n;              /* bytes of it that are still to be passed on */
        int write_error;
} Remote;

int ssh_check_host(const char *host) {
        const char *at = strrchr(host, '@');

        for (const char *p = host; *p; p++)
                if ((unsigned char)*p <= ' ' || *p == '\x7f')
                        return ctl_fail(CTL_USAGE, "-H '%s': no host has a blank in its name",
                                        host);
        if (*host == '-' || *host == '@' || !*host || (at && (!at[1] || at[1] == '-')))
                return ctl_fail(CTL_USAGE, "-H '%s': wants [USER@]HOST", host);
        return CTL_DONE;
}

void ssh_greet(void) {
        putchar(SSH_GREETING);
        fflush(stdout);
}

static int make_command(const Remote *remote, const Strv *words, char **ret) {
        cleanup(strv_done) Strv all = STRV_NULL;
        int r;

        r = strv_add(&all, "wpcachectl");
        if (r >= 0)
                r = strv_add(&all, "--greet");
        if (r >= 0 && remote->ctl->terminal.color)
                r = strv_add(&all, SSH_COLOR);
        for (size_t i = 0; r >= 0 && i < words->n; i++)
                r = strv_add(&all, words->v[i]);
        if (r < 0)
                return r;
        *ret = words_quote(&all);
        return *ret ? 0 : -ENOMEM;
}

/* Runs in the child. -n: if a loop over hosts calls this, the loop keeps its stdin. */
static _Noreturn void run_ssh(const Remote *remote, const char *command, int output_fd,
                              pid_t parent) {
        const char *const argv[] = {
                "ssh",
                "-nT",
                "-x",
                "-a",
                "-oLogLevel=ERROR",
                "-oRemoteCommand=none",
                "-oClearAllForwardings=yes",
                /* a host that is down never closes the connection */
                "-oServerAliveInterval=15",
                "--",
                remote->host,
                command,
                NULL,
        };

        if (prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() != parent)
                _exit(SSH_FAILED);
        if (!remote->ctl->ignores_sigpipe)
                signal(SIGPIPE, SIG_DFL);
        sigprocmask(SIG_SETMASK, &remote->mask_before, NULL);
        if (dup2(output_fd, STDOUT_FILENO) >= 0)
                execvp(argv[0], (char *const *)argv);
        ctl_fail(0, "cannot run ssh: %s%s", error_text(errno),
                 errno == ENOENT ? "; apt-get install openssh-client" : "");
        _exit(SSH_NOT_RUN);
}

static int start_ssh(Remote *remote, const char *command) {
        cleanup_close int read_fd = -EBADF, write_fd = -EBADF;
        pid_t parent = getpid();
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        read_fd = fds[0];
        write_fd = fds[1];
        if (fcntl(read_fd, F_SETFL, O_NONBLOCK) < 0)
                return -errno;
        fflush(NULL);
        remote->pid = fork();
        if (remote->pid < 0)
                return -errno;
        if (remote->pid == 0)
                run_ssh(remote, command, write_fd, parent);
        remote->output_fd = TAKE_FD(read_fd);
        return 0;
}

static int ssh_catch_signals(Remote *remote) {
        static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

        return signals_catch(numbers, ELEMENTSOF(numbers), &remote->mask_before,
                             &remote->signal_fd);
}

/* Passes signals on. Ctrl-C of a terminal reached ssh(1) already. */
static void take_signals(Remote *remote) {
        struct signalfd_siginfo info;

        while (read(remote->signal_fd, &info, sizeof(info)) == sizeof(info)) {
                if (info.ssi_signo == SIGCHLD)
                        continue;
                if (remote->signal == 0)
                        remote->signal = (int)info.ssi_signo;
                if (info.ssi_code != SI_KERNEL)
                        kill(remote->pid, (int)info.ssi_signo);
        }
}

static void close_output(Remote *remote) {
        if (remote->output_fd >= 0)
                close(remote->output_fd);
        remote->output_fd = -EBADF;
        remote->n = 0;
}

static void take_greeting(Remote *remote) {
        char *greeting = memchr(remote->buffer, SSH_GREETING, remote->n);

        if (remote->greeted || !greeting)
                return;
        remote->greeted = true;
        remote->n--;
        memmove(greeting, greeting + 1, (size_t)(remote->buffer + remote->n - greeting));
}

/* Passes output on as far as stdout takes it without blocking. ssh(1) may have made stdout
 * non-blocking, if it is the same file as stderr. If nobody reads stdout, the pipe is closed, so
 * that ssh(1) and the remote wpcachectl learn of it. */
static void pass_output(Remote *remote) {
        struct pollfd out = { .fd = STDOUT_FILENO, .events = POLLOUT };
        ssize_t n;

        while (remote->output_fd >= 0) {
                if (remote->n == 0) {
                        n = read(remote->output_fd, remote->buffer, sizeof(remote->buffer));
                        if (n < 0 && errno == EINTR)
                                continue;
                        if (n < 0 && errno == EAGAIN)
                                return;
                        if (n <= 0) {
                                close_output(remote);
                                return;
                        }
                        remote->heard = true;
                        remote->n = (size_t)n;
                        take_greeting(remote);
                        continue;
                }
                if (poll(&out, 1, 0) <= 0)
                        return;
                n = write(STDOUT_FILENO, remote->buffer, remote->n);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return;
                if (n < 0) {
                        remote->write_error = errno == EPIPE ? 0 : errno;
                        close_output(remote);
                        return;
                }
                remote->n -= (size_t)n;
                memmove(remote->buffer, remote->buffer + n, remote->n);
        }
}

/* Waits until ssh(1) has ended and its output was passed on. Returns its exit status. */
static int attend_ssh(Remote *remote) {
        bool ended = false;
        int status = 0;

        for (;;) {
                struct pollfd fds[] = {
                        { .fd = remote->signal_fd, .events = POLLIN },
                        { .fd = remote->n == 0 ? remote->output_fd : -1, .events = POLLIN },
                        { .fd = remote->n > 0 ? STDOUT_FILENO : -1, .events = POLLOUT },
                };

                /* reads SIGCHLD before waitpid(2), so that no exit is missed */
                take_signals(remote);
                if (!ended)
                        ended = waitpid(remote->pid, &status, WNOHANG) > 0;
                pass_output(remote);
                if (ended && (remote->n == 0 || remote->signal != 0))
                        return WIFEXITED(status) ? WEXITSTATUS(status) : SSH_FAILED;
                poll(fds, ELEMENTSOF(fds), -1);
        }
}

static bool verb_acts(const char *verb) {
        return strcmp(verb, "clear") == 0 || strcmp(verb, "rollback") == 0 ||
               strcmp(verb, "reload") == 0;
}

/* Turns the exit status of ssh(1) into the verb's, and explains 255. */
static int ssh_exit_status(const Remote *remote, int status) {
        const char *host = remote->host, *verb = remote->verb;
        bool may_act = verb_acts(verb) && !remote->ctl->dry_run, goes_on = remote->heard && may_act;

        if (status == SSH_NOT_RUN && !remote->heard)
                return CTL_UNREACHABLE;
        if (!remote->greeted && (status == CTL_NOT_FOUND || status == CTL_NOT_EXECUTABLE))
                return ctl_fail(CTL_UNREACHABLE,
                                "%s cannot run wpcachectl; is it installed there, and in PATH?",
                                host);
        if (status == CTL_DONE && remote->write_error != 0)
                return ctl_fail(CTL_FAILED, "stdout did not take all of the output: %s",
                                error_text(remote->write_error));
        if (status != SSH_FAILED)
                return status;
        if (remote->signal != 0 && goes_on)
                ctl_fail(0,
                         "interrupted, but what was begun on %s goes on; wpcachectl -H %s "
                         "history tells how it ended",
                         host, host);
        else if (remote->signal != 0 && may_act)
                ctl_fail(0,
                         "interrupted; if %s was reached, what was begun there goes on; "
                         "wpcachectl -H %s history tells",
                         host, host);
        if (remote->signal != 0)
                return 128 + remote->signal;
        if (!remote->heard && may_act)
                return ctl_fail(CTL_UNREACHABLE,
                                "no answer from %s by ssh; if it was reached, wpcachectl -H %s "
                                "history tells",
                                host, host);
        if (!remote->heard)
                return ctl_fail(CTL_UNREACHABLE,
                                "no answer from %s by ssh; to find out why: ssh -v %s true", host,
                                host);
        if (goes_on)
                return ctl_fail(CTL_FAILED,
                                "lost %s during the %s; it may go on: wpcachectl -H %s history "
                                "tells how it ended",
                                host, verb, host);
        return ctl_fail(CTL_FAILED, "lost %s before it had answered in full", host);
}

int ssh_run(const Ctl *ctl, const char *host, const char *verb, const Strv *words) {
        Remote remote = {
                .ctl = ctl,
                .host = host,
                .verb = verb,
                .output_fd = -EBADF,
                .signal_fd = -EBADF,
        };
        cleanup_free char *command = NULL;
        int r;

        r = make_command(&remote, words, &command);
        if (r >= 0)
                r = ssh_catch_signals(&remote);
        if (r >= 0)
                r = start_ssh(&remote, command);
        if (r >= 0)
                r = ssh_exit_status(&remote, attend_ssh(&remote));
        else
                r = ctl_fail(CTL_FAILED, "cannot run ssh: %s", error_text(r));
        close_output(&remote);
        if (remote.signal_fd >= 0)
                close(remote.signal_fd);
        return r;
}
