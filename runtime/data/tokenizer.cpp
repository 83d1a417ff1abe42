#include "tokenizer.h"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "error.h"
#include "files/file.h"

namespace gradus {

namespace {

// Calls visit(line) on each line, without its end.
template <class Visit>
void each_line(std::string_view text, Visit visit) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    visit(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

bool blank(std::string_view line) { return line.find_first_not_of(" \t\r\n\f\v") == std::string_view::npos; }

// A file's own bytes may be in what is said of it.
std::string in_one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' '; }, ' ');
  return text;
}

// What SentencePiece says, less the place in its sources; `otherwise` where it only names a condition there.
std::string reason(const sentencepiece::util::Status& status, const char* otherwise) {
  std::string text = status.ToString();
  if (const size_t at = text.rfind("] "); at != std::string::npos) text = text.substr(at + 2);
  return blank(text) ? otherwise : in_one_line(std::move(text));
}

// "… too high (256). Please set it to a value <= 28." -> 28, the most that the text gives; 0 where it says something else.
int64_t most_of(const std::string& refusal) {
  constexpr std::string_view kWords = "Please set it to a value <= ";
  const size_t at = refusal.find(kWords);
  return at == std::string::npos ? 0 : std::strtoll(refusal.c_str() + at + kWords.size(), nullptr, 10);
}

// Where the first byte stands that is not UTF-8; the text's length where all are.
size_t end_of_utf8(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
    const unsigned first = byte(at), second = byte(at + 1);
    const size_t length = first < 0x80 ? 1 : first >= 0xC2 && first < 0xE0 ? 2 : first >= 0xE0 && first < 0xF0 ? 3 : 4;
    if ((first >= 0x80 && first < 0xC2) || first > 0xF4) return at;
    for (size_t i = 1; i < length; ++i)
      if ((byte(at + i) & 0xC0) != 0x80) return at;
    // Longer than need be, a surrogate, or beyond U+10FFFF.
    if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) || (first == 0xF0 && second < 0x90) ||
        (first == 0xF4 && second > 0x8F))
      return at;
    at += length;
  }
  return at;
}

}  // namespace

std::string read_text(const std::string& path) {
  const File file(path);
  std::string text = file.read(0, file.size());
  if (blank(text)) throw data_error(path, "holds no text", "a text file", text.empty() ? "an empty file" : "blanks");
  if (const size_t zero = text.find('\0'); zero != std::string::npos)
    throw data_error(path, "is no text", "a text file in UTF-8", "a zero at byte " + std::to_string(zero));
  if (const size_t end = end_of_utf8(text); end < text.size()) {
    char byte[8];
    std::snprintf(byte, sizeof byte, "0x%02X", static_cast<unsigned char>(text[end]));
    throw data_error(path, "is no text", "a text file in UTF-8", std::string(byte) + " at byte " + std::to_string(end));
  }
  return text;
}

Tokenizer::Tokenizer(std::string bytes, const std::string& where)
    : bytes_(std::move(bytes)), processor_(std::make_unique<sentencepiece::SentencePieceProcessor>()) {
  std::string wrong;
  try {
    const auto status = processor_->LoadFromSerializedProto(bytes_);
    if (!status.ok()) wrong = reason(status, "other bytes");
  } catch (const std::exception& error) {  // its trie throws, where a piece is empty
    wrong = in_one_line(error.what());
  }
  if (!wrong.empty()) throw data_error(where, "is no tokenizer", "a SentencePiece model", wrong);
  const bool ours = processor_->pad_id() == kPad && processor_->unk_id() == kUnknown &&
                    processor_->bos_id() == kBegin && processor_->eos_id() == kEnd && size() > kFirst &&
                    processor_->IsControl(kMask);
  if (!ours)
    throw data_error(where, "has other special tokens", "<pad> <unk> <s> </s> [MASK] as tokens 0 to 4",
                     "'" + in_one_line(processor_->IdToPiece(0)) + "'");
}

Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::train(const std::string& path, int64_t vocabulary, const std::string& model) {
  if (model != "unigram" && model != "bpe")
    throw data_error("tokenizer", "model", "'unigram' or 'bpe'", "'" + model + "'");
  if (vocabulary <= kFirst || vocabulary > 1000000)
    throw data_error("tokenizer", "vocabulary out of range", "a whole number from 6 to 1000000",
                     std::to_string(vocabulary));
  const std::string text = read_text(path);
  std::vector<std::string> lines;
  each_line(text, [&](std::string_view line) {
    if (!blank(line)) lines.emplace_back(line);
  });
  struct Lines : sentencepiece::SentenceIterator {
    explicit Lines(const std::vector<std::string>& all) : all(all) {}
    bool done() const override { return at == all.size(); }
    void Next() override { ++at; }
    const std::string& value() const override { return all[at]; }
    sentencepiece::util::Status status() const override { return {}; }
    const std::vector<std::string>& all;
    size_t at = 0;
  } iterator(lines);
  std::string bytes;
  const auto status = sentencepiece::SentencePieceTrainer::Train(
      {{"vocab_size", std::to_string(vocabulary)},
       {"model_type", model},
       {"pad_id", "0"},
       {"unk_id", "1"},
       {"bos_id", "2"},
       {"eos_id", "3"},
       {"control_symbols", "[MASK]"},
       {"max_sentence_length", std::to_string(text.size() + 1)},  // longer lines would be left out without a word
       {"num_threads", "1"},
       {"minloglevel", "3"}},
      &iterator, &bytes);
  if (const int64_t most = most_of(status.ToString()); most > kFirst && most < vocabulary)
    return train(path, most, model);
  if (!status.ok())
    throw data_error(path, "does not give a vocabulary of " + std::to_string(vocabulary), "one that fits the text",
                     reason(status, "too little text"));
  return {std::move(bytes), path};
}

Tokenizer Tokenizer::load(const std::string& path) {
  const File file(path);
  refuse_pickle(file);
  return {file.read(0, file.size()), path};
}

void Tokenizer::save(const std::string& path) const {
  FileReplacement file(path);
  file.write(bytes_.data(), static_cast<int64_t>(bytes_.size()));
  file.commit();
}

int64_t Tokenizer::size() const { return processor_->GetPieceSize(); }

at::Tensor Tokenizer::encode(std::string_view text) const {
  std::vector<int64_t> tokens;
  std::vector<int> ids;
  each_line(text, [&](std::string_view line) {
    if (blank(line)) {
      if (!tokens.empty() && tokens.back() != kEnd) tokens.push_back(kEnd);
      return;
    }
    const auto status = processor_->Encode(line, &ids);
    if (!status.ok())
      throw data_error("tokenizer", "its model cannot encode", "a SentencePiece model as it was trained",
                       reason(status, "no reason"));
    tokens.insert(tokens.end(), ids.begin(), ids.end());
  });
  at::Tensor out = at::empty({static_cast<int64_t>(tokens.size())}, at::kLong);
  std::copy(tokens.begin(), tokens.end(), out.mutable_data_ptr<int64_t>());
  return out;
}

std::string Tokenizer::decode(const at::Tensor& tokens) const {
  if (tokens.dim() != 1 || !at::isIntegralType(tokens.scalar_type(), false))
    throw data_error("decode", "no list of tokens", "whole numbers [n]",
                     std::string(at::toString(tokens.scalar_type())) + " " + show_shape(tokens.sizes()));
  const at::Tensor list = tokens.to(at::kCPU, at::kLong).contiguous();
  const int64_t* begin = list.const_data_ptr<int64_t>();
  std::vector<int> ids;
  for (int64_t i = 0; i < list.numel(); ++i) {
    if (begin[i] < 0 || begin[i] >= size())
      throw data_error("decode", "no such token", "0 to " + std::to_string(size() - 1), std::to_string(begin[i]));
    if (begin[i] >= kFirst || begin[i] == kUnknown) ids.push_back(static_cast<int>(begin[i]));
  }
  std::string text;
  const auto status = processor_->Decode(ids, &text);
  if (!status.ok())
    throw data_error("tokenizer", "its model cannot decode", "a SentencePiece model as it was trained",
                     reason(status, "no reason"));
  return text;
}

}  // namespace gradus
