/* SPDX-License-Identifier: Apache-2.0 */
/* Replay of what is compressed with gzip. */
#include "collector/replay.h"
#include "gzip.h"

#include <cosmos/error.h>

#include <sys/resource.h>
#include <algorithm>

using replay::log_event;
using replay::Replay;
using replay::trace_line;
using support::contains;
using support::Fifo;
using support::File;
using support::Gzip;
using support::gzip;

namespace
{

std::string trace_lines(int first, int last)
{
        std::string out;

        for (int pid = first; pid <= last; pid++)
                out += trace_line(pid) + "\n";
        return out;
}

std::vector<int> numbers(int first, int last)
{
        std::vector<int> out;

        for (int i = first; i <= last; i++)
                out.push_back(i);
        return out;
}

std::vector<std::string> described(Replay &r)
{
        std::vector<std::string> out;

        for (const support::Event &e : r.take())
                out.push_back(support::describe(*e));
        return out;
}

/* One member; each line can be read as soon as its bytes are there. `ends`: where they are. */
std::string flushed(const std::string &lines, std::vector<size_t> *ends)
{
        Gzip g;
        std::string out;

        for (size_t at = 0, end; (end = lines.find('\n', at)) != std::string::npos; at = end + 1) {
                out += g.put(lines.substr(at, end + 1 - at), true);
                ends->push_back(out.size());
        }
        return out + g.finish();
}

void expect_fault(Replay &r, const std::string &text)
{
        EXPECT_EQ(r.end, -COSMOS_EFORMAT);
        EXPECT_TRUE(contains(r.diag.text, text)) << r.diag.text;
        for (const char *c = r.diag.text; *c; c++)
                EXPECT_TRUE(*c >= 0x20 && *c < 0x7f) << r.diag.text;
        EXPECT_EQ(r.next(), 2) << "then the end";
        EXPECT_EQ(r.next(), 2);
}

} // namespace

/* ---- what is whole ------------------------------------------------------------------------- */

TEST(ReplayGzip, GivesTheSameEvents)
{
        for (const std::string &content :
             {trace_lines(1, 5000), trace_line(1) + "\r\n\nrubbish\n" + trace_line(2), log_event(1) + log_event(2)}) {
                File plain(content);
                Replay expected(plain.path());
                std::vector<std::string> events = described(expected);

                ASSERT_FALSE(events.empty());
                for (int level : {0, 1, 9}) {
                        File file(gzip(content, level));
                        Replay r(file.path());

                        EXPECT_EQ(described(r), events);
                        EXPECT_EQ(r.end, 2) << r.diag.text;
                        EXPECT_EQ(r.next(), 2);
                        EXPECT_EQ(r.stats().records, expected.stats().records);
                        EXPECT_EQ(r.stats().malformed, expected.stats().malformed);
                        EXPECT_EQ(r.log.lines.size(), expected.log.lines.size());
                }
        }
}

/* As `cat a.gz b.gz`: a line may go on in the next member, and a member may be empty. */
TEST(ReplayGzip, ReadsMembersAsOne)
{
        const std::string lines = trace_lines(1, 9);
        std::string each;

        for (char c : lines)
                each += gzip(std::string(1, c));
        for (const std::string &content :
             {gzip(lines.substr(0, 100)) + gzip(lines.substr(100)), gzip("") + gzip(lines) + gzip("") + gzip(""), each,
              gzip(lines) + std::string(1000, '\0'), gzip(lines) + std::string(1, '\0'),
              gzip(lines.substr(0, 200)) + std::string(200000, '\0') + gzip(lines.substr(200))}) {
                File file(content);
                Replay r(file.path());

                EXPECT_EQ(r.pids(), numbers(1, 9));
                EXPECT_EQ(r.end, 2) << r.diag.text;
                EXPECT_EQ(r.stats().malformed, 0u);
        }
}

TEST(ReplayGzip, EmptyIsEmpty)
{
        for (const std::string &content : {gzip(""), gzip("") + gzip("\n"), gzip("") + std::string(10, '\0')}) {
                File file(content);
                Replay r(file.path());

                EXPECT_EQ(r.next(), -COSMOS_EFORMAT);
                EXPECT_TRUE(contains(r.diag.text, "empty")) << r.diag.text;
                EXPECT_EQ(r.next(), 2);
        }
}

/* The optional fields of the header, which gzip(1) fills in. */
TEST(ReplayGzip, TakesAHeaderWithAName)
{
        std::string content = gzip(trace_lines(1, 3));

        content[3] = 0x08 | 0x10; /* FNAME, FCOMMENT */
        content.insert(10, std::string("trace.jsonl\0a comment", 22));
        File file(content);
        Replay r(file.path());

        EXPECT_EQ(r.pids(), numbers(1, 3));
        EXPECT_EQ(r.end, 2) << r.diag.text;
}

/* zlib's own format and a single byte of the magic are lines that can't be read, as ever. */
TEST(ReplayGzip, OnlyTheMagicMakesIt)
{
        const std::string rest = "\n" + trace_line(1) + "\n";

        for (const char *start : {"\x1f", "\x1f\x1f", "\x1f\x8c", "\x8b\x1f", "\x78\x9c", " \x1f\x8b"})
                for (bool piecewise : {false, true}) {
                        Fifo pipe;
                        Replay r(pipe.path());
                        std::vector<int> pids;

                        for (char c : start + rest) {
                                pipe.put(std::string(1, c));
                                if (piecewise)
                                        for (int pid : r.pids())
                                                pids.push_back(pid);
                        }
                        pipe.finish();
                        for (int pid : r.pids())
                                pids.push_back(pid);
                        EXPECT_EQ(pids, numbers(1, 1));
                        EXPECT_EQ(r.end, 2);
                        ASSERT_EQ(r.log.lines.size(), 1u);
                        EXPECT_TRUE(contains(r.log.lines[0], ":1: ")) << r.log.lines[0];
                }
}

/* ---- what is not --------------------------------------------------------------------------- */

TEST(ReplayGzip, CutAnywhereItGivesWhatCameBefore)
{
        const std::string lines = trace_lines(1, 5);

        for (bool flush : {false, true}) {
                std::vector<size_t> ends;
                const std::string whole = flush ? flushed(lines, &ends) : gzip(lines);

                for (size_t n = 0; n < whole.size(); n++) {
                        File file(whole.substr(0, n));
                        Replay r(file.path());
                        std::vector<int> pids = r.pids();
                        int count = static_cast<int>(pids.size());

                        EXPECT_EQ(pids, numbers(1, count));
                        EXPECT_GE(count, std::upper_bound(ends.begin(), ends.end(), n) - ends.begin()) << n;
                        expect_fault(r, n == 0 ? "empty"
                                        : n == 1
                                            ? "none of its 1 lines"
                                            : "after " + std::to_string(count) + " lines it ends within its gzip data");
                        EXPECT_TRUE(contains(r.diag.text, file.path())) << r.diag.text;
                        EXPECT_EQ(r.stats().malformed, n == 1 ? 1u : 0u) << "half a line is not looked at";
                }
        }
}

TEST(ReplayGzip, ASecondMemberThatIsCutIsToldToo)
{
        const std::string first = gzip(trace_lines(1, 3)), second = gzip(trace_lines(4, 6));

        for (size_t n = 1; n < second.size(); n++) {
                File file(first + second.substr(0, n));
                Replay r(file.path());

                EXPECT_GE(r.pids().size(), 3u);
                expect_fault(r, " lines it ends within its gzip data");
        }
}

TEST(ReplayGzip, ABitFlippedAnywhereIsFoundOrDoesNotMatter)
{
        std::vector<size_t> ends;

        for (const std::string &whole : {gzip(trace_lines(1, 4)), flushed(trace_lines(1, 4), &ends), gzip(log_event(1)),
                                         gzip(trace_line(1), 0) + gzip("\n" + trace_line(2))}) {
                File plain(whole);
                Replay expected(plain.path());
                std::vector<std::string> events = described(expected);

                ASSERT_EQ(expected.end, 2);
                for (size_t bit = 0; bit < 8 * whole.size(); bit++) {
                        std::string content = whole;

                        content[bit / 8] = static_cast<char>(content[bit / 8] ^ 1 << bit % 8);
                        File file(content);
                        Replay r(file.path());
                        std::vector<std::string> got = described(r);

                        EXPECT_TRUE(r.end == -COSMOS_EFORMAT || (r.end == 2 && got == events)) << bit;
                        EXPECT_EQ(r.next(), 2);
                }
        }
}

TEST(ReplayGzip, SaysWhereAndHowItIsDamaged)
{
        std::vector<size_t> ends;
        std::string content = flushed(trace_lines(1, 12), &ends);

        content[ends[6]] = static_cast<char>(0x07); /* the eighth line's block is of a type that there is not */
        File block(content);
        Replay r(block.path());
        EXPECT_EQ(r.pids(), numbers(1, 7));
        expect_fault(r, std::string(block.path()) + ": after 7 lines its gzip data is damaged: invalid block type");

        content = gzip(trace_lines(1, 12));
        content[content.size() - 8] = static_cast<char>(content[content.size() - 8] ^ 1);
        File crc(content);
        Replay whole(crc.path());
        EXPECT_EQ(whole.pids(), numbers(1, 12));
        expect_fault(whole, "after 12 lines its gzip data is damaged: incorrect data check");
}

TEST(ReplayGzip, SomethingElseBehindItIsAnError)
{
        for (const std::string &rest : {std::string("x"), trace_lines(4, 5), std::string("\n"),
                                        std::string(100000, '\0') + "x", std::string("\x8b\x1f")}) {
                File file(gzip(trace_lines(1, 3)) + rest);
                Replay r(file.path());

                EXPECT_EQ(r.pids(), numbers(1, 3));
                expect_fault(r, "after 3 lines its gzip data is followed by something else");
        }
        File file(gzip(trace_lines(1, 3)) + "\x1fx");
        Replay r(file.path());
        EXPECT_EQ(r.pids(), numbers(1, 3));
        expect_fault(r, "damaged: incorrect header check");
}

/* Events of a log that wait for more records are delivered before the error. */
TEST(ReplayGzip, ALogThatIsCutGivesItsEventsInFlight)
{
        std::vector<size_t> ends;
        std::string log = log_event(1) + log_event(2), content = flushed(log, &ends);

        content.resize(ends[5]); /* without the second's PATH and PROCTITLE */
        File file(content);
        Replay r(file.path());

        EXPECT_EQ(r.pids().size(), 2u);
        EXPECT_EQ(r.stats().incomplete, 1u);
        expect_fault(r, "after 6 lines it ends within its gzip data");
}

/* ---- pipes --------------------------------------------------------------------------------- */

TEST(ReplayGzip, APipeGivesWhatIsThereAndNeverWaits)
{
        Fifo pipe;
        Replay r(pipe.path());
        Gzip g;

        EXPECT_EQ(r.next(), 0);
        for (int pid = 1; pid <= 300; pid++) {
                std::vector<int> pids;

                for (char c : g.put(trace_line(pid) + "\n", true)) {
                        pipe.put(std::string(1, c));
                        for (int p : r.pids())
                                pids.push_back(p);
                        ASSERT_EQ(r.end, 0);
                }
                EXPECT_EQ(pids, numbers(pid, pid)) << "at the latest when it was flushed";
        }
        pipe.put(g.finish());
        EXPECT_EQ(r.next(), 0) << "another member may come";
        pipe.put(gzip(trace_line(301)));
        EXPECT_EQ(r.next(), 0);
        pipe.finish();
        EXPECT_EQ(r.pids(), numbers(301, 301));
        EXPECT_EQ(r.end, 2);
}

TEST(ReplayGzip, APipeThatIsCutSaysSo)
{
        for (bool any : {false, true}) {
                Fifo pipe;
                Replay r(pipe.path());
                Gzip g;

                if (any)
                        pipe.put(g.put(trace_lines(1, 2) + "{", true));
                else
                        pipe.put("\x1f\x8b");
                EXPECT_EQ(r.pids(), any ? numbers(1, 2) : numbers(1, 0));
                EXPECT_EQ(r.end, 0);
                pipe.finish();
                EXPECT_TRUE(r.pids().empty());
                expect_fault(r, any ? "after 2 lines it ends within" : "after 0 lines it ends within");
        }
}

TEST(ReplayGzip, ComesFromStandardInputToo)
{
        File file(gzip(trace_lines(1, 3)).substr(0, 60));
        int before = dup(STDIN_FILENO), in = open(file.path(), O_RDONLY | O_CLOEXEC);

        ASSERT_EQ(dup2(in, STDIN_FILENO), STDIN_FILENO);
        {
                Replay r("-");

                r.take();
                expect_fault(r, "standard input: after ");
        }
        EXPECT_GE(fcntl(STDIN_FILENO, F_GETFD), 0) << "it is not ours to close";
        if (before >= 0)
                dup2(before, STDIN_FILENO);
        close(before);
        close(in);
}

/* ---- sizes --------------------------------------------------------------------------------- */

TEST(ReplayGzip, ALineOfHalfAGigabyteInHalfAMegabyteIsSkipped)
{
        const std::string block(1u << 20, 'x');
        rusage before, after;
        Gzip g(1);
        std::string content = g.put(trace_lines(1, 1));

        for (int i = 0; i < 512; i++)
                content += g.put(block);
        content += g.put("\n" + trace_lines(2, 2));
        content += g.finish();
        File file(content);
        Replay r(file.path());

        getrusage(RUSAGE_SELF, &before);
        EXPECT_EQ(r.pids(), numbers(1, 2));
        getrusage(RUSAGE_SELF, &after);
        EXPECT_EQ(r.end, 2) << r.diag.text;
        EXPECT_EQ(r.stats().malformed, 1u);
        ASSERT_EQ(r.log.lines.size(), 1u);
        EXPECT_TRUE(contains(r.log.lines[0], ":2: ") && contains(r.log.lines[0], "16 MiB")) << r.log.lines[0];
        EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 128 << 10) << "KiB";
}

TEST(ReplayGzip, ALineOf16MiBIsRead)
{
        const size_t limit = size_t(16) << 20;
        std::string line = trace_line(7, ",\"path\":\"\"");

        line.insert(line.size() - 2, limit - line.size(), 'x');
        File file(gzip(line + "\n" + line, 1));
        Replay r(file.path());

        EXPECT_EQ(r.pids(), (std::vector<int>{7, 7}));
        EXPECT_EQ(r.end, 2) << r.diag.text;
}
