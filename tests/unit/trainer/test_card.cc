/* SPDX-License-Identifier: Apache-2.0 */
/* The model card: what it says of a file, and that nothing in a file can say more than its own cell. */
#include "../predictor/blob.h"
#include "../support.h"

#include <cosmos/trainer.h>

#include <sys/resource.h>
#include <cerrno>
#include <csignal>
#include <regex>

using blob::Blob;
using blob::quoted;
using support::contains;
using support::File;

namespace
{

class Folder : public support::Folder
{
      public:
        std::string put(const std::string &file, const std::string &content) const
        {
                int fd = open(at(file).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

                File::put(fd, content);
                close(fd);
                return at(file);
        }
};

struct Card {
        std::string text, plot;
};

Card card_of(const Folder &folder, const Blob &b, const std::string &name = "model.bin")
{
        cosmos_diag diag = {""};
        const std::string model = folder.put(name, b.bytes());

        EXPECT_EQ(cosmos_model_card(model.c_str(), folder.at("card.md").c_str(), &diag), 0) << diag.text;
        return {File::read_all(folder.at("card.md")), File::read_all(folder.at("card.svg"))};
}

Blob trained()
{
        Blob b;

        b.set("trained_on", R"({"calls":900,"sequences":7,"images":["db:11","app@sha256:0123"],)"
                            R"("traces":[{"sha256":"abcdef","calls":900,"sequences":7}]})");
        b.set("training", R"({"optimizer":"Adam","batch":64,"learning_rate":0.01,"cut":true})");
        b.set("curve", R"([{"epoch":1,"loss":2.5,"held_out":1.75,"learning_rate":0.01},)"
                       R"({"epoch":2,"loss":1.5,"held_out":1.25,"learning_rate":0.01},)"
                       R"({"epoch":3,"loss":1.0,"held_out":1.5,"learning_rate":0.005}])");
        b.set("report", R"({"perplexity":3.5,"unigram_perplexity":9.25,"fivegram_perplexity":4.125,"theta":2.5,)"
                        R"("quantile":2.25,"interval":[2.125,null],"false_alarms_later":0.015625,"windows":321})");
        b.set("threshold", "2.5");
        b.set("quantile", "0.99");
        b.set("threshold_rule", "some rule");
        b.set("versions", R"({"cosmos":"1.2.3"})");
        b.set("seed", "42");
        b.set("source", "bpf");
        return b;
}

size_t count(const std::string &text, const std::string &part)
{
        size_t n = 0;

        for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
                n++;
        return n;
}

/* Tags that are closed in the order in which they were opened, and nothing that would be one by chance. */
void expect_well_formed(const std::string &svg)
{
        static const std::regex tag("<(/?)([a-z]+)((?: [a-zA-Z0-9-]+=\"[^\"<>]*\")*)(/?)>");
        std::vector<std::string> open;
        size_t tags = 0;

        for (std::sregex_iterator at(svg.begin(), svg.end(), tag), end; at != end; ++at, tags++) {
                const std::string name = (*at)[2];

                if ((*at)[1].length()) {
                        ASSERT_FALSE(open.empty());
                        EXPECT_EQ(open.back(), name);
                        open.pop_back();
                } else if (!(*at)[4].length()) {
                        open.push_back(name);
                }
        }
        EXPECT_TRUE(open.empty());
        EXPECT_EQ(count(svg, "<"), tags);
        EXPECT_EQ(count(svg, ">"), tags);
        EXPECT_FALSE(contains(svg, "nan") || contains(svg, "inf"));
}

/* Without what is of the file as a whole, and whether it says nothing or an empty report. */
std::string plain(const std::string &text)
{
        return std::regex_replace(text, std::regex("[0-9a-f]{64}|bytes \\| [0-9]+|\nThe file does not say.\n"), "");
}

} // namespace

TEST(Card, SaysWhatTheFileSays)
{
        Folder folder;
        const Card card = card_of(folder, trained());

        for (const char *part :
             {"# Model card: model.bin\n", "| bytes | ",
              "| calls | 900 |\n| sequences | 7 |\n| a sequence is a | process |\n", "| collected by | bpf |",
              "| 1 | abcdef | 900 | 7 |\n", "| db:11 |\n| app\\@sha256:0123 |\n", "| names of calls | 4 |\n",
              "| window, hop | 100, 50 calls |\n",
              "| optimizer | Adam |\n| batch | 64 |\n| learning rate | 0.01 |\n| cut | yes |\n",
              "| this model | 3.5 |\n| 5-gram | 4.125 |\n| the frequency of calls alone | 9.25 |\n",
              "| θ | 2.5 nats a call |\n", "| share of normal windows that it is for | 0.99 |\n",
              "| windows that it was fitted to | 321 |\n", "| quantile of their scores | 2.25 nats a call |\n",
              "| 2.125 to (too few windows to say) |\n", "| 1.5625 % |\n",
              "](card.svg)\n\n3 epochs; the lowest mean on held-out calls, 1.25 nats a call, after "
              "epoch 2.\n",
              "| cosmos | 1.2.3 |\n| seed | 42 |\n"})
                EXPECT_TRUE(contains(card.text, part)) << part << "\n" << card.text;
        EXPECT_FALSE(contains(card.text, "some rule")) << "the report has it, and in figures";
        EXPECT_TRUE(std::regex_search(card.text, std::regex("\\| SHA-256 \\| [0-9a-f]{64} \\|\n")));

        expect_well_formed(card.plot);
        EXPECT_EQ(count(card.plot, "<polyline"), 2u);
        EXPECT_EQ(count(card.plot, "<line class=\"rate\""), 2u) << "one of them in the legend";
        EXPECT_TRUE(contains(card.plot, "nats a call"));
        const Card again = card_of(folder, trained());
        EXPECT_EQ(card.text, again.text);
        EXPECT_EQ(card.plot, again.plot);
}

TEST(Card, HasTheDigestOfTheFile)
{
        Folder folder;
        const Card card = card_of(folder, Blob());
        const std::string command = "sha256sum " + folder.at("model.bin");
        FILE *pipe = popen(command.c_str(), "re");
        char digest[65] = "";

        ASSERT_EQ(fread(digest, 1, 64, pipe), 64u);
        pclose(pipe);
        EXPECT_TRUE(contains(card.text, std::string("| SHA-256 | ") + digest + " |"));
}

TEST(Card, OfAThresholdThatWasCalibratedSince)
{
        Folder folder;
        Blob b = trained();

        b.set("threshold", "3.5");
        b.set("thresholds", R"({"db:11":{"theta":1.5}})");
        const Card card = card_of(folder, b);
        EXPECT_TRUE(contains(card.text, "| θ | 3.5 nats a call |\n")) << card.text;
        EXPECT_TRUE(contains(card.text, "| how it came about | some rule |\n"));
        EXPECT_TRUE(contains(card.text, "| db:11 | 1.5 |\n"));
        EXPECT_FALSE(contains(card.text, "false alarms"));
}

TEST(Card, SaysNothingOfWhatIsNotThere)
{
        Folder folder;
        const Card card = card_of(folder, Blob());

        EXPECT_TRUE(contains(card.text, "The file does not say."));
        for (const char *part : {"Learning curve", "threshold", "perplexity", "| trace |", "image"})
                EXPECT_FALSE(contains(card.text, part)) << part;
        EXPECT_EQ(access(folder.at("card.svg").c_str(), F_OK), -1);
}

TEST(Card, LeavesOutWhatIsMalformed)
{
        Folder folder;
        const std::string nothing = plain(card_of(folder, Blob()).text);
        Blob b;

        for (const char *value :
             {"", "{", "[]", "{}", "7", "null", "\"x\"", "[[[[[[", "[1,{}]", "{\"a\":[]}",
              R"({"calls":{},"traces":{},"images":{},"perplexity":[3],"interval":[1]})",
              R"([{"epoch":1,"loss":-1,"held_out":1}])", R"([{"epoch":1e3,"loss":1,"held_out":1}])",
              R"([{"epoch":1,"loss":1e300,"held_out":1}])", R"([{"epoch":-1,"loss":1,"held_out":1}])"}) {
                for (const char *key : {"trained_on", "training", "curve", "report", "versions"})
                        b.set(key, value);
                EXPECT_EQ(plain(card_of(folder, b).text), nothing) << value;
        }
}

TEST(Card, CurvesThatAreOdd)
{
        Folder folder;
        Blob b;

        for (const char *value :
             {R"([{"epoch":1,"loss":0,"held_out":0}])", R"([{"epoch":7,"loss":1e6,"held_out":1e-9}])",
              R"([{"epoch":1000000,"loss":1,"held_out":1},{"epoch":2,"loss":1,"held_out":1}])",
              R"([{"epoch":1,"loss":1,"held_out":1},3,{"epoch":1000000,"loss":2,"held_out":1}])"}) {
                b.set("curve", value);
                const Card card = card_of(folder, b);
                expect_well_formed(card.plot);
                EXPECT_LT(count(card.plot, "<text"), 40u) << value;
                EXPECT_FALSE(contains(card.plot, "learning rate"));
                EXPECT_TRUE(contains(card.text, "card.svg"));
        }
}

TEST(Card, QuotesWhatIsFromOutside)
{
        Folder folder;
        Blob b = trained();
        const std::string safe =
            "&lt;script&gt;alert\\(1\\)&lt;/script&gt; \\| \\`x\\` \\[a\\]\\(http\\://b\\) \\*c\\* "
            "\\_d\\_ \\# www\\.e.f\\\\x0a\\\\x0a\\# g\\\\x09\\\\xe2\\\\x80\\\\xae &amp;lt;";
        const std::string json =
            "<script>alert(1)</script> | `x` [a](http://b) *c* _d_ # www.e.f\\n\\n# g\\t\xe2\x80\xae &lt;";

        b.metadata["cosmos.seed"] = "\"" + json + "\"";
        b.set("trained_on", "{\"images\":[\"" + json + "\"],\"traces\":[{\"sha256\":\"" + json + "\"}]}");
        b.set("training", "{\"" + json + "\":\"" + json + "\"}");
        b.set("versions", "{\"x\":\"" + json + "\"}");
        const std::string text = card_of(folder, b, "a<b>|c`.bin").text;
        EXPECT_TRUE(contains(text, "# Model card: a&lt;b&gt;\\|c\\`.bin\n")) << text;
        EXPECT_EQ(count(text, safe), 5u) << text; /* a name of a setting is cut */
        EXPECT_FALSE(contains(text, "<script"));
        EXPECT_EQ(count(text, "\n# "), 0u);
}

TEST(Card, CutsWhatIsLong)
{
        Folder folder;
        Blob b;
        std::string images = "{\"images\":[\"0\"";

        for (int i = 1; i < 5000; i++)
                images += ",\"" + std::to_string(i) + "\"";
        b.set("trained_on", images + "]}");
        b.set("seed", std::string(100000, 'x'));
        const std::string text = card_of(folder, b).text;
        EXPECT_TRUE(contains(text, "| 99 |\n\nand 4900 more.\n"));
        EXPECT_TRUE(contains(text, "xxx..."));
        EXPECT_LT(text.size(), 10000u);
}

TEST(Card, NamesOfItsFiles)
{
        Folder folder;
        cosmos_diag diag = {""};
        const std::string model = folder.put("model", trained().bytes());
        const struct {
                const char *card, *plot, *link;
        } all[] = {
            {"x.md", "x.svg", "](x.svg)"},
            {"x.md.txt", "x.md.txt.svg", "](x.md.txt.svg)"},
            {"a b).md", "a b).svg", "](a%20b%29.svg)"},
            {"\xc3\xa9.md", "\xc3\xa9.svg", "](%C3%A9.svg)"},
        };

        for (const auto &names : all) {
                EXPECT_EQ(cosmos_model_card(model.c_str(), folder.at(names.card).c_str(), &diag), 0) << diag.text;
                EXPECT_EQ(access(folder.at(names.plot).c_str(), R_OK), 0) << names.plot;
                EXPECT_TRUE(contains(File::read_all(folder.at(names.card)), names.link));
        }
}

TEST(Card, WhatGoesWrong)
{
        Folder folder;
        cosmos_diag diag = {""};
        const std::string model = folder.put("model.bin", trained().bytes()), card = folder.at("card.md");
        const std::string nowhere = folder.at("none/card.md"), bad = folder.put("bad.bin", "bad");

        EXPECT_EQ(cosmos_model_card(nullptr, card.c_str(), &diag), -EINVAL);
        EXPECT_EQ(cosmos_model_card(model.c_str(), nullptr, &diag), -EINVAL);
        EXPECT_EQ(cosmos_model_card(folder.at("none").c_str(), card.c_str(), &diag), -ENOENT);
        EXPECT_EQ(cosmos_model_card(bad.c_str(), card.c_str(), &diag), -COSMOS_EFORMAT);
        EXPECT_TRUE(contains(diag.text, "bad.bin")) << diag.text;
        EXPECT_EQ(cosmos_model_card(model.c_str(), nowhere.c_str(), &diag), -ENOENT);
        EXPECT_TRUE(contains(diag.text, "none/card.svg': not written")) << diag.text;
        EXPECT_EQ(access(card.c_str(), F_OK), -1);
        EXPECT_EQ(access(folder.at("card.svg").c_str(), F_OK), -1);
}

/* A disk that is full: what was there stays. */
TEST(Card, IsWrittenWholeOrNotAtAll)
{
        Folder folder;
        cosmos_diag diag = {""};
        const std::string model = folder.put("model.bin", trained().bytes());
        const std::string card = folder.put("card.md", "old"), plot = folder.put("card.svg", "old");
        struct rlimit before, low;

        ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
        low = before;
        low.rlim_cur = 100;
        signal(SIGXFSZ, SIG_IGN);
        ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &low), 0);
        EXPECT_EQ(cosmos_model_card(model.c_str(), card.c_str(), &diag), -EFBIG);
        ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
        EXPECT_EQ(File::read_all(card), "old");
        EXPECT_EQ(File::read_all(plot), "old");
}
