/* SPDX-License-Identifier: Apache-2.0 */
/* Events of a collector that says by itself which container they are of. */
#include "fixture.h"

extern "C" {
#include "collector/backend.h"
#include "container/resolver.h"
}

#include <cerrno>
#include <cosmos/error.h>

namespace
{

const std::string A = make_id('a'), B = make_id('b');

/* A live collector that delivers what it is given, and notes what it is told to ignore. */
struct Source {
        cosmos_collector base; /* first */
        std::vector<cosmos_event> events;
        size_t at;
        std::vector<std::string> ignored;
        int answer;

        static Source *of(cosmos_collector *collector)
        {
                return reinterpret_cast<Source *>(collector);
        }
        static int next(cosmos_collector *collector, const cosmos_event **ret_event, cosmos_diag *)
        {
                Source *s = of(collector);

                if (s->at == s->events.size())
                        return 0;
                *ret_event = &s->events[s->at++];
                return 1;
        }
        static int ignore(cosmos_collector *collector, const char *id)
        {
                of(collector)->ignored.push_back(id);
                return of(collector)->answer;
        }

        Source() : base(), at(0), answer(0)
        {
                static const cosmos__collector_ops ops = {1, nullptr, next, nullptr, nullptr, ignore};

                base.ops = &ops;
        }
};

class ToldTest : public ResolverTest
{
      protected:
        void SetUp() override
        {
                tree.docker(A, "db", "mariadb:11");
                tree.docker(B, "web", "nginx");
        }

        /* Of a process that /proc does not have. */
        cosmos_event make(cosmos_event_type type, const std::string &id)
        {
                cosmos_event e = {};

                e.type = type;
                e.container_id = id.c_str();
                e.timestamp = now_ns() - 77;
                e.timestamp_digits = 9;
                e.known = COSMOS_KNOWN_PID | COSMOS_KNOWN_TID | COSMOS_KNOWN_PROC_START;
                e.pid = 100;
                e.tid = 101;
                e.proc_start = 5;
                e.comm = "app";
                e.syscall = type == COSMOS_EVENT_CALL ? "read" : nullptr;
                return e;
        }

        std::vector<Out> told(cosmos_event_type type, const std::string &id)
        {
                return feed(make(type, id));
        }

        /* What pull() gives until there is nothing more. */
        std::vector<Out> pull(Source &source)
        {
                const cosmos_event *event;
                std::vector<Out> out;

                while ((pulled = cosmos_resolver_pull(resolver, &source.base, &event, &diag)) == 1)
                        out.push_back({*event, event->container_id ? event->container_id : "", "", ""});
                return out;
        }

        size_t containers()
        {
                return resolver->table.containers.n;
        }

        int pulled = 0;
};

} // namespace

TEST_F(ToldTest, AStartStandsBeforeTheFirstCall)
{
        open();
        EXPECT_TRUE(told(COSMOS_EVENT_CONTAINER_START, A).empty()) << "it has not begun";
        EXPECT_EQ(cosmos_resolver_count(resolver), 0u);
        cosmos_event call = make(COSMOS_EVENT_CALL, A);
        auto out = feed(call);
        ASSERT_EQ(out.size(), 2u);
        EXPECT_EQ(out[0].event.type, COSMOS_EVENT_CONTAINER_START);
        EXPECT_EQ(out[0].event.timestamp, call.timestamp);
        EXPECT_EQ(out[1].event.type, COSMOS_EVENT_CALL);
        EXPECT_EQ(out[1].event.timestamp, call.timestamp);
        EXPECT_EQ(out[1].event.known, call.known);
        EXPECT_EQ(out[1].event.pid, 100);
        EXPECT_EQ(out[1].event.tid, 101);
        EXPECT_EQ(out[1].event.proc_start, 5u);
        EXPECT_EQ(out[1].event.syscall, call.syscall);
        EXPECT_EQ(told(COSMOS_EVENT_CALL, A).size(), 1u) << "once";
        EXPECT_EQ(cosmos_resolver_count(resolver), 1u);
        EXPECT_EQ(told(COSMOS_EVENT_CALL, B).size(), 2u) << "and for each";
}

TEST_F(ToldTest, NameAndImageAreTheRuntimes)
{
        open();
        for (const Out &o : told(COSMOS_EVENT_CALL, A)) {
                EXPECT_EQ(o.id, A);
                EXPECT_EQ(o.name, "db");
                EXPECT_EQ(o.image, "mariadb:11");
        }
        EXPECT_EQ(told(COSMOS_EVENT_CALL, B).back().name, "web");
        auto unnamed = told(COSMOS_EVENT_CALL, make_id('c'));
        ASSERT_EQ(unnamed.size(), 2u) << "of another runtime";
        EXPECT_EQ(unnamed[1].id, make_id('c'));
        EXPECT_EQ(unnamed[1].event.container_name, nullptr);
}

/* A container that ends at once: its state is gone when its first call is looked at. */
TEST_F(ToldTest, TheNameIsLookedForWhenItIsFirstSeen)
{
        open();
        told(COSMOS_EVENT_CONTAINER_START, A);
        tree.remove(tree.docker_root + "/containers/" + A + "/config.v2.json");
        EXPECT_EQ(told(COSMOS_EVENT_CALL, A).back().name, "db");
}

TEST_F(ToldTest, ItStopsWhenThatIsTold)
{
        open();
        told(COSMOS_EVENT_CALL, A);
        for (int i = 0; i < 10; i++)
                EXPECT_TRUE(tick(2).empty()) << "no process, no cgroup: that is not ours to judge";
        auto out = told(COSMOS_EVENT_CONTAINER_STOP, A);
        ASSERT_EQ(out.size(), 1u);
        EXPECT_EQ(out[0].event.type, COSMOS_EVENT_CONTAINER_STOP);
        EXPECT_EQ(out[0].id, A);
        EXPECT_EQ(out[0].name, "db");
        EXPECT_EQ(containers(), 0u);
        EXPECT_EQ(cosmos_resolver_count(resolver), 0u);
        EXPECT_TRUE(told(COSMOS_EVENT_CONTAINER_STOP, A).empty()) << "once";
        EXPECT_EQ(told(COSMOS_EVENT_CALL, A).size(), 2u) << "it may start again";
}

TEST_F(ToldTest, WhatNeverBeganStopsSilently)
{
        open();
        told(COSMOS_EVENT_CONTAINER_START, A);
        EXPECT_TRUE(told(COSMOS_EVENT_CONTAINER_STOP, A).empty());
        EXPECT_TRUE(told(COSMOS_EVENT_CONTAINER_STOP, B).empty()) << "never heard of";
        EXPECT_EQ(containers(), 0u);
}

TEST_F(ToldTest, OneThatRanBeforeStopsWhenThatIsTold)
{
        Proc member;

        member.ppid = 20;
        member.cgroup = docker_cgroup(A);
        tree.put(100, member);
        tree.cgroup("/docker/" + A);
        open();
        auto found = drain();
        ASSERT_EQ(found.size(), 1u);
        EXPECT_EQ(found[0].event.type, COSMOS_EVENT_CONTAINER_START);
        EXPECT_TRUE(told(COSMOS_EVENT_CONTAINER_START, A).empty()) << "its start was said";
        EXPECT_EQ(told(COSMOS_EVENT_CALL, A).size(), 1u);
        tree.end(100);
        tree.cgroup_end("/docker/" + A);
        for (int i = 0; i < 10; i++)
                EXPECT_TRUE(tick(2).empty()) << "its last calls may still be on their way";
        EXPECT_EQ(told(COSMOS_EVENT_CONTAINER_STOP, A).size(), 1u);
}

TEST_F(ToldTest, EndsAndLossesAreOfWhatHasBegun)
{
        select = {"db"};
        open();
        for (auto type : {COSMOS_EVENT_THREAD_EXIT, COSMOS_EVENT_LOSS}) {
                EXPECT_TRUE(told(type, A).empty()) << "not yet";
                EXPECT_TRUE(told(type, B).empty()) << "not selected";
        }
        told(COSMOS_EVENT_CALL, A);
        for (auto type : {COSMOS_EVENT_THREAD_EXIT, COSMOS_EVENT_LOSS}) {
                auto out = told(type, A);

                ASSERT_EQ(out.size(), 1u);
                EXPECT_EQ(out[0].event.type, type);
                EXPECT_EQ(out[0].event.tid, 101);
                EXPECT_EQ(out[0].name, "db");
                EXPECT_TRUE(told(type, B).empty());
        }
}

TEST_F(ToldTest, ALossOfAllIsOfTheSource)
{
        cosmos_event loss = {};

        select = {"nothing"};
        open();
        loss.type = COSMOS_EVENT_LOSS;
        EXPECT_EQ(feed(loss).size(), 1u);
}

TEST_F(ToldTest, AnIdThatIsNoneIsAnError)
{
        open();
        for (const std::string &id : {std::string(), std::string("db"), A.substr(1), A + "a", "g" + A.substr(1),
                                      "A" + A.substr(1), A.substr(1) + "\n"})
                for (auto type : {COSMOS_EVENT_CALL, COSMOS_EVENT_CONTAINER_START, COSMOS_EVENT_CONTAINER_STOP}) {
                        cosmos_event e = make(type, id);

                        diag.text[0] = 0;
                        EXPECT_EQ(cosmos_resolver_feed(resolver, &e, &diag), -COSMOS_EFORMAT) << id;
                        EXPECT_NE(std::string(diag.text).find("container resolver"), std::string::npos) << diag.text;
                        drain();
                }
        EXPECT_EQ(containers(), 0u);
        EXPECT_EQ(told(COSMOS_EVENT_CALL, A).size(), 2u) << "it goes on";
}

TEST_F(ToldTest, TheLeastRecentlySeenIsForgotten)
{
        open();
        for (unsigned int i = 0; i < 4200; i++) {
                told(COSMOS_EVENT_CALL, make_id(i));
                told(COSMOS_EVENT_CALL, make_id(0u));
        }
        EXPECT_LE(containers(), COSMOS__CONTAINERS_MAX + 1);
        EXPECT_EQ(told(COSMOS_EVENT_CALL, make_id(0u)).size(), 1u) << "known";
        EXPECT_EQ(told(COSMOS_EVENT_CALL, make_id(1u)).size(), 2u) << "forgotten";
}

/* ---- selection --------------------------------------------------------------------------- */

TEST_F(ToldTest, OnlyWhatIsSelectedComesOut)
{
        select = {"db"};
        open();
        EXPECT_EQ(told(COSMOS_EVENT_CALL, A).size(), 2u);
        EXPECT_TRUE(told(COSMOS_EVENT_CALL, B).empty());
        EXPECT_TRUE(told(COSMOS_EVENT_CONTAINER_STOP, B).empty());
        select = {"bbbb"};
        open();
        EXPECT_TRUE(told(COSMOS_EVENT_CALL, A).empty());
        EXPECT_EQ(told(COSMOS_EVENT_CALL, B).size(), 2u) << "by its id";
}

TEST_F(ToldTest, WhatIsNotSelectedIsUnwantedAsSoonAsItsNameIsKnown)
{
        select = {"db"};
        open();
        told(COSMOS_EVENT_CONTAINER_START, A);
        EXPECT_EQ(resolver->unwanted, nullptr);
        told(COSMOS_EVENT_CONTAINER_START, B);
        ASSERT_NE(resolver->unwanted, nullptr);
        EXPECT_EQ(std::string(resolver->unwanted->id), B);
}

TEST_F(ToldTest, WhatHasNoNameYetMayBeTheOne)
{
        const std::string late = make_id('c'), never = make_id('d');

        select = {"late"};
        open();
        for (const std::string &id : {late, never})
                EXPECT_TRUE(told(COSMOS_EVENT_CALL, id).empty());
        EXPECT_EQ(resolver->unwanted, nullptr);
        tree.docker(late, "late", "x");
        pass_ns(2000000000);
        EXPECT_EQ(told(COSMOS_EVENT_CALL, late).size(), 2u);
        EXPECT_EQ(resolver->unwanted, nullptr);
        for (int i = 0; i < 10; i++) {
                pass_ns(2000000000);
                told(COSMOS_EVENT_CALL, never);
        }
        ASSERT_NE(resolver->unwanted, nullptr) << "it has none";
        EXPECT_EQ(std::string(resolver->unwanted->id), never);
}

TEST_F(ToldTest, TheCollectorIsToldOnceWhatIsNotWanted)
{
        Source source;

        select = {"db"};
        open();
        source.events = {make(COSMOS_EVENT_CONTAINER_START, B), make(COSMOS_EVENT_CALL, B), make(COSMOS_EVENT_CALL, A),
                         make(COSMOS_EVENT_CALL, B), make(COSMOS_EVENT_CALL, A)};
        auto out = pull(source);
        EXPECT_EQ(pulled, 0);
        ASSERT_EQ(out.size(), 3u);
        for (const Out &o : out)
                EXPECT_EQ(o.id, A);
        EXPECT_EQ(source.ignored, std::vector<std::string>{B});
        source.events = {make(COSMOS_EVENT_CONTAINER_STOP, B), make(COSMOS_EVENT_CALL, B)};
        source.at = 0;
        pull(source);
        EXPECT_EQ(source.ignored, (std::vector<std::string>{B, B})) << "it started again";
}

TEST_F(ToldTest, WithoutASelectionNothingIsUnwanted)
{
        Source source;

        open();
        source.events = {make(COSMOS_EVENT_CALL, A), make(COSMOS_EVENT_CALL, B)};
        EXPECT_EQ(pull(source).size(), 4u);
        EXPECT_TRUE(source.ignored.empty());
}

TEST_F(ToldTest, SaysThatItCannotBeIgnored)
{
        Source source;

        select = {"db"};
        open();
        source.events = {make(COSMOS_EVENT_CALL, B)};
        source.answer = -EIO;
        EXPECT_TRUE(pull(source).empty());
        EXPECT_EQ(pulled, -EIO);
        EXPECT_NE(std::string(diag.text).find("ignored"), std::string::npos) << diag.text;
}

/* feed() and pull() may be mixed. */
TEST_F(ToldTest, WhatHasStoppedIsNotUnwantedAnyMore)
{
        select = {"db"};
        open();
        told(COSMOS_EVENT_CALL, B);
        told(COSMOS_EVENT_CONTAINER_STOP, B);
        EXPECT_EQ(resolver->unwanted, nullptr) << "it is freed with the next event";
}
