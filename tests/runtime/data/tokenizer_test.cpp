#include "data/tokenizer.h"

#include <sentencepiece_trainer.h>

#include "file_case.h"
#include "refusal.h"

namespace gradus {
namespace {

class TokenizerTest : public FileCase {
 protected:
  // A text with enough different words for a small vocabulary.
  std::string corpus() const {
    static const char* words[] = {"student", "teacher", "curriculum", "learns", "slowly", "from",
                                  "the",     "easy",    "examples",   "harder", "later",  "and",
                                  "forgets", "nothing", "who",        "distils"};
    std::string text;
    for (int i = 0; i < 400; ++i) {
      for (int k = 0; k < 9; ++k) text += std::string(words[(i * 7 + k * (i % 5 + 1)) % 16]) + (k < 8 ? " " : ".\n");
      if (i % 10 == 9) text += "\n";
    }
    return write("corpus.txt", text);
  }
};

TEST_F(TokenizerTest, LearnsTheSameModelFromTheSameFile) {
  const std::string text = corpus();
  for (const char* model : {"unigram", "bpe"}) {
    const Tokenizer one = Tokenizer::train(text, 40, model), two = Tokenizer::train(text, 40, model);
    EXPECT_EQ(one.bytes(), two.bytes());
    EXPECT_EQ(one.size(), 40);
  }
  EXPECT_NE(Tokenizer::train(text, 40, "bpe").bytes(), Tokenizer::train(text, 40, "unigram").bytes());
}

TEST_F(TokenizerTest, DecodesWhatItEncoded) {
  const Tokenizer t = Tokenizer::train(corpus(), 40);
  const std::string text = "the student learns from the teacher.";
  const at::Tensor tokens = t.encode(text);
  EXPECT_EQ(tokens.scalar_type(), at::kLong);
  EXPECT_TRUE(tokens.ge(Tokenizer::kFirst).all().item<bool>());
  EXPECT_LT(tokens.numel(), static_cast<int64_t>(text.size()));
  EXPECT_EQ(t.decode(tokens), text);
  EXPECT_EQ(t.decode(t.encode("the   student\n")), "the student");  // runs of spaces are one
}

TEST_F(TokenizerTest, JoinsLinesAndEndsParagraphs) {
  const Tokenizer t = Tokenizer::train(corpus(), 40);
  const at::Tensor a = t.encode("the student"), b = t.encode("learns");
  EXPECT_TRUE(at::equal(t.encode("the student\r\nlearns\n"), at::cat({a, b})));
  const at::Tensor end = at::full({1}, Tokenizer::kEnd, at::kLong);
  EXPECT_TRUE(at::equal(t.encode("\n\nthe student\n\n \nlearns"), at::cat({a, end, b})));
  EXPECT_TRUE(t.encode("€").eq(Tokenizer::kUnknown).any().item<bool>());
  EXPECT_EQ(t.encode("").numel(), 0);
}

TEST_F(TokenizerTest, ComesBackFromItsFile) {
  const Tokenizer t = Tokenizer::train(corpus(), 40);
  t.save(path("t.model"));
  const Tokenizer back = Tokenizer::load(path("t.model"));
  EXPECT_EQ(back.bytes(), t.bytes());
  EXPECT_TRUE(at::equal(back.encode("nothing from the easy"), t.encode("nothing from the easy")));
}

TEST_F(TokenizerTest, TakesAsManyAsASmallTextGives) {
  const std::string file = write("few.txt", "a few words\n");
  for (const char* model : {"unigram", "bpe"}) {
    const Tokenizer most = Tokenizer::train(file, 5000, model);
    EXPECT_LT(most.size(), 5000) << model;
    EXPECT_EQ(most.decode(most.encode("a few words")), "a few words");
    EXPECT_EQ(Tokenizer::train(file, most.size(), model).bytes(), most.bytes());
    EXPECT_EQ(Tokenizer::train(file, 1000000, model).bytes(), most.bytes());
    EXPECT_EQ(Tokenizer::train(write("line.txt", "a few words"), 5000, model).size(), most.size()) << "of one line";
  }
}

TEST_F(TokenizerTest, RefusesFilesThatGiveNoVocabulary) {
  const std::string text = corpus();
  EXPECT_EQ(refusal([&] { Tokenizer::train(path("none.txt"), 40); }, Exit::missing).find(path("none.txt")), 0u);
  const auto train = [&](const std::string& bytes, int64_t vocabulary) {
    const std::string file = write("bad.txt", bytes);
    return refusal([&] { Tokenizer::train(file, vocabulary); }).substr(file.size());
  };
  EXPECT_EQ(train("", 40), ": holds no text; expected a text file; got an empty file");
  EXPECT_EQ(train(" \n\n", 40), ": holds no text; expected a text file; got blanks");
  EXPECT_EQ(train(std::string("ab\0c", 4), 40), ": is no text; expected a text file in UTF-8; got a zero at byte 2");
  EXPECT_EQ(train("caf\xe9 noir", 40), ": is no text; expected a text file in UTF-8; got 0xE9 at byte 3");
  for (const char* bytes :
       {"ab\xff", "ab\x80", "ab\xc1\x80", "ab\xe2\x82", "ab\xed\xa0\x80", "ab\xf0\x80\x80\x80", "ab\xf4\x90\x80\x80"})
    EXPECT_NE(train(bytes, 40).find("expected a text file in UTF-8; got 0x"), std::string::npos) << bytes;
  for (const char* bytes :
       {"\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"})
    EXPECT_EQ(read_text(write("fine.txt", bytes)), bytes);
  EXPECT_EQ(train("x\n", 60),
            ": does not give a vocabulary of 60; expected one that fits the text; got too little text");
  const std::string small = refusal([&] { Tokenizer::train(text, 8); });
  EXPECT_NE(small.find("; got Vocabulary size is smaller than required_chars. 8 vs "), std::string::npos) << small;
  EXPECT_EQ(refusal([&] { Tokenizer::train(text, 5); }),
            "tokenizer: vocabulary out of range; expected a whole number from 6 to 1000000; got 5");
  EXPECT_NE(refusal([&] { Tokenizer::train(text, 1000001); }).find("vocabulary out of range"), std::string::npos);
  EXPECT_EQ(refusal([&] { Tokenizer::train(text, 40, "words"); }),
            "tokenizer: model; expected 'unigram' or 'bpe'; got 'words'");
}

TEST_F(TokenizerTest, RefusesFilesThatAreNoModel) {
  expect_refused(path("bad.model"), {{"", "is no tokenizer"}, {"no model at all", "is no tokenizer"}},
                 [](const std::string& file) { Tokenizer::load(file); });
  refusal([&] { Tokenizer::load(path("none.model")); }, Exit::missing);
}

// SentencePiece's own default has other special tokens, and no mask.
TEST_F(TokenizerTest, RefusesModelsWithOtherSpecialTokens) {
  const std::string text = corpus();
  const auto loaded = [&](const std::string& options) {
    const auto status = sentencepiece::SentencePieceTrainer::Train("--minloglevel=3 --vocab_size=40 --input=" + text +
                                                                   " --model_prefix=" + path("other") + " " + options);
    EXPECT_TRUE(status.ok()) << status.ToString();
    return refusal([&] { Tokenizer::load(path("other.model")); });
  };
  const std::string ids = "--pad_id=0 --unk_id=1 --bos_id=2 --eos_id=3";
  EXPECT_EQ(loaded(ids + " --control_symbols=[MASK]"), "accepted");
  for (const std::string& other : {std::string(), ids, ids + " --user_defined_symbols=[MASK]",
                                   std::string("--pad_id=0 --unk_id=1 --bos_id=3 --eos_id=2 --control_symbols=[MASK]"),
                                   std::string("--pad_id=1 --unk_id=0 --bos_id=2 --eos_id=3 --control_symbols=[MASK]")})
    EXPECT_NE(loaded(other).find(": has other special tokens; expected <pad> <unk> <s> </s> [MASK] as tokens 0 to 4"),
              std::string::npos)
        << other;
}

TEST_F(TokenizerTest, SpecialTokensHaveNoText) {
  const Tokenizer t = Tokenizer::train(corpus(), 40);
  const at::Tensor word = t.encode("learns");
  EXPECT_EQ(t.decode(at::cat({at::tensor({0, 2, 4}, at::kLong), word, at::tensor({3, 0}, at::kLong)})), "learns");
  for (const int64_t token : {int64_t{Tokenizer::kUnknown}, int64_t{Tokenizer::kFirst}, t.size() - 1})
    EXPECT_NE(t.decode(at::cat({word, at::full({1}, token, at::kLong)})), "learns") << token;
}

TEST_F(TokenizerTest, RefusesTokensThatItDoesNotHave) {
  const Tokenizer t = Tokenizer::train(corpus(), 40);
  EXPECT_EQ(refusal([&] { t.decode(at::tensor({40}, at::kLong)); }), "decode: no such token; expected 0 to 39; got 40");
  EXPECT_EQ(refusal([&] { t.decode(at::tensor({-1}, at::kLong)); }), "decode: no such token; expected 0 to 39; got -1");
  for (const auto type : {at::kFloat, at::kBool})
    EXPECT_NE(refusal([&] { t.decode(at::ones({2}, type)); }).find("no list of tokens"), std::string::npos);
  EXPECT_EQ(refusal([&] {
              t.decode(at::zeros({2, 2}, at::kLong));
            }),
            "decode: no list of tokens; expected whole numbers [n]; got Long [2, 2]");
}

}  // namespace
}  // namespace gradus
