/* SPDX-License-Identifier: Apache-2.0 */
/* The command-line tools as a person meets them. Arguments: cosmos-collect,
 * cosmos-score, cosmos-train, a model, a trace, an audit.log. */
#include <cosmos/trainer.h>
#include <gzip.h>
#include <support.h>

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>

using support::contains;
using support::File;

extern char **environ;

namespace
{

std::string collect, score, train, model, trace, audit_log;

using Arguments = std::vector<std::string>;

struct Result {
        int status; /* of exit; -N: signal N */
        std::string out, err;
};

/* A tool that runs, with files for its output and errors. */
class Process
{
      public:
        Process(const std::string &program, const Arguments &arguments, int in = -1, int out = -1)
        {
                posix_spawn_file_actions_t actions;
                std::vector<char *> argv = {const_cast<char *>(program.c_str())};

                for (const std::string &a : arguments)
                        argv.push_back(const_cast<char *>(a.c_str()));
                argv.push_back(nullptr);
                posix_spawn_file_actions_init(&actions);
                if (in >= 0)
                        posix_spawn_file_actions_adddup2(&actions, in, 0);
                else
                        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
                if (out >= 0)
                        posix_spawn_file_actions_adddup2(&actions, out, 1);
                else
                        posix_spawn_file_actions_addopen(&actions, 1, stdout_file.path(), O_WRONLY, 0);
                posix_spawn_file_actions_addopen(&actions, 2, stderr_file.path(), O_WRONLY, 0);
                EXPECT_EQ(posix_spawn(&pid, program.c_str(), &actions, nullptr, argv.data(), environ), 0);
                posix_spawn_file_actions_destroy(&actions);
        }
        ~Process()
        {
                if (pid > 0) {
                        kill(pid, SIGKILL);
                        waitpid(pid, nullptr, 0);
                }
        }
        Process(const Process &) = delete;
        Process &operator=(const Process &) = delete;

        void signal(int number) const
        {
                ASSERT_GT(pid, 0) << "0 would be all of us";
                kill(pid, number);
        }
        std::string output() const
        {
                return stdout_file.read();
        }
        Result wait()
        {
                int status = 0;

                EXPECT_EQ(waitpid(pid, &status, 0), pid);
                pid = 0;
                return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), stdout_file.read(),
                        stderr_file.read()};
        }

      private:
        File stdout_file, stderr_file;
        pid_t pid = 0;
};

Result run(const std::string &program, const Arguments &arguments, const std::string &input = "")
{
        File in(input);
        int fd = open(in.path(), O_RDONLY | O_CLOEXEC);
        Process p(program, arguments, fd);

        close(fd);
        return p.wait();
}

/* An error as a person should meet it: status 2, the tool's name, a text that is
 * fit for a terminal; never a signal. */
void expect_error(const Result &r, const std::vector<std::string> &words = {})
{
        EXPECT_EQ(r.status, 2) << r.err;
        EXPECT_EQ(r.out, "");
        EXPECT_TRUE(contains(r.err, "cosmos-")) << r.err;
        for (const std::string &word : words)
                EXPECT_TRUE(contains(r.err, word)) << "no '" << word << "' in: " << r.err;
        for (char c : r.err)
                EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f)) << "a control character in: " << r.err;
}

long count_lines(const std::string &text, const std::string &with = "")
{
        long n = 0;

        for (size_t at = 0, end; (end = text.find('\n', at)) != std::string::npos; at = end + 1)
                n += contains(text.substr(at, end - at), with);
        return n;
}

std::string line(int pid, const std::string &name, const std::string &more = "")
{
        return R"({"timestamp":"2026-11-23T04:20:11.123Z","pid":)" + std::to_string(pid) +
               R"(,"comm":"c","syscall":")" + name + "\"" + more + "}\n";
}

std::string read(const std::string &path)
{
        return File::read_all(path);
}

/* Wait until it is so, for ten seconds at most. */
bool until(const std::function<bool()> &is_so)
{
        for (int i = 0; i < 1000; i++) {
                if (is_so())
                        return true;
                usleep(10000);
        }
        return false;
}

struct Pipe {
        int fds[2];

        Pipe()
        {
                EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
        }
        ~Pipe()
        {
                shut(0);
                shut(1);
        }
        void shut(int end)
        {
                if (fds[end] >= 0)
                        close(fds[end]);
                fds[end] = -1;
        }
};

} // namespace

/* ---- arguments ---------------------------------------------------------------------------- */

TEST(Cli, HelpAndVersion)
{
        for (const std::string &tool : {collect, score, train}) {
                for (const char *option : {"--help", "-h"}) {
                        Result r = run(tool, {option});

                        EXPECT_EQ(r.status, 0);
                        EXPECT_TRUE(contains(r.out, "Usage: ") && contains(r.out, "Exit status")) << r.out;
                        EXPECT_EQ(r.err, "");
                }
                Result r = run(tool, {"--version"});
                EXPECT_EQ(r.status, 0);
                EXPECT_TRUE(contains(r.out, tool.substr(tool.rfind('/') + 1) + " ")) << r.out;
        }
}

TEST(Cli, BadArguments)
{
        for (const Arguments &a : std::vector<Arguments>{{},
                                                         {model},
                                                         {model, "-", trace, "-"},
                                                         {"--nonsense", model, trace},
                                                         {"-p"},
                                                         {"-p", "int4", model, trace},
                                                         {"--precision=", model, trace},
                                                         {"--calibrate", model, trace},
                                                         {"--calibrate", "-o", "x", "-t", "1", model, trace},
                                                         {"--calibrate", "-o", "x", "-a", model, trace},
                                                         {"--calibrate", "-o", "x", "-w", model, trace},
                                                         {"--calibrate", "-o", "x", "-j", "1", model, trace},
                                                         {"--calibrate", "-o", "x", "-q", "1", model, trace},
                                                         {"--calibrate", "-o", "x", "-q", "0", model, trace},
                                                         {"--calibrate", "-o", "x", "-q", "nan", model, trace},
                                                         {"-o", "x", model, trace},
                                                         {"-q", "0.9", model, trace},
                                                         {"-b", "1:2", model, trace},
                                                         {"-a", "-t", "1", model, trace},
                                                         {"-a", "-b", "1", model, trace},
                                                         {"-a", "-b", "2:1", model, trace},
                                                         {"-a", "-b", "1:", model, trace},
                                                         {"-a", "-b", ":2", model, trace},
                                                         {"-a", "-b", "1:2x", model, trace},
                                                         {"-a", "-b", "1:inf", model, trace},
                                                         {"-j", "0", model, trace},
                                                         {"-j", "-1", model, trace},
                                                         {"-j", "2x", model, trace},
                                                         {"-j", "", model, trace},
                                                         {"--jobs=99999999999999999999", model, trace},
                                                         {"-t"},
                                                         {"-t", "x", model, trace},
                                                         {"-t", "", model, trace},
                                                         {"-t", "1x", model, trace},
                                                         {"-t", "nan", model, trace},
                                                         {"-t", "inf", model, trace},
                                                         {"--threshold=-1e999", model, trace}}) {
                Result r = run(score, a);

                expect_error(r, {"Try 'cosmos-score --help'"});
        }
        for (const Arguments &a : std::vector<Arguments>{{"db"},
                                                         {"--nonsense"},
                                                         {"--duration", "0"},
                                                         {"--duration", "-1"},
                                                         {"--duration", "x"},
                                                         {"--duration", "1s"},
                                                         {"--duration", "nan"},
                                                         {"--backend", "ebpf"},
                                                         {"--backend", ""},
                                                         {"--with", "fd,nonsense"},
                                                         {"--with", "exe"},
                                                         {"--without", "fd"},
                                                         {"--calls"},
                                                         {"--calls", "read", "--replay", trace},
                                                         {"--with", "fd", "--replay", trace},
                                                         {"--without", "exe", "--replay", trace},
                                                         {"--backend", "audit", "--calls", "read"},
                                                         {"--with", "size", "--backend", "audit"},
                                                         {"--backend", "audit", "--without", "text"},
                                                         {"--replay"}}) {
                Result r = run(collect, a);

                expect_error(r, {"Try 'cosmos-collect --help'"});
        }
        for (const Arguments &a : std::vector<Arguments>{{},
                                                         {"-o"},
                                                         {"-o", "x"},
                                                         {trace},
                                                         {"-o", "x", "-", trace, "-"},
                                                         {"-o", trace, trace},
                                                         {"-o", "x", "-k", "x", trace},
                                                         {"-o", "x", "-k", trace, trace},
                                                         {"-o", "x", "-i", "y", "-k", "y", trace},
                                                         {"-o", "x", "--learn-anomalous", trace},
                                                         {"-o", "x", "--nonsense", trace},
                                                         {"-o", "x", "-f", "name,nonsense", trace},
                                                         {"-o", "x", "-f", "", trace},
                                                         {"-o", "x", "-u", "natural", trace},
                                                         {"-o", "x", "--layers", "0", trace},
                                                         {"-o", "x", "--layers", "9", trace},
                                                         {"-o", "x", "--units", "4097", trace},
                                                         {"-o", "x", "--units", "1x", trace},
                                                         {"-o", "x", "--embedding=", trace},
                                                         {"-o", "x", "--epochs", "-1", trace},
                                                         {"-o", "x", "--epochs", "1e3", trace},
                                                         {"-o", "x", "--batch", "4294967297", trace},
                                                         {"-o", "x", "--keep", "99999999999999999999", trace},
                                                         {"-o", "x", "--window", "0", trace},
                                                         {"-o", "x", "--hop", "101", trace},
                                                         {"-o", "x", "-j", "0", trace},
                                                         {"-o", "x", "-s", "-1", trace},
                                                         {"-o", "x", "-s", "18446744073709551616", trace},
                                                         {"-o", "x", "--learning-rate", "0", trace},
                                                         {"-o", "x", "--learning-rate", "nan", trace},
                                                         {"-o", "x", "--dropout", "1", trace},
                                                         {"-o", "x", "--dropout", "-0.1", trace},
                                                         {"-o", "x", "-q", "0", trace},
                                                         {"-o", "x", "-q", "1.1", trace},
                                                         {"-o", "x", "-q", "", trace},
                                                         {"-o", "x", "--margin", "inf", trace},
                                                         {"-o", "x", "--margin", "-1", trace}}) {
                Result r = run(train, a);

                expect_error(r, {"Try 'cosmos-train --help'"});
        }
        Arguments many = {"--replay", trace};
        for (int i = 0; i < 300; i++)
                many.insert(many.end(), {"-c", "name"});
        expect_error(run(collect, many), {"256"});
}

/* As a shell makes it of a variable that is not set. */
TEST(Cli, AnEmptyListIsNotEverything)
{
        for (const char *option : {"--calls", "--with", "--without"})
                for (const char *list : {"", ","}) {
                        Result r = run(collect, {option, list, "--replay", trace});

                        EXPECT_EQ(r.status, 2) << option << " '" << list << "': " << r.err;
                }
}

/* ---- cosmos-train ------------------------------------------------------------------------- */

/* What the help of cosmos-train says behind "Default: " of an option. */
static std::string default_of(const std::string &help, const std::string &option)
{
        const size_t at = help.find(" --" + option + " "), from = help.find("Default: ", at);

        EXPECT_NE(at, std::string::npos) << option;
        if (from == std::string::npos)
                return "";
        return help.substr(from + 9, help.find('\n', from) - from - 9);
}

TEST(CliTrain, TheHelpSaysTheDefaultsThatThereAre)
{
        const std::string help = run(train, {"--help"}).out;
        char scheme[COSMOS_TOKEN_SCHEME_TEXT];
        cosmos_trainer_options o;

        cosmos_trainer_options_init(&o);
        EXPECT_EQ(default_of(help, "fields"), cosmos_token_scheme_text(&o.tokens, scheme, sizeof(scheme)));
        EXPECT_TRUE(contains(help, "chunks of " + std::to_string(o.length) + " calls"));
        EXPECT_EQ(o.threads, 0u) << "one for each processor";
        for (const auto &[option, value] :
             std::vector<std::pair<const char *, double>>{{"layers", o.n_layers},
                                                          {"units", o.units[0]},
                                                          {"embedding", o.embedding},
                                                          {"epochs", o.epochs},
                                                          {"batch", o.batch},
                                                          {"learning-rate", o.learning_rate},
                                                          {"dropout", o.dropout},
                                                          {"keep", o.keep},
                                                          {"seed", static_cast<double>(o.seed)},
                                                          {"window", o.window},
                                                          {"hop", o.hop},
                                                          {"quantile", o.quantile},
                                                          {"margin", o.margin}}) {
                const std::string said = default_of(help, option);

                EXPECT_EQ(std::strtod(said.c_str(), nullptr), value) << "--" << option << ": " << said;
                EXPECT_TRUE(!said.empty() && said.find_first_not_of("0123456789.") == std::string::npos) << said;
        }
}

TEST(CliTrain, RefusesWhatItCannotLearnFromAndLeavesWhatWasThere)
{
        File old("old"), empty(""), few(line(5, "read"));

        expect_error(run(train, {"-o", old.path(), "/none"}), {"/none"});
        expect_error(run(train, {"-o", old.path(), empty.path()}), {empty.path(), "empty"});
        expect_error(run(train, {"-o", old.path(), few.path()}), {"1 call", "too few", "at least"});
        expect_error(run(train, {"-o", old.path(), "-i", "/none", trace}), {"/none"});
        expect_error(run(train, {"-o", old.path(), "-i", "/", trace}), {"directory"});
        expect_error(run(train, {"-o", old.path(), "-i", empty.path(), trace}), {empty.path()});
        expect_error(run(train, {"-o", old.path(), "-i", trace, trace}), {trace});
        expect_error(run(train, {"-o", "/none/model", trace}), {"/none/model", "can't be written"});
        expect_error(run(train, {"-o", "/", trace}), {"can't be written"});
        expect_error(run(train, {"-o", old.path(), "-k", "/none/state", trace}), {"/none/state", "can't be written"});
        EXPECT_EQ(old.read(), "old");
}

/* ---- cosmos-score ------------------------------------------------------------------------- */

TEST(CliScore, ExitsByTheVerdict)
{
        Result normal = run(score, {"-t", "100", model, trace}), anomalous = run(score, {"-t", "0", model, trace});

        EXPECT_EQ(normal.status, 0) << normal.err;
        EXPECT_TRUE(contains(normal.err, "verdict: normal")) << normal.err;
        EXPECT_EQ(count_lines(normal.out), count_lines(normal.out, "\"verdict\":\"normal\""));
        EXPECT_EQ(anomalous.status, 1) << anomalous.err;
        EXPECT_TRUE(contains(anomalous.err, "verdict: ANOMALOUS")) << anomalous.err;
        EXPECT_EQ(count_lines(anomalous.out), count_lines(anomalous.out, "\"verdict\":\"anomalous\""));
        EXPECT_GT(count_lines(anomalous.out), 2);
        EXPECT_EQ(count_lines(anomalous.out, "\"type\":\"score\""), count_lines(anomalous.out));
}

TEST(CliScore, SaysWhyIfAsked)
{
        Result without = run(score, {"-t", "0", model, trace}), with = run(score, {"--why", "-t", "0", model, trace});

        EXPECT_EQ(count_lines(without.out, "\"why\":"), 0);
        EXPECT_EQ(count_lines(with.out, "\"why\":["), count_lines(with.out));
        EXPECT_EQ(count_lines(with.out), count_lines(without.out));
        EXPECT_TRUE(contains(with.err, "expected ")) << with.err;
}

TEST(CliScore, ReadsStandardInput)
{
        Result file = run(score, {"-t", "1", model, trace}), in = run(score, {"-t", "1", model, "-"}, read(trace));

        EXPECT_EQ(in.status, file.status);
        EXPECT_EQ(in.out, file.out);
        EXPECT_FALSE(file.out.empty());
}

TEST(CliScore, GivesVerdictsWhileItsInputGoesOn)
{
        Pipe pipe;
        Process p(score, {"-t", "0", model, "-"}, pipe.fds[0]);

        pipe.shut(0);
        for (int i = 0; i < 10; i++) /* the model's window */
                File::put(pipe.fds[1], line(5, "read"));
        EXPECT_TRUE(until([&] { return count_lines(p.output()) == 1; })) << p.output();
        p.signal(SIGINT); /* is the collector's: the end of its output is ours */
        usleep(50000);
        File::put(pipe.fds[1], line(5, "read"));
        pipe.shut(1);
        Result r = p.wait();
        EXPECT_EQ(r.status, 1);
        EXPECT_EQ(count_lines(r.out), 2);
        EXPECT_EQ(count_lines(r.out, "\"end\":\"end_of_trace\""), 1);
}

TEST(CliScore, ASecondSignalEndsIt)
{
        Pipe pipe;
        Process p(score, {"-t", "0", model, "-"}, pipe.fds[0]);

        for (int i = 0; i < 10; i++)
                File::put(pipe.fds[1], line(5, "read"));
        EXPECT_TRUE(until([&] { return count_lines(p.output()) == 1; }));
        p.signal(SIGINT);
        usleep(100000);
        p.signal(SIGTERM);
        Result r = p.wait();
        EXPECT_EQ(r.status, 1) << r.err;
        EXPECT_TRUE(contains(r.err, "verdict: ANOMALOUS")) << r.err;
}

/* The scores of `path` alone, with the name that they have among others. */
std::string named(const std::string &path, const std::string &name)
{
        std::string out = run(score, {"-t", "1", model, path}).out;

        for (size_t at = 0; (at = out.find(",\"model\":", at)) != std::string::npos;) {
                const std::string with = ",\"trace\":\"" + name + "\"";

                out.insert(at, with);
                at += with.size() + 1;
        }
        return out;
}

TEST(CliScore, SeveralTracesInTheirOrderWhicheverIsDoneFirst)
{
        std::string much;

        for (int i = 0; i < 3000; i++)
                much += line(1 + i % 7, "read");
        File big(much), small(line(5, "open"));
        const std::string expected = named(big.path(), big.path()) + named(trace, trace) +
                                     named(small.path(), small.path()) + named(trace, trace);

        for (const char *jobs : {"1", "2", "4", "128"}) {
                Result r = run(score, {"-t", "1", "-j", jobs, model, big.path(), trace, small.path(), trace});

                EXPECT_EQ(r.out, expected) << jobs;
                EXPECT_EQ(r.status, 1) << r.err;
                EXPECT_TRUE(contains(r.err, "4 traces: ")) << r.err;
        }
}

TEST(CliScore, MoreTracesThanAreHeldAtATime)
{
        Arguments a = {"-t", "1", "-j", "3", model};
        const std::string one = named(trace, trace);
        std::string expected;

        for (int i = 0; i < 300; i++) {
                a.push_back(trace);
                expected += one;
        }
        Result r = run(score, a);

        EXPECT_EQ(r.out, expected);
        EXPECT_TRUE(contains(r.err, "300 traces: ")) << r.err;
}

TEST(Cli, AnOptionAsItWasTypedIsPrintable)
{
        for (const std::string &program : {collect, score})
                for (const char *option : {"--backend", "--precision", "--calls"}) {
                        Result r = run(program, {option, "\x1b[31m\xff\n"});

                        EXPECT_EQ(r.status, 2);
                        EXPECT_FALSE(contains(r.err, "\x1b") || contains(r.err, "\xff")) << r.err;
                }
        EXPECT_TRUE(contains(run(collect, {"--backend", "\x1b[31m"}).err, "'?[31m'"));
        EXPECT_TRUE(contains(run(score, {"--precision", "\x1b[31m"}).err, "'?[31m'"));
}

TEST(CliScore, ATraceThatFailsCostsNoOther)
{
        Result r = run(score, {"-t", "1", model, trace, "/nonexistent/\x1b", "-", trace}, line(9, "read"));

        EXPECT_EQ(r.status, 2);
        EXPECT_EQ(count_lines(r.out, "\"trace\":\"" + trace + "\""), 2 * count_lines(named(trace, "")));
        EXPECT_EQ(count_lines(r.out, "\"trace\":\"-\""), 1);
        EXPECT_TRUE(contains(r.err, "cannot open") && contains(r.err, "1 failed")) << r.err;
        EXPECT_FALSE(contains(r.err, "\x1b")) << r.err;
        expect_error(run(score, {"-t", "1", model, "/nonexistent", "/nonexistent"}), {"/nonexistent"});
}

TEST(CliScore, SaysOnceThatSeveralCannotBeWritten)
{
        int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
        Process p(score, {"-t", "1", model, trace, trace, trace}, -1, full);
        Result r = p.wait();

        close(full);
        EXPECT_EQ(r.status, 2);
        EXPECT_EQ(count_lines(r.err, "No space left on device"), 1) << r.err;
}

/* With a shell's redirections. */
Result in_shell(const std::string &command, Arguments arguments)
{
        arguments.insert(arguments.begin(), {"-c", command, score});
        return run("/bin/sh", arguments);
}

TEST(CliScore, AClosedStandardOutputIsAnError)
{
        for (const Arguments &a : {Arguments{"-t", "1", model, trace}, Arguments{"-t", "1", model, trace, trace}}) {
                Result r = in_shell("exec \"$0\" \"$@\" >&-", a);

                EXPECT_EQ(r.status, 2) << r.err;
                EXPECT_TRUE(contains(r.err, "Bad file descriptor")) << r.err;
        }
}

TEST(CliScore, WhatHasNoRoomForItsScoresCostsNoOther)
{
        std::string much;

        for (int i = 0; i < 5000; i++)
                much += line(7, "read");
        File big(much);
        Result r = in_shell("(ulimit -f 24; trap '' XFSZ; \"$0\" \"$@\"; echo \"status $?\" >&2) | cat",
                            {"-t", "1", model, big.path(), trace});

        EXPECT_TRUE(contains(r.err, "status 2")) << r.err;
        EXPECT_TRUE(contains(r.err, std::string(big.path()) + ": ") && contains(r.err, "File too large")) << r.err;
        EXPECT_TRUE(contains(r.out, named(trace, trace)));
        EXPECT_EQ(count_lines(r.out), count_lines(r.out, "{\"timestamp\""));
        EXPECT_EQ(count_lines(r.out), count_lines(r.out, "\"model\":\"" + model + "\"}"));
}

TEST(CliScore, NothingIsScoredForAnOutputThatIsGone)
{
        int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
        Pipe pipe; /* which never ends */
        Process p(score, {"-t", "1", "-j", "2", model, trace, "-"}, pipe.fds[0], full);

        close(full);
        EXPECT_EQ(p.wait().status, 2);
}

TEST(CliScore, InThePrecisionThatIsAskedFor)
{
        const std::string f32 = run(score, {"-t", "1", "-p", "f32", model, trace}).out;

        EXPECT_EQ(run(score, {"-t", "1", model, trace}).out, f32) << "as the file has it";
        Result r = run(score, {"-t", "1", "--precision", "int8", model, trace});
        EXPECT_NE(r.out, f32);
        EXPECT_EQ(count_lines(r.out), count_lines(f32));
}

TEST(CliScore, OnlyOfTheContainersThatAreChosen)
{
        Result all = run(score, {"-t", "1", model, trace}), web = run(score, {"-c", "web", "-t", "1", model, trace}),
               none = run(score, {"-c", "nobody", "-t", "1", model, trace});

        EXPECT_EQ(web.out, all.out) << "the trace is of one container";
        EXPECT_EQ(none.out, "");
        EXPECT_EQ(none.status, 2) << "what was not looked at is not normal";
        EXPECT_TRUE(contains(none.err, "nothing could be scored")) << none.err;
}

TEST(CliScore, SaysThatGapsAreIndeterminate)
{
        std::string text;

        for (int i = 0; i < 5; i++)
                text += line(5, "read");
        text += R"({"timestamp":"2026-11-23T04:20:12Z","type":"loss","kind":"kernel_lost","count":3})"
                "\n";
        Result r = run(score, {"-t", "0", model, "-"}, text);
        EXPECT_EQ(r.status, 2) << "neither normal nor anomalous";
        EXPECT_EQ(count_lines(r.out, "\"verdict\":\"indeterminate\""), 1);
        EXPECT_TRUE(contains(r.err, "1 gaps")) << r.err;
}

TEST(CliScore, RefusesWhatDoesNotFit)
{
        std::string bytes = read(model);
        const size_t at = bytes.find("cosmos.threshold");

        EXPECT_EQ(run(score, {model, trace}).status, 1) << "its own threshold";
        ASSERT_NE(at, std::string::npos);
        bytes[at] = 'C'; /* a key of somebody else's */
        File without(bytes);
        expect_error(run(score, {without.path(), trace}), {without.path(), "threshold"});
        EXPECT_EQ(run(score, {"-t", "100", without.path(), trace}).status, 0);
        expect_error(run(score, {"-t", "1", model, "-"},
                         R"({"timestamp":"2026-11-23T04:20:11Z","type":"trace","format":1,"source":"bpf"})"
                         "\n"),
                     {"bpf", "audit"});
        expect_error(run(score, {"-t", "1", model, "-"},
                         R"({"timestamp":"2026-11-23T04:20:11Z","type":"trace","format":2})"
                         "\n"),
                     {"standard input:1", "format 2"});
}

TEST(CliScore, SaysWhenItsOutputCannotBeWritten)
{
        int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

        if (full < 0)
                GTEST_SKIP() << "no /dev/full";
        Process p(score, {"-t", "1", model, trace}, -1, full);
        Result r = p.wait();
        expect_error(r, {"write", "space"});
        close(full);
}

TEST(CliScore, WhatAProcessChoseDoesNotReachTheTerminal)
{
        std::string text;

        for (int i = 0; i < 3; i++)
                text += R"({"timestamp":"2026-11-23T04:20:11Z","pid":5,"comm":"\u001b[2Jc","syscall":"\u001b[31mx",)"
                        R"("path":"\u001b]0;title\u0007","container_name":"\u001b[1mn","container_id":"\n"})"
                        "\n";
        Result r = run(score, {"--why", "-t", "0", model, "-"}, text);
        EXPECT_EQ(r.status, 1);
        EXPECT_TRUE(contains(r.err, "worst")) << r.err;
        for (char c : r.err + r.out)
                ASSERT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f)) << r.err;
}

/* ---- bad models --------------------------------------------------------------------------- */

TEST(CliBadModel, ThatIsNone)
{
        File empty, text("this is not a model\n"), zeros(std::string(5000, '\0'));

        expect_error(run(score, {"-t", "1", "/nowhere/model.bin", trace}), {"/nowhere/model.bin", "No such file"});
        expect_error(run(score, {"-t", "1", "/tmp", trace}), {"/tmp"});
        for (const File *file : {&empty, &text, &zeros})
                expect_error(run(score, {"-t", "1", file->path(), trace}), {file->path()});
        expect_error(run(score, {"-t", "1", trace, model}), {trace});
}

TEST(CliBadModel, ThatIsCutOff)
{
        const std::string whole = read(model);

        ASSERT_GT(whole.size(), 4000u);
        for (size_t n = 0; n < whole.size(); n = n < 24 ? n + 1 : n + 61) {
                File cut(whole.substr(0, n));

                expect_error(run(score, {"-t", "1", cut.path(), trace}), {cut.path()});
        }
}

TEST(CliBadModel, WhoseHeaderIsDamaged)
{
        const std::string whole = read(model);
        const size_t header = 8 + static_cast<unsigned char>(whole[0]) + 256 * static_cast<unsigned char>(whole[1]);

        ASSERT_LT(header, whole.size());
        for (size_t at = 0; at < header; at = at < 16 ? at + 1 : at + 17) {
                std::string bytes = whole;

                bytes[at] = static_cast<char>(bytes[at] ^ 0x15);
                File damaged(bytes);
                Result r = run(score, {"-t", "1", damaged.path(), trace});
                /* A damaged free text (a tool's version) is no error. */
                EXPECT_TRUE(r.status == 0 || r.status == 1 || r.status == 2) << at << ": " << r.status;
                if (r.status == 2)
                        expect_error(r);
        }
}

TEST(CliBadModel, WithAWeightThatIsNoNumber)
{
        std::string bytes = read(model);

        bytes.replace(bytes.size() - 4, 4, "\xff\xff\xff\xff");
        File nan(bytes);
        expect_error(run(score, {"-t", "1", nan.path(), trace}), {nan.path(), "tensor", "not a finite number"});
}

TEST(CliBadModel, OfAVocabularyThatDoesNotMatch)
{
        std::string bytes = read(model);
        const size_t at = bytes.find("\\\"openat\\\"");

        ASSERT_NE(at, std::string::npos);
        bytes.replace(at, 10, "\\\"ope\\\",\\\"");
        File more(bytes);
        expect_error(run(score, {"-t", "1", more.path(), trace}), {more.path()});
}

/* ---- bad traces ---------------------------------------------------------------------------- */

TEST(CliBadTrace, ThatIsNone)
{
        File empty, blank("\n\n"), rubbish("hello\nworld\n"), binary(std::string("\0\xff\x01\n\x80", 5));

        for (const Arguments &before : std::vector<Arguments>{{score, "-t", "1", model}, {collect, "--replay"}}) {
                auto with = [&](const std::string &path) {
                        Arguments a(before.begin() + 1, before.end());

                        a.push_back(path);
                        return run(before[0], a);
                };

                expect_error(with("/nowhere/trace.jsonl"), {"/nowhere/trace.jsonl", "No such file"});
                expect_error(with("/tmp"), {"/tmp", "folder"});
                expect_error(with(empty.path()), {empty.path(), "empty", "expected a trace"});
                expect_error(with(blank.path()), {blank.path(), "empty"});
                expect_error(with(rubbish.path()), {std::string(rubbish.path()) + ":1: ", "none of its 2 lines"});
                expect_error(with(binary.path()), {std::string(binary.path()) + ":1: "});
        }
}

TEST(CliBadTrace, SkippedLinesAreCountedAndNumbered)
{
        const std::vector<std::pair<std::string, std::string>> bad = {
            {"{\"timestamp\":\n", "JSON"},
            {line(5, "read", ",\"ret\":\"x\""), "\"ret\""},
            {line(5, "read", ",\"args\":[1]"), "\"args\""},
            {std::string("{\"a\":\"\0\"}\n", 10), "NUL"},
            {line(5, "re\\u0000ad"), "JSON"},
            {"[1,2,3]\n", "'{' was expected"},
            {std::string(10000000, 'x') + "\n", "JSON"},
            {std::string(20000000, 'x') + "\n", "16 MiB"},
            {"{\"a\":" + std::string(5000, '[') + "\n", "JSON"},
        };

        for (const auto &[text, word] : bad)
                for (bool last : {false, true}) {
                        File file(line(5, "read") + text + (last ? "" : line(6, "read")));
                        Result r = run(score, {"-t", "100", model, file.path()});

                        EXPECT_EQ(r.status, last ? 2 : 0) << r.err; /* the only call stands before a gap */
                        EXPECT_TRUE(contains(r.err, std::string(file.path()) + ":2: ")) << r.err;
                        EXPECT_TRUE(contains(r.err, word)) << r.err;
                        EXPECT_TRUE(contains(r.err, "1 calls in 1 sequences") == last) << r.err;
                        r = run(collect, {"--replay", file.path()});
                        EXPECT_EQ(r.status, 0) << r.err;
                        EXPECT_TRUE(contains(r.err, "1 malformed")) << r.err;
                        EXPECT_EQ(count_lines(r.out, "\"syscall\""), last ? 1 : 2);
                }
}

TEST(CliBadTrace, ManySkippedLinesAreSummedUp)
{
        std::string text = line(5, "read");

        for (int i = 0; i < 1000; i++)
                text += "rubbish\n";
        Result r = run(score, {"-t", "100", model, "-"}, text);
        EXPECT_EQ(r.status, 2) << "the only call stands before a gap";
        EXPECT_EQ(count_lines(r.err, "line skipped"), 20);
        EXPECT_TRUE(contains(r.err, "1000 lines skipped in all")) << r.err;
}

/* ---- cosmos-collect ------------------------------------------------------------------------- */

TEST(CliCollect, ConvertsALogOfAuditd)
{
        Result r = run(collect, {"--replay", audit_log});

        EXPECT_EQ(r.status, 0) << r.err;
        EXPECT_TRUE(contains(r.err, "20 calls written")) << r.err;
        EXPECT_EQ(count_lines(r.out, "\"syscall\":"), 20);
        EXPECT_EQ(count_lines(r.out), 21) << "and the head";
        EXPECT_TRUE(contains(r.out.substr(0, r.out.find('\n')), "\"source\":\"audit\"")) << r.out;
        EXPECT_EQ(count_lines(r.out, "\"argv\":\"sh -c ls -l\""), 1);
        EXPECT_EQ(count_lines(r.out, "\"path\":\"/tmp/a b\\\"\""), 1) << "and not its folder";
        EXPECT_EQ(count_lines(r.out, "\"addr\":\"192.0.2.1:80\""), 1);
        EXPECT_EQ(count_lines(r.out, "\"exe\":\"/tmp/my sh\""), 4);
        EXPECT_EQ(count_lines(r.out, "\"ret\":-2,"), 2);
        EXPECT_EQ(count_lines(r.out, "\"ret\":"), 19) << "exit_group has none";
        EXPECT_FALSE(contains(r.err, "malformed")) << r.err;
}

TEST(CliCollect, ItsOwnTraceStaysAsItIs)
{
        for (const std::string &source : {audit_log, trace}) {
                Result once = run(collect, {"--replay", source}), twice = run(collect, {"--replay", "-"}, once.out);

                EXPECT_GT(count_lines(once.out), 10);
                EXPECT_EQ(twice.status, 0);
                EXPECT_EQ(twice.out, once.out);
        }
}

TEST(CliCollect, WritesToAFileThatIsItsOwnersAlone)
{
        const std::string path = "/tmp/cosmos-test-output-" + std::to_string(getpid());
        Result out = run(collect, {"--replay", audit_log}),
               file = run(collect, {"--replay", audit_log, "--output", path});
        struct stat st = {};

        EXPECT_EQ(file.status, 0) << file.err;
        EXPECT_EQ(file.out, "");
        EXPECT_EQ(read(path), out.out);
        EXPECT_EQ(stat(path.c_str(), &st), 0);
        EXPECT_EQ(st.st_mode & 0777, 0600u);
        EXPECT_EQ(run(collect, {"--replay", trace, "-o", path}).status, 0);
        EXPECT_EQ(read(path), run(collect, {"--replay", trace}).out) << "what was there is gone";
        unlink(path.c_str());
        expect_error(run(collect, {"--replay", trace, "-o", "/nowhere/at/all"}), {"/nowhere/at/all", "cannot create"});
}

TEST(CliCollect, DoesNotDestroyWhatItCannotReplace)
{
        File old("precious\n"), own(read(trace));

        expect_error(run(collect, {"--replay", "/nowhere/trace", "-o", old.path()}), {"/nowhere/trace"});
        EXPECT_EQ(old.read(), "precious\n");
        expect_error(run(collect, {"--replay", own.path(), "-o", own.path()}), {own.path(), "input"});
        EXPECT_EQ(own.read(), read(trace));
}

TEST(CliCollect, OnlyTheContainersThatAreChosen)
{
        EXPECT_EQ(count_lines(run(collect, {"--replay", trace, "-c", "c0ffee"}).out, "\"syscall\""),
                  count_lines(read(trace), "\"syscall\""));
        EXPECT_EQ(count_lines(run(collect, {"--replay", trace, "-c", "nobody"}).out, "\"syscall\""), 0);
        expect_error(run(collect, {"--replay", trace, "-c", ""}));
}

TEST(CliCollect, GivesTheSameScoresInAPipe)
{
        Pipe pipe;
        Process scorer(score, {"-w", "-t", "1", model, "-"}, pipe.fds[0]);
        Process collector(collect, {"--replay", trace}, -1, pipe.fds[1]);

        pipe.shut(0);
        pipe.shut(1);
        EXPECT_EQ(collector.wait().status, 0);
        Result piped = scorer.wait(), direct = run(score, {"-w", "-t", "1", model, trace});
        EXPECT_EQ(piped.status, direct.status);
        EXPECT_EQ(piped.out, direct.out);
        EXPECT_FALSE(direct.out.empty());
}

TEST(CliCollect, AReaderMayHaveHadEnough)
{
        std::string text;
        Pipe pipe;

        for (int i = 0; i < 20000; i++)
                text += line(5, "read");
        File file(text);
        Process p(collect, {"--replay", file.path()}, -1, pipe.fds[1]);
        char some[10];
        pipe.shut(1);
        EXPECT_EQ(::read(pipe.fds[0], some, sizeof(some)), 10);
        pipe.shut(0);
        Result r = p.wait();
        EXPECT_EQ(r.status, 0) << r.err;
}

TEST(CliCollect, SaysWhenItsOutputCannotBeWritten)
{
        int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

        if (full < 0)
                GTEST_SKIP() << "no /dev/full";
        Process p(collect, {"--replay", trace}, -1, full);
        expect_error(p.wait(), {"write", "space"});
        close(full);
}

TEST(CliCollect, EndsAtItsTimeOrASignalWithAllThatItHad)
{
        for (int number : {0, SIGINT, SIGTERM, SIGHUP}) {
                Pipe pipe;
                Process p(collect,
                          number ? Arguments{"--replay", "-"} : Arguments{"--replay", "-", "--duration", "0.3"},
                          pipe.fds[0]);

                File::put(pipe.fds[1], line(5, "read") + line(6, "read") + "{\"cut");
                EXPECT_TRUE(until([&] { return count_lines(p.output()) == 2; })) << number;
                if (number)
                        p.signal(number);
                Result r = p.wait();
                EXPECT_EQ(r.status, 0) << r.err;
                EXPECT_EQ(count_lines(r.out), 2);
                EXPECT_TRUE(contains(r.err, "2 calls written")) << r.err;
        }
}

TEST(CliGzip, ScoresWhatIsCompressed)
{
        for (const std::string &path : {trace, audit_log}) {
                const std::string content = read(path);
                const std::string packed = support::gzip(content.substr(0, 1000)) + support::gzip(content.substr(1000));
                File file(packed);
                Result plain = run(score, {model, path});

                for (const Result &r : {run(score, {model, file.path()}), run(score, {model, "-"}, packed)}) {
                        EXPECT_EQ(r.status, plain.status) << r.err;
                        EXPECT_EQ(r.out, plain.out);
                        EXPECT_EQ(r.err, plain.err);
                }
                EXPECT_EQ(run(collect, {"--replay", file.path()}).out, run(collect, {"--replay", path}).out);
        }
}

TEST(CliGzip, WhatIsCutIsAnErrorAfterTheScoresBefore)
{
        const std::string packed = support::gzip(read(trace));
        File file(packed.substr(0, packed.size() - 1));
        Result plain = run(score, {model, trace}), r = run(score, {model, file.path()});

        EXPECT_EQ(r.status, 2);
        EXPECT_FALSE(r.out.empty());
        EXPECT_EQ(plain.out.substr(0, r.out.size()), r.out);
        EXPECT_TRUE(contains(r.err, std::string(file.path()) + ": after ")) << r.err;
        EXPECT_TRUE(contains(r.err, "it ends within its gzip data")) << r.err;
}

/* ---- the threshold ---------------------------------------------------------------------------- */

namespace
{

/* `n` processes, of one call each or two; of which image, says the container's id: the first two thirds are of a. */
std::string many_processes(int n)
{
        static const char *const names[] = {"read", "write", "openat", "close", "ptrace"};
        std::string out;

        for (int pid = 1; pid <= n; pid++) {
                const std::string image = pid * 3 <= n * 2 ? "a" : "b";
                const std::string more = ",\"container_id\":\"" + std::string(64, image[0]) + "\",\"image\":\"" +
                                         image + ":1\",\"proc_start\":" + std::to_string(pid);

                out += line(pid, names[pid * 7 % 5], more);
                if (pid % 3 == 0)
                        out += line(pid, names[pid * 11 % 4], more);
        }
        return out;
}

std::string value(const std::string &line, const std::string &key)
{
        const size_t at = line.find("\"" + key + "\":");

        return at == std::string::npos ? "" : line.substr(at, line.find_first_of(",}", at) - at);
}

/* Of each line, what differs among them. */
std::vector<std::string> values(const std::string &lines, const std::string &key)
{
        std::vector<std::string> out;

        for (size_t at = 0, end; (end = lines.find('\n', at)) != std::string::npos; at = end + 1) {
                const std::string found = value(lines.substr(at, end - at), key);

                if (std::find(out.begin(), out.end(), found) == out.end())
                        out.push_back(found);
        }
        return out;
}

} // namespace

TEST(CliCalibrate, WritesACopyWithAThresholdForEachImage)
{
        File benign(many_processes(300)), copy;
        const std::string before = read(model);
        Result r = run(score, {"--calibrate", "-q", "0.9", "-o", copy.path(), model, benign.path()});

        EXPECT_EQ(r.status, 0) << r.err;
        EXPECT_EQ(r.out, "");
        for (const char *words :
             {"threshold: ", "0.9 of 300 windows; with 95% confidence between ", "image a:1: ", "0.9 of 200 windows",
              "image b:1: ", "0.9 of 100 windows", "the model's own was 1.5", " is written"})
                EXPECT_TRUE(contains(r.err, words)) << "no '" << words << "' in: " << r.err;
        EXPECT_EQ(read(model), before);
        EXPECT_TRUE(contains(copy.read(), "cosmos.thresholds"));
        EXPECT_EQ(copy.read().substr(copy.read().size() - 100), before.substr(before.size() - 100));

        Result scored = run(score, {copy.path(), benign.path()});
        EXPECT_EQ(scored.status, 1);
        EXPECT_LE(count_lines(scored.out, "\"anomalous\""), 30);
        EXPECT_LE(values(scored.out, "threshold").size(), 2u);
        Result fixed = run(score, {"-t", "0.5", copy.path(), benign.path()});
        EXPECT_EQ(values(fixed.out, "threshold"), std::vector<std::string>{"\"threshold\":0.5"});

        r = run(score, {"--calibrate", "-o", copy.path(), copy.path(), benign.path(), benign.path()});
        EXPECT_EQ(r.status, 0) << r.err;
        EXPECT_TRUE(contains(r.err, "0.9 of 600 windows")) << "the quantile is the model's: " << r.err;
}

TEST(CliCalibrate, AnImageOfFewWindowsIsJudgedByTheGeneralOne)
{
        File benign(many_processes(300)), copy;
        Result r = run(score, {"--calibrate", "-q", "0.995", "-o", copy.path(), model, benign.path()});

        EXPECT_EQ(r.status, 0) << r.err;
        EXPECT_TRUE(contains(r.err, "image a:1: ")) << r.err;
        EXPECT_TRUE(contains(r.err, "image b:1: 100 windows are too few for one of its own")) << r.err;
        EXPECT_TRUE(contains(r.err, "and more: too few windows to say how much")) << r.err;
}

TEST(CliCalibrate, RefusesWhatIsTooLittle)
{
        File benign(many_processes(300)), few(many_processes(9)), old("old");

        expect_error(run(score, {"--calibrate", "-o", old.path(), model, benign.path()}),
                     {"300 windows", "0.999 needs 1000", "nothing is written"});
        expect_error(run(score, {"--calibrate", "-q", "0.5", "-o", old.path(), model, few.path()}), {"needs 10"});
        expect_error(run(score, {"--calibrate", "-q", "0.5", "-o", old.path(), model, benign.path(), "/none"}),
                     {"/none"});
        expect_error(run(score, {"--calibrate", "-q", "0.5", "-o", old.path(), trace, benign.path()}), {"model"});
        EXPECT_EQ(old.read(), "old");
}

/* A limit on a file's size is a full disk that needs no rights. */
TEST(CliCalibrate, AFullDiskLeavesTheModel)
{
        const std::string before = read(model);
        File benign(many_processes(300)), copy(before);
        struct rlimit old, small;
        auto *handler = signal(SIGXFSZ, SIG_IGN);

        getrlimit(RLIMIT_FSIZE, &old);
        small = old;
        small.rlim_cur = 2000;
        setrlimit(RLIMIT_FSIZE, &small);
        Result r = run(score, {"--calibrate", "-q", "0.9", "-o", copy.path(), copy.path(), benign.path()});
        setrlimit(RLIMIT_FSIZE, &old);
        signal(SIGXFSZ, handler);
        expect_error(r, {copy.path(), "not written", "as it was"});
        EXPECT_EQ(copy.read(), before);
        expect_error(run(score, {"--calibrate", "-q", "0.9", "-o", "/dev/full", model, benign.path()}), {"No space"});
}

TEST(CliAdaptive, FollowsTheScoresWithinItsBounds)
{
        File benign(many_processes(900)), copy;

        expect_error(run(score, {"--adaptive", model, benign.path()}), {"--calibrate"});
        expect_error(run(score, {"--adaptive", "-q", "0.9", model, benign.path()}), {"how far apart"});
        ASSERT_EQ(run(score, {"--calibrate", "-q", "0.9", "-o", copy.path(), model, benign.path()}).status, 0);
        Result r = run(score, {"--adaptive", copy.path(), benign.path()});
        EXPECT_EQ(r.status, 1);
        EXPECT_GT(values(r.out, "threshold").size(), 100u);
        EXPECT_TRUE(contains(r.err, "(adaptive)")) << r.err;
        EXPECT_EQ(run(score, {"--adaptive", copy.path(), benign.path()}).out, r.out);
        Result twice = run(score, {"-a", "-j", "2", copy.path(), benign.path(), benign.path()});
        EXPECT_EQ(values(twice.out, "threshold"), values(r.out, "threshold")) << "each trace begins anew";
        Result bound = run(score, {"--adaptive", "--bounds", "0.125:0.25", copy.path(), benign.path()});
        EXPECT_EQ(values(bound.out, "threshold"), std::vector<std::string>{"\"threshold\":0.25"});
}

int main(int argc, char **argv)
{
        testing::InitGoogleTest(&argc, argv);
        if (argc != 7) {
                fprintf(stderr, "usage: %s COSMOS-COLLECT COSMOS-SCORE COSMOS-TRAIN MODEL TRACE AUDIT.LOG\n", argv[0]);
                return 2;
        }
        collect = argv[1];
        score = argv[2];
        train = argv[3];
        model = argv[4];
        trace = argv[5];
        audit_log = argv[6];
        signal(SIGPIPE, SIG_IGN);
        return RUN_ALL_TESTS();
}
