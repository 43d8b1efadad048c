/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/records.h"
#include "support.h"

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <random>

extern "C" {
#include "collector/assembler.h"
}

using support::Event;

namespace
{

constexpr int64_t TIMEOUT = 2 * support::SECOND;

std::string syscall_of(int pid)
{
        std::string body = records::SYSCALL;

        return body.replace(body.find("pid=4242"), 8, "pid=" + std::to_string(pid));
}

class Assembler : public testing::Test
{
      protected:
        void SetUp() override
        {
                ASSERT_EQ(cosmos__assembler_new(&a), 0);
        }
        void TearDown() override
        {
                EXPECT_EQ(cosmos__assembler_free(a), nullptr);
        }

        /* `body` is gone after the call, as the buffer of a real record is. */
        int push(cosmos__record_type type, uint64_t serial, const std::string &body = "", int64_t timestamp = 0)
        {
                const support::Bytes bytes(body);
                cosmos__record_head head = {timestamp, serial, {bytes.data(), bytes.size()}};

                return cosmos__assembler_push(a, type, &head, now);
        }
        /* The serial of the next event; -1: none. */
        int64_t pop(bool flush = false)
        {
                const cosmos_event *event = cosmos__assembler_pop(a, now, flush, &whole);

                if (!event)
                        return -1;
                last = Event(*event);
                return static_cast<int64_t>(event->seq);
        }
        /* A whole event at once. */
        void push_whole(uint64_t serial, int pid = 4242)
        {
                ASSERT_EQ(push(COSMOS__RECORD_SYSCALL, serial, syscall_of(pid)), 1);
                ASSERT_EQ(push(COSMOS__RECORD_EOE, serial), 1);
        }

        cosmos__assembler *a = nullptr;
        int64_t now = 1000 * support::SECOND;
        bool whole = false;
        Event last;
};

} // namespace

TEST_F(Assembler, MakesOneEventOfItsRecords)
{
        EXPECT_EQ(pop(), -1);
        EXPECT_EQ(push(COSMOS__RECORD_SYSCALL, 7, records::SYSCALL, 1364481363243000000), 1);
        EXPECT_EQ(push(COSMOS__RECORD_SOCKADDR, 7, records::INET, 1364481363243000000), 1);
        EXPECT_EQ(push(COSMOS__RECORD_EXECVE, 7, records::EXECVE, 1364481363243000000), 1);
        EXPECT_EQ(push(COSMOS__RECORD_PATH, 7, records::PATH, 1364481363243000000), 1);
        EXPECT_EQ(push(COSMOS__RECORD_OTHER, 7, "cwd=\"/\"", 1364481363243000000), 0);
        EXPECT_EQ(pop(), -1);
        EXPECT_EQ(push(COSMOS__RECORD_EOE, 7, "", 1364481363243000000), 1);
        ASSERT_EQ(pop(), 7);
        EXPECT_TRUE(whole);
        EXPECT_EQ(last->type, COSMOS_EVENT_CALL);
        EXPECT_EQ(last->timestamp, INT64_C(1364481363243000000));
        EXPECT_EQ(last->timestamp_digits, 3u);
        EXPECT_EQ(last->known, COSMOS_KNOWN_SEQ | COSMOS_KNOWN_PID | COSMOS_KNOWN_PPID | COSMOS_KNOWN_NR |
                                   COSMOS_KNOWN_UID | COSMOS_KNOWN_RET);
        EXPECT_EQ(last->pid, 4242);
        EXPECT_EQ(last->ppid, 4200);
        EXPECT_EQ(last->uid, 999u);
        EXPECT_EQ(last->nr, 257u);
        EXPECT_EQ(last->arch, COSMOS_ARCH_X86_64);
        EXPECT_EQ(last->ret, 3);
        EXPECT_EQ(last->n_args, 4u);
        EXPECT_EQ(last->args[1], 0x7ffd0a10u);
        EXPECT_STREQ(last->syscall, "openat");
        EXPECT_STREQ(last->comm, "mariadbd");
        EXPECT_STREQ(last->exe, "/usr/sbin/mariadbd");
        EXPECT_STREQ(last->path, "/etc/my.cnf");
        EXPECT_STREQ(last->argv, "sh -c ls -l");
        EXPECT_STREQ(last->addr, "192.0.2.1:80");
        EXPECT_EQ(last->container_id, nullptr);
        EXPECT_EQ(pop(), -1);
}

TEST_F(Assembler, LeavesUnknownWhatTheRecordsDoNotSay)
{
        ASSERT_EQ(push(COSMOS__RECORD_SYSCALL, 7, records::SYSCALL_EXIT), 1);
        ASSERT_EQ(push(COSMOS__RECORD_PROCTITLE, 7, records::PROCTITLE), 1);
        ASSERT_EQ(pop(), 7);
        EXPECT_TRUE(whole);
        EXPECT_FALSE(last->known & (COSMOS_KNOWN_RET | COSMOS_KNOWN_AUID | COSMOS_KNOWN_TID | COSMOS_KNOWN_PROC_START));
        for (const char *text : {last->path, last->argv, last->addr, last->container_id, last->container_name,
                                 last->image, last->host, last->source})
                EXPECT_EQ(text, nullptr);
        ASSERT_EQ(push(COSMOS__RECORD_SYSCALL, 8, records::SYSCALL_HEX), 1);
        ASSERT_EQ(pop(true), 8);
        EXPECT_FALSE(whole);
        EXPECT_TRUE(last->known & COSMOS_KNOWN_AUID);
        EXPECT_EQ(last->auid, 1000u);
        EXPECT_STREQ(last->comm, "my tool\n");
}

TEST_F(Assembler, NamesCallsByTheirArchitecture)
{
        std::string body = records::SYSCALL;

        ASSERT_EQ(push(COSMOS__RECORD_SYSCALL, 1, records::SYSCALL_I386), 1);
        ASSERT_EQ(pop(true), 1);
        EXPECT_STREQ(last->syscall, "openat");
        EXPECT_EQ(last->arch, COSMOS_ARCH_I386);
        ASSERT_EQ(push(COSMOS__RECORD_SYSCALL, 2, std::string(body).replace(body.find("257"), 3, "1073741825")), 1);
        ASSERT_EQ(pop(true), 2);
        EXPECT_STREQ(last->syscall, "syscall_1073741825");
        ASSERT_EQ(push(COSMOS__RECORD_SYSCALL, 3, std::string(body).replace(body.find("c000003e"), 8, "c00000f3")), 1);
        ASSERT_EQ(pop(true), 3);
        EXPECT_STREQ(last->syscall, "syscall_257");
        EXPECT_EQ(last->arch, COSMOS_ARCH_UNKNOWN);
        EXPECT_TRUE(last->known & COSMOS_KNOWN_NR);
}

TEST_F(Assembler, KeepsInterleavedEventsApart)
{
        for (int serial = 1; serial <= 3; serial++)
                ASSERT_EQ(push(COSMOS__RECORD_SYSCALL, serial, syscall_of(100 + serial)), 1);
        for (int serial : {2, 3, 1})
                ASSERT_EQ(push(COSMOS__RECORD_PATH, serial,
                               "item=0 name=\"/" + std::to_string(serial) + "\" nametype=NORMAL"),
                          1);
        for (int serial : {3, 2, 1})
                ASSERT_EQ(push(COSMOS__RECORD_EOE, serial), 1);
        for (int serial = 1; serial <= 3; serial++) {
                ASSERT_EQ(pop(), serial);
                EXPECT_EQ(last->pid, 100 + serial);
                EXPECT_EQ(last->path, "/" + std::to_string(serial));
        }
}

TEST_F(Assembler, GivesThemInTheOrderOfTheirFirstRecords)
{
        for (int serial : {5, 9, 3})
                ASSERT_EQ(push(COSMOS__RECORD_SYSCALL, serial, records::SYSCALL), 1);
        ASSERT_EQ(push(COSMOS__RECORD_EOE, 3), 1);
        ASSERT_EQ(push(COSMOS__RECORD_EOE, 9), 1);
        EXPECT_EQ(pop(), -1) << "5 came first and is not whole";
        ASSERT_EQ(push(COSMOS__RECORD_EOE, 5), 1);
        EXPECT_EQ(pop(), 5);
        EXPECT_EQ(pop(), 9);
        EXPECT_EQ(pop(), 3);
}

TEST_F(Assembler, WaitsTwoSecondsForTheRestOfAnEvent)
{
        ASSERT_EQ(push(COSMOS__RECORD_SYSCALL, 1, records::SYSCALL), 1);
        now += TIMEOUT / 2;
        ASSERT_EQ(push(COSMOS__RECORD_PATH, 1, records::PATH), 1); /* does not prolong it */
        push_whole(2);
        now += TIMEOUT / 2 - 1;
        EXPECT_EQ(pop(), -1);
        now += 1;
        ASSERT_EQ(pop(), 1);
        EXPECT_FALSE(whole);
        EXPECT_STREQ(last->path, "/etc/my.cnf");
        ASSERT_EQ(pop(), 2);
        EXPECT_TRUE(whole);
        EXPECT_EQ(push(COSMOS__RECORD_EOE, 1), 0) << "it is gone";
        EXPECT_EQ(push(COSMOS__RECORD_PATH, 1, records::PATH), 0);
}

TEST_F(Assembler, FlushesWhatIsIncomplete)
{
        ASSERT_EQ(push(COSMOS__RECORD_SYSCALL, 1, records::SYSCALL), 1);
        push_whole(2);
        EXPECT_EQ(pop(), -1);
        EXPECT_EQ(pop(true), 1);
        EXPECT_FALSE(whole);
        EXPECT_EQ(pop(true), 2);
        EXPECT_TRUE(whole);
        EXPECT_EQ(pop(true), -1);
}

TEST_F(Assembler, HoldsBackAtMost1024)
{
        for (uint64_t serial = 0; serial < 1024; serial++) {
                EXPECT_FALSE(cosmos__assembler_full(a));
                EXPECT_EQ(pop(), -1);
                ASSERT_EQ(push(COSMOS__RECORD_SYSCALL, serial, syscall_of(static_cast<int>(serial))), 1);
        }
        ASSERT_TRUE(cosmos__assembler_full(a));
        for (uint64_t serial = 1024; serial < 5000; serial++) {
                ASSERT_EQ(pop(), static_cast<int64_t>(serial - 1024)) << "the oldest makes room";
                EXPECT_FALSE(whole);
                EXPECT_EQ(last->pid, static_cast<int>(serial - 1024));
                EXPECT_EQ(pop(), -1) << "and only that";
                ASSERT_EQ(push(COSMOS__RECORD_SYSCALL, serial, syscall_of(static_cast<int>(serial))), 1);
                ASSERT_TRUE(cosmos__assembler_full(a));
        }
        /* Records of those that are in still find their event. */
        EXPECT_EQ(push(COSMOS__RECORD_PATH, 5000 - 1024, records::PATH), 1);
        EXPECT_EQ(push(COSMOS__RECORD_PATH, 4999, records::PATH_HEX), 1);
        EXPECT_EQ(push(COSMOS__RECORD_PATH, 5000 - 1025, records::PATH), 0);
        ASSERT_EQ(pop(), 5000 - 1024);
        EXPECT_STREQ(last->path, "/etc/my.cnf");
}

TEST_F(Assembler, TellsSerialsApartThatShareAHint)
{
        for (uint64_t i = 0; i < 40; i++)
                ASSERT_EQ(push(COSMOS__RECORD_SYSCALL, 17 + i * 4096, syscall_of(static_cast<int>(i))), 1);
        for (uint64_t i : {39u, 0u, 20u, 1u})
                ASSERT_EQ(push(COSMOS__RECORD_PATH, 17 + i * 4096,
                               "item=0 name=\"/" + std::to_string(i) + "\" nametype=NORMAL"),
                          1);
        for (uint64_t i = 40; i-- > 0;)
                ASSERT_EQ(push(COSMOS__RECORD_EOE, 17 + i * 4096), 1);
        for (uint64_t i = 0; i < 40; i++) {
                ASSERT_EQ(pop(), static_cast<int64_t>(17 + i * 4096));
                EXPECT_EQ(last->pid, static_cast<int>(i));
                EXPECT_EQ(support::text_of(last->path),
                          i == 39 || i == 0 || i == 20 || i == 1 ? "'/" + std::to_string(i) + "'" : "-");
        }
        EXPECT_EQ(push(COSMOS__RECORD_EOE, 17), 0);
}

TEST_F(Assembler, TheSameSerialAtAnotherTimeIsAnotherEvent)
{
        ASSERT_EQ(push(COSMOS__RECORD_SYSCALL, 7, syscall_of(1), 1000), 1); /* the counter begins anew at a boot */
        ASSERT_EQ(push(COSMOS__RECORD_SYSCALL, 7, syscall_of(2), 2000), 1);
        ASSERT_EQ(push(COSMOS__RECORD_PATH, 7, records::PATH, 1000), 1);
        ASSERT_EQ(push(COSMOS__RECORD_EOE, 7, "", 2000), 1);
        EXPECT_EQ(push(COSMOS__RECORD_EOE, 7, "", 3000), 0);
        EXPECT_EQ(pop(), -1);
        ASSERT_EQ(push(COSMOS__RECORD_EOE, 7, "", 1000), 1);
        ASSERT_EQ(pop(), 7);
        EXPECT_EQ(last->pid, 1);
        EXPECT_STREQ(last->path, "/etc/my.cnf");
        ASSERT_EQ(pop(), 7);
        EXPECT_EQ(last->pid, 2);
        EXPECT_EQ(last->path, nullptr);
}

TEST_F(Assembler, RefusesASecondSyscallRecord)
{
        ASSERT_EQ(push(COSMOS__RECORD_SYSCALL, 7, syscall_of(1)), 1);
        EXPECT_EQ(push(COSMOS__RECORD_SYSCALL, 7, syscall_of(2)), -EBADMSG);
        ASSERT_EQ(push(COSMOS__RECORD_EOE, 7), 1);
        ASSERT_EQ(pop(), 7);
        EXPECT_EQ(last->pid, 1);
        EXPECT_EQ(pop(true), -1);
}

TEST_F(Assembler, RefusesWhatIsMalformedAndGoesOn)
{
        EXPECT_EQ(push(COSMOS__RECORD_SYSCALL, 7, "arch=c000003e"), -EBADMSG);
        EXPECT_EQ(pop(true), -1);
        EXPECT_EQ(push(COSMOS__RECORD_PATH, 7, records::PATH), 0);
        ASSERT_EQ(push(COSMOS__RECORD_SYSCALL, 7, records::SYSCALL), 1);
        EXPECT_EQ(push(COSMOS__RECORD_PATH, 7, "item=0"), -EBADMSG);
        EXPECT_EQ(push(COSMOS__RECORD_SOCKADDR, 7, "saddr=0"), -EBADMSG);
        ASSERT_EQ(push(COSMOS__RECORD_SOCKADDR, 7, records::UNIX), 1);
        ASSERT_EQ(push(COSMOS__RECORD_PATH, 7, records::PATH), 1);
        ASSERT_EQ(push(COSMOS__RECORD_EOE, 7), 1);
        ASSERT_EQ(pop(), 7);
        EXPECT_STREQ(last->path, "/etc/my.cnf");
        EXPECT_STREQ(last->addr, "unix:/run/mysqld/mysqld.sock");
}

TEST_F(Assembler, NamesTheFileAndNotItsFolder)
{
        ASSERT_EQ(push(COSMOS__RECORD_SYSCALL, 1, records::SYSCALL), 1);
        ASSERT_EQ(push(COSMOS__RECORD_PATH, 1, records::PATH_PARENT), 1);
        ASSERT_EQ(push(COSMOS__RECORD_PATH, 1, records::PATH_HEX), 1);
        ASSERT_EQ(push(COSMOS__RECORD_PATH, 1, records::PATH), 1); /* a second file: the first is named */
        ASSERT_EQ(pop(true), 1);
        EXPECT_STREQ(last->path, "/tmp/a b\"");
        ASSERT_EQ(push(COSMOS__RECORD_SYSCALL, 2, records::SYSCALL), 1);
        ASSERT_EQ(push(COSMOS__RECORD_PATH, 2, records::PATH_PARENT), 1);
        ASSERT_EQ(push(COSMOS__RECORD_PATH, 2, records::PATH_NULL), 1);
        ASSERT_EQ(pop(true), 2);
        EXPECT_EQ(last->path, nullptr);
}

TEST_F(Assembler, TextsSurviveTheGrowthOfTheirBuffer)
{
        std::string path(3000, 'p'), argv(4096, 'v');

        ASSERT_EQ(push(COSMOS__RECORD_SYSCALL, 1, records::SYSCALL), 1);
        ASSERT_EQ(push(COSMOS__RECORD_SOCKADDR, 1, records::INET6), 1);
        ASSERT_EQ(push(COSMOS__RECORD_PATH, 1, "item=0 name=\"" + path + "\" nametype=NORMAL"), 1);
        ASSERT_EQ(push(COSMOS__RECORD_EXECVE, 1, "argc=1 a0=\"" + argv + argv + "\""), 1);
        ASSERT_EQ(push(COSMOS__RECORD_EXECVE, 1, "a1=\"later\""), 1);
        ASSERT_EQ(pop(true), 1);
        EXPECT_STREQ(last->comm, "mariadbd");
        EXPECT_STREQ(last->exe, "/usr/sbin/mariadbd");
        EXPECT_STREQ(last->addr, "[2001:db8::1]:443");
        EXPECT_EQ(last->path, path);
        EXPECT_EQ(last->argv, argv) << "cut to 4096 bytes, of the first record";
}

TEST_F(Assembler, AnEventStaysValidUntilTheNextPop)
{
        const cosmos_event *lent;
        std::string before;

        for (uint64_t serial = 0; serial < 1024; serial++)
                ASSERT_EQ(push(COSMOS__RECORD_SYSCALL, serial, records::SYSCALL), 1);
        lent = cosmos__assembler_pop(a, now, true, &whole);
        ASSERT_NE(lent, nullptr);
        before = support::describe(*lent);
        EXPECT_EQ(lent->seq, 0u);
        EXPECT_EQ(support::describe(*lent), before);
}

/* Random interleavings of whole events: each comes out once, in the order of its
 * first record, with its own records. */
TEST_F(Assembler, AnyInterleavingGivesTheSameEvents)
{
        std::mt19937 random(11);
        std::vector<uint64_t> order;
        std::map<uint64_t, std::string> paths;
        std::vector<std::pair<uint64_t, int>> open; /* serial, records so far */
        uint64_t serial = 4294967000;
        size_t popped = 0;

        while (popped < 20000) {
                if (serial < 4294967000 + 20000 && open.size() < 200 && random() % 3 == 0) {
                        serial += 1;
                        ASSERT_EQ(push(COSMOS__RECORD_SYSCALL, serial, syscall_of(static_cast<int>(serial % 30000))),
                                  1);
                        order.push_back(serial);
                        open.emplace_back(serial, 0);
                } else if (!open.empty()) {
                        size_t at = random() % open.size();
                        auto &[s, n] = open[at];

                        if (n++ == 0 && random() % 2) {
                                paths[s] = "/" + std::to_string(random());
                                ASSERT_EQ(push(COSMOS__RECORD_PATH, s, "item=0 name=\"" + paths[s] + "\""), 1);
                        } else {
                                ASSERT_EQ(push(random() % 2 ? COSMOS__RECORD_EOE : COSMOS__RECORD_PROCTITLE, s), 1);
                                open.erase(open.begin() + static_cast<long>(at));
                        }
                }
                while (pop() >= 0) {
                        ASSERT_EQ(last->seq, order[popped]);
                        ASSERT_TRUE(whole);
                        ASSERT_EQ(last->pid, static_cast<int>(last->seq % 30000));
                        ASSERT_EQ(support::text_of(last->path),
                                  paths.count(last->seq) ? "'" + paths[last->seq] + "'" : "-");
                        popped++;
                }
        }
}

TEST(AssemblerObject, FreeTakesNull)
{
        EXPECT_EQ(cosmos__assembler_free(nullptr), nullptr);
}
