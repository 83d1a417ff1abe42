#include <unistd.h>

#include <map>

#include "../target.h"
#include "error.h"
#include "page/page.h"
#include "three_runs.h"

// What the page is asked: a path and, each after a zero byte, names and values of its query by turns, as they are once HTTP has
// been taken off. Any of them is answered, refused or not found; 500 would be a mistake of ours.
FUZZ(request) {
  static gradus::fuzz::ThreeRuns runs;
  static gradus::results::Page page(runs.store);
  std::vector<std::string> words(1);
  for (const char c : bytes) {
    if (c == '\0')
      words.emplace_back();
    else
      words.back() += c;
  }
  std::map<std::string, std::string> query;
  for (std::size_t i = 1; i + 1 < words.size(); i += 2) query[words[i]] = words[i + 1];
  const gradus::results::Answer answer = page.get(words[0], query);
  if (answer.file >= 0) close(answer.file);
  if (answer.status != 200 && answer.status != 400 && answer.status != 404) {
    std::fprintf(stderr, "%d %s\n", answer.status, answer.body.c_str());
    __builtin_trap();
  }
}
