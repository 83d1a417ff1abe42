// Lines from a person at a terminal, by libedit: moving in the line, a history that a file keeps, completion. Loaded
// when a console begins and not linked: it would cost every command half a millisecond at its start.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace gradus {

class LineEditor {
 public:
  // What may stand at the cursor: how many bytes before it are replaced, and by what.
  struct Completion {
    std::size_t replaced = 0;
    std::vector<std::string> words;
  };
  enum class Read { line, end, interrupted };

  // `history`: a file, made with its folder where it is missing; "": none is kept. Throws HostError without libedit.
  explicit LineEditor(const std::string& history);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  // One line without its end. `complete` is asked for each tab, about the line up to the cursor; it must not throw.
  Read read(const std::string& prompt, Completion (*complete)(void* context, const std::string& before), void* context,
            std::string& line);
  // Keeps what was entered, of one or more lines, in the history and its file.
  void remember(const std::string& entry);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gradus
