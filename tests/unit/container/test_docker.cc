/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

extern "C" {
#include "container/docker.h"
}

#include <cerrno>
#include <cstdlib>
#include <sys/stat.h>
#include <unistd.h>

class DockerTest : public ::testing::Test
{
      protected:
        std::string file()
        {
                return tree.docker_root + "/containers/" + id + "/config.v2.json";
        }

        int read()
        {
                char *n = nullptr, *i = nullptr;
                int r = cosmos__docker_read(tree.docker_root.c_str(), id.c_str(), &n, &i, &diag);

                name = n ? n : "(none)";
                image = i ? i : "(none)";
                free(n);
                free(i);
                return r;
        }

        int read(const std::string &text)
        {
                tree.write(file(), text);
                return read();
        }

        Tree tree;
        cosmos_diag diag = {};
        std::string id = make_id('a'), name, image;
};

TEST_F(DockerTest, NameAndImage)
{
        EXPECT_EQ(read(), -ENOENT);
        tree.docker(id, "db", "mariadb:11");
        EXPECT_EQ(read(), 0);
        EXPECT_EQ(name, "db");
        EXPECT_EQ(image, "mariadb:11");
}

TEST_F(DockerTest, WhatItLacksIsAbsent)
{
        EXPECT_EQ(read("{\"ID\":\"" + id + "\"}"), 0);
        EXPECT_EQ(name, "(none)");
        EXPECT_EQ(image, "(none)");
        EXPECT_EQ(read("{\"ID\":\"" + id + "\",\"Name\":7,\"Config\":[]}"), 0);
        EXPECT_EQ(name, "(none)");
        EXPECT_EQ(read("{\"ID\":\"" + id + "\",\"Name\":\"/\",\"Config\":{\"Image\":null}}"), 0);
        EXPECT_EQ(name, "(none)");
}

TEST_F(DockerTest, Hostile)
{
        const std::string texts[] = {
            "",
            "{",
            "[]",
            "7",
            "{\"ID\":\"" + make_id('b') + "\",\"Name\":\"/db\"}",
            "{\"ID\":7,\"Name\":\"/db\"}",
            "{\"Name\":\"/db\"}",
            "{\"ID\":\"" + id + "\\u0000\"}",
            "{\"ID\":\"" + id + "\",\"Name\":\"/\xff\"}",
            std::string("{\"ID\":\"") + id + std::string(1, 0) + "\"}",
            std::string(100000, '['),
        };

        for (const auto &text : texts) {
                EXPECT_EQ(read(text), -COSMOS_EFORMAT) << text.substr(0, 80);
                EXPECT_NE(std::string(diag.text).find("config.v2.json"), std::string::npos) << diag.text;
        }
}

TEST_F(DockerTest, NoPipeNoLinkNoHugeFile)
{
        std::string path = file();

        tree.docker(id, "db", "x");
        ASSERT_EQ(rename(path.c_str(), (path + ".real").c_str()), 0);
        ASSERT_EQ(symlink((path + ".real").c_str(), path.c_str()), 0);
        EXPECT_EQ(read(), -ELOOP);
        tree.remove(path);
        ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
        EXPECT_EQ(read(), -COSMOS_EFORMAT) << "and does not wait for a writer";
        tree.remove(path);
        tree.docker(id, "db", "x");
        ASSERT_EQ(truncate(path.c_str(), (16 << 20) + 1), 0);
        EXPECT_EQ(read(), -COSMOS_EFORMAT);
}
