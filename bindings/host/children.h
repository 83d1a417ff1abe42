// Processes forked from this one, which already holds LibTorch, the script and what it read: one for each run that goes
// on at the same time. A child starts with what the parent had at that instant and shares no state with anybody.
//
// Between parent and child lies a socket of framed messages, each a kind and a text. A child's standard error is a pipe
// whose lines the parent shows; its standard output is a file that the parent copies in one piece when the child ended.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace gradus {

struct ChildEvent {
  pid_t child;
  std::string kind;  // of a message; "line": of standard error; "end": the child is gone
  std::string text;
  int code = 0, signal = 0;  // of "end"
  double cpu_seconds = 0;
  long peak_bytes = 0;
};

// Forks. In the parent the child's process id; 0 in the child, which gets its signals from the parent alone, is ended
// when the parent dies, and must not return from main. Nobody else may hold a thread that the child needs. Throws
// HostError (io).
pid_t fork_child();

// What children said, as soon as there is something; nothing after `seconds`.
std::vector<ChildEvent> wait_children(double seconds);

void answer_child(pid_t child, const std::string& text);  // what its ask_parent returns
void signal_child(pid_t child, int signal);
void copy_output(pid_t child);  // its standard output to ours, once, after its end

bool is_child();
// In a child: sends a message; a parent that is gone is no error. Without a parent nothing.
void tell_parent(const std::string& kind, const std::string& text);
// In a child: sends a message and waits for the answer. False when the process was asked to stop meanwhile.
bool ask_parent(const std::string& kind, const std::string& text, std::string& answer);
// Whether the standard error that the parent shows is a terminal.
bool errors_on_terminal();

}  // namespace gradus
