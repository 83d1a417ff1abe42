#include <algorithm>

#include "../target.h"
#include "error.h"
#include "files/csv.h"

// The first bytes are options, up to a zero; the rest is the text.
FUZZ(csv) {
  const std::size_t zero = std::min(bytes.find('\0'), bytes.size());
  gradus::CsvOptions options;
  for (const char c : bytes.substr(0, zero)) {
    if (c == 'h') options.header = true;
    if (c == 'n') options.header = false;
    if (c == 'l') options.label_index = -1;
    if (c == 'f') options.label_index = 0;
    if (c == 'y') options.label = "y";
    if (c == 'v') options.labels = "value";
    if (c == 'c') options.labels = "class";
    if (c == 'k') options.classes = {"a", "b"};
    if (c == ';') options.delimiter = ';';
  }
  const std::string_view text = bytes.substr(std::min(zero + 1, bytes.size()));
  gradus::fuzz::accept_or_refuse<gradus::Error>([&] {
    const auto csv = gradus::parse_csv(text, "fuzz", options);
    if (static_cast<std::size_t>(csv.x.numel()) > text.size() + 1) __builtin_trap();
  });
}
