#include "serve_command.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <optional>

#include "error.h"
#include "page/page.h"
#include "utf8.h"

namespace gradus {
namespace {

using namespace results;

constexpr int kFirstPort = 4747, kPortsTried = 50;
constexpr int kIdleSeconds = 20;
constexpr std::size_t kMostHeaderBytes = 32 << 10;

struct Options {
  int port = 0;  // 0: the first free one from kFirstPort
  bool json = false;
};

std::string random_token() {
  unsigned char bytes[16];
  if (::getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
    throw Error(Exit::io, std::string("serve: no random numbers; got ") + std::strerror(errno));
  std::string hex;
  char digits[3];
  for (const unsigned char byte : bytes) std::snprintf(digits, sizeof digits, "%02x", byte), hex += digits;
  return hex;
}

bool same(const std::string& a, const std::string& b) {  // in a time that does not tell where they differ
  if (a.size() != b.size()) return false;
  unsigned char difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return text;
}

// The value of a header that may be there at most once; nullopt when it is there twice.
std::optional<std::string> header(evhttp_request* request, const char* name) {
  std::string value;
  int n = 0;
  for (const evkeyval* h = evhttp_request_get_input_headers(request)->tqh_first; h; h = h->next.tqe_next) {
    if (lower(h->key) == lower(name)) value = h->value, ++n;
  }
  if (n > 1) return std::nullopt;
  return value;
}

class Server {
 public:
  Server(const std::shared_ptr<Store>& store, const Options& options);
  ~Server() {
    if (http_) evhttp_free(http_);
    if (base_) event_base_free(base_);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::string address() const { return "http://127.0.0.1:" + std::to_string(port_) + "/?token=" + token_; }
  void run() {
    // The runs come first. No further down: what is kept waiting in the middle of a read keeps the writers' log from
    // being cut.
    (void)::nice(5);
    event_base_dispatch(base_);
  }

 private:
  bool listen(int port);
  void answer(evhttp_request* request) {
    try {
      handle(request);
    } catch (const std::exception&) {  // it must not cross libevent
      evhttp_send_error(request, HTTP_SERVUNAVAIL, "out of memory");
    }
  }
  void handle(evhttp_request* request);
  bool our_host(const std::string& host) const;
  bool authorized(evhttp_request* request) const;
  void reply(evhttp_request* request, Answer answer);
  void refuse(evhttp_request* request, int status, const std::string& text) {
    reply(request, {status, "text/plain; charset=utf-8", text + "\n"});
  }

  Page page_;
  std::string token_ = random_token();
  event_base* base_ = nullptr;  // owned
  evhttp* http_ = nullptr;      // owned
  int port_ = 0;
};

Server::Server(const std::shared_ptr<Store>& store, const Options& options) : page_(store) {
  // A thousand idle connections must not use up the process's files.
  rlimit files;
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = std::min<rlim_t>(files.rlim_max, 65536);
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  std::signal(SIGPIPE, SIG_IGN);
  base_ = event_base_new();
  http_ = base_ ? evhttp_new(base_) : nullptr;
  if (!http_) throw Error(Exit::io, "serve: cannot start an event loop");
  evhttp_set_timeout(http_, kIdleSeconds);
  evhttp_set_max_headers_size(http_, kMostHeaderBytes);
  evhttp_set_max_body_size(http_, 1024);
  evhttp_set_allowed_methods(http_, 0xffff);  // all that there are, to refuse them with the right number
  evhttp_set_gencb(
      http_, [](evhttp_request* request, void* self) { static_cast<Server*>(self)->answer(request); }, this);
  const int first = options.port > 0 ? options.port : kFirstPort;
  const int last = options.port > 0 ? options.port : kFirstPort + kPortsTried - 1;
  for (int port = first; port <= last; ++port) {
    if (listen(port)) return;
    if (errno != EADDRINUSE) break;
  }
  throw Error(Exit::io, "serve: cannot listen on 127.0.0.1:" + std::to_string(first) + "; expected a free port; got " +
                            std::strerror(errno));
}

bool Server::listen(int port) {
  if (evhttp_bind_socket_with_handle(http_, "127.0.0.1", static_cast<ev_uint16_t>(port)) == nullptr) return false;
  port_ = port;
  return true;
}

// A name that an attacker's page could make point here (DNS rebinding) is none of these.
bool Server::our_host(const std::string& host) const {
  const std::string port = ":" + std::to_string(port_);
  return lower(host) == "127.0.0.1" + port || lower(host) == "localhost" + port;
}

bool Server::authorized(evhttp_request* request) const {
  const std::string bearer = header(request, "Authorization").value_or("");
  if (bearer.rfind("Bearer ", 0) == 0 && same(bearer.substr(7), token_)) return true;
  const std::string name = "gradus-" + std::to_string(port_) + "=";
  const std::string cookies = header(request, "Cookie").value_or("");
  for (std::size_t begin = 0; begin < cookies.size();) {
    const std::size_t end = std::min(cookies.find(';', begin), cookies.size());
    begin = cookies.find_first_not_of(' ', begin);
    if (begin < end && cookies.compare(begin, name.size(), name) == 0 &&
        same(cookies.substr(begin + name.size(), end - begin - name.size()), token_))
      return true;
    begin = end + 1;
  }
  return false;
}

void Server::reply(evhttp_request* request, Answer answer) {
  evkeyvalq* headers = evhttp_request_get_output_headers(request);
  evhttp_add_header(headers, "Content-Type", answer.type.c_str());
  evhttp_add_header(headers, "Content-Security-Policy",
                    "default-src 'self'; img-src 'self' data:; object-src 'none'; frame-ancestors 'none'; base-uri "
                    "'none'; form-action 'none'");
  evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
  evhttp_add_header(headers, "X-Frame-Options", "DENY");
  evhttp_add_header(headers, "Referrer-Policy", "no-referrer");
  evhttp_add_header(headers, "Cross-Origin-Resource-Policy", "same-origin");
  evhttp_add_header(headers, "Cross-Origin-Opener-Policy", "same-origin");
  evhttp_add_header(headers, "Cache-Control", "no-store");
  if (answer.status == 405) evhttp_add_header(headers, "Allow", "GET, HEAD");
  const bool head = evhttp_request_get_command(request) == EVHTTP_REQ_HEAD;
  std::unique_ptr<evbuffer, decltype(&evbuffer_free)> body(evbuffer_new(), evbuffer_free);
  if (answer.file >= 0) {
    evhttp_add_header(headers, "Content-Disposition", "attachment");
    if (head || evbuffer_add_file(body.get(), answer.file, 0, answer.bytes) != 0) ::close(answer.file);
  } else if (!head) {
    evbuffer_add(body.get(), answer.body.data(), answer.body.size());
  }
  // Always told: libevent gives the answer to CONNECT neither a length nor an end.
  const auto bytes = !head              ? static_cast<std::int64_t>(evbuffer_get_length(body.get()))
                     : answer.file >= 0 ? answer.bytes
                                        : static_cast<std::int64_t>(answer.body.size());
  evhttp_add_header(headers, "Content-Length", std::to_string(bytes).c_str());
  evhttp_send_reply(request, answer.status, nullptr, body.get());
}

void Server::handle(evhttp_request* request) {
  const auto host = header(request, "Host"), origin = header(request, "Origin");
  if (!host || !our_host(*host)) return refuse(request, 403, "unknown host");
  if (!origin || (!origin->empty() && !(origin->rfind("http://", 0) == 0 && our_host(origin->substr(7)))))
    return refuse(request, 403, "unknown origin");
  const auto method = evhttp_request_get_command(request);
  if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD) return refuse(request, 405, "GET and HEAD only");

  const std::string target = evhttp_request_get_uri(request);
  if (target.empty() || target[0] != '/') return refuse(request, 400, "expected a path");
  const std::size_t mark = target.find('?');
  const std::string path = target.substr(0, mark);
  std::map<std::string, std::string> query;
  if (mark != std::string::npos) {
    evkeyvalq pairs;
    if (evhttp_parse_query_str(target.c_str() + mark + 1, &pairs) != 0) return refuse(request, 400, "a broken query");
    for (const evkeyval* pair = pairs.tqh_first; pair; pair = pair->next.tqe_next) query[pair->key] = pair->value;
    evhttp_clear_headers(&pairs);
  }
  if (path == "/" && query.count("token") != 0 && same(query["token"], token_)) {
    // The page takes the token out of the address bar. No redirect: after one, a strict cookie would not be sent when
    // the address was opened from another page.
    const std::string cookie = "gradus-" + std::to_string(port_) + "=" + token_ + "; Path=/; HttpOnly; SameSite=Strict";
    evhttp_add_header(evhttp_request_get_output_headers(request), "Set-Cookie", cookie.c_str());
  } else if (!authorized(request)) {
    return refuse(request, 401, "open the address that `gradus serve` printed");
  }
  reply(request, page_.get(path, query));
}

void serve_command(const std::string& path, const Options& options) {
  const auto store = Store::open(path, Store::Mode::read);
  Server server(store, options);
  if (options.json) {
    std::printf("%s\n", Json({{"url", server.address()}, {"store", utf8(store->path())}}).dump().c_str());
  } else {
    std::printf("%s\n%s  (Ctrl-C ends it)\n", server.address().c_str(), store->path().c_str());
  }
  std::fflush(stdout);
  server.run();
}

}  // namespace

void add_serve_command(CLI::App& app, std::string& store) {
  CLI::App* sub = app.add_subcommand("serve", "show the store as a page in the browser, on this machine only");
  auto options = std::make_shared<Options>();  // lives as long as the callback below
  sub->add_option("--store", store, "the store (default: $GRADUS_STORE or runs/gradus.db)");
  sub->add_option("--port", options->port, "port (default: the first free one from 4747)")->check(CLI::Range(1, 65535));
  sub->add_flag("--json", options->json, "print address and store as JSON");
  sub->callback([options, &store] { serve_command(store.empty() ? default_store() : store, *options); });
}

}  // namespace gradus
