// Subword tokens of a text by SentencePiece (Kudo and Richardson, EMNLP 2018; Debian's libsentencepiece).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "torch.h"

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace gradus {

class Tokenizer {
 public:
  // The special tokens; ordinary ones begin at kFirst.
  static constexpr int64_t kPad = 0, kUnknown = 1, kBegin = 2, kEnd = 3, kMask = 4, kFirst = 5;

  // Learns `vocabulary` tokens, the special ones included, from a text file in UTF-8 with one sentence or paragraph a
  // line; fewer where it gives no more: size() tells. model: "unigram" or "bpe". One thread, no sampling: the same file
  // gives the same model. Error: missing, io; data when the file holds no text, or too little for any vocabulary.
  static Tokenizer train(const std::string& path, int64_t vocabulary, const std::string& model = "unigram");
  // From a file that save() or SentencePiece wrote; data when it has other special tokens.
  static Tokenizer load(const std::string& path);
  void save(const std::string& path) const;

  Tokenizer(Tokenizer&&) noexcept;
  ~Tokenizer();

  int64_t size() const;
  // Tokens of the text's lines, one after the other, int64 [n]; a blank line becomes one kEnd, an unseen character
  // kUnknown. The text is normalised as SentencePiece does by default: NFKC, runs of spaces are one.
  at::Tensor encode(std::string_view text) const;
  // The text of tokens; special ones have none. Error(data) for tokens outside of the vocabulary.
  std::string decode(const at::Tensor& tokens) const;
  const std::string& bytes() const { return bytes_; }  // the model, as save() writes it

 private:
  Tokenizer(std::string bytes, const std::string& where);
  std::string bytes_;
  std::unique_ptr<sentencepiece::SentencePieceProcessor> processor_;
};

// The bytes of a text file. Errors: missing, io; data when it is empty, blank, binary or not UTF-8.
std::string read_text(const std::string& path);

}  // namespace gradus
