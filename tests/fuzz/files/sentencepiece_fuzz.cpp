#include "../target.h"
#include "data/tokenizer.h"
#include "error.h"

FUZZ(sentencepiece) {
  const gradus::fuzz::MemoryFile file(bytes);
  gradus::fuzz::accept_or_refuse<gradus::Error>([&] {
    const auto tokenizer = gradus::Tokenizer::load(file.path());
    tokenizer.decode(tokenizer.encode("a word, and another\nline \xff\xfe"));
  });
}
