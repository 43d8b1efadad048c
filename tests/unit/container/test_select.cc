/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

extern "C" {
#include "container/select.h"
}

#include <cerrno>

static bool match(const char *word, const char *id, const char *name, const char *image)
{
        cosmos__select select = {};
        bool result;

        EXPECT_EQ(cosmos__select_init(&select, &word, 1, nullptr), 0);
        result = cosmos__select_match(&select, id, name, image);
        cosmos__select_free(&select);
        return result;
}

TEST(Select, Id)
{
        const std::string id = "0123abcdef" + std::string(54, '0');

        EXPECT_TRUE(match("0123", id.c_str(), nullptr, nullptr));
        EXPECT_TRUE(match("0123ABC", id.c_str(), nullptr, nullptr));
        EXPECT_TRUE(match(id.c_str(), id.c_str(), nullptr, nullptr));
        EXPECT_FALSE(match("012", id.c_str(), nullptr, nullptr)) << "shorter than 4 digits";
        EXPECT_FALSE(match("123a", id.c_str(), nullptr, nullptr));
        EXPECT_FALSE(match((id + "0").c_str(), id.c_str(), nullptr, nullptr));
        EXPECT_FALSE(match("0123", nullptr, nullptr, nullptr));
}

TEST(Select, Name)
{
        EXPECT_TRUE(match("db", nullptr, "db", nullptr));
        EXPECT_FALSE(match("db", nullptr, "db2", nullptr));
        EXPECT_FALSE(match("DB", nullptr, "db", nullptr));
        EXPECT_FALSE(match("d", nullptr, "db", nullptr));
}

TEST(Select, Image)
{
        EXPECT_TRUE(match("mariadb", nullptr, nullptr, "mariadb"));
        EXPECT_TRUE(match("mariadb", nullptr, nullptr, "mariadb:11"));
        EXPECT_TRUE(match("mariadb:11", nullptr, nullptr, "mariadb:11"));
        EXPECT_TRUE(match("mariadb:11", nullptr, nullptr, "mariadb:11@sha256:aa"));
        EXPECT_TRUE(match("mariadb", nullptr, nullptr, "mariadb@sha256:aa"));
        EXPECT_TRUE(match("host:5000/mariadb", nullptr, nullptr, "host:5000/mariadb:11"));
        EXPECT_FALSE(match("host", nullptr, nullptr, "host:5000/mariadb"));
        EXPECT_FALSE(match("mariadb", nullptr, nullptr, "mariadb-exporter"));
        EXPECT_FALSE(match("mariadb:1", nullptr, nullptr, "mariadb:11"));
        EXPECT_FALSE(match("mariadb@sha256", nullptr, nullptr, "mariadb@sha256:aa"));
}

TEST(Select, Words)
{
        const char *const empty[] = {"db", ""};
        const char *const null[] = {nullptr};
        cosmos__select select = {};
        cosmos_diag diag = {};

        EXPECT_TRUE(cosmos__select_match(&select, nullptr, nullptr, nullptr)) << "none given: any";
        EXPECT_EQ(cosmos__select_init(&select, empty, 2, &diag), -EINVAL);
        EXPECT_NE(std::string(diag.text).find("word 2 is empty"), std::string::npos) << diag.text;
        EXPECT_EQ(cosmos__select_init(&select, null, 1, &diag), -EINVAL);
        EXPECT_EQ(cosmos__select_init(&select, nullptr, 1, &diag), -EINVAL);
}
