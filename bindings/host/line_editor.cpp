#include "line_editor.h"

#include <dlfcn.h>
#include <histedit.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cwchar>
#include <filesystem>

#include "host_error.h"
#include "output.h"
#include "signals.h"

namespace gradus {

struct LineEditor::State {
  EditLine* editor = nullptr;    // owned
  ::History* history = nullptr;  // owned
  std::string file, prompt;
  Completion (*complete)(void*, const std::string&) = nullptr;
  void* context = nullptr;
  bool interrupted = false;

  // What libedit calls.
  static State& of(EditLine* editor);  // borrowed
  static char* prompt_of(EditLine* editor) { return of(editor).prompt.data(); }
  static int letter(EditLine* editor, wchar_t* out);
  static unsigned char complete_word(EditLine* editor, int);
};

namespace {

// Types from libedit's header, addresses from its library.
struct Library {
  void* handle = dlopen("libedit.so.2", RTLD_NOW | RTLD_LOCAL);
  decltype(&::el_init) init = find<decltype(&::el_init)>("el_init");
  decltype(&::el_end) end = find<decltype(&::el_end)>("el_end");
  decltype(&::el_gets) gets = find<decltype(&::el_gets)>("el_gets");
  decltype(&::el_set) set = find<decltype(&::el_set)>("el_set");
  decltype(&::el_get) get = find<decltype(&::el_get)>("el_get");
  decltype(&::el_line) line = find<decltype(&::el_line)>("el_line");
  decltype(&::el_insertstr) insert = find<decltype(&::el_insertstr)>("el_insertstr");
  decltype(&::el_deletestr) erase = find<decltype(&::el_deletestr)>("el_deletestr");
  decltype(&::el_resize) resize = find<decltype(&::el_resize)>("el_resize");
  decltype(&::history) history = find<decltype(&::history)>("history");
  decltype(&::history_init) history_init = find<decltype(&::history_init)>("history_init");
  decltype(&::history_end) history_end = find<decltype(&::history_end)>("history_end");

  template <class F>
  F find(const char* name) {
    void* address = handle ? dlsym(handle, name) : nullptr;
    if (!address)
      throw HostError(kMissing, "no libedit; expected the Debian package libedit2 for lines that can be edited");
    return reinterpret_cast<F>(address);
  }
};

Library& edit() {
  static Library library;
  return library;
}

constexpr int kEntries = 1000;  // that the history keeps

// As the terminal writes letters, while a line is read; elsewhere Gradus keeps C's.
class TerminalLetters {
 public:
  TerminalLetters() { std::setlocale(LC_CTYPE, "C.UTF-8"); }
  ~TerminalLetters() { std::setlocale(LC_CTYPE, "C"); }
};

// False when Ctrl-C came, before it or meanwhile: SIGINT is let through only while nobody could miss it.
bool wait_for_key() {
  sigset_t interrupt, before;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  sigprocmask(SIG_BLOCK, &interrupt, &before);
  int ready = 0;
  while (!stopping() && ready <= 0) {
    pollfd key = {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    ready = ppoll(&key, 1, nullptr, &before);
    if (ready < 0 && errno != EINTR) break;
  }
  const bool interrupted = stopping() != nullptr;
  sigprocmask(SIG_SETMASK, &before, nullptr);
  return !interrupted;
}

std::string common_beginning(const std::vector<std::string>& words) {
  std::string same = words.front();
  for (const std::string& word : words) {
    const auto differs = std::mismatch(same.begin(), same.end(), word.begin(), word.end()).first;
    same.erase(differs, same.end());
  }
  return same;
}

// In columns, below the line that is being edited.
void list(const std::vector<std::string>& words) {
  constexpr std::size_t kMost = 120;
  const auto columns = static_cast<std::size_t>(terminal_columns(80));
  std::size_t width = 0;
  for (const std::string& word : words) width = std::max(width, word.size() + 2);
  const std::size_t across = std::max<std::size_t>(1, columns / width), shown = std::min(words.size(), kMost);
  std::fputc('\n', stdout);
  for (std::size_t i = 0; i < shown; ++i)
    std::printf("%-*s%s", static_cast<int>(width), words[i].c_str(),
                (i + 1) % across == 0 || i + 1 == shown ? "\n" : "");
  if (shown < words.size()) std::printf("… and %zu more\n", words.size() - shown);
  std::fflush(stdout);
}

}  // namespace

LineEditor::State& LineEditor::State::of(EditLine* editor) {
  State* self = nullptr;
  edit().get(editor, EL_CLIENTDATA, &self);
  return *self;
}

// A character at a time, so that Ctrl-C ends the line and nothing else.
int LineEditor::State::letter(EditLine* editor, wchar_t* out) {
  std::mbstate_t partial{};
  for (;;) {
    char byte = 0;
    if (!wait_for_key()) return of(editor).interrupted = true, 0;
    const ssize_t count = ::read(STDIN_FILENO, &byte, 1);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return 0;
    if (byte == 0) continue;  // a Ctrl-D that was typed before the prompt: the line would never be empty again
    const std::size_t letters = std::mbrtowc(out, &byte, 1, &partial);
    if (letters == static_cast<std::size_t>(-1)) return *out = static_cast<unsigned char>(byte), 1;
    if (letters != static_cast<std::size_t>(-2)) return 1;
  }
}

unsigned char LineEditor::State::complete_word(EditLine* editor, int) {
  const State& self = of(editor);
  const LineInfo* line = edit().line(editor);
  const std::string before(line->buffer, line->cursor);
  const Completion found = self.complete(self.context, before);
  if (found.words.empty() || found.replaced > before.size()) return CC_REFRESH_BEEP;
  if (found.replaced == 0) return edit().insert(editor, "\t"), CC_REFRESH;  // no word's: of lines that are pasted
  const std::string same = common_beginning(found.words), typed = before.substr(before.size() - found.replaced);
  if (same != typed && same.size() >= typed.size()) {
    edit().erase(editor, static_cast<int>(found.replaced));
    edit().insert(editor, same.c_str());
    return CC_REFRESH;
  }
  if (found.words.size() == 1) return CC_REFRESH;
  list(found.words);
  return CC_REDISPLAY;
}

LineEditor::LineEditor(const std::string& file) : state_(std::make_unique<State>()) {
  state_->file = file;
  state_->editor = edit().init("gradus", stdin, stdout, stderr);
  state_->history = edit().history_init();
  if (!state_->editor || !state_->history) throw HostError(kBug, "libedit: no editor was made");
  EditLine* editor = state_->editor;
  HistEvent event;
  edit().history(state_->history, &event, H_SETSIZE, kEntries);
  edit().history(state_->history, &event, H_SETUNIQUE, 1);
  if (!file.empty()) edit().history(state_->history, &event, H_LOAD, file.c_str());
  edit().set(editor, EL_CLIENTDATA, state_.get());
  edit().set(editor, EL_EDITOR, "emacs");
  edit().set(editor, EL_HIST, edit().history, state_->history);
  edit().set(editor, EL_PROMPT, State::prompt_of);
  edit().set(editor, EL_GETCFN, State::letter);
  edit().set(editor, EL_ADDFN, "gradus-complete", "names that fit", State::complete_word);
  edit().set(editor, EL_BIND, "\t", "gradus-complete", nullptr);
  edit().set(editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  // Letters from U+00A0 to U+00FF, which emacs' keys would take for Alt and an ASCII letter.
  const TerminalLetters letters;
  for (int letter = 0xa0; letter <= 0xff; ++letter) {
    const char text[] = {static_cast<char>(0xc0 | letter >> 6), static_cast<char>(0x80 | (letter & 0x3f)), '\0'};
    edit().set(editor, EL_BIND, text, "ed-insert", nullptr);
  }
}

LineEditor::~LineEditor() {
  if (state_->editor) edit().end(state_->editor);
  if (state_->history) edit().history_end(state_->history);
}

LineEditor::Read LineEditor::read(const std::string& prompt, Completion (*complete)(void*, const std::string&),
                                  void* context, std::string& line) {
  const TerminalLetters letters;
  State& self = *state_;
  self.prompt = prompt;
  self.complete = complete;
  self.context = context;
  self.interrupted = false;
  edit().resize(self.editor);
  // Before the prompt is seen: what is typed right after it would be the terminal's, which takes Ctrl-R for itself.
  edit().set(self.editor, EL_PREP_TERM, 1);
  int count = 0;
  const char* text = edit().gets(self.editor, &count);
  if (self.interrupted) return std::fputs("\n", stdout), Read::interrupted;
  if (!text || count <= 0) return Read::end;
  line.assign(text);
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
  return Read::line;
}

void LineEditor::remember(const std::string& entry) {
  const TerminalLetters letters;
  State& self = *state_;
  HistEvent event;
  edit().history(self.history, &event, H_ENTER, entry.c_str());
  if (self.file.empty()) return;
  std::error_code ignored;  // a history that cannot be kept ends no session
  std::filesystem::create_directories(std::filesystem::path(self.file).parent_path(), ignored);
  edit().history(self.history, &event, H_SAVE, self.file.c_str());
  chmod(self.file.c_str(), 0600);
}

}  // namespace gradus
