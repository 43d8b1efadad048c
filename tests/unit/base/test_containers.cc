/* SPDX-License-Identifier: Apache-2.0 */
/* Hash table, list and buffer: each against a container of the standard library. */
#include <gtest/gtest.h>

#include <stdint.h>
#include <stdlib.h>
#include <cerrno>
#include <cstring>
#include <list>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

extern "C" {
#include "base/buffer.h"
#include "base/hash.h"
#include "base/list.h"
}

/* A sanitizer must let us ask for more than there is. */
extern "C" const char *__asan_default_options()
{
        return "allocator_may_return_null=1";
}

namespace
{

struct Item {
        cosmos__hash_node node;
        int key;
};

std::multiset<int> keys_at(const cosmos__hash &h, uint64_t hash)
{
        std::multiset<int> keys;

        for (cosmos__hash_node *n = cosmos__hash_first(&h, hash); n; n = n->next)
                if (n->hash == hash)
                        keys.insert(reinterpret_cast<Item *>(n)->key);
        return keys;
}

} // namespace

TEST(Hash, FindsWhatIsInItAndNothingElse)
{
        std::mt19937 random(7);
        std::map<uint64_t, std::multiset<int>> model;
        std::vector<std::unique_ptr<Item>> items;
        cosmos__hash h;

        ASSERT_EQ(cosmos__hash_init(&h, 8), 0); /* far fewer buckets than nodes: chains */
        for (int i = 0; i < 5000; i++) {
                if (items.empty() || random() % 3) {
                        uint64_t hash = random() % 200 * 0x100000001u;

                        items.push_back(std::make_unique<Item>(Item{{}, i}));
                        cosmos__hash_insert(&h, &items.back()->node, hash);
                        model[hash].insert(i);
                } else {
                        size_t at = random() % items.size();

                        model[items[at]->node.hash].erase(items[at]->key);
                        cosmos__hash_remove(&h, &items[at]->node);
                        std::swap(items[at], items.back());
                        items.pop_back();
                }
                ASSERT_EQ(h.n, items.size());
        }
        for (uint64_t i = 0; i < 201; i++) /* 200 was never put in */
                EXPECT_EQ(keys_at(h, i * 0x100000001u), model[i * 0x100000001u]) << i;
        cosmos__hash_free(&h);
        EXPECT_EQ(h.buckets, nullptr);
}

TEST(Hash, HasABucketForEachNodeThatItIsMadeFor)
{
        for (size_t capacity : {0, 1, 16, 17, 1000, 16384}) {
                cosmos__hash h;

                ASSERT_EQ(cosmos__hash_init(&h, capacity), 0);
                EXPECT_GE(h.mask + 1, capacity);
                EXPECT_EQ((h.mask + 1) & h.mask, 0u) << "not a power of two";
                cosmos__hash_free(&h);
        }
}

TEST(Hash, RefusesWhatMemoryCannotHold)
{
        cosmos__hash h;

        EXPECT_EQ(cosmos__hash_init(&h, SIZE_MAX / 16), -ENOMEM);
}

TEST(Hash, OfBytesSpreadsOverTheBuckets)
{
        std::map<uint64_t, int> load;
        int worst = 0;

        for (int i = 0; i < 4096; i++) {
                std::string name = "call" + std::to_string(i);

                worst = std::max(worst, ++load[cosmos__hash_bytes(name.data(), name.size()) & 4095]);
        }
        EXPECT_LT(worst, 10); /* 8 is likely at random; a bad hash has hundreds */
        EXPECT_GT(load.size(), 2400u);
        EXPECT_NE(cosmos__hash_bytes("ab", 2), cosmos__hash_bytes("ba", 2));
        EXPECT_EQ(cosmos__hash_bytes("abc", 2), cosmos__hash_bytes("abd", 2));
        EXPECT_NE(cosmos__hash_mix(1), cosmos__hash_mix(2));
}

TEST(List, KeepsTheOrderOfAppending)
{
        struct Node {
                cosmos__list link;
                int n;
        } nodes[100];
        std::mt19937 random(3);
        std::list<int> model;
        cosmos__list head;
        std::vector<int> seen;

        cosmos__list_init(&head);
        EXPECT_TRUE(cosmos__list_empty(&head));
        for (int i = 0; i < 100; i++) {
                nodes[i].n = i;
                cosmos__list_init(&nodes[i].link);
                EXPECT_TRUE(cosmos__list_empty(&nodes[i].link));
        }
        for (int round = 0; round < 2000; round++) {
                int i = static_cast<int>(random() % 100);

                cosmos__list_remove(&nodes[i].link); /* one that is in no list may be removed too */
                model.remove(i);
                if (random() % 4) {
                        cosmos__list_append(&head, &nodes[i].link);
                        model.push_back(i);
                }
        }
        for (cosmos__list *l = head.next; l != &head; l = l->next) {
                EXPECT_EQ(l->next->prev, l);
                seen.push_back(reinterpret_cast<Node *>(l)->n);
        }
        EXPECT_EQ(seen, std::vector<int>(model.begin(), model.end()));
}

TEST(Buffer, HoldsWhatIsAppended)
{
        std::mt19937 random(5);
        cosmos__buffer b = {};
        std::string model;

        for (int i = 0; i < 300; i++) {
                std::string bytes(random() % 2000, static_cast<char>(i));

                ASSERT_EQ(cosmos__buffer_append(&b, bytes.data(), bytes.size()), 0);
                model += bytes;
                ASSERT_EQ(b.size, model.size());
                ASSERT_GE(b.room, b.size);
        }
        EXPECT_EQ(std::string(b.data, b.size), model);
        cosmos__buffer_free(&b);
        EXPECT_EQ(b.data, nullptr);
        EXPECT_EQ(b.room, 0u);
}

TEST(Buffer, AllocatesNoMoreOnceWarm)
{
        cosmos__buffer b = {};
        char *warm;

        ASSERT_EQ(cosmos__buffer_reserve(&b, 10000), 0);
        warm = b.data;
        for (int i = 0; i < 100; i++) {
                b.size = 0;
                ASSERT_EQ(cosmos__buffer_append(&b, std::string(10000, 'x').data(), 10000), 0);
                ASSERT_EQ(b.data, warm);
        }
        cosmos__buffer_free(&b);
}

TEST(Buffer, SaysWhenMemoryDoesNotSuffice)
{
        cosmos__buffer b = {};

        ASSERT_EQ(cosmos__buffer_append(&b, "abc", 3), 0);
        EXPECT_EQ(cosmos__buffer_reserve(&b, SIZE_MAX), -ENOMEM);
        EXPECT_EQ(cosmos__buffer_reserve(&b, SIZE_MAX / 2 + 1), -ENOMEM);
        EXPECT_EQ(cosmos__buffer_append(&b, nullptr, 0), 0); /* nothing of nothing */
        EXPECT_EQ(std::string(b.data, b.size), "abc");
        cosmos__buffer_free(&b);
}
